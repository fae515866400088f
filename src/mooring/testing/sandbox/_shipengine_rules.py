"""What the sandbox of ShipEngine takes: each field, and of which kind it is."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from mooring.domain.json_text import is_list, is_object
from mooring.testing.sandbox.base import Refusal, reply

Rule: TypeAlias = Any
"""A type, a tuple of words, `[rule]` for a list, or a dict of fields; `+` marks those required."""

_AMOUNT: Final[Rule] = {"+currency": str, "+amount": float}
_WEIGHT: Final[Rule] = {"+value": float, "+unit": ("pound", "ounce", "gram", "kilogram")}
ADDRESS: Final[Rule] = {
    "name": str,
    "company_name": str,
    "address_line1": str,
    "address_line2": str,
    "address_line3": str,
    "city_locality": str,
    "state_province": str,
    "postal_code": str,
    "+country_code": str,
    "phone": str,
    "email": str,
    "address_residential_indicator": ("unknown", "yes", "no"),
}
_PRODUCT: Final[Rule] = {
    "description": str,
    "quantity": int,
    "value": _AMOUNT,
    "weight": _WEIGHT,
    "harmonized_tariff_code": str,
    "country_of_origin": str,
    "sku": str,
}
_PACKAGE: Final[Rule] = {
    "package_code": str,
    "+weight": _WEIGHT,
    "dimensions": {
        "+unit": ("inch", "centimeter"),
        "+length": float,
        "+width": float,
        "+height": float,
    },
    "insured_value": _AMOUNT,
    "label_messages": {"reference1": str, "reference2": str, "reference3": str},
    "external_package_id": str,
    "products": [_PRODUCT],
}
_CUSTOMS: Final[Rule] = {
    "+contents": ("merchandise", "documents", "gift", "returned_goods", "sample", "other"),
    "contents_explanation": str,
    "+non_delivery": ("return_to_sender", "treat_as_abandoned"),
    "terms_of_trade_code": ("exw", "fca", "cpt", "cip", "dap", "ddp", "ddu", "fob"),
    "invoice_additional_details": {"invoice_number": str},
}
_SHIPMENT: Final[Rule] = {
    "validate_address": ("no_validation", "validate_only", "validate_and_clean"),
    "+ship_from": ADDRESS,
    "+ship_to": ADDRESS,
    "return_to": ADDRESS,
    "ship_date": str,
    "confirmation": ("none", "delivery", "signature", "adult_signature", "direct_signature"),
    "customs": _CUSTOMS,
    "insurance_provider": ("none", "shipsurance", "carrier", "third_party"),
    "is_return": bool,
    "shipment_number": str,
    "advanced_options": {
        "saturday_delivery": bool,
        "contains_alcohol": bool,
        "custom_field1": str,
        "custom_field2": str,
    },
    "+packages": [_PACKAGE],
}
RATES: Final[Rule] = {
    "+rate_options": {"+carrier_ids": [str], "service_codes": [str], "is_return": bool},
    "+shipment": _SHIPMENT,
}
LABEL: Final[Rule] = {
    "label_format": ("pdf", "png", "zpl"),
    "label_layout": ("4x6", "letter", "A4", "A6"),
    "label_download_type": ("url",),
    "validate_address": ("no_validation", "validate_only", "validate_and_clean"),
    "custom_field1": str,
    "custom_field2": str,
    "custom_field3": str,
}


def refusal(status: int, code: str, kind: str, message: str, **more: str) -> Refusal:
    """What answers a request that is refused."""
    error = {"error_source": "shipengine", "error_type": kind, "error_code": code, **more}
    body = {"request_id": "0" * 8, "errors": [{**error, "message": message}]}
    return Refusal(reply(body, status))


def check(rule: Rule, value: object, at: str) -> None:
    """Refuse what is of another kind, is not known, or is missing."""
    if is_object(rule):
        _check_fields(rule, value, at)
    elif is_list(rule):
        if not is_list(value) or not value:
            raise _wrong("invalid_field_value", at)
        for number, one in enumerate(value):
            check(rule[0], one, f"{at}[{number}]")
    elif isinstance(rule, tuple):
        if value not in rule:
            raise _wrong("invalid_field_value", at)
    elif not _is(rule, value):
        raise _wrong("invalid_field_value", at)


def _check_fields(rule: dict[str, Rule], value: object, at: str) -> None:
    if not is_object(value):
        raise _wrong("invalid_field_value", at)
    known = {name.removeprefix("+"): inner for name, inner in rule.items()}
    for name in rule:
        if name[0] == "+" and name[1:] not in value:
            raise _wrong("field_value_required", f"{at}.{name[1:]}")
    for name, inner in value.items():
        if name not in known:
            raise _wrong("invalid_field_value", f"{at}.{name}")
        check(known[name], inner, f"{at}.{name}")


def _is(kind: type, value: object) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float) if kind is float else kind)


def _wrong(code: str, at: str) -> Refusal:
    return refusal(400, code, "validation", f"The value of {at} is wrong.", field_name=at)
