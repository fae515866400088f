"""The request rules of PayPal's sandbox, and its errors."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.money import EXPONENTS, Money
from moorage.testing.sandboxes._fields import typed
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.domain.http.requests import Response

Rule: TypeAlias = Any
"""A rule for a value: the largest number of letters, the allowed words, a type, or rules for its
parts.
"""

_VALUE: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_WHOLE_CURRENCIES: Final = frozenset({"HUF", "JPY", "TWD"})

AMOUNT: Final[Rule] = {"currency_code!": 3, "value!": 32}
_CONTEXT: Final[Rule] = {
    "brand_name": 127,
    "locale": 10,
    "shipping_preference": ("GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"),
    "return_url": 4_000,
    "cancel_url": 4_000,
    "landing_page": ("LOGIN", "GUEST_CHECKOUT", "NO_PREFERENCE"),
    "user_action": ("CONTINUE", "PAY_NOW"),
    "payment_method_preference": ("UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"),
}
_ADDRESS: Final[Rule] = {
    "address_line_1": 300,
    "address_line_2": 300,
    "admin_area_1": 300,
    "admin_area_2": 120,
    "postal_code": 60,
    "country_code!": 2,
}
_ITEM: Final[Rule] = {
    "name!": 127,
    "sku": 127,
    "quantity!": 10,
    "unit_amount!": AMOUNT,
    "category": ("DIGITAL_GOODS", "PHYSICAL_GOODS", "DONATION"),
}
_STORE: Final = ("ON_SUCCESS",)
_CUSTOMER: Final[Rule] = {"id": 22, "email_address": 254}
_SOURCE: Final[Rule] = {
    "paypal": {
        "vault_id": 255,
        "address": _ADDRESS,
        "email_address": 254,
        "attributes": {
            "customer": _CUSTOMER,
            "vault": {"store_in_vault": _STORE, "usage_type!": ("MERCHANT", "PLATFORM")},
        },
        "experience_context": _CONTEXT,
    },
    "card": {
        "vault_id": 255,
        "billing_address": _ADDRESS,
        "attributes": {
            "customer": _CUSTOMER,
            "vault": {"store_in_vault": _STORE},
            "verification": {"method": ("SCA_ALWAYS", "SCA_WHEN_REQUIRED")},
        },
        "stored_credential": {
            "payment_initiator!": ("CUSTOMER", "MERCHANT"),
            "payment_type!": ("ONE_TIME", "RECURRING", "UNSCHEDULED"),
            "usage": ("FIRST", "SUBSEQUENT", "DERIVED"),
        },
        "experience_context": {"return_url": 4_000, "cancel_url": 4_000},
    },
    "venmo": {"vault_id": 255},
}
ORDER: Final[Rule] = {
    "intent!": ("CAPTURE", "AUTHORIZE"),
    "purchase_units!": [
        {
            "reference_id": 256,
            "amount!": {
                **AMOUNT,
                "breakdown": typed(AMOUNT, "item_total tax_total discount"),
            },
            "custom_id": 127,
            "invoice_id": 127,
            "description": 127,
            "soft_descriptor": 22,
            "items": [_ITEM],
            "shipping": {"name": {"full_name": 300}, "address": _ADDRESS},
        }
    ],
    "payment_source": _SOURCE,
    "processing_instruction": ("NO_INSTRUCTION", "ORDER_COMPLETE_ON_PAYMENT_APPROVAL"),
}
NOTHING: Final[Rule] = {}
CAPTURE: Final[Rule] = {
    "amount": AMOUNT,
    "final_capture": bool,
    "invoice_id": 127,
    "note_to_payer": 255,
    "soft_descriptor": 22,
}
REFUND: Final[Rule] = {
    "amount": AMOUNT,
    "custom_id": 127,
    "invoice_id": 127,
    "note_to_payer": 255,
}


def refusal(status: int, name: str, issue: str | None = None, field: str | None = None) -> Response:
    """Return an error in PayPal's format."""
    details = {"issue": issue, "description": f"{issue}.", "field": field}
    issues = [{key: value for key, value in details.items() if value is not None}]
    body = {"name": name, "message": f"{name}.", "debug_id": "f0a1", "details": issues}
    return reply(body if issue is not None else {**body, "details": []}, status)


