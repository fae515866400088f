"""A program's outbox table. Its rows are published in commit order.

Laws:

1. A row is returned only after its transaction has committed, and then once for each position.
2. A row is returned after every row whose transaction had committed before this one was inserted.

PostgreSQL assigns ids before it is known which transaction commits first, so rows with smaller ids
than the greatest one seen may still appear. A position is therefore a window between two snapshots:
the rows that the earlier one could not see and the later one can, in the order of their ids.

The server's transaction numbers go back if the table is restored on another server, or if a replica
takes over that had not received everything. Then rows could lie outside of every later window, so
the source raises an error.

A row's id is also the identity by which sinks recognise a repeat. So after a restore the ids must
continue above the greatest published id, or sinks would skip new rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.values.installation import missing_package_error

try:
    import sqlalchemy as sa
    from sqlalchemy.types import UserDefinedType
except ImportError as error:
    raise missing_package_error(error, "sql") from error

from moorage.adapters.sql._access import SqlAccess
from moorage.adapters.sql.statements import Query
from moorage.domain.pipelines.records import SourceRecord
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from moorage.adapters.sql._access import AnyPerformer, AnySqlConnector
    from moorage.domain.pipelines.records import Offset

_EMPTY_SNAPSHOT: Final = "1:1:"
"""A snapshot of PostgreSQL that sees no transaction."""


class _Snapshot(UserDefinedType[str]):
    """The type `pg_snapshot` of PostgreSQL, for SQLAlchemy."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "pg_snapshot"


class _Window(NamedTuple):
    """The outbox rows that became visible between two snapshots of the database."""

    number: int
    id: int
    before: str
    now: str

    def text(self, id: int) -> str:
        """Return the position after a row, as a string; such strings sort like the positions."""
        return f"{self.number:015}/{id:020}/{self.before}/{self.now}"


_SNAPSHOT: Final = Query(
    sa.select(
        sa.cast(sa.func.pg_current_snapshot(), sa.Text).label("snapshot"),
        sa.func.pg_is_in_recovery().label("is_replica"),
    ),
    name="outbox.snapshot",
)


