"""Parsing of Mollie's responses: payments, captures, refunds, chargebacks and errors."""

from __future__ import annotations

import re
from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Capture,
    Decline,
    DeclineReason,
    Dispute,
    DisputeState,
    MeansOfPayment,
    MoveState,
    NextAction,
    NextActionType,
    Payment,
    PaymentState,
    Refund,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import safe_text

PAYMENTS: Final = "/v2/payments"
KEY: Final = 64
_STATES: Final = {
    "open": PaymentState.PENDING,
    "pending": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORIZED,
    "paid": PaymentState.CAPTURED,
    "canceled": PaymentState.VOIDED,
    "expired": PaymentState.EXPIRED,
    "failed": PaymentState.FAILED,
}
_CAPTURES: Final = {
    "pending": MoveState.PENDING,
    "succeeded": MoveState.SUCCEEDED,
    "failed": MoveState.FAILED,
}
_REFUNDS: Final = {
    "queued": MoveState.PENDING,
    "pending": MoveState.PENDING,
    "processing": MoveState.PENDING,
    "refunded": MoveState.SUCCEEDED,
    "failed": MoveState.FAILED,
    "canceled": MoveState.CANCELED,
}
_REASONS: Final = {
    "AC01": DeclineReason.INCORRECT_NUMBER,
    "AC04": DeclineReason.ACCOUNT_CLOSED,
    "AM04": DeclineReason.INSUFFICIENT_FUNDS,
    "authentication_abandoned": DeclineReason.AUTHENTICATION_REQUIRED,
    "authentication_failed": DeclineReason.AUTHENTICATION_REQUIRED,
    "authentication_required": DeclineReason.AUTHENTICATION_REQUIRED,
    "authentication_unavailable_acs": DeclineReason.AUTHENTICATION_REQUIRED,
    "canceled": DeclineReason.CANCELED_BY_BUYER,
    "card_declined": DeclineReason.DO_NOT_HONOR,
    "card_expired": DeclineReason.EXPIRED_CARD,
    "inactive_card": DeclineReason.CALL_ISSUER,
    "insufficient_funds": DeclineReason.INSUFFICIENT_FUNDS,
    "invalid_card_number": DeclineReason.INCORRECT_NUMBER,
    "invalid_card_type": DeclineReason.CARD_NOT_SUPPORTED,
    "invalid_cvv": DeclineReason.INCORRECT_CVC,
    "possible_fraud": DeclineReason.FRAUD_SUSPECTED,
    "refused_by_issuer": DeclineReason.DO_NOT_HONOR,
}
"""Mollie's reasons, and banks' reasons for returned direct debits (ISO 20022)."""

_ENDED_STATUSES: Final = frozenset({"failed", "canceled", "expired"})
_DUPLICATE: Final = "duplicate"
"""Mollie's word for a refund that repeats an earlier one; other conflicts concern keys in use."""
_EXPIRES: Final = re.compile(r"([0-9]{2})/([0-9]{2})")


def amount_body(amount: sdk.Money) -> dict[str, str]:
    """An amount in Mollie's format, with all decimals of its currency."""
    return {"currency": amount.currency, "value": str(amount.amount)}


