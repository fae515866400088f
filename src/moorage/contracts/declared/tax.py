"""The contract of taxes: checks of VAT numbers, and calculations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts import address, tax, tax_calculation
from moorage.contracts.declaration import (
    Contract,
    Effect,
    Requirements,
    Target,
    changes,
    reads,
)
from moorage.contracts.tax import TaxCapability, Trader, VatNumber
from moorage.contracts.tax_calculation import TaxableSale, TaxReversal
from moorage.contracts.validators import check_kind, check_maybe

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.tax import VatCheck
    from moorage.contracts.tax_calculation import TaxCalculation, TaxRecord


class TaxContract(Contract):
    """Checks VAT numbers by the register that is responsible, and calculates taxes of sales."""

    kind = "tax"
    capabilities = TaxCapability
    values = (address, tax, tax_calculation)
    flows = {"record": Effect.DEFERRABLE}
    flow_verbs = {"record": TaxCapability.RECORDS}

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

        A register that cannot respond raises an error; it never makes a number invalid.

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

    @reads(needs=TaxCapability.CALCULATION)
    def calculate(
        self, sale: TaxableSale, *, timeout: float | None = None
    ) -> Requirements[TaxCalculation]:
        """Calculate the tax of a sale, for each line and jurisdiction; nothing is recorded.

        Most vendors charge a fee for each calculation.

        Args:
            sale: the sale.
            timeout: seconds for the whole operation.
        """
        check_kind(sale, TaxableSale, "sale")
        return Requirements(needs=sale.needs, country=sale.ship_to.country)

    @changes(target=Target.REFERENCE, needs=TaxCapability.REVERSALS)
    def reverse(
        self,
        ref: Ref | str,
        reversal: TaxReversal,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Requirements[TaxRecord]:
        """Take a recorded sale, or a part of it, out of the vendor's reports.

        Args:
            ref: reference of the recorded sale.
            reversal: the reversed parts; the whole sale if it names none.
            idempotency_key: identifies this reversal: a repeat reverses nothing again.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the reference of the reversal is in use, or more would be reversed than
                was recorded.
        """
        check_kind(reversal, TaxReversal, "reversal")
        return Requirements()
