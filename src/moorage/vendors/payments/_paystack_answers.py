"""Parsing of Paystack's responses: transactions, refunds, disputes and authorizations."""

from __future__ import annotations

import json
from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Decline,
    DeclineReason,
    Dispute,
    DisputeState,
    MeansOfPayment,
    MinorUnits,
    MoveState,
    NextAction,
    NextActionType,
    Payment,
    PaymentState,
    Refund,
    StoredMeans,
    StoredState,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import answered_at, safe_text

VENDOR: Final = "Paystack"
CHARGE: Final = "/transaction/charge_authorization"
DUPLICATE: Final = "duplicate_reference"
_BY_PROCESSOR: Final = "processor_error"
_DECIMALS: Final = 2
UNITS: Final = MinorUnits(vendor=VENDOR, exponents={"XOF": _DECIMALS})
_STATES: Final = {
    "abandoned": PaymentState.REQUIRES_ACTION,
    "ongoing": PaymentState.REQUIRES_ACTION,
    "pending": PaymentState.PENDING,
    "processing": PaymentState.PENDING,
    "queued": PaymentState.PENDING,
    "success": PaymentState.CAPTURED,
    "reversed": PaymentState.REFUNDED,
    "failed": PaymentState.FAILED,
}
_PAID_STATES: Final = frozenset({PaymentState.CAPTURED, PaymentState.REFUNDED})
_REFUNDS: Final = {
    "pending": MoveState.PENDING,
    "processing": MoveState.PENDING,
    "needs-attention": MoveState.PENDING,
    "processed": MoveState.SUCCEEDED,
    "failed": MoveState.FAILED,
}
_DISPUTES: Final = {
    "awaiting-merchant-feedback": DisputeState.NEEDS_RESPONSE,
    "awaiting-bank-feedback": DisputeState.UNDER_REVIEW,
    "archived": DisputeState.CLOSED,
}
_RESOLUTIONS: Final = {
    "merchant-accepted": DisputeState.ACCEPTED,
    "auto-accepted": DisputeState.ACCEPTED,
    "declined": DisputeState.CLOSED,
}
_REASONS: Final = {
    "account closed": DeclineReason.ACCOUNT_CLOSED,
    "blocked by fraud system": DeclineReason.FRAUD_SUSPECTED,
    "currency not supported": DeclineReason.CURRENCY_NOT_SUPPORTED,
    "denied by fraud system": DeclineReason.FRAUD_SUSPECTED,
    "duplicate transaction id": DeclineReason.DUPLICATE,
    "expired card": DeclineReason.EXPIRED_CARD,
    "incorrect pin": DeclineReason.INCORRECT_PIN,
    "insufficient funds": DeclineReason.INSUFFICIENT_FUNDS,
    "invalid card number": DeclineReason.INCORRECT_NUMBER,
}

