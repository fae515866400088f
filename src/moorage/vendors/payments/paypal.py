"""PayPal: payments by APIs of version 2, disputes, reports, payouts and subscriptions.

A payment is an order; its authorisations, captures and refunds have separate ids. A buyer approves
an order at PayPal, and `complete` then authorises or captures it; an order with a stored means of
payment is executed immediately. PayPal remembers its response to an idempotency key for six hours.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Charge,
    Money,
    Page,
    Payment,
    PaymentQuery,
    PaymentsCapability,
    Payout,
    Refund,
    RefundReason,
    Subscription,
    SubscriptionRequest,
    Void,
)
from moorage.vendors.payments import _paypal_disputes as paypal_disputes
from moorage.vendors.payments import _paypal_moves as paypal_moves
from moorage.vendors.payments import _paypal_payees as paypal_payees
from moorage.vendors.payments import _paypal_references as paypal_references
from moorage.vendors.payments import _paypal_subscriptions as paypal_subscriptions
from moorage.vendors.payments._common import return_url_option, url_of, with_payment_reference
from moorage.vendors.payments._paypal_answers import (
    is_ready,
    read_payment,
    refunded_order,
    unconfirmed,
)
from moorage.vendors.payments._paypal_events import classify, declined_error, read_events
from moorage.vendors.payments._paypal_reports import payment_in, payout_in, reported
from moorage.vendors.payments._paypal_requests import (
    AUTHORIZE,
    CAPTURE,
    KEY,
    LONGEST,
    ORDERS,
    PAYMENTS,
    order_body,
    posted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_LIVE: Final = "https://api-m.paypal.com"
_KEYS: Final = sdk.VendorKeys(
    # PayPal remembers orders for six hours and payments for 45 days: the smaller number counts.
    memory=6 * 3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=(
        "https://developer.paypal.com/docs/api/orders/v2/",
        "https://developer.paypal.com/docs/api/payments/v2/",
    ),
    header="PayPal-Request-Id",
)


@attrs.frozen(kw_only=True)
class PayPal(sdk.OAuthVendor):
    """A PayPal business account with an app.

    Attributes:
        client_id: client id of the app.
        client_secret: client secret of the app; without both, the credential provider supplies a
            token.
        sandbox: True for PayPal's sandbox.
        webhook_id: PayPal's id of the webhook, which its signatures contain.
        return_url: URL that buyers return to, unless a charge has its own.
        base_url: URL of another system.
    """

    name = "paypal"
    kinds = ("payments",)
    api_version = "v2"
    capabilities = sdk.members_of(
        PaymentsCapability,
        "intent complete authorize void partial_capture multiple_captures look_up look_up_refund"
        " list disputes look_up_dispute accept_dispute dispute_evidence payouts off_session"
        " store_method statement_descriptor billing_address shipping_address line_items three_ds"
        " payees subscriptions subscription_consent subscription_quantity",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "idempotency_key": KEY,
        "page": paypal_disputes.PAGE,
        **LONGEST,
    }
    modes = sdk.url_modes(live=_LIVE, test="https://api-m.sandbox.paypal.com", option="_api_url")
    webhook = "paypal"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(
            sdk.UnknownOutcome.ASKED_AGAIN,
            "authorize charge capture refund create_intent complete pay_payee create_subscription",
        ),
        **sdk.words(sdk.UnknownOutcome.REPEATED, "void"),
    }
    # "A maximum of three hours": developer.paypal.com/docs/api/transaction-search/v1/
    listed_within = 3 * 3_600.0

    urls: ClassVar[Mapping[str, str]] = {"": "_api_url"}
    oauth_path = "/v1/oauth2/token"
    refusals = staticmethod(classify)
    event_reading = staticmethod(read_events)

    sandbox: bool = False
    webhook_id: str | None = None
    return_url: str | None = return_url_option()
    base_url: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse incomplete credentials, and the live URL together with the sandbox."""
        super().__attrs_post_init__()
        if self.sandbox and self._api_url.startswith(_LIVE):
            raise sdk.ConfigurationError(
                "The option `sandbox` is set, but `base_url` is the URL of the live system.",
                path="base_url",
                remedy="Remove `base_url` for the sandbox, or `sandbox` for the live system.",
            )

    @property
    def _api_url(self) -> str:
        default_url = "https://api-m.sandbox.paypal.com" if self.sandbox else _LIVE
        return self.base_url or default_url

    def webhook_verification(self) -> Mapping[str, Any]:
        """The signature scheme of the sandbox or live system, and the webhook's id."""
        parameters = {} if self.webhook_id is None else {"webhook_id": self.webhook_id}
        return {"scheme": "paypal-sandbox" if self.sandbox else "paypal", "parameters": parameters}

    # --- payments ------------------------------------------------------------

    async def create_intent(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create an order that the buyer pays in PayPal's form, to be captured by `complete`."""
        return await self._pay(wire, attrs.evolve(charge, source=None), CAPTURE, key)

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create an order that is authorised after the buyer's approval."""
        return await self._pay(wire, charge, AUTHORIZE, key)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create an order that is captured after the buyer's approval."""
        return await self._pay(wire, charge, CAPTURE, key)

    async def complete(
        self, wire: sdk.Wire, ref: sdk.Ref, returned: Mapping[str, str], /, *, key: str
    ) -> Payment:
        """Get the order; if the buyer has approved it, authorise or capture it."""
        if returned.get("token", ref.id) != ref.id:
            raise sdk.InvalidData(
                "The buyer's return URL belongs to a different payment.",
                field="returned",
                remedy="Complete the payment that the URL parameter `token` names.",
            )
        payment = await paypal_references.get_payment(wire, ref)
        is_approved = is_ready(payment)
        decline = unconfirmed(payment) if is_approved else payment.decline
        if decline is not None:
            raise declined_error(decline, str(payment.ref))
        if not is_approved:
            return payment
        verb = "authorize" if payment.raw.get("intent") == AUTHORIZE else "capture"
        request = posted(url_of(ORDERS, payment.ref.id, verb))
        return await _try_payment(wire, request, payment.amount, key, known_order=payment.ref.id)

    capture = staticmethod(paypal_moves.capture_payment)

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:  # noqa: ARG002 - PayPal takes none
        """Void an authorised amount; a repeat has no further effect."""
        return await paypal_moves.void_payment(wire, ref)

    async def refund(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: Money | None,
        /,
        *,
        reason: RefundReason | None,  # noqa: ARG002 - PayPal keeps none
        key: str,
    ) -> Refund:
        """Refund a capture; the refund stores the order's id for webhooks."""
        return await paypal_moves.refund_payment(wire, ref, amount, key)

    # --- looking up ----------------------------------------------------------

    get = staticmethod(paypal_references.get_payment)

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        response = await wire.send(sdk.Request.get(url_of(PAYMENTS, "refunds", ref.id)))
        order = ref.other("order") or refunded_order(sdk.read_answer(response))
        return paypal_moves.read_refund(wire, None if order is None else wire.ref(order), response)

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List the captures in the transaction report."""
        return await reported(wire, query, after, payment_in)

    async def payouts(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payout]:
        """List the withdrawals to your bank account in the transaction report."""
        return await reported(wire, query, after, payout_in)

    disputes = staticmethod(paypal_disputes.list_disputes)
    get_dispute = staticmethod(paypal_disputes.get_dispute)
    accept_dispute = staticmethod(paypal_disputes.accept_dispute)
    submit_evidence = staticmethod(paypal_disputes.submit_evidence)
    pay_payee = staticmethod(paypal_payees.pay_payee)
    get_payee_payout = staticmethod(paypal_payees.get_payee_payout)

    # --- subscriptions -------------------------------------------------------

    async def create_subscription(
        self, wire: sdk.Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription:
        """Create a subscription for the buyer to approve at PayPal."""
        url = request.return_url or self.return_url
        return await paypal_subscriptions.create_subscription(wire, request, key, url)

    get_subscription = staticmethod(paypal_subscriptions.get_subscription)

    async def change_subscription(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        /,
        *,
        amount: Money | None,
        quantity: int | None,
        key: str,
    ) -> Subscription:
        """Request a change of a subscription, for the buyer to approve at PayPal."""
        return await paypal_subscriptions.change_subscription(
            wire, ref, amount, quantity, self.return_url, key=key
        )

    async def cancel_subscription(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        /,
        *,
        at_period_end: bool,  # noqa: ARG002 - PayPal cancels at once
        key: str,
    ) -> Subscription:
        """Cancel a subscription at once; a repeat has no further effect."""
        return await paypal_subscriptions.cancel_subscription(wire, ref, key)

    list_subscriptions = staticmethod(paypal_subscriptions.list_subscriptions)

    async def _pay(self, wire: sdk.Wire, charge: Charge, intent: str, key: str) -> Payment:
        body = order_body(charge, intent, charge.return_url or self.return_url)
        return await _try_payment(wire, posted(ORDERS, body), charge.amount, key)


async def _try_payment(
    wire: sdk.Wire,
    request: sdk.Request,
    amount: Money | None,
    key: str,
    *,
    known_order: str | None = None,
) -> Payment:
    """Send a payment request; if the payment is declined, the error contains its reference."""
    parse = partial(read_payment, wire)
    sending = wire.send(request, key=sdk.key_for_vendor(wire, key, KEY), parse=parse)
    return await with_payment_reference(wire, amount, sending, payment_id=known_order)
