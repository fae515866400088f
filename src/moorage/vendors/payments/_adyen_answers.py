"""Parsing of Adyen's responses: payments, captures, cancellations, refunds and errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

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
    PaymentState,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable


UNITS: Final = MinorUnits(vendor="adyen", exponents={"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2})
"""Adyen's minor units of the currencies for which they differ from ISO 4217."""

_STATES: Final = {
    "Authorised": PaymentState.AUTHORIZED,
    "PartiallyAuthorised": PaymentState.AUTHORIZED,
    "Pending": PaymentState.PENDING,
    "Received": PaymentState.PENDING,
    "RedirectShopper": PaymentState.REQUIRES_ACTION,
    "IdentifyShopper": PaymentState.REQUIRES_ACTION,
    "ChallengeShopper": PaymentState.REQUIRES_ACTION,
    "PresentToShopper": PaymentState.REQUIRES_ACTION,
}
_EXPIRES: Final = re.compile(r"([0-9]{1,2})/([0-9]{4}|[0-9]{2})")
_REFUSED_RESULTS: Final = frozenset({"Refused", "Error", "Cancelled"})
_ACTIONS: Final = {
    "redirect": NextActionType.REDIRECT,
    "nativeRedirect": NextActionType.REDIRECT,
    **sdk.words(NextActionType.SDK, "threeDS2 sdk wechatpaySDK delegatedAuthentication"),
    "qrCode": NextActionType.DISPLAY,
    "voucher": NextActionType.DISPLAY,
    "bankTransfer": NextActionType.DISPLAY,
    "await": NextActionType.AWAIT,
}
_REASONS: Final = """
    2 do_not_honor Refused
    3 call_issuer Referral
    4 processing_error Acquirer Error
    5 lost_or_stolen Blocked Card
    6 expired_card Expired Card
    7 processing_error Invalid Amount
    8 incorrect_number Invalid Card Number
    9 processing_error Issuer Unavailable
    10 card_not_supported Not supported
    11 authentication_required 3D Not Authenticated
    12 insufficient_funds Not enough balance
    14 fraud_suspected Acquirer Fraud
    15 canceled_by_buyer Cancelled
    16 canceled_by_buyer Shopper Cancelled
    17 incorrect_pin Invalid Pin
    18 incorrect_pin Pin tries exceeded
    19 incorrect_pin Pin validation not possible
    20 fraud_suspected FRAUD
    21 processing_error Not Submitted
    22 fraud_suspected FRAUD-CANCELLED
    23 card_not_supported Transaction Not Permitted
    24 incorrect_cvc CVC Declined
    25 card_not_supported Restricted Card
    26 do_not_honor Revocation Of Auth
    27 do_not_honor Declined Non Generic
    28 limit_exceeded Withdrawal amount exceeded
    29 limit_exceeded Withdrawal count exceeded
    31 fraud_suspected Issuer Suspected Fraud
    32 incorrect_address AVS Declined
    33 authentication_required Card requires online pin
    34 account_closed No checking account available on Card
    35 account_closed No savings account available on Card
    36 authentication_required Mobile pin required
    38 authentication_required Authentication required
    39 authentication_required RReq not received from DS
    42 authentication_required 3DS Authentication Error
    43 authentication_required Online PIN required
    46 do_not_honor Transaction blocked by Adyen to prevent excessive retry fees
    101 incorrect_number Invalid card number
    103 incorrect_cvc CVC is not the right length
"""
_BY_CODE: Final[dict[str, DeclineReason]] = {}
_BY_WORDS: Final[dict[str, str]] = {}
for _line in _REASONS.strip().splitlines():
    _code, _reason, _words = _line.split(maxsplit=2)
    _BY_CODE[_code] = DeclineReason(_reason)
    _BY_WORDS[_words.lower()] = _code

_NOT_FOUND: Final = 404
MISSING: Final = "803"
"""Adyen's error code for a stored payment method that it does not know."""
_TOO_MANY_REQUESTS: Final = 429
_CARDS: Final = frozenset({"101", "103"})
"""The error codes for wrong card data, which Adyen finds before it asks the bank."""


def decline_of(code: str | None, words: str | None) -> Decline:
    """The reason for a decline, by its code, or else by its text."""
    if code not in _BY_CODE:
        code = _BY_WORDS.get((words or "").lower(), code)
    reason = _BY_CODE.get(code or "", DeclineReason.OTHER)
    return Decline(reason=reason, vendor_code=code, vendor_message=safe_text(words))


def read_payment(
    wire: sdk.Wire,
    response: sdk.Response,
    requested: sdk.Money | None,
    *,
    payment_reference: sdk.Ref,
    taken: bool,
) -> Payment:
    """Parse a payment.

    Args:
        wire: makes the payment's reference.
        response: Adyen's response.
        requested: requested amount, if known.
        payment_reference: reference of the payment so far, if any.
        taken: True if the payment is captured together with its authorisation.
    """
    body = sdk.read_answer(response)
    result = sdk.required(body.text("resultCode"), response, "resultCode")
    state, new_reference = _STATES.get(result, PaymentState.UNKNOWN), body.text("pspReference")
    needs_action = state is PaymentState.REQUIRES_ACTION
    # A payment that continues on another page gets Adyen's id only after the buyer returns.
    psp = sdk.required(
        new_reference or (payment_reference.id if needs_action else None), response, "pspReference"
    )
    amount = requested or UNITS.read(body.value("amount.value"), body.value("amount.currency"))
    authorized_amount = None
    if state is PaymentState.AUTHORIZED:
        authorized_amount = (
            UNITS.read(body.value("amount.value"), body.value("amount.currency")) or requested
        )
    zero_amount = None if authorized_amount is None else authorized_amount * 0
    captured = authorized_amount if taken else zero_amount
    unnamed_marker = payment_reference.other("unnamed") if new_reference is None else None
    ref = payment_ref(
        wire.ref,
        psp,
        amount,
        unnamed=unnamed_marker,
        capture="auto" if needs_action and taken else None,
    )
    return Payment(
        ref=ref,
        state=state_of(amount, captured, zero_amount) or state,
        vendor_state=result,
        amount=amount,
        authorized=authorized_amount,
        captured=captured,
        refunded=zero_amount,
        next_action=_next_action(body.object("action")),
        means=_payment_means(body),
        reference=body.text("merchantReference") or (psp if unnamed_marker else None),
        raw=body.raw,
    )