_REFUSALS: Final = sdk.Refusals(
    vendor=VENDOR,
    statuses=sdk.error_statuses("400 422", login="401 403"),
    reading={400: sdk.VendorRejected},
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response: a decline if the bank or the processor refused a charge."""
    body = sdk.error_answer(response)
    is_refused = not sdk.is_success(response.status) and body.text("type") == _BY_PROCESSOR
    if not is_refused or request.path != CHARGE:
        return _REFUSALS(request, response)
    words = safe_text(body.text("message"))
    return sdk.PaymentDeclined(
        f"The payment was declined: {words}",
        reason=_reason_of(words),
        status=response.status,
        response=response,
        vendor_code=body.text("code"),
        vendor_message=words,
    )


def minor_units(amount: sdk.Money) -> int:
    """An amount in Paystack's unit, a hundredth of the currency.

    Raises:
        InvalidData: Paystack documents no unit for the currency.
    """
    if not _has_documented_unit(amount.currency):
        raise sdk.InvalidData(
            f"{VENDOR} documents only amounts in currencies with two decimals and in XOF, not"
            f" amounts in {amount.currency}.",
            field="amount",
            remedy="Give the amount in a currency of your Paystack account, such as NGN or KES.",
        )
    return UNITS.to_minor(amount)


def money_of(body: sdk.Answer, name: str) -> sdk.Money | None:
    """An amount in the currency of its object; None if the currency has no documented unit."""
    currency = body.text("currency")
    if currency is None or not _has_documented_unit(currency):
        return None
    return UNITS.read(body.value(name), currency)


def _has_documented_unit(currency: str) -> bool:
    return UNITS.exponents.get(currency, sdk.EXPONENTS.get(currency)) == _DECIMALS


def data_of(response: sdk.Response) -> sdk.Answer:
    """The object that a successful response contains."""
    return sdk.read_answer(response).object("data")


def read_payment(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the transaction in a response."""
    payment = sdk.required(
        payment_of(wire.ref, data_of(response)), response, "reference, status or amount"
    )
    return sdk.evolve(payment, as_of=answered_at(response))


def read_charge(wire: sdk.Wire, requested: sdk.Money, response: sdk.Response) -> Payment:
    """Parse the response to a charge: a transaction, or a page on which the buyer confirms it."""
    if data_of(response).text("authorization_url") is not None:
        return read_checkout(wire, requested, response)
    return read_payment(wire, response)


def read_checkout(wire: sdk.Wire, requested: sdk.Money, response: sdk.Response) -> Payment:
    """Parse a page of Paystack, as a payment that waits for the buyer."""
    body = data_of(response)
    url, reference = body.text("authorization_url"), body.text("reference")
    if url is None or reference is None:
        raise sdk.malformed(response, "authorization_url or reference")
    return Payment(
        ref=payment_ref(wire.ref, reference, requested),
        state=PaymentState.REQUIRES_ACTION,
        amount=requested,
        next_action=NextAction(type=NextActionType.REDIRECT, url=url),
        client_token=body.text("access_code"),
        raw=body.raw,
    )


def payment_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payment | None:
    """Parse a transaction; None if it is malformed."""
    reference, status = body.text("reference"), body.text("status")
    if reference is None or status is None or body.integer("amount") is None:
        return None
    # If the buyer bears Paystack's fees, they are added to the requested amount.
    paid = money_of(body, "amount")
    requested = money_of(body, "requested_amount") or paid
    state = _STATES.get(status, PaymentState.UNKNOWN)
    captured = paid if state in _PAID_STATES else paid and paid * 0
    if state is PaymentState.CAPTURED:
        state = state_of(requested, captured, None) or state
    is_known = state is not PaymentState.UNKNOWN
    return Payment(
        ref=payment_ref(ref, reference, requested),
        state=state,
        vendor_state=status,
        amount=requested,
        authorized=captured if is_known else None,
        captured=captured if is_known else None,
        decline=_decline_of(body) if state is PaymentState.FAILED else None,
        means=_means_of(body.object("authorization")),
        reference=_metadata_of(body).text("reference"),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def _metadata_of(body: sdk.Answer) -> sdk.Answer:
    """The metadata of a transaction, which Paystack returns as an object or as its JSON text."""
    value: Any = body.value("metadata")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (RecursionError, ValueError):
            return sdk.Answer({})
    return sdk.as_answer(value)


def _decline_of(body: sdk.Answer) -> Decline:
    words = safe_text(body.text("gateway_response") or body.text("message") or body.text("status"))
    return Decline(reason=_reason_of(words), vendor_code=words, vendor_message=words)


def _reason_of(words: str | None) -> DeclineReason:
    return _REASONS.get((words or "").lower(), DeclineReason.OTHER)


def declined_error(payment: Payment) -> sdk.PaymentDeclined:
    """The error for a failed payment."""
    decline = payment.decline or Decline(reason=DeclineReason.OTHER)
    return sdk.PaymentDeclined(
        f"The payment was declined: {decline.vendor_message}",
        reason=decline.reason,
        payment=str(payment.ref),
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
    )


def _means_of(body: sdk.Answer) -> MeansOfPayment | None:
    kind, year, month = body.text("channel"), body.integer("exp_year"), body.integer("exp_month")
    if kind is None:
        return None
    return MeansOfPayment(
        type=kind,
        brand=body.text("brand"),
        last4=body.text("last4"),
        expires=None if year is None or month is None else (year, month),
        stored=body.text("authorization_code") if body.flag("reusable") else None,
    )


def stored_of(ref: sdk.MakeRef, customer: str, body: sdk.Answer) -> StoredMeans | None:
    """Parse an authorization; None if it is malformed, or cannot be charged again."""
    code, is_reusable = body.text("authorization_code"), body.flag("reusable")
    if code is None or not is_reusable:
        return None
    return StoredMeans(
        ref=ref(code),
        state=StoredState.STORED,
        customer=customer,
        means=_means_of(body),
        raw=body.raw,
    )


def read_refund(wire: sdk.Wire, response: sdk.Response) -> Refund:
    """Parse the refund in a response."""
    return sdk.required(refund_of(wire.ref, data_of(response)), response, "id or status")


def refund_of(ref: sdk.MakeRef, body: sdk.Answer) -> Refund | None:
    """Parse a refund; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    payment = body.text("transaction_reference") or body.text("transaction.reference")
    return Refund(
        ref=ref(key),
        payment=None if payment is None else ref(payment, currency=body.text("currency")),
        state=_REFUNDS.get(status, MoveState.UNKNOWN),
        vendor_state=status,
        amount=money_of(body, "amount"),
        at=body.time("createdAt"),
        raw=body.raw,
    )


def read_dispute(wire: sdk.Wire, response: sdk.Response) -> Dispute:
    """Parse the dispute in a response."""
    return sdk.required(dispute_of(wire.ref, data_of(response)), response, "id or status")


def dispute_of(ref: sdk.MakeRef, body: sdk.Answer) -> Dispute | None:
    """Parse a dispute; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    payment, resolution = body.text("transaction.reference"), body.text("resolution")
    state = _DISPUTES.get(status, DisputeState.UNKNOWN)
    if status == "resolved":
        state = _RESOLUTIONS.get(resolution or "", DisputeState.UNKNOWN)
    return Dispute(
        ref=ref(key),
        payment=None
        if payment is None
        else ref(payment, currency=body.text("transaction.currency")),
        state=state,
        vendor_state=status,
        amount=money_of(body, "refund_amount"),
        reason=body.text("category"),
        respond_by=body.time("dueAt"),
        created_at=body.time("createdAt") or body.time("created_at"),
        raw=body.raw,
    )
