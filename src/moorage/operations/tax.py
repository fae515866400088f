"""The operations on taxes for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.tax import TaxContract
from moorage.runtime.bridge import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.tax import Trader, VatCheck, VatNumber
    from moorage.services.contracts.live_configuration import FindDispatcher


class TaxFlows(Flows, TaxContract):
    """The operations of one tenant."""


class Tax:
    """Checks VAT numbers, each by the configured register that is responsible for it."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(TaxFlows, find_dispatcher, tenant)

    def check_vat_number(
        self,
        number: VatNumber | str,
        *,
        requester: VatNumber | str | None = None,
        trader: Trader | None = None,
        timeout: float | None = None,
    ) -> VatCheck:
        """Ask a register whether a VAT number is in use.

        A register that cannot answer raises an error; it never makes a number invalid.

        Args:
            number: number of the other business, with the prefix of its country.
            requester: number of your own business; the register then gives a proof of the check.
            trader: details of the other business that the register compares with its own.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                TaxFlows.check_vat_number,
                number,
                requester=requester,
                trader=trader,
                timeout=timeout,
            )
        )


class AsyncTax:
    """The asynchronous version of `Tax`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(TaxFlows, find_dispatcher, tenant)

    async def check_vat_number(
        self,
        number: VatNumber | str,
        *,
        requester: VatNumber | str | None = None,
        trader: Trader | None = None,
        timeout: float | None = None,
    ) -> VatCheck:
        """Ask a register whether a VAT number is in use.

        A register that cannot answer raises an error; it never makes a number invalid.

        Args:
            number: number of the other business, with the prefix of its country.
            requester: number of your own business; the register then gives a proof of the check.
            trader: details of the other business that the register compares with its own.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            TaxFlows.check_vat_number, number, requester=requester, trader=trader, timeout=timeout
        )
