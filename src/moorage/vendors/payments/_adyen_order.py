"""An order's addresses and lines in Adyen's format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.vendor_sdk import InvalidData
from moorage.vendors.payments._adyen_answers import UNITS
from moorage.vendors.payments._order_details import names_of, second_line, stated_fields, taxed_line

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.payments import Charge, LineItem, LinkRequest

_NUMBER_LAST: Final = re.compile(r"(?P<street>\S.*?),?\s+(?P<number>[0-9][0-9A-Za-z/-]*)")
_NUMBER_FIRST: Final = re.compile(r"(?P<number>[0-9][0-9A-Za-z/-]*),?\s+(?P<street>\S.*)")
_NO_NUMBER: Final = "N/A"
_LONGEST_LINE: Final = 500


def order_fields(order: Charge | LinkRequest) -> dict[str, Any]:
    """The addresses and lines of a payment or payment link."""
    billing, shipping = order.billing_address, order.shipping_address
    fields: dict[str, Any] = {
        "billingAddress": None if billing is None else _address_body(billing, "billing_address"),
        "deliveryAddress": None if shipping is None else _delivery_body(shipping),
        "lineItems": [_line_body(line) for line in order.lines],
    }
    return stated_fields(fields)


def _delivery_body(address: Address) -> dict[str, Any]:
    names = names_of(address.name)
    recipient = {} if names is None else {"firstName": names[0], "lastName": names[1]}
    return _address_body(address, "shipping_address") | recipient


def _address_body(address: Address, field: str) -> dict[str, Any]:
    """An address in Adyen's format, with a separate house number.

    Raises:
        InvalidData: the address lacks a field that Adyen requires.
    """
    for name in ("line1", "city", "postal_code"):
        if not getattr(address, name):
            raise InvalidData(
                f"Adyen requires {name} in an address.",
                field=f"{field}.{name}",
                remedy="Pass the complete address, or leave the address out.",
            )
    street, number = _street_of((address.line1 or "").strip())
    body = {
        "street": ", ".join(filter(None, (street, second_line(address)))),
        "houseNumberOrName": number,
        "city": address.city,
        "postalCode": address.postal_code,
        "stateOrProvince": address.region,
        "country": address.country,
    }
    return stated_fields(body)


def _street_of(line: str) -> tuple[str, str]:
    """The street and house number from the first line of an address."""
    if len(line) <= _LONGEST_LINE:
        match = _NUMBER_LAST.fullmatch(line) or _NUMBER_FIRST.fullmatch(line)
        if match is not None:
            return match["street"], match["number"]
    return line, _NO_NUMBER


def _line_body(line: LineItem) -> dict[str, Any]:
    item = taxed_line(line)
    with_tax = UNITS.to_minor(item.unit_price)
    tax = 0 if item.tax is None else UNITS.to_minor(item.tax)
    body = {
        "id": line.sku,
        "sku": line.sku,
        "description": item.name,
        "quantity": item.quantity,
        "amountIncludingTax": with_tax,
        "amountExcludingTax": with_tax - tax,
        "taxAmount": None if item.tax is None else tax,
        "taxPercentage": None if line.tax_rate is None else int(line.tax_rate * 100),
    }
    return stated_fields(body)
