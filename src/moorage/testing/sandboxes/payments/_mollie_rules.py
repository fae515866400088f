"""The request rules of Mollie's sandbox, and its magic payment methods."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.money import EXPONENTS, Money
from moorage.testing.sandboxes._fields import typed
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response

API: Final = "https://api.mollie.com"
"""The address of Mollie's API."""
DOCUMENTATION: Final = "https://docs.mollie.com/reference"
"""The address of Mollie's reference, to which answers link."""
_TEXT: Final = (str,)
_KNOWN_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "amount": (dict,),
    "applicationFee": (dict,),
    "applePayPaymentToken": _TEXT,
    "billingAddress": (dict,),
    **typed(
        _TEXT,
        "cancelUrl captureDelay captureMode cardToken customerId description dueDate"
        " googlePayPaymentToken issuer",
    ),
    "lines": (list,),
    "locale": _TEXT,
    "mandateId": _TEXT,
    "metadata": (dict, str, list),
    "method": (str, list),
    **typed(_TEXT, "profileId redirectUrl restrictPaymentMethodsToCountry sequenceType"),
    "shippingAddress": (dict,),
    "storeCredentials": (bool,),
    "testmode": (bool,),
    "webhookUrl": _TEXT,
}
CAPTURE: Final[Mapping[str, tuple[type, ...]]] = {
    "amount": (dict,),
    "description": _TEXT,
    "metadata": (dict, str, list, type(None)),
}
REFUND: Final[Mapping[str, tuple[type, ...]]] = {**CAPTURE, "reverseRouting": (bool,)}
MANDATE: Final[Mapping[str, tuple[type, ...]]] = {
    **typed(_TEXT, "consumerAccount consumerBic consumerName"),
    **typed(_TEXT, "mandateReference method signatureDate"),
}
LINK: Final[Mapping[str, tuple[type, ...]]] = {
    **typed(_TEXT, "description expiresAt profileId redirectUrl webhookUrl"),
    "allowedMethods": (list,),
    **typed((dict,), "amount billingAddress shippingAddress"),
    "lines": (list,),
    "reusable": (bool,),
}
CHANGE_LINK: Final[Mapping[str, tuple[type, ...]]] = {"archived": (bool,), "description": _TEXT}
CHANGE_SUBSCRIPTION: Final[Mapping[str, tuple[type, ...]]] = {
    **typed(_TEXT, "description interval mandateId startDate webhookUrl"),
    "amount": (dict,),
    "metadata": (dict, str, list),
    "times": (int,),
}
SUBSCRIPTION: Final[Mapping[str, tuple[type, ...]]] = {
    **CHANGE_SUBSCRIPTION,
    "applicationFee": (dict,),
    "method": _TEXT,
}
_METHODS: Final = re.compile(
    "alma|applepay|bacs|bancomatpay|bancontact|banktransfer|belfius|billie|billink|bizum|blik"
    "|creditcard|directdebit|eps|giftcard|ideal|in3|kbc|klarna|mbway|mobilepay|multibanco|mybank"
    "|paybybank|paypal|paysafecard|pointofsale|przelewy24|riverty|satispay|swish|trustly|twint"
    "|vipps|voucher"
)
_URL: Final = re.compile("https?://.+")
_SHAPES: Final = {
    "captureMode": re.compile("automatic|manual"),
    "description": re.compile(".{1,255}"),
    "redirectUrl": _URL,
    "sequenceType": re.compile("oneoff|first|recurring"),
    "webhookUrl": _URL,
}
_FAILURES: Final = re.compile(
    "authentication_(abandoned|failed|required|unavailable_acs)|card_(declined|expired)"
    "|inactive_card|insufficient_funds|invalid_(cvv|card_(holder_name|number|type))"
    "|possible_fraud|refused_by_issuer|unknown_reason"
)
CONFIRMED: Final = "3dsecure"
_VALUE: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]+)?")


def link(url: str, kind: str = "application/hal+json") -> dict[str, str]:
    """Return a link in Mollie's format."""
    return {"href": url, "type": kind}


def error(status: int, title: str, detail: str, field: str | None = None) -> Response:
    """Return an error in Mollie's format."""
    docs = {"href": "https://docs.mollie.com/overview/handling-errors", "type": "text/html"}
    body: dict[str, Any] = {"status": status, "title": title, "detail": detail}
    if field is not None:
        body["field"] = field
    return reply({**body, "_links": {"documentation": docs}}, status)


