"""Parsing of GoCardless' responses: payments, billing requests, refunds, mandates and payouts."""

from __future__ import annotations

from typing import Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Decline,
    DeclineReason,
    MeansOfPayment,
    MinorUnits,
    MoveState,
    NextAction,
    NextActionType,
    Payment,
    PaymentEvent,
    PaymentState,
    Payout,
    PayoutState,
    Refund,
    StoredMeans,
    StoredState,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import (
    answered_at,
    events_of,
    payout_event,
    reason_by_code,
    safe_text,
)

UNITS: Final = MinorUnits(vendor="GoCardless")
CANCELLED: Final = "cancelled"
FULFILLED: Final = "fulfilled"
CONFLICT: Final = "idempotent_creation_conflict"

_STATES: Final = {
    "pending_customer_approval": PaymentState.PENDING,
    "pending_submission": PaymentState.PENDING,
    "submitted": PaymentState.PENDING,
    "confirmed": PaymentState.CAPTURED,
    "paid_out": PaymentState.CAPTURED,
    "cancelled": PaymentState.VOIDED,
    "customer_approval_denied": PaymentState.FAILED,
    "failed": PaymentState.FAILED,
    "charged_back": PaymentState.DISPUTED,
}
_COLLECTED: Final = frozenset({"confirmed", "paid_out", "charged_back"})
_REQUESTS: Final = {
    "pending": PaymentState.REQUIRES_ACTION,
    "ready_to_fulfil": PaymentState.PENDING,
    "fulfilling": PaymentState.PENDING,
    "fulfilled": PaymentState.PENDING,
    "cancelled": PaymentState.VOIDED,
}
_REFUNDS: Final = {
    "created": MoveState.PENDING,
    "pending_submission": MoveState.PENDING,
    "submitted": MoveState.PENDING,
    "paid": MoveState.SUCCEEDED,
    "cancelled": MoveState.CANCELED,
    "bounced": MoveState.FAILED,
    "funds_returned": MoveState.FAILED,
}
_REFUND_ACTIONS: Final = {
    "created": MoveState.PENDING,
    "paid": MoveState.SUCCEEDED,
    "failed": MoveState.FAILED,
    "funds_returned": MoveState.FAILED,
}
_PAYOUTS: Final = {
    "pending": PayoutState.PENDING,
    "paid": PayoutState.PAID,
    "bounced": PayoutState.FAILED,
}
_MANDATES: Final = {
    "pending_customer_approval": StoredState.PENDING,
    "pending_submission": StoredState.STORED,
    "submitted": StoredState.STORED,
    "active": StoredState.STORED,
    "suspended_by_payer": StoredState.FAILED,
    "failed": StoredState.FAILED,
    "cancelled": StoredState.REMOVED,
    "expired": StoredState.REMOVED,
    "consumed": StoredState.REMOVED,
    "blocked": StoredState.FAILED,
}
_REASONS: Final = reason_by_code(
    {
        DeclineReason.INSUFFICIENT_FUNDS: "insufficient_funds",
        DeclineReason.CALL_ISSUER: "refer_to_payer",
        DeclineReason.ACCOUNT_CLOSED: "bank_account_closed",
        DeclineReason.INCORRECT_NUMBER: "invalid_bank_details",
        DeclineReason.CARD_NOT_SUPPORTED: "direct_debit_not_enabled",
        DeclineReason.CANCELED_BY_BUYER: "mandate_cancelled authorisation_disputed",
    }
)
_INACTIVE: Final = "mandate_is_inactive"
_UNPROCESSABLE: Final = 422
_CONFLICT: Final = 409
_BAD_REQUEST: Final = 400


