"""Conversion of Stripe's webhooks to events, and of its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Decline,
    DeclineReason,
    DisputeState,
    PaymentEvent,
    PaymentState,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import (
    dispute_event,
    events_of,
    payment_event,
    payout_event,
    refund_event,
)
from moorage.vendors.payments._stripe_answers import (
    decline_of,
    dispute_of,
    money,
    payment_of,
    payout_of,
    refund_of,
)
from moorage.vendors.payments._stripe_subscriptions import invoice_event, subscription_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_MONEY_WITHDRAWN: Final = {
    DisputeState.NEEDS_RESPONSE,
    DisputeState.UNDER_REVIEW,
    DisputeState.LOST,
}
_ENDS: Final = {
    "charge.expired": PaymentState.EXPIRED,
    "charge.failed": PaymentState.FAILED,
}
_CHARGES: Final = {"pending": PaymentState.PENDING, "failed": PaymentState.FAILED}
_OUT_OF_STATE: Final = sdk.word_set(
    "charge_already_captured charge_already_refunded charge_disputed charge_expired_for_capture"
    " payment_intent_unexpected_state"
)


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to events of payments, disputes, payouts and subscriptions."""
    fields = sdk.as_answer(event.data)
    reader = _READERS.get(fields.text("object") or "")
    return events_of(event, reader and reader(ref, fields, event.vendor_type))


def _intent_event(ref: sdk.MakeRef, body: sdk.Answer, _: str) -> PaymentEvent | None:
    return payment_event(payment_of(ref, body))


def _charge_event(ref: sdk.MakeRef, body: sdk.Answer, kind: str) -> PaymentEvent | None:
    key = body.text("payment_intent") or body.text("id")
    if key is None:
        return None
    amount, status = money(body, "amount"), body.text("status")
    is_failed = kind == "charge.failed"
    captured = refunded_amount = None
    state: PaymentState | None = _CHARGES.get(status or "", PaymentState.UNKNOWN)
    if status in {None, "succeeded"}:
        # Stripe also marks a pending charge as captured.
        captured = money(body, "amount_captured")
        refunded_amount = money(body, "amount_refunded") if body.flag("captured") else None
        state = state_of(amount, captured, refunded_amount)
    return PaymentEvent(
        id=None,
        ref=payment_ref(ref, key, amount),
        state=_ENDS.get(kind) or state,
        vendor_state=status,
        reference=body.text("metadata.reference"),
        amount=amount,
        captured=captured,
        refunded=refunded_amount,
        decline=_failure(body) if is_failed else None,
    )


def _failure(charge: sdk.Answer) -> Decline:
    """Return the reason for a failed charge: the bank's reason, or else Stripe's code."""
    reason, code = charge.text("outcome.reason"), charge.text("failure_code")
    fields = {"decline_code": reason, "code": code, "message": charge.value("failure_message")}
    return decline_of(sdk.as_answer(fields)) or Decline(reason=DeclineReason.OTHER)


def _refund_event(ref: sdk.MakeRef, body: sdk.Answer, _: str) -> PaymentEvent | None:
    return refund_event(refund_of(ref, body))


def _dispute_event(ref: sdk.MakeRef, body: sdk.Answer, _: str) -> PaymentEvent | None:
    dispute = dispute_of(ref, body)
    return dispute_event(dispute, taken=dispute is not None and dispute.state in _MONEY_WITHDRAWN)


def _payout_event(ref: sdk.MakeRef, body: sdk.Answer, _: str) -> PaymentEvent | None:
    return payout_event(payout_of(ref, body))


def _subscription_event(ref: sdk.MakeRef, body: sdk.Answer, _: str) -> PaymentEvent | None:
    return subscription_event(ref, body)


_READERS: Final[Mapping[str, Callable[[sdk.MakeRef, sdk.Answer, str], PaymentEvent | None]]] = {
    "payment_intent": _intent_event,
    "charge": _charge_event,
    "refund": _refund_event,
    "dispute": _dispute_event,
    "payout": _payout_event,
    "subscription": _subscription_event,
    "invoice": invoice_event,
}


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response's type and code, which are more specific than the status."""
    if sdk.is_success(response.status):
        return None
    _code, words = sdk.vendor_code_and_message(response)
    if response.status >= 500:
        # A failure that Stripe has stored under the key is returned to every repeat.
        is_final = (response.headers.get("Stripe-Should-Retry") or "").lower() == "false"
        return _failure_error(response, words) if is_final else None
    error = sdk.error_answer(response).object("error")
    kind, code = error.text("type"), error.text("code")
    if code in {"idempotency_key_in_use", "lock_timeout"} or (
        response.status == 409 and kind == "idempotency_error"
    ):
        return sdk.IdempotencyInProgress(f"Stripe is still working on this: {words or code}")
    if kind == "idempotency_error":
        return sdk.IdempotencyConflict(
            f"Stripe received this key before, with another request: {words}"
        )
    details: dict[str, Any] = {"status": response.status, "response": response}
    details["vendor_message"] = words
    if kind == "card_error":
        decline = decline_of(error) or Decline(reason=DeclineReason.OTHER)
        return sdk.PaymentDeclined(
            f"The payment was declined: {words or decline.vendor_code}",
            reason=decline.reason,
            payment=error.text("payment_intent.id"),
            vendor_code=decline.vendor_code,
            **details,
        )
    if code in _OUT_OF_STATE:
        return sdk.VendorRejected(
            f"Stripe refused: {words or code}",
            vendor_code=code,
            remedy="Look the payment up. Its state no longer allows this step.",
            **details,
        )
    return None


def _failure_error(response: sdk.Response, words: str | None) -> sdk.VendorFailed:
    return sdk.VendorFailed(
        f"Stripe failed (HTTP {response.status}), and will return the same response to every"
        " retry.",
        status=response.status,
        vendor_message=words,
        response=response,
        retryable=False,
        remedy="Look the payment up at Stripe. If nothing was done, repeat the operation with"
        " another key.",
    )
