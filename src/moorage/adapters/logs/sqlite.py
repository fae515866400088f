"""The integration log in a SQLite file, without a framework.

Entries wait in memory for half a second, and a thread stores them together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.adapters.databases._table_definition import ddl_text
from moorage.adapters.logs._table_log import PREFIX, AsyncTableLog, TableLog, statements_of
from moorage.adapters.logs.queue import MAX_BYTES
from moorage.adapters.tables._sqlite import SqliteTables

if TYPE_CHECKING:
    import os
    from datetime import timedelta


class SqliteIntegrationLogger(TableLog, SqliteTables):
    """An `IntegrationLogger` in a SQLite file, such as the host's own database.

    Args:
        path: the path of the file.
        timeout: seconds, or a timedelta, to wait while others write.
        prefix: the beginning of the table's name.
        create: whether to create a missing table; otherwise run `migrate()`.
        max_waiting: the maximum number of queued entries; beyond it, the oldest are lost.
        max_bytes: the maximum number of bytes of queued requests, responses and error messages;
            beyond it, the oldest entries are lost.
        every: seconds, or a timedelta, between two writes of the queue.
        threads: whether a thread may write the queue; by default if threads are supported.
            Without a thread, call `flush`, such as at the end of each request.
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
        max_bytes: int = MAX_BYTES,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        sql = statements_of("sqlite", prefix)
        self._open(path, timeout, create=create, definitions=sql.definitions())
        self._set_up(
            sql,
            self._path,
            every,
            bounds=(max_waiting, max_bytes),
            threads=threads,
            run=self._in_file,
            release=partial(SqliteTables.close, self),
        )

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """Return the statements that create the table, for a host's own migrations."""
        return ddl_text(statements_of("sqlite", prefix).definitions())


class AsyncSqliteIntegrationLogger(AsyncTableLog):
    """An `AsyncIntegrationLogger` in a SQLite file, such as the host's own database.

    It has the arguments of `SqliteIntegrationLogger`.
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
        max_bytes: int = MAX_BYTES,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        self._log = SqliteIntegrationLogger(
            path,
            timeout=timeout,
            prefix=prefix,
            create=create,
            max_waiting=max_waiting,
            max_bytes=max_bytes,
            every=every,
            threads=threads,
        )

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """Return the statements that create the table, for a host's own migrations."""
        return SqliteIntegrationLogger.ddl(prefix=prefix)
