"""Completes Stripe objects with fields that the sandbox does not store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from moorage.testing.sandboxes.base import reply

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

_BILLING_DETAILS: Final = {"address": None, "email": None, "name": None, "phone": None}
_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "charge": {"billing_details": _BILLING_DETAILS, "livemode": False, "paid": True},
    "dispute": {
        "balance_transactions": [],
        "evidence": {},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
    },
    "item": {"amount_discount": 0, "amount_tax": 0},
    "list": {"has_more": False},
    "payment_intent": {"confirmation_method": "automatic", "payment_method_types": ["card"]},
    "payment_link": {
        "after_completion": {"type": "hosted_confirmation"},
        "allow_promotion_codes": False,
        "automatic_tax": {"enabled": False},
        "billing_address_collection": "auto",
        "custom_fields": [],
        "custom_text": {"shipping_address": None, "submit": None},
        "customer_creation": "if_required",
        "livemode": False,
        "payment_method_collection": "always",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "submit_type": "auto",
        "tax_id_collection": {"enabled": False},
    },
    "payment_method": {"billing_details": _BILLING_DETAILS, "livemode": False},
    "payout": {
        "automatic": True,
        "livemode": False,
        "method": "standard",
        "reconciliation_status": "completed",
        "source_type": "card",
        "type": "bank_account",
    },
    "price": {
        "active": True,
        "billing_scheme": "per_unit",
        "livemode": False,
        "metadata": {},
        "type": "recurring",
    },
    "product": {
        "active": True,
        "features": [],
        "images": [],
        "livemode": False,
        "metadata": {},
    },
    "setup_intent": {"livemode": False, "payment_method_types": ["card"]},
    "subscription": {
        "automatic_tax": {"enabled": False},
        "collection_method": "charge_automatically",
        "livemode": False,
    },
    "subscription_item": {"metadata": {}},
    "transfer": {"livemode": False},
}


def whole_object(value: Any) -> Any:
    """Return a JSON value whose Stripe objects have all required fields."""
    if isinstance(value, list):
        return [whole_object(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    fields = _FIELDS.get(str(members.get("object")), {})
    return fields | {name: whole_object(item) for name, item in members.items()}


def stripe_reply(value: object, status: int = 200, **headers: str) -> Response:
    """Return a response with complete Stripe objects."""
    return reply(whole_object(value), status, **headers)
