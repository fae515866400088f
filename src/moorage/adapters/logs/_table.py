"""The table of an integration log: its SQL statements, and the operations that run them.

Every statement has `?` as the placeholder of its values, which is replaced by the driver's own
placeholder.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

import attrs

from moorage.adapters.databases._table_definition import Index, TableDefinition
from moorage.adapters.logs._rows import (
    COLUMNS,
    MAX_NUMBER,
    NOT_NULL,
    NUMBERS,
    TEXT_LENGTH,
    encoders,
    entry_of_row,
    insertions,
    row_of,
    text_length,
)
from moorage.adapters.tables._statements import NUMBER_KINDS, all_of, collation_options
from moorage.adapters.tables._table import micros, moment
from moorage.domain.observation.integration_log import (
    CONTENT_FIELDS,
    EQUAL_FIELDS,
    TEXT_FIELDS,
    USABLE_STATUSES,
    IntegrationStatus,
    LogPage,
    LogSummary,
)
from moorage.domain.observation.log_pages import read_page
from moorage.domain.values.text import column_text
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.adapters.tables._table import Execute, Value
    from moorage.domain.observation.call_events import SuccessFacts
    from moorage.domain.observation.integration_log import IntegrationLog, LogQuery

_REMOVAL_BATCH: Final = 1_000
"""The number of rows that one transaction deletes, so that others do not wait long for it."""

_WILDCARD: Final = re.compile("[%_!]")
_CONTAINS_SQL: Final = "lower({}) LIKE lower(?) ESCAPE '!'"

_NO_SUCCESS: Final = f"status <> '{IntegrationStatus.SUCCESS.value}'"

_USABLE_LIST: Final = ", ".join(f"'{status.value}'" for status in USABLE_STATUSES)
_FAILURES: Final = f"status NOT IN ({_USABLE_LIST})"
"""The condition of failures, with its values, because a partial index needs them."""

_INDEXES: Final = (
    Index("time", "started_at, number"),
    Index("service", "service, started_at, number"),
    Index("status", "status, started_at, number"),
    *(
        Index(name, f"{column}, started_at, number", f" WHERE {column} IS NOT NULL")
        for name, column in (
            ("tenant", "tenant"),
            ("operation", "operation"),
            ("vendor", "vendor"),
            ("subject_time", "subject"),
            ("key_time", "idempotency_key"),
            ("trace_time", "trace_id"),
        )
    ),
    Index("entry_time", "id, started_at, number"),
    Index("failures", "started_at, number", f" WHERE {_FAILURES}"),
)
"""Each has the order of pages, so that no page is sorted or scans the table."""

_SQLITE_INDEXES: Final = tuple(
    index._replace(condition=f" WHERE {_NO_SUCCESS}") if index.name == "status" else index
    for index in _INDEXES
)
"""As `_INDEXES`, without the many entries of successes in the index of the status.

