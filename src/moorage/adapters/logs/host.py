"""The integration log in the application's own table, over the application's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.logs._rows import COLUMNS
from moorage.adapters.logs._table import LogSql
from moorage.adapters.logs._table_log import PREFIX, TABLE, TableLog
from moorage.adapters.logs.queue import MAX_BYTES
from moorage.adapters.tables._host import HostTables, TransactionRunner
from moorage.adapters.tables._statements import table_name
from moorage.domain.secrets.frames import without_arguments_in_errors

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

__all__ = ("HostIntegrationLogger", "TransactionRunner")


class HostIntegrationLogger(TableLog):
    """An `IntegrationLogger` in a table of the application.

    Args:
        database: `sqlite`, `postgresql`, `mysql` or `mariadb`.
        lend: lends a connection for one transaction.
        where: the name of the log in warnings.
        columns: the columns of the table; fields of entries that it lacks are left out.
        prefix: the beginning of the table's name.
        schema: the schema of the table, if it is not the connection's default.
        mark: the placeholder of a value in a statement; by default `?` for SQLite, `%s` for others.
        max_waiting: the maximum number of queued entries; beyond it, the oldest are lost.
        max_bytes: the maximum number of bytes of queued requests, responses and error messages;
            beyond it, the oldest entries are lost.
        every: seconds, or a timedelta, between two writes of the queue.
        threads: whether a thread may write the queue; by default if threads are supported.
            Without a thread, call `flush`, such as at the end of each request.
    """

    @without_arguments_in_errors
    def __init__(
        self,
        database: str,
        lend: TransactionRunner,
        where: str,
        *,
        columns: Collection[str] = COLUMNS,
        prefix: str = PREFIX,
        schema: str | None = None,
        mark: str | None = None,
        max_waiting: int = 10_000,
        max_bytes: int = MAX_BYTES,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        tables = HostTables(database, lend, mark)
        self.reach = "machine" if tables.kind == "sqlite" else "network"
        base_name = f"{prefix}{TABLE}"
        table = table_name(base_name, prefix, schema, tables.kind)
        stored_columns = tuple(name for name in COLUMNS if name in columns)
        self._set_up(
            LogSql(tables.kind, base_name, table, stored_columns),
            where,
            every,
            bounds=(max_waiting, max_bytes),
            threads=threads,
            run=tables.transact,
            release=_do_nothing,
        )


def _do_nothing() -> None:
    return
