"""Sales, tax calculations and reversals are checked at construction, and their sums match."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest

from moorage.contracts.address import Address
from moorage.contracts.declared.tax import TaxContract
from moorage.contracts.payments import Money
from moorage.contracts.ref import Ref
from moorage.contracts.tax import VatNumber
from moorage.contracts.tax_calculation import (
    JurisdictionLevel,
    JurisdictionTax,
    LineTax,
    ReversedAmount,
    TaxableSale,
    TaxCalculation,
    TaxExemption,
    TaxLine,
    TaxReversal,
)
from moorage.errors import InvalidData
from moorage.packing import pack, unpack

DAY = date(2031, 5, 6)
HAMBURG = Address(name="Ada", line1="Am Kai 1", country="DE")
LINE = TaxLine(id="1", amount=Money("10.00", "EUR"))


def sale(**fields: Any) -> TaxableSale:
    """Return a sale with one line of 10.00 and with these fields."""
    defaults: dict[str, Any] = {
        "reference": "INV-1",
        "day": DAY,
        "lines": [LINE],
        "ship_to": HAMBURG,
    }
    return TaxableSale(**defaults | fields)


def calculation(sold: TaxableSale, tax: str, line_tax: str) -> TaxCalculation:
    """Return a calculation with this total tax, and with this tax on its only line."""
    place = JurisdictionTax(
        name="Germany", level=JurisdictionLevel.COUNTRY, tax=Money(line_tax, "EUR")
    )
    line = LineTax(
        id="1", net=Money("10.00", "EUR"), tax=Money(line_tax, "EUR"), jurisdictions=(place,)
    )
    return TaxCalculation(
        ref=Ref("stripe_tax", "main", "taxcalc_1"),
        sale=sold,
        lines=(line,),
        tax=Money(tax, "EUR"),
        expires_at=datetime(2031, 8, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"lines": []}, "lines"),
        ({"lines": [LINE, LINE]}, "lines"),
        ({"lines": [LINE, attrs.evolve(LINE, id="2", amount=Money(1, "USD"))]}, "lines"),
        ({"shipping": Money(1, "USD")}, "lines"),
        ({"shipping": Money(-1, "EUR")}, "shipping"),
        ({"shipping": "1.00"}, "shipping"),
        ({"reference": ""}, "reference"),
        ({"day": datetime(2031, 5, 6, tzinfo=UTC)}, "day"),
        ({"exemption": "friend"}, "exemption"),
        ({"exemption": "resale", "reverse_charge": True}, "exemption"),
        ({"vat_number": "DE1"}, "vat_number"),
        ({"vat_number": 5}, "vat_number"),
    ],
)
def test_wrong_sales_are_refused(fields: dict[str, Any], field: str) -> None:
    """A sale without lines, with two currencies or with contradictory fields is refused."""
    with pytest.raises(InvalidData) as excinfo:
        sale(**fields)
    assert field == excinfo.value.field


def test_a_negative_line_is_refused() -> None:
    """A sale line with a negative amount is refused; a discount cannot be a separate line."""
    with pytest.raises(InvalidData) as excinfo:
        TaxLine(id="1", amount=Money(-1, "EUR"))
    assert "amount" == excinfo.value.field


def test_sale_needs_calculation_capability() -> None:
    """A sale needs the calculation capability, and one for each optional field that it uses."""
    assert {"calculation"} == sale().needs
    used = sale(inclusive=True, vat_number="de 136.695-976", exemption="government")
    assert {
        "calculation",
        "inclusive_prices",
        "buyer_vat_numbers",
        "exemptions",
    } == used.needs
    assert (VatNumber("DE", "136695976"), TaxExemption.GOVERNMENT) == (
        used.vat_number,
        used.exemption,
    )
    assert {"calculation", "reverse_charge"} == sale(reverse_charge=True).needs


def test_totals_follow_from_the_prices() -> None:
    """Tax is added to net prices, and is already contained in tax-inclusive prices."""
    sold = sale(shipping=Money("2.00", "EUR"))
    exclusive = calculation(sold, "2.28", "1.90")
    assert ("12.00 EUR", "14.28 EUR") == (str(exclusive.net), str(exclusive.total))
    assert Money("0.38", "EUR") == exclusive.rounding
    assert Money("11.90", "EUR") == exclusive.lines[0].gross
    inclusive = calculation(attrs.evolve(sold, inclusive=True), "1.92", "1.92")
    assert ("10.08 EUR", "12.00 EUR") == (str(inclusive.net), str(inclusive.total))
    shipping = LineTax(id="", net=Money("2.00", "EUR"), tax=Money("0.38", "EUR"))
    assert Money(0, "EUR") == attrs.evolve(exclusive, shipping=shipping).rounding


def test_a_calculation_can_be_stored() -> None:
    """A calculation is unchanged after it was packed and read, and its repr shows no buyer."""
    value = calculation(sale(vat_number="DE136695976"), "1.90", "1.90")
    assert value == unpack(pack(value))
    assert "Ada" not in repr(value)
    assert "136695976" not in repr(value)
    part = ReversedAmount(amount=Money("1.00", "EUR"), tax=Money("0.19", "EUR"))
    reversal = TaxReversal(reference="CN-1", day=DAY, lines={"1": part}, shipping=part)
    assert reversal == unpack(pack(reversal))


def test_reversal_without_parts_reverses_whole_sale() -> None:
    """A reversal without parts reverses the whole sale."""
    part = ReversedAmount(amount=Money("1.00", "EUR"), tax=Money("0.19", "EUR"))
    assert () == TaxReversal(reference="CN-1", day=DAY).parts
    reversal = TaxReversal(reference="CN-1", day=DAY, lines={"1": part}, shipping=part)
    assert (part, part) == reversal.parts


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"lines": [1]}, "lines"),
        ({"lines": {"1": Money(1, "EUR")}}, "lines"),
        ({"lines": {"": ReversedAmount(amount=Money(1, "EUR"), tax=Money(0, "EUR"))}}, "lines"),
        (
            {
                "lines": {
                    "1": ReversedAmount(amount=Money(1, "EUR"), tax=Money(0, "EUR")),
                    "2": ReversedAmount(amount=Money(1, "USD"), tax=Money(0, "USD")),
                }
            },
            "lines",
        ),
        ({"reference": ""}, "reference"),
        ({"shipping": Money(1, "EUR")}, "shipping"),
    ],
)
def test_wrong_reversals_are_refused(fields: dict[str, Any], field: str) -> None:
    """A reversal with invalid values, or with amounts in several currencies, is refused."""
    defaults: dict[str, Any] = {"reference": "CN-1", "day": DAY}
    with pytest.raises(InvalidData) as excinfo:
        TaxReversal(**defaults | fields)
    assert field == excinfo.value.field


def test_reversed_amount_and_its_tax_must_have_same_currency() -> None:
    """A reversed amount and its tax must have the same currency."""
    with pytest.raises(InvalidData) as excinfo:
        ReversedAmount(amount=Money(1, "EUR"), tax=Money(0, "USD"))
    assert "tax" == excinfo.value.field


def test_routes_see_the_country_of_the_buyer() -> None:
    """A calculation is routed by the buyer's country, and a reversal by its reference."""
    operation: Any = TaxContract.operations()["calculate"]
    requirements = operation.plan(TaxContract(), sale())
    assert ("DE", {"calculation"}) == (requirements.country, set(requirements.needs))
    operation = TaxContract.operations()["reverse"]
    reversal = TaxReversal(reference="CN-1", day=DAY)
    requirements = operation.plan(TaxContract(), "stripe_tax:main:1", reversal, idempotency_key="k")
    assert ({"reversals"}, set()) == (operation.needs, set(requirements.needs))
