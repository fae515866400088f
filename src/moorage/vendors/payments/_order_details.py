"""Helpers for an order's addresses and lines in the formats of vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from moorage.contracts.payments import LineItem, Money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address


class TaxedLine(NamedTuple):
    """A line with prices that include tax; quantity times unit price is its total.

    Attributes:
        name: name of the item.
        quantity: number of items.
        unit_price: price of one item, with tax.
        tax: tax on one item; None if the line has no tax.
    """

    name: str
    quantity: int
    unit_price: Money
    tax: Money | None


def taxed_line(line: LineItem) -> TaxedLine:
    """A line for a vendor whose unit prices include tax.

    Several items become one item, whose name states their number, if they have a discount or their
    tax cannot be divided exactly.
    """
    tax = line.tax
    is_divisible = tax is None or tax.minor % line.quantity == 0
    if line.discount is None and is_divisible:
        unit_tax = (
            None if tax is None else Money.from_minor(tax.minor // line.quantity, tax.currency)
        )
        unit_price = line.unit_price if unit_tax is None else line.unit_price + unit_tax
        return TaxedLine(line.name, line.quantity, unit_price, unit_tax)
    name = line.name if line.quantity == 1 else f"{line.quantity} × {line.name}"
    return TaxedLine(name, 1, line.total, tax)


def stated_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, {}, [])}


def names_of(name: str | None) -> tuple[str, str] | None:
    """A person's first names and last name; None if unknown."""
    first_names, _, last_name = (name or "").strip().rpartition(" ")
    return (first_names or last_name, last_name) if last_name else None


def second_line(address: Address) -> str | None:
    """All lines of an address but the first, joined for vendors that accept two lines."""
    return ", ".join(filter(None, (address.line2, address.line3))) or None
