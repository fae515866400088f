"""Order lines: exact sums, and errors for lines that do not match their payment."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from moorage.contracts.address import Address
from moorage.contracts.payments import Charge, LineItem, LinkRequest, Money, total_tax
from moorage.contracts.value_codec import pack, unpack
from moorage.errors import InvalidData
from moorage.vendors.payments._order_details import taxed_line

PRICE = Money("10.00", "EUR")
CHAIRS = LineItem(
    "Chair",
    PRICE,
    quantity=3,
    discount=Money("3.00", "EUR"),
    tax=Money("5.13", "EUR"),
    tax_rate=Decimal(19),
)


def test_line_has_exact_sums() -> None:
    """A line's total is its quantity times its price, less the discount, with the tax."""
    assert (Money("27.00", "EUR"), Money("32.13", "EUR")) == (CHAIRS.net, CHAIRS.total)
    assert Money("10.00", "EUR") == LineItem("Delivery", PRICE).total


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"name": " "}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 1_001}, "name"),
        ({"unit_price": Money("-1", "EUR")}, "unit_price"),
        ({"unit_price": "10.00"}, "unit_price"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": 1_000_001}, "quantity"),
        ({"discount": Money("10.01", "EUR")}, "discount"),
        ({"discount": Money("1.00", "USD")}, "discount"),
        ({"tax": Money("-1.00", "EUR")}, "tax"),
        ({"tax": Money("1.00", "USD")}, "tax"),
        ({"tax": 1.5}, "tax"),
        ({"tax_rate": Decimal(19)}, "tax_rate"),
        ({"tax": PRICE, "tax_rate": 19}, "tax_rate"),
        ({"tax": PRICE, "tax_rate": Decimal("NaN")}, "tax_rate"),
        ({"tax": PRICE, "tax_rate": Decimal("1E+999")}, "tax_rate"),
        ({"tax": PRICE, "tax_rate": Decimal("-0.01")}, "tax_rate"),
        ({"tax": PRICE, "tax_rate": Decimal("5.125")}, "tax_rate"),
        ({"sku": ""}, "sku"),
        ({"sku": "x" * 1_001}, "sku"),
    ],
)
def test_wrong_line_is_refused(fields: dict[str, Any], field: str) -> None:
    """A line with a wrong field is refused; the error contains the field's name."""
    values: dict[str, Any] = {"name": "Chair", "unit_price": PRICE, **fields}
    with pytest.raises(InvalidData) as excinfo:
        LineItem(**values)
    assert field == excinfo.value.field


def test_lines_add_up_to_the_amount() -> None:
    """A payment and a link are refused if their lines do not add up to the amount."""
    total = Money("42.13", "EUR")
    lines = [CHAIRS, LineItem("Delivery", PRICE)]

    assert (CHAIRS, LineItem("Delivery", PRICE)) == Charge(total, reference="1", lines=lines).lines
    assert Money("5.13", "EUR") == total_tax(LinkRequest(total, reference="1", lines=lines).lines)
    for kind in (Charge, LinkRequest):
        with pytest.raises(InvalidData, match=r"add up to 42\.13 EUR, but"):
            kind(Money("42.12", "EUR"), reference="1", lines=lines)
        with pytest.raises(InvalidData, match="in USD, but its line 1 is in EUR"):
            kind(Money("42.13", "USD"), reference="1", lines=lines)
        with pytest.raises(InvalidData, match="lines"):
            kind(total, reference="1", lines=["Chair"])
        with pytest.raises(InvalidData, match="billing_address"):
            kind(total, reference="1", billing_address="Berlin")  # type: ignore[arg-type]  # wrong on purpose


def test_tax_of_untaxed_lines_is_unknown() -> None:
    """If the lines state no tax, their total tax is unknown (None), not zero."""
    assert total_tax([LineItem("Chair", PRICE)]) is None
    assert Money("0", "EUR") == total_tax([LineItem("Chair", PRICE, tax=PRICE * 0)])


@pytest.mark.parametrize(
    "line, parts",
    [
        (LineItem("Chair", PRICE, quantity=2), ("Chair", 2, PRICE, None)),
        (
            LineItem("Chair", PRICE, quantity=2, tax=Money("3.80", "EUR")),
            ("Chair", 2, Money("11.90", "EUR"), Money("1.90", "EUR")),
        ),
        (
            LineItem("Chair", PRICE, quantity=2, tax=Money("3.81", "EUR")),
            ("2 × Chair", 1, Money("23.81", "EUR"), Money("3.81", "EUR")),
        ),
        (CHAIRS, ("3 × Chair", 1, Money("32.13", "EUR"), Money("5.13", "EUR"))),
        (
            LineItem("Chair", PRICE, discount=Money("1.00", "EUR")),
            ("Chair", 1, Money("9.00", "EUR"), None),
        ),
    ],
)
def test_price_with_tax_is_exact(
    line: LineItem, parts: tuple[str, int, Money, Money | None]
) -> None:
    """A price with tax either gives the line's exact total, or the line becomes a single item."""
    item = taxed_line(line)

    assert parts == (item.name, item.quantity, item.unit_price, item.tax)
    assert line.total == item.unit_price * item.quantity


def test_order_survives_a_store() -> None:
    """A payment request with addresses and lines can be stored and read back unchanged."""
    charge = Charge(
        Money("32.13", "EUR"), reference="1", lines=[CHAIRS], billing_address=Address(country="DE")
    )

    assert charge == unpack(pack(charge))
