"""Stripe: payments, refunds, disputes, payouts, stored means, links and subscriptions.

Payments are payment intents, sent as forms with nested names, a secret key and a pinned version.
Stripe remembers its answer to an idempotency key for at least a day. Refunds are read from the
intent's latest charge, which every answer is requested to include.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from urllib.parse import quote

import attrs

from moorage.contracts.payments import (
    Capture,
    Charge,
    Dispute,
    MoveState,
    Page,
    Payment,
    PaymentEvent,
    PaymentLink,
    PaymentsCapability,
    PaymentState,
    Payout,
    PayoutItem,
    Refund,
    RefundReason,
    StoredMeans,
    Subscription,
    ThreeDs,
    Void,
)
from moorage.vendor_sdk import (
    ApiVendor,
    InvalidData,
    PaymentDeclined,
    RepeatedKey,
    Request,
    UnknownOutcome,
    VendorKeys,
    VendorRejected,
    extra_for,
    key_at,
    matches,
    merged,
    mode_of_key,
)
from moorage.vendors.payments._common import named, void_of
from moorage.vendors.payments._stripe_answers import (
    MINOR,
    dispute_of,
    payment_of,
    payout_item_of,
    payout_of,
    read_dispute,
    read_payment,
    read_refund,
)
from moorage.vendors.payments._stripe_events import classify, read_events
from moorage.vendors.payments._stripe_order import billing_fields, check_billing, order_fields
from moorage.vendors.payments._stripe_payees import read_transfer, transfer_body
from moorage.vendors.payments._stripe_requests import KEY, PAGE, done, page, page_query, post
from moorage.vendors.payments._stripe_stored import (
    link_body,
    read_link,
    read_setup,
    read_stored,
    setup_body,
    stored_of,
)
from moorage.vendors.payments._stripe_subscriptions import (
    SUBSCRIPTIONS,
    cancel_subscription,
    change_subscription,
    create_subscription,
    get_subscription,
    subscription_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import (
        DisputeEvidence,
        LinkRequest,
        Money,
        PayeePayout,
        PayeeTransfer,
        PaymentQuery,
        StoreRequest,
        SubscriptionRequest,
    )
    from moorage.vendor_sdk import MakeRef, Mode, Ref, WebhookEvent, Wire

R = TypeVar("R")

_ANOTHER_STATE: Final = "payment_intent_unexpected_state"
_CANCELED: Final = "canceled"
_LINKS: Final = "/v1/payment_links"
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
_KEYS: Final = VendorKeys(
    # Keys may be removed once they are at least 24 hours old.
    memory=24 * 3_600.0,
    repeat=RepeatedKey.REPLAYED,
    documentation=("https://docs.stripe.com/api/idempotent_requests",),
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class Stripe(ApiVendor):
    """An account at Stripe.

    Attributes:
        credentials: secret key; by default the credential provider supplies it.
        connected: id of the connected account to act for, which begins with acct_.
        base_url: URL of Stripe.
    """

    name = "stripe"
    kinds = ("payments",)
    api_version = API_VERSION
    capabilities: ClassVar[frozenset[str]] = frozenset(PaymentsCapability) - {
        PaymentsCapability.LINK_EXPIRY,
        PaymentsCapability.LINK_ADDRESSES,
    }
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": KEY, "page": PAGE}
    webhook = "stripe"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = {
        "authorize": UnknownOutcome.ASKED_AGAIN,
        "charge": UnknownOutcome.ASKED_AGAIN,
        "capture": UnknownOutcome.ASKED_AGAIN,
        "void": UnknownOutcome.ASKED_AGAIN,
        "refund": UnknownOutcome.ASKED_AGAIN,
        "create_intent": UnknownOutcome.ASKED_AGAIN,
        "complete": UnknownOutcome.ASKED_AGAIN,
        "pay_payee": UnknownOutcome.ASKED_AGAIN,
        "create_subscription": UnknownOutcome.ASKED_AGAIN,
    }

    refusals = staticmethod(classify)
    ping_path = "/v1/payment_intents"
    ping_query: ClassVar[Mapping[str, int]] = {"limit": 1}

    connected: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            matches(
                r"acct_\w+",
                problem="This is not the id of a connected account.",
                remedy="Give the id that Stripe shows for the account, which begins with acct_.",
            )
        ),
    )
    base_url: str = "https://api.stripe.com"

    def mode(self) -> Mode | None:
        """Live or test mode, by the options; None if unknown."""
        return mode_of_key(
            self.credentials, live=("sk_live_", "rk_live_"), test=("sk_test_", "rk_test_")
        )

    def settings(self) -> Mapping[str, Any]:
        """The headers of the version, and of the connected account."""
        connected = {} if self.connected is None else {"Stripe-Account": self.connected}
        return {"headers": {"Stripe-Version": API_VERSION, **connected}}

    async def create_intent(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create an intent that the browser confirms."""
        return await _pay(wire, _intents(), intent_body(charge), charge.amount, key)

    async def authorize(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create and confirm an intent that is captured later."""
        body = confirmed_body(charge, capture_method="manual")
        return await _pay(wire, _intents(), body, charge.amount, key)

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create and confirm an intent that is captured at once."""
        body = confirmed_body(charge, capture_method="automatic")
        return await _pay(wire, _intents(), body, charge.amount, key)

    async def complete(
        self, wire: Wire, ref: Ref, returned: Mapping[str, str], /, *, key: str
    ) -> Payment:
        """Get the intent, and confirm it if it waits for that."""
        if returned.get("payment_intent", ref.id) != ref.id:
            raise InvalidData(
                "The buyer returned from another payment.",
                field="returned",
                remedy="Complete the payment that the parameter payment_intent names.",
            )
        payment = await self.get(wire, ref)
        if payment.vendor_state == "requires_confirmation":
            body: dict[str, Any] = {"expand": ["latest_charge"]}
            return await _pay(wire, _intents(ref.id, "confirm"), body, payment.amount, key)
        if payment.decline is not None and payment.state is PaymentState.FAILED:
            raise PaymentDeclined(
                "Stripe reports that the payment was declined"
                f" ({payment.decline.vendor_code or payment.decline.reason}).",
                reason=payment.decline.reason,
                payment=str(payment.ref),
                vendor_code=payment.decline.vendor_code,
                vendor_message=payment.decline.vendor_message,
            )
        return payment

    async def capture(
        self, wire: Wire, ref: Ref, amount: Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Capture an authorised intent."""
        body = {
            "amount_to_capture": None if amount is None else MINOR.to_minor(amount),
            "final_capture": None if final else False,
            "expand": ["latest_charge"],
        }
        payment = await wire.send(
            post(_intents(ref.id, "capture"), body),
            key=key_at(wire, key, KEY),
            parse=partial(read_payment, wire),
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

    async def void(self, wire: Wire, ref: Ref, /, *, key: str) -> Void:
        """Cancel an intent; a repeat has no further effect."""
        request = post(_intents(ref.id, "cancel"), {"expand": ["latest_charge"]})
        try:
            payment = await wire.send(
                request, key=key_at(wire, key, KEY), parse=partial(read_payment, wire)
            )
        except VendorRejected as error:
            if error.vendor_code != _ANOTHER_STATE:
                raise
            payment = await self.get(wire, ref)
            if payment.vendor_state != _CANCELED:
                raise
        return void_of(payment, word=_CANCELED)

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
        """Refund an intent."""
        body = {
            "payment_intent": ref.id,
            "amount": None if amount is None else MINOR.to_minor(amount),
            "reason": None if reason is None else _REFUND_REASONS.get(reason),
        }
        refund = await wire.send(
            post("/v1/refunds", body),
            key=key_at(wire, key, KEY),
            parse=partial(read_refund, wire),
        )
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: Wire, ref: Ref, /) -> Payment:
        """Get an intent."""
        query = {"expand[]": "latest_charge"}
        return read_payment(wire, await wire.send(Request.get(_intents(ref.id), query=query)))

    async def get_refund(self, wire: Wire, ref: Ref, /) -> Refund:
        """Get a refund."""
        path = f"/v1/refunds/{quote(ref.id, safe='')}"
        return read_refund(wire, await wire.send(Request.get(path)))

    async def payments(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payment]:
        """List intents."""
        filters = {**page_query(query, after), "expand[]": "data.latest_charge"}
        return await page(wire, _intents(), filters, payment_of)

    async def disputes(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Dispute]:
        """List disputes."""
        return await page(wire, "/v1/disputes", page_query(query, after), dispute_of)

    async def get_dispute(self, wire: Wire, ref: Ref, /) -> Dispute:
        """Get a dispute."""
        return read_dispute(wire, await wire.send(Request.get(_dispute_path(ref))))

    async def accept_dispute(self, wire: Wire, ref: Ref, /, *, key: str) -> Dispute:
        """Close a dispute, which loses it."""
        return await done(wire, f"{_dispute_path(ref)}/close", {}, key, read_dispute)

    async def submit_evidence(
        self, wire: Wire, ref: Ref, evidence: DisputeEvidence, /, *, key: str
    ) -> Dispute:
        """Submit evidence to the bank."""
        return await done(wire, _dispute_path(ref), evidence_body(evidence), key, read_dispute)

    async def payouts(self, wire: Wire, query: PaymentQuery, after: Ref | None, /) -> Page[Payout]:
        """List payouts."""
        return await page(wire, "/v1/payouts", page_query(query, after), payout_of)

    async def payout_items(self, wire: Wire, ref: Ref, /, *, after: Ref | None) -> Page[PayoutItem]:
        """List the balance transactions that a payout contains."""
        filters = {
            "payout": ref.id,
            "limit": PAGE,
            "starting_after": None if after is None else after.id,
            "expand[]": "data.source",
        }
        return await page(wire, "/v1/balance_transactions", filters, payout_item_of)

    async def pay_payee(self, wire: Wire, transfer: PayeeTransfer, /, *, key: str) -> PayeePayout:
        """Transfer money to a connected account."""
        return await done(wire, _TRANSFERS, transfer_body(transfer), key, read_transfer)

    async def get_payee_payout(self, wire: Wire, ref: Ref, /) -> PayeePayout:
        """Get a transfer."""
        path = f"{_TRANSFERS}/{quote(ref.id, safe='')}"
        return read_transfer(wire, await wire.send(Request.get(path)))

    async def create_subscription(
        self, wire: Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription:
        """Create a product and a subscription to it."""
        return await create_subscription(wire, request, key)

    async def get_subscription(self, wire: Wire, ref: Ref, /) -> Subscription:
        """Get a subscription."""
        return await get_subscription(wire, ref)

    async def change_subscription(
        self, wire: Wire, ref: Ref, /, *, amount: Money | None, quantity: int | None, key: str
    ) -> Subscription:
        """Change the price or the quantity of a subscription from its next charge on."""
        return await change_subscription(wire, ref, amount, quantity, key)

    async def cancel_subscription(
        self, wire: Wire, ref: Ref, /, *, at_period_end: bool, key: str
    ) -> Subscription:
        """Cancel a subscription at once, or at the end of its period."""
        return await cancel_subscription(wire, ref, at_period_end=at_period_end, key=key)

    async def list_subscriptions(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Subscription]:
        """List subscriptions in all states."""
        filters = {**page_query(query, after), "status": "all"}
        return await page(wire, SUBSCRIPTIONS, filters, subscription_of)

    async def store_means(self, wire: Wire, request: StoreRequest, /, *, key: str) -> StoredMeans:
        """Verify a means of payment by a setup intent, and store it."""
        return await done(wire, "/v1/setup_intents", setup_body(request), key, read_setup)

    async def stored_means(
        self, wire: Wire, customer: str, after: Ref | None, /
    ) -> Page[StoredMeans]:
        """List the payment methods of a customer."""
        filters = {
            "limit": PAGE,
            "starting_after": None if after is None else after.id,
        }
        path = f"/v1/customers/{quote(customer, safe='')}/payment_methods"
        return await page(wire, path, filters, stored_of)

    async def remove_means(self, wire: Wire, ref: Ref, /, *, key: str) -> StoredMeans:
        """Detach a payment method from its customer."""
        path = f"/v1/payment_methods/{quote(ref.id, safe='')}/detach"
        return await done(wire, path, {}, key, read_stored)

    async def create_link(self, wire: Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
        """Create a payment link that takes one payment."""
        return await done(wire, _LINKS, link_body(link), key, read_link)

    async def get_link(self, wire: Wire, ref: Ref, /) -> PaymentLink:
        """Get a payment link."""
        request = Request.get(_link_path(ref), query={"expand[]": "line_items"})
        return read_link(wire, await wire.send(request))

    async def close_link(self, wire: Wire, ref: Ref, /, *, key: str) -> PaymentLink:
        """Deactivate a payment link."""
        body = {"active": False, "expand": ["line_items"]}
        return await done(wire, _link_path(ref), body, key, read_link)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Convert a webhook to events of payments, disputes, payouts and subscriptions."""
        return read_events(event, ref)


# --- requests --------------------------------------------------------------


def intent_body(charge: Charge, **fields: Any) -> dict[str, Any]:
    """The body that creates an intent; the vendor's own options come last."""
    check_billing(charge)
    customer = charge.customer
    body: dict[str, Any] = {
        "amount": MINOR.to_minor(charge.amount),
        "currency": charge.amount.currency.lower(),
        "automatic_payment_methods": {"enabled": True},
        "customer": None if customer is None else customer.id,
        "description": charge.description,
        "statement_descriptor_suffix": charge.statement_descriptor,
        # The reference by which the payment and its events are found.
        "metadata": {**charge.metadata, "reference": charge.reference},
        "setup_future_usage": "off_session" if charge.store_method else None,
        "expand": ["latest_charge"],
        **order_fields(charge),
        **_source(charge),
    }
    if charge.three_ds is ThreeDs.ALWAYS:
        body["payment_method_options"] = {"card": {"request_three_d_secure": "any"}}
    return merged(merged(body, fields), extra_for("stripe", charge.extra))


def confirmed_body(charge: Charge, *, capture_method: str) -> dict[str, Any]:
    """The body that creates and confirms an intent."""
    fields: dict[str, Any] = {"confirm": True, "capture_method": capture_method}
    if charge.return_url is None:
        # Otherwise Stripe requires a URL that the buyer returns to.
        fields["automatic_payment_methods"] = {"allow_redirects": "never"}
    else:
        fields["return_url"] = charge.return_url
    if charge.off_session:
        fields["off_session"] = True
    return intent_body(charge, **fields)


def _source(charge: Charge) -> dict[str, Any]:
    source = charge.source
    if source is None:
        return {}
    if source.startswith("ctoken_"):
        return {"confirmation_token": source}
    if not source.startswith("tok_"):
        return {"payment_method": source}
    data: dict[str, Any] = {"type": "card", "card": {"token": source}}
    data |= billing_fields(charge)
    return {"payment_method_data": data}


def _intents(*parts: str) -> str:
    return "/".join(["/v1/payment_intents", *(quote(part, safe="") for part in parts)])


def evidence_body(evidence: DisputeEvidence) -> dict[str, Any]:
    """The body that submits evidence."""
    fields = {
        "uncategorized_text": evidence.explanation,
        "product_description": evidence.product,
        "shipping_carrier": evidence.carrier,
        "shipping_tracking_number": evidence.tracking_number,
    }
    return {"evidence": fields, "submit": True}


def _dispute_path(ref: Ref) -> str:
    return f"/v1/disputes/{quote(ref.id, safe='')}"


def _link_path(ref: Ref) -> str:
    return f"{_LINKS}/{quote(ref.id, safe='')}"


async def _pay(
    wire: Wire, path: str, body: Mapping[str, Any], amount: Money | None, key: str
) -> Payment:
    parse = partial(read_payment, wire)
    sending_coroutine = wire.send(post(path, body), key=key_at(wire, key, KEY), parse=parse)
    return await named(wire, amount, sending_coroutine)
