"""Stripe: payments, refunds, disputes, payouts, payment methods, links and subscriptions.

Payments are payment intents, sent as forms with nested names, a secret key and a pinned version.
Stripe remembers its response to an idempotency key for at least a day. Refunds are read from the
intent's latest charge, which every response is requested to include.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Capture,
    Charge,
    Dispute,
    Money,
    MoveState,
    Page,
    PayeePayout,
    PayeeTransfer,
    Payment,
    PaymentQuery,
    PaymentsCapability,
    PaymentState,
    Payout,
    PayoutItem,
    Refund,
    RefundReason,
    StoredMeans,
    StoredState,
    StoreRequest,
    Subscription,
    Void,
)
from moorage.vendors.payments import _stripe_disputes as stripe_disputes
from moorage.vendors.payments import _stripe_links as stripe_links
from moorage.vendors.payments import _stripe_subscriptions as stripe_subscriptions
from moorage.vendors.payments._common import url_of, void_of
from moorage.vendors.payments._stripe_answers import (
    MINOR,
    dispute_of,
    payment_of,
    payout_item_of,
    payout_of,
    read_payment,
    read_refund,
)
from moorage.vendors.payments._stripe_events import classify, read_events
from moorage.vendors.payments._stripe_intents import INTENTS, confirmed_body, intent_body, pay
from moorage.vendors.payments._stripe_payees import read_transfer, transfer_body
from moorage.vendors.payments._stripe_requests import KEY, PAGE, page, page_query, send_once_per_key
from moorage.vendors.payments._stripe_stored import (
    read_setup,
    read_stored,
    setup_body,
    stored_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_UNEXPECTED_STATE: Final = "payment_intent_unexpected_state"
_CANCELED: Final = "canceled"
_DETACHED: Final = "not attached to a customer"
"""Stripe's error text for a payment method that is already detached."""
_REFUNDS: Final = "/v1/refunds"
_TRANSFERS: Final = "/v1/transfers"
API_VERSION: Final = "2025-09-30.clover"
_CAPTURES: Final = {
    "processing": MoveState.PENDING,
    "requires_capture": MoveState.SUCCEEDED,
    "succeeded": MoveState.SUCCEEDED,
}
_REFUND_REASONS: Final = {
    RefundReason.REQUESTED_BY_CUSTOMER: "requested_by_customer",
    RefundReason.DUPLICATE: "duplicate",
    RefundReason.FRAUD: "fraudulent",
}
_KEYS: Final = sdk.VendorKeys(
    # Keys may be removed once they are at least 24 hours old.
    memory=24 * 3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=("https://docs.stripe.com/api/idempotent_requests",),
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class Stripe(sdk.ApiVendor):
    """An account at Stripe.

    Attributes:
        credentials: secret key; by default the credential provider supplies it.
        connected: id of the connected account to act for, which begins with acct_.
        base_url: URL of Stripe.
    """

    name = "stripe"
    kinds = ("payments",)
    api_version = API_VERSION
    capabilities: ClassVar[frozenset[str]] = frozenset(PaymentsCapability) - sdk.members_of(
        PaymentsCapability, "link_expiry link_addresses subscription_consent"
    )
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": KEY, "page": PAGE}
    modes = sdk.key_modes(live=("sk_live_", "rk_live_"), test=("sk_test_", "rk_test_"))
    webhook = "stripe"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = sdk.words(
        sdk.UnknownOutcome.ASKED_AGAIN,
        "authorize charge capture void refund create_intent complete pay_payee create_subscription",
    )

    refusals = staticmethod(classify)
    ping_path = "/v1/payment_intents"
    event_reading = staticmethod(read_events)
    ping_query: ClassVar[Mapping[str, int]] = {"limit": 1}

    connected: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches(
                r"acct_\w+",
                problem="The value is not the id of a connected account at Stripe.",
                remedy="Set the id that Stripe shows for the account, which begins with acct_.",
            )
        ),
    )
    base_url: str = "https://api.stripe.com"

    def settings(self) -> Mapping[str, Any]:
        """The headers with the API version and the connected account."""
        connected = {} if self.connected is None else {"Stripe-Account": self.connected}
        return {"headers": {"Stripe-Version": API_VERSION, **connected}}

    async def create_intent(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create a payment intent that the browser confirms."""
        return await pay(wire, INTENTS, intent_body(charge), charge.amount, key)

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create and confirm a payment intent, to be captured later."""
        body = confirmed_body(charge, capture_method="manual")
        return await pay(wire, INTENTS, body, charge.amount, key)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create and confirm a payment intent that is captured immediately."""
        body = confirmed_body(charge, capture_method="automatic")
        return await pay(wire, INTENTS, body, charge.amount, key)

    async def complete(
        self, wire: sdk.Wire, ref: sdk.Ref, returned: Mapping[str, str], /, *, key: str
    ) -> Payment:
        """Get the payment intent; if it waits for confirmation, confirm it."""
        if returned.get("payment_intent", ref.id) != ref.id:
            raise sdk.InvalidData(
                "The buyer's return URL belongs to a different payment.",
                field="returned",
                remedy="Complete the payment that the URL parameter `payment_intent` names.",
            )
        payment = await self.get(wire, ref)
        if payment.vendor_state == "requires_confirmation":
            body: dict[str, Any] = {"expand": ["latest_charge"]}
            return await pay(wire, url_of(INTENTS, ref.id, "confirm"), body, payment.amount, key)
        if payment.decline is not None and payment.state is PaymentState.FAILED:
            raise sdk.PaymentDeclined(
                "Stripe reports that the payment was declined"
                f" ({payment.decline.vendor_code or payment.decline.reason}).",
                reason=payment.decline.reason,
                payment=str(payment.ref),
                vendor_code=payment.decline.vendor_code,
                vendor_message=payment.decline.vendor_message,
            )
        return payment

    async def capture(
        self, wire: sdk.Wire, ref: sdk.Ref, amount: Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Capture an authorised payment intent."""
        body = {
            "amount_to_capture": None if amount is None else MINOR.to_minor(amount),
            "final_capture": None if final else False,
            "expand": ["latest_charge"],
        }
        payment = await send_once_per_key(
            wire, url_of(INTENTS, ref.id, "capture"), body, key, read_payment
        )
        return Capture(
            ref=payment.ref,
            payment=payment.ref,
            state=_CAPTURES.get(payment.vendor_state or "", MoveState.UNKNOWN),
            vendor_state=payment.vendor_state,
            amount=amount or payment.captured,
            after=payment,
            raw=payment.raw,
        )

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Cancel a payment intent; a repeat has no further effect."""
        body = {"expand": ["latest_charge"]}
        try:
            payment = await send_once_per_key(
                wire, url_of(INTENTS, ref.id, "cancel"), body, key, read_payment
            )
        except sdk.VendorRejected as error:
            if error.vendor_code != _UNEXPECTED_STATE:
                raise
            payment = await self.get(wire, ref)
            if payment.vendor_state != _CANCELED:
                raise
        return void_of(payment, word=_CANCELED)

    async def refund(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: Money | None,
        /,
        *,
        reason: RefundReason | None,
        key: str,
    ) -> Refund:
        """Refund a payment intent."""
        body = {
            "payment_intent": ref.id,
            "amount": None if amount is None else MINOR.to_minor(amount),
            "reason": None if reason is None else _REFUND_REASONS.get(reason),
        }
        refund = await send_once_per_key(wire, _REFUNDS, body, key, read_refund)
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment intent."""
        query = {"expand[]": "latest_charge"}
        return read_payment(
            wire, await wire.send(sdk.Request.get(url_of(INTENTS, ref.id), query=query))
        )

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        return read_refund(wire, await wire.send(sdk.Request.get(url_of(_REFUNDS, ref.id))))

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List payment intents."""
        filters = {**page_query(query, after), "expand[]": "data.latest_charge"}
        return await page(wire, INTENTS, filters, payment_of)

    async def disputes(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Dispute]:
        """List disputes."""
        return await page(wire, stripe_disputes.DISPUTES, page_query(query, after), dispute_of)

    get_dispute = staticmethod(stripe_disputes.get_dispute)
    accept_dispute = staticmethod(stripe_disputes.accept_dispute)
    submit_evidence = staticmethod(stripe_disputes.submit_evidence)

    async def payouts(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payout]:
        """List payouts."""
        return await page(wire, "/v1/payouts", page_query(query, after), payout_of)

    async def payout_items(
        self, wire: sdk.Wire, ref: sdk.Ref, /, *, after: sdk.Ref | None
    ) -> Page[PayoutItem]:
        """List the balance transactions in a payout."""
        filters = {
            "payout": ref.id,
            "limit": PAGE,
            "starting_after": None if after is None else after.id,
            "expand[]": "data.source",
        }
        return await page(wire, "/v1/balance_transactions", filters, payout_item_of)

    async def pay_payee(
        self, wire: sdk.Wire, transfer: PayeeTransfer, /, *, key: str
    ) -> PayeePayout:
        """Transfer money to a connected account."""
        return await send_once_per_key(
            wire, _TRANSFERS, transfer_body(transfer), key, read_transfer
        )

    async def get_payee_payout(self, wire: sdk.Wire, ref: sdk.Ref, /) -> PayeePayout:
        """Get a transfer."""
        return read_transfer(wire, await wire.send(sdk.Request.get(url_of(_TRANSFERS, ref.id))))

    create_subscription = staticmethod(stripe_subscriptions.create_subscription)
    get_subscription = staticmethod(stripe_subscriptions.get_subscription)
    change_subscription = staticmethod(stripe_subscriptions.change_subscription)
    cancel_subscription = staticmethod(stripe_subscriptions.cancel_subscription)

    async def list_subscriptions(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Subscription]:
        """List subscriptions in all states."""
        filters = {**page_query(query, after), "status": "all"}
        return await page(
            wire, stripe_subscriptions.SUBSCRIPTIONS, filters, stripe_subscriptions.subscription_of
        )

    async def store_means(
        self, wire: sdk.Wire, request: StoreRequest, /, *, key: str
    ) -> StoredMeans:
        """Verify a payment method with a setup intent, and store it."""
        return await send_once_per_key(
            wire, "/v1/setup_intents", setup_body(request), key, read_setup
        )

    async def stored_means(
        self, wire: sdk.Wire, customer: str, after: sdk.Ref | None, /
    ) -> Page[StoredMeans]:
        """List a customer's payment methods."""
        filters = {
            "limit": PAGE,
            "starting_after": None if after is None else after.id,
        }
        path = url_of("/v1/customers", customer, "payment_methods")
        return await page(wire, path, filters, stored_of)

    async def remove_means(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
        """Detach a payment method from its customer; a repeat has no further effect."""
        path = url_of("/v1/payment_methods", ref.id, "detach")
        try:
            return await send_once_per_key(wire, path, {}, key, read_stored)
        except sdk.InvalidRequest as error:
            if _DETACHED not in (error.vendor_message or ""):
                raise
            return StoredMeans(ref=ref, state=StoredState.REMOVED)

    create_link = staticmethod(stripe_links.create_link)
    get_link = staticmethod(stripe_links.get_link)
    close_link = staticmethod(stripe_links.close_link)
