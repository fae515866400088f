"""Razorpay's subscriptions: requests, responses and events.

Each subscription has a plan of its own, which states the amount and the interval, and can never be
changed. So a change of the amount creates another plan, and takes effect at the next charge.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    BillingInterval,
    IntervalUnit,
    NextAction,
    NextActionType,
    PaymentEvent,
    Subscription,
    SubscriptionState,
)
from moorage.contracts.payments.subscriptions import charge_of
from moorage.vendors.payments._common import executed_once, url_of
from moorage.vendors.payments._razorpay_answers import UNITS, read_items
from moorage.vendors.payments._razorpay_requests import NAME, amount_fields, notes_of

if TYPE_CHECKING:
    from moorage.contracts.payments import Money, Payment, SubscriptionRequest

# razorpay.com/docs/api/payments/subscriptions and razorpay.com/docs/webhooks/subscriptions, read on
# 27 November 2026.
SUBSCRIPTIONS: Final = "/v1/subscriptions"
_PLANS: Final = "/v1/plans"
_LONGEST_YEARS: Final = 30
_PERIODS: Final = {
    IntervalUnit.DAY: ("daily", 365),
    IntervalUnit.WEEK: ("weekly", 52),
    IntervalUnit.MONTH: ("monthly", 12),
    IntervalUnit.YEAR: ("yearly", 1),
}
"""For each unit of time, Razorpay's word for it, and the number of such units in a year."""
_FEWEST_DAYS: Final = 7
_LONGEST_NAME: Final = 255
_CREATED: Final = "created"
_STATES: Final = {
    _CREATED: SubscriptionState.PENDING,
    "authenticated": SubscriptionState.TRIALING,
    "active": SubscriptionState.ACTIVE,
    "pending": SubscriptionState.PAST_DUE,
    "halted": SubscriptionState.PAST_DUE,
    "paused": SubscriptionState.PAUSED,
    "cancelled": SubscriptionState.CANCELED,
    "expired": SubscriptionState.CANCELED,
    "completed": SubscriptionState.COMPLETED,
}
_CHARGED: Final = frozenset(
    {SubscriptionState.TRIALING, SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE}
)


@attrs.frozen
class _Plan:
    """A subscription's amount and interval."""

    id: str
    amount: Money
    interval: BillingInterval | None


async def create_subscription(
    wire: sdk.Wire, request: SubscriptionRequest, /, *, key: str
) -> Subscription:
    """Create a plan with one subscription, which the buyer starts on Razorpay's page."""
    plan_body = _plan_body(request.amount, request.interval, request)
    body = _subscription_body(request)  # refused before anything is sent
    plan_id = await _plan_for(wire, plan_body, key)
    # An earlier request, whose response was lost, may have created it.
    created = await _subscription_to(wire, plan_id)
    if created is None:
        posting = sdk.Request.post(SUBSCRIPTIONS, json={"plan_id": plan_id, **body})
        created = await wire.send(posting, parse=partial(_read_subscription, wire))
    return attrs.evolve(created, amount=request.amount, interval=request.interval)


async def get_subscription(wire: sdk.Wire, ref: sdk.Ref, /) -> Subscription:
    """Get a subscription with scheduled changes, and the amount of its plan."""
    subscription, _ = await _with_plan(wire, ref)
    return subscription


async def change_subscription(
    wire: sdk.Wire, ref: sdk.Ref, /, *, amount: Money | None, quantity: int | None, key: str
) -> Subscription:
    """Change a subscription at the end of its current period.

    Razorpay keeps only one change of a subscription, so an earlier change is repeated in this one.
    """
    subscription, plan = await _with_plan(wire, ref)
    plan_id, price = plan.id, amount or plan.amount
    if amount is not None and amount != plan.amount:
        plan_id = await _plan_for(wire, _plan_body(amount, plan.interval, subscription), key)
    pieces = quantity or subscription.quantity or 1
    fields = {"plan_id": plan_id, "quantity": pieces, "schedule_change_at": "cycle_end"}
    request = sdk.Request.patch(url_of(SUBSCRIPTIONS, ref.id), json=fields)
    parse = partial(_read_subscription, wire)
    changed = await wire.send(request.evolve(idempotent=True), key=key, parse=parse)
    return attrs.evolve(changed, amount=price, interval=plan.interval, quantity=pieces)


