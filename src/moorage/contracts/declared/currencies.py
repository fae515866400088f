"""The contract of exchange rates."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from moorage.contracts import currencies
from moorage.contracts.currencies import CurrenciesCapability
from moorage.contracts.declaration import Contract, Requirements, reads
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.currencies import ExchangeRates


class CurrenciesContract(Contract):
    """Gets official exchange rates from the vendor that the configuration chooses."""

    kind = "currencies"
    capabilities = CurrenciesCapability
    values = (currencies,)

    @reads()
    def rates(
        self, day: date | None = None, *, timeout: float | None = None
    ) -> Requirements[ExchangeRates]:
        """Get the official exchange rates in force on a day.

        The rates are those of the day itself or, if it has none, of the last earlier day with
        rates, at most ten days earlier. The result names the day that its rates are of.

        Args:
            day: day at the vendor; by default today, which gives the latest rates. A day that has
                not begun at the vendor is refused, and so is one before the vendor's first rates.
            timeout: seconds for the whole operation.
        """
        if day is None:
            return Requirements()
        _check_day(day)
        return Requirements(needs={CurrenciesCapability.HISTORY})


def _check_day(day: object) -> None:
    if not isinstance(day, date) or isinstance(day, datetime):
        raise InvalidData(
            "The day must be a date.",
            field="day",
            remedy="Give a date, such as date(2026, 3, 1), or the date() of a datetime.",
        )
