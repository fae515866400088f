"""PayPal's subscriptions: requests, responses and events.

Each subscription has a plan of its own, and each plan a product. The buyer approves a subscription
at PayPal, and approves each change of it again; until then it is charged as before.
"""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    BillingInterval,
    IntervalUnit,
    NextAction,
    NextActionType,
    Page,
    Subscription,
    SubscriptionState,
)
from moorage.vendors.payments._common import executed_once, is_within, short_text, url_of
from moorage.vendors.payments._paypal_answers import amount_body, money
from moorage.vendors.payments._paypal_requests import KEY, LONGEST, posted

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments import Money, PaymentQuery, SubscriptionRequest

# github.com/paypal/paypal-rest-api-specifications at ec4d8f3 (3 February 2024), and for the list
# doc/controllers/subscriptions.md of github.com/paypal/PayPal-Python-Server-SDK at da761b9 (5 June
# 2026), read on 27 November 2026.
_SUBSCRIPTIONS: Final = "/v1/billing/subscriptions"
_PLANS: Final = "/v1/billing/plans"
_PRODUCTS: Final = "/v1/catalogs/products"
_NAME: Final = 127
_PAGE: Final = 20
_WITH_PLAN: Final = {"fields": "plan"}
_PENDING: Final = "APPROVAL_PENDING"
_UNITS: Final = {
    IntervalUnit.DAY: ("DAY", 365),
    IntervalUnit.WEEK: ("WEEK", 52),
    IntervalUnit.MONTH: ("MONTH", 12),
    IntervalUnit.YEAR: ("YEAR", 1),
}
"""For each unit of time, PayPal's word for it, and the longest interval between two charges in that
unit.
"""
_STATES: Final = {
    _PENDING: SubscriptionState.PENDING,
    "APPROVED": SubscriptionState.PENDING,
    "ACTIVE": SubscriptionState.ACTIVE,
    "SUSPENDED": SubscriptionState.PAUSED,
    "CANCELLED": SubscriptionState.CANCELED,
    "EXPIRED": SubscriptionState.COMPLETED,
}
_CHARGED: Final = frozenset(
    {SubscriptionState.TRIALING, SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE}
)


async def create_subscription(
    wire: sdk.Wire, request: SubscriptionRequest, key: str, return_url: str | None
) -> Subscription:
    """Create a product, a plan and a subscription, which the buyer approves at PayPal."""
    body = _subscription_body(request, _context(return_url))
    plan_body = _plan_body(request)  # refused before anything is sent
    product_body = {"name": plan_body["name"], "type": "SERVICE"}
    product = await _id_of_new(wire, _PRODUCTS, product_body, sdk.part_key(key, "product"))
    plan_body = {"product_id": product, **plan_body}
    plan = await _id_of_new(wire, _PLANS, plan_body, sdk.part_key(key, "plan"))
    created: Subscription = await wire.send(
        posted(_SUBSCRIPTIONS, {"plan_id": plan, **body}),
        key=sdk.key_for_vendor(wire, key, KEY),
        parse=partial(_read_subscription, wire),
    )
    return attrs.evolve(
        created,
        ref=wire.ref(created.ref.id, currency=request.amount.currency),
        amount=request.amount,
        interval=request.interval,
    )


async def get_subscription(wire: sdk.Wire, ref: sdk.Ref, /) -> Subscription:
    """Get a subscription with its plan."""
    request = sdk.Request.get(url_of(_SUBSCRIPTIONS, ref.id), query=_WITH_PLAN)
    return _read_subscription(wire, await wire.send(request))


async def change_subscription(
    wire: sdk.Wire,
    ref: sdk.Ref,
    amount: Money | None,
    quantity: int | None,
    return_url: str | None,
    *,
    key: str,
) -> Subscription:
    """Request a change, which takes effect at the first charge after the buyer approves it.

    Each new change of a plan replaces earlier ones at PayPal, so the change states all terms.
    """
    subscription = await get_subscription(wire, ref)
    price, pieces = amount or subscription.amount, quantity or subscription.raw.get("quantity", 1)
    sequence = _sequence_of(subscription)
    if price is None or sequence is None:
        raise sdk.InvalidData(
            "This subscription at PayPal has no fixed price, so moorage cannot change it.",
            field="ref",
            remedy="Change the subscription on PayPal's website.",
        )
    cycle = {"sequence": sequence, "pricing_scheme": {"fixed_price": amount_body(price)}}
    body: dict[str, Any] = {"plan": {"billing_cycles": [cycle]}, "quantity": str(pieces)}
    if return_url is not None:
        body |= _context(return_url)
    request = sdk.Request.post(url_of(_SUBSCRIPTIONS, ref.id, "revise"), json=body)
    sending = wire.send(
        request.evolve(idempotent=True),
        key=sdk.key_for_vendor(wire, key, KEY),
        parse=_read_approval,
    )
    action = await sending
    if action is None:
        return await get_subscription(wire, ref)
    return attrs.evolve(subscription, next_action=action)