async def cancel_subscription(wire: sdk.Wire, ref: sdk.Ref, key: str) -> Subscription:
    """Cancel a subscription immediately; Razorpay refuses a second cancellation."""
    path = url_of(SUBSCRIPTIONS, ref.id, "cancel")
    request = sdk.Request.post(path, json={"cancel_at_cycle_end": False})
    parse = partial(_read_subscription, wire)
    canceled = await executed_once(
        wire.send(request.evolve(idempotent=True), key=key, parse=parse),
        partial(_subscription_without_amount, wire, ref),
        SubscriptionState.CANCELED,
    )
    plan = await _plan(wire, canceled.raw.get("plan_id"))
    return attrs.evolve(canceled, amount=plan.amount, interval=plan.interval)


def list_of(ref: sdk.MakeRef, response: sdk.Response) -> list[Subscription]:
    """Parse a list of subscriptions; Razorpay's lists have no amounts."""
    items = read_items(ref, subscription_of, response)
    return [item for item in items if item is not None]


# --- steps ------------------------------------------------------------------


async def _plan_for(wire: sdk.Wire, body: dict[str, Any], key: str) -> str:
    """Create a plan under a key; if the response is lost, another plan is used."""
    request = sdk.Request.post(_PLANS, json=body)
    plan_id: str = await wire.send(
        request.evolve(idempotent=True), key=sdk.part_key(key, "plan"), parse=_read_plan_id
    )
    return plan_id


async def _subscription_to(wire: sdk.Wire, plan_id: str) -> Subscription | None:
    """The only subscription of a plan that moorage created; None if there is none."""
    response = await wire.send(sdk.Request.get(SUBSCRIPTIONS, query={"plan_id": plan_id}))
    return next(iter(list_of(wire.ref, response)), None)


async def _subscription_without_amount(wire: sdk.Wire, ref: sdk.Ref) -> Subscription:
    """Return a subscription without its amount."""
    return _read_subscription(wire, await wire.send(sdk.Request.get(url_of(SUBSCRIPTIONS, ref.id))))


async def _with_plan(wire: sdk.Wire, ref: sdk.Ref) -> tuple[Subscription, _Plan]:
    """A subscription with its scheduled changes and its plan."""
    subscription = await _subscription_without_amount(wire, ref)
    next_terms = subscription
    if subscription.raw.get("has_scheduled_changes") is True and not subscription.state.final:
        path = url_of(SUBSCRIPTIONS, ref.id, "retrieve_scheduled_changes")
        next_terms = _read_subscription(wire, await wire.send(sdk.Request.get(path)))
    plan = await _plan(wire, next_terms.raw.get("plan_id"))
    next_charge = attrs.evolve(
        subscription, amount=plan.amount, interval=plan.interval, quantity=next_terms.quantity
    )
    return next_charge, plan


async def _plan(wire: sdk.Wire, plan_id: object) -> _Plan:
    response = await wire.send(sdk.Request.get(url_of(_PLANS, str(plan_id))))
    body = sdk.read_answer(response)
    amount = UNITS.read(body.value("item.amount"), body.value("item.currency"))
    return _Plan(
        id=sdk.required(body.text("id"), response, "id"),
        amount=sdk.required(amount, response, "item.amount or item.currency"),
        interval=_interval_of(body),
    )


# --- requests ---------------------------------------------------------------


def _plan_body(
    amount: Money,
    interval: BillingInterval | None,
    named: SubscriptionRequest | Subscription,
) -> dict[str, Any]:
    """The body that creates a plan.

    Args:
        amount: amount of one charge, for one piece.
        interval: time between two charges.
        named: subscription of the plan, whose reference or description becomes the plan's name.

    Raises:
        InvalidData: Razorpay does not charge at this interval.
    """
    period, count = _period_of(interval)
    name = getattr(named, "description", None) or named.reference or "Subscription"
    return {
        "period": period,
        "interval": count,
        "item": {"name": name[:_LONGEST_NAME], **amount_fields(amount)},
    }


