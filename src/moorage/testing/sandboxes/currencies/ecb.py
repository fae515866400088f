"""A local sandbox that imitates the ECB Data Portal's exchange rates.

The rouble has rows without a value, as it has had since March 2022.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, ClassVar, Final

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes.base import Refusal
from moorage.testing.sandboxes.currencies.base import (
    CurrencySandbox,
    checked_day,
    checked_query,
)
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.testing.sandboxes.base import Routes, SandboxRequest

_PARAMETERS: Final = frozenset(
    ("startPeriod", "endPeriod", "format", "detail", "updatedAfter", "includeHistory")
)
_COLUMNS: Final = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE"
_HEADERS: Final = {"Content-Type": "text/csv", "Cache-Control": "max-age=30"}
_SUSPENDED: Final = ("RUB", date(2022, 3, 2))


class EcbSandbox(CurrencySandbox):
    """A sandbox of the European Central Bank."""

    hosts = ("data-api.ecb.europa.eu",)
    bank_currency = "EUR"
    first_day = date(1999, 1, 4)
    holidays = frozenset({date(2022, 4, 15), date(2022, 4, 18)})
    inverse = True
    prices: ClassVar[Mapping[str, str]] = {
        "CHF": "1.0220",
        "DKK": "7.4390",
        "GBP": "0.83430",
        "IDR": "16142.10",
        "JPY": "129.30",
        "NOK": "9.9390",
        "PLN": "4.6600",
        "SEK": "10.5820",
        "USD": "1.1210",
    }

    def routes(self) -> Routes:
        """The route for the daily rates of the euro."""
        path = "/service/data/EXR"
        return {
            f"GET {path}/D..EUR.SP00.A": self._rates_of_all_currencies,
            f"GET {path}/D.{{currencies}}.EUR.SP00.A": self._rates_of_currencies,
        }

    def _rates_of_all_currencies(self, request: SandboxRequest) -> Response:
        return self._rows(request, None)

    def _rates_of_currencies(self, request: SandboxRequest, currencies: str) -> Response:
        return self._rows(request, frozenset(currencies.split("+")))

    def _rows(self, request: SandboxRequest, currencies: frozenset[str] | None) -> Response:
        query = checked_query(request, _PARAMETERS)
        start, end = checked_day(query.get("startPeriod")), checked_day(query.get("endPeriod"))
        if query.get("format") != "csvdata":
            raise Refusal(Response(406, body=b"This sandbox returns only CSV."))
        if query.get("detail", "full") not in {"full", "dataonly"} or start > end:
            raise Refusal(Response(400, body=b"There is an issue with the parameters."))
        self.check_failure(end)
        is_full = query.get("detail") != "dataonly"
        ending = ",A" if is_full else ""
        rows = [
            f"EXR.D.{currency}.EUR.SP00.A,D,{currency},EUR,SP00,A,{day},{price}{ending}"
            for day, prices in self.tables(start, end)
            for currency, price in _with_suspended(day, prices)
            if currencies is None or currency in currencies
        ]
        if not rows:  # contrary to its documentation, the real service does not respond with 404
            return Response(200, _HEADERS)
        # The service groups rows by series, and not by day.
        text = "\n".join([_COLUMNS + (",OBS_STATUS" if is_full else ""), *sorted(rows), ""])
        return Response(200, _HEADERS, text.encode())


def _with_suspended(day: date, prices: Mapping[str, str]) -> list[tuple[str, str]]:
    currency, since = _SUSPENDED
    return [*prices.items(), (currency, "")] if day >= since else [*prices.items()]


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox; the bank needs no account."""
    return SandboxFixture(options={}, sandbox=EcbSandbox())
