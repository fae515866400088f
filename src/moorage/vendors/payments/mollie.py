"""Mollie: payments, mandates, links and subscriptions, by API version 2 with an API key.

Buyers choose or confirm their means of payment on Mollie's own page, so most payments first wait
for the buyer. Amounts are decimal texts. Its webhooks have no signature and only the id of a
payment: they report that something changed, and the payment is then read with our own key.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import MoveState, PaymentsCapability, Void, stated_amount
from moorage.vendors.payments import _mollie_links as mollie_links
from moorage.vendors.payments import _mollie_mandates as mollie_mandates
from moorage.vendors.payments import _mollie_subscriptions as mollie_subscriptions
from moorage.vendors.payments._common import (
    answered_at,
    refundable_rest,
    return_url_option,
    void_of,
    with_payment_reference,
)
from moorage.vendors.payments._mollie_answers import (
    KEY,
    PAYMENTS,
    amount_body,
    classify,
    dispute_of,
    payment_of,
    read_capture,
    read_payment,
    read_refund,
    refused_error,
)
from moorage.vendors.payments._mollie_events import read_events
from moorage.vendors.payments._mollie_lists import LONGEST_PAGE, listed
from moorage.vendors.payments._mollie_requests import payment_body, refund_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import (
        Capture,
        Charge,
        Dispute,
        LinkRequest,
        Page,
        Payment,
        PaymentLink,
        PaymentQuery,
        Refund,
        RefundReason,
        Subscription,
        SubscriptionRequest,
    )

_KEYS: Final = sdk.VendorKeys(
    # Mollie's current page says one hour, an older page a day: the smaller number counts.
    memory=3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=("https://docs.mollie.com/reference/api-idempotency",),
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class Mollie(sdk.ApiVendor):
    """A website profile of a Mollie account.

    Attributes:
        credentials: API key, test_... or live_...; by default the credential provider supplies it.
        return_url: URL that buyers return to, unless a charge has its own.
        webhook_url: URL that Mollie reports changes to, with a secret of yours in its parameter
            `token`, which is also the account's webhook secret.
        base_url: URL of Mollie.
    """

    name = "mollie"
    kinds = ("payments",)
    api_version = "v2"
    capabilities = sdk.members_of(
        PaymentsCapability,
        "intent complete authorize void partial_capture multiple_captures look_up look_up_refund"
        " list disputes off_session store_method billing_address shipping_address line_items"
        " store_means stored_means links link_expiry link_addresses link_line_items subscriptions"
        " subscription_source",
    )
    limits: ClassVar[Mapping[str, int]] = {"page": LONGEST_PAGE}
    modes = sdk.key_modes(live=("live_",), test=("test_",))
    webhook = "mollie-classic"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(
            sdk.UnknownOutcome.ASKED_AGAIN,
            "authorize charge capture void refund create_intent create_subscription",
        ),
        **sdk.words(sdk.UnknownOutcome.REPEATED, "complete"),
    }

    refusals = staticmethod(classify)
    ping_path = "/v2/payments"
    event_reading = staticmethod(read_events)
    ping_query: ClassVar[Mapping[str, int]] = {"limit": 1}

    return_url: str | None = return_url_option()
    webhook_url: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    base_url: str = "https://api.mollie.com"

    @property
    def notification_url(self) -> str | None:
        """The URL for Mollie's webhooks, including the secret."""
        return None if self.webhook_url is None else self.webhook_url.reveal()

    async def create_intent(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create a payment for which the buyer chooses the method on Mollie's page."""
        return await self._pay(wire, charge, key)

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount, to be captured later."""
        return await self._pay(wire, charge, key, captureMode="manual")

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount after the buyer has confirmed it."""
        return await self._pay(wire, charge, key)

    async def _pay(self, wire: sdk.Wire, charge: Charge, key: str, **fields: Any) -> Payment:
        request = sdk.Request.post(PAYMENTS, json=payment_body(self, charge, **fields))
        parse = partial(read_payment, wire)
        sending_coroutine = wire.send(request, key=sdk.key_for_vendor(wire, key, KEY), parse=parse)
        return await with_payment_reference(wire, charge.amount, sending_coroutine)

    async def complete(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        returned: Mapping[str, str],  # noqa: ARG002 - Mollie says nothing by the buyer
        /,
        *,
        key: str,  # noqa: ARG002 - nothing moves
    ) -> Payment:
        """Get the outcome of a payment after the buyer has returned.

        Raises:
            PaymentDeclined: the payment failed, or the buyer cancelled it.
        """
        payment = await self.get(wire, ref)
        error = refused_error(payment)
        if error is not None:
            raise error
        return payment

    async def capture(
        self, wire: sdk.Wire, ref: sdk.Ref, amount: sdk.Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Capture an authorised amount; a final capture releases the rest."""
        body = {} if amount is None else {"amount": amount_body(amount)}
        request = sdk.Request.post(_url_of(ref.id, "captures"), json=body)
        vendor_key, parse = sdk.key_for_vendor(wire, key, KEY), partial(read_capture, wire)
        capture = await wire.send(request, key=vendor_key, parse=parse)
        if final and amount is not None and amount != stated_amount(ref):
            await _release_rest(wire, ref, f"{key}/release")
        return attrs.evolve(capture, payment=ref, amount=capture.amount or amount)

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Release an authorised amount, or cancel an unfinished payment."""
        if await _release_rest(wire, ref, key):
            return Void(ref=ref, payment=ref, state=MoveState.PENDING)
        vendor_key, parse = (
            sdk.key_for_vendor(wire, f"{key}/cancel", KEY),
            partial(read_payment, wire),
        )
        try:
            payment = await wire.send(
                sdk.Request.delete(_url_of(ref.id)), key=vendor_key, parse=parse
            )
        except sdk.InvalidRequest:
            # The response to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            if payment.vendor_state != "canceled":
                raise
        return void_of(payment, word="canceled")

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
        """Refund a payment; without an amount, refund all that is not refunded yet."""
        refunded_amount = amount or await _refundable(wire, ref, key)
        body = refund_body(ref, refunded_amount, reason)
        request = sdk.Request.post(_url_of(ref.id, "refunds"), json=body)
        vendor_key, parse = sdk.key_for_vendor(wire, key, KEY), partial(read_refund, wire)
        refund = await wire.send(request, key=vendor_key, parse=parse)
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment with its captures and refunds."""
        response = await wire.send(
            sdk.Request.get(_url_of(ref.id), query={"embed": "captures,refunds"})
        )
        return attrs.evolve(read_payment(wire, response), as_of=answered_at(response))

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        payment = ref.other("payment")
        if payment is None:
            raise sdk.InvalidData(
                "Mollie finds a refund only through its payment, but this reference names no"
                " payment.",
                field="ref",
                remedy="Pass the complete `ref` that the refund returned.",
            )
        return read_refund(
            wire, await wire.send(sdk.Request.get(_url_of(payment, "refunds", ref.id)))
        )

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List payments."""
        return await listed(wire, PAYMENTS, query, after, payment_of)

    async def disputes(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Dispute]:
        """List chargebacks."""
        return await listed(wire, "/v2/chargebacks", query, after, dispute_of)

    async def create_subscription(
        self, wire: sdk.Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription:
        """Create a subscription that charges a mandate."""
        return await mollie_subscriptions.create_subscription(
            wire, request, key, self.notification_url
        )

    get_subscription = staticmethod(mollie_subscriptions.get_subscription)

    async def change_subscription(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        /,
        *,
        amount: sdk.Money,
        quantity: None,  # noqa: ARG002 - Mollie has no quantities
        key: str,
    ) -> Subscription:
        """Change a subscription's amount from its next charge on."""
        return await mollie_subscriptions.change_subscription(wire, ref, amount, key)

    async def cancel_subscription(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        /,
        *,
        at_period_end: bool,  # noqa: ARG002 - Mollie cancels at once
        key: str,
    ) -> Subscription:
        """Cancel a subscription at once."""
        return await mollie_subscriptions.cancel_subscription(wire, ref, key)

    async def list_subscriptions(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Subscription]:
        """List the subscriptions of all customers."""
        read_one = partial(mollie_subscriptions.subscription_of, now=wire.now())
        return await listed(wire, mollie_subscriptions.SUBSCRIPTIONS, query, after, read_one)

    store_means = staticmethod(mollie_mandates.store_mandate)
    stored_means = staticmethod(mollie_mandates.list_mandates)
    remove_means = staticmethod(mollie_mandates.revoke_mandate)

    async def create_link(self, wire: sdk.Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
        """Create a payment link for one payment."""
        return await mollie_links.create_link(
            wire, link, key, return_url=self.return_url, webhook_url=self.notification_url
        )

    get_link = staticmethod(mollie_links.get_link)
    close_link = staticmethod(mollie_links.close_link)


def _url_of(*parts: str) -> str:
    return "/".join([PAYMENTS, *(quote(part, safe="") for part in parts)])


async def _release_rest(wire: sdk.Wire, ref: sdk.Ref, key: str) -> bool:
    """Release the remaining authorised amount; return False if there was none."""
    request = sdk.Request.post(_url_of(ref.id, "release-authorization"), json={})
    try:
        await wire.send(request, key=sdk.key_for_vendor(wire, key, KEY), parse=sdk.check_done)
    except sdk.InvalidRequest:
        return False
    return True


async def _refundable(wire: sdk.Wire, ref: sdk.Ref, key: str) -> sdk.Money:
    """The refundable amount; looked up once per key, so that repeats refund the same amount."""
    request = sdk.Request.get(_url_of(ref.id))
    vendor_key, parse = sdk.key_for_vendor(wire, f"{key}/left", KEY), partial(read_payment, wire)
    return refundable_rest(await wire.send(request, key=vendor_key, parse=parse))
