"""Parsing of Razorpay's responses: payments, orders, refunds, disputes, settlements and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Capture,
    Decline,
    DeclineReason,
    Dispute,
    DisputeState,
    LinkState,
    MeansOfPayment,
    MinorUnits,
    MoveState,
    Payment,
    PaymentLink,
    PaymentState,
    Payout,
    PayoutState,
    Refund,
    StoredMeans,
    StoredState,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import answered_at, reason_by_code, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable


R = TypeVar("R")

RECURRING: Final = "/v1/payments/create/recurring"
UNITS: Final = MinorUnits(
    vendor="Razorpay",
    steps=dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 10),
)
"""Razorpay's minor units: those of ISO 4217, and the third digit must be 0."""
AUTHORIZED: Final = "authorized"
CAPTURED: Final = "captured"

_STATES: Final = {
    "created": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORIZED,
    "captured": PaymentState.CAPTURED,
    "refunded": PaymentState.REFUNDED,
    "failed": PaymentState.FAILED,
}
_CAPTURED_STATUSES: Final = frozenset({"captured", "refunded"})
_ORDERS: Final = {
    "created": PaymentState.REQUIRES_ACTION,
    "attempted": PaymentState.REQUIRES_ACTION,
    "paid": PaymentState.PENDING,
}
_REFUNDS: Final = {
    "pending": MoveState.PENDING,
    "processed": MoveState.SUCCEEDED,
    "failed": MoveState.FAILED,
}
_DISPUTES: Final = {
    "open": DisputeState.NEEDS_RESPONSE,
    "under_review": DisputeState.UNDER_REVIEW,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
    "closed": DisputeState.CLOSED,
}
_SETTLEMENTS: Final = {
    "created": PayoutState.PENDING,
    "processed": PayoutState.PAID,
    "failed": PayoutState.FAILED,
}
_TOKENS: Final = {
    "initiated": StoredState.PENDING,
    "confirmed": StoredState.STORED,
    "rejected": StoredState.FAILED,
    "cancelled": StoredState.REMOVED,
}
_LINKS: Final = {
    "created": LinkState.OPEN,
    "partially_paid": LinkState.PENDING,
    "paid": LinkState.PAID,
    "expired": LinkState.EXPIRED,
    "cancelled": LinkState.CLOSED,
}
_REASONS: Final = reason_by_code(
    {
        DeclineReason.INSUFFICIENT_FUNDS: "insufficient_funds",
        DeclineReason.EXPIRED_CARD: "card_expired",
        DeclineReason.INCORRECT_CVC: "incorrect_cvv",
        DeclineReason.INCORRECT_NUMBER: "card_number_invalid",
        DeclineReason.DO_NOT_HONOR: "card_declined payment_failed",
        DeclineReason.LOST_OR_STOLEN: "debit_instrument_blocked",
        DeclineReason.FRAUD_SUSPECTED: "payment_risk_check_failed",
        DeclineReason.AUTHENTICATION_REQUIRED: "authentication_failed invalid_otp",
        DeclineReason.LIMIT_EXCEEDED: "transaction_limit_exceeded",
        DeclineReason.CARD_NOT_SUPPORTED: "card_not_enrolled card_disabled_for_online_payments"
        " debit_instrument_inactive",
        DeclineReason.PROCESSING_ERROR: "gateway_technical_error bank_technical_error",
        DeclineReason.ACCOUNT_CLOSED: "bank_account_invalid",
        DeclineReason.CANCELED_BY_BUYER: "payment_cancelled payment_timed_out",
    }
)
_BAD_REQUEST: Final = 400