def read_payment(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the payment in a response."""
    return sdk.required(
        payment_of(wire.ref, sdk.read_answer(response)), response, "id, status or amount"
    )


def payment_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payment | None:
    """Parse a payment; None if it is malformed."""
    key, status, amount = body.text("id"), body.text("status"), money(body, "amount")
    if key is None or status is None or amount is None:
        return None
    reference = payment_ref(ref, key, amount)
    captured = _captured_amount(body, status, amount)
    refunded_amount = money(body, "amountRefunded") or amount * 0
    action = _next_action(body) if status == "open" else None
    embedded_answer = body.object("_embedded")
    subscription = body.text("subscriptionId")
    return Payment(
        ref=reference,
        state=_payment_state(body, action)
        or state_of(amount, captured, refunded_amount)
        or _STATES.get(status, PaymentState.UNKNOWN),
        vendor_state=status,
        amount=amount,
        authorized=amount if status == "authorized" else captured,
        captured=captured,
        refunded=refunded_amount,
        next_action=action,
        decline=decline_of(body) if status == "failed" else None,
        means=means_of(body, body.text("mandateId")),
        reference=body.text("metadata.reference"),
        captures=_read_all(ref, embedded_answer, "captures", capture_of),
        refunds=_read_all(ref, embedded_answer, "refunds", refund_of),
        subscription=None
        if subscription is None
        else ref(subscription, customer=body.text("customerId"), currency=amount.currency),
        created_at=body.time("createdAt"),
        authorized_until=body.time("captureBefore"),
        raw=body.raw,
    )


def _payment_state(body: sdk.Answer, action: NextAction | None) -> PaymentState | None:
    """The state that follows from the captured and refunded totals; None if both are zero."""
    chargeback_amount = money(body, "amountChargedBack")
    if chargeback_amount is not None and chargeback_amount.minor > 0:
        return PaymentState.DISPUTED
    return PaymentState.REQUIRES_ACTION if action is not None else None


def _captured_amount(body: sdk.Answer, status: str, amount: sdk.Money) -> sdk.Money | None:
    captured = money(body, "amountCaptured")
    if status == "paid" and (captured is None or captured.minor == 0):
        # A separate capture need not be reported.
        return amount
    return amount * 0 if captured is None and status in _STATES else captured


def money(body: sdk.Answer, name: str) -> sdk.Money | None:
    """Return the amount of money in a field of a response."""
    return sdk.as_money(body.value(f"{name}.value"), body.value(f"{name}.currency"))


def _next_action(body: sdk.Answer) -> NextAction | None:
    url = body.text("_links.checkout.href")
    if url is None:
        return None
    return NextAction(
        type=NextActionType.REDIRECT,
        url=url,
        expires_at=body.time("expiresAt"),
        vendor_type="checkout",
    )


def decline_of(body: sdk.Answer) -> Decline:
    """Return the reason for which a payment ended without success."""
    details = body.object("details")
    code = (
        details.text("failureReason")
        or details.text("bankReasonCode")
        or body.text("statusReason.code")
        or body.text("status")
    )
    return Decline(
        reason=_REASONS.get(code or "", DeclineReason.OTHER),
        vendor_code=code,
        vendor_message=safe_text(
            details.text("failureMessage")
            or details.text("bankReason")
            or body.text("statusReason.message")
        ),
    )


def means_of(body: sdk.Answer, stored: str | None) -> MeansOfPayment | None:
    """The payment method of a payment or mandate; None if there is none yet."""
    method, details = body.text("method"), body.object("details")
    if method is None:
        return None
    number = details.text("cardNumber") or details.text("consumerAccount")
    expires = _EXPIRES.fullmatch(details.text("cardExpiryDate") or "")
    return MeansOfPayment(
        type=method,
        brand=details.text("cardLabel"),
        last4=None if number is None else number[-4:],
        expires=None if expires is None else (2000 + int(expires[2]), int(expires[1])),
        wallet=details.text("wallet"),
        stored=stored,
    )


def _read_all(ref: sdk.MakeRef, embedded: sdk.Answer, name: str, read_one: Any) -> tuple[Any, ...]:
    results = (read_one(ref, item) for item in embedded.objects(name))
    return tuple(item for item in results if item is not None)


def capture_of(ref: sdk.MakeRef, body: sdk.Answer) -> Capture | None:
    """Parse a capture; None if it is malformed."""
    key, payment = body.text("id"), body.text("paymentId")
    if key is None or payment is None:
        return None
    status = body.text("status")
    return Capture(
        ref=ref(key, payment=payment),
        payment=ref(payment),
        state=_CAPTURES.get(status or "", MoveState.UNKNOWN),
        vendor_state=status,
        amount=money(body, "amount"),
        at=body.time("createdAt"),
        raw=body.raw,
    )


def refund_of(ref: sdk.MakeRef, body: sdk.Answer) -> Refund | None:
    """Parse a refund; None if it is malformed."""
    key, payment, status = body.text("id"), body.text("paymentId"), body.text("status")
    if key is None or payment is None or status is None:
        return None
    return Refund(
        ref=ref(key, payment=payment),
        payment=ref(payment),
        state=_REFUNDS.get(status, MoveState.UNKNOWN),
        vendor_state=status,
        amount=money(body, "amount"),
        at=body.time("createdAt"),
        raw=body.raw,
    )


def dispute_of(ref: sdk.MakeRef, body: sdk.Answer) -> Dispute | None:
    """Parse a chargeback: won if reversed, otherwise lost; None if malformed."""
    key, payment = body.text("id"), body.text("paymentId")
    if key is None or payment is None:
        return None
    is_reversed = body.time("reversedAt") is not None
    return Dispute(
        ref=ref(key, payment=payment),
        payment=ref(payment),
        state=DisputeState.WON if is_reversed else DisputeState.LOST,
        vendor_state="reversed" if is_reversed else None,
        amount=money(body, "amount"),
        reason=body.text("reason.code"),
        created_at=body.time("createdAt"),
        raw=body.raw,
    )


def read_capture(wire: sdk.Wire, response: sdk.Response) -> Capture:
    """Parse the capture in a response."""
    return sdk.required(
        capture_of(wire.ref, sdk.read_answer(response)), response, "id or paymentId"
    )


def read_refund(wire: sdk.Wire, response: sdk.Response) -> Refund:
    """Parse the refund in a response."""
    return sdk.required(
        refund_of(wire.ref, sdk.read_answer(response)), response, "id, paymentId or status"
    )


def refused_error(payment: Payment) -> sdk.PaymentDeclined | None:
    """The error for a payment that has failed when the buyer returns."""
    if payment.vendor_state not in _ENDED_STATUSES:
        return None
    return _decline_error(sdk.as_answer(payment.raw), str(payment.ref))


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, which is more specific than the status."""
    if sdk.is_success(response.status):
        return _refusal(request, response)
    words = sdk.vendor_code_and_message(response)[1]
    if response.status == 400 and "idempoten" in (words or "").lower():
        return sdk.IdempotencyConflict(
            f"Mollie received this key before, with another request: {words}"
        )
    if response.status != 409:
        return None
    if request.path.endswith("/refunds") and _DUPLICATE in (words or "").lower():
        return sdk.VendorRejected(
            f"Mollie considers this a duplicate refund: {words}",
            status=409,
            vendor_message=words,
            response=response,
            remedy="Look at the payment's refunds; refund the same amount again a little later.",
        )
    return sdk.IdempotencyInProgress(f"Mollie is still working on a request with this key: {words}")


def _refusal(request: sdk.Request, response: sdk.Response) -> sdk.PaymentDeclined | None:
    """The error for a new payment that failed immediately."""
    if request.method is not sdk.HttpMethod.POST or request.path != PAYMENTS:
        return None
    body = sdk.error_answer(response)
    if body.text("status") not in _ENDED_STATUSES:
        return None
    return _decline_error(body, body.text("id"), status=response.status, response=response)


def _decline_error(body: sdk.Answer, payment: str | None, **answered: Any) -> sdk.PaymentDeclined:
    decline = decline_of(body)
    return sdk.PaymentDeclined(
        f"Mollie reports the payment as {body.text('status')}"
        f" ({decline.vendor_message or decline.vendor_code}).",
        reason=decline.reason,
        payment=payment,
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
        **answered,
    )
