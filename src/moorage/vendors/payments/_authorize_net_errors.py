"""Authorize.Net's errors, and payments that were declined immediately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Decline, DeclineReason
from moorage.vendors.payments._authorize_net_requests import VENDOR
from moorage.vendors.payments._common import reason_by_code, safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping

DUPLICATE: Final = "11"
"""The code of a transaction that is equal to an earlier one."""
NOT_FOUND: Final = "E00040"
_NO_TRANSACTION: Final = "0"
_DECLINED: Final = "2"
_ERROR: Final = "3"
_REFUSED_TYPES: Final = frozenset({"authCaptureTransaction", "authOnlyTransaction"})
_REASONS: Final = reason_by_code(
    {
        DeclineReason.CARD_NOT_SUPPORTED: "17 28",
        DeclineReason.CURRENCY_NOT_SUPPORTED: "39",
        DeclineReason.EXPIRED_CARD: "8 317",
        DeclineReason.FRAUD_SUSPECTED: "41 250 251 254",
        DeclineReason.INCORRECT_ADDRESS: "27 45 127",
        DeclineReason.INCORRECT_CVC: "44 65 78",
        DeclineReason.INCORRECT_NUMBER: "6 37 315",
        DeclineReason.INVALID_EXPIRY: "7 316",
        DeclineReason.LIMIT_EXCEEDED: "49",
        DeclineReason.LOST_OR_STOLEN: "4",
    }
)
_CARD_ERRORS: Final = frozenset({"6", "7", "8", "17", "28", "37", "78"})
"""Codes of errors about the buyer's card, which another card may avoid."""
_UNCERTAIN: Final = sdk.word_set("19 20 21 22 23 25 26 36 52 57 58 59 60 61 62 63 120 121 122")
"""Codes of errors while the bank was asked; some authorisation may exist there."""
_LOGIN: Final = sdk.word_set("13 32 103 123")
_CLASSES: Final[Mapping[str, Any]] = {
    **sdk.words(sdk.AuthenticationFailed, "E00005 E00006 E00007 E00008 E00010 E00011 E00044"),
    **sdk.words(
        sdk.InvalidRequest,
        "E00002 E00003 E00004 E00009 E00013 E00014 E00015 E00016 E00029 E00041 E00045 E00088"
        " E00089 E00090 E00091 E00092 E00093 E00094 E00095 E00102",
    ),
    **sdk.words(sdk.VendorFailed, "E00001 E00049 E00053 E00104"),
}
"""Classes of errors by the code of the request's message; any other is a refusal."""
_STATUSES: Final[Mapping[int, Any]] = {
    400: sdk.InvalidRequest,
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    429: sdk.RateLimitExceeded,
}
_TIMEOUTS: Final = frozenset({408, 425})


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response; Authorize.Net sends errors with a success status."""
    if response.status >= 500 or response.status in _TIMEOUTS:
        return None
    answer = sdk.error_answer(response)
    message = next(answer.objects("messages.message"), sdk.Answer({}))
    code, text = message.text("code"), sdk.masked_words(message.text("text"))
    if not sdk.is_success(response.status):
        kind = _STATUSES.get(response.status, sdk.VendorRejected)
        return sdk.refusal(kind, VENDOR, response, code, text, otherwise=f"HTTP {response.status}")
    transaction = answer.object("transactionResponse")
    if transaction.text("responseCode") in {_DECLINED, _ERROR}:
        return _unsuccessful(request, response, transaction)
    if answer.text("messages.resultCode") != "Error":
        return None
    kind = _CLASSES.get(code or "", sdk.VendorRejected)
    return sdk.refusal(kind, VENDOR, response, code, text)


def _unsuccessful(
    request: sdk.Request, response: sdk.Response, transaction: sdk.Answer
) -> sdk.ConnectorError:
    """The error for a transaction that was declined, or ended with an error."""
    error = next(transaction.objects("errors"), sdk.Answer({}))
    is_declined = transaction.text("responseCode") == _DECLINED
    code, text = error.text("errorCode"), sdk.masked_words(error.text("errorText"))
    if is_declined or code in _CARD_ERRORS:
        if not _begins_payment(request):
            return sdk.refusal(sdk.VendorRejected, VENDOR, response, code, text)
        decline = Decline(
            reason=_REASONS.get(code or "", DeclineReason.OTHER),
            vendor_code=code or transaction.text("responseCode"),
            vendor_message=text,
        )
        return declined_error(decline, transaction_id(transaction), response)
    kind: Any = sdk.VendorRejected
    if code in _UNCERTAIN:
        kind = sdk.VendorFailed
    elif code in _LOGIN:
        kind = sdk.AuthenticationFailed
    return sdk.refusal(kind, VENDOR, response, code, text, otherwise="an error without a code")


def _begins_payment(request: sdk.Request) -> bool:
    content = request.body if isinstance(request.body, bytes) else b""
    return any(f'"{name}"'.encode() in content for name in _REFUSED_TYPES)


def declined_error(
    decline: Decline, payment: str | None, response: sdk.Response | None = None
) -> sdk.PaymentDeclined:
    """The error for a payment that was declined immediately."""
    return sdk.PaymentDeclined(
        f"The payment was declined: {decline.vendor_message or decline.vendor_code}",
        reason=decline.reason,
        payment=payment,
        status=None if response is None else response.status,
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
        response=response,
    )


def transaction_id(transaction: sdk.Answer) -> str | None:
    """The id of the transaction in a response; None if Authorize.Net made none."""
    id_ = transaction.text("transId")
    return None if id_ == _NO_TRANSACTION else id_


def decline_of(details: sdk.Answer) -> Decline:
    """The reason why a payment failed, from its details."""
    code = details.text("responseReasonCode")
    return Decline(
        reason=_REASONS.get(code or "", DeclineReason.OTHER),
        vendor_code=code or details.text("transactionStatus"),
        vendor_message=safe_text(details.text("responseReasonDescription")),
    )
