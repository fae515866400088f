"""The operations on taxes for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.live_configuration import CurrentOperations
from moorage.services.contracts.tax import TaxFlows

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.tax import Trader, VatCheck, VatNumber
    from moorage.contracts.tax_calculation import (
        TaxableSale,
        TaxCalculation,
        TaxRecord,
        TaxReversal,
    )
    from moorage.services.contracts.live_configuration import FindDispatcher


class Tax(Uncopyable):
    """Checks VAT numbers by the register that is responsible, and calculates taxes of sales."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(TaxFlows, find_dispatcher, tenant)

    def record(
        self, calculation: TaxCalculation, *, idempotency_key: str, timeout: float | None = None
    ) -> TaxRecord:
        """Put a sale into the reports of the vendor that calculated its tax.

        The tax is the calculated one, even if the vendor's rules have changed since.

        Args:
            calculation: the calculated tax of the sale, which the buyer pays.
            idempotency_key: identifies this sale: a repeat records nothing again.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the reference of the sale is in use, or the calculation has expired.
        """
        return run_now(
            self._flows.run(
                TaxFlows.record, calculation, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def check_vat_number(
        self,
        number: VatNumber | str,
        *,
        requester: VatNumber | str | None = None,
        trader: Trader | None = None,
        timeout: float | None = None,
    ) -> VatCheck:
        """Ask a register whether a VAT number is in use.

        A register that cannot respond raises an error; it never makes a number invalid.

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

    def calculate(self, sale: TaxableSale, *, timeout: float | None = None) -> TaxCalculation:
        """Calculate the tax of a sale, for each line and jurisdiction; nothing is recorded.

        Most vendors charge a fee for each calculation.

        Args:
            sale: the sale.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(TaxFlows.calculate, sale, timeout=timeout))

    def reverse(
        self,
        ref: Ref | str,
        reversal: TaxReversal,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> TaxRecord:
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
        return run_now(
            self._flows.run(
                TaxFlows.reverse, ref, reversal, idempotency_key=idempotency_key, timeout=timeout
            )
        )


class AsyncTax(Uncopyable):
    """The asynchronous version of `Tax`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(TaxFlows, find_dispatcher, tenant)

    async def record(
        self, calculation: TaxCalculation, *, idempotency_key: str, timeout: float | None = None
    ) -> TaxRecord:
        """Put a sale into the reports of the vendor that calculated its tax.

        The tax is the calculated one, even if the vendor's rules have changed since.

        Args:
            calculation: the calculated tax of the sale, which the buyer pays.
            idempotency_key: identifies this sale: a repeat records nothing again.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the reference of the sale is in use, or the calculation has expired.
        """
        return await self._flows.run(
            TaxFlows.record, calculation, idempotency_key=idempotency_key, timeout=timeout
        )

    async def check_vat_number(
        self,
        number: VatNumber | str,
        *,
        requester: VatNumber | str | None = None,
        trader: Trader | None = None,
        timeout: float | None = None,
    ) -> VatCheck:
        """Ask a register whether a VAT number is in use.

        A register that cannot respond raises an error; it never makes a number invalid.

        Args:
            number: number of the other business, with the prefix of its country.
            requester: number of your own business; the register then gives a proof of the check.
            trader: details of the other business that the register compares with its own.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            TaxFlows.check_vat_number, number, requester=requester, trader=trader, timeout=timeout
        )

    async def calculate(self, sale: TaxableSale, *, timeout: float | None = None) -> TaxCalculation:
        """Calculate the tax of a sale, for each line and jurisdiction; nothing is recorded.

        Most vendors charge a fee for each calculation.

        Args:
            sale: the sale.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(TaxFlows.calculate, sale, timeout=timeout)

    async def reverse(
        self,
        ref: Ref | str,
        reversal: TaxReversal,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> TaxRecord:
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
        return await self._flows.run(
            TaxFlows.reverse, ref, reversal, idempotency_key=idempotency_key, timeout=timeout
        )
