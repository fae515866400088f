"""Conversion of PayPal's webhooks to events, and of its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Decline, DisputeState, MoveState, PaymentEvent, PaymentState
from moorage.vendors.payments._common import dispute_event, events_of, payment_event
from moorage.vendors.payments._paypal_answers import (
    capture_id,
    capture_of,
    decline_of,
    decline_reason,
    money,
    order_id,
    payment_of,
    refund_of,
    refunded_order,
)
from moorage.vendors.payments._paypal_charges import sale_event, subscription_event
from moorage.vendors.payments._paypal_disputes import dispute_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_USED_BATCH_FIELD: Final = "SENDER_BATCH_ID"
"""The field that an error names if the id of a payout batch was used before."""
_TIMEOUT: Final = 408
_CONFLICT: Final = 409
_BUSY_ISSUES: Final = frozenset({"ORDER_COMPLETION_IN_PROGRESS", "PREVIOUS_REQUEST_IN_PROGRESS"})
_REFUSED_STATUSES: Final = frozenset({"DECLINED", "DENIED", "FAILED"})
_LOST_DISPUTES: Final = frozenset({DisputeState.ACCEPTED, DisputeState.LOST})
_KINDS: Final[Mapping[int, Callable[..., sdk.ConnectorError]]] = {
    400: sdk.InvalidRequest,
    401: sdk.AuthenticationFailed,
    403: sdk.AuthenticationFailed,
    429: sdk.RateLimitExceeded,
}
_AUTHORIZED: Final = {
    "PAYMENT.AUTHORIZATION.CREATED": PaymentState.AUTHORIZED,
    "PAYMENT.AUTHORIZATION.VOIDED": PaymentState.VOIDED,
}


def read_events(event: sdk.WebhookEvent, make: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to events; none if it is unknown or unrelated."""
    kind, body = event.vendor_type, sdk.as_answer(event.data)
    reader = next((read_one for start, read_one in _READERS if kind.startswith(start)), None)
    return events_of(event, reader and reader(make, body, kind))


def _order_event(make: sdk.MakeRef, body: sdk.Answer, _: str) -> PaymentEvent | None:
    return payment_event(payment_of(make, body))


def _reversal_event(make: sdk.MakeRef, body: sdk.Answer, kind: str) -> PaymentEvent | None:
    """The event for an order that the buyer approved but that was not captured in time."""
    key = body.text("order_id")
    if key is None:
        return None
    return PaymentEvent(id=None, ref=make(key), state=PaymentState.EXPIRED, vendor_state=kind)


def _authorization_event(make: sdk.MakeRef, body: sdk.Answer, kind: str) -> PaymentEvent | None:
    key, status = body.text("id"), body.text("status")
    payment = _payment(make, order_id(body), authorization=key)
    if key is None or payment is None:
        return None
    amount = money(body, "amount")
    return PaymentEvent(
        id=None,
        ref=payment,
        state=_AUTHORIZED.get(kind),
        vendor_state=status,
        reference=body.text("custom_id"),
        authorized=amount if kind == "PAYMENT.AUTHORIZATION.CREATED" else None,
    )


def _capture_event(make: sdk.MakeRef, body: sdk.Answer, _: str) -> PaymentEvent | None:
    key = body.text("id")
    payment = _payment(make, order_id(body)) or _payment_of_capture(make, key)
    capture = None if payment is None else capture_of(make, payment, body)
    if payment is None or capture is None:
        return None
    is_failed = capture.state is MoveState.FAILED
    return PaymentEvent(
        id=None,
        ref=payment,
        vendor_state=capture.vendor_state,
        state=PaymentState.FAILED if is_failed else None,
        decline=decline_of(body) if is_failed else None,
        reference=body.text("custom_id"),
        capture=capture,
        ask=_is_capture(payment),
    )


def _refund_event(make: sdk.MakeRef, body: sdk.Answer, _: str) -> PaymentEvent | None:
    payment = _payment(make, refunded_order(body)) or _payment_of_capture(make, capture_id(body))
    refund = refund_of(make, payment, body)
    if payment is None or refund is None:
        return None
    return PaymentEvent(
        id=None,
        ref=payment,
        vendor_state=refund.vendor_state,
        refund=refund,
        ask=_is_capture(payment),
    )


def _reversed_event(make: sdk.MakeRef, body: sdk.Answer, kind: str) -> PaymentEvent | None:
    """The event for money that PayPal took back from the seller, by a refund or a capture."""
    payment = _payment(make, order_id(body))
    if payment is None or capture_id(body) is not None:
        return _refund_event(make, body, kind)
    return PaymentEvent(
        id=None,
        ref=payment,
        state=PaymentState.REFUNDED,
        vendor_state=body.text("status"),
        reference=body.text("custom_id"),
        refunded=money(body, "amount"),
    )


