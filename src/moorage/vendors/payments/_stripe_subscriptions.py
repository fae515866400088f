"""Stripe's subscriptions: requests, responses and events.

A subscription has one price, which is created with the request; Stripe requires a product for it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    BillingInterval,
    IntervalUnit,
    Money,
    MoveState,
    PaymentEvent,
    Subscription,
    SubscriptionCharge,
    SubscriptionRequest,
    SubscriptionState,
)
from moorage.vendors.payments._common import executed_once, url_of, with_payment_reference
from moorage.vendors.payments._stripe_answers import MINOR, money
from moorage.vendors.payments._stripe_requests import KEY, post, send_once_per_key

SUBSCRIPTIONS: Final = "/v1/subscriptions"
_STATES: Final = {
    "incomplete": SubscriptionState.PENDING,
    "incomplete_expired": SubscriptionState.CANCELED,
    "trialing": SubscriptionState.TRIALING,
    "active": SubscriptionState.ACTIVE,
    "past_due": SubscriptionState.PAST_DUE,
    "unpaid": SubscriptionState.PAST_DUE,
    "canceled": SubscriptionState.CANCELED,
    "paused": SubscriptionState.PAUSED,
}
_CHARGED: Final = frozenset(
    {SubscriptionState.TRIALING, SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE}
)
_CHARGES: Final = {
    "invoice.paid": (MoveState.SUCCEEDED, "amount_paid"),
    "invoice.payment_failed": (MoveState.FAILED, "amount_due"),
}


async def create_subscription(
    wire: sdk.Wire, request: SubscriptionRequest, /, *, key: str
) -> Subscription:
    """Create a product, and its subscription unless the first charge is declined."""
    product_body = {"name": request.description or request.reference}
    product_key = sdk.key_for_vendor(wire, sdk.part_key(key, "product"), KEY)
    product_request = post("/v1/products", product_body)
    product = await wire.send(product_request, key=product_key, parse=_read_product)
    body = _subscription_body(request, product)
    sending = send_once_per_key(wire, SUBSCRIPTIONS, body, key, _read_subscription)
    return await with_payment_reference(wire, request.amount, sending)


async def get_subscription(wire: sdk.Wire, ref: sdk.Ref, /) -> Subscription:
    """Get a subscription."""
    return _read_subscription(wire, await wire.send(sdk.Request.get(url_of(SUBSCRIPTIONS, ref.id))))


async def change_subscription(
    wire: sdk.Wire, ref: sdk.Ref, /, *, amount: Money | None, quantity: int | None, key: str
) -> Subscription:
    """Change the only item of a subscription, from the next charge on."""
    response = await wire.send(sdk.Request.get(url_of(SUBSCRIPTIONS, ref.id)))
    item = _only_item(sdk.read_answer(response))
    if not item:
        raise sdk.InvalidData(
            "This subscription at Stripe has several prices, so moorage cannot decide which"
            " price the new amount or quantity is for.",
            field="ref",
            remedy="Change the subscription in Stripe's dashboard.",
        )
    fields: dict[str, Any] = {
        "id": sdk.required(item.text("id"), response, "items.data.0.id"),
        "quantity": quantity,
    }
    if amount is not None:
        fields["price_data"] = _price(amount, item, response)
    body = {"items": [fields], "proration_behavior": "none"}
    return await send_once_per_key(
        wire, url_of(SUBSCRIPTIONS, ref.id), body, key, _read_subscription
    )


async def cancel_subscription(
    wire: sdk.Wire, ref: sdk.Ref, /, *, at_period_end: bool, key: str
) -> Subscription:
    """Cancel a subscription; Stripe takes no key here, and refuses a second cancellation."""
    vendor_key = None
    request = sdk.Request.delete(url_of(SUBSCRIPTIONS, ref.id))
    if at_period_end:
        vendor_key = sdk.key_for_vendor(wire, key, KEY)
        request = post(url_of(SUBSCRIPTIONS, ref.id), {"cancel_at_period_end": True})
    return await executed_once(
        wire.send(request, key=vendor_key, parse=partial(_read_subscription, wire)),
        partial(get_subscription, wire, ref),
        SubscriptionState.CANCELED,
    )


# --- requests --------------------------------------------------------------


def _subscription_body(request: SubscriptionRequest, product: str) -> dict[str, Any]:
    """The body that creates a subscription; the caller's extra options override its fields."""
    interval = {"interval": request.interval.unit, "interval_count": request.interval.count}
    price = {
        "currency": request.amount.currency.lower(),
        "product": product,
        "recurring": interval,
        "unit_amount": MINOR.to_minor(request.amount),
    }
    starts_at = request.starts_at
    body = {
        "customer": request.customer_id,
        "default_payment_method": request.source,
        "description": request.description,
        "items": [{"price_data": price, "quantity": request.quantity}],
        "metadata": {"reference": request.reference},
        "off_session": True,
        "payment_behavior": "error_if_incomplete",
        "trial_end": None if starts_at is None else int(starts_at.timestamp()),
    }
    return sdk.merged(body, sdk.extra_for("stripe", request.extra))


