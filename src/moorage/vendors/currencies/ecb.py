"""European Central Bank: reference rates of the euro, from the ECB Data Portal.

The series D..EUR.SP00.A of the dataflow EXR are read as CSV, which has exactly the published
digits. They state how many units of the other currency one euro costs. Without data the service
answers an empty body with status 200.
"""

from __future__ import annotations

from datetime import date
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

_SERIES: Final = "D..EUR.SP00.A"
_COLUMNS: Final = ("FREQ", "CURRENCY", "CURRENCY_DENOM", "EXR_TYPE", "TIME_PERIOD", "OBS_VALUE")
_CONSTANTS: Final = {"FREQ": "D", "CURRENCY_DENOM": "EUR", "EXR_TYPE": "SP00"}
_NO_VALUE: Final = frozenset({"", "NaN"})
"""The texts for a day on which a currency was not quoted."""


@attrs.frozen(kw_only=True)
class Ecb(CentralBank):
    """The European Central Bank.

    Attributes:
        base_url: URL of the ECB Data Portal.
    """

    name = "ecb"
    title = "ECB"
    first_day = date(1999, 1, 4)

    base_url: str = "https://data-api.ecb.europa.eu"

    def table_request(self, start: date, end: date) -> sdk.Request:
        """The request for all daily series of a period."""
        return sdk.Request.get(
            f"/service/data/EXR/{_SERIES}",
            query={
                "startPeriod": start.isoformat(),
                "endPeriod": end.isoformat(),
                "format": "csvdata",
                "detail": "dataonly",
            },
        )

    def read_tables(self, response: sdk.Response) -> Iterator[ExchangeRates]:
        """The tables in a CSV response, one per day."""
        for day, entries in by_day(_entries(response)).items():
            yield ExchangeRates(
                base="EUR",
                day=day,
                quotations=[
                    ExchangeRate(currency="EUR", price=entry.price, price_currency=entry.currency)
                    for entry in entries
                ],
                source=f"EXR.{_SERIES}",
                raw=tuple(entry.row for entry in entries),
            )


def _entries(response: sdk.Response) -> Iterator[Entry]:
    for row in rows_of(response, ",", _COLUMNS):
        if any(row[name] != value for name, value in _CONSTANTS.items()):
            raise sdk.malformed(response, f"series {_SERIES}")
        if row["OBS_VALUE"] in _NO_VALUE or is_index(row["CURRENCY"]):
            continue
        yield Entry(
            sdk.required(parsed_day(row["TIME_PERIOD"]), response, "TIME_PERIOD"),
            row["CURRENCY"],
            sdk.required(sdk.as_decimal(row["OBS_VALUE"]), response, "OBS_VALUE"),
            row,
        )
