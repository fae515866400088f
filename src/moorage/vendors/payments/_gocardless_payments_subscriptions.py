"""GoCardless' subscriptions: requests, responses and events.

A subscription charges a mandate on certain days. Each charge is a payment, and the webhooks of this
payment report it. GoCardless has neither quantities nor cancellations for later.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    BillingInterval,
    IntervalUnit,
    PaymentEvent,
    Subscription,
    SubscriptionState,
)
from moorage.vendors.payments._common import short_text
from moorage.vendors.payments._gocardless_payments_answers import UNITS
from moorage.vendors.payments._gocardless_payments_requests import NAME, amount_fields

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments import SubscriptionRequest

SUBSCRIPTIONS: Final = "/subscriptions"
_MAX_LENGTH: Final = 255
# Statuses, units and limits: src/types/Types.ts of github.com/gocardless/gocardless-nodejs at
# d15252a (13 August 2026), read on 26 November 2026.
_UNITS: Final = {
    IntervalUnit.WEEK: ("weekly", 52),
    IntervalUnit.MONTH: ("monthly", 12),
    IntervalUnit.YEAR: ("yearly", 1),
}
"""For each unit of time, GoCardless' word for it, and the longest interval between two charges in
that unit.
"""
_STATES: Final = {
    "pending_customer_approval": SubscriptionState.PENDING,
    "customer_approval_denied": SubscriptionState.CANCELED,
    "active": SubscriptionState.ACTIVE,
    "finished": SubscriptionState.COMPLETED,
    "cancelled": SubscriptionState.CANCELED,
    "paused": SubscriptionState.PAUSED,
}
_ACTIONS: Final = {
    "customer_approval_granted": SubscriptionState.ACTIVE,
    "customer_approval_denied": SubscriptionState.CANCELED,
    "finished": SubscriptionState.COMPLETED,
    "cancelled": SubscriptionState.CANCELED,
    "paused": SubscriptionState.PAUSED,
    "resumed": SubscriptionState.ACTIVE,
}
"""The subscription's state after each event; events not listed here change nothing."""


def subscription_fields(request: SubscriptionRequest) -> dict[str, Any]:
    """The fields that create a subscription; the caller's extra options override them.

    Without a start, GoCardless takes the first day on which the mandate can be charged. So a start
    that was requested is also stored as a text, by which it is recognized.

    Raises:
        InvalidData: the interval is in days, or longer than a year.
    """
    unit, count = _interval_words(request.interval)
    metadata, start = {"reference": request.reference}, None
    if request.starts_at is not None:
        start = request.starts_at.astimezone(UTC).date().isoformat()
        metadata["starts_at"] = start
    fields: dict[str, Any] = {
        **amount_fields(request.amount),
        "interval_unit": unit,
        "interval": count,
        "name": short_text(
            request.description or request.reference,
            _MAX_LENGTH,
            vendor="GoCardless",
            field="description",
        ),
        "start_date": start,
        "metadata": metadata,
        "links": {"mandate": request.source},
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    return sdk.merged(fields, sdk.extra_for(NAME, request.extra))


def _interval_words(interval: BillingInterval) -> tuple[str, int]:
    unit, max_count = _UNITS.get(interval.unit, ("", 0))
    if interval.count > max_count:
        raise sdk.InvalidData(
            "GoCardless charges subscriptions by weeks, months or years, and at least once a year.",
            field="interval",
            remedy="Pass an interval of at most 52 weeks, 12 months or one year.",
        )
    return unit, interval.count


def read_subscription(wire: sdk.Wire, response: sdk.Response) -> Subscription:
    """Parse the subscription in a response."""
    body = sdk.read_answer(response).object("subscriptions")
    return sdk.required(subscription_of(wire.ref, body, wire.now()), response, "id or status")


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
    currency, starts_at = body.text("currency"), body.time("start_date")
    state = _STATES.get(status, SubscriptionState.UNKNOWN)
    is_later = starts_at is not None and starts_at > now
    if state is SubscriptionState.ACTIVE and is_later and body.text("metadata.starts_at"):
        state = SubscriptionState.TRIALING
    next_payment = next(iter(body.objects("upcoming_payments")), None)
    is_charged = next_payment is not None and not state.final
    return Subscription(
        ref=ref(key, currency=currency),
        state=state,
        vendor_state=status,
        amount=UNITS.read(body.value("amount"), currency),
        quantity=1,
        interval=_interval_of(body),
        source=body.text("links.mandate"),
        reference=body.text("metadata.reference"),
        starts_at=starts_at,
        next_charge_at=next_payment.time("charge_date") if is_charged and next_payment else None,
        ends_at=body.time("end_date"),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def _interval_of(body: sdk.Answer) -> BillingInterval | None:
    words = {word: unit for unit, (word, _) in _UNITS.items()}
    unit, count = words.get(body.text("interval_unit") or ""), body.integer("interval")
    if unit is None or count is None or count < 1:
        return None
    return BillingInterval(unit, count)


def subscription_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    """The event of a subscription that begins, pauses or ends; None for other events.

    A charge is reported by the events of its payment.
    """
    key, action = body.text("links.subscription"), body.text("action")
    if key is None or action not in _ACTIONS:
        return None
    subscription = Subscription(ref=ref(key), state=_ACTIONS[action], vendor_state=action)
    return PaymentEvent(
        id=None,
        ref=subscription.ref,
        vendor_state=action,
        reference=body.text("resource_metadata.reference"),
        subscription=subscription,
    )