def _price(amount: Money, item: sdk.Answer, response: sdk.Response) -> dict[str, Any]:
    """The fields of a new price for a subscription item, with the item's product and interval."""
    price = item.object("price")
    unit = sdk.required(price.text("recurring.interval"), response, "recurring.interval")
    return {
        "currency": amount.currency.lower(),
        "product": sdk.required(price.text("product"), response, "price.product"),
        "recurring": {
            "interval": unit,
            "interval_count": price.integer("recurring.interval_count"),
        },
        "unit_amount": MINOR.to_minor(amount),
    }


# --- answers ---------------------------------------------------------------


def _read_product(response: sdk.Response) -> str:
    return sdk.required(sdk.read_answer(response).text("id"), response, "id")


def _only_item(body: sdk.Answer) -> sdk.Answer:
    """The item of a subscription; empty if there is not exactly one."""
    items = list(body.objects("items.data"))
    return items[0] if len(items) == 1 else sdk.Answer({})


def subscription_of(ref: sdk.MakeRef, body: sdk.Answer) -> Subscription | None:
    """Parse a subscription; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    item = _only_item(body)
    price = item.object("price")
    amount = money(price, "unit_amount")
    state = _STATES.get(status, SubscriptionState.UNKNOWN)
    ends_at = body.time("ended_at") or body.time("cancel_at")
    next_charge_at = item.time("current_period_end") or body.time("current_period_end")
    is_over = ends_at is not None and next_charge_at is not None and ends_at <= next_charge_at
    return Subscription(
        ref=ref(key, currency=None if amount is None else amount.currency),
        state=state,
        vendor_state=status,
        amount=amount,
        quantity=item.integer("quantity"),
        interval=_interval_of(price),
        customer=body.text("customer"),
        source=body.text("default_payment_method"),
        reference=body.text("metadata.reference"),
        starts_at=body.time("trial_end") or body.time("start_date"),
        next_charge_at=next_charge_at if state in _CHARGED and not is_over else None,
        ends_at=ends_at,
        created_at=body.time("created"),
        raw=body.raw,
    )


def _interval_of(price: sdk.Answer) -> BillingInterval | None:
    unit, count = price.text("recurring.interval"), price.integer("recurring.interval_count")
    if unit not in set(IntervalUnit) or count is None or count < 1:
        return None
    return BillingInterval(unit, count)


def _read_subscription(wire: sdk.Wire, response: sdk.Response) -> Subscription:
    """Parse the subscription in a response."""
    return sdk.required(
        subscription_of(wire.ref, sdk.read_answer(response)), response, "id or status"
    )


# --- events ----------------------------------------------------------------


def subscription_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    """The event with a subscription's current state; None if it is malformed."""
    subscription = subscription_of(ref, body)
    if subscription is None:
        return None
    return PaymentEvent(
        id=None,
        ref=subscription.ref,
        vendor_state=subscription.vendor_state,
        reference=subscription.reference,
        subscription=subscription,
    )


def invoice_event(ref: sdk.MakeRef, body: sdk.Answer, kind: str) -> PaymentEvent | None:
    """The event of a subscription's charge; None for other invoices and for zero amounts.

    Webhooks of older API versions have the subscription in another field.
    """
    if kind not in _CHARGES:
        return None
    state, name = _CHARGES[kind]
    details = body.object("parent.subscription_details") or body.object("subscription_details")
    key, id_ = details.text("subscription") or body.text("subscription"), body.text("id")
    amount = money(body, name)
    if key is None or id_ is None or amount is None or amount.minor == 0:
        return None
    subscription = ref(key, currency=amount.currency)
    payment = body.text("payment_intent")
    charge = SubscriptionCharge(
        id=id_,
        subscription=subscription,
        state=state,
        amount=amount,
        payment=None if payment is None else ref(payment),
        next_attempt_at=body.time("next_payment_attempt"),
    )
    return PaymentEvent(
        id=None,
        ref=subscription,
        vendor_state=body.text("status"),
        reference=details.text("metadata.reference"),
        subscription_charge=charge,
    )
