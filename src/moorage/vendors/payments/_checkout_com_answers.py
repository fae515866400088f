"""Parsing of Checkout.com's responses: payments, actions, disputes, cards and errors."""

from __future__ import annotations

from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Decline,
    DeclineReason,
    Dispute,
    DisputeState,
    MeansOfPayment,
    MinorUnits,
    NextAction,
    NextActionType,
    Payment,
    PaymentState,
    StoredMeans,
    StoredState,
    payment_ref,
)
from moorage.vendors.payments._common import reason_by_code, safe_text

PAYMENTS: Final = "/payments"
UNITS: Final = MinorUnits(
    vendor="Checkout.com",
    exponents={"CLP": 2},
    steps=dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 10),
)
"""Checkout.com's minor units: pesos of Chile have two decimals, and the third digit must be 0."""

_STATES: Final = {
    "Pending": PaymentState.PENDING,
    "Authorized": PaymentState.AUTHORIZED,
    "Voided": PaymentState.VOIDED,
    "Canceled": PaymentState.VOIDED,
    "Expired": PaymentState.EXPIRED,
    "Partially Captured": PaymentState.PARTIALLY_CAPTURED,
    "Captured": PaymentState.CAPTURED,
    "Partially Refunded": PaymentState.PARTIALLY_REFUNDED,
    "Refunded": PaymentState.REFUNDED,
    "Declined": PaymentState.FAILED,
}
_ENDED_STATUSES: Final = frozenset({"Declined", "Canceled", "Expired"})
_REASONS: Final = reason_by_code(
    {
        DeclineReason.CALL_ISSUER: "20001 20002 20078",
        DeclineReason.DO_NOT_HONOR: "20005",
        DeclineReason.INCORRECT_NUMBER: "20014",
        DeclineReason.INCORRECT_CVC: "200N7 40104",
        DeclineReason.INVALID_EXPIRY: "20100",
        DeclineReason.INCORRECT_PIN: "20038 20075 30038",
        DeclineReason.INSUFFICIENT_FUNDS: "20051",
        DeclineReason.EXPIRED_CARD: "20054 30033",
        DeclineReason.AUTHENTICATION_REQUIRED: "20151 20154",
        DeclineReason.CARD_NOT_SUPPORTED: "20057 20062 20103 200T3 30036",
        DeclineReason.CURRENCY_NOT_SUPPORTED: "20106",
        DeclineReason.FRAUD_SUSPECTED: "20059 20183 30034 40101",
        DeclineReason.LIMIT_EXCEEDED: "20061 20065 200P1 30021",
        DeclineReason.LOST_OR_STOLEN: "30004 30007 30041 30043",
        DeclineReason.ACCOUNT_CLOSED: "30046",
        DeclineReason.PROCESSING_ERROR: "20003 20068 20091 20096 20153",
    }
)
_DISPUTES: Final = {
    "evidence_required": DisputeState.NEEDS_RESPONSE,
    "evidence_under_review": DisputeState.UNDER_REVIEW,
    "arbitration_under_review": DisputeState.UNDER_REVIEW,
    "resolved": DisputeState.CLOSED,
    "won": DisputeState.WON,
    "arbitration_won": DisputeState.WON,
    "canceled": DisputeState.WON,
    "lost": DisputeState.LOST,
    "arbitration_lost": DisputeState.LOST,
    "expired": DisputeState.LOST,
    "accepted": DisputeState.ACCEPTED,
}
_STEPS: Final = ("/captures", "/voids", "/refunds")
_FORBIDDEN: Final = 403
_MISSING: Final = 404
_TOO_MANY_REQUESTS: Final = 429
_UNPROCESSABLE: Final = 422


def read_payment(wire: sdk.Wire, requested: sdk.Money | None, response: sdk.Response) -> Payment:
    """Parse the payment in a response.

    Args:
        wire: makes the reference.
        requested: requested amount, which the response lacks while the payment is pending.
        response: the response.
    """
    body = sdk.read_answer(response)
    key, status = body.text("id"), body.text("status")
    amount = UNITS.read(body.value("amount"), body.value("currency")) or requested
    if key is None or status is None or amount is None:
        raise sdk.malformed(response, "id, status or amount")
    action = _next_action(body) if status == "Pending" else None
    return Payment(
        ref=payment_ref(wire.ref, key, amount),
        state=PaymentState.REQUIRES_ACTION
        if action is not None
        else _STATES.get(status, PaymentState.UNKNOWN),
        vendor_state=status,
        amount=amount,
        authorized=authorized_total(body, amount.currency)
        or (amount if status in {"Authorized", "Captured"} else None),
        captured=total(body, "captured", amount.currency) or _captured_amount(status, amount),
        refunded=total(body, "refunded", amount.currency) or amount * 0,
        next_action=action,
        decline=decline_of(body) if status == "Declined" else None,
        means=means_of(body.object("source")),
        reference=body.text("reference"),
        created_at=body.time("requested_on") or body.time("processed_on"),
        authorized_until=body.time("expires_on"),
        raw=body.raw,
    )


def total(body: sdk.Answer, name: str, currency: str) -> sdk.Money | None:
    """Return a total of a payment, such as "captured"; None if the response lacks it."""
    return UNITS.read(body.value(f"balances.total_{name}"), currency)


