"""A local sandbox that imitates the NBP Web API with its table A."""

from __future__ import annotations

from datetime import date, timedelta
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

_LONGEST_PERIOD: Final = 93
_NAMES: Final = {"EUR": "euro", "JPY": "jen (Japonia)", "USD": "dolar amerykański"}


class NbpSandbox(CurrencySandbox):
    """A sandbox of Narodowy Bank Polski."""

    hosts = ("api.nbp.pl",)
    bank_currency = "PLN"
    first_day = date(2002, 1, 2)
    holidays = frozenset({date(2022, 1, 6), date(2022, 4, 18)})
    prices: ClassVar[Mapping[str, str]] = {
        "CHF": "4.4830",
        "EUR": "4.6600",
        "IDR": "0.00028730",
        "JPY": "0.035710",
        "NOK": "0.4660",
        "SEK": "0.4378",
        "USD": "4.1460",
        "XDR": "5.8110",
    }

    def routes(self) -> Routes:
        """The routes for complete tables."""
        path = "/api/exchangerates/tables/{table}"
        return {
            f"GET {path}/{{start}}/{{end}}/": self._period,
            f"GET {path}/{{start}}/": self._one_day,
        }

    def unknown(self, request: SandboxRequest) -> Response:
        """Return the response for an unknown path."""
        return _text_refusal(404, f"404 NotFound - {request.path}").response

    def _one_day(self, request: SandboxRequest, table: str, start: str) -> Response:
        return self._period(request, table, start, start)

    def _period(self, request: SandboxRequest, table: str, start: str, end: str) -> Response:
        checked_query(request, frozenset({"format"}))
        if dict(request.query).get("format", "json") != "json":
            raise _text_refusal(400, "400 BadRequest - This sandbox returns only JSON")
        if table.upper() != "A":
            raise _text_refusal(404, "404 NotFound - This sandbox has no other table")
        first, last = checked_day(start), checked_day(end)
        if first > last or last > self.today() + timedelta(days=1):
            raise _text_refusal(400, "400 BadRequest - Błędny zakres dat / Invalid date range")
        if (last - first).days > _LONGEST_PERIOD:
            raise _text_refusal(
                400,
                "400 BadRequest - Przekroczony limit 93 dni / Limit of 93 days has been exceeded",
            )
        self.check_failure(last)
        tables = [self._table_text(day, prices) for day, prices in self.tables(first, last)]
        if not tables:
            raise _text_refusal(404, "404 NotFound - Not Found - Brak danych")
        text = f"[{','.join(tables)}]"
        return Response(200, {"Content-Type": "application/json; charset=utf-8"}, text.encode())

    def number_of(self, day: date) -> str:
        """Return the official number of a day's table."""
        first = date(day.year, 1, 1)
        count = sum(1 for _ in self.tables(first, day))
        return f"{count:03d}/A/NBP/{day.year}"

    def _table_text(self, day: date, prices: Mapping[str, str]) -> str:
        # Written by hand, so that each price has the digits of the table.
        rates: list[str] = [
            f'{{"currency":"{_NAMES.get(currency, currency)}","code":"{currency}","mid":{price}}}'
            for currency, price in prices.items()
        ]
        return (
            f'{{"table":"A","no":"{self.number_of(day)}","effectiveDate":"{day}",'
            f'"rates":[{",".join(rates)}]}}'
        )


def _text_refusal(status: int, text: str) -> Refusal:
    return Refusal(Response(status, {"Content-Type": "text/plain; charset=utf-8"}, text.encode()))


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox; the bank needs no account."""
    return SandboxFixture(options={}, sandbox=NbpSandbox())
