"""The request rules of Square's sandbox, and its magic sources."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.domain.values.money import EXPONENTS
from moorage.testing.sandboxes._fields import typed
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response

VERSION: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
MONEY: Final[Mapping[str, Any]] = {"amount": int, "currency": str}
_ADDRESS: Final[Mapping[str, Any]] = {
    **typed(str, "address_line_1 address_line_2 address_line_3"),
    **typed(str, "administrative_district_level_1 country first_name"),
    **typed(str, "last_name locality postal_code"),
}
PAY: Final[Mapping[str, Any]] = {
    "accept_partial_authorization": bool,
    "amount_money": MONEY,
    "app_fee_money": MONEY,
    "autocomplete": bool,
    "billing_address": _ADDRESS,
    "buyer_email_address": 255,
    "buyer_phone_number": str,
    "customer_details": {"customer_initiated": bool, "seller_keyed_in": bool},
    **typed(str, "customer_id delay_action delay_duration"),
    "idempotency_key": 45,
    "location_id": str,
    "note": 500,
    "order_id": str,
    "reference_id": 40,
    "shipping_address": _ADDRESS,
    "source_id": str,
    "statement_description_identifier": 20,
    "team_member_id": str,
    "tip_money": MONEY,
    "verification_token": str,
}
UPDATE: Final[Mapping[str, Any]] = {
    "idempotency_key": 45,
    "payment": {"amount_money": MONEY, "tip_money": MONEY, "version_token": str},
}
COMPLETE: Final[Mapping[str, Any]] = {"version_token": str}
REFUND: Final[Mapping[str, Any]] = {
    "amount_money": MONEY,
    "app_fee_money": MONEY,
    "idempotency_key": 192,
    "payment_id": str,
    "payment_version_token": str,
    "reason": 192,
    "team_member_id": str,
}
EVIDENCE: Final[Mapping[str, Any]] = {
    "evidence_text": 500,
    "evidence_type": str,
    "idempotency_key": 45,
}
CARD: Final[Mapping[str, Any]] = {
    "idempotency_key": 45,
    "source_id": str,
    "verification_token": str,
    "card": {
        "billing_address": dict,
        "cardholder_name": 96,
        "customer_id": str,
        "exp_month": int,
        "exp_year": int,
        "reference_id": 128,
    },
}
_WRONG: Final = "INVALID_REQUEST_ERROR"
_MAGIC: Final = {
    "cnon:card-nonce-ok": None,
    "cnon:gift-card-nonce-ok": None,
    "cnon:card-nonce-declined": "GENERIC_DECLINE",
    "cnon:card-nonce-rejected-cvv": "CVV_FAILURE",
    "cnon:card-nonce-rejected-expiration": "INVALID_EXPIRATION",
    "cnon:card-nonce-rejected-postalcode": "ADDRESS_VERIFICATION_FAILURE",
    "cnon:gift-card-nonce-insufficient-funds": "INSUFFICIENT_FUNDS",
    "ccof:customer-card-id-ok": None,
    "ccof:customer-card-id-declined": "GENERIC_DECLINE",
    "ccof:customer-card-id-rejected-cvv": "CVV_FAILURE",
    "ccof:customer-card-id-requires-verification": "CARD_DECLINED_VERIFICATION_REQUIRED",
    "bnon:bank-nonce-ok": None,
}
_ANY_NONCE: Final = re.compile(r"cnon:sandbox-([A-Z_]+)")


def error(status: int, category: str, code: str, detail: str, **more: Any) -> Response:
    """Return an error in Square's format."""
    field = {"field": more.pop("field")} if "field" in more else {}
    problem = {"category": category, "code": code, "detail": detail, **field}
    return reply({"errors": [problem], **more}, status)


def invalid_request(code: str, detail: str, status: int = 400, **more: Any) -> Refusal:
    """Return Square's response to an invalid request."""
    return Refusal(error(status, _WRONG, code, detail, **more))


def check(body: Any, shapes: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Check that a body has only these fields with valid values, and return it.

    Args:
        body: the body of the request.
        shapes: the rule of each field, by name: a type, a table of further fields, or the length
            of a text.
        at: path to the checked object inside the request's body.
    """
    if not is_object(body):
        raise invalid_request("EXPECTED_OBJECT", "Expected an object.", field=at)
    for name, value in body.items():
        path = f"{at}.{name}" if at else name
        kind = shapes.get(name)
        if kind is None:
            raise invalid_request("UNKNOWN_BODY_PARAMETER", "Not a recognized field.", field=path)
        if is_object(kind):
            check(value, kind, path)
        elif isinstance(kind, int):
            _check_text(value, kind, path)
        elif type(value) is not kind:
            raise invalid_request(
                "INCORRECT_TYPE", f"The value {value!r} has the wrong type.", field=path
            )
    return body


def _check_text(value: Any, longest: int, path: str) -> None:
    if not isinstance(value, str):
        raise invalid_request("EXPECTED_STRING", "Expected a string value.", field=path)
    if len(value) > longest:
        raise invalid_request("VALUE_TOO_LONG", f"At most {longest} characters.", field=path)
    if not value:
        raise invalid_request("VALUE_EMPTY", "Field must not be blank.", field=path)


def require_fields(body: Mapping[str, Any], *names: str) -> None:
    """Refuse a body without one of these fields."""
    for name in names:
        if name not in body:
            raise invalid_request(
                "MISSING_REQUIRED_PARAMETER", "Missing required parameter.", field=name
            )


def amount_of(money: Mapping[str, Any], currency: str | None = None) -> int:
    """Check the currency of an amount above zero, and return the amount."""
    require_fields(money, "amount", "currency")
    if money["currency"] not in EXPONENTS:
        raise invalid_request(
            "INVALID_ENUM_VALUE", "The value is not a currency code.", field="amount_money.currency"
        )
    if money["currency"] != (currency or money["currency"]):
        raise invalid_request(
            "CURRENCY_MISMATCH",
            "The currency differs from the payment's currency.",
            field="amount_money",
        )
    if money["amount"] <= 0:
        raise invalid_request(
            "VALUE_TOO_LOW", "The amount must be above zero.", field="amount_money.amount"
        )
    return int(money["amount"])


def magic(source: str) -> str | None:
    """Return the decline code of a source; None for success."""
    match = _ANY_NONCE.fullmatch(source)
    if match is not None:
        return match[1]
    if source not in _MAGIC:
        raise invalid_request("NOT_FOUND", "Card nonce not found.", 404, field="source_id")
    return _MAGIC[source]


def missing_object(id: str) -> Refusal:
    """Return Square's response for a missing object."""
    return invalid_request("NOT_FOUND", f"Could not find {id}.", 404)
