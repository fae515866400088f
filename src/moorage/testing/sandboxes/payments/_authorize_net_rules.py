"""The request rules of Authorize.Net's sandbox, and its responses."""

from __future__ import annotations

import codecs
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.base import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS: Final = ("Ok", "I00001", "Successful.")
NOTHING: Final = ("Ok", "I00004", "No records found.")
_UNSUCCESSFUL: Final = ("Error", "E00027", "The transaction was unsuccessful.")

_AMOUNT: Final = (str, int, float)
_ADDRESS: Final = typed(str, "firstName lastName company address city state zip country")
_PAGING: Final[Mapping[str, Any]] = {
    "sorting": {"orderBy!": frozenset({"id", "submitTimeUTC"}), "orderDescending!": bool},
    "paging": {"limit!": int, "offset!": int},
}
_TRANSACTION: Final[Mapping[str, Any]] = {
    "transactionType!": frozenset(
        {
            *("authOnlyTransaction", "authCaptureTransaction", "priorAuthCaptureTransaction"),
            *("refundTransaction", "voidTransaction"),
        }
    ),
    "amount": _AMOUNT,
    "currencyCode": str,
    "payment": {
        "creditCard": {"cardNumber!": str, "expirationDate!": str},
        "bankAccount": typed(str, "accountType routingNumber! accountNumber! nameOnAccount!"),
        "opaqueData": {"dataDescriptor!": str, "dataValue!": str},
    },
    "profile": {
        "createProfile": bool,
        "customerProfileId": str,
        "paymentProfile": {"paymentProfileId!": str},
        "shippingProfileId": str,
    },
    **typed(str, "terminalNumber authCode refTransId splitTenderId"),
    "order": typed(str, "invoiceNumber description"),
    "lineItems": {
        "lineItem": [
            {
                **typed(str, "itemId! name! description"),
                "quantity!": _AMOUNT,
                "unitPrice!": _AMOUNT,
            }
        ]
    },
    "taxExempt": bool,
    "poNumber": str,
    "customer": {
        "type": frozenset({"individual", "business"}),
        **typed(str, "id email"),
    },
    "billTo": {**_ADDRESS, **typed(str, "phoneNumber faxNumber email")},
    "shipTo": _ADDRESS,
    "customerIP": str,
    "employeeId": str,
    "transactionSettings": {"setting": [{"settingName": str, "settingValue": str}]},
    "userFields": {"userField": [{"name": str, "value": str}]},
    "merchantDescriptor": str,
    "processingOptions": typed(
        bool, "isFirstRecurringPayment isFirstSubsequentAuth isSubsequentAuth isStoredCredentials"
    ),
    "subsequentAuthInformation": {
        "originalNetworkTransId": str,
        "originalAuthAmount": _AMOUNT,
        "reason": str,
    },
}
REQUESTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "createTransaction": {"transactionRequest!": _TRANSACTION},
    "getTransactionDetails": {"transId!": str},
    "getUnsettledTransactionList": {"status": str, **_PAGING},
    "getSettledBatchList": {
        "includeStatistics": bool,
        "firstSettlementDate": str,
        "lastSettlementDate": str,
    },
    "getTransactionList": {"batchId!": str, **_PAGING},
    "getCustomerProfile": typed(str, "customerProfileId merchantCustomerId email"),
    "deleteCustomerPaymentProfile": typed(str, "customerProfileId! customerPaymentProfileId!"),
}
"""The fields of each request, in the order of the schema."""
_HEAD: Final[Mapping[str, Any]] = {
    "merchantAuthentication!": typed(str, "name! transactionKey!"),
    "clientId": str,
    "refId": str,
}
_LENGTHS: Final = {
    "refId": 20,
    "invoiceNumber": 20,
    "description": 255,
    "poNumber": 25,
    "id": 20,
    "email": 255,
    "firstName": 50,
    "lastName": 50,
    "company": 50,
    "address": 60,
    "city": 40,
    "state": 40,
    "zip": 20,
    "country": 60,
    "name": 255,
}
_NONCE: Final = re.compile(r"nonce-(?:ok|held|code-([0-9]{1,3}))")
_DECLINED_CODES: Final = frozenset(
    {"2", "3", "4", "27", "41", "44", "45", "65", "127", "250", "251", "254"}
)
_TEXTS: Final = {
    "2": "This transaction has been declined.",
    "8": "The credit card has expired.",
    "11": "A duplicate transaction has been submitted.",
    "16": "The transaction cannot be found.",
    "39": "The supplied currency code is either invalid, not supported or not allowed.",
    "47": "The amount requested for settlement cannot be greater than the amount authorized.",
    "54": "The referenced transaction does not meet the criteria for issuing a credit.",
    "55": "The sum of credits against the referenced transaction would exceed the debit amount.",
}
_PLACES: Final = Decimal("0.01")


