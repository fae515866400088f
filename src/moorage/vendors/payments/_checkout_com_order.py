"""An order's addresses and lines in Checkout.com's format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, LineItem, PaymentsCapability
from moorage.vendor_sdk import UnsupportedByVendor
from moorage.vendors.payments._checkout_com_answers import UNITS
from moorage.vendors.payments._order_details import names_of, second_line, stated_fields, taxed_line

if TYPE_CHECKING:
    from moorage.contracts.address import Address


def order_fields(charge: Charge) -> dict[str, Any]:
    """The delivery details and the order lines of a payment."""
    address = charge.shipping_address
    fields: dict[str, Any] = {"items": [_item_body(line) for line in charge.lines]}
    if address is not None:
        first_names, last_name = names_of(address.name) or (None, None)
        delivery = {
            "first_name": first_names,
            "last_name": last_name,
            "email": address.email,
            "address": _address_body(address),
        }
        fields["shipping"] = stated_fields(delivery)
    return stated_fields(fields)


def billing_fields(charge: Charge, kind: str) -> dict[str, Any]:
    """The billing address for a payment method.

    Args:
        charge: the payment.
        kind: kind of the means: "token", "id", or the name of a method.

    Raises:
        UnsupportedByVendor: the means is not a card.
    """
    address = charge.billing_address
    if address is None:
        return {}
    if kind not in {"id", "token"}:
        raise UnsupportedByVendor(
            f"Checkout.com accepts no billing address for {kind}.",
            capabilities=(PaymentsCapability.BILLING_ADDRESS.value,),
            remedy="Pass a billing address only for cards.",
        )
    return {"billing_address": _address_body(address)}


def _address_body(address: Address) -> dict[str, Any]:
    fields = {
        "address_line1": address.line1,
        "address_line2": second_line(address),
        "city": address.city,
        "state": address.region,
        "zip": address.postal_code,
        "country": address.country,
    }
    return stated_fields(fields)


def _item_body(line: LineItem) -> dict[str, Any]:
    """A line with prices that include tax."""
    item = taxed_line(line)
    fields = {
        "name": item.name,
        "reference": line.sku,
        "quantity": item.quantity,
        "unit_price": UNITS.to_minor(item.unit_price),
        "tax_amount": None if line.tax is None else UNITS.to_minor(line.tax),
        "total_amount": UNITS.to_minor(line.total),
    }
    return stated_fields(fields)
