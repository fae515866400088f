"""An order's addresses and lines in Stripe's format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import Charge, LineItem, LinkRequest, PaymentsCapability
from moorage.vendor_sdk import InvalidData, UnsupportedByVendor
from moorage.vendors.payments._common import short_text
from moorage.vendors.payments._order_details import (
    TaxedLine,
    second_line,
    stated_fields,
    taxed_line,
)
from moorage.vendors.payments._stripe_answers import MINOR

if TYPE_CHECKING:
    from moorage.contracts.address import Address

_LONGEST_CODE: Final = 12


def _address_body(address: Address) -> dict[str, Any]:
    """An address in Stripe's format."""
    fields = {
        "line1": address.line1,
        "line2": second_line(address),
        "city": address.city,
        "state": address.region,
        "postal_code": address.postal_code,
        "country": address.country,
    }
    return stated_fields(fields)


def order_fields(charge: Charge) -> dict[str, Any]:
    """The delivery details and the order lines of a payment.

    Raises:
        InvalidData: the address of the delivery names neither a person nor a company.
    """
    address = charge.shipping_address
    fields: dict[str, Any] = {} if address is None else {"shipping": _shipping_body(address)}
    if charge.lines:
        lines = [_line_body(line) for line in charge.lines]
        fields["amount_details"] = {"line_items": lines}
    return fields


def _shipping_body(address: Address) -> dict[str, Any]:
    name = address.name or address.company
    if not name:
        raise InvalidData(
            "Stripe requires a recipient's name in a shipping address.",
            field="shipping_address.name",
            remedy="Set the address's `name` or `company`.",
        )
    return stated_fields({"name": name, "phone": address.phone, "address": _address_body(address)})


def billing_fields(charge: Charge) -> dict[str, Any]:
    """The buyer's details for a new payment method; empty if none are known."""
    customer, address = charge.customer, charge.billing_address
    details: dict[str, Any] = {}
    if address is not None:
        details = {"name": address.name, "email": address.email, "phone": address.phone}
        details["address"] = _address_body(address)
    if customer is not None:
        for name in ("name", "email", "phone"):
            details[name] = getattr(customer, name) or details.get(name)
    return stated_fields({"billing_details": stated_fields(details)})


def check_billing(charge: Charge) -> None:
    """Refuse a billing address that Stripe would not store.

    Raises:
        UnsupportedByVendor: the source is not a token of a card.
    """
    is_token = charge.source is not None and charge.source.startswith("tok_")
    if charge.billing_address is not None and not is_token:
        raise UnsupportedByVendor(
            "Stripe stores a billing address together with the means of payment, but this"
            " means of payment exists already.",
            capabilities=(PaymentsCapability.BILLING_ADDRESS.value,),
            remedy="Pass the address to Stripe's form in the browser, or charge a token (tok_…).",
        )


def _line_body(line: LineItem) -> dict[str, Any]:
    body: dict[str, Any] = {
        "product_name": line.name,
        "product_code": short_text(line.sku, _LONGEST_CODE, vendor="Stripe", field="lines.sku"),
        "quantity": line.quantity,
        "unit_cost": MINOR.to_minor(line.unit_price),
    }
    if line.discount is not None and line.discount.minor:
        body["discount_amount"] = MINOR.to_minor(line.discount)
    if line.tax is not None:
        body["tax"] = {"total_tax_amount": MINOR.to_minor(line.tax)}
    return stated_fields(body)


def link_lines(link: LinkRequest) -> list[dict[str, Any]]:
    """A payment link's lines, with prices that include tax; one line if the link has none."""
    currency = link.amount.currency.lower()
    name = link.description or link.reference
    lines = [taxed_line(line) for line in link.lines] or [TaxedLine(name, 1, link.amount, None)]
    return [
        {
            "quantity": line.quantity,
            "price_data": {
                "currency": currency,
                "unit_amount": MINOR.to_minor(line.unit_price),
                "product_data": {"name": line.name},
            },
        }
        for line in lines
    ]
