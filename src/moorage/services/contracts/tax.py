"""The tax operations whose first argument is the result of an earlier operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.contracts.declared.tax import TaxContract
from moorage.contracts.tax import TaxCapability
from moorage.contracts.tax_calculation import TaxCalculation
from moorage.contracts.validators import check_kind
from moorage.domain.idempotency.claims import checked_key
from moorage.services.contracts.flows import Flows

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.tax_calculation import TaxCalculationVendor, TaxRecord
    from moorage.contracts.wire import Wire


class TaxFlows(Flows, TaxContract):
    """The tax operations of one tenant."""

    async def record(
        self,
        calculation: TaxCalculation,
        *,
        idempotency_key: str,
        timeout: float | None = None,
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
        check_kind(calculation, TaxCalculation, "calculation")
        checked_key(idempotency_key)

        async def call_vendor(vendor: TaxCalculationVendor, wire: Wire, ref: Ref) -> TaxRecord:
            own_calculation = attrs.evolve(calculation, ref=ref)
            return await vendor.record(wire, own_calculation, key=idempotency_key)

        operation = self._request(
            "record", {TaxCapability.RECORDS}, calculation.sale.ship_to.country
        )
        return await self._dispatcher.execute_at(
            calculation.ref, operation, call_vendor, key=idempotency_key, timeout=timeout
        )
