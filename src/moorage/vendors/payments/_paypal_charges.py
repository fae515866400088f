"""The events of PayPal's subscriptions and their charges."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    MoveState,
    PaymentEvent,
    Subscription,
    SubscriptionCharge,
)
from moorage.vendors.payments._paypal_answers import money
from moorage.vendors.payments._paypal_subscriptions import subscription_of

_SALES: Final = {
    "PAYMENT.SALE.COMPLETED": MoveState.SUCCEEDED,
    "PAYMENT.SALE.DENIED": MoveState.FAILED,
}
_FAILURE: Final = "BILLING.SUBSCRIPTION.PAYMENT.FAILED"


def subscription_event(make: sdk.MakeRef, body: sdk.Answer, kind: str) -> PaymentEvent | None:
    """The event of a subscription or its failed charge; None if it is malformed."""
    event_time = (
        body.time("status_update_time") or body.time("update_time") or body.time("create_time")
    )
    subscription = None if event_time is None else subscription_of(make, body, event_time)
    if subscription is None:
        return None
    return PaymentEvent(
        id=None,
        ref=subscription.ref,
        vendor_state=subscription.vendor_state,
        reference=subscription.reference,
        subscription=subscription,
        subscription_charge=_failure(subscription, body) if kind == _FAILURE else None,
    )


def _failure(subscription: Subscription, body: sdk.Answer) -> SubscriptionCharge | None:
    """The latest failed charge, which has no id at PayPal; None if there is none."""
    failed_at = body.text("billing_info.last_failed_payment.time")
    if failed_at is None:
        return None
    return SubscriptionCharge(
        id=f"{subscription.ref.id}/{failed_at}",
        subscription=subscription.ref,
        state=MoveState.FAILED,
        amount=money(body, "billing_info.last_failed_payment.amount"),
        next_attempt_at=body.time("billing_info.last_failed_payment.next_payment_retry_time"),
    )


def sale_event(make: sdk.MakeRef, body: sdk.Answer, kind: str) -> PaymentEvent | None:
    """The event of a subscription's charge; None for other or pending sales."""
    key, id_, state = body.text("billing_agreement_id"), body.text("id"), _SALES.get(kind)
    amount = sdk.as_money(body.value("amount.total"), body.value("amount.currency"))
    if key is None or id_ is None or state is None or amount is None:
        return None
    subscription = make(key, currency=amount.currency)
    charge = SubscriptionCharge(id=id_, subscription=subscription, state=state, amount=amount)
    return PaymentEvent(
        id=None,
        ref=subscription,
        vendor_state=body.text("state"),
        reference=body.text("custom"),
        subscription_charge=charge,
    )
