"""The table of an integration log: its SQL, and its verbs over any database.

Every statement marks its values with `?`; whoever runs it writes the marks as its driver wants
them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.tables._statements import NUMBER_KINDS, all_of, collated
from moorage.adapters.tables._table import micros, moment
from moorage.domain.observation.integration_log import (
    IntegrationLog,
    IntegrationStatus,
    LogPage,
    LogSummary,
)
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.tables._table import Ask, Value
    from moorage.domain.observation.integration_log import LogQuery

COLUMNS: Final = tuple(attrs.fields_dict(IntegrationLog))
_EQUAL: Final = ("service", "operation", "tenant", "region", "subject", "id")
_NEEDED: Final = frozenset({"id", "service", "status", "started_at", "duration", "attempts"})
_NUMBERS: Final = frozenset({"started_at", "attempts", "http_status"})
_LONGEST: Final = 255
_HIGHEST: Final = 2**63 - 1
_REMOVED: Final = 1_000
"""Rows that are removed in one transaction, so that nobody waits long for it."""

_INDEXES: Final = (
    ("time", "started_at, number"),
    ("service", "service, started_at, number"),
    ("tenant", "tenant, started_at, number"),
    ("status", "status, started_at, number"),
    ("subject", "subject"),
    ("entry", "id"),
)


@attrs.frozen(slots=False)
class LogSql:
    """The statements about the table of a log.

    Attributes:
        kind: `sqlite`, `postgresql` or `mysql`.
        bare: the name of the table, without quotes and schema.
        table: the quoted name of the table.
        columns: the fields of entries that the table has columns for.
    """

    kind: str
    bare: str
    table: str
    columns: tuple[str, ...] = COLUMNS

    @property
    def tables(self) -> tuple[str, ...]:
        """The quoted names of the tables that must be there."""
        return (self.table,)

    @cached_property
    def insert(self) -> str:
        """Adds a row."""
        marks, names = ", ".join("?" * len(self.columns)), ", ".join(self.columns)
        return f"INSERT INTO {self.table} ({names}) VALUES ({marks})"  # noqa: S608 - quoted

    def find(self, where: Sequence[str]) -> str:
        """The rows that match, newest first."""
        names = ", ".join(("number", *self.columns))
        return (
            f"SELECT {names} FROM {self.table}{all_of(where)}"  # noqa: S608 - quoted
            " ORDER BY started_at DESC, number DESC LIMIT ?"
        )

    def by_status(self, where: Sequence[str]) -> str:
        """Counts the rows that match, by their status."""
        return f"SELECT status, count(*) FROM {self.table}{all_of(where)} GROUP BY status"  # noqa: S608 - quoted

    def duration(self, where: Sequence[str]) -> str:
        """The duration that so many of those that match are below."""
        return (
            f"SELECT duration FROM {self.table}{all_of(where)}"  # noqa: S608 - quoted
            " ORDER BY duration LIMIT 1 OFFSET ?"
        )

    def remove(self, where: Sequence[str]) -> str:
        """Removes some of the rows that match."""
        if self.kind == "mysql":
            return f"DELETE FROM {self.table}{all_of(where)} LIMIT {_REMOVED}"  # noqa: S608 - quoted
        some = f"SELECT number FROM {self.table}{all_of(where)} LIMIT {_REMOVED}"  # noqa: S608 - quoted
        return f"DELETE FROM {self.table} WHERE number IN ({some})"  # noqa: S608 - quoted

    def ddl(self, *, mariadb: bool = True) -> list[str]:
        """The statements that make the table where it is missing."""
        columns = [f"number {NUMBER_KINDS[self.kind]}", *map(self._column, self.columns)]
        if self.kind == "mysql":
            columns += [f"INDEX {name} ({of})" for name, of in _INDEXES]
        end = collated(self.kind, mariadb=mariadb)
        made = [f"CREATE TABLE IF NOT EXISTS {self.table} ({', '.join(columns)}){end}"]
        if self.kind != "mysql":
            made += [
                f"CREATE INDEX IF NOT EXISTS {self.bare}_{name} ON {self.table} ({of})"
                for name, of in _INDEXES
            ]
        return made

    def _column(self, name: str) -> str:
        kind = "BIGINT" if name in _NUMBERS else f"VARCHAR({_LONGEST})"
        if name == "duration":
            kind = "DOUBLE PRECISION"
        return f"{name} {kind}{' NOT NULL' if name in _NEEDED else ''}"


class LogTable:
    """The verbs over the table of a log.

    Args:
        sql: the statements about the table.
    """

    def __init__(self, sql: LogSql) -> None:
        self._sql = sql

    async def add(self, ask: Ask, entries: Sequence[IntegrationLog]) -> None:
        """Write entries.

        Raises:
            InvalidData: one has values that no database can hold; none is written.
        """
        rows = [row_of(entry, self._sql.columns) for entry in entries]
        await ask(*((self._sql.insert, row) for row in rows), writes=True)

    async def find(self, ask: Ask, query: LogQuery) -> LogPage:
        """One page of the entries that match, newest first."""
        where, values = _matching(query)
        if query.after is not None:
            at, number = _position(query.after)
            where += ["started_at <= ?", "(started_at < ? OR number < ?)"]
            values += [at, at, number]
        (found,) = await ask((self._sql.find(where), [*values, query.limit + 1]))
        rows = found.rows[: query.limit]
        known = [dict(zip(("number", *self._sql.columns), row, strict=True)) for row in rows]
        last = known[-1] if known else {}
        return LogPage(
            items=tuple(map(_entry, known)),
            next=f"{last['started_at']}.{last['number']}"
            if len(found.rows) > query.limit
            else None,
        )

    async def summarise(self, ask: Ask, query: LogQuery) -> LogSummary:
        """What all entries that match come to, counted and measured by the database."""
        where, values = _matching(query)
        (counted,) = await ask((self._sql.by_status(where), values))
        by_status = {IntegrationStatus(status): int(number) for status, number in counted.rows}
        total = sum(by_status.values())
        places = [max(0, -(-total * percent // 100) - 1) for percent in (50, 95, 99)]
        text = self._sql.duration(where)
        measured = await ask(*((text, [*values, place]) for place in places))
        p50, p95, p99 = (found.rows[0][0] if found.rows else None for found in measured)
        return LogSummary(count=total, by_status=by_status, p50=p50, p95=p95, p99=p99)

    async def remove(self, ask: Ask, query: LogQuery) -> int:
        """Remove some of the entries that match, and say how many those were."""
        where, values = _matching(query)
        (gone,) = await ask((self._sql.remove(where), values), writes=True)
        return gone.changed


def row_of(entry: IntegrationLog, columns: Sequence[str] = COLUMNS) -> list[Value]:
    """The values of an entry in the order of columns.

    Raises:
        InvalidData: no database can hold them.
    """
    try:
        row = attrs.asdict(entry, recurse=False)
        row["status"] = entry.status.value
        row["started_at"] = micros(entry.started_at)
        row["duration"] = float(entry.duration)
        return [_value(name, row[name]) for name in columns]
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise InvalidData(
            "An entry of the integration log has values that no database can hold.",
            field="entry",
            remedy="Write entries as moorage makes them.",
        ) from None


def _value(name: str, value: Any) -> Value:
    if value is None:
        if name in _NEEDED:
            raise ValueError
        return None
    if name == "duration":
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
            raise ValueError
        return float(value)
    if name in _NUMBERS:
        number = int(value)
        if abs(number) > _HIGHEST:
            raise OverflowError
        return number
    return text_of(value)


def text_of(value: str) -> str:
    """A text as every database takes it: no longer than a column, and in its alphabet."""
    return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:_LONGEST]


def _entry(row: dict[str, Any]) -> IntegrationLog:
    known = {name: value for name, value in row.items() if name != "number"}
    known["status"] = IntegrationStatus(known["status"])
    known["started_at"] = moment(known["started_at"])
    return IntegrationLog(**known)


def _matching(query: LogQuery) -> tuple[list[str], list[Value]]:
    """The conditions of a question, and their values."""
    wanted: list[tuple[str, Value]] = [
        (f"{name} = ?", text_of(value))
        for name in _EQUAL
        if (value := getattr(query, name)) is not None
    ]
    if query.status is not None:
        wanted.append(("status = ?", query.status.value))
    for condition, time in (("started_at >= ?", query.since), ("started_at < ?", query.until)):
        if time is not None:
            wanted.append((condition, micros(time)))
    return [condition for condition, _ in wanted], [value for _, value in wanted]


def _position(cursor: str) -> tuple[int, int]:
    try:
        at, number = map(int, cursor.split("."))
    except ValueError:
        at = number = _HIGHEST + 1
    if max(abs(at), abs(number)) <= _HIGHEST:
        return at, number
    raise InvalidData(
        f"{cursor[:80]!r} leads to no page.",
        field="after",
        remedy="Give what a page of this log said in `next`, unchanged.",
    )
