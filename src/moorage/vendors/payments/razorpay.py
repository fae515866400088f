"""Razorpay: payments by Checkout, stored tokens or links, and subscriptions.

Each payment belongs to an order, and an order can be paid once. So if the response to a payment was
lost, the payment is requested again for the same order; if Razorpay refuses it, the order's
existing payment is returned.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage.contracts.payments import (
    NextAction,
    NextActionType,
    PaymentsCapability,
    PaymentState,
    stated_amount,
)
from moorage.vendor_sdk import (
    ApiVendor,
    ConnectionFailed,
    InvalidRequest,
    OutcomeUnknown,
    RepeatedKey,
    Request,
    UnknownOutcome,
    VendorFailed,
    VendorKeys,
    VendorRejected,
    basic,
    matches,
    members_of,
    part_key,
    words,
)
from moorage.vendor_sdk import Mode as AccountMode
from moorage.vendors.payments import _razorpay_links as razorpay_links
from moorage.vendors.payments import _razorpay_lists as razorpay_lists
from moorage.vendors.payments import _razorpay_subscriptions as razorpay_subscriptions
from moorage.vendors.payments._common import (
    refundable_rest,
    return_url_option,
    url_of,
    with_payment_reference,
)
from moorage.vendors.payments._razorpay_answers import (
    AUTHORIZED,
    CAPTURED,
    RECURRING,
    UNITS,
    capture_of,
    classify,
    declined_error,
    dispute_of,
    payment_of,
    read_order,
    read_payment,
    read_payment_id,
    read_refund,
    settlement_of,
)
from moorage.vendors.payments._razorpay_events import read_events
from moorage.vendors.payments._razorpay_requests import (
    MOST_NOTES,
    amount_fields,
    checkout_fields,
    intent_fields,
    key_name,
    order_fields,
    recurring_fields,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import (
        Capture,
        Charge,
        Dispute,
        LinkRequest,
        Page,
        Payment,
        PaymentEvent,
        PaymentLink,
        PaymentQuery,
        Payout,
        Refund,
        RefundReason,
        StoredMeans,
        Subscription,
    )
    from moorage.vendor_sdk import MakeRef, Mode, Money, Ref, WebhookEvent, Wire

_REFUNDS: Final = "/v1/refunds"
_ORDER_ID: Final = "order_"
_REFUND_KEY: Final = "X-Refund-Idempotency"
_KEYS: Final = VendorKeys(
    # Razorpay publishes no retention time; an hour covers the usual repeats. Only refunds have a
    # key.
    memory=3_600.0,
    repeat=RepeatedKey.REPLAYED,
    documentation=("https://razorpay.com/docs/api/refunds/normal-refunds-idempotent/",),
)


@attrs.frozen(kw_only=True)
class Razorpay(ApiVendor):
    """An account at Razorpay.

    Attributes:
        key_id: id of the API key, rzp_live_... or rzp_test_....
        credentials: secret of the API key; by default the credential provider supplies it.
        return_url: URL that buyers return to, unless a charge has its own.
        settlement_currency: currency of the settlements, because they do not state one.
        base_url: URL of Razorpay.
    """

    name = "razorpay"
    kinds = ("payments",)
    api_version = "v1"
    capabilities = members_of(
        PaymentsCapability,
        "intent complete authorize look_up look_up_refund list disputes payouts off_session"
        " store_method stored_means links link_expiry subscriptions subscription_consent"
        " subscription_quantity",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "metadata": MOST_NOTES,
        "page": razorpay_lists.LONGEST_PAGE,
    }
    webhook = "razorpay"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = {
        **words(
            UnknownOutcome.REPEATED,
            "create_intent authorize charge complete capture create_subscription",
        ),
        **words(UnknownOutcome.ASKED_AGAIN, "refund"),
    }

    auth = basic("key_id")
    refusals = staticmethod(classify)
    ping_path = razorpay_lists.PAYMENTS
    ping_query: ClassVar[Mapping[str, int]] = {"count": 1}

    key_id: str = attrs.field(
        validator=matches(
            "rzp_(?:live|test)_[A-Za-z0-9]+",
            problem="The value is not the id of a Razorpay API key.",
            remedy="Set the key id, which begins with rzp_live_ or rzp_test_.",
        )
    )
    return_url: str | None = return_url_option()
    settlement_currency: str = "INR"
    base_url: str = "https://api.razorpay.com"

    def mode(self) -> Mode | None:
        """Return live or test mode, by the prefix of the key's id."""
        return AccountMode.LIVE if self.key_id.startswith("rzp_live_") else AccountMode.TEST

    async def create_intent(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create an order for the buyer to pay in Razorpay's Checkout."""
        request = Request.post(razorpay_lists.ORDERS, json=intent_fields(charge))
        order: Payment = await wire.send(request, key=key, parse=partial(read_order, wire))
        url = charge.return_url or self.return_url
        action = NextAction(
            type=NextActionType.SDK,
            fields=checkout_fields(self.key_id, charge, order.ref.id, url),
            vendor_type="checkout",
        )
        return attrs.evolve(order, next_action=action)

    async def authorize(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount with a token, to be captured later."""
        return await self._pay(wire, charge, key, capture=False)

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount with a token."""
        return await self._pay(wire, charge, key, capture=True)

    async def _pay(self, wire: Wire, charge: Charge, key: str, *, capture: bool) -> Payment:
        """Create an order, and pay it with a stored token."""
        recurring_fields(charge, "")  # refused before anything is sent
        request = Request.post(razorpay_lists.ORDERS, json=order_fields(charge, capture=capture))
        order = await wire.send(
            request, key=part_key(key, "order"), parse=partial(read_order, wire)
        )
        # A payment may be pending for days, and its order accepts another payment in the meantime.
        payment_id = await razorpay_lists.paid_by(wire, order.ref) if order.replayed else None
        if payment_id is None:
            paying = Request.post(RECURRING, json=recurring_fields(charge, order.ref.id))
            # Without a key, the request is not repeated automatically after a lost response.
            sending_coroutine = wire.send(paying, parse=read_payment_id)
            try:
                payment_id = await with_payment_reference(wire, charge.amount, sending_coroutine)
            except (InvalidRequest, ConnectionFailed, OutcomeUnknown, VendorFailed):
                # The request may have paid the order although its response was lost.
                payment_id = await razorpay_lists.paid_by(wire, order.ref)
                if payment_id is None:
                    raise
        request = Request.get(
            url_of(razorpay_lists.PAYMENTS, payment_id), query=razorpay_lists.CARD
        )
        parse = partial(read_payment, wire)
        payment: Payment = await wire.send(request, key=part_key(key, "payment"), parse=parse)
        if payment.state is PaymentState.FAILED:
            raise declined_error(payment)
        return payment

    async def complete(
        self,
        wire: Wire,
        ref: Ref,
        returned: Mapping[str, str],  # noqa: ARG002 - the order itself says more
        /,
        *,
        key: str,  # noqa: ARG002 - nothing moves
    ) -> Payment:
        """Get the payment after the buyer has completed Razorpay's Checkout.

        Raises:
            PaymentDeclined: the buyer's last attempt has failed.
        """
        payment = await self.get(wire, ref)
        if payment.state is PaymentState.FAILED:
            raise declined_error(payment)
        return payment

    async def capture(
        self,
        wire: Wire,
        ref: Ref,
        amount: Money | None,
        /,
        *,
        final: bool,  # noqa: ARG002 - there is no other
        key: str,
    ) -> Capture:
        """Capture an authorised payment; Razorpay always captures the whole amount."""
        earlier_payment = await razorpay_lists.payment_before(wire, ref, key)
        whole_amount = amount or stated_amount(ref) or earlier_payment.amount
        fields = {} if whole_amount is None else amount_fields(whole_amount)
        request = Request.post(url_of(razorpay_lists.PAYMENTS, ref.id, "capture"), json=fields)
        try:
            payment = await wire.send(request, key=key, parse=partial(read_payment, wire))
        except VendorRejected:
            # The response to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            if earlier_payment.vendor_state != AUTHORIZED or payment.vendor_state != CAPTURED:
                raise
        return capture_of(payment)

    async def refund(
        self,
        wire: Wire,
        ref: Ref,
        amount: Money | None,
        /,
        *,
        reason: RefundReason | None,
        key: str,
    ) -> Refund:
        """Refund a payment; without an amount, refund all that is not refunded yet."""
        refunded_amount = amount or refundable_rest(
            await razorpay_lists.payment_before(wire, ref, key)
        )
        fields: dict[str, Any] = {"amount": UNITS.to_minor(refunded_amount)}
        if reason is not None:
            fields["notes"] = {"reason": reason.value}
        path, headers = (
            url_of(razorpay_lists.PAYMENTS, ref.id, "refund"),
            {_REFUND_KEY: key_name(wire, key)},
        )
        request = Request.post(path, json=fields, headers=headers)
        keyed = attrs.evolve(request, idempotent=True)
        refund: Refund = await wire.send(keyed, key=key, parse=partial(read_refund, wire))
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: Wire, ref: Ref, /) -> Payment:
        """Get a payment; for an order, the order's payment."""
        if not ref.id.startswith(_ORDER_ID):
            request = Request.get(
                url_of(razorpay_lists.PAYMENTS, ref.id), query=razorpay_lists.CARD
            )
            return read_payment(wire, await wire.send(request))
        payments = await razorpay_lists.attempts_at(wire, ref)
        if payments:
            return next(
                (payment for payment in payments if payment.state is not PaymentState.FAILED),
                payments[0],
            )
        return read_order(wire, await wire.send(Request.get(url_of(razorpay_lists.ORDERS, ref.id))))

    async def get_refund(self, wire: Wire, ref: Ref, /) -> Refund:
        """Get a refund."""
        return read_refund(wire, await wire.send(Request.get(url_of(_REFUNDS, ref.id))))

    async def payments(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payment]:
        """List payments, newest first."""
        filters = razorpay_lists.period_fields(query) | razorpay_lists.CARD
        return await razorpay_lists.get_page(
            wire, razorpay_lists.PAYMENTS, query, after, payment_of, **filters
        )

    async def payouts(self, wire: Wire, query: PaymentQuery, after: Ref | None, /) -> Page[Payout]:
        """List settlements, newest first."""
        read_one = partial(settlement_of, currency=self.settlement_currency)
        period = razorpay_lists.period_fields(query)
        return await razorpay_lists.get_page(
            wire, "/v1/settlements", query, after, read_one, **period
        )

    async def disputes(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Dispute]:
        """List disputes."""
        return await razorpay_lists.get_page(wire, "/v1/disputes", query, after, dispute_of)

    create_subscription = staticmethod(razorpay_subscriptions.create_subscription)
    get_subscription = staticmethod(razorpay_subscriptions.get_subscription)
    change_subscription = staticmethod(razorpay_subscriptions.change_subscription)

    async def cancel_subscription(
        self,
        wire: Wire,
        ref: Ref,
        /,
        *,
        at_period_end: bool,  # noqa: ARG002 - it is not seen afterwards
        key: str,
    ) -> Subscription:
        """Cancel a subscription at once; a repeat has no further effect."""
        return await razorpay_subscriptions.cancel_subscription(wire, ref, key)

    async def list_subscriptions(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Subscription]:
        """List subscriptions without amounts, newest first."""
        return await razorpay_lists.get_page(
            wire,
            razorpay_subscriptions.SUBSCRIPTIONS,
            query,
            after,
            razorpay_subscriptions.subscription_of,
            **razorpay_lists.period_fields(query),
        )

    async def stored_means(
        self,
        wire: Wire,
        customer: str,
        after: Ref | None,  # noqa: ARG002 - all are listed at once
        /,
    ) -> Page[StoredMeans]:
        """List a customer's tokens for later payments."""
        return await razorpay_lists.list_tokens(wire, customer)

    remove_means = staticmethod(razorpay_lists.remove_token)

    async def create_link(self, wire: Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
        """Create a payment link with a name that Razorpay accepts only once."""
        return await razorpay_links.create_link(wire, link, link.return_url or self.return_url, key)

    get_link = staticmethod(razorpay_links.get_link)
    close_link = staticmethod(razorpay_links.close_link)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Convert a webhook to events of payments, refunds, disputes, links and settlements."""
        return read_events(event, ref, self.settlement_currency)
