"""Helpers of central banks: the days to request, and parsing of tables."""

from __future__ import annotations

import csv
from abc import abstractmethod
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.currencies import CurrenciesCapability, ExchangeRates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

LOOK_BACK: Final = 10
"""The number of days before the requested day in which the rates in force may have been published.
"""

_INVALID_REQUEST_STATUSES: Final = frozenset({400, 406, 422})
_COMMON_STATUSES: Final = frozenset({408, 425, 429})
"""The HTTP statuses that mean the same at every service."""


def central_european_day(now: datetime) -> date:
    """The current date in central Europe, such as in Frankfurt and Warsaw.

    Their clocks are one hour ahead of UTC, and two hours from 01:00 UTC on the last Sunday of
    March to 01:00 UTC on the last Sunday of October.
    """
    summer_begins, summer_ends = (
        datetime(now.year, month, _last_sunday(now.year, month), 1, tzinfo=UTC) for month in (3, 10)
    )
    return (now + timedelta(hours=2 if summer_begins <= now < summer_ends else 1)).date()


def _last_sunday(year: int, month: int) -> int:
    return 31 - date(year, month, 31).isoweekday() % 7


def parsed_day(text: object) -> date | None:
    """The date in a string such as 2022-02-25; None for any other string."""
    try:
        day = date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return day if day is not None and day.isoformat() == text else None


def is_index(code: str) -> bool:
    """True if a code names an index: unlike a currency's code, it has digits or signs."""
    return not code.isalpha()


def rows_of(response: sdk.Response, delimiter: str, columns: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV response by column name; none if the response is empty.

    Raises:
        VendorFailed: the response is not a table with these columns.
    """
    text = response.text.removeprefix("\ufeff")
    if not text.strip():
        return []
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error:
        raise sdk.malformed(response) from None
    for name in columns:
        if name not in (reader.fieldnames or ()):
            raise sdk.malformed(response, name)
    if any(None in row or None in row.values() for row in rows):
        raise sdk.malformed(response, "value for each column")
    return rows


def bank_error(title: str, _: sdk.Request, response: sdk.Response, /) -> sdk.ConnectorError | None:
    """Return the error for an error response, by its status; plain text is the bank's message.

    No status means wrong credentials, because the bank requires none.
    """
    status = response.status
    if not 400 <= status < 500 or status in _COMMON_STATUSES:
        return None
    kind = sdk.InvalidRequest if status in _INVALID_REQUEST_STATUSES else sdk.VendorRejected
    is_plain = (response.header("content-type") or "").startswith("text/plain")
    words = sdk.masked_words(response.text.strip()) if is_plain else None
    return sdk.refusal(kind, title, response, None, words, otherwise=f"HTTP {status}")


@attrs.frozen(kw_only=True)
class CentralBank(sdk.Vendor):
    """A central bank that publishes tables of rates without credentials.

    Attributes:
        title: name of the bank as people write it.
        first_day: day of the bank's first rates.
        base_url: URL of the bank's service.
    """

    kinds = ("currencies",)
    capabilities = frozenset(CurrenciesCapability)
    title: ClassVar[str]
    first_day: ClassVar[date]

    base_url: str

    def services(self) -> Mapping[str, sdk.Service]:
        """The bank's service, which takes no credentials."""
        return {"": sdk.Service(self.name, self.base_url, classify=partial(bank_error, self.title))}

    @abstractmethod
    def table_request(self, start: date, end: date) -> sdk.Request:
        """The request for the tables of a period, including its last day."""

    @abstractmethod
    def read_tables(self, response: sdk.Response) -> Iterable[ExchangeRates]:
        """The tables in a response, one per day; empty if the response states that there are none.

        Raises:
            VendorFailed: the response cannot be read.
        """

    async def rates(self, wire: sdk.Wire, day: date | None, /) -> ExchangeRates:
        """The latest table of rates up to and including this day."""
        today = central_european_day(wire.now())
        end = today if day is None else day
        self._check_day(end, today)
        start = max(end - timedelta(days=LOOK_BACK), self.first_day)
        try:
            response = await wire.send(self.table_request(start, end))
        except sdk.VendorRejected as refusal:
            if refusal.status != 404:
                raise
            raise self._no_rates(start, end, refusal.response) from None
        try:
            tables = list(self.read_tables(response))
        except sdk.InvalidData:  # such as a price of zero, or two rates of one currency
            raise sdk.malformed(response) from None
        if any(not start <= table.day <= end for table in tables):
            raise sdk.malformed(response, problem="has rates of days that were not requested")
        tables = [table for table in tables if table.quotations]
        if not tables:
            raise self._no_rates(start, end, response)
        return max(tables, key=lambda table: table.day)

    def _check_day(self, day: date, today: date) -> None:
        if day > today:
            raise sdk.InvalidData(
                f"{day} has not begun yet at {self.title}, so this day has no rates.",
                field="day",
                remedy="Pass the current day or an earlier one. Leave the day out for the"
                " latest rates.",
            )
        if day < self.first_day:
            raise sdk.InvalidData(
                f"{self.title} has no rates of {day}: its first rates are of {self.first_day}.",
                field="day",
                remedy=f"Pass {self.first_day} or a later day.",
            )

    def _no_rates(
        self, start: date, end: date, response: sdk.Response | None
    ) -> sdk.VendorRejected:
        return sdk.VendorRejected(
            f"{self.title} has no rates from {start} to {end}.",
            status=None if response is None else response.status,
            response=response,
            remedy="Check on the bank's website whether it has stopped publishing these"
            " rates. If your rules allow it, use the rates of another vendor.",
        )


@attrs.frozen
class Entry:
    """One row of a table: day, currency and price.

    Attributes:
        day: day of the rate.
        currency: code of the foreign currency.
        price: the vendor's number.
        row: the row as the bank sent it.
    """

    day: date
    currency: str
    price: Decimal
    row: Mapping[str, str]


def by_day(entries: Iterable[Entry]) -> dict[date, list[Entry]]:
    """The entries, grouped by day."""
    grouped_entries: dict[date, list[Entry]] = {}
    for entry in entries:
        grouped_entries.setdefault(entry.day, []).append(entry)
    return grouped_entries
