"""Conversion of Adyen's notifications to payment events."""

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
)
from moorage.vendor_sdk import Answer, MakeRef, Money, Ref, WebhookEvent, as_answer, as_time
from moorage.vendors.payments._adyen_answers import UNITS, decline_of, read_flat

_CAPTURES: Final = {"CAPTURE": MoveState.SUCCEEDED, "CAPTURE_FAILED": MoveState.FAILED}
_REFUNDS: Final = {
    "REFUND": MoveState.SUCCEEDED,
    "REFUND_WITH_DATA": MoveState.SUCCEEDED,
    "REFUND_FAILED": MoveState.FAILED,
    "REFUNDED_REVERSED": MoveState.FAILED,
    "VOID_PENDING_REFUND": MoveState.CANCELED,
}
_ENDS: Final = {
    "CANCELLATION": PaymentState.VOIDED,
    "TECHNICAL_CANCEL": PaymentState.VOIDED,
    "EXPIRE": PaymentState.EXPIRED,
}
_DISPUTES: Final = {
    "REQUEST_FOR_INFORMATION": DisputeState.INQUIRY,
    "NOTIFICATION_OF_CHARGEBACK": DisputeState.NEEDS_RESPONSE,
    "CHARGEBACK": DisputeState.NEEDS_RESPONSE,
    "INFORMATION_SUPPLIED": DisputeState.UNDER_REVIEW,
    "ISSUER_COMMENTS": DisputeState.UNDER_REVIEW,
    "CHARGEBACK_REVERSED": DisputeState.WON,
    "SECOND_CHARGEBACK": DisputeState.LOST,
    "DISPUTE_DEFENSE_PERIOD_ENDED": DisputeState.LOST,
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": DisputeState.WON,
    "PREARBITRATION_OPEN": DisputeState.NEEDS_RESPONSE,
    "PREARBITRATION_ACCEPTED": DisputeState.ACCEPTED,
    "PREARBITRATION_DECLINED": DisputeState.UNDER_REVIEW,
    "PREARBITRATION_ISSUER_WITHDRAWN": DisputeState.WON,
    "PREARBITRATION_WON": DisputeState.WON,
    "PREARBITRATION_LOST": DisputeState.LOST,
    "SCHEME_ARBITRATION": DisputeState.UNDER_REVIEW,
    "SCHEME_ARBITRATION_WON": DisputeState.WON,
    "SCHEME_ARBITRATION_LOST": DisputeState.LOST,
}
_DISPUTE_STATES: Final = {
    "undefended": DisputeState.NEEDS_RESPONSE,
    "unresponded": DisputeState.INQUIRY,
    "pending": DisputeState.UNDER_REVIEW,
    "responded": DisputeState.UNDER_REVIEW,
    "accepted": DisputeState.ACCEPTED,
    "expired": DisputeState.LOST,
    "lost": DisputeState.LOST,
    "won": DisputeState.WON,
}
_TAKEN_CODES: Final = frozenset({"CHARGEBACK", "SECOND_CHARGEBACK"})
_NO_PAYMENT: Final = frozenset({"REPORT_AVAILABLE"})


def read_events(event: WebhookEvent, make: MakeRef, *, once: bool) -> tuple[PaymentEvent, ...]:
    """Convert a notification to an event; an event of unknown type gets no payment state.

    Args:
        event: the notification.
        make: makes references to objects of the account.
        once: True if the first capture releases the rest of the authorisation.
    """
    item, code = as_answer(event.data), event.vendor_type
    psp, success = item.text("pspReference"), item.flag("success")
    if psp is None or code in _NO_PAYMENT:
        return ()
    money = UNITS.read(item.value("amount.value"), item.value("amount.currency"))
    original_reference = item.text("originalReference")
    ref = _payment(make, psp, original_reference, money)
    changes: dict[str, Any] = {}
    if code in {"AUTHORISATION", "AUTHORISATION_ADJUSTMENT"}:
        changes = _authorised_fields(item, money, success=success, first=code == "AUTHORISATION")
    elif code in _CAPTURES:
        state = _CAPTURES[code] if success else MoveState.FAILED
        changes = {"capture": Capture(**_move_fields(make(psp), ref, state, money, event))}
        if once and state is MoveState.SUCCEEDED:
            changes["authorized"] = money
    elif code in _REFUNDS or (code == "CANCEL_OR_REFUND" and _action(item) == "refund"):
        done = MoveState.SUCCEEDED if code == "CANCEL_OR_REFUND" else _REFUNDS[code]
        state = done if success else MoveState.FAILED
        changes = {"refund": Refund(**_move_fields(make(psp), ref, state, money, event))}
    elif code in _ENDS or _action(item) == "cancel":
        changes = {"state": _ENDS.get(code, PaymentState.VOIDED) if success else None}
    elif code in _DISPUTES:
        changes = _disputed_fields(make(psp), ref if original_reference else None, money, event)
    return (
        PaymentEvent(
            id=event.id,
            ref=ref,
            vendor_type=code,
            vendor_state=item.text("success"),
            at=event.time,
            # The notification may name a payment other than the one that it changes.
            reference=None
            if original_reference and code not in _DISPUTES
            else item.text("merchantReference"),
            raw=item.raw,
            **changes,
        ),
    )


def _payment(make: MakeRef, psp: str, original: str | None, money: Money | None) -> Ref:
    if original is None:
        return payment_ref(make, psp, money)
    # This amount is not the payment's amount.
    return make(original, currency=None if money is None else money.currency)


def _action(item: Answer) -> str | None:
    return read_flat(item, "additionalData").get("modification.action")


def _authorised_fields(
    item: Answer, money: Money | None, *, success: bool | None, first: bool
) -> dict[str, Any]:
    if not first:
        return {"state": PaymentState.AUTHORIZED, "authorized": money} if success else {}
    if not success:
        decline = decline_of(None, item.text("reason"))
        return {"state": PaymentState.FAILED, "amount": money, "decline": decline}
    amounts = {"amount": money, "authorized": money}
    can = item.texts("operations")
    if can and "CAPTURE" not in can:
        # A payment that can no longer be captured was captured earlier.
        return {"state": PaymentState.CAPTURED, "captured": money, **amounts}
    return {"state": PaymentState.AUTHORIZED, **amounts}


def _move_fields(
    ref: Ref, payment: Ref, state: MoveState, money: Money | None, event: WebhookEvent
) -> dict[str, Any]:
    item = as_answer(event.data)
    return {
        "ref": ref,
        "payment": payment,
        "state": state,
        "vendor_state": event.vendor_type,
        "amount": money,
        "reason": item.text("reason") if state is MoveState.FAILED else None,
        "at": event.time,
        "raw": item.raw,
    }


def _disputed_fields(
    ref: Ref, payment: Ref | None, money: Money | None, event: WebhookEvent
) -> dict[str, Any]:
    item = as_answer(event.data)
    additional_data = read_flat(item, "additionalData")
    status = additional_data.get("disputeStatus")
    state = _DISPUTE_STATES.get((status or "").lower(), _DISPUTES[event.vendor_type])
    dispute = Dispute(
        ref=ref,
        payment=payment,
        state=state,
        vendor_state=status or event.vendor_type,
        amount=money,
        reason=additional_data.get("chargebackReasonCode", item.text("reason")),
        respond_by=as_time(additional_data.get("defensePeriodEndsAt")),
        raw=item.raw,
    )
    is_taken = payment is not None and event.vendor_type in _TAKEN_CODES
    return {"dispute": dispute, "state": PaymentState.DISPUTED if is_taken else None}