PostgreSQL would rather sort the few other entries than read them in the order of such an index.
"""

_MYSQL_INDEXES: Final = tuple(index for index in _INDEXES if index.name != "failures")
"""As `_INDEXES`, without that of the failures, because no index of MySQL has some rows only."""


@attrs.frozen(slots=False)
class LogSql:
    """The SQL statements for the table of an integration log.

    Attributes:
        kind: `sqlite`, `postgresql` or `mysql`.
        base_name: the name of the table, without quotes and schema.
        table: the quoted name of the table.
        columns: the fields of entries that the table has columns for.
        failures_indexed: True if the table has an index of the failures alone.
    """

    kind: str
    base_name: str
    table: str
    columns: tuple[str, ...] = COLUMNS
    failures_indexed: bool = False

    def insert(self, columns: tuple[str, ...], count: int) -> str:
        """Return the statement that inserts this number of rows with these columns."""
        return _insert(self.table, columns, count)

    def find(self, where: Sequence[str]) -> str:
        """Return the SQL query for matching rows, newest first."""
        names = ", ".join(("number", *self.columns))
        return (
            f"SELECT {names} FROM {self.table}{all_of(where)}"  # noqa: S608 - quoted names; values are parameters
            " ORDER BY started_at DESC, number DESC LIMIT ?"
        )

    def edge(self, where: Sequence[str]) -> str:
        """Return the SQL query for the cursor of the n-th newest matching row."""
        return (
            f"SELECT started_at, number FROM {self.table}{all_of(where)}"  # noqa: S608 - quoted names; values are parameters
            " ORDER BY started_at DESC, number DESC LIMIT 1 OFFSET ?"
        )

    def by_status(self, where: Sequence[str]) -> str:
        """Return the query that counts the matching rows by status."""
        return f"SELECT status, count(*) FROM {self.table}{all_of(where)} GROUP BY status"  # noqa: S608 - quoted names; values are parameters

    def duration(self, where: Sequence[str]) -> str:
        """Return the SQL query for a percentile of the durations of matching rows."""
        return (
            f"SELECT duration FROM {self.table}{all_of(where)}"  # noqa: S608 - quoted names; values are parameters
            " ORDER BY duration LIMIT 1 OFFSET ?"
        )

    def remove(self, where: Sequence[str]) -> str:
        """Return the SQL statement that deletes a limited number of the matching rows."""
        if self.kind == "mysql":
            return f"DELETE FROM {self.table}{all_of(where)} LIMIT {_REMOVAL_BATCH}"  # noqa: S608 - quoted names; values are parameters
        batch = f"SELECT number FROM {self.table}{all_of(where)} LIMIT {_REMOVAL_BATCH}"  # noqa: S608 - quoted names; values are parameters
        return f"DELETE FROM {self.table} WHERE number IN ({batch})"  # noqa: S608 - quoted names; values are parameters

    def definitions(self, *, mariadb: bool = True) -> tuple[TableDefinition, ...]:
        """Return the definition of the log's table."""
        columns = {"number": NUMBER_KINDS[self.kind]}
        columns |= {name: _column_kind(name) for name in self.columns}
        options = collation_options(self.kind, mariadb=mariadb)
        indexes = {"sqlite": _SQLITE_INDEXES, "mysql": _MYSQL_INDEXES}.get(self.kind, _INDEXES)
        return (
            TableDefinition(
                self.kind, self.base_name, self.table, columns, indexes, options=options
            ),
        )


def _column_kind(name: str) -> str:
    kind = "BIGINT" if name in NUMBERS else f"VARCHAR({text_length(name)})"
    if name in CONTENT_FIELDS:
        kind = "TEXT"
    if name == "duration":
        kind = "DOUBLE PRECISION"
    return f"{kind} NOT NULL" if name in NOT_NULL else kind


@cache
def _insert(table: str, columns: tuple[str, ...], count: int) -> str:
    row, names = f"({', '.join('?' * len(columns))})", ", ".join(columns)
    return f"INSERT INTO {table} ({names}) VALUES {', '.join([row] * count)}"  # noqa: S608 - quoted names; values are parameters


