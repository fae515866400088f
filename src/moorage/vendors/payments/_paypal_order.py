"""An order's addresses and lines in PayPal's format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import Charge, LineItem, PaymentsCapability, total_tax
from moorage.vendor_sdk import UnsupportedByVendor
from moorage.vendors.payments._common import short_text
from moorage.vendors.payments._order_details import second_line, stated_fields
from moorage.vendors.payments._paypal_answers import amount_body

if TYPE_CHECKING:
    from moorage.contracts.address import Address

_MAX_LENGTH: Final = 127


def unit_fields(charge: Charge) -> dict[str, Any]:
    """The amount, delivery details and lines of an order."""
    address = charge.shipping_address
    fields: dict[str, Any] = {
        "amount": amount_body(charge.amount) | _breakdown(charge.lines),
        "items": [_item_body(line) for line in charge.lines],
    }
    if address is not None:
        recipient = address.name or address.company
        fields["shipping"] = stated_fields(
            {
                "name": {"full_name": recipient} if recipient else None,
                "address": _address_body(address),
            }
        )
    return stated_fields(fields)


def billing_fields(charge: Charge, kind: str, vault_id: str) -> dict[str, Any]:
    """The billing address for a payment method.

    Args:
        charge: the payment.
        kind: kind of the means, such as "card".
        vault_id: id of the means, if it is stored.

    Raises:
        UnsupportedByVendor: the means takes no address.
    """
    address = charge.billing_address
    if address is None:
        return {}
    if kind == "card":
        return {"billing_address": _address_body(address)}
    if kind != "paypal" or vault_id:
        raise UnsupportedByVendor(
            "PayPal accepts a billing address only for cards, and for PayPal accounts that"
            " are not stored.",
            capabilities=(PaymentsCapability.BILLING_ADDRESS.value,),
            remedy="Leave the billing address out. PayPal has the address of its own customer.",
        )
    return {"address": _address_body(address)}


def _address_body(address: Address) -> dict[str, Any]:
    fields = {
        "address_line_1": address.line1,
        "address_line_2": second_line(address),
        "admin_area_2": address.city,
        "admin_area_1": address.region,
        "postal_code": address.postal_code,
        "country_code": address.country,
    }
    return stated_fields(fields)


def _breakdown(lines: tuple[LineItem, ...]) -> dict[str, Any]:
    """The subtotals of the lines; empty without lines."""
    if not lines:
        return {}
    prices = [line.unit_price * line.quantity for line in lines]
    discounts = [line.discount for line in lines if line.discount is not None]
    tax = total_tax(lines)
    sums = {
        "item_total": amount_body(sum(prices[1:], prices[0])),
        "tax_total": None if tax is None else amount_body(tax),
        "discount": amount_body(sum(discounts[1:], discounts[0])) if discounts else None,
    }
    return {"breakdown": stated_fields(sums)}


def _item_body(line: LineItem) -> dict[str, Any]:
    """A line of an order without its tax, because PayPal takes tax only per piece, not per line."""
    fields = {
        "name": short_text(line.name, _MAX_LENGTH, vendor="PayPal", field="lines.name"),
        "sku": short_text(line.sku, _MAX_LENGTH, vendor="PayPal", field="lines.sku"),
        "quantity": str(line.quantity),
        "unit_amount": amount_body(line.unit_price),
    }
    return stated_fields(fields)
