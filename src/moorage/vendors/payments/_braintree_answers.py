"""Parsing of Braintree's responses: transactions, refunds, stored payment methods and errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Decline,
    DeclineReason,
    MeansOfPayment,
    MoveState,
    Payment,
    PaymentState,
    Refund,
    StoredMeans,
    StoredState,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import reason_by_code, safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping


VENDOR: Final = "Braintree"
NODE: Final = "node"
"""The name under which a reference stores Braintree's GraphQL id."""
AUTHORIZED: Final = "AUTHORIZED"
VOIDED: Final = "VOIDED"
MARK: Final = re.compile(r"/[0-9a-f]{16}\Z")
"""The form of an order id's end, which is derived from an idempotency key."""

_STATES: Final[Mapping[str, PaymentState]] = {
    **sdk.words(PaymentState.PENDING, "AUTHORIZING SETTLEMENT_PENDING"),
    AUTHORIZED: PaymentState.AUTHORIZED,
    **sdk.words(PaymentState.CAPTURED, "SUBMITTED_FOR_SETTLEMENT SETTLING SETTLED"),
    **sdk.words(
        PaymentState.FAILED, "FAILED GATEWAY_REJECTED PROCESSOR_DECLINED SETTLEMENT_DECLINED"
    ),
    VOIDED: PaymentState.VOIDED,
    "AUTHORIZATION_EXPIRED": PaymentState.EXPIRED,
}
_REFUNDS: Final[Mapping[str, MoveState]] = {
    **sdk.words(
        MoveState.PENDING,
        "AUTHORIZING AUTHORIZED SUBMITTED_FOR_SETTLEMENT SETTLING SETTLEMENT_PENDING",
    ),
    "SETTLED": MoveState.SUCCEEDED,
    **sdk.words(MoveState.FAILED, "FAILED GATEWAY_REJECTED PROCESSOR_DECLINED SETTLEMENT_DECLINED"),
    VOIDED: MoveState.CANCELED,
}
_REASONS: Final = reason_by_code(
    {
        DeclineReason.ACCOUNT_CLOSED: "2007",
        DeclineReason.AUTHENTICATION_REQUIRED: "2099 THREE_D_SECURE",
        DeclineReason.CALL_ISSUER: "2011 2044",
        DeclineReason.CARD_NOT_SUPPORTED: "2015 2024",
        DeclineReason.DO_NOT_HONOR: "2000 2038 2046",
        DeclineReason.DUPLICATE: "2016 DUPLICATE",
        DeclineReason.EXPIRED_CARD: "2004",
        DeclineReason.FRAUD_SUSPECTED: "2014 FRAUD RISK_THRESHOLD",
        DeclineReason.INCORRECT_ADDRESS: "AVS AVS_AND_CVV",
        DeclineReason.INCORRECT_CVC: "2010 CVV",
        DeclineReason.INCORRECT_NUMBER: "2005 2008 2009",
        DeclineReason.INSUFFICIENT_FUNDS: "2001",
        DeclineReason.INVALID_EXPIRY: "2006",
        DeclineReason.LIMIT_EXCEEDED: "2002 2003",
        DeclineReason.LOST_OR_STOLEN: "2012 2013 2047 2053",
        DeclineReason.PROCESSING_ERROR: "3000",
    }
)
_CLASSES: Final[Mapping[str, Any]] = {
    **sdk.words(sdk.AuthenticationFailed, "AUTHENTICATION AUTHORIZATION"),
    "RESOURCE_LIMIT": sdk.RateLimitExceeded,
    **sdk.words(sdk.VendorFailed, "INTERNAL SERVICE_AVAILABILITY"),
    "NOT_FOUND": sdk.VendorRejected,
    **sdk.words(sdk.InvalidRequest, "UNSUPPORTED_CLIENT VALIDATION"),
}
_STATE_CODES: Final = frozenset(
    {
        *("91504", "91506", "91507", "91512", "91521", "91522"),
        *("91538", "91559", "91564", "91565", "91574"),
    }
)
"""The validation codes for a step that the state of a transaction or a payment method does not
allow.
"""
_STATUSES: Final[Mapping[int, Any]] = {
    400: sdk.InvalidRequest,
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    429: sdk.RateLimitExceeded,
}
_NEW_PAYMENT_FIELDS: Final = ("chargePaymentMethod", "authorizePaymentMethod")
_TIMEOUTS: Final = frozenset({408, 425})


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response; Braintree sends most errors with a success status."""
    answer = sdk.error_answer(response)
    if response.status >= 500 or response.status in _TIMEOUTS:
        return None
    error = next(answer.objects("errors"), sdk.Answer({}))
    details = error.object("extensions")
    text, code = sdk.masked_words(error.text("message")), details.text("legacyCode")
    if not sdk.is_success(response.status):
        kind = _STATUSES.get(response.status, sdk.VendorRejected)
        return sdk.refusal(kind, VENDOR, response, code, text, otherwise=f"HTTP {response.status}")
    if answer.value("errors"):
        name = details.text("errorClass") or ""
        kind = sdk.VendorRejected if code in _STATE_CODES else _CLASSES.get(name, sdk.VendorFailed)
        return sdk.refusal(kind, VENDOR, response, code or name or None, text, otherwise=name)
    for name in _NEW_PAYMENT_FIELDS:
        transaction = answer.object(f"data.{name}.transaction")
        if _STATES.get(transaction.text("status") or "") is PaymentState.FAILED:
            return declined_error(decline_of(transaction), transaction.text("legacyId"), response)
    return None


def declined_error(
    decline: Decline, payment: str | None, response: sdk.Response | None = None
) -> sdk.PaymentDeclined:
    """The error for a transaction that failed immediately."""
    return sdk.PaymentDeclined(
        f"The payment was declined: {decline.vendor_message or decline.vendor_code}",
        reason=decline.reason,
        payment=payment,
        status=None if response is None else response.status,
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
        response=response,
    )


def decline_of(transaction: sdk.Answer) -> Decline:
    """Return the reason for a failed transaction, from its newest event that has a reason."""
    for event in transaction.objects("statusHistory"):
        code = event.text("processorResponse.legacyCode") or event.text("gatewayRejectionReason")
        if code is not None:
            return Decline(
                reason=_REASONS.get(code, DeclineReason.OTHER),
                vendor_code=code,
                vendor_message=safe_text(event.text("processorResponse.message")),
            )
    status = transaction.text("status")
    return Decline(reason=DeclineReason.OTHER, vendor_code=status, vendor_message=None)


def money(body: sdk.Answer, name: str) -> sdk.Money | None:
    """Return the amount of money in a field of a response."""
    return sdk.as_money(body.value(f"{name}.value"), body.value(f"{name}.currencyCode"))


def payment_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payment | None:
    """Parse a transaction; None if it is malformed."""
    key, status, total = body.text("legacyId"), body.text("status"), money(body, "amount")
    if key is None or status is None or total is None:
        return None
    # After a partial capture, the transaction's amount is the captured one.
    initial = money(body, "initialRequestedAuthorizationAmount")
    amount = total if initial is None else max(total, initial)
    state = _STATES.get(status, PaymentState.UNKNOWN)
    is_known = state is not PaymentState.UNKNOWN
    captured = total if state is PaymentState.CAPTURED else total * 0
    refunds = tuple(
        item for part in body.objects("refunds") if (item := refund_of(ref, part)) is not None
    )
    refunded = total * 0
    for item in refunds:
        if item.state is MoveState.SUCCEEDED and item.amount is not None:
            refunded += item.amount
    own_ref = payment_ref(ref, key, amount, node=body.text("id"))
    expiry = [event.time("authorizationExpiresAt") for event in body.objects("statusHistory")]
    history = next(body.objects("statusHistory"), sdk.Answer({}))
    order_id = body.text("orderId")
    return Payment(
        ref=own_ref,
        state=state_of(amount, captured, refunded) or state,
        vendor_state=status,
        amount=amount,
        authorized=total if status == AUTHORIZED else captured if is_known else None,
        captured=captured if is_known else None,
        refunded=refunded,
        decline=decline_of(body) if state is PaymentState.FAILED else None,
        means=_means(body.object("paymentMethodSnapshot"), body.text("paymentMethod.id")),
        reference=None if order_id is None else MARK.sub("", order_id),
        refunds=refunds,
        created_at=body.time("createdAt"),
        authorized_until=next(filter(None, expiry), None) if status == AUTHORIZED else None,
        as_of=history.time("timestamp"),
        raw=body.raw,
    )


def _means(details: sdk.Answer, stored: str | None) -> MeansOfPayment | None:
    kind = details.text("__typename")
    if kind is None:
        return None
    card = details.object("creditCard") or details
    month, year = card.text("expirationMonth") or "", card.text("expirationYear") or ""
    is_dated = month.isascii() and month.isdigit() and year.isascii() and year.isdigit()
    return MeansOfPayment(
        type=kind,
        brand=card.text("brandCode"),
        last4=card.text("last4"),
        expires=(int(year), int(month)) if is_dated else None,
        stored=stored,
    )


def refund_of(ref: sdk.MakeRef, body: sdk.Answer) -> Refund | None:
    """Parse a refund; None if it is malformed."""
    key, status = body.text("legacyId"), body.text("status")
    if key is None or status is None:
        return None
    payment = body.text("refundedTransaction.legacyId")
    return Refund(
        ref=ref(key, node=body.text("id")),
        payment=None if payment is None else ref(payment, node=body.text("refundedTransaction.id")),
        state=_REFUNDS.get(status, MoveState.UNKNOWN),
        vendor_state=status,
        amount=money(body, "amount"),
        at=body.time("createdAt"),
        raw=body.raw,
    )


def read_payment(path: str, wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the transaction at a path in a response."""
    return sdk.required(
        payment_of(wire.ref, sdk.read_answer(response).object(f"data.{path}")),
        response,
        "transaction with an id, a status and an amount",
    )


def read_refund(path: str, wire: sdk.Wire, response: sdk.Response) -> Refund:
    """Parse the refund at a path in a response."""
    return sdk.required(
        refund_of(wire.ref, sdk.read_answer(response).object(f"data.{path}")),
        response,
        "refund with an id and a status",
    )


def stored_of(ref: sdk.MakeRef, customer: str, body: sdk.Answer) -> StoredMeans | None:
    """Parse a stored payment method; None if it is malformed."""
    key = body.text("id")
    if key is None:
        return None
    return StoredMeans(
        ref=ref(key),
        state=StoredState.STORED,
        customer=customer,
        means=_means(body.object("details"), key),
        created_at=body.time("createdAt"),
        raw=body.raw,
    )