class LogTable:
    """The operations on the table of an integration log.

    Args:
        sql: the statements about the table.
    """

    def __init__(self, sql: LogSql) -> None:
        self._sql = sql
        self._encoders = encoders(sql.columns)

    async def add(self, execute: Execute, entries: Sequence[IntegrationLog | SuccessFacts]) -> None:
        """Store entries in the log's table.

        Raises:
            InvalidData: an entry has values that no database can store; no entry is stored.
        """
        sql, is_complete = self._sql, self._sql.columns == COLUMNS
        rows = [row_of(entry, self._encoders, complete=is_complete) for entry in entries]
        statements = [
            (sql.insert(inserted_rows.columns, inserted_rows.count), inserted_rows.values)
            for inserted_rows in insertions(sql.columns, rows)
        ]
        await execute(*statements, writes=True)

    async def find(self, execute: Execute, query: LogQuery) -> LogPage:
        """Return one page of the matching entries, newest first."""
        rows = _Rows(self._sql, execute)
        return await read_page(rows, query, failures_indexed=self._sql.failures_indexed)

    async def summarise(self, execute: Execute, query: LogQuery) -> LogSummary:
        """Return the counts and percentiles of all matching entries, computed by the database."""
        conditions, values = _conditions_of(query, self._sql.kind)
        (status_counts,) = await execute((self._sql.by_status(conditions), values))
        by_status = {
            IntegrationStatus(status): int(number) for status, number in status_counts.rows
        }
        total = sum(by_status.values())
        offsets = [max(0, -(-total * percent // 100) - 1) for percent in (50, 90, 95, 99)]
        text = self._sql.duration(conditions)
        duration_results = await execute(*((text, [*values, offset]) for offset in offsets))
        p50, p90, p95, p99 = (
            result.rows[0][0] if result.rows else None for result in duration_results
        )
        return LogSummary(count=total, by_status=by_status, p50=p50, p90=p90, p95=p95, p99=p99)

    async def remove(self, execute: Execute, query: LogQuery) -> int:
        """Delete a limited number of the matching entries, and return the deleted number."""
        conditions, values = _conditions_of(query, self._sql.kind)
        (deletion,) = await execute((self._sql.remove(conditions), values), writes=True)
        return deletion.changed


@attrs.frozen
class _Rows:
    """Reads rows of the log's table in the way that `read_page` needs.

    Attributes:
        sql: the statements about the table.
        execute: executes statements in the transaction of the page.
    """

    sql: LogSql
    execute: Execute

    async def at(self, window: LogQuery, position: int, /) -> tuple[str, datetime] | None:
        """Return the cursor and start time of the n-th entry in a time window, if it exists."""
        conditions, values = self._conditions(window, window)
        (result,) = await self.execute((self.sql.edge(conditions), [*values, position - 1]))
        if not result.rows:
            return None
        started_at, number = result.rows[0]
        return f"{started_at}.{number}", moment(started_at)

    async def page(self, query: LogQuery, window: LogQuery, last: str | None, /) -> LogPage:
        """Return a page of matching entries that ends with the cursor's entry."""
        conditions, values = self._conditions(query, window)
        if last is not None:
            time, number = _position(last)
            conditions += ["started_at >= ?", "(started_at > ? OR number >= ?)"]
            values += [time, time, number]
        (result,) = await self.execute((self.sql.find(conditions), [*values, query.limit + 1]))
        names = ("number", *self.sql.columns)
        records = [dict(zip(names, row, strict=True)) for row in result.rows[: query.limit]]
        next_position = None
        if len(result.rows) > query.limit:
            next_position = f"{records[-1]['started_at']}.{records[-1]['number']}"
        return LogPage(items=tuple(map(entry_of_row, records)), next=next_position)

    def _conditions(self, query: LogQuery, window: LogQuery) -> tuple[list[str], list[Value]]:
        """Return the conditions of a query as SQL, and the values for their placeholders."""
        conditions, values = _conditions_of(query, self.sql.kind)
        if self.sql.kind == "sqlite":
            # SQLite has no statistics here, and might choose the index of another field.
            window_conditions = _conditions_of(window, self.sql.kind)[0]
            conditions = [
                f"+({condition})"
                if condition.endswith((" = ?", _FAILURES)) and condition not in window_conditions
                else condition
                for condition in conditions
            ]
        if query.after is not None:
            time, number = _position(query.after)
            conditions += ["started_at <= ?", "(started_at < ? OR number < ?)"]
            values += [time, time, number]
        return conditions, values


def _conditions_of(query: LogQuery, kind: str) -> tuple[list[str], list[Value]]:
    """Return the conditions of a query as SQL, and the values for their placeholders."""
    conditions: list[tuple[str, Value]] = [
        (f"{name} = ?", column_text(value, text_length(name)))
        for name in EQUAL_FIELDS
        if (value := getattr(query, name)) is not None
    ]
    if query.status is not None:
        is_in_index = kind == "sqlite" and query.status is not IntegrationStatus.SUCCESS
        condition = f"{_NO_SUCCESS} AND status = ?" if is_in_index else "status = ?"
        conditions.append((condition, query.status.value))
    for condition, time in (("started_at >= ?", query.since), ("started_at < ?", query.until)):
        if time is not None:
            conditions.append((condition, micros(time)))
    sql_conditions, values = (
        [condition for condition, _ in conditions],
        [item for _, item in conditions],
    )
    if query.failures:
        sql_conditions.append(_FAILURES)
    if query.text is not None:
        sql_conditions.append(
            f"({' OR '.join(_CONTAINS_SQL.format(name) for name in TEXT_FIELDS)})"
        )
        escaped_query = _WILDCARD.sub(r"!\g<0>", column_text(query.text, TEXT_LENGTH))
        values += [f"%{escaped_query}%"] * len(TEXT_FIELDS)
    return sql_conditions, values


def _position(cursor: str) -> tuple[int, int]:
    try:
        time, number = map(int, cursor.split("."))
    except ValueError:
        time = number = MAX_NUMBER + 1
    if max(abs(time), abs(number)) <= MAX_NUMBER:
        return time, number
    raise InvalidData(
        f"The cursor {cursor[:80]!r} is not valid.",
        field="after",
        remedy="Pass the `next` value of a page of this log unchanged.",
    )