async def cancel_subscription(wire: sdk.Wire, ref: sdk.Ref, key: str) -> Subscription:
    """Cancel a subscription immediately; PayPal refuses a second cancellation."""
    look_up = partial(get_subscription, wire, ref)
    return await executed_once(_cancel(wire, ref, key), look_up, SubscriptionState.CANCELED)


async def _cancel(wire: sdk.Wire, ref: sdk.Ref, key: str) -> Subscription:
    body = {"reason": "Cancelled by the merchant."}
    request = sdk.Request.post(url_of(_SUBSCRIPTIONS, ref.id, "cancel"), json=body)
    repeatable = request.evolve(idempotent=True)
    await wire.send(repeatable, key=sdk.key_for_vendor(wire, key, KEY), parse=sdk.check_done)
    return await get_subscription(wire, ref)


async def list_subscriptions(
    wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
) -> Page[Subscription]:
    """Get a page of subscriptions without their plans, which the list does not contain."""
    page = max(1, int(after.id)) if after is not None and after.id.isdecimal() else 1
    size = min(query.limit, _PAGE)
    filters = {
        "created_after": None if query.since is None else _time_text(query.since),
        "created_before": None if query.until is None else _time_text(query.until),
        "page": page,
        "page_size": size,
    }
    response = await wire.send(sdk.Request.get(_SUBSCRIPTIONS, query=filters))
    body = sdk.read_answer(response)
    if not sdk.is_list(body.raw.get("subscriptions", [])):
        raise sdk.malformed(response, "subscriptions")
    now = wire.now()
    items = [subscription_of(wire.ref, item, now) for item in body.objects("subscriptions")]
    return Page(
        tuple(item for item in items if item is not None and is_within(query, item.created_at)),
        wire.ref(str(page + 1)) if len(items) == size else None,
    )


# --- requests ---------------------------------------------------------------


async def _id_of_new(wire: sdk.Wire, path: str, body: dict[str, Any], key: str) -> str:
    """Create an object, with an idempotency key for this object only, and return its id."""
    vendor_key = sdk.key_for_vendor(wire, key, KEY)
    new_id: str = await wire.send(posted(path, body), key=vendor_key, parse=_read_id)
    return new_id


def _plan_body(request: SubscriptionRequest) -> dict[str, Any]:
    """The body that creates a plan, without the product.

    Raises:
        InvalidData: the interval is longer than a year.
    """
    unit, max_count = _UNITS[request.interval.unit]
    if request.interval.count > max_count:
        raise sdk.InvalidData(
            "PayPal charges a subscription at least once a year.",
            field="interval",
            remedy="Pass an interval of at most 365 days, 52 weeks, 12 months or one year.",
        )
    cycle = {
        "frequency": {"interval_unit": unit, "interval_count": request.interval.count},
        "tenure_type": "REGULAR",
        "sequence": 1,
        "total_cycles": 0,
        "pricing_scheme": {"fixed_price": amount_body(request.amount)},
    }
    return {
        "name": (request.description or request.reference)[:_NAME],
        "billing_cycles": [cycle],
        "payment_preferences": {"auto_bill_outstanding": True},
        "quantity_supported": True,
    }