def answer(fields: Mapping[str, Any], message: tuple[str, str, str] = SUCCESS) -> Response:
    """Return a response with its message; Authorize.Net begins it with a byte order mark."""
    result, code, text = message
    messages = {"resultCode": result, "message": [{"code": code, "text": text}]}
    body = codecs.BOM_UTF8 + encode_json({**fields, "messages": messages})
    return Response(200, {"Content-Type": "application/json; charset=utf-8"}, body)


def error(code: str, text: str) -> Refusal:
    """Return the refusal of a request."""
    return Refusal(answer({}, ("Error", code, text)))


def unsuccessful(code: str, fields: Mapping[str, Any]) -> Response:
    """Return the response about a transaction that was declined, or ended with an error.

    Args:
        code: the code of the reason.
        fields: further fields of the transaction, such as its id.
    """
    text = _TEXTS.get(code, "An error occurred during processing.")
    transaction = {
        "responseCode": "2" if code in _DECLINED_CODES else "3",
        "authCode": "",
        "transId": "0",
        "refTransID": "",
        **fields,
        "errors": [{"errorCode": code, "errorText": text}],
    }
    return answer({"transactionResponse": transaction}, _UNSUCCESSFUL)


def checked_request(body: Any) -> tuple[str, dict[str, Any]]:
    """Return the name and fields of a request, after checking them against the schema."""
    if not is_object(body) or len(body) != 1:
        raise error("E00003", "The root element is missing.")
    ((root, fields),) = body.items()
    name = root.removesuffix("Request")
    if name not in REQUESTS or root == name:
        raise error("E00004", "The name of the requested API method is invalid.")
    shape = {**_HEAD, **REQUESTS[name]}
    wrong_fields = [f"{path}/{field} is {kind}" for path, field, kind in problems(shape, fields)]
    if not wrong_fields:
        wrong_fields = [
            f"'{field}' is an invalid child element" for field in _misplaced_fields(shape, fields)
        ]
    if wrong_fields:
        raise error("E00003", f"The element '{root}' is invalid: {wrong_fields[0]}.")
    _check_lengths(fields)
    checked_fields: dict[str, Any] = fields
    return name, checked_fields


def _misplaced_fields(shape: Any, value: Any) -> list[str]:
    """Return the names of fields that do not follow the order of the schema."""
    if is_list(value):
        return [name for item in value for name in _misplaced_fields(shape[0], item)]
    if not is_object(value):
        return []
    names = [name.rstrip("!") for name in shape]
    rules = {name.rstrip("!"): rule for name, rule in shape.items()}
    places = [names.index(name) for name in value]
    wrong_fields = [
        name
        for name, place, place_before in zip(value, places, [-1, *places], strict=False)
        if place < place_before
    ]
    return wrong_fields + [
        inner for name in value for inner in _misplaced_fields(rules[name], value[name])
    ]


def _check_lengths(value: Any) -> None:
    if is_list(value):
        for item in value:
            _check_lengths(item)
    elif is_object(value):
        for name, item in value.items():
            if isinstance(item, str) and len(item) > _LENGTHS.get(name, len(item)):
                raise error("E00003", f"The '{name}' element is invalid: it is too long.")
            _check_lengths(item)


def amount_of(value: Any) -> Decimal | None:
    """Return an amount above zero; None if it is not one."""
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        return None
    is_valid = amount.is_finite() and amount > 0 and amount == amount.quantize(_PLACES)
    return amount if is_valid else None


def nonce_code(value: str) -> str | None:
    """Return the code of the reason with which a nonce fails; None if it succeeds or is held."""
    match = _NONCE.fullmatch(value)
    if match is None:
        raise error("E00114", "Invalid OTS Token.")
    return match[1]
