"""Example calls to vendors that check VAT numbers or calculate taxes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.contracts.tax import TaxCapability, Trader
from moorage.contracts.tax_calculation import (
    ReversedAmount,
    TaxableSale,
    TaxCalculation,
    TaxExemption,
    TaxLine,
    TaxReversal,
)
from moorage.domain.values.money import Money

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

_NUMBERS: Final = {
    TaxCapability.EU_NUMBERS: "FR40303265045",
    TaxCapability.UK_NUMBERS: "GB553557881",
    TaxCapability.NORWEGIAN_NUMBERS: "NO999999991MVA",
}
"""A registered number in each of the sandboxes, by the capability that it needs."""

ADA: Final = Address(
    name="Ada Lovelace",
    line1="63 W Main St",
    city="Ramsey",
    region="NJ",
    postal_code="07446",
    country="US",
)
HARBOUR: Final = Address(
    line1="305 W Village Dr", city="Avenel", region="NJ", postal_code="07001", country="US"
)
HAMBURG: Final = Address(line1="Am Kai 1", city="Hamburg", postal_code="20457", country="DE")


async def check(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Check a VAT number that the vendor knows."""
    values = vendor.fixture.vendor_values
    number = str(values.get("vat_number", _NUMBERS[TaxCapability.EU_NUMBERS]))
    return await vendor("check_vat_number", number, **fields)


async def check_at_register(vendor: ScenarioVendor, *, register: TaxCapability) -> Any:
    """Check a VAT number of one register."""
    return (await vendor("check_vat_number", _NUMBERS[register])).valid


async def check_with_proof(vendor: ScenarioVendor) -> Any:
    """Check a VAT number for a requester, and return the proof."""
    requester = str(vendor.fixture.vendor_values.get("requester", "DE136695976"))
    return (await check(vendor, requester=requester)).proof


async def compare_trader(vendor: ScenarioVendor) -> Any:
    """Compare the name of a business with the name in the register."""
    trader = Trader(name=str(vendor.fixture.vendor_values.get("trader_name", "Harbour")))
    return (await check(vendor, trader=trader)).matches


def sale(**fields: Any) -> TaxableSale:
    """Return a sale made today to a buyer in New Jersey."""
    usual_fields: dict[str, Any] = {
        "reference": "INV-2041",
        "day": datetime.now(UTC).date(),
        "lines": [
            TaxLine(id="1", amount=Money("10.00", "USD"), quantity=3),
            TaxLine(id="2", amount=Money("5.00", "USD")),
        ],
        "shipping": Money("1.50", "USD"),
        "ship_from": HARBOUR,
        "ship_to": ADA,
    }
    return TaxableSale(**{**usual_fields, **fields})


def german_sale(**fields: Any) -> TaxableSale:
    """Return a sale made today to a buyer in Germany."""
    lines = [TaxLine(id="1", amount=Money("119.00", "EUR"))]
    return sale(lines=lines, ship_to=HAMBURG, shipping=None, **fields)


async def calculate(vendor: ScenarioVendor, sold: TaxableSale | None = None) -> Any:
    """Calculate the tax of a sale."""
    return (await vendor("calculate", sold or sale())).tax


async def calculate_inclusive(vendor: ScenarioVendor) -> Any:
    """Calculate the tax in prices that include it."""
    return await calculate(vendor, german_sale(inclusive=True))


async def calculate_for_business(vendor: ScenarioVendor) -> Any:
    """Calculate the tax of a sale to a business with a VAT number."""
    return await calculate(vendor, german_sale(vat_number="DE136695976"))


async def calculate_exempt(vendor: ScenarioVendor) -> Any:
    """Calculate the tax of a sale to an exempt buyer."""
    return await calculate(vendor, sale(exemption=TaxExemption.RESALE))


async def calculate_reverse_charge(vendor: ScenarioVendor) -> Any:
    """Calculate the tax of a sale whose buyer owes it (reverse charge)."""
    return await calculate(vendor, german_sale(reverse_charge=True))


async def recorded(vendor: ScenarioVendor) -> Any:
    """Calculate the tax of a sale, and record it."""
    if vendor.is_supported:
        calculation = await vendor("calculate", sale())
    else:
        ref = Ref(vendor.name, vendor.name, "1")
        calculation = TaxCalculation(ref=ref, sale=sale(), lines=(), tax=Money(0, "USD"))
    return await vendor("record", calculation, idempotency_key="INV-2041")


async def record(vendor: ScenarioVendor) -> Any:
    """Record a sale, and return its reference."""
    return (await recorded(vendor)).reference


async def reverse(vendor: ScenarioVendor) -> Any:
    """Reverse a part of one sale, and the whole of another."""
    day = datetime.now(UTC).date()
    ref = Ref(vendor.name, vendor.name, "1")
    if vendor.is_supported:
        ref = (await recorded(vendor)).ref
    part = ReversedAmount(amount=Money("5.00", "USD"), tax=Money("0.35", "USD"))
    reversal = TaxReversal(reference="CN-17", day=day, lines={"2": part})
    partial_record = await vendor("reverse", ref, reversal, idempotency_key="CN-17")
    other_sale = sale(reference="INV-2042")
    calculation = await vendor("calculate", other_sale)
    other_record = await vendor("record", calculation, idempotency_key="INV-2042")
    reversal = TaxReversal(reference="CN-18", day=day)
    record = await vendor("reverse", other_record.ref, reversal, idempotency_key="CN-18")
    return partial_record.tax, record.tax


async def usual(vendor: ScenarioVendor) -> Any:
    """Calculate a tax, or check a VAT number if the vendor does only that."""
    if vendor.fixture.vendor_values.get("calculates"):
        return await calculate(vendor)
    return await check(vendor)


BASIC: Final[dict[str, Scenario]] = {"usual": usual}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    **{register: partial(check_at_register, register=register) for register in _NUMBERS},
    TaxCapability.PROOF: check_with_proof,
    TaxCapability.TRADER_MATCH: compare_trader,
    TaxCapability.CALCULATION: calculate,
    TaxCapability.INCLUSIVE_PRICES: calculate_inclusive,
    TaxCapability.BUYER_VAT_NUMBERS: calculate_for_business,
    TaxCapability.EXEMPTIONS: calculate_exempt,
    TaxCapability.REVERSE_CHARGE: calculate_reverse_charge,
    TaxCapability.RECORDS: record,
    TaxCapability.REVERSALS: reverse,
}