@with_careful_constructor
class OutboxTable:
    """A source of records: the rows that a program inserts into a table in its own transactions.

    `after` is a function for a `PollingSource`. No row is lost or passed over, whichever
    transaction commits first. Rows of the same key keep their order, if the program locks the
    object of the key, such as an order, before it inserts a row for this object.

    On PostgreSQL the table needs a column with the transaction, which the server fills in:
    `transaction xid8 NOT NULL DEFAULT pg_current_xact_id()`, and an index on it. SQLite needs no
    such column, but its id must be `INTEGER PRIMARY KEY AUTOINCREMENT`. MariaDB does not report
    which transactions have ended, and is refused.

    Args:
        manager: performs the queries under the protections of the connector's service.
        connector: the connector of the database, which belongs to the caller. A `SqlConnector`
            works in threads and with a `ConnectorManager`; a SQLite file needs that.
        table: the name of the table.
        id: the column of the id, a positive number that the database gives out in growing order.
        payload: the column of the payload: a string, bytes, or JSON.
        key: the column of the key; None if the order is not important.
        transaction: the column of the transaction.
        schema: the schema of the table; by default that of the connection.
        limit: the largest number of rows that are read together.
    """

    def __init__(
        self,
        manager: AnyPerformer,
        connector: AnySqlConnector,
        table: str,
        *,
        id: str = "id",
        payload: str = "payload",
        key: str | None = "key",
        transaction: str = "transaction",
        schema: str | None = None,
        limit: int = 1_000,
    ) -> None:
        self._access = SqlAccess(manager, connector)
        if self._access.system == "mysql":
            raise ConfigurationError(
                "MariaDB and MySQL do not show which transactions have ended, so the source"
                " could skip rows of the outbox table.",
                path="connector",
                remedy="Store the outbox in PostgreSQL or SQLite, or let `moorage.Outbox`"
                " deliver the calls from MariaDB.",
            )
        names = [id, payload, *([] if key is None else [key])]
        rows = sa.table(table, *map(sa.column, {*names, transaction}), schema=schema)
        columns = [rows.c[id].label("id"), rows.c[payload].label("payload")]
        columns.append((sa.null() if key is None else rows.c[key]).label("key"))
        query = (
            sa.select(*columns)
            .where(rows.c[id] > sa.bindparam("last", type_=sa.BigInteger))
            .order_by(rows.c[id])
            .limit(sa.bindparam("limit", type_=sa.BigInteger))
        )
        if self._is_concurrent:
            before, now = (
                sa.cast(sa.bindparam(name, type_=sa.Text), _Snapshot) for name in ("before", "now")
            )
            column = rows.c[transaction]
            query = query.where(
                column >= sa.func.pg_snapshot_xmin(before),
                sa.not_(sa.func.pg_visible_in_snapshot(column, before)),
                sa.func.pg_visible_in_snapshot(column, now),
            )
        current_snapshot = sa.func.pg_current_snapshot()
        self._future_rows = Query(
            sa.select(rows.c[id].label("id"))
            .where(rows.c[transaction] >= sa.func.pg_snapshot_xmax(current_snapshot))
            .limit(1),
            name=f"{table}.future",
        )
        declarations = sa.table("sqlite_master", sa.column("name"), sa.column("sql"), schema=schema)
        self._growing_table = Query(
            sa.select(declarations.c.name).where(
                sa.func.lower(declarations.c.name) == table.lower(),
                declarations.c.sql.icontains("AUTOINCREMENT"),
            ),
            name=f"{table}.declaration",
        )
        sequences = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"), schema=schema)
        self._greatest_id = Query(
            sa.select(sa.func.max(sequences.c.seq).label("id")).where(
                sa.func.lower(sequences.c.name) == table.lower()
            ),
            name=f"{table}.greatest_id",
        )
        self._ids_grow = False
        self._table = table
        self._limit = limit
        self._query = Query(query, name=f"{table}.read")

    @property
    def _is_concurrent(self) -> bool:
        """True if several transactions may insert concurrently."""
        return self._access.system == "postgresql"

    async def after(self, position: Offset | None, /) -> list[SourceRecord]:
        """Return the next rows after a position, in order.

        Raises:
            InvalidData: the position is not a position of this table, or it was stored before the
                server's transaction numbers or the ids of a SQLite file went back.
            ConfigurationError: the table of a SQLite file is missing, or its ids may be used again.
        """
        if not self._is_concurrent:
            return await self._after_id(position or 0)
        window = self._window(position)
        records = await self._read(window)
        if not records:
            [row] = await self._access.query(_SNAPSHOT)
            # A replica may lag behind only for a moment.
            has_gone_back = not row.is_replica and (
                _next_transaction(row.snapshot) < _next_transaction(window.now)
            )
            if has_gone_back or (position is None and await self._access.query(self._future_rows)):
                raise self._renumbered_error()
            window = _Window(window.number + 1, 0, window.now, row.snapshot)
            records = await self._read(window)
        return records

    async def _after_id(self, last: Offset) -> list[SourceRecord]:
        """Return the rows of a SQLite file after an id."""
        if not isinstance(last, int):
            raise self._unreadable_position_error()
        if not self._ids_grow:
            if not await self._access.query(self._growing_table):
                raise self._reused_ids_error()
            self._ids_grow = True
        rows = await self._access.query(self._query, last=last, limit=self._limit)
        if not rows and last:
            [greatest] = await self._access.query(self._greatest_id)
            if (greatest.id or 0) < last:
                raise self._restored_error()
        return [_record(row, self._table, row.id) for row in rows]

    async def _read(self, window: _Window) -> list[SourceRecord]:
        if window.before == window.now:
            return []
        rows = await self._access.query(
            self._query, last=window.id, limit=self._limit, before=window.before, now=window.now
        )
        return [_record(row, self._table, window.text(row.id)) for row in rows]

    def _window(self, position: Offset | None) -> _Window:
        if position is None:
            return _Window(0, 0, _EMPTY_SNAPSHOT, _EMPTY_SNAPSHOT)
        try:
            number, id, before, now = str(position).split("/")
            window = _Window(int(number), int(id), before, now)
            for snapshot in (before, now):
                _next_transaction(snapshot)
        except (IndexError, ValueError):
            raise self._unreadable_position_error() from None
        return window

    def _unreadable_position_error(self) -> InvalidData:
        return InvalidData(
            f"The stored position does not belong to the outbox table {self._table!r}.",
            field="position",
            remedy="Set a name for the source that no other source has used.",
        )

    def _reused_ids_error(self) -> ConfigurationError:
        return ConfigurationError(
            f"The SQLite file has no table {self._table!r} whose id is declared with AUTOINCREMENT."
            " Otherwise SQLite gives the ids of deleted rows to new rows, and the source would skip"
            " these new rows.",
            path="table",
            remedy="Create the table with an id that is INTEGER PRIMARY KEY AUTOINCREMENT.",
        )

    def _restored_error(self) -> InvalidData:
        return InvalidData(
            f"The greatest id of the outbox table {self._table!r} is lower than the stored"
            " position, so rows could be skipped. An older copy of the database was restored.",
            field="position",
            remedy="Delete the rows that are published already, let the ids continue above the"
            " greatest published id, and give the source a new name.",
        )

    def _renumbered_error(self) -> InvalidData:
        return InvalidData(
            f"The server's transaction numbers are lower than those in the outbox table"
            f" {self._table!r} or in the stored position, so rows could be skipped. The table was"
            " restored on another server, or a replica took over.",
            field="position",
            remedy="Set the transaction of the rows that are not published to"
            " pg_current_xact_id(), delete the other rows, let the ids continue above the greatest"
            " published id, and give the source a new name.",
        )


def _next_transaction(snapshot: str) -> int:
    """Return the number of the first transaction that had not begun at a snapshot."""
    return int(snapshot.split(":")[1])


def _record(row: Any, table: str, offset: Offset) -> SourceRecord:
    """Convert a row of the outbox table to a record."""
    fields: dict[str, Any] = {"id": f"{table}/{row.id}", "offset": offset}
    is_text = isinstance(row.key, (str, bytes))
    if row.key is not None and (row.key or not is_text):
        fields["key"] = row.key if is_text else str(row.key)
    if isinstance(row.payload, (str, bytes)):
        return SourceRecord(row.payload, **fields)
    return SourceRecord.of_json(row.payload, **fields)