def unprocessable(issue: str) -> Refusal:
    """Return the error response to a well-formed request that cannot be executed."""
    return Refusal(refusal(422, "UNPROCESSABLE_ENTITY", issue))


def checked_body(body: object, rule: Rule) -> dict[str, Any]:
    """Return a valid body; refuse a body with an unknown field or a broken rule."""
    field_problem = next(_field_problems(body, rule, ""), None)
    if field_problem is not None:
        raise Refusal(refusal(400, "INVALID_REQUEST", *field_problem))
    return body  # type: ignore[return-value]  # a table, by its rule


def _field_problems(value: object, rule: Rule, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(rule, int):
        if not isinstance(value, str):
            yield "INVALID_PARAMETER_SYNTAX", at
        elif not 0 < len(value) <= rule:
            yield "INVALID_STRING_LENGTH", at
    elif isinstance(rule, tuple):
        if value not in rule:
            yield "INVALID_PARAMETER_VALUE", at
    elif isinstance(rule, type):
        if not isinstance(value, rule):
            yield "INVALID_PARAMETER_SYNTAX", at
    elif isinstance(rule, list):
        yield from _wrong_items(value, rule[0], at)
    else:
        yield from _wrong_fields(value, rule, at)


def _wrong_items(value: object, rule: Rule, at: str) -> Iterator[tuple[str, str]]:
    if is_list(value) and value:
        for number, item in enumerate(value):
            yield from _field_problems(item, rule, f"{at}/{number}")
    else:
        yield "INVALID_ARRAY_MIN_ITEMS", at


def _wrong_fields(value: object, rules: Mapping[str, Rule], at: str) -> Iterator[tuple[str, str]]:
    table = value if is_object(value) else None
    if table is None:
        yield "MALFORMED_REQUEST_JSON", at or "/"
    rules_by_name = {name.rstrip("!"): rule for name, rule in rules.items()}
    for name in rules:
        if name.endswith("!") and name.rstrip("!") not in (table or {}):
            yield "MISSING_REQUIRED_PARAMETER", f"{at}/{name.rstrip('!')}"
    for name, item in (table or {}).items():
        if name not in rules_by_name:
            yield "INVALID_PARAMETER", f"{at}/{name}"
        else:
            yield from _field_problems(item, rules_by_name[name], f"{at}/{name}")


def check_breakdown(unit: Mapping[str, Any]) -> None:
    """Refuse a breakdown that does not add up to the amount or the items."""
    breakdown = unit["amount"].get("breakdown", {})

    def sum_of(name: str) -> Decimal:
        return Decimal(breakdown[name]["value"]) if name in breakdown else Decimal(0)

    items = sum(
        Decimal(item["unit_amount"]["value"]) * int(item["quantity"])
        for item in unit.get("items", ())
    )
    if items != sum_of("item_total"):
        raise unprocessable("ITEM_TOTAL_MISMATCH")
    total = sum_of("item_total") + sum_of("tax_total") - sum_of("discount")
    if breakdown and total != Decimal(unit["amount"]["value"]):
        raise unprocessable("AMOUNT_MISMATCH")


def amount_of(amount: Mapping[str, str]) -> Money:
    """Check the currency and decimals of an amount above zero, and return it."""
    currency, value = amount["currency_code"], amount["value"]
    if currency not in EXPONENTS:
        raise unprocessable("INVALID_CURRENCY_CODE")
    if _VALUE.fullmatch(value) is None:
        raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX", "/amount/value"))
    decimals = len(value.partition(".")[2])
    if decimals and currency in _WHOLE_CURRENCIES:
        raise unprocessable("DECIMALS_NOT_SUPPORTED")
    if decimals > 2:
        raise unprocessable("DECIMAL_PRECISION")
    if Decimal(value) <= 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE")
    return Money(value, currency)


def amount_fields(amount: Money) -> dict[str, str]:
    """Return an amount in PayPal's format."""
    decimals = 0 if amount.currency in _WHOLE_CURRENCIES else min(2, EXPONENTS[amount.currency])
    return {"currency_code": amount.currency, "value": f"{amount.amount:.{decimals}f}"}
