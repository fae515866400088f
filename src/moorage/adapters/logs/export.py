"""Export of an integration log: entries in pages, written as CSV or JSON Lines."""

from __future__ import annotations

import csv
import json
from typing import IO, TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.logs._table import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from moorage.domain.observation.integration_log import IntegrationLog, LogQuery
    from moorage.ports.integration_log import IntegrationLogger

PAGE: Final = 1_000
"""The number of entries that are in memory at once."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""The characters at the beginning of a cell that spreadsheets take for a formula."""


def entries_of(log: IntegrationLogger, query: LogQuery) -> Iterator[IntegrationLog]:
    """Yield all matching entries, newest first; `query.limit` is the size of the pages."""
    while True:
        page = log.find(query)
        yield from page.items
        if page.next is None:
            return
        query = attrs.evolve(query, after=page.next)


def plain_fields(entry: IntegrationLog) -> dict[str, Any]:
    """Return the fields of an entry as values of JSON; times are in ISO 8601."""
    fields = {name: getattr(entry, name) for name in COLUMNS}
    fields["status"] = entry.status.value
    fields["started_at"] = entry.started_at.isoformat()
    return fields


def write_csv(entries: Iterable[IntegrationLog], file: IO[str]) -> int:
    """Write entries as CSV with a header, and return their number.

    A text that a spreadsheet would take for a formula gets an apostrophe before it. Open the file
    with `newline=""`.
    """
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    number = 0
    for number, entry in enumerate(entries, 1):  # noqa: B007 - returned
        writer.writerow({name: _cell(value) for name, value in plain_fields(entry).items()})
    return number


def write_json_lines(entries: Iterable[IntegrationLog], file: IO[str]) -> int:
    """Write entries as JSON, one a line, and return their number."""
    number = 0
    for number, entry in enumerate(entries, 1):  # noqa: B007 - returned
        file.write(f"{json.dumps(plain_fields(entry), ensure_ascii=False)}\n")
    return number


FORMATS: Final[Mapping[str, Callable[[Iterable[IntegrationLog], IO[str]], int]]] = {
    "csv": write_csv,
    "jsonl": write_json_lines,
}
"""The functions that write each format."""


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
