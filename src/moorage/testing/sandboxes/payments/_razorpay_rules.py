"""The request rules of Razorpay's sandbox, and its errors."""

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

ORDER: Final[Mapping[str, type]] = {
    "amount": int,
    **typed(str, "currency customer_id method offer_id receipt"),
    **typed(dict, "notes payment token"),
    **typed(bool, "partial_payment payment_capture"),
}
RECURRING: Final[Mapping[str, type]] = {
    "amount": int,
    **typed(str, "contact currency customer_id description email order_id recurring token"),
    "notes": dict,
}
CAPTURE: Final[Mapping[str, type]] = {"amount": int, "currency": str}
REFUND: Final[Mapping[str, type]] = {
    "amount": int,
    "notes": dict,
    **typed(str, "receipt speed"),
}
LINK: Final[Mapping[str, type]] = {
    **typed(int, "amount expire_by first_min_partial_amount"),
    **typed(str, "callback_method callback_url currency description reference_id"),
    **typed(dict, "customer notes notify options"),
    **typed(bool, "accept_partial reminder_enable upi_link"),
}
PLAN: Final[Mapping[str, type]] = {
    "interval": int,
    "period": str,
    **typed(dict, "item notes"),
}
ITEM: Final[Mapping[str, type]] = {
    "amount": int,
    **typed(str, "currency description name"),
}
SUBSCRIPTION: Final[Mapping[str, type]] = {
    **typed(int, "expire_by quantity start_at total_count"),
    **typed(str, "offer_id plan_id"),
    **typed(dict, "notes notify_info"),
    "addons": list,
    "customer_notify": bool,
}
CHANGE_SUBSCRIPTION: Final[Mapping[str, type]] = {
    **typed(int, "quantity remaining_count start_at"),
    **typed(str, "offer_id plan_id schedule_change_at"),
    "customer_notify": bool,
}
MANDATORY: Final = ("amount", "contact", "currency", "customer_id", "email", "order_id", "token")
"""The fields without which a token is not charged."""
DECLINES: Final = {
    "token_insufficient_funds": "insufficient_funds",
    "token_card_expired": "card_expired",
    "token_payment_failed": "payment_failed",
}
"""The tokens that are declined, with the reasons."""
_THREE_DIGITS: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
_MOST_NOTES: Final = 15
_LONGEST_NOTE: Final = 256
_MAX_LENGTHS: Final = {"receipt": 40, "reference_id": 40, "description": 2_048}
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{10,}")


def error(status: int, description: str, reason: str | None = None, **fields: Any) -> Response:
    """Return an error in Razorpay's format."""
    code = "SERVER_ERROR" if status >= 500 else "BAD_REQUEST_ERROR"
    body: dict[str, Any] = {
        "code": code,
        "description": description,
        "field": None,
        "source": "business",
        "step": "payment_initiation",
        "reason": reason,
        "metadata": {},
    }
    return reply({"error": body | fields}, status)


def invalid_request(description: str, field: str | None = None) -> Refusal:
    """Return the error response to a request with invalid data or in the wrong state."""
    return Refusal(error(400, description, "input_validation_failed", field=field))


def check_fields(body: Any, types: Mapping[str, type]) -> dict[str, Any]:
    """Check that a body has only these fields with the right types, and return it."""
    if not is_object(body):
        raise invalid_request("The request is not a JSON object.")
    for name, value in body.items():
        if name not in types:
            raise invalid_request(f"{name} is/are not required and should not be sent", name)
        if type(value) is not types[name]:
            raise invalid_request(f"The {name} is invalid.", name)
        if len(str(value)) > _MAX_LENGTHS.get(name, len(str(value))):
            raise invalid_request(f"The {name} is too long.", name)
    notes = body.get("notes", {})
    if len(notes) > _MOST_NOTES or any(len(str(text)) > _LONGEST_NOTE for text in notes.values()):
        raise invalid_request("The notes are too many or too long.", "notes")
    return body


def check_amount(fields: Mapping[str, Any]) -> tuple[int, str]:
    """Check and return the amount and currency of a request."""
    amount, currency = fields.get("amount"), fields.get("currency")
    if currency not in EXPONENTS:
        raise invalid_request("The currency is not supported.", "currency")
    is_uneven = currency in _THREE_DIGITS and isinstance(amount, int) and amount % 10
    if not isinstance(amount, int) or amount <= 0 or is_uneven:
        raise invalid_request("The amount is invalid.", "amount")
    return amount, str(currency)


def check_key(key: str | None) -> None:
    """Check a refund's idempotency key, if any."""
    if key is not None and _KEY.fullmatch(key) is None:
        raise invalid_request("The idempotency key is invalid.")
