"""Example calls to vendors that publish exchange rates."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.currencies import CurrenciesCapability

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

GOOD_FRIDAY: Final = date(2022, 4, 15)


async def get_latest_rates(vendor: ScenarioVendor) -> Any:
    """Return the latest rates."""
    return (await vendor("rates")).rates


async def of_a_day(vendor: ScenarioVendor) -> Any:
    """Return the rates of a past day."""
    return (await vendor("rates", GOOD_FRIDAY)).rates


BASIC: Final[dict[str, Scenario]] = {"rates": get_latest_rates}

BY_CAPABILITY: Final[dict[str, Scenario]] = {CurrenciesCapability.HISTORY: of_a_day}
