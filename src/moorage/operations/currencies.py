"""The operations on exchange rates for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.currencies import CurrenciesContract
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from datetime import date

    from moorage.contracts.currencies import ExchangeRates
    from moorage.services.contracts.live_configuration import FindDispatcher


class CurrenciesFlows(Flows, CurrenciesContract):
    """The operations of one tenant."""


class Currencies(Uncopyable):
    """Gets official exchange rates from the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(CurrenciesFlows, find_dispatcher, tenant)

    def rates(self, day: date | None = None, *, timeout: float | None = None) -> ExchangeRates:
        """Get the official exchange rates in force on a day.

        The rates are those of the day itself or, if it has none, of the last earlier day with
        rates, at most ten days earlier. The result names the day that its rates are of.

        Args:
            day: day at the vendor; by default today, which gives the latest rates. A day that has
                not begun at the vendor is refused, and so is one before the vendor's first rates.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(CurrenciesFlows.rates, day, timeout=timeout))


class AsyncCurrencies(Uncopyable):
    """The asynchronous version of `Currencies`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(CurrenciesFlows, find_dispatcher, tenant)

    async def rates(
        self, day: date | None = None, *, timeout: float | None = None
    ) -> ExchangeRates:
        """Get the official exchange rates in force on a day.

        The rates are those of the day itself or, if it has none, of the last earlier day with
        rates, at most ten days earlier. The result names the day that its rates are of.

        Args:
            day: day at the vendor; by default today, which gives the latest rates. A day that has
                not begun at the vendor is refused, and so is one before the vendor's first rates.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(CurrenciesFlows.rates, day, timeout=timeout)
