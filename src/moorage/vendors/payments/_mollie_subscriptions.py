"""Mollie's subscriptions: requests and responses.

Mollie finds a subscription by its customer, charges on certain days, and has neither quantities nor
cancellations for later. Each charge is a payment, and the webhooks of this payment report it.
"""

from __future__ import annotations

import re
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    BillingInterval,
    IntervalUnit,
    Subscription,
    SubscriptionState,
)
from moorage.vendors.payments._common import executed_once
from moorage.vendors.payments._mollie_answers import KEY, amount_body, money

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments import Money, SubscriptionRequest

SUBSCRIPTIONS: Final = "/v2/subscriptions"
_MAX_LENGTH: Final = 255
_MANDATE: Final = re.compile(r"mdt_[A-Za-z0-9_]+")
_INTERVAL: Final = re.compile(r"([0-9]{1,3}) (day|week|month)s?")
_UNITS: Final = {
    IntervalUnit.DAY: (1, "days", 365),
    IntervalUnit.WEEK: (1, "weeks", 52),
    IntervalUnit.MONTH: (1, "months", 12),
    IntervalUnit.YEAR: (12, "months", 1),
}
"""For each unit of time, its length in Mollie's units, Mollie's word, and the longest interval
between two charges.
"""

_STATES: Final = {
    "pending": SubscriptionState.PENDING,
    "active": SubscriptionState.ACTIVE,
    "canceled": SubscriptionState.CANCELED,
    "suspended": SubscriptionState.PAUSED,
    "completed": SubscriptionState.COMPLETED,
}


async def create_subscription(
    wire: sdk.Wire, request: SubscriptionRequest, key: str, webhook_url: str | None
) -> Subscription:
    """Create a subscription that charges a mandate."""
    body = _subscription_body(request, webhook_url)
    path = f"/v2/customers/{quote(request.customer_id, safe='')}/subscriptions"
    return await _changed_subscription(wire, sdk.Request.post(path, json=body), key)


async def get_subscription(wire: sdk.Wire, ref: sdk.Ref, /) -> Subscription:
    """Get a subscription."""
    return _read_subscription(wire, await wire.send(sdk.Request.get(_path(ref))))


async def change_subscription(
    wire: sdk.Wire, ref: sdk.Ref, amount: Money, key: str
) -> Subscription:
    """Change a subscription's amount from its next charge on."""
    request = sdk.Request.patch(_path(ref), json={"amount": amount_body(amount)})
    return await _changed_subscription(wire, attrs.evolve(request, idempotent=True), key)


async def cancel_subscription(wire: sdk.Wire, ref: sdk.Ref, key: str) -> Subscription:
    """Cancel a subscription; Mollie refuses a second cancellation."""
    return await executed_once(
        _changed_subscription(wire, sdk.Request.delete(_path(ref)), key),
        partial(get_subscription, wire, ref),
        SubscriptionState.CANCELED,
    )


async def _changed_subscription(wire: sdk.Wire, request: sdk.Request, key: str) -> Subscription:
    parse = partial(_read_subscription, wire)
    changed: Subscription = await wire.send(
        request, key=sdk.key_for_vendor(wire, key, KEY), parse=parse
    )
    return changed


def _path(ref: sdk.Ref) -> str:
    customer = ref.other("customer")
    if customer is None:
        raise sdk.InvalidData(
            "Mollie finds a subscription only through its customer, but this reference names"
            " no customer.",
            field="ref",
            remedy="Pass the complete `ref` of the subscription.",
        )
    return f"/v2/customers/{quote(customer, safe='')}/subscriptions/{quote(ref.id, safe='')}"


def _subscription_body(request: SubscriptionRequest, webhook_url: str | None) -> dict[str, Any]:
    """The body that creates a subscription; the caller's extra options override its fields.

    Raises:
        InvalidData: the source is not a mandate, or the interval is longer than a year.
    """
    if _MANDATE.fullmatch(request.source or "") is None:
        raise sdk.InvalidData(
            "Mollie charges subscriptions only to mandates.",
            field="source",
            remedy="Pass the id of the customer's mandate, which begins with mdt_.",
        )
    starts_at = request.starts_at
    # Mollie refuses a second subscription of a customer with the same description.
    texts = [request.reference, request.description]
    body: dict[str, Any] = {
        "amount": amount_body(request.amount),
        "description": ": ".join(filter(None, texts))[:_MAX_LENGTH],
        "interval": _interval_text(request.interval),
        "mandateId": request.source,
        "metadata": {"reference": request.reference},
        "startDate": None if starts_at is None else starts_at.astimezone(UTC).date().isoformat(),
        "webhookUrl": webhook_url,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return sdk.merged(body, sdk.extra_for("mollie", request.extra))


def _interval_text(interval: BillingInterval) -> str:
    factor, word, max_count = _UNITS[interval.unit]
    if interval.count > max_count:
        raise sdk.InvalidData(
            "Mollie charges a subscription at least once a year.",
            field="interval",
            remedy="Pass an interval of at most 365 days, 52 weeks, 12 months or one year.",
        )
    return f"{interval.count * factor} {word}"


def subscription_of(ref: sdk.MakeRef, body: sdk.Answer, now: datetime) -> Subscription | None:
    """Parse a subscription; None if it is malformed.

    Args:
        ref: makes the reference.
        body: the subscription.
        now: current time, by which a subscription that has not started is recognized.
    """
    key, status, customer = body.text("id"), body.text("status"), body.text("customerId")
    if key is None or status is None or customer is None:
        return None
    amount, starts_at = money(body, "amount"), body.time("startDate")
    state = _STATES.get(status, SubscriptionState.UNKNOWN)
    if state is SubscriptionState.ACTIVE and starts_at is not None and starts_at > now:
        state = SubscriptionState.TRIALING
    return Subscription(
        ref=ref(key, customer=customer, currency=None if amount is None else amount.currency),
        state=state,
        vendor_state=status,
        amount=amount,
        quantity=1,
        interval=_interval_of(body),
        customer=customer,
        source=body.text("mandateId"),
        reference=body.text("metadata.reference"),
        starts_at=starts_at,
        next_charge_at=body.time("nextPaymentDate"),
        ends_at=body.time("canceledAt"),
        created_at=body.time("createdAt"),
        raw=body.raw,
    )


def _interval_of(body: sdk.Answer) -> BillingInterval | None:
    """The interval of a subscription; twelve months become a year."""
    match = _INTERVAL.fullmatch(body.text("interval") or "")
    if match is None or int(match[1]) == 0:
        return None
    count, unit = int(match[1]), IntervalUnit(match[2])
    if unit is IntervalUnit.MONTH and count % 12 == 0:
        return BillingInterval(IntervalUnit.YEAR, count // 12)
    return BillingInterval(unit, count)


def _read_subscription(wire: sdk.Wire, response: sdk.Response) -> Subscription:
    """Parse the subscription in a response."""
    subscription = subscription_of(wire.ref, sdk.read_answer(response), wire.now())
    return sdk.required(subscription, response, "id, status or customerId")
