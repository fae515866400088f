"""Norges Bank: middle rates of the krone, from its open data service.

The series B..NOK.SP of the dataflow EXR are read as CSV. They say how many kroner 10 to the power
of UNIT_MULT units of the other currency cost, such as 100 yen. Large numbers are written with a
comma before each group of three digits, and zeros at the end are left out.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.currencies import ExchangeRate, ExchangeRates
from moorage.vendors.currencies._common import (
    CentralBank,
    Entry,
    by_day,
    is_index,
    parsed_day,
    rows_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERIES: Final = "B..NOK.SP"
_COLUMNS: Final = (
    *("FREQ", "BASE_CUR", "QUOTE_CUR", "TENOR", "DECIMALS", "UNIT_MULT"),
    *("TIME_PERIOD", "OBS_VALUE"),
)
_CONSTANTS: Final = {"FREQ": "B", "QUOTE_CUR": "NOK", "TENOR": "SP"}
_INDICES: Final = frozenset({"TWI"})
"""Codes that look like a currency but name an index of the krone, besides I44."""

_MULTIPLIER: Final = re.compile("[0-6]")
_PLAIN: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,12})?")
_FEW_DECIMALS: Final = frozenset({"0", "1", "2"})


@attrs.frozen(kw_only=True)
class NorgesBank(CentralBank):
    """Norges Bank, the central bank of Norway.

    Attributes:
        base_url: URL of the open data service.
    """

    name = "norges_bank"
    title = "Norges Bank"
    first_day = date(1980, 12, 10)

    base_url: str = "https://data.norges-bank.no"

    def table_request(self, start: date, end: date) -> sdk.Request:
        """The request for all daily series of a period, with numbers in English format."""
        return sdk.Request.get(
            f"/api/data/EXR/{_SERIES}",
            query={
                "startPeriod": start.isoformat(),
                "endPeriod": end.isoformat(),
                "format": "csv",
                "locale": "en",
            },
        )

    def read_tables(self, response: sdk.Response) -> Iterator[ExchangeRates]:
        """The tables in a CSV response, one per day."""
        for day, entries in by_day(_entries(response)).items():
            yield ExchangeRates(
                base="NOK",
                day=day,
                quotations=[
                    ExchangeRate(
                        units=10 ** int(entry.row["UNIT_MULT"]),
                        currency=entry.currency,
                        price=entry.price,
                        price_currency="NOK",
                    )
                    for entry in entries
                ],
                source=f"EXR.{_SERIES}",
                raw=tuple(entry.row for entry in entries),
            )


def _entries(response: sdk.Response) -> Iterator[Entry]:
    for row in rows_of(response, ";", _COLUMNS):
        if any(row[name] != value for name, value in _CONSTANTS.items()):
            raise sdk.malformed(response, f"series {_SERIES}")
        if not row["OBS_VALUE"] or row["BASE_CUR"] in _INDICES or is_index(row["BASE_CUR"]):
            continue
        if _MULTIPLIER.fullmatch(row["UNIT_MULT"]) is None:
            raise sdk.malformed(response, "UNIT_MULT")
        yield Entry(
            sdk.required(parsed_day(row["TIME_PERIOD"]), response, "TIME_PERIOD"),
            row["BASE_CUR"],
            sdk.required(_number(row["OBS_VALUE"], row["DECIMALS"]), response, "OBS_VALUE"),
            row,
        )


def _number(text: str, decimals: str) -> Decimal | None:
    """The number in a string; None if it has a comma, which might be a decimal comma.

    A comma separates groups if a point follows, or if the series has fewer decimals than the digits
    behind the comma.
    """
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    is_certain = "." in text or decimals in _FEW_DECIMALS
    return Decimal(text.replace(",", "")) if is_certain and _GROUPED.fullmatch(text) else None
