"""An order's addresses in Square's format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.vendors.payments._order_details import names_of, stated_fields

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.payments import Charge


def order_fields(charge: Charge) -> dict[str, Any]:
    """The addresses of a payment."""
    fields: dict[str, Any] = {
        "billing_address": _address_body(charge.billing_address),
        "shipping_address": _address_body(charge.shipping_address),
    }
    return stated_fields(fields)


def _address_body(address: Address | None) -> dict[str, Any] | None:
    if address is None:
        return None
    first_names, last_name = names_of(address.name) or (None, None)
    fields = {
        "first_name": first_names,
        "last_name": last_name,
        "address_line_1": address.line1,
        "address_line_2": address.line2,
        "address_line_3": address.line3,
        "locality": address.city,
        "administrative_district_level_1": address.region,
        "postal_code": address.postal_code,
        "country": address.country,
    }
    return stated_fields(fields)
