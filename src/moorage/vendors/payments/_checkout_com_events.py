"""Conversion of Checkout.com's webhooks to payment events.

A webhook has no status of the payment: its type, response code and balances state the change. A
webhook of a payment without them, or of another type, requests a look-up of the payment by
`follow_up`.
"""

from __future__ import annotations

from typing import Any, Final

from moorage.contracts.payments import (
    Capture,
    Dispute,
    DisputeState,
    MoveState,
    PaymentEvent,
    PaymentState,
    Refund,
    payment_ref,
    state_of,
)
from moorage.vendor_sdk import MakeRef, Money, Ref, WebhookEvent, as_answer
from moorage.vendors.payments._checkout_com_answers import (
    UNITS,
    authorized_total,
    decline_of,
    total,
)
from moorage.vendors.payments._common import dispute_event, events_of

_PAYMENT: Final = "pay_"
_APPROVED: Final = "10"
"""The first digits of the response codes that mean success."""

_APPROVAL: Final = "payment_approved"
_DECLINE: Final = "payment_declined"
_MOVES: Final[dict[str, tuple[type[Capture | Refund], MoveState]]] = {
    "payment_captured": (Capture, MoveState.SUCCEEDED),
    "payment_capture_declined": (Capture, MoveState.FAILED),
    "payment_refunded": (Refund, MoveState.SUCCEEDED),
    "payment_refund_declined": (Refund, MoveState.FAILED),
}
_VOID: Final = "payment_voided"
_DISPUTE: Final = "dsp_"
_DISPUTES: Final = {
    "dispute_evidence_required": DisputeState.NEEDS_RESPONSE,
    "dispute_evidence_submitted": DisputeState.UNDER_REVIEW,
    "dispute_evidence_acknowledged_by_scheme": DisputeState.UNDER_REVIEW,
    "dispute_arbitration_evidence_submitted": DisputeState.UNDER_REVIEW,
    "dispute_accepted": DisputeState.ACCEPTED,
    "dispute_expired": DisputeState.LOST,
    "dispute_lost": DisputeState.LOST,
    "dispute_arbitration_lost": DisputeState.LOST,
    "dispute_won": DisputeState.WON,
    "dispute_arbitration_won": DisputeState.WON,
    "dispute_canceled": DisputeState.WON,
    "dispute_resolved": DisputeState.CLOSED,
}
_RETURNED: Final = frozenset({DisputeState.WON, DisputeState.CLOSED, DisputeState.UNKNOWN})
"""The dispute states in which the buyer, as far as is known, has not got the money back."""


def read_events(event: WebhookEvent, make: MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to an event; none if it is not about a payment or dispute."""
    body = as_answer(event.data)
    key, code = body.text("id"), body.text("response_code")
    if key is not None and key.startswith(_DISPUTE):
        return _dispute_events(event, key, make)
    if key is None or not key.startswith(_PAYMENT):
        return ()
    money = UNITS.read(body.value("amount"), body.value("currency"))
    is_authorization = event.vendor_type in {_APPROVAL, _DECLINE}
    currency = body.text("currency")
    ref = payment_ref(make, key, money) if is_authorization else make(key, currency=currency)
    changes: dict[str, Any] = {"ask": True}
    if money is not None and code is not None:
        if is_authorization:
            changes = _authorization_changes(event, money, code)
        elif event.vendor_type in {*_MOVES, _VOID}:
            changes = _payment_changes(event, ref, money, make)
    return (
        PaymentEvent(
            id=event.id,
            ref=ref,
            vendor_type=event.vendor_type,
            vendor_state=code,
            at=body.time("processed_on") or event.time,
            # A capture and a refund have separate references.
            reference=body.text("reference") if is_authorization else None,
            raw=body.raw,
            **changes,
        ),
    )


def _authorization_changes(event: WebhookEvent, money: Money, code: str) -> dict[str, Any]:
    """The payment's changes by an authorisation; a look-up request if code and type disagree."""
    is_approved = code.startswith(_APPROVED)
    if is_approved is not (event.vendor_type == _APPROVAL):
        return {"ask": True}
    if is_approved:
        return {"state": PaymentState.AUTHORIZED, "amount": money, "authorized": money}
    decline = decline_of(as_answer(event.data))
    return {"state": PaymentState.FAILED, "amount": money, "decline": decline}


def _dispute_events(event: WebhookEvent, key: str, make: MakeRef) -> tuple[PaymentEvent, ...]:
    """The event of a dispute; none if it does not contain a payment."""
    body = as_answer(event.data)
    payment, state = body.text("payment_id"), _DISPUTES.get(event.vendor_type)
    currency = body.text("currency")
    dispute = Dispute(
        ref=make(key),
        payment=None if payment is None else make(payment, currency=currency),
        state=state or DisputeState.UNKNOWN,
        vendor_state=event.vendor_type,
        amount=UNITS.read(body.value("amount"), currency),
        reason=body.text("reason_code") or body.text("category"),
        respond_by=body.time("evidence_required_by"),
        raw=body.raw,
    )
    is_taken = dispute.state not in _RETURNED
    reference = body.text("payment_reference")
    return events_of(event, dispute_event(dispute, taken=is_taken, reference=reference))


def _payment_changes(
    event: WebhookEvent, payment: Ref, money: Money, make: MakeRef
) -> dict[str, Any]:
    """Payment changes by a capture, refund or void; a look-up request if totals are missing."""
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
    # A capture in several steps is complete when no authorised amount is left.
    total_state = state_of(total(body, "authorized", money.currency), captured, refunded)
    return changes | {"state": total_state if is_approved and is_known else None}