def _dispute_event(make: sdk.MakeRef, body: sdk.Answer, kind: str) -> PaymentEvent | None:
    dispute = dispute_of(make, body)
    is_taken = kind.endswith(".CREATED") or (
        dispute is not None and dispute.state in _LOST_DISPUTES
    )
    reference = body.text("disputed_transactions.0.custom")
    return dispute_event(dispute, taken=is_taken, reference=reference)


def _payment(make: sdk.MakeRef, order: str | None, **related: str | None) -> sdk.Ref | None:
    return None if order is None else make(order, **related)


def _payment_of_capture(make: sdk.MakeRef, capture: str | None) -> sdk.Ref | None:
    """A payment that is known only by a capture's id; `get` finds the payment by that id."""
    return None if capture is None else make(capture, capture=capture)


def _is_capture(payment: sdk.Ref) -> bool:
    return payment.other("capture") == payment.id


_READERS: Final[
    tuple[tuple[str, Callable[[sdk.MakeRef, sdk.Answer, str], PaymentEvent | None]], ...]
] = (
    ("CHECKOUT.ORDER.", _order_event),
    ("CHECKOUT.PAYMENT-APPROVAL.REVERSED", _reversal_event),
    ("PAYMENT.AUTHORIZATION.", _authorization_event),
    ("PAYMENT.CAPTURE.REFUNDED", _refund_event),
    ("PAYMENT.CAPTURE.REVERSED", _reversed_event),
    ("PAYMENT.CAPTURE.", _capture_event),
    ("PAYMENT.REFUND.", _refund_event),
    ("CUSTOMER.DISPUTE.", _dispute_event),
    ("BILLING.SUBSCRIPTION.", subscription_event),
    ("PAYMENT.SALE.", sale_event),
)
"""Converters of events, by the beginning of their types."""


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, which is more specific than the status."""
    body = sdk.error_answer(response)
    if sdk.is_success(response.status):
        return _decline_error(body, response) if request.method is sdk.HttpMethod.POST else None
    details = body.object("details.0")
    if response.status == _CONFLICT and details.text("issue") is None:
        # Of two concurrent requests with the same id, PayPal fails the second.
        return sdk.IdempotencyInProgress("PayPal is still working on a request with this key.")
    code = details.text("issue") or body.text("name")
    if response.status >= 500 or response.status == _TIMEOUT or code is None:
        return None
    words = sdk.masked_words(_error_text(body, details) or code)
    error_fields: dict[str, Any] = {
        "status": response.status,
        "vendor_code": code,
        "vendor_message": words,
        "response": response,
    }
    if code in _BUSY_ISSUES:
        return sdk.IdempotencyInProgress(f"PayPal is still working on this: {words}")
    reason = decline_reason(code)
    if reason is not None:
        return sdk.PaymentDeclined(
            f"The payment was declined: {words}", reason=reason, **error_fields
        )
    default_error = sdk.InvalidRequest if details.text("field") is not None else sdk.VendorRejected
    kind = _KINDS.get(response.status, default_error)
    if kind is sdk.RateLimitExceeded:
        error_fields["by_vendor"] = True
    return kind(f"PayPal refused: {words}", **error_fields)


def _error_text(body: sdk.Answer, details: sdk.Answer) -> str | None:
    """The text of an error; for a payout whose batch id was used before, with the batch's URL."""
    if details.text("field") != _USED_BATCH_FIELD:
        return details.text("description") or body.text("message")
    words = (details.text("issue"), details.text("link.0.href") or details.text("links.0.href"))
    return " ".join(filter(None, words)) or None


def declined_error(decline: Decline, payment: str | None, **details: Any) -> sdk.PaymentDeclined:
    """The error for a payment that was attempted and declined."""
    return sdk.PaymentDeclined(
        f"The payment was declined ({decline.vendor_code}).",
        reason=decline.reason,
        payment=payment,
        vendor_code=decline.vendor_code,
        **details,
    )


def _decline_error(body: sdk.Answer, response: sdk.Response) -> sdk.PaymentDeclined | None:
    """The error for an order whose last capture or authorisation was declined; otherwise None."""
    payments = body.object("purchase_units.0.payments")
    tries = [*payments.objects("authorizations"), *payments.objects("captures")]
    if not tries or tries[-1].text("status") not in _REFUSED_STATUSES:
        return None
    details = {"status": response.status, "response": response}
    return declined_error(decline_of(tries[-1]), body.text("id"), **details)
