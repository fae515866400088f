"""The request rules of Checkout.com's sandbox, and its magic tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.domain.values.money import EXPONENTS
from moorage.testing.sandboxes._fields import typed, words
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response

PAYMENT: Final[Mapping[str, type]] = {
    **typed(dict, "3ds billing_descriptor customer metadata processing"),
    **typed(dict, "recipient risk sender shipping source"),
    **typed(str, "authorization_type capture_on currency description"),
    **typed(str, "failure_url payment_ip payment_type previous_payment_id"),
    **typed(str, "processing_channel_id reference success_url"),
    "amount": int,
    "capture": bool,
    "items": list,
    "merchant_initiated": bool,
}
CAPTURE: Final[Mapping[str, type]] = {
    "amount": int,
    "capture_type": str,
    "metadata": dict,
    "reference": str,
}
REFUND: Final[Mapping[str, type]] = {"amount": int, "metadata": dict, "reference": str}
EVIDENCE: Final[Mapping[str, type]] = dict.fromkeys(
    ("additional_evidence_text", "proof_of_delivery_or_service_text"), str
)
VOID: Final[Mapping[str, type]] = {"metadata": dict, "reference": str}
_TOKEN: Final[Mapping[str, type]] = {
    **typed(str, "type token"),
    **typed(dict, "account_holder billing_address phone"),
    **typed(bool, "stored store_for_future_use"),
}
_STORED: Final[Mapping[str, type]] = {
    **typed(str, "type id cvv"),
    "billing_address": dict,
}
_MAX_LENGTHS: Final = {"reference": 50, "description": 100, "success_url": 255, "failure_url": 255}
_TYPES: Final = words("Regular Recurring MOTO Installment PayLater Unscheduled")
_PATTERN: Final = re.compile(r"tok_(\w{26})")
_SOURCE: Final = re.compile(r"src_(\w{26})")
_METHODS: Final = frozenset({"bancontact", "eps", "ideal", "p24", "paypal", "sofort"})
_THREE_DIGITS: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
_MAX_AMOUNT: Final = 999_999_999
CONFIRMED: Final = "3ds"
SUMMARIES: Final = {
    "10000": "Approved",
    "20005": "Declined - Do Not Honour",
    "20014": "Invalid Card Number",
    "20051": "Insufficient Funds",
    "20054": "Expired Card",
    "20059": "Suspected Fraud",
    "20061": "Exceeds Withdrawal Value/Amount Limits",
    "20154": "3DS authentication required",
    "30043": "Stolen card - pick up",
}
"""The response codes of the sandbox, with their texts."""


def error(status: int, *codes: str, kind: str = "request_invalid") -> Response:
    """Return an error in Checkout.com's format."""
    body = {"request_id": "0HL80RJLS76I7", "error_type": kind, "error_codes": [*codes]}
    return reply(body, status)


def invalid_data(*codes: str) -> Refusal:
    """Return Checkout.com's response to a request with invalid data."""
    return Refusal(error(422, *codes))


def check_fields(body: Any, types: Mapping[str, type]) -> dict[str, Any]:
    """Check that a body has only these fields with the right types, and return it."""
    if not is_object(body):
        raise invalid_data("request_body_malformed")
    for name, value in body.items():
        if name not in types:
            raise invalid_data(f"{name}_unknown")
        if type(value) is not types[name]:
            raise invalid_data(f"{name}_invalid")
        if len(str(value)) > _MAX_LENGTHS.get(name, len(str(value))):
            raise invalid_data(f"{name}_length_invalid")
    if any(is_object(value) for value in body.get("metadata", {}).values()):
        raise invalid_data("metadata_invalid")
    return body


def check_payment(body: Any) -> dict[str, Any]:
    """Check a payment by Checkout.com's rules, and return its fields."""
    fields = check_fields(body, PAYMENT)
    for name in ("source", "amount", "currency"):
        if name not in fields:
            raise invalid_data(
                "payment_source_required" if name == "source" else f"{name}_required"
            )
    if fields["currency"] not in EXPONENTS:
        raise invalid_data("currency_invalid")
    if fields.get("payment_type", "Regular") not in _TYPES:
        raise invalid_data("payment_type_invalid")
    check_amount(fields["amount"], fields["currency"])
    items = fields.get("items", [])
    if items and sum(item["total_amount"] for item in items) != fields["amount"]:
        raise invalid_data("items_total_amount_invalid")
    return fields


def check_amount(minor: int, currency: str) -> int:
    """Check an amount in minor units, and return it."""
    is_partial = (currency in _THREE_DIGITS and minor % 10) or (currency == "CLP" and minor % 100)
    if not 0 < minor <= _MAX_AMOUNT or is_partial:
        raise invalid_data("amount_invalid")
    return minor


def outcome_of(source: Any, *, confirmed: bool) -> str:
    """Return a payment method's response code, or `CONFIRMED` if the buyer must confirm.

    Args:
        source: the means of payment of a request.
        confirmed: True if the request wants the buyer to confirm.
    """
    kind = source.get("type")
    if kind in _METHODS and set(source) == {"type"}:
        return CONFIRMED
    if kind == "id":
        check_fields(source, _STORED)
        if _SOURCE.fullmatch(str(source.get("id"))) is None:
            raise invalid_data("source_id_invalid")
        return CONFIRMED if confirmed else "10000"
    match = _PATTERN.fullmatch(str(source.get("token")))
    if kind != "token" or match is None:
        raise invalid_data("source_type_invalid" if kind != "token" else "token_invalid")
    check_fields(source, _TOKEN)
    word = match[1].rstrip("_")
    if word not in {*SUMMARIES, CONFIRMED}:
        raise invalid_data("token_invalid")
    return CONFIRMED if confirmed and word == "10000" else word
