"""The contract of checks of VAT numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts import tax
from moorage.contracts.declaration import Contract, Requirements, reads
from moorage.contracts.tax import TaxCapability, Trader, VatNumber
from moorage.contracts.validators import check_maybe

if TYPE_CHECKING:
    from moorage.contracts.tax import VatCheck


class TaxContract(Contract):
    """Checks VAT numbers, each by the configured register that is responsible for it."""

    kind = "tax"
    capabilities = TaxCapability
    values = (tax,)

    @reads()
    def check_vat_number(
        self,
        number: VatNumber | str,
        *,
        requester: VatNumber | str | None = None,
        trader: Trader | None = None,
        timeout: float | None = None,
    ) -> Requirements[VatCheck]:
        """Ask a register whether a VAT number is in use.

        A register that cannot answer raises an error; it never makes a number invalid.

        Args:
            number: number of the other business, with the prefix of its country.
            requester: number of your own business; the register then gives a proof of the check.
            trader: details of the other business that the register compares with its own.
            timeout: seconds for the whole operation.
        """
        target = VatNumber.parse(number)
        own_number = None if requester is None else VatNumber.parse(requester, field="requester")
        check_maybe(trader, Trader, "trader")
        needs = {target.needs}
        if own_number is not None:
            needs.add(TaxCapability.PROOF)
        if trader is not None:
            needs.add(TaxCapability.TRADER_MATCH)
        return Requirements(
            needs=needs,
            country=target.country,
            arguments={"number": target, "requester": own_number},
        )
