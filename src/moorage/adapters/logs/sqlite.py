"""The integration log in a file of SQLite's, without a framework.

Entries wait in memory for half a second, and a thread writes them together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.logs._table import LogSql
from moorage.adapters.logs._table_log import TABLE, AsyncTableLog, TableLog
from moorage.adapters.tables._sqlite import SqliteTables
from moorage.adapters.tables._statements import table_name

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    from moorage.adapters.tables._table import Execute

A = TypeVar("A")

PREFIX: Final = "moorage_"


class SqliteIntegrationLogger(TableLog, SqliteTables):
    """An `IntegrationLogger` in a file of SQLite's, such as the host's own database.

    Args:
        path: of the file.
        timeout: seconds, or a timedelta: how long to wait while others write.
        prefix: what the name of the table begins with.
        create: make the table when it is missing. Left out, `migrate()` makes it.
        max_waiting: how many entries may wait to be written; beyond that the oldest are lost.
        every: seconds, or a timedelta, after which what is queued is written.
        threads: whether a thread may write the queue; by default where threads run. Without one
            call `flush`, such as at the end of each request.
    """

    reach: Final = "machine"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        create: bool = False,
        max_waiting: int = 10_000,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        sql = _statements(prefix)
        self._open(path, timeout, create=create, table=sql.table, making=sql.ddl())
        self._set_up(
            sql,
            self._path,
            max_waiting,
            every,
            threads=threads,
            run=self._in_file,
            release=partial(SqliteTables.close, self),
        )

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """The statements that make the table, for a host that makes its own migrations."""
        return "".join(f"{statement};\n" for statement in _statements(prefix).ddl())

    def _in_file(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A:
        return self._do(work, None)


class AsyncSqliteIntegrationLogger(AsyncTableLog):
    """An `AsyncIntegrationLogger` in a file of SQLite's, such as the host's own database.

    It takes the arguments of `SqliteIntegrationLogger`.
    """

    reach: Final = "machine"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        create: bool = False,
        max_waiting: int = 10_000,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        self._log = SqliteIntegrationLogger(
            path,
            timeout=timeout,
            prefix=prefix,
            create=create,
            max_waiting=max_waiting,
            every=every,
            threads=threads,
        )

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """The statements that make the table, for a host that makes its own migrations."""
        return SqliteIntegrationLogger.ddl(prefix=prefix)


def _statements(prefix: str) -> LogSql:
    bare = f"{prefix}{TABLE}"
    return LogSql("sqlite", bare, table_name(bare, prefix, None, "sqlite"))
