"""The integration log in a table that a host's migrations make, on connections that it lends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.logs._table import COLUMNS, LogSql
from moorage.adapters.logs._table_log import CALLED, TableLog
from moorage.adapters.tables._host import HostTables, Lend
from moorage.adapters.tables._statements import table_name
from moorage.domain.secrets.frames import refusing

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

__all__ = ("HostIntegrationLogger", "Lend")

PREFIX: Final = "moorage_"


class HostIntegrationLogger(TableLog):
    """An `IntegrationLogger` in a table of a host.

    Args:
        database: `sqlite`, `postgresql`, `mysql` or `mariadb`.
        lend: lends a connection for one transaction.
        where: the place of the log, for warnings.
        columns: the columns of the table; fields of entries that it lacks are left out.
        prefix: what the name of the table begins with.
        schema: the schema of the table, where it is not the connection's own.
        mark: what stands for a value in a statement; by default `?` for SQLite, `%s` for others.
        max_waiting: how many entries may wait to be written; beyond that the oldest are lost.
        every: seconds, or a timedelta, after which what is queued is written.
        threads: whether a thread may write the queue; by default where threads run. Without one
            call `flush`, such as at the end of each request.
    """

    @refusing
    def __init__(
        self,
        database: str,
        lend: Lend,
        where: str,
        *,
        columns: Collection[str] = COLUMNS,
        prefix: str = PREFIX,
        schema: str | None = None,
        mark: str | None = None,
        max_waiting: int = 10_000,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        tables = HostTables(database, lend, mark)
        self.reach = "machine" if tables.kind == "sqlite" else "network"
        bare = f"{prefix}{CALLED}"
        table = table_name(bare, prefix, schema, tables.kind)
        known = tuple(name for name in COLUMNS if name in columns)
        self._keep(
            LogSql(tables.kind, bare, table, known),
            where,
            max_waiting,
            every,
            threads=threads,
            run=tables.transact,
            release=_nothing,
        )


def _nothing() -> None:
    return
