"""Paystack: payments on its page or with stored authorizations, in Africa.

A transaction's reference is derived from the idempotency key, and Paystack accepts each reference
once. So if the response to a charge was lost, the charge is requested again; if Paystack refuses
the reference, the existing transaction is returned. A refund has no key, but a note: it is sent
once, and looked up by its note.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Page,
    Payment,
    PaymentsCapability,
    PaymentState,
    Refund,
    StoredMeans,
    StoredState,
)
from moorage.vendors.payments import _paystack_steps as steps
from moorage.vendors.payments._common import return_url_option, url_of
from moorage.vendors.payments._paystack_answers import (
    CHARGE,
    DUPLICATE,
    classify,
    data_of,
    declined_error,
    dispute_of,
    minor_units,
    payment_of,
    read_charge,
    read_checkout,
    read_dispute,
    read_refund,
    stored_of,
)
from moorage.vendors.payments._paystack_events import read_events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import Charge, Dispute, PaymentQuery, RefundReason

_TRANSACTIONS: Final = "/transaction"
_DISPUTES: Final = "/dispute"
_NOT_FOUND: Final = 404


@attrs.frozen(kw_only=True)
class Paystack(sdk.ApiVendor):
    """An account at Paystack.

    Attributes:
        credentials: secret key, sk_live_... or sk_test_...; by default the credential provider
            supplies it. It also signs the webhooks.
        return_url: URL that buyers return to, unless a charge has its own.
        base_url: URL of Paystack.
    """

    name = "paystack"
    kinds = ("payments",)
    capabilities = sdk.members_of(
        PaymentsCapability,
        "intent complete look_up look_up_refund list disputes look_up_dispute off_session"
        " store_method stored_means",
    )
    limits: ClassVar[Mapping[str, int]] = {"page": steps.LONGEST_PAGE}
    modes = sdk.key_modes(live=("sk_live_",), test=("sk_test_",))
    webhook = "paystack"
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(sdk.UnknownOutcome.REPEATED, "create_intent charge complete"),
        **sdk.words(sdk.UnknownOutcome.LOOKED_UP, "refund"),
    }
    states_refunds = False

    refusals = staticmethod(classify)
    ping_path = _TRANSACTIONS
    ping_query: ClassVar[Mapping[str, int]] = {"perPage": 1}
    event_reading = staticmethod(read_events)

    return_url: str | None = return_url_option()
    base_url: str = "https://api.paystack.co"

    async def create_intent(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create a transaction that the buyer pays on Paystack's page.

        A repeat after a lost response creates another page, and nobody has the URL of the first
        one. With a reference of our own Paystack would refuse the repeat, and it does not return
        the URL again.
        """
        fields = steps.checkout_fields(charge, charge.return_url or self.return_url)
        request = sdk.Request.post("/transaction/initialize", json=fields)
        parse = partial(read_checkout, wire, charge.amount)
        payment: Payment = await wire.send(request, key=key, parse=parse)
        return attrs.evolve(payment, reference=charge.reference)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge a stored authorization, or return the transaction of an earlier attempt."""
        fields = steps.charge_fields(charge, steps.digest_of(wire, key))
        request = sdk.Request.post(CHARGE, json=fields)
        parse = partial(read_charge, wire, charge.amount)
        try:
            payment = await wire.send(request.evolve(idempotent=True), key=key, parse=parse)
        except sdk.VendorRejected as refused:
            if refused.vendor_code != DUPLICATE:
                raise
            look_up = steps.get_payment(wire, str(fields["reference"]))
            payment = await steps.earlier_result(look_up, steps.lost_charge())
        if payment.state is PaymentState.FAILED:
            raise declined_error(payment)
        return payment

    async def complete(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        returned: Mapping[str, str],  # noqa: ARG002 - the transaction itself says more
        /,
        *,
        key: str,  # noqa: ARG002 - nothing moves
    ) -> Payment:
        """Get the payment after the buyer has returned.

        Raises:
            PaymentDeclined: the buyer's payment has failed.
        """
        payment = await self.get(wire, ref)
        if payment.state is PaymentState.FAILED:
            raise declined_error(payment)
        return payment

    async def refund(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: sdk.Money | None,
        /,
        *,
        reason: RefundReason | None,
        key: str,
    ) -> Refund:
        """Refund a payment; without an amount, Paystack refunds all of it."""
        mark = steps.digest_of(wire, key)
        note = mark if reason is None else f"{reason.value} {mark}"
        fields: dict[str, Any] = {"transaction": ref.id, "merchant_note": note}
        if amount is not None:
            fields |= {"amount": minor_units(amount), "currency": amount.currency}
        request = sdk.Request.post(steps.REFUNDS, json=fields)
        try:
            refund = await wire.send(request, key=key, parse=partial(read_refund, wire))
        except sdk.OutcomeUnknown as unknown:
            # Only if nothing was sent now, an earlier attempt was.
            if unknown.attempts:
                raise
            look_up = steps.marked_refund(wire, ref.id, mark)
            refund = await steps.earlier_result(look_up, unknown)
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment."""
        return await steps.get_payment(wire, ref.id)

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        request = sdk.Request.get(url_of(steps.REFUNDS, ref.id))
        return read_refund(wire, await wire.send(request))

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List payments, newest first."""
        return await steps.get_page(wire, _TRANSACTIONS, query, after, payment_of)

    async def disputes(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Dispute]:
        """List disputes, newest first."""
        return await steps.get_page(wire, _DISPUTES, query, after, dispute_of)

    async def get_dispute(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Dispute:
        """Get a dispute."""
        return read_dispute(wire, await wire.send(sdk.Request.get(url_of(_DISPUTES, ref.id))))

    async def stored_means(
        self,
        wire: sdk.Wire,
        customer: str,
        after: sdk.Ref | None,  # noqa: ARG002 - all are listed at once
        /,
    ) -> Page[StoredMeans]:
        """List a customer's authorizations that can be charged again.

        Args:
            wire: sends the request.
            customer: Paystack's code of the customer, or their email address.
            after: the `next` of the previous page.
        """
        body = data_of(await wire.send(sdk.Request.get(url_of("/customer", customer))))
        means = (stored_of(wire.ref, customer, item) for item in body.objects("authorizations"))
        return Page(tuple(item for item in means if item is not None))

    async def remove_means(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
        """Deactivate an authorization; a repeat has no further effect."""
        path, fields = "/customer/authorization/deactivate", {"authorization_code": ref.id}
        request = sdk.Request.post(path, json=fields).evolve(idempotent=True)
        try:
            await wire.send(request, key=key, parse=sdk.check_done)
        except sdk.VendorRejected as refused:
            if refused.status != _NOT_FOUND:
                raise
        return StoredMeans(ref=ref, state=StoredState.REMOVED)
