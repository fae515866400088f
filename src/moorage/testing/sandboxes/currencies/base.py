"""The base of sandboxes for central banks.

There is a table for each day from Monday to Friday, and each day has different prices. Magic days:
there are no tables from 1 to 31 August 2005, a period that ends on 13 July 2004 is answered with
503, and one that ends on 14 July 2004 with 429.
"""

from __future__ import annotations

from abc import ABC
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes.base import Refusal, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moorage.testing.sandboxes.base import SandboxRequest

SILENT_DAYS: Final = (date(2005, 8, 1), date(2005, 8, 31))
"""The first and the last day of a month without tables."""

_FAILURES: Final = {date(2004, 7, 13): 503, date(2004, 7, 14): 429}
_WORKDAYS: Final = 5
_STEPS: Final = 10


def _now() -> datetime:
    return datetime.now(UTC)


class CurrencySandbox(Sandbox, ABC):
    """A local sandbox that imitates a central bank.

    Args:
        now: returns the current time; by default this machine's.

    Attributes:
        bank_currency: currency of the bank.
        first_day: day of the first table.
        prices: usual price of each currency, as the bank writes it.
        units: number of units that a price is for, for currencies where it is not 1.
        inverse: True if the bank states how many units of the other currency one unit of its own
            costs.
        holidays: days without a table, besides Saturdays and Sundays; by default those of Easter
            2022.
    """

    bank_currency: ClassVar[str]
    first_day: ClassVar[date]
    prices: ClassVar[Mapping[str, str]]
    units: ClassVar[Mapping[str, int]] = {}
    inverse: ClassVar[bool] = False
    holidays: ClassVar[frozenset[date]] = frozenset()

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        super().__init__()
        self._now = now
        self._published: dict[date, dict[str, str]] = {}
        self._closed: set[date] = set(self.holidays)

    def publish(self, day: date, prices: Mapping[str, str]) -> None:
        """Publish a table with these currency prices instead of the usual prices."""
        self._published[day] = dict(prices)
        self._closed.discard(day)

    def close_on(self, *days: date) -> None:
        """Publish no tables on these days, as on holidays."""
        self._closed.update(days)

    def today(self) -> date:
        """Return the current day at the bank, in winter time."""
        return (self._now() + timedelta(hours=1)).date()

    def table(self, day: date) -> Mapping[str, str]:
        """Return a day's currency prices; an empty table if the bank published none."""
        if day in self._published:
            return self._published[day]
        is_silent = SILENT_DAYS[0] <= day <= SILENT_DAYS[1]
        if day.weekday() >= _WORKDAYS or day in self._closed or is_silent:
            return {}
        if not self.first_day <= day <= self.today():
            return {}
        return {currency: _price_of_day(price, day) for currency, price in self.prices.items()}

    def day_in_force(self, day: date) -> date:
        """Return the latest day, up to this one, for which the bank published a table."""
        candidate = min(day, max(self.today(), *self._published, date.min))
        while not self.table(candidate):
            candidate -= timedelta(days=1)
        return candidate

    def value(self, currency: str, day: date) -> Fraction:
        """Return a day's exact price for one unit of a currency, in the bank's currency."""
        price = Fraction(self.table(day)[currency])
        return 1 / price if self.inverse else price / self.units.get(currency, 1)

    def tables(self, start: date, end: date) -> Iterator[tuple[date, Mapping[str, str]]]:
        """Yield a period's tables with their days, oldest first."""
        for number in range((end - start).days + 1):
            day = start + timedelta(days=number)
            if self.table(day):
                yield day, self.table(day)

    def check_access(self, request: SandboxRequest) -> None:
        """Refuse a request with credentials, which a central bank should never receive."""
        if "authorization" in request.headers:
            raise Refusal(Response(400, body=b"This service takes no credentials."))

    def check_failure(self, end: date) -> None:
        """Refuse a period that ends on one of the days for simulated failures."""
        if end in _FAILURES:
            raise Refusal(Response(_FAILURES[end]))


def _price_of_day(price: str, day: date) -> str:
    """Return a currency's usual price; its last digit depends on the day."""
    number = Decimal(price)
    step = Decimal(1).scaleb(int(number.as_tuple().exponent))
    return f"{number + step * (day.toordinal() % _STEPS):f}"


def checked_query(request: SandboxRequest, names: frozenset[str]) -> dict[str, str]:
    """Return the query as a dict; unknown or repeated parameters are refused with 400."""
    query = dict(request.query)
    if len(query) != len(request.query) or not query.keys() <= names:
        raise Refusal(Response(400, body=b"A parameter is unknown or given twice."))
    return query


def checked_day(text: str | None) -> date:
    """Return the day in a text such as 2022-02-25; other texts are refused with 400."""
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise Refusal(Response(400, body=b"A date has another form than YYYY-MM-DD."))
    return day
