"""The completion of bank consents and payments.

Some vendors need the URL that the owner returned to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.bank.access import check_return_url
from moorage.contracts.bank.vendor import (
    BankCapability,
    FinishingVendor,
    PaymentFinishingVendor,
)
from moorage.contracts.declared.bank import BankContract
from moorage.services.contracts.flows import Flows

if TYPE_CHECKING:
    from moorage.contracts.bank.access import BankConsent
    from moorage.contracts.bank.initiation import BankPayment
    from moorage.contracts.bank.vendor import BankVendor
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire


class BankFlows(Flows, BankContract):
    """The operations on bank accounts of one tenant."""

    async def finish_consent(
        self, ref: Ref | str, returned_url: str, *, timeout: float | None = None
    ) -> BankConsent:
        """Finish a consent when its owner returns from the bank, and get its state.

        Some vendors need the URL to which the owner returned, because it has a code that is
        exchanged for tokens; for the others, this is the same as `get_consent`. A repeat with the
        same URL returns the state of the consent again.

        Args:
            ref: reference of the consent.
            returned_url: complete URL to which the owner returned, with query and fragment.
            timeout: seconds for the whole operation.

        Raises:
            InvalidData: the URL does not belong to this consent.
            ConsentRequired: the code in the URL has expired or was used.
        """
        check_return_url(returned_url, "returned_url")

        async def perform(vendor: BankVendor, wire: Wire, own_ref: Ref) -> BankConsent:
            if isinstance(vendor, FinishingVendor):
                return await vendor.finish_consent(wire, own_ref, returned_url)
            return await vendor.get_consent(wire, own_ref)

        return await self._dispatcher.execute_at(
            ref, self._request("finish_consent"), perform, timeout=timeout
        )

    async def finish_payment(
        self, ref: Ref | str, returned_url: str, *, timeout: float | None = None
    ) -> BankPayment:
        """Finish a payment when its owner returns from the bank, and get its state.

        Some banks execute a payment only after this call, which takes a code from the URL to which
        the owner returned; for the others, this is the same as `get_payment`. If the call fails,
        the bank may have the payment: repeat the call, since the same URL never pays a second
        time. Store the `ref` of the result, in place of the earlier one.

        Args:
            ref: reference of the payment, from `pay`.
            returned_url: complete URL to which the owner returned, with query and fragment.
            timeout: seconds for the whole operation.

        Raises:
            InvalidData: the URL does not belong to this payment.
            ConsentRequired: the owner has not agreed, or the code in the URL has expired.
        """
        check_return_url(returned_url, "returned_url")

        async def perform(vendor: BankVendor, wire: Wire, own_ref: Ref) -> BankPayment:
            if isinstance(vendor, PaymentFinishingVendor):
                return await vendor.finish_payment(wire, own_ref, returned_url)
            return await vendor.get_payment(wire, own_ref)

        return await self._dispatcher.execute_at(
            ref, self._request("finish_payment", {BankCapability.PAY}), perform, timeout=timeout
        )
