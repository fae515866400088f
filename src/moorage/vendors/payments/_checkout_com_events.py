"""Conversion of Checkout.com's webhooks to payment events.

A webhook has no status of the payment: its type, response code and balances say what happened. A
webhook that lacks them, or is of another type, asks `follow_up` for the payment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import (
    Capture,
    MoveState,
    PaymentEvent,
    PaymentState,
    Refund,
    payment_ref,
    state_of,
)
from moorage.vendor_sdk import as_answer
from moorage.vendors.payments._checkout_com_answers import (
    UNITS,
    authorized_total,
    decline_of,
    total,
)

if TYPE_CHECKING:
    from moorage.vendor_sdk import MakeRef, Money, Ref, WebhookEvent

_PAYMENT: Final = "pay_"
_APPROVED: Final = "10"
"""The beginning of the response codes of successes."""

_APPROVAL: Final = "payment_approved"
_MOVES: Final[dict[str, tuple[type[Capture | Refund], MoveState]]] = {
    "payment_captured": (Capture, MoveState.SUCCEEDED),
    "payment_capture_declined": (Capture, MoveState.FAILED),
    "payment_refunded": (Refund, MoveState.SUCCEEDED),
}
_VOID: Final = "payment_voided"


def read_events(event: WebhookEvent, make: MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to an event; none if it is not about a payment."""
    body = as_answer(event.data)
    key, code = body.text("id"), body.text("response_code")
    if key is None or not key.startswith(_PAYMENT):
        return ()
    money = UNITS.read(body.value("amount"), body.value("currency"))
    is_approval = event.vendor_type == _APPROVAL
    currency = body.text("currency")
    ref = payment_ref(make, key, money) if is_approval else make(key, currency=currency)
    changes: dict[str, Any] = {"ask": True}
    if money is not None and code is not None:
        if is_approval:
            is_approved = code.startswith(_APPROVED)
            changes = {"amount": money, "authorized": money if is_approved else None}
            changes["state"] = PaymentState.AUTHORIZED if is_approved else None
        elif event.vendor_type in {*_MOVES, _VOID}:
            changes = _moved(event, ref, money, make)
    return (
        PaymentEvent(
            id=event.id,
            ref=ref,
            vendor_type=event.vendor_type,
            vendor_state=code,
            at=body.time("processed_on") or event.time,
            # A capture and a refund have references of their own.
            reference=body.text("reference") if is_approval else None,
            raw=body.raw,
            **changes,
        ),
    )


def _moved(event: WebhookEvent, payment: Ref, money: Money, make: MakeRef) -> dict[str, Any]:
    """The changes by a capture, refund or void; a question if the totals are not stated."""
    body = as_answer(event.data)
    code = body.text("response_code") or ""
    authorized = authorized_total(body, money.currency)
    captured, refunded = [total(body, name, money.currency) for name in ("captured", "refunded")]
    action = body.text("action_id")
    if authorized is None or captured is None or refunded is None or action is None:
        return {"ask": True}
    is_approved = code.startswith(_APPROVED)
    changes: dict[str, Any] = {
        "authorized": authorized,
        "captured": captured,
        "refunded": refunded,
    }
    if event.vendor_type == _VOID:
        state = state_of(authorized, captured, refunded) or PaymentState.VOIDED
        return changes | {"state": state if is_approved else None}
    kind, move_state = _MOVES[event.vendor_type]
    is_known = is_approved is (move_state is MoveState.SUCCEEDED)
    move = kind(
        ref=make(action, payment=payment.id),
        payment=payment,
        state=move_state if is_known else MoveState.UNKNOWN,
        vendor_state=code,
        amount=money,
        reason=None if is_approved else decline_of(body).vendor_message,
        at=body.time("processed_on"),
        raw=body.raw,
    )
    changes["capture" if kind is Capture else "refund"] = move
    # A capture by several steps is complete when nothing more is authorised.
    total_state = state_of(total(body, "authorized", money.currency), captured, refunded)
    return changes | {"state": total_state if is_approved and is_known else None}
