"""Requests to PayPal: paths and order bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import Charge, PaymentsCapability, ThreeDs
from moorage.vendor_sdk import InvalidData, Request, UnsupportedByVendor, extra_for, merged
from moorage.vendors.payments._paypal_order import billing_fields, unit_fields

if TYPE_CHECKING:
    from collections.abc import Mapping


ORDERS: Final = "/v2/checkout/orders"
PAYMENTS: Final = "/v2/payments"
KEY: Final = 108
"""The largest number of characters in an idempotency key."""
CAPTURE: Final = "CAPTURE"
AUTHORIZE: Final = "AUTHORIZE"
LONGEST: Final = {"reference": 127, "statement_descriptor": 22}
_SOURCES: Final = ("card", "paypal", "venmo")
_DESCRIPTION: Final = 127


def posted(path: str, body: Mapping[str, Any] | None = None) -> Request:
    """A POST request that asks for the whole resulting object."""
    return Request.post(path, json=body or {}, headers={"Prefer": "return=representation"})


def order_body(charge: Charge, intent: str, return_url: str | None) -> dict[str, Any]:
    """The body that creates an order; the caller's extra options override its fields.

    Args:
        charge: payment with its source.
        intent: action after the buyer's approval.
        return_url: URL that the buyer returns to.

    Raises:
        InvalidData: PayPal does not know the source, or the source lacks a required value.
        UnsupportedByVendor: an option is for cards only.
    """
    unit: dict[str, Any] = {
        **unit_fields(charge),
        "custom_id": _shortened_text(charge.reference, "reference"),
        "description": (charge.description or "")[:_DESCRIPTION] or None,
        "soft_descriptor": _shortened_text(charge.statement_descriptor, "statement_descriptor"),
    }
    body: dict[str, Any] = {
        "intent": intent,
        "purchase_units": [{name: item for name, item in unit.items() if item is not None}],
    }
    source = _source(charge, return_url)
    if source:
        body["payment_source"] = source
    return merged(body, extra_for("paypal", charge.extra))


def _source(charge: Charge, return_url: str | None) -> dict[str, Any]:
    cards = charge.three_ds is ThreeDs.ALWAYS
    if charge.source is None:
        # The buyer chooses the method in PayPal's form; these options apply to any method.
        kind, vault_id = "card" if cards else "paypal", ""
        context = _context(return_url) or {}
    else:
        kind, vault_id, context = _payment_source(charge, return_url)
    if cards and kind != "card":
        raise UnsupportedByVendor(
            f"PayPal does not support confirmation by the bank (3-D Secure) for {kind}.",
            capabilities=(PaymentsCapability.THREE_DS.value,),
            remedy="Request 3-D Secure for cards only.",
        )
    means: dict[str, Any] = {"vault_id": vault_id} if vault_id else _buyer(charge, kind)
    if kind == "paypal" and context and charge.shipping_address is not None:
        context["experience_context"]["shipping_preference"] = "SET_PROVIDED_ADDRESS"
    means |= context | billing_fields(charge, kind, vault_id)
    if charge.off_session and kind == "card":
        means["stored_credential"] = {
            "payment_initiator": "MERCHANT",
            "payment_type": "UNSCHEDULED",
            "usage": "SUBSEQUENT",
        }
    if cards:
        attributes = {"verification": {"method": "SCA_ALWAYS"}}
        means["attributes"] = merged(means.get("attributes", {}), attributes)
    return {kind: means} if means else {}


def _payment_source(charge: Charge, return_url: str | None) -> tuple[str, str, dict[str, Any]]:
    """The type of the payment source, its id if it is stored, and the buyer's return URL."""
    kind, _, vault_id = (charge.source or "").partition(":")
    if kind not in _SOURCES or (kind != "paypal" and not vault_id):
        raise InvalidData(
            "The source is not a payment source of PayPal.",
            field="source",
            remedy="Pass 'paypal' to let the buyer approve at PayPal, or a stored means of"
            " payment as 'paypal:ID', 'venmo:ID' or 'card:ID'.",
        )
    if charge.off_session and not vault_id:
        raise InvalidData(
            "The buyer is not present to approve the payment.",
            field="source",
            remedy="Pass a stored means of payment, such as 'paypal:ID'.",
        )
    context = None if kind == "venmo" else _context(return_url)
    if context is None and not vault_id:
        raise InvalidData(
            "The charge has no return_url for the buyer.",
            field="return_url",
            remedy="Set the charge's or the account's `return_url`.",
        )
    if context is not None and not vault_id:
        context["experience_context"]["user_action"] = "PAY_NOW"
    return kind, vault_id, context or {}


def _context(return_url: str | None) -> dict[str, Any] | None:
    if return_url is None:
        return None
    return {"experience_context": {"return_url": return_url, "cancel_url": return_url}}


def _buyer(charge: Charge, kind: str) -> dict[str, Any]:
    """The buyer's known details, and the request to store the payment method if wanted."""
    customer, means = charge.customer, dict[str, Any]()
    if customer is not None and customer.email is not None and kind == "paypal":
        means["email_address"] = customer.email
    if charge.store_method:
        vault = {"store_in_vault": "ON_SUCCESS"}
        if kind == "paypal":
            vault["usage_type"] = "MERCHANT"
        means["attributes"] = {"vault": vault}
        if customer is not None and customer.id is not None:
            means["attributes"]["customer"] = {"id": customer.id}
    return means


def _shortened_text(text: str | None, field: str) -> str | None:
    if text is None or len(text) <= LONGEST[field]:
        return text
    raise InvalidData(
        f"PayPal accepts at most {LONGEST[field]} characters for this field.",
        field=field,
        remedy="Give a shorter text.",
    )
