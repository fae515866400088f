"""The request bodies for Razorpay."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._razorpay_answers import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import Charge

NAME: Final = "razorpay"
MOST_NOTES: Final = 15
_LONGEST_NOTE: Final = 256


def amount_fields(amount: sdk.Money) -> dict[str, Any]:
    """An amount in Razorpay's format."""
    return {"amount": UNITS.to_minor(amount), "currency": amount.currency}


def key_name(wire: sdk.Wire, key: str, longest: int = 64) -> str:
    """A digest of an idempotency key, with only characters that Razorpay accepts."""
    return sha256(f"{wire.tenant or ''}\n{key}".encode()).hexdigest()[:longest]


def order_fields(charge: Charge, *, capture: bool) -> dict[str, Any]:
    """The fields that create an order, including whether its payments are captured at once."""
    return {
        **amount_fields(charge.amount),
        "payment_capture": capture,
        "notes": notes_of(charge.reference, charge.metadata),
    }


def intent_fields(charge: Charge) -> dict[str, Any]:
    """The fields that create an order for a buyer; the caller's extra options override them."""
    return sdk.merged(order_fields(charge, capture=True), sdk.extra_for(NAME, charge.extra))


def checkout_fields(key_id: str, charge: Charge, order: str, url: str | None) -> dict[str, Any]:
    """The options of Razorpay's Checkout in the browser."""
    fields: dict[str, Any] = {
        "key": key_id,
        **amount_fields(charge.amount),
        "order_id": order,
        "description": charge.description,
        "notes": notes_of(charge.reference, charge.metadata),
        "callback_url": url,
    }
    if charge.customer is not None:
        known_details = {
            "name": charge.customer.name,
            "email": charge.customer.email,
            "contact": charge.customer.phone,
        }
        fields["customer_id"] = charge.customer.id
        fields["prefill"] = {
            name: text for name, text in known_details.items() if text is not None
        } or None
    if charge.store_method:
        fields["recurring"] = "1"
    return {name: value for name, value in fields.items() if value is not None}


def recurring_fields(charge: Charge, order: str) -> dict[str, Any]:
    """The fields that charge a token; the caller's extra options override them."""
    customer = charge.customer
    buyer = {
        "customer_id": None if customer is None else customer.id,
        "email": None if customer is None else customer.email,
        "contact": None if customer is None else customer.phone,
    }
    fields_of_customer = {"customer_id": "id", "email": "email", "contact": "phone"}
    for name, field in fields_of_customer.items():
        if buyer[name] is None:
            raise sdk.InvalidData(
                "Razorpay charges a token only if the customer's id, email and phone are sent.",
                field=f"customer.{field}",
                remedy="Pass Customer(id='cust_...', email=..., phone=...).",
            )
    fields: dict[str, Any] = {
        **buyer,
        **amount_fields(charge.amount),
        "order_id": order,
        "token": charge.source,
        "recurring": "1",
        "description": charge.description or charge.reference,
        "notes": notes_of(charge.reference, charge.metadata),
    }
    return sdk.merged(fields, sdk.extra_for(NAME, charge.extra))


def notes_of(reference: str, metadata: Mapping[str, str]) -> dict[str, str]:
    """The texts stored with a payment; the caller's reference is one of them."""
    notes = {**metadata, "reference": reference}
    is_too_long = any(len(text) > _LONGEST_NOTE for text in notes.values())
    if "reference" in metadata or len(notes) > MOST_NOTES or is_too_long:
        raise sdk.InvalidData(
            f"Razorpay stores at most {MOST_NOTES} metadata entries of {_LONGEST_NOTE}"
            " characters with a payment, and moorage uses one of them for the reference.",
            field="metadata",
            remedy=f"Pass at most {MOST_NOTES - 1} metadata entries, and do not name any of"
            ' them "reference".',
        )
    return notes