def authorized_total(body: sdk.Answer, currency: str) -> sdk.Money | None:
    """The authorised total minus the voided amount; None if it is missing."""
    authorized, voided = total(body, "authorized", currency), total(body, "voided", currency)
    return authorized if authorized is None or voided is None else authorized - voided


def _captured_amount(status: str, amount: sdk.Money) -> sdk.Money | None:
    if status == "Captured":
        return amount
    return amount * 0 if status in {"Pending", "Authorized", *_ENDED_STATUSES} else None


def _next_action(body: sdk.Answer) -> NextAction | None:
    url = body.text("_links.redirect.href")
    if url is None:
        return None
    return NextAction(type=NextActionType.REDIRECT, url=url, vendor_type="redirect")


def decline_of(body: sdk.Answer) -> Decline:
    """The reason for a declined payment or authorisation."""
    code = body.text("response_code")
    return Decline(
        reason=_REASONS.get(code or "", DeclineReason.OTHER),
        vendor_code=code,
        vendor_message=safe_text(body.text("response_summary")),
    )


def means_of(source: sdk.Answer) -> MeansOfPayment | None:
    """The payment method of a payment; None if there is none yet."""
    if source.text("type") is None:
        return None
    month, year = source.integer("expiry_month"), source.integer("expiry_year")
    return MeansOfPayment(
        type=source.text("type"),
        brand=source.text("scheme"),
        last4=source.text("last4"),
        expires=None if month is None or year is None else (year, month),
        stored=source.text("id"),
    )


def is_ended(payment: Payment) -> bool:
    """True if the payment cannot succeed any more."""
    return payment.vendor_state in _ENDED_STATUSES


def read_action_id(response: sdk.Response) -> tuple[sdk.Answer, str]:
    """Parse the id of a capture, void or refund; its outcome follows later."""
    body = sdk.read_answer(response)
    return body, sdk.required(body.text("action_id"), response, "action_id")


def dispute_of(ref: sdk.MakeRef, body: sdk.Answer) -> Dispute | None:
    """Parse a dispute; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    payment = body.text("payment_id") or body.text("payment.id")
    return Dispute(
        ref=ref(key),
        payment=None if payment is None else ref(payment),
        state=_DISPUTES.get(status, DisputeState.UNKNOWN),
        vendor_state=status,
        amount=UNITS.read(body.value("amount"), body.value("currency")),
        reason=body.text("reason_code") or body.text("category"),
        respond_by=body.time("evidence_required_by"),
        created_at=body.time("received_on"),
        raw=body.raw,
    )


def stored_of(ref: sdk.MakeRef, body: sdk.Answer, customer: str) -> StoredMeans | None:
    """Parse a customer's stored card; None if it is malformed."""
    key, means = body.text("id"), means_of(body)
    if key is None or means is None:
        return None
    return StoredMeans(
        ref=ref(key, customer=customer),
        state=StoredState.STORED,
        customer=customer,
        means=means,
        raw=body.raw,
    )


def removed(ref: sdk.Ref, response: sdk.Response | None = None) -> StoredMeans:
    """The removed payment method; Checkout.com's response is empty."""
    if response is not None and response.body:
        raise sdk.malformed(
            response, problem="has a body, although a successful response must be empty"
        )
    return StoredMeans(ref=ref, state=StoredState.REMOVED, customer=ref.other("customer"))


def was_removed(error: sdk.VendorRejected) -> bool:
    """True if an earlier attempt, whose response was lost, removed the payment method."""
    return error.status == _MISSING and error.attempts > 1


# --- refusals ----------------------------------------------------------------


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, which is more specific than the status."""
    if sdk.is_success(response.status):
        return _decline(request, response)
    body = sdk.error_answer(response)
    codes = body.texts("error_codes")
    code = next(iter(codes), None) or body.text("error_type")
    details: dict[str, Any] = {"status": response.status, "response": response, "vendor_code": code}
    message = safe_text(", ".join(codes)) or safe_text(code)
    is_step = request.method is sdk.HttpMethod.POST and request.path.endswith(_STEPS)
    if is_step and response.status in {_FORBIDDEN, _UNPROCESSABLE}:
        return sdk.VendorRejected(
            f"Checkout.com refused this step of the payment ({message or response.status}).",
            remedy="Look the payment up: it may be in a later state, or the rest of its"
            " amount may be too small.",
            **details,
        )
    if response.status == _TOO_MANY_REQUESTS and "duplicate" in (message or ""):
        return sdk.IdempotencyInProgress(
            f"Checkout.com is still working on a request with this key: {message}"
        )
    if response.status == _UNPROCESSABLE:
        return sdk.InvalidRequest(f"Checkout.com refused the request: {message}", **details)
    return None


def _decline(request: sdk.Request, response: sdk.Response) -> sdk.PaymentDeclined | None:
    """The error for a new payment that was declined immediately."""
    if request.method is not sdk.HttpMethod.POST or request.path != PAYMENTS:
        return None
    body = sdk.error_answer(response)
    if body.text("status") != "Declined":
        return None
    return decline_error(
        decline_of(body), body.text("id"), status=response.status, response=response
    )


def decline_error(decline: Decline, payment: str | None, **answered: Any) -> sdk.PaymentDeclined:
    """The error for a declined payment, with the payment's reference or id."""
    return sdk.PaymentDeclined(
        f"The payment was declined: {decline.vendor_message or decline.vendor_code}",
        reason=decline.reason,
        payment=payment,
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
        **answered,
    )
