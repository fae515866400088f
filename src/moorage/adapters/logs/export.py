"""Export of the integration log, page by page, to CSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import json
import os
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from secrets import token_hex
from stat import S_IMODE
from typing import IO, TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.logs._rows import COLUMNS, NOT_NULL
from moorage.domain.values.installation import install
from moorage.domain.values.text import storable_text
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from moorage.domain.observation.integration_log import IntegrationLog, LogQuery
    from moorage.ports.integration_log import IntegrationLogger

PAGE: Final = 1_000
"""The number of entries that are in memory at once."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""The characters at the beginning of a cell that spreadsheets take for a formula."""


def entries_of(log: IntegrationLogger, query: LogQuery) -> Iterator[IntegrationLog]:
    """Yield all matching log entries, newest first; `query.limit` is the size of a page."""
    while True:
        page = log.find(query)
        yield from page.items
        if page.next is None:
            return
        query = attrs.evolve(query, after=page.next)


def plain_fields(entry: IntegrationLog) -> dict[str, Any]:
    """Return the fields of a log entry as JSON values; times are in ISO 8601."""
    fields = {name: getattr(entry, name) for name in COLUMNS}
    fields["status"] = entry.status.value
    fields["started_at"] = entry.started_at.isoformat()
    return fields


def write_csv(entries: Iterable[IntegrationLog], file: IO[str]) -> int:
    """Write log entries as CSV with a header, and return their number.

    A string that a spreadsheet would read as a formula gets an apostrophe before it. Open the file
    with `newline=""`.
    """
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    number = 0
    for number, entry in enumerate(entries, 1):  # noqa: B007 - returned
        writer.writerow(
            {name: _without_formula(value) for name, value in plain_fields(entry).items()}
        )
    return number


def write_json_lines(entries: Iterable[IntegrationLog], file: IO[str]) -> int:
    """Write log entries as JSON, one per line, and return their number."""
    number = 0
    for number, entry in enumerate(entries, 1):  # noqa: B007 - returned
        file.write(f"{json.dumps(plain_fields(entry), ensure_ascii=False)}\n")
    return number


def write_parquet(entries: Iterable[IntegrationLog], file: IO[bytes]) -> int:
    """Write log entries as a Parquet file, and return their number.

    A column has the type of its field: times are timestamps in UTC. Each thousand entries are a
    group of rows.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    parquet, schema = _parquet(), _schema()
    number = 0
    entry_iterator = iter(entries)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while page := [*islice(entry_iterator, PAGE)]:
            writer.write_table(_arrow().Table.from_pylist([*map(_parquet_fields, page)], schema))
            number += len(page)
    return number


def export(format: str, entries: Iterable[IntegrationLog], path: Path) -> int:  # noqa: A002 - as the option
    """Write log entries to a file, replacing an existing one, and return their number.

    Args:
        format: `csv`, `jsonl` or `parquet`.
        entries: the entries to write.
        path: the path of the file.

    An existing file is unchanged until all entries are written.

    Raises:
        ConfigurationError: pyarrow is not installed, which Parquet needs.
        OSError: the file cannot be written.
    """
    if format == "parquet":
        _parquet()
    with _replaced_at_end(path) as part:
        if format == "parquet":
            with part.open("wb") as file:
                return write_parquet(entries, file)
        with part.open("w", encoding="utf-8", newline="") as text_file:
            return _TEXT_FORMATS[format](entries, text_file)


@contextmanager
def _replaced_at_end(path: Path) -> Generator[Path]:
    """Yield the path of a new file, which replaces the file at the end of the block.

    A pipe or a device cannot be replaced, nor can a file in a folder that is not writable; its own
    path is yielded.
    """
    place = path.resolve()
    is_special = path.exists() and not path.is_file()
    if is_special or not os.access(place.parent, os.W_OK | os.X_OK):
        yield path
        return
    part = place.with_name(f".moorage-{token_hex(8)}.part")
    try:
        yield part
        if place.exists():
            part.chmod(S_IMODE(place.stat().st_mode))
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


_TEXT_FORMATS: Final[Mapping[str, Callable[[Iterable[IntegrationLog], IO[str]], int]]] = {
    "csv": write_csv,
    "jsonl": write_json_lines,
}


def _without_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _parquet_fields(entry: IntegrationLog) -> dict[str, Any]:
    """Return the fields of a log entry as Parquet values."""
    fields = {name: getattr(entry, name) for name in COLUMNS}
    fields["status"] = entry.status.value
    return {
        name: storable_text(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }


def _schema() -> Any:
    arrow = _arrow()
    kinds = {
        "started_at": arrow.timestamp("us", tz="UTC"),
        "duration": arrow.float64(),
        "attempts": arrow.int64(),
        "http_status": arrow.int64(),
    }
    return arrow.schema(
        [
            arrow.field(name, kinds.get(name, arrow.string()), nullable=name not in NOT_NULL)
            for name in COLUMNS
        ]
    )


def _arrow() -> Any:
    return import_module("pyarrow")


def _parquet() -> Any:
    try:
        return import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigurationError(
            "Exporting to Parquet needs the package pyarrow.",
            path="--format",
            remedy=install("parquet"),
        ) from None
