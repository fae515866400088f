"""Parsing of Mercado Pago's responses: payments, refunds and errors."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Decline,
    DeclineReason,
    MeansOfPayment,
    MoveState,
    Payment,
    PaymentEvent,
    PaymentState,
    Refund,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import answered_at, events_of, reason_by_code, safe_text

VENDOR: Final = "Mercado Pago"
_STATES: Final = {
    **sdk.words(PaymentState.PENDING, "pending in_process"),
    "authorized": PaymentState.AUTHORIZED,
    "approved": PaymentState.CAPTURED,
    "refunded": PaymentState.REFUNDED,
    **sdk.words(PaymentState.DISPUTED, "in_mediation charged_back"),
    "cancelled": PaymentState.VOIDED,
    "rejected": PaymentState.FAILED,
}
_CAPTURED_STATES: Final = frozenset(
    {PaymentState.CAPTURED, PaymentState.REFUNDED, PaymentState.DISPUTED}
)
_REFUND_STATES: Final = {
    "approved": MoveState.SUCCEEDED,
    **sdk.words(MoveState.PENDING, "pending in_process"),
    **sdk.words(MoveState.FAILED, "rejected cancelled"),
}
_REASONS: Final = reason_by_code(
    {
        DeclineReason.INSUFFICIENT_FUNDS: "cc_rejected_insufficient_amount insufficient_amount",
        DeclineReason.INCORRECT_NUMBER: "cc_rejected_bad_filled_card_number",
        DeclineReason.INCORRECT_CVC: "cc_rejected_bad_filled_security_code",
        DeclineReason.INVALID_EXPIRY: "cc_rejected_bad_filled_date",
        DeclineReason.CALL_ISSUER: "cc_rejected_call_for_authorize cc_rejected_card_disabled",
        DeclineReason.FRAUD_SUSPECTED: "cc_rejected_high_risk cc_rejected_blacklist",
        DeclineReason.AUTHENTICATION_REQUIRED: (
            "cc_rejected_3ds_mandatory cc_rejected_3ds_challenge"
        ),
        DeclineReason.CARD_NOT_SUPPORTED: "cc_rejected_card_type_not_allowed",
        DeclineReason.LIMIT_EXCEEDED: "cc_amount_rate_limit_exceeded cc_rejected_max_attempts",
        DeclineReason.DUPLICATE: "cc_rejected_duplicated_payment",
        DeclineReason.DO_NOT_HONOR: "rejected_by_bank",
        DeclineReason.PROCESSING_ERROR: "bank_error cc_rejected_card_error",
    }
)


def _read_words(response: sdk.Response) -> tuple[str | None, str | None]:
    body = sdk.error_answer(response)
    cause = next(body.objects("cause"), body)
    words = cause.text("description") or body.text("message")
    return cause.text("code") or body.text("error"), safe_text(words)


_REFUSALS: Final = sdk.Refusals(
    vendor=VENDOR,
    # The state of the payment, or its age, does not allow the request.
    codes=sdk.words(sdk.VendorRejected, "2016 2018 2024 2063 3005 3024 15016"),
    statuses=sdk.error_statuses("400"),
    read=_read_words,
)
_POST_REFUSALS: Final = sdk.Refusals(
    vendor=VENDOR,
    # The same request was made before, and may have moved money.
    codes={**_REFUSALS.codes, **sdk.words(sdk.VendorFailed, "2001 2032")},
    statuses=_REFUSALS.statuses,
    read=_read_words,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response; the outcome of a repeated POST stays unknown."""
    return (_POST_REFUSALS if request.method == "POST" else _REFUSALS)(request, response)


def read_payment(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the payment in a response."""
    payment = sdk.required(
        payment_of(wire.ref, sdk.read_answer(response)), response, "id, status or amount"
    )
    return sdk.evolve(payment, as_of=answered_at(response))


def payment_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payment | None:
    """Parse a payment; None if it is malformed."""
    id_, status, amount = body.text("id"), body.text("status"), _money(body, "transaction_amount")
    if id_ is None or status is None or amount is None:
        return None
    state = _STATES.get(status, PaymentState.UNKNOWN)
    captured = amount if state in _CAPTURED_STATES else amount * 0
    refunded = _money(body, "transaction_amount_refunded")
    is_known = state is not PaymentState.UNKNOWN
    if state is PaymentState.CAPTURED:
        state = state_of(amount, captured, refunded) or state
    return Payment(
        ref=payment_ref(ref, id_, amount),
        state=state,
        vendor_state=status,
        amount=amount,
        authorized=(amount if state is PaymentState.AUTHORIZED else captured) if is_known else None,
        captured=captured if is_known else None,
        refunded=refunded,
        decline=_decline_of(body) if state is PaymentState.FAILED else None,
        means=_means_of(body),
        reference=body.text("external_reference"),
        created_at=body.time("date_created"),
        raw=body.raw,
    )


def _money(body: sdk.Answer, name: str) -> sdk.Money | None:
    return sdk.as_money(body.value(name), body.text("currency_id"))


def _decline_of(body: sdk.Answer) -> Decline:
    code = body.text("status_detail") or body.text("status")
    return Decline(
        reason=_REASONS.get(code or "", DeclineReason.OTHER), vendor_code=code, vendor_message=code
    )


def _means_of(body: sdk.Answer) -> MeansOfPayment:
    year, month = body.integer("card.expiration_year"), body.integer("card.expiration_month")
    return MeansOfPayment(
        type=body.text("payment_type_id"),
        brand=body.text("payment_method_id"),
        last4=body.text("card.last_four_digits"),
        expires=None if year is None or month is None else (year, month),
    )


def declined_error(payment: Payment) -> sdk.PaymentDeclined:
    """The error for a rejected payment."""
    decline = payment.decline or Decline(reason=DeclineReason.OTHER)
    return sdk.PaymentDeclined(
        f"The payment was declined: {decline.vendor_message}",
        reason=decline.reason,
        payment=str(payment.ref),
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
    )


def read_refund(wire: sdk.Wire, payment: sdk.Ref, response: sdk.Response) -> Refund:
    """Parse the refund of a payment; a look-up of the refund needs the ids of both."""
    body, currency = sdk.read_answer(response), payment.other("currency")
    id_, status = body.text("id"), body.text("status")
    if id_ is None or status is None:
        raise sdk.malformed(response, "id or status")
    return Refund(
        ref=wire.ref(id_, payment=payment.id, currency=currency),
        payment=payment,
        state=_REFUND_STATES.get(status, MoveState.UNKNOWN),
        vendor_state=status,
        amount=sdk.as_money(body.value("amount"), currency),
        at=body.time("date_created"),
        raw=body.raw,
    )


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
    """Return an event that asks for a look-up of the payment whose id begins the event's id.

    Mercado Pago signs only this id.
    """
    if sdk.as_answer(event.payload).text("type") != "payment":
        return ()
    payment = ref(event.id.partition(".")[0])
    return events_of(event, PaymentEvent(id=None, ref=payment, ask=True))