def unprocessable_request(detail: str, field: str | None = None) -> Refusal:
    """Return Mollie's error response to a well-formed request that cannot be processed."""
    return Refusal(error(422, "Unprocessable Entity", detail, field))


def missing_resource(id: str) -> Refusal:
    """Return Mollie's response to a request for an unknown object."""
    return Refusal(error(404, "Not Found", f"No entity exists with token '{id}'"))


def check_fields(body: Any, types: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Check that a body has only these fields with the right types, and return it."""
    if not is_object(body):
        raise Refusal(error(400, "Bad Request", "The request body is not an object"))
    for name, value in body.items():
        if name not in types:
            raise unprocessable_request(f'Non-existent body parameter "{name}"', name)
        if type(value) not in types[name]:
            raise unprocessable_request(f"The {name} has the wrong type", name)
    return body


def check_payment(body: Any) -> dict[str, Any]:
    """Check a payment by Mollie's rules, and return its fields."""
    fields = check_fields(body, _KNOWN_FIELDS)
    recurring = fields.get("sequenceType") == "recurring"
    is_recurring = fields.get("sequenceType", "oneoff") != "oneoff"
    required_names = ["amount", "description"]
    required_names += [] if recurring else ["redirectUrl"]
    required_names += ["customerId"] if is_recurring else []
    for name in required_names:
        if name not in fields:
            raise unprocessable_request(f"The {name} is missing", name)
    for name in fields:
        if name in _SHAPES and _SHAPES[name].fullmatch(fields[name]) is None:
            raise unprocessable_request(f"The {name} is invalid", name)
    method = fields.get("method", [])
    for method_name in method if is_list(method) else [method]:
        if _METHODS.fullmatch(str(method_name)) is None:
            raise unprocessable_request("The payment method is invalid", "method")
    check_order(fields)
    return fields


def check_order(fields: Mapping[str, Any]) -> None:
    """Refuse incomplete addresses, and lines that do not add up to the amount."""
    for name in ("billingAddress", "shippingAddress"):
        address = fields.get(name, {"email": ""})
        if "email" not in address and not {"streetAndNumber", "city", "country"} <= set(address):
            raise unprocessable_request("The address is not complete", name)
    lines = [_line_total(line) for line in fields.get("lines", ())]
    if lines and sum(lines[1:], lines[0]) != amount_of(fields["amount"]):
        raise unprocessable_request("The lines do not add up to the amount", "lines")


def _line_total(line: Mapping[str, Any]) -> Money:
    price, total = (amount_of(line[name]) for name in ("unitPrice", "totalAmount"))
    if price * line["quantity"] != total or not line.get("description"):
        raise unprocessable_request("The line is invalid", "lines")
    if ("vatRate" in line) != ("vatAmount" in line):
        raise unprocessable_request("The vatRate and the vatAmount belong together", "lines")
    return total


def amount_of(value: Any, currency: str | None = None) -> Money:
    """Check the currency and decimals of an amount above zero, and return it."""
    if not is_object(value) or set(value) != {"currency", "value"}:
        raise unprocessable_request("The amount has no currency or value", "amount")
    code, text = value["currency"], value["value"]
    if code not in EXPONENTS or code != (currency or code):
        raise unprocessable_request("The currency is invalid", "amount.currency")
    if not isinstance(text, str) or _VALUE.fullmatch(text) is None:
        raise unprocessable_request("The amount value is not a string of digits", "amount.value")
    if len(text.partition(".")[2]) != EXPONENTS[code]:
        raise unprocessable_request(
            "The amount value has the wrong number of decimals", "amount.value"
        )
    amount = Money(text, code)
    if amount.minor <= 0:
        raise unprocessable_request("The amount is lower than the minimum", "amount")
    return amount


def amount_fields(amount: Money) -> dict[str, str]:
    """Return an amount in Mollie's format."""
    return {"currency": amount.currency, "value": str(amount.amount)}


def magic(token: str | None) -> str | None:
    """Return a card token's outcome: a failure reason, `CONFIRMED`, or None for success."""
    kind = (token or "tkn_visa").removeprefix("tkn_")
    if kind == "visa":
        return None
    if kind == CONFIRMED or _FAILURES.fullmatch(kind) is not None:
        return kind
    raise unprocessable_request("The card token is invalid", "cardToken")
