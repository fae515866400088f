"""Requests that create and confirm Stripe's payment intents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Charge, Money, Payment, ThreeDs
from moorage.vendors.payments._common import with_payment_reference
from moorage.vendors.payments._stripe_answers import MINOR, read_payment
from moorage.vendors.payments._stripe_order import billing_fields, check_billing, order_fields
from moorage.vendors.payments._stripe_requests import send_once_per_key

if TYPE_CHECKING:
    from collections.abc import Mapping


INTENTS: Final = "/v1/payment_intents"


async def pay(
    wire: sdk.Wire, path: str, body: Mapping[str, Any], amount: Money | None, key: str
) -> Payment:
    """Send a payment request; if the payment is declined, the error contains its reference."""
    return await with_payment_reference(
        wire, amount, send_once_per_key(wire, path, body, key, read_payment)
    )


def intent_body(charge: Charge, **fields: Any) -> dict[str, Any]:
    """The body that creates a payment intent; the caller's extra options override its fields."""
    check_billing(charge)
    customer = charge.customer
    body: dict[str, Any] = {
        "amount": MINOR.to_minor(charge.amount),
        "currency": charge.amount.currency.lower(),
        "automatic_payment_methods": {"enabled": True},
        "customer": None if customer is None else customer.id,
        "description": charge.description,
        "statement_descriptor_suffix": charge.statement_descriptor,
        # The reference by which the payment and its events are found.
        "metadata": {**charge.metadata, "reference": charge.reference},
        "setup_future_usage": "off_session" if charge.store_method else None,
        "expand": ["latest_charge"],
        **order_fields(charge),
        **_source(charge),
    }
    if charge.three_ds is ThreeDs.ALWAYS:
        body["payment_method_options"] = {"card": {"request_three_d_secure": "any"}}
    return sdk.merged(sdk.merged(body, fields), sdk.extra_for("stripe", charge.extra))


def confirmed_body(charge: Charge, *, capture_method: str) -> dict[str, Any]:
    """The body that creates and confirms a payment intent."""
    fields: dict[str, Any] = {"confirm": True, "capture_method": capture_method}
    if charge.return_url is None:
        # Otherwise Stripe requires a URL that the buyer returns to.
        fields["automatic_payment_methods"] = {"allow_redirects": "never"}
    else:
        fields["return_url"] = charge.return_url
    if charge.off_session:
        fields["off_session"] = True
    return intent_body(charge, **fields)


def _source(charge: Charge) -> dict[str, Any]:
    source = charge.source
    if source is None:
        return {}
    if source.startswith("ctoken_"):
        return {"confirmation_token": source}
    if not source.startswith("tok_"):
        return {"payment_method": source}
    data: dict[str, Any] = {"type": "card", "card": {"token": source}}
    data |= billing_fields(charge)
    return {"payment_method_data": data}