def _next_action(action: sdk.Answer) -> NextAction | None:
    if not action:
        return None
    kind, method = action.text("type"), action.text("method") or "GET"
    type_ = _ACTIONS.get(kind or "", NextActionType.UNKNOWN)
    is_posted = type_ is NextActionType.REDIRECT and method == "POST"
    # Adyen's own components need the complete action.
    fields = action.raw if type_ is not NextActionType.REDIRECT else action.object("data").raw
    return NextAction(
        type=NextActionType.POST if is_posted else type_,
        url=action.text("url"),
        method=method,
        fields=fields,
        token=action.text("token"),
        expires_at=action.time("expiresAt"),
        vendor_type=kind,
    )


def full_year(year: int) -> int:
    """The year of a card's expiry, which Adyen may state with two digits."""
    return year + 2000 if year < 100 else year


def _payment_means(body: sdk.Answer) -> MeansOfPayment | None:
    method, additional_data = body.object("paymentMethod"), read_flat(body, "additionalData")
    if not method and "paymentMethod" not in additional_data:
        return None
    expires = _EXPIRES.fullmatch(additional_data.get("expiryDate", ""))
    return MeansOfPayment(
        type=method.text("type"),
        brand=method.text("brand") or additional_data.get("paymentMethod"),
        last4=additional_data.get("cardSummary"),
        expires=None if expires is None else (full_year(int(expires[2])), int(expires[1])),
        stored=additional_data.get("tokenization.storedPaymentMethodId")
        or additional_data.get("recurring.recurringDetailReference"),
    )


def read_flat(body: sdk.Answer, name: str) -> dict[str, str]:
    """Return the non-empty texts in a table whose keys contain dots, such as "a.b"."""
    field = body.value(name)
    table: dict[str, Any] = field if sdk.is_object(field) else {}
    return {key: value for key, value in table.items() if isinstance(value, str) and value}


def read_move(response: sdk.Response) -> tuple[sdk.Answer, str, MoveState]:
    """Parse the reference and state of a capture, cancellation or refund."""
    body = sdk.read_answer(response)
    psp = sdk.required(body.text("pspReference"), response, "pspReference")
    is_received = body.text("status") == "received"
    return body, psp, MoveState.PENDING if is_received else MoveState.UNKNOWN


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, which is more specific than the status."""
    try:
        raw_answer = response.json()
    except sdk.InvalidData:
        return None
    if not sdk.is_object(raw_answer):
        return None
    body = sdk.Answer(raw_answer)
    if sdk.is_success(response.status):
        return _refusal(body, response)
    code, words = body.text("errorCode"), sdk.vendor_code_and_message(response)[1]
    fields: dict[str, Any] = {
        "status": response.status,
        "vendor_code": code,
        "vendor_message": words,
        "response": response,
    }
    if code == "704":
        return _key_reuse_error(response)
    if response.status == _TOO_MANY_REQUESTS:
        return None
    if code in _CARDS:
        return sdk.PaymentDeclined(
            f"Adyen refused the card: {words}", reason=_BY_CODE[code], **fields
        )
    kind = _KINDS.get(body.text("errorType") or "")
    if response.status == _NOT_FOUND or code == MISSING:
        kind = sdk.VendorRejected
    if response.status >= 500 and kind is not sdk.VendorRejected:
        kind = sdk.VendorFailed
    return None if kind is None else kind(f"Adyen refused: {words or code}", **fields)


_KINDS: Final[dict[str, Callable[..., sdk.ConnectorError]]] = {
    "validation": sdk.InvalidRequest,
    "security": sdk.AuthenticationFailed,
    "configuration": sdk.VendorRejected,
    "internal": sdk.VendorFailed,
}


def _key_reuse_error(response: sdk.Response) -> sdk.ConnectorError:
    """The error for an idempotency key that is in use, or belongs to a different request."""
    if response.headers.get("transient-error") == "true":
        return sdk.IdempotencyInProgress("Adyen is still working on a request with this key (704).")
    return sdk.IdempotencyConflict("Adyen received this key before, with another request (704).")


def _refusal(body: sdk.Answer, response: sdk.Response) -> sdk.PaymentDeclined | None:
    result = body.text("resultCode")
    if result not in _REFUSED_RESULTS:
        return None
    decline = decline_of(body.text("refusalReasonCode"), body.text("refusalReason"))
    words = decline.vendor_message
    reason = decline.reason
    if result == "Cancelled" and reason is DeclineReason.OTHER:
        reason = DeclineReason.CANCELED_BY_BUYER
    if result == "Error" and reason is DeclineReason.OTHER:
        reason = DeclineReason.PROCESSING_ERROR
    return sdk.PaymentDeclined(
        f"Adyen reports the payment as {result}: {words or 'no reason is given'}.",
        reason=reason,
        payment=body.text("pspReference"),
        status=response.status,
        vendor_code=decline.vendor_code,
        vendor_message=words,
        response=response,
    )
