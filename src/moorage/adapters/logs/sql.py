"""The integration log in PostgreSQL, MariaDB or MySQL, without a framework.

Entries wait in memory for half a second, and a thread stores them together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.adapters.logs._table import LogSql
from moorage.adapters.logs._table_log import PREFIX, AsyncTableLog, TableLog, statements_of
from moorage.adapters.logs.queue import MAX_BYTES
from moorage.adapters.tables._sql import SyncSqlTables, ddl_in
from moorage.domain.secrets.frames import without_arguments_in_errors

if TYPE_CHECKING:
    from datetime import timedelta

    import sqlalchemy


class SqlIntegrationLogger(TableLog, SyncSqlTables[LogSql]):
    """An `IntegrationLogger` in PostgreSQL, MariaDB or MySQL.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, which is only used to open connections.
        timeout: seconds, or a timedelta, to wait for a connection and for a reply.
        connections: the maximum number of connections.
        prefix: the beginning of the table's name.
        schema: the schema of the table, if it is not the connection's default.
        create: whether to create a missing table; otherwise run `migrate()`.
        max_waiting: the maximum number of queued entries; beyond it, the oldest are lost.
        max_bytes: the maximum number of bytes of queued requests, responses and error messages;
            beyond it, the oldest entries are lost.
        every: seconds, or a timedelta, between two writes of the queue.
        threads: whether a thread may write the queue; by default if threads are supported.
            Without a thread, call `flush`, such as at the end of each request.
    """

    reach: Final = "network"

    @without_arguments_in_errors
    def __init__(
        self,
        url: str | sqlalchemy.URL | sqlalchemy.Engine,
        *,
        timeout: float | timedelta = 5.0,
        connections: int = 2,
        prefix: str = PREFIX,
        schema: str | None = None,
        create: bool = False,
        max_waiting: int = 10_000,
        max_bytes: int = MAX_BYTES,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        self._connect(
            url,
            timeout,
            connections,
            lambda kind: statements_of(kind, prefix, schema),
            create=create,
            is_async=False,
        )
        self._set_up(
            self._sql,
            self._source.where,
            every,
            bounds=(max_waiting, max_bytes),
            threads=threads,
            run=self._in_database,
            release=partial(SyncSqlTables[LogSql].close, self),
        )

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the table in `postgresql`, `mysql` or `mariadb`."""
        return ddl_in(dialect, lambda kind: statements_of(kind, prefix, schema))


class AsyncSqlIntegrationLogger(AsyncTableLog):
    """An `AsyncIntegrationLogger` in PostgreSQL, MariaDB or MySQL, which uses threads.

    It has the arguments of `SqlIntegrationLogger`.
    """

    reach: Final = "network"

    @without_arguments_in_errors
    def __init__(
        self,
        url: str | sqlalchemy.URL | sqlalchemy.Engine,
        *,
        timeout: float | timedelta = 5.0,
        connections: int = 2,
        prefix: str = PREFIX,
        schema: str | None = None,
        create: bool = False,
        max_waiting: int = 10_000,
        max_bytes: int = MAX_BYTES,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        self._log = SqlIntegrationLogger(
            url,
            timeout=timeout,
            connections=connections,
            prefix=prefix,
            schema=schema,
            create=create,
            max_waiting=max_waiting,
            max_bytes=max_bytes,
            every=every,
            threads=threads,
        )

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the table in `postgresql`, `mysql` or `mariadb`."""
        return SqlIntegrationLogger.ddl(dialect, prefix=prefix, schema=schema)
