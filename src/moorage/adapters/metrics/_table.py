"""The table of metrics: its SQL statements, and the operations that run them.

A row has the figures of one time window and series: those that one process recorded, or those of
merged rows. Every statement has `?` as the placeholder of its values, which is replaced by the
driver's own placeholder.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs

from moorage.adapters.databases._table_definition import Index, TableDefinition
from moorage.adapters.tables._statements import NUMBER_KINDS, all_of, collation_options
from moorage.domain.observation.figures import (
    COUNTS,
    DIMENSIONS,
    LABEL_LENGTH,
    Figures,
    Grouping,
    WindowFigures,
    column_label,
    rolled_up,
)
from moorage.domain.observation.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.metrics.recorder import StoredFigures
    from moorage.adapters.tables._table import Execute, Statement, Value
    from moorage.domain.observation.figures import FiguresQuery, Retention

_IDENTITY: Final = ("step", "started", "series", "process")
COLUMNS: Final = (*_IDENTITY, *DIMENSIONS, *COUNTS, "durations")
_BYTES: Final = {"sqlite": "BLOB", "postgresql": "BYTEA", "mysql": "LONGBLOB"}
_BATCH: Final = 500
"""The number of rows that one transaction rolls up or deletes, so that others do not wait long."""


@attrs.frozen(slots=False)
class MetricSql:
    """The SQL statements for the table of metrics.

    Attributes:
        kind: `sqlite`, `postgresql` or `mysql`.
        base_name: the name of the table, without quotes and schema.
        table: the quoted name of the table.
    """

    kind: str
    base_name: str
    table: str

    @cached_property
    def put(self) -> str:
        """The SQL statement that inserts or replaces the metrics of one window and series."""
        marks, names = ", ".join("?" * len(COLUMNS)), ", ".join(COLUMNS)
        if self.kind == "mysql":
            # MySQL and MariaDB have no common syntax for the new value in an update.
            return f"REPLACE INTO {self.table} ({names}) VALUES ({marks})"  # noqa: S608 - quoted names; values are parameters
        changes = ", ".join(f"{name} = excluded.{name}" for name in (*COUNTS, "durations"))
        return (
            f"INSERT INTO {self.table} ({names}) VALUES ({marks})"  # noqa: S608 - quoted names; values are parameters
            f" ON CONFLICT ({', '.join(_IDENTITY)}) DO UPDATE SET {changes}"
        )

    def find(self, where: Sequence[str]) -> str:
        """Return the SQL query for all matching rows of metrics."""
        return f"SELECT {', '.join(COLUMNS)} FROM {self.table}{all_of(where)}"  # noqa: S608 - quoted names; values are parameters

    @cached_property
    def oldest(self) -> str:
        """The SQL query for the start of the oldest window of a given length."""
        return f"SELECT min(started) FROM {self.table} WHERE step = ? AND started < ?"  # noqa: S608 - quoted names; values are parameters

    @cached_property
    def hold(self) -> str:
        """The SQL query that locks and returns old rows of one window length, up to a limit."""
        names = ", ".join(("number", *COLUMNS))
        lock = "" if self.kind == "sqlite" else " FOR UPDATE"
        return (
            f"SELECT {names} FROM {self.table} WHERE step = ? AND started >= ? AND started < ?"  # noqa: S608 - quoted names; values are parameters
            f" ORDER BY series, number LIMIT {_BATCH}{lock}"
        )

    @cached_property
    def delete(self) -> str:
        """The SQL statement that deletes the rows with these ids."""
        marks = ", ".join("?" * _BATCH)
        return f"DELETE FROM {self.table} WHERE number IN ({marks})"  # noqa: S608 - quoted names; values are parameters

    @cached_property
    def remove(self) -> str:
        """The SQL statement that deletes rows of windows before a given time, up to a limit."""
        if self.kind == "mysql":
            return f"DELETE FROM {self.table} WHERE started < ? LIMIT {_BATCH}"  # noqa: S608 - quoted names; values are parameters
        batch = f"SELECT number FROM {self.table} WHERE started < ? LIMIT {_BATCH}"  # noqa: S608 - quoted names; values are parameters
        return f"DELETE FROM {self.table} WHERE number IN ({batch})"  # noqa: S608 - quoted names; values are parameters

    def definitions(self, *, mariadb: bool = True) -> tuple[TableDefinition, ...]:
        """Return the definition of the table of metrics."""
        columns = {
            "number": NUMBER_KINDS[self.kind],
            "step": "BIGINT NOT NULL",
            "started": "BIGINT NOT NULL",
            "series": "VARCHAR(32) NOT NULL",
            "process": "VARCHAR(64) NOT NULL",
            **dict.fromkeys(DIMENSIONS, f"VARCHAR({LABEL_LENGTH}) NOT NULL"),
            **dict.fromkeys(COUNTS, "BIGINT NOT NULL"),
            "durations": f"{_BYTES[self.kind]} NOT NULL",
        }
        identity = f"UNIQUE ({', '.join(_IDENTITY)})"
        indexes = (Index("time", "started, number"),)
        options = collation_options(self.kind, mariadb=mariadb)
        return (
            TableDefinition(
                self.kind, self.base_name, self.table, columns, indexes, (identity,), options
            ),
        )


class MetricTable:
    """The operations on the table of metrics.

    Args:
        sql: the statements about the table.
    """

    def __init__(self, sql: MetricSql) -> None:
        self._sql = sql

    async def put(self, execute: Execute, rows: Sequence[StoredFigures]) -> None:
        """Store metrics, replacing those of the same process, window and series."""
        put_statement = self._sql.put
        await execute(
            *((put_statement, _values(process, row)) for process, row in rows), writes=True
        )

    async def figures(self, execute: Execute, query: FiguresQuery) -> tuple[WindowFigures, ...]:
        """Return the metrics that match a query.

        One statement reads all rows. Several could miss rows that are rolled up in between.
        """
        locations, values = _conditions_of(query)
        (result,) = await execute((self._sql.find(locations), values))
        grouping = Grouping(query)
        grouping.add(map(_row, result.rows))
        return grouping.result()

    async def roll_up(self, execute: Execute, now: datetime, retention: Retention) -> int:
        """Merge a limited number of old rows into longer windows, and return that number.

        Locks on the rows keep other processes from merging the same rows.
        """
        sql = self._sql
        for step, longer_window, cutoff in retention.rollups(now):
            (oldest_result,) = await execute((sql.oldest, (step, _seconds(cutoff))))
            start = oldest_result.rows[0][0]
            if start is None:
                continue
            start = start // longer_window * longer_window
            hold_statement = (sql.hold, (step, start, start + longer_window))
            (held_result,) = await execute(hold_statement, keep_open=True, writes=True)
            put_statements: list[Statement] = [
                (sql.put, _values(f"roll-up.{uuid4().hex}", row))
                for row in rolled_up((_row(row[1:]) for row in held_result.rows), longer_window)
            ]
            await execute(*self._deletion(held_result.rows), *put_statements, writes=True)
            return len(held_result.rows)
        return 0

    async def remove(self, execute: Execute, now: datetime, retention: Retention) -> int:
        """Delete a limited number of rows past their retention, and return that number."""
        end = _seconds(retention.end(now))
        (deletion,) = await execute((self._sql.remove, (end,)), writes=True)
        return deletion.changed

    def _deletion(self, rows: Sequence[Sequence[Any]]) -> list[Statement]:
        """Return the SQL statement that deletes these rows; empty if there are no rows."""
        numbers = [row[0] for row in rows]
        if not numbers:
            return []
        # A fixed number of values, so that the server prepares one statement.
        return [(self._sql.delete, numbers + numbers[-1:] * (_BATCH - len(numbers)))]


def _values(process: str, row: WindowFigures) -> list[Value]:
    series = [getattr(row, name) or "" for name in DIMENSIONS]
    identity = sha256("\0".join(series).encode()).hexdigest()[:32]
    counts = [getattr(row.figures, name) for name in COUNTS]
    durations = row.figures.durations.to_bytes()
    return [row.seconds, _seconds(row.start), identity, process, *series, *counts, durations]


def _row(values: Sequence[Any]) -> WindowFigures:
    row = dict(zip(COLUMNS, values, strict=True))
    return WindowFigures(
        start=datetime.fromtimestamp(int(row["started"]), UTC),
        seconds=int(row["step"]),
        service=row["service"],
        operation=row["operation"],
        tenant=row["tenant"],
        figures=Figures(
            **{name: int(row[name]) for name in COUNTS},
            durations=Sketch.from_bytes(bytes(row["durations"])),
        ),
    )


def _conditions_of(query: FiguresQuery) -> tuple[list[str], list[Value]]:
    """Return the conditions of a query as SQL, and the values for their placeholders."""
    conditions: list[tuple[str, Value]] = [
        (f"{name} = ?", column_label(value))
        for name in DIMENSIONS
        if (value := getattr(query, name)) is not None
    ]
    for condition, time in (("started >= ?", query.since), ("started < ?", query.until)):
        if time is not None:
            conditions.append((condition, _seconds(time)))
    return [condition for condition, _ in conditions], [value for _, value in conditions]


def _seconds(time: datetime) -> int:
    return -int(-time.timestamp() // 1)
