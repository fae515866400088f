"""The integration log in PostgreSQL, MariaDB or MySQL, without a framework.

Entries wait in memory for half a second, and a thread writes them together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_schema import dialect_of
from moorage.adapters.logs._table import LogSql
from moorage.adapters.logs._table_log import TABLE, AsyncTableLog, TableLog
from moorage.adapters.tables._sql import PlainSqlTables
from moorage.adapters.tables._statements import table_name
from moorage.domain.secrets.frames import refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    import sqlalchemy

    from moorage.adapters.tables._table import Execute

A = TypeVar("A")

PREFIX: Final = "moorage_"


class SqlIntegrationLogger(TableLog, PlainSqlTables[LogSql]):
    """An `IntegrationLogger` in PostgreSQL, MariaDB or MySQL.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, whose way of connecting is used, and nothing else.
        timeout: seconds, or a timedelta: how long to wait for a connection, and for a reply.
        connections: how many at once.
        prefix: what the name of the table begins with.
        schema: the schema of the table, where it is not the connection's own.
        create: make the table when it is missing. Left out, `migrate()` makes it.
        max_waiting: how many entries may wait to be written; beyond that the oldest are lost.
        every: seconds, or a timedelta, after which what is queued is written.
        threads: whether a thread may write the queue; by default where threads run. Without one
            call `flush`, such as at the end of each request.
    """

    reach: Final = "network"

    @refusing
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
        every: float | timedelta = 0.5,
        threads: bool | None = None,
    ) -> None:
        self._connect(
            url,
            timeout,
            connections,
            lambda kind: _statements(kind, prefix, schema),
            create=create,
            awaited=False,
        )
        self._set_up(
            self._sql,
            self._source.where,
            max_waiting,
            every,
            threads=threads,
            run=self._in_database,
            release=partial(PlainSqlTables[LogSql].close, self),
        )

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """The statements that make the table: of `postgresql`, `mysql` or `mariadb`."""
        kind = "postgresql" if dialect_of(dialect).name == "postgresql" else "mysql"
        made = _statements(kind, prefix, schema).ddl(mariadb=dialect == "mariadb")
        return "".join(f"{statement};\n" for statement in made)

    def _in_database(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A:
        return run_now(self._do(work, None))


class AsyncSqlIntegrationLogger(AsyncTableLog):
    """An `AsyncIntegrationLogger` in PostgreSQL, MariaDB or MySQL, asked in threads.

    It takes the arguments of `SqlIntegrationLogger`.
    """

    reach: Final = "network"

    @refusing
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
            every=every,
            threads=threads,
        )

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """The statements that make the table: of `postgresql`, `mysql` or `mariadb`."""
        return SqlIntegrationLogger.ddl(dialect, prefix=prefix, schema=schema)


def _statements(kind: str, prefix: str, schema: str | None) -> LogSql:
    bare = f"{prefix}{TABLE}"
    return LogSql(kind, bare, table_name(bare, prefix, schema, kind))