def _subscription_body(request: SubscriptionRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The body of a new subscription, without its plan; the caller's extra options override it."""
    body: dict[str, Any] = {
        "quantity": str(request.quantity),
        "custom_id": short_text(
            request.reference, LONGEST["reference"], vendor="PayPal", field="reference"
        ),
        **context,
    }
    if request.starts_at is not None:
        body["start_time"] = _time_text(request.starts_at)
    customer = request.customer
    if customer is not None and customer.email is not None:
        body["subscriber"] = {"email_address": customer.email}
    return sdk.merged(body, sdk.extra_for("paypal", request.extra))


def _context(return_url: str | None) -> dict[str, Any]:
    """The settings of the page on which the buyer approves.

    Raises:
        InvalidData: there is no URL that the buyer returns to.
    """
    if return_url is None:
        raise sdk.InvalidData(
            "The subscription has no return_url for the buyer.",
            field="return_url",
            remedy="Set the subscription's or the account's `return_url`.",
        )
    return {
        "application_context": {
            "return_url": return_url,
            "cancel_url": return_url,
            "shipping_preference": "NO_SHIPPING",
            "user_action": "SUBSCRIBE_NOW",
        }
    }


def _time_text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- answers ----------------------------------------------------------------


def _read_id(response: sdk.Response) -> str:
    return sdk.required(sdk.read_answer(response).text("id"), response, "id")


def _read_subscription(wire: sdk.Wire, response: sdk.Response) -> Subscription:
    """Parse the subscription in a response."""
    subscription = subscription_of(wire.ref, sdk.read_answer(response), wire.now())
    return sdk.required(subscription, response, "id or status")


def subscription_of(ref: sdk.MakeRef, body: sdk.Answer, now: datetime) -> Subscription | None:
    """Parse a subscription; None if it is malformed.

    Args:
        ref: makes the reference.
        body: the subscription.
        now: current time, by which a subscription that has not started is recognized.
    """
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    cycle, starts_at = _regular_cycle(body), body.time("start_time")
    amount = None if cycle is None else money(cycle, "pricing_scheme.fixed_price")
    state = _STATES.get(status, SubscriptionState.UNKNOWN)
    if state is SubscriptionState.ACTIVE:
        if starts_at is not None and starts_at > now:
            state = SubscriptionState.TRIALING
        elif (body.integer("billing_info.failed_payments_count") or 0) > 0:
            state = SubscriptionState.PAST_DUE
    quantity = body.text("quantity") or ""
    return Subscription(
        ref=ref(key, currency=_currency_of(body, amount)),
        state=state,
        vendor_state=status,
        amount=amount,
        quantity=int(quantity) if quantity.isdecimal() else None,
        interval=None if cycle is None else _interval_of(cycle),
        customer=body.text("subscriber.payer_id"),
        reference=body.text("custom_id"),
        starts_at=starts_at,
        next_charge_at=body.time("billing_info.next_billing_time") if state in _CHARGED else None,
        ends_at=body.time("status_update_time") if state.final else None,
        created_at=body.time("create_time"),
        next_action=_approval_in(body) if status == _PENDING else None,
        raw=body.raw,
    )


def _currency_of(body: sdk.Answer, amount: Money | None) -> str | None:
    if amount is not None:
        return amount.currency
    return body.text("billing_info.outstanding_balance.currency_code")


def _regular_cycle(body: sdk.Answer) -> sdk.Answer | None:
    """The only regular billing cycle of a plan; None if there is not exactly one."""
    cycles = body.objects("plan.billing_cycles")
    regular = [cycle for cycle in cycles if cycle.text("tenure_type") == "REGULAR"]
    return regular[0] if len(regular) == 1 else None


def _interval_of(cycle: sdk.Answer) -> BillingInterval | None:
    units = {word: unit for unit, (word, _) in _UNITS.items()}
    unit = units.get(cycle.text("frequency.interval_unit") or "")
    count = cycle.integer("frequency.interval_count")
    if unit is None or (count is not None and count < 1):
        return None
    return BillingInterval(unit, 1 if count is None else count)


def _sequence_of(subscription: Subscription) -> int | None:
    cycle = _regular_cycle(sdk.as_answer(subscription.raw))
    return None if cycle is None else cycle.integer("sequence")


def _read_approval(response: sdk.Response) -> NextAction | None:
    """Parse the response to a change; it may contain a page where the buyer approves the change."""
    return _approval_in(sdk.read_answer(response))


def _approval_in(body: sdk.Answer) -> NextAction | None:
    """The buyer's approval page at PayPal; None if no approval is needed."""
    links = [link for link in body.objects("links") if link.text("rel") == "approve"]
    url = links[0].text("href") if links else None
    if url is None:
        return None
    return NextAction(type=NextActionType.REDIRECT, url=url, vendor_type="approve")