def _period_of(interval: BillingInterval | None) -> tuple[str, int]:
    days = IntervalUnit.DAY
    if interval is None or (interval.unit is days and interval.count < _FEWEST_DAYS):
        raise sdk.InvalidData(
            f"Razorpay charges a subscription at most once in {_FEWEST_DAYS} days.",
            field="interval",
            remedy=f"Pass an interval of at least {_FEWEST_DAYS} days, or of weeks, months or"
            " years.",
        )
    period, in_a_year = _PERIODS[interval.unit]
    if interval.count > in_a_year * _LONGEST_YEARS:
        raise sdk.InvalidData(
            f"A subscription at Razorpay ends after {_LONGEST_YEARS} years at the latest.",
            field="interval",
            remedy="Give a shorter interval.",
        )
    return period, interval.count


def _subscription_body(request: SubscriptionRequest) -> dict[str, Any]:
    """The body of a new subscription, without its plan; the caller's extra options override it.

    Razorpay requires a number of charges; it is set to the charges of thirty years.
    """
    _, in_a_year = _PERIODS[request.interval.unit]
    notes = notes_of(request.reference, {"currency": request.amount.currency})
    body: dict[str, Any] = {
        "total_count": in_a_year * _LONGEST_YEARS // request.interval.count,
        "quantity": request.quantity,
        "notes": notes,
    }
    if request.starts_at is not None:
        body["start_at"] = int(request.starts_at.timestamp())
    customer = request.customer
    if customer is not None and (customer.phone or customer.email):
        contact = {"notify_phone": customer.phone, "notify_email": customer.email}
        body["notify_info"] = {name: text for name, text in contact.items() if text}
    return sdk.merged(body, sdk.extra_for(NAME, request.extra))


# --- answers ----------------------------------------------------------------


def _read_plan_id(response: sdk.Response) -> str:
    return sdk.required(sdk.read_answer(response).text("id"), response, "id")


def _read_subscription(wire: sdk.Wire, response: sdk.Response) -> Subscription:
    """Parse the subscription in a response."""
    return sdk.required(
        subscription_of(wire.ref, sdk.read_answer(response)), response, "id or status"
    )


def subscription_of(ref: sdk.MakeRef, body: sdk.Answer) -> Subscription | None:
    """Parse a subscription, which has no amount; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    state, url = _STATES.get(status, SubscriptionState.UNKNOWN), body.text("short_url")
    next_action = None
    if status == _CREATED and url is not None:
        next_action = NextAction(type=NextActionType.REDIRECT, url=url, vendor_type="short_url")
    return Subscription(
        ref=ref(key, currency=body.text("notes.currency")),
        state=state,
        vendor_state=status,
        quantity=body.integer("quantity"),
        customer=body.text("customer_id"),
        reference=body.text("notes.reference"),
        starts_at=body.time("start_at"),
        next_charge_at=body.time("charge_at") if state in _CHARGED else None,
        ends_at=body.time("ended_at"),
        created_at=body.time("created_at"),
        next_action=next_action,
        raw=body.raw,
    )


def _interval_of(plan: sdk.Answer) -> BillingInterval | None:
    units = {word: unit for unit, (word, _) in _PERIODS.items()}
    count, word = plan.integer("interval"), plan.text("period") or ""
    if count is None or count < 1:
        return None
    if word == "quarterly":
        return BillingInterval(IntervalUnit.MONTH, 3 * count)
    return BillingInterval(units[word], count) if word in units else None


# --- events -----------------------------------------------------------------


def subscription_event(subscription: Subscription, payment: Payment | None) -> PaymentEvent:
    """The event with a reported subscription's state, and with its charge if that is reported.

    Args:
        subscription: the subscription.
        payment: payment that was attempted for it.
    """
    charge = None
    if payment is not None:
        charge = charge_of(attrs.evolve(payment, subscription=subscription.ref))
    return PaymentEvent(
        id=None,
        ref=subscription.ref,
        vendor_state=subscription.vendor_state,
        reference=subscription.reference,
        subscription=subscription,
        subscription_charge=charge,
    )
