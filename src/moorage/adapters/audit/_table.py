"""The tables of an audit trail: their SQL statements, and the operations that run them.

One table has the records, and another the head: a single row, whose lock makes appending processes
wait for each other. Every statement has `?` as the placeholder of its values, which is replaced by
the driver's own placeholder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.databases._table_definition import Index, TableDefinition
from moorage.adapters.tables._statements import all_of, collation_options
from moorage.domain.observation.audit import (
    GENESIS,
    LONGEST_ACT,
    LONGEST_NAME,
    LONGEST_REASON,
    AuditHead,
    AuditPage,
    AuditRecord,
    micros_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.adapters.tables._table import Execute, Value
    from moorage.domain.observation.audit import AuditQuery

_COLUMNS: Final = {
    "number": "BIGINT PRIMARY KEY",
    "at": "BIGINT NOT NULL",
    "act": f"VARCHAR({LONGEST_ACT}) NOT NULL",
    "subject": f"VARCHAR({LONGEST_NAME}) NOT NULL",
    "actor": f"VARCHAR({LONGEST_NAME}) NOT NULL",
    "reason": f"VARCHAR({LONGEST_REASON}) NOT NULL",
    "before": "TEXT",
    "after": "TEXT",
    "previous": "VARCHAR(64) NOT NULL",
    "hash": "VARCHAR(64) NOT NULL",
}
_COLUMN_NAMES: Final = {"at": "acted_at", "before": "state_before", "after": "state_after"}
"""The columns whose fields have names that are reserved words of a database."""

_NAMES: Final = tuple(_COLUMN_NAMES.get(name, name) for name in _COLUMNS)
_PAGE: Final = 1_000
_LEAST_TIME: Final = -(2**63)

_INDEXES: Final = (
    Index("time", "acted_at, number"),
    Index("act", "act, number"),
    Index("subject", "subject, number"),
)


@attrs.frozen
class AuditSql:
    """The SQL statements for the tables of an audit trail.

    Attributes:
        kind: `sqlite`, `postgresql` or `mysql`.
        base_name: the name of the table of records, without quotes and schema.
        table: the quoted name of the table of records.
        heads: the quoted name of the table of the head.
    """

    kind: str
    base_name: str
    table: str
    heads: str

    def definitions(self, *, mariadb: bool = True) -> tuple[TableDefinition, ...]:
        """Return the definitions of the trail's tables; the table of records is the first."""
        options = collation_options(self.kind, mariadb=mariadb)
        columns = {_COLUMN_NAMES.get(name, name): kind for name, kind in _COLUMNS.items()}
        head_columns = {
            "id": "BIGINT PRIMARY KEY",
            "number": "BIGINT NOT NULL",
            "hash": "VARCHAR(64) NOT NULL",
            "sealed": "BIGINT NOT NULL",
        }
        head_name = f"{self.base_name}_head"
        return (
            TableDefinition(
                self.kind, self.base_name, self.table, columns, _INDEXES, options=options
            ),
            TableDefinition(self.kind, head_name, self.heads, head_columns, options=options),
        )

    @property
    def insert(self) -> str:
        """The SQL statement that inserts an audit record."""
        marks = ", ".join("?" * len(_NAMES))
        return f"INSERT INTO {self.table} ({', '.join(_NAMES)}) VALUES ({marks})"  # noqa: S608 - quoted names; values are parameters

    @property
    def begin(self) -> str:
        """The SQL statement that locks the row of the chain's head, and creates it if missing."""
        insert = (
            f"INSERT INTO {self.heads} (id, number, hash, sealed) VALUES (1, 0, '{GENESIS}', 0)"  # noqa: S608 - quoted names, and a constant of ours
        )
        if self.kind == "mysql":
            # INSERT IGNORE would hold a shared lock on the row, and two transactions could
            # deadlock.
            return f"{insert} ON DUPLICATE KEY UPDATE id = id"
        return f"{insert} ON CONFLICT DO NOTHING"

    def head(self, *, locked: bool) -> str:
        """Return the SQL query for the head of the audit chain."""
        lock = " FOR UPDATE" if locked and self.kind != "sqlite" else ""
        return f"SELECT number, hash, sealed FROM {self.heads} WHERE id = 1{lock}"  # noqa: S608 - a quoted name, and a constant of ours

    @property
    def advance(self) -> str:
        """The SQL statement that updates the head of the audit chain."""
        return f"UPDATE {self.heads} SET number = ?, hash = ?, sealed = ? WHERE id = 1"  # noqa: S608 - quoted names; values are parameters

    @property
    def last(self) -> str:
        """The SQL query for the last audit record."""
        return f"SELECT number, hash FROM {self.table} ORDER BY number DESC LIMIT 1"  # noqa: S608 - quoted names; values are parameters

    def find(self, where: Sequence[str], order: str) -> str:
        """Return the SQL query for matching audit records."""
        names = ", ".join(_NAMES)
        return f"SELECT {names} FROM {self.table}{all_of(where)} ORDER BY number {order} LIMIT ?"  # noqa: S608 - quoted names; values are parameters


