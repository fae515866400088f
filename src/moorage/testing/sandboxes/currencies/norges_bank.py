"""A local sandbox that imitates the exchange rates of Norges Bank's open data.

It also has the two indices of the krone, which are not currencies. As at the bank, large numbers
have commas before groups of three digits in English, numbers have a decimal comma in Norwegian,
and zeros at the end are left out.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
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
    ("startPeriod", "endPeriod", "format", "locale", "lastNObservations", "detail", "bom")
)
_COLUMNS: Final = (
    "FREQ;Frequency;BASE_CUR;Base Currency;QUOTE_CUR;Quote Currency;TENOR;Tenor;DECIMALS;"
    "CALCULATED;UNIT_MULT;Unit Multiplier;COLLECTION;Collection Indicator;TIME_PERIOD;OBS_VALUE"
)
_MULTIPLIERS: Final = {1: "0;Units", 100: "2;Hundreds"}
_INDICES: Final = {"I44": "115.91", "TWI": "110.37"}


class NorgesBankSandbox(CurrencySandbox):
    """A sandbox of Norges Bank."""

    hosts = ("data.norges-bank.no",)
    bank_currency = "NOK"
    first_day = date(1980, 12, 10)
    holidays = frozenset({date(2022, 4, 14), date(2022, 4, 15), date(2022, 4, 18)})
    prices: ClassVar[Mapping[str, str]] = {
        "CHF": "1174.10",
        "DKK": "133.60",
        "EUR": "9.9390",
        "IDR": "0.0616",
        "JPY": "7.6860",
        "PLN": "213.20",
        "SEK": "93.90",
        "USD": "8.8660",
    }
    units: ClassVar[Mapping[str, int]] = dict.fromkeys(
        ("CHF", "DKK", "IDR", "JPY", "PLN", "SEK"), 100
    )

    def routes(self) -> Routes:
        """The route for daily rates."""
        return {"GET /api/data/EXR/B..NOK.SP": self._rows}

    def _rows(self, request: SandboxRequest) -> Response:
        query = checked_query(request, _PARAMETERS)
        start, end = checked_day(query.get("startPeriod")), checked_day(query.get("endPeriod"))
        if query.get("format") != "csv":
            raise Refusal(Response(406, body=b"This sandbox returns only CSV."))
        if start > end or query.get("locale", "no") not in {"en", "no"}:
            raise Refusal(Response(400, body=b"There is an issue with the parameters."))
        self.check_failure(end)
        rows = [
            self._row(currency, day, price, query.get("locale"))
            for day, prices in self.tables(start, end)
            for currency, price in [*prices.items(), *_INDICES.items()]
        ]
        if not rows:
            raise Refusal(Response(404))
        text = "\n".join([_COLUMNS, *sorted(rows), ""])
        return Response(200, {"Content-Type": "text/csv"}, f"\ufeff{text}".encode())

    def _row(self, currency: str, day: date, price: str, locale: str | None) -> str:
        decimals = len(price.partition(".")[2])
        multiplier = _MULTIPLIERS[self.units.get(currency, 1)]
        return (
            f"B;Business;{currency};{currency};NOK;Norwegian krone;SP;Spot;{decimals};false;"
            f"{multiplier};C;ECB concertation time 14:15 CET;{day};{_price_text(price, locale)}"
        )


def _price_text(price: str, locale: str | None) -> str:
    text = f"{Decimal(price):,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if locale == "en" else text.replace(",", " ").replace(".", ",")


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox; the bank needs no account."""
    return SandboxFixture(options={}, sandbox=NorgesBankSandbox())
