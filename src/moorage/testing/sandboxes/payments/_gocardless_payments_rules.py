"""The request rules of GoCardless' sandbox, and its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes._fields import typed
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response

PAYMENT: Final[Mapping[str, type]] = {
    **typed(int, "amount app_fee"),
    **typed(str, "charge_date currency description reference"),
    **typed(bool, "faster_ach retry_if_possible"),
    **typed(dict, "links metadata"),
    "psu_interaction_type": str,
}
REFUND: Final[Mapping[str, type]] = {
    **typed(int, "amount total_amount_confirmation"),
    **typed(dict, "links metadata"),
    "reference": str,
}
REQUEST: Final[Mapping[str, type]] = {
    **typed(dict, "links mandate_request metadata payment_request"),
    **typed(bool, "fallback_enabled"),
    **typed(str, "payment_context_code payment_purpose_code purpose_code"),
}
PAYMENT_REQUEST: Final[Mapping[str, type]] = {
    **typed(int, "amount app_fee"),
    **typed(str, "currency description funds_settlement reference scheme"),
    "metadata": dict,
    "retry_if_possible": bool,
}
SUBSCRIPTION: Final[Mapping[str, type]] = {
    **typed(int, "amount app_fee count day_of_month interval"),
    **typed(str, "currency end_date interval_unit month name payment_reference start_date"),
    **typed(dict, "links metadata"),
    "retry_if_possible": bool,
}
CHANGE_SUBSCRIPTION: Final[Mapping[str, type]] = {
    **typed(int, "amount app_fee"),
    **typed(str, "name payment_reference"),
    "metadata": dict,
    "retry_if_possible": bool,
}
FLOW: Final[Mapping[str, type]] = {
    **typed(str, "exit_uri language redirect_uri"),
    **typed(dict, "links prefilled_bank_account prefilled_customer"),
    **typed(bool, "auto_fulfil lock_bank_account lock_currency"),
    **typed(bool, "lock_customer_details show_redirect_buttons"),
    **typed(bool, "show_success_redirect_button skip_success_screen"),
}
CURRENCIES: Final = {
    "autogiro": "SEK",
    "bacs": "GBP",
    "becs": "AUD",
    "becs_nz": "NZD",
    "betalingsservice": "DKK",
    "pad": "CAD",
    "sepa_core": "EUR",
    "ach": "USD",
}
"""The currency of each scheme."""
PAID_AT_ONCE: Final = frozenset({"EUR", "GBP"})
"""The currencies of payments on a page."""
INACTIVE: Final = frozenset({"cancelled", "failed", "expired", "consumed", "blocked"})
_MOST_TEXTS: Final = 3
_LONGEST_NAME: Final = 50
_LONGEST_TEXT: Final = 500


def error(status: int, kind: str, code: str, message: str = "No.", **links: str) -> Response:
    """Return an error in GoCardless' format, with one entry."""
    entry: dict[str, Any] = {"reason": code, "message": message}
    return _errors(status, kind, entry | ({"links": links} if links else {}))


def _errors(status: int, kind: str, entry: dict[str, Any]) -> Response:
    body = {
        "type": kind,
        "code": status,
        "message": entry["message"],
        "request_id": "dd50eaaf-8213-48fe-90d6-5466872efbc4",
        "documentation_url": "https://developer.gocardless.com/api-reference",
        "errors": [entry],
    }
    return reply({"error": body}, status)


def impossible_step(code: str, message: str = "No.") -> Refusal:
    """Return the error response to a step that its object's state does not allow."""
    return Refusal(error(422, "invalid_state", code, message))


def invalid_field(field: str, message: str = "is invalid") -> Refusal:
    """Return the error response to a request with an invalid field."""
    return Refusal(_errors(422, "validation_failed", {"field": field, "message": message}))


def missing_object() -> Refusal:
    """Return the error response to a request for an unknown object."""
    return Refusal(error(404, "invalid_api_usage", "resource_not_found", "Resource not found"))


def check_fields(body: Any, envelope: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Check that a body has only these fields with the right types, and return them."""
    if not is_object(body) or set(body) != {envelope}:
        raise Refusal(error(400, "invalid_api_usage", "missing_envelope", "Missing envelope"))
    return check_types(body[envelope], types)


def check_types(fields: Any, types: Mapping[str, type]) -> dict[str, Any]:
    """Check that an object has only these fields with the right types, and return it."""
    if not is_object(fields):
        raise invalid_field("body")
    for name, value in fields.items():
        if name not in types:
            raise invalid_field(name, "is unknown")
        if type(value) is not types[name]:
            raise invalid_field(name)
    metadata = fields.get("metadata", {})
    if len(metadata) > _MOST_TEXTS:
        raise invalid_field("metadata", "has too many keys")
    for name, text in metadata.items():
        if not isinstance(text, str) or len(name) > _LONGEST_NAME or len(text) > _LONGEST_TEXT:
            raise invalid_field("metadata")
    return fields


def check_amount(fields: Mapping[str, Any]) -> int:
    """Check and return the amount of a request."""
    amount = fields.get("amount")
    if not isinstance(amount, int) or amount <= 0:
        raise invalid_field("amount", "must be greater than 0")
    return amount