def read_payment(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the payment in a response."""
    payment = payment_of(wire.ref, sdk.read_answer(response).object("payments"))
    if payment is None:
        raise sdk.malformed(response, "id, status, amount or currency")
    return payment


def read_current(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse a looked-up payment; its `as_of` is the time of the response."""
    return attrs.evolve(read_payment(wire, response), as_of=answered_at(response))


def payment_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payment | None:
    """Parse a payment; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    amount = UNITS.read(body.value("amount"), body.value("currency"))
    if key is None or status is None or amount is None:
        return None
    captured = amount if status in _COLLECTED else amount * 0
    refunded = UNITS.read(body.value("amount_refunded"), amount.currency)
    state = _STATES.get(status, PaymentState.UNKNOWN)
    if state is PaymentState.CAPTURED:
        state = state_of(amount, captured, refunded) or state
    mandate, subscription = body.text("links.mandate"), body.text("links.subscription")
    return Payment(
        ref=payment_ref(ref, key, amount),
        state=state,
        vendor_state=status,
        amount=amount,
        captured=captured if state is not PaymentState.UNKNOWN else None,
        refunded=refunded,
        means=MeansOfPayment(type=body.text("scheme"), stored=mandate),
        reference=body.text("metadata.reference"),
        subscription=None if subscription is None else ref(subscription, currency=amount.currency),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def read_request(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the billing request in a response, as a payment that waits for the buyer."""
    body = sdk.read_answer(response).object("billing_requests")
    key, status = body.text("id"), body.text("status")
    amount = requested_amount(body)
    if key is None or status is None or amount is None:
        raise sdk.malformed(response, "id, status or payment_request")
    return Payment(
        ref=payment_ref(wire.ref, key, amount),
        state=_REQUESTS.get(status, PaymentState.UNKNOWN),
        vendor_state=status,
        amount=amount,
        captured=amount * 0,
        refunded=amount * 0,
        next_action=NextAction(type=NextActionType.REDIRECT) if status == "pending" else None,
        reference=body.text("payment_request.metadata.reference"),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def requested_amount(body: sdk.Answer) -> sdk.Money | None:
    """The amount that a billing request asks for; None if it is malformed."""
    request = body.object("payment_request")
    return UNITS.read(request.value("amount"), request.value("currency"))


def read_flow(response: sdk.Response) -> NextAction:
    """Parse the URL of the page on which the buyer continues to pay."""
    body = sdk.read_answer(response).object("billing_request_flows")
    url = body.text("authorisation_url")
    if url is None:
        raise sdk.malformed(response, "authorisation_url")
    return NextAction(
        type=NextActionType.REDIRECT,
        url=url,
        expires_at=body.time("expires_at"),
        vendor_type="authorisation_url",
    )


def read_refund(wire: sdk.Wire, response: sdk.Response) -> Refund:
    """Parse the refund in a response."""
    body = sdk.read_answer(response).object("refunds")
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        raise sdk.malformed(response, "id or status")
    payment, currency = body.text("links.payment"), body.text("currency")
    return Refund(
        ref=wire.ref(key, payment=payment),
        payment=None if payment is None else wire.ref(payment, currency=currency),
        state=_REFUNDS.get(status, MoveState.UNKNOWN),
        vendor_state=status,
        amount=UNITS.read(body.value("amount"), currency),
        at=body.time("created_at"),
        raw=body.raw,
    )


def read_mandate(wire: sdk.Wire, response: sdk.Response) -> StoredMeans:
    """Parse the mandate in a response."""
    mandate = mandate_of(wire.ref, sdk.read_answer(response).object("mandates"))
    if mandate is None:
        raise sdk.malformed(response, "id or status")
    return mandate


def mandate_of(ref: sdk.MakeRef, body: sdk.Answer) -> StoredMeans | None:
    """Parse a mandate as a stored payment method; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    return StoredMeans(
        ref=ref(key),
        state=_MANDATES.get(status, StoredState.UNKNOWN),
        vendor_state=status,
        customer=body.text("links.customer"),
        means=MeansOfPayment(type=body.text("scheme"), stored=key),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def payout_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payout | None:
    """Parse a payout; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    return Payout(
        ref=ref(key),
        state=_PAYOUTS.get(status, PayoutState.UNKNOWN),
        vendor_state=status,
        amount=UNITS.read(body.value("amount"), body.value("currency")),
        arrives=body.time("arrival_date"),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


# --- events ------------------------------------------------------------------


def read_events(event: sdk.WebhookEvent, make: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to an event.

    An event states neither the amount nor the status of its payment, so the vendor must be asked.
    The cause of a failure is in the event only.
    """
    body = sdk.as_answer(event.data)
    action, links = body.text("action"), body.object("links")
    resource = body.text("resource_type")
    payment, request = links.text("payment"), links.text("billing_request")
    converted: PaymentEvent | None = None
    if resource == "payments" and payment is not None:
        converted = _question(make(payment), body, decline=_decline_of(body))
    elif resource == "billing_requests" and request is not None:
        converted = _question(make(request), body)
    elif resource == "refunds" and (key := links.text("refund")) is not None:
        of_payment = None if payment is None else make(payment)
        refund = Refund(
            ref=make(key, payment=payment),
            payment=of_payment,
            state=_REFUND_ACTIONS.get(action or "", MoveState.UNKNOWN),
            vendor_state=action,
            at=body.time("created_at"),
            raw=body.raw,
        )
        converted = PaymentEvent(
            id=None, ref=of_payment or refund.ref, vendor_state=action, refund=refund
        )
    elif resource == "payouts" and (key := links.text("payout")) is not None:
        state = PayoutState.PAID if action == "paid" else PayoutState.UNKNOWN
        converted = payout_event(Payout(ref=make(key), state=state, vendor_state=action))
    return events_of(event, converted)


def _question(ref: sdk.Ref, body: sdk.Answer, decline: Decline | None = None) -> PaymentEvent:
    return PaymentEvent(
        id=None,
        ref=ref,
        vendor_state=body.text("action"),
        reference=body.text("resource_metadata.reference"),
        decline=decline,
        ask=True,
    )


def _decline_of(body: sdk.Answer) -> Decline | None:
    """The reason of a failed payment; None for other events."""
    if body.text("action") not in {"failed", "customer_approval_denied"}:
        return None
    cause = body.text("details.cause")
    return Decline(
        reason=_REASONS.get(cause or "", DeclineReason.OTHER),
        vendor_code=body.text("details.reason_code") or cause,
        vendor_message=safe_text(body.text("details.description")),
    )


# --- refusals ----------------------------------------------------------------


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, which is more specific than the status."""
    if sdk.is_success(response.status):
        return None
    error = sdk.error_answer(response).object("error")
    kind = error.text("type")
    first_error = next(error.objects("errors"), error)
    code = first_error.text("reason") or first_error.text("field") or kind
    message = safe_text(first_error.text("message")) or safe_text(error.text("message"))
    details: dict[str, Any] = {
        "status": response.status,
        "response": response,
        "vendor_code": code,
        "vendor_message": message,
    }
    if response.status == _CONFLICT and code is None:
        return sdk.IdempotencyInProgress(
            "GoCardless gives no reason. A request with this key may still be in progress."
        )
    if code == _INACTIVE:
        return sdk.PaymentDeclined(
            f"The mandate cannot be charged: {message}", reason=DeclineReason.OTHER, **details
        )
    if response.status == _CONFLICT or (
        response.status == _UNPROCESSABLE and kind == "invalid_state"
    ):
        return sdk.VendorRejected(
            f"GoCardless refused this step of the payment ({message or code}).",
            remedy="Look the payment up: it may be in a later state, or the rest of its amount may"
            " be too small.",
            **details,
        )
    if response.status in {_BAD_REQUEST, _UNPROCESSABLE}:
        return sdk.InvalidRequest(f"GoCardless refused the request: {code}: {message}", **details)
    return None


def conflicting_id(error: sdk.ConnectorError) -> str | None:
    """The id of the object that an earlier request with the same key created.

    None if the error is about something else.
    """
    cause = error if isinstance(error, sdk.VendorRejected) else error.__cause__
    if (
        not isinstance(cause, sdk.VendorRejected)
        or cause.vendor_code != CONFLICT
        or cause.response is None
    ):
        return None
    return sdk.error_answer(cause.response).text("error.errors.0.links.conflicting_resource_id")