def read_payment(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the payment in a response."""
    payment = payment_of(wire.ref, sdk.read_answer(response))
    if payment is None:
        raise sdk.malformed(response, "id, status, amount or currency")
    return attrs.evolve(payment, as_of=answered_at(response))


def payment_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payment | None:
    """Parse a payment; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    amount = UNITS.read(body.value("amount"), body.value("currency"))
    if key is None or status is None or amount is None:
        return None
    is_known = status in _STATES
    refunded = UNITS.read(body.value("amount_refunded"), amount.currency)
    captured = amount if status in _CAPTURED_STATUSES else amount * 0
    state = _STATES.get(status, PaymentState.UNKNOWN)
    if state is PaymentState.CAPTURED:
        state = state_of(amount, captured, refunded) or state
    return Payment(
        ref=payment_ref(ref, key, amount, order=body.text("order_id")),
        state=state,
        vendor_state=status,
        amount=amount,
        authorized=amount if status == AUTHORIZED else captured if is_known else None,
        captured=captured if is_known else None,
        refunded=refunded,
        decline=_decline_of(body) if state is PaymentState.FAILED else None,
        means=_means_of(body),
        reference=body.text("notes.reference"),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def _decline_of(body: sdk.Answer) -> Decline:
    reason = body.text("error_reason")
    return Decline(
        reason=_REASONS.get(reason or "", DeclineReason.OTHER),
        vendor_code=reason or body.text("error_code"),
        vendor_message=safe_text(body.text("error_description")),
    )


def _means_of(body: sdk.Answer) -> MeansOfPayment:
    return MeansOfPayment(
        type=body.text("method"),
        brand=body.text("card.network"),
        last4=body.text("card.last4"),
        wallet=body.text("wallet"),
        stored=body.text("token_id"),
    )


def declined_error(payment: Payment) -> sdk.PaymentDeclined:
    """The error for a failed payment."""
    decline = payment.decline or Decline(reason=DeclineReason.OTHER)
    return sdk.PaymentDeclined(
        f"The payment was declined: {decline.vendor_message or decline.vendor_code}",
        reason=decline.reason,
        payment=str(payment.ref),
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
    )


def read_items(
    ref: sdk.MakeRef,
    read_one: Callable[[sdk.MakeRef, sdk.Answer], R | None],
    response: sdk.Response,
) -> list[R | None]:
    """Parse the items of a list; malformed items become None."""
    body = sdk.read_answer(response)
    if not sdk.is_list(body.raw.get("items")):
        raise sdk.malformed(response, "items")
    return [read_one(ref, item) for item in body.objects("items")]


def capture_of(payment: Payment) -> Capture:
    """The capture of a whole payment, derived from the payment's new state."""
    is_captured = payment.vendor_state == CAPTURED
    return Capture(
        ref=payment.ref,
        payment=payment.ref,
        state=MoveState.SUCCEEDED if is_captured else MoveState.UNKNOWN,
        vendor_state=payment.vendor_state,
        amount=payment.amount,
        after=payment,
        raw=payment.raw,
    )


def read_order(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the order in a response, as a payment that waits for the buyer."""
    body = sdk.read_answer(response)
    key, status = body.text("id"), body.text("status")
    amount = UNITS.read(body.value("amount"), body.value("currency"))
    if key is None or status is None or amount is None:
        raise sdk.malformed(response, "id, status, amount or currency")
    return Payment(
        ref=payment_ref(wire.ref, key, amount),
        state=_ORDERS.get(status, PaymentState.UNKNOWN),
        vendor_state=status,
        amount=amount,
        reference=body.text("notes.reference"),
        created_at=body.time("created_at"),
        replayed=response.replayed,
        raw=body.raw,
    )


def read_attempts(wire: sdk.Wire, response: sdk.Response) -> list[Payment]:
    """Parse an order's payments, latest first."""
    payments, as_of = read_items(wire.ref, payment_of, response), answered_at(response)
    return [attrs.evolve(item, as_of=as_of) for item in payments if item is not None]


def read_payment_id(response: sdk.Response) -> str:
    """Parse the id of a payment made with a stored payment method."""
    return sdk.required(
        sdk.read_answer(response).text("razorpay_payment_id"), response, "razorpay_payment_id"
    )


def read_refund(wire: sdk.Wire, response: sdk.Response) -> Refund:
    """Parse the refund in a response."""
    refund = refund_of(wire.ref, sdk.read_answer(response))
    return sdk.required(refund, response, "id or status")


def refund_of(ref: sdk.MakeRef, body: sdk.Answer) -> Refund | None:
    """Parse a refund; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    payment, currency = body.text("payment_id"), body.text("currency")
    return Refund(
        ref=ref(key, payment=payment),
        payment=None if payment is None else ref(payment, currency=currency),
        state=_REFUNDS.get(status, MoveState.UNKNOWN),
        vendor_state=status,
        amount=UNITS.read(body.value("amount"), currency),
        at=body.time("created_at"),
        raw=body.raw,
    )


def dispute_of(ref: sdk.MakeRef, body: sdk.Answer) -> Dispute | None:
    """Parse a dispute; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    payment, currency = body.text("payment_id"), body.text("currency")
    return Dispute(
        ref=ref(key),
        payment=None if payment is None else ref(payment, currency=currency),
        state=_DISPUTES.get(status, DisputeState.UNKNOWN),
        vendor_state=status,
        amount=UNITS.read(body.value("amount"), currency),
        reason=body.text("reason_code"),
        respond_by=body.time("respond_by"),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def settlement_of(ref: sdk.MakeRef, body: sdk.Answer, currency: str) -> Payout | None:
    """Parse a settlement, which has no currency; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    return Payout(
        ref=ref(key),
        state=_SETTLEMENTS.get(status, PayoutState.UNKNOWN),
        vendor_state=status,
        amount=UNITS.read(body.value("amount"), currency),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def token_of(ref: sdk.MakeRef, body: sdk.Answer, customer: str) -> StoredMeans | None:
    """Parse a token for later payments; None if it is malformed or for other uses."""
    key, status = body.text("id"), body.text("recurring_details.status")
    if key is None or status is None:
        return None
    return StoredMeans(
        ref=ref(key, customer=customer),
        state=_TOKENS.get(status, StoredState.UNKNOWN),
        vendor_state=status,
        customer=customer,
        means=attrs.evolve(_means_of(body), stored=key),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def removed(ref: sdk.Ref, response: sdk.Response) -> StoredMeans:
    """The stored payment method after its token was deleted."""
    body = sdk.read_answer(response)
    if body.flag("deleted") is not True:
        raise sdk.malformed(response, "deleted")
    return StoredMeans(
        ref=ref, state=StoredState.REMOVED, customer=ref.other("customer"), raw=body.raw
    )


def read_link(wire: sdk.Wire, response: sdk.Response) -> PaymentLink:
    """Parse the payment link in a response."""
    return sdk.required(link_of(wire.ref, sdk.read_answer(response)), response, "id or status")


def link_of(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentLink | None:
    """Parse a payment link; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    expires = body.integer("expire_by")
    return PaymentLink(
        ref=ref(key),
        state=_LINKS.get(status, LinkState.UNKNOWN),
        vendor_state=status,
        url=body.text("short_url"),
        amount=UNITS.read(body.value("amount"), body.value("currency")),
        reference=body.text("notes.reference"),
        expires_at=body.time("expire_by") if expires else None,
        created_at=body.time("created_at"),
        raw=body.raw,
    )


# --- refusals ----------------------------------------------------------------


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, which is more specific than the status."""
    if sdk.is_success(response.status) or response.status != _BAD_REQUEST:
        return None
    error = sdk.error_answer(response).object("error")
    reason = error.text("reason")
    message = safe_text(error.text("description"))
    details: dict[str, Any] = {
        "status": response.status,
        "response": response,
        "vendor_code": reason or error.text("code"),
        "vendor_message": message,
    }
    if request.path == RECURRING and reason in _REASONS:
        return sdk.PaymentDeclined(
            f"The payment was declined: {message or reason}",
            reason=_REASONS[reason],
            payment=error.text("metadata.payment_id"),
            **details,
        )
    field = error.text("field")
    where = "" if field is None else f" ({field})"
    # For a look-up or a removal, this code means that the object does not exist.
    names_object = request.method in {sdk.HttpMethod.GET, sdk.HttpMethod.DELETE}
    kind = sdk.VendorRejected if names_object else sdk.InvalidRequest
    return kind(f"Razorpay refused the request{where}: {message}", **details)
