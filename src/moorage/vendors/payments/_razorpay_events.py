"""Events from Razorpay's webhooks, which contain objects as they were when the event occurred."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import DisputeState, PaymentEvent
from moorage.contracts.payments.events import completed_with
from moorage.vendors.payments._common import (
    dispute_event,
    events_of,
    payout_event,
    refund_event,
)
from moorage.vendors.payments._razorpay_answers import (
    dispute_of,
    payment_of,
    refund_of,
    settlement_of,
)
from moorage.vendors.payments._razorpay_subscriptions import subscription_event, subscription_of

_RETURNED: Final = frozenset({DisputeState.WON, DisputeState.CLOSED, DisputeState.UNKNOWN})
"""The dispute states in which the buyer, as far as is known, has not got the money back."""


def read_events(
    event: sdk.WebhookEvent, make: sdk.MakeRef, settlement_currency: str
) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to an event about the object in it; no event if the object is unknown."""
    payload = sdk.as_answer(event.data)
    payment = payment_of(make, payload.object("payment.entity"))
    refund = refund_of(make, payload.object("refund.entity"))
    dispute = dispute_of(make, payload.object("dispute.entity"))
    settlement = settlement_of(make, payload.object("settlement.entity"), settlement_currency)
    subscription = subscription_of(make, payload.object("subscription.entity"))
    if subscription is not None:
        return events_of(event, subscription_event(subscription, payment))
    if dispute is not None:
        # The payment itself does not say that it is disputed.
        is_taken = dispute.state not in _RETURNED
        reference = None if payment is None else payment.reference
        return events_of(event, dispute_event(dispute, taken=is_taken, reference=reference))
    if payment is None:
        return events_of(event, refund_event(refund) or payout_event(settlement))
    converted = PaymentEvent(id=None, ref=payment.ref, refund=refund)
    return events_of(event, completed_with(converted, payment))
