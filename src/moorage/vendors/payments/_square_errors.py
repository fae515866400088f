"""Square's errors, and payments that failed immediately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._common import safe_text
from moorage.vendors.payments._square_answers import decline_of, failure_of
from moorage.vendors.payments._square_requests import PAYMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_STATE_CODES: Final = frozenset({"CONFLICT", "GONE", "NOT_FOUND"})
_KINDS: Final[Mapping[str, Callable[..., sdk.ConnectorError]]] = {
    "API_ERROR": sdk.VendorFailed,
    "AUTHENTICATION_ERROR": sdk.AuthenticationFailed,
    "EXTERNAL_VENDOR_ERROR": sdk.VendorFailed,
    "INVALID_REQUEST_ERROR": sdk.InvalidRequest,
    "MERCHANT_SUBSCRIPTION_ERROR": sdk.VendorRejected,
    "REFUND_ERROR": sdk.VendorRejected,
}


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response's category and code, more specific than the status."""
    body = sdk.error_answer(response)
    if sdk.is_success(response.status):
        return _immediate_decline(request, response, body)
    error = next(body.objects("errors"), sdk.Answer({}))
    category, code = error.text("category"), error.text("code")
    words = safe_text(error.text("detail"))
    details: dict[str, Any] = {"status": response.status, "response": response}
    details |= {"vendor_code": code, "vendor_message": words}
    if code == "IDEMPOTENCY_KEY_REUSED":
        return sdk.IdempotencyConflict(
            f"Square received this key before, with another request: {words}"
        )
    if category == "PAYMENT_METHOD_ERROR":
        return sdk.PaymentDeclined(
            f"The payment was declined: {words or code}",
            reason=decline_of(error).reason,
            payment=body.text("payment.id"),
            **details,
        )
    if category == "RATE_LIMIT_ERROR":
        return sdk.RateLimitExceeded(
            f"Square's rate limit is reached: {words}", by_vendor=True, **details
        )
    kind = sdk.VendorRejected if code in _STATE_CODES else _KINDS.get(category or "")
    return None if kind is None else kind(f"Square refused: {words or code}", **details)


def _immediate_decline(
    request: sdk.Request, response: sdk.Response, body: sdk.Answer
) -> sdk.PaymentDeclined | None:
    payment = body.object("payment")
    is_charge = request.method is sdk.HttpMethod.POST and request.path == PAYMENTS
    if not is_charge or payment.text("status") != "FAILED":
        return None
    decline = failure_of(payment)
    return sdk.PaymentDeclined(
        f"The payment failed: {decline.vendor_message or decline.vendor_code}",
        reason=decline.reason,
        payment=payment.text("id"),
        status=response.status,
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
        response=response,
    )
