"""The bodies of requests to Checkout.com."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Charge, ThreeDs
from moorage.vendors.payments._checkout_com_answers import UNITS
from moorage.vendors.payments._checkout_com_order import billing_fields, order_fields

if TYPE_CHECKING:
    from moorage.vendors.payments.checkout_com import CheckoutCom

LONGEST_REFERENCE: Final = 50
MOST_DIGITS: Final = 9
_DESCRIPTION: Final = 100


def minor_of(amount: sdk.Money) -> int:
    """An amount in minor units, with at most nine digits."""
    minor = UNITS.to_minor(amount)
    if len(str(minor)) > MOST_DIGITS:
        raise sdk.InvalidData(
            f"Checkout.com accepts at most {MOST_DIGITS} digits, in minor units.",
            field="amount",
            remedy="Split the amount into several payments.",
        )
    return minor


def payment_body(vendor: CheckoutCom, charge: Charge, *, capture: bool) -> dict[str, Any]:
    """The body that creates a payment; the caller's extra options override its fields."""
    if len(charge.reference) > LONGEST_REFERENCE:
        raise sdk.InvalidData(
            f"Checkout.com accepts at most {LONGEST_REFERENCE} characters for a reference.",
            field="reference",
            remedy="Give a shorter one.",
        )
    return_url = charge.return_url or vendor.return_url
    body: dict[str, Any] = {
        "source": _source_fields(charge),
        "amount": minor_of(charge.amount),
        "currency": charge.amount.currency,
        "capture": capture,
        "reference": charge.reference,
        "description": None if charge.description is None else charge.description[:_DESCRIPTION],
        "processing_channel_id": vendor.processing_channel_id,
        "success_url": return_url,
        "failure_url": return_url,
        "metadata": dict(charge.metadata) or None,
        **order_fields(charge),
    }
    if charge.customer is not None:
        buyer = {name: getattr(charge.customer, name) for name in ("id", "email", "name")}
        body["customer"] = {name: text for name, text in buyer.items() if text is not None} or None
        body["payment_ip"] = charge.customer.ip
    if charge.off_session:
        body |= {"merchant_initiated": True, "payment_type": "Unscheduled"}
    if charge.three_ds is ThreeDs.ALWAYS:
        body["3ds"] = {"enabled": True}
    body = {name: value for name, value in body.items() if value is not None}
    return sdk.merged(body, sdk.extra_for("checkout_com", charge.extra))


def _source_fields(charge: Charge) -> dict[str, Any]:
    """The payment method: a token, a stored card, or a method by name."""
    source = charge.source or ""
    fields: dict[str, Any] = {"type": source}
    if source.startswith("src_"):
        fields = {"type": "id", "id": source}
    elif source.startswith("tok_"):
        fields = {"type": "token", "token": source}
        fields |= {"store_for_future_use": True} if charge.store_method else {}
    return fields | billing_fields(charge, fields["type"])
