"""An order's addresses and lines in Mollie's format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.vendor_sdk import InvalidData
from moorage.vendors.payments._common import short_text
from moorage.vendors.payments._mollie_answers import amount_body
from moorage.vendors.payments._order_details import (
    names_of,
    second_line,
    stated_fields,
    taxed_line,
)

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.payments import Charge, LineItem, LinkRequest

_LONGEST_SKU: Final = 64


def order_fields(order: Charge | LinkRequest) -> dict[str, Any]:
    """The addresses and lines of a payment or payment link."""
    billing, shipping = order.billing_address, order.shipping_address
    fields: dict[str, Any] = {
        "billingAddress": None if billing is None else _address_body(billing, "billing_address"),
        "shippingAddress": None
        if shipping is None
        else _address_body(shipping, "shipping_address"),
        "lines": [_line_body(line) for line in order.lines],
    }
    return stated_fields(fields)


def _address_body(address: Address, field: str) -> dict[str, Any]:
    """An address in Mollie's format, which needs an email address, or a street and city.

    Raises:
        InvalidData: the address has neither.
    """
    if not address.email and not (address.line1 and address.city):
        raise InvalidData(
            "In an address, Mollie requires either the email address, or both the street and"
            " the city.",
            field=field,
            remedy="Pass the complete address, or leave the address out.",
        )
    first_names, last_name = names_of(address.name) or (None, None)
    fields = {
        "givenName": first_names,
        "familyName": last_name,
        "organizationName": address.company,
        "streetAndNumber": address.line1,
        "streetAdditional": second_line(address),
        "postalCode": address.postal_code,
        "email": address.email,
        "phone": address.phone,
        "city": address.city,
        "region": address.region,
        "country": address.country,
    }
    return stated_fields(fields)


def _line_body(line: LineItem) -> dict[str, Any]:
    """A line with prices that include tax.

    Raises:
        InvalidData: the line has a tax without a rate, but Mollie requires both.
    """
    if line.tax is not None and line.tax_rate is None:
        raise InvalidData(
            "Mollie accepts the tax of a line only together with its tax rate.",
            field="lines.tax_rate",
            remedy="Set the `tax_rate` of the line, such as Decimal('19').",
        )
    item = taxed_line(line)
    body = {
        "description": item.name,
        "sku": short_text(line.sku, _LONGEST_SKU, vendor="Mollie", field="lines.sku"),
        "quantity": item.quantity,
        "unitPrice": amount_body(item.unit_price),
        "totalAmount": amount_body(line.total),
        "vatRate": None if line.tax_rate is None else f"{line.tax_rate:.2f}",
        "vatAmount": None if line.tax is None else amount_body(line.tax),
    }
    return stated_fields(body)
