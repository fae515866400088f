"""Example calls to vendors that check VAT numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.tax import TaxCapability, Trader

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

_NUMBERS: Final = {
    TaxCapability.EU_NUMBERS: "FR40303265045",
    TaxCapability.UK_NUMBERS: "GB553557881",
    TaxCapability.NORWEGIAN_NUMBERS: "NO999999991MVA",
}
"""A registered number in each of the sandboxes, by the capability that it needs."""


async def check(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Check a number that the vendor knows."""
    values = vendor.fixture.vendor_values
    number = str(values.get("vat_number", _NUMBERS[TaxCapability.EU_NUMBERS]))
    return await vendor("check_vat_number", number, **fields)


async def check_at_register(vendor: ScenarioVendor, *, register: TaxCapability) -> Any:
    """Check a number of one register."""
    return (await vendor("check_vat_number", _NUMBERS[register])).valid


async def check_with_proof(vendor: ScenarioVendor) -> Any:
    """Check a number for a requester, and return the proof."""
    requester = str(vendor.fixture.vendor_values.get("requester", "DE136695976"))
    return (await check(vendor, requester=requester)).proof


async def compare_trader(vendor: ScenarioVendor) -> Any:
    """Compare the name of a business with the register."""
    trader = Trader(name=str(vendor.fixture.vendor_values.get("trader_name", "Harbour")))
    return (await check(vendor, trader=trader)).matches


BASIC: Final[dict[str, Scenario]] = {"check_vat_number": check}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    **{register: partial(check_at_register, register=register) for register in _NUMBERS},
    TaxCapability.PROOF: check_with_proof,
    TaxCapability.TRADER_MATCH: compare_trader,
}