class AuditTable:
    """The operations on the tables of an audit trail.

    Args:
        sql: the statements about the tables.
    """

    def __init__(self, sql: AuditSql) -> None:
        self._sql = sql

    async def append(
        self,
        execute: Execute,
        build: Callable[[AuditHead], tuple[Sequence[AuditRecord], AuditHead]],
    ) -> tuple[Sequence[AuditRecord] | None, AuditHead]:
        """Append new records to the chain; return them, and the previous head of the chain.

        No records are added if the last stored record is not the one that the head names.
        """
        sql = self._sql
        _, heads = await execute(
            (sql.begin, ()), (sql.head(locked=True), ()), keep_open=True, writes=True
        )
        head = AuditHead(*heads.rows[0])
        (last_result,) = await execute((sql.last, ()), keep_open=True, writes=True)
        number, digest = last_result.rows[0] if last_result.rows else (0, GENESIS)
        if (number, digest) != (head.number, head.hash):
            await execute()
            return None, head
        records, end = build(head)
        await execute(
            *((sql.insert, _row(record)) for record in records),
            (sql.advance, (end.number, end.hash, end.sealed)),
            writes=True,
        )
        return records, head

    async def head(self, execute: Execute) -> AuditHead:
        """Return the head of the audit chain: the number and hash of its last record."""
        (heads,) = await execute((self._sql.head(locked=False), ()))
        return AuditHead(*heads.rows[0]) if heads.rows else AuditHead()

    async def following(self, execute: Execute, number: int | None) -> list[AuditRecord]:
        """Return the page of audit records after a record number, or the first page for None."""
        last_number = _LEAST_TIME if number is None else number
        (page_result,) = await execute(
            (self._sql.find(["number > ?"], "ASC"), (last_number, _PAGE))
        )
        return [_record(row) for row in page_result.rows]

    async def find(self, execute: Execute, query: AuditQuery) -> AuditPage:
        """Return one page of the matching records, newest first."""
        locations, values = _conditions_of(query)
        statement = self._sql.find(locations, "DESC")
        (page_result,) = await execute((statement, (*values, query.limit + 1)))
        records = tuple(_record(row) for row in page_result.rows[: query.limit])
        has_next_page = len(page_result.rows) > query.limit
        return AuditPage(items=records, next=records[-1].number if has_next_page else None)


def _row(record: AuditRecord) -> list[Value]:
    return [getattr(record, name) for name in _COLUMNS]


def _record(row: Sequence[Any]) -> AuditRecord:
    """Convert a row of the table to an audit record."""
    (
        number,
        act_time,
        act,
        subject,
        actor,
        reason,
        value_before,
        value_after,
        previous_hash,
        digest,
    ) = row
    return AuditRecord(
        number=_integer(number),
        at=_integer(act_time),
        act=str(act),
        subject=str(subject),
        actor=str(actor),
        reason=str(reason),
        before=None if value_before is None else str(value_before),
        after=None if value_after is None else str(value_after),
        previous=str(previous_hash),
        hash=str(digest),
    )


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _conditions_of(query: AuditQuery) -> tuple[list[str], list[Value]]:
    """Return the conditions of a query as SQL, and the values for their placeholders."""
    conditions: list[tuple[str, Value | None]] = [
        ("subject = ?", query.subject),
        ("actor = ?", query.actor),
        ("acted_at >= ?", None if query.since is None else micros_of(query.since)),
        ("acted_at < ?", None if query.until is None else micros_of(query.until)),
        ("number < ?", query.after),
    ]
    if query.act is not None:
        prefix_condition = f"substr(act, 1, {len(query.act)}) = ?"
        conditions.append((prefix_condition if query.act.endswith(".") else "act = ?", query.act))
    used_conditions = [(condition, value) for condition, value in conditions if value is not None]
    return [condition for condition, _ in used_conditions], [value for _, value in used_conditions]
