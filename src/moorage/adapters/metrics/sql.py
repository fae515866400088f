"""Metrics about calls in PostgreSQL, MariaDB or MySQL.

Figures wait in memory for ten seconds, and a thread stores them together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_schema import dialect_of
from moorage.adapters.databases._table_definition import ddl_text
from moorage.adapters.metrics._table import MetricSql
from moorage.adapters.metrics._table_metrics import TABLE, AsyncTableMetrics, TableMetrics
from moorage.adapters.tables._sql import SyncSqlTables
from moorage.adapters.tables._statements import table_name
from moorage.domain.secrets.frames import refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    import sqlalchemy

    from moorage.adapters.tables._table import Execute
    from moorage.domain.observation.figures import Retention

A = TypeVar("A")

PREFIX: Final = "moorage_"


class SqlMetrics(TableMetrics, SyncSqlTables[MetricSql]):
    """Metrics about calls in PostgreSQL, MariaDB or MySQL, as an observer and as `Metrics`.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, which is only used to open connections.
        timeout: seconds, or a timedelta, to wait for a connection and for a reply.
        connections: the maximum number of connections.
        prefix: the beginning of the table's name.
        schema: the schema of the table, if it is not the connection's default.
        create: whether to create a missing table; otherwise run `migrate()`.
        max_series: the maximum number of series in a day that are not added up with others.
        max_waiting: the maximum number of figures in memory; beyond it, the oldest are lost.
        every: seconds, or a timedelta, between two writes.
        threads: whether a thread may store the figures; by default if threads are supported.
            Without a thread, call `flush`, such as at the end of each request.
        retention: how long figures stay.
    """

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
        max_series: int = 1_000,
        max_waiting: int = 10_000,
        every: float | timedelta = 10.0,
        threads: bool | None = None,
        retention: Retention | None = None,
    ) -> None:
        self._connect(
            url,
            timeout,
            connections,
            lambda kind: _statements(kind, prefix, schema),
            create=create,
            is_async=False,
        )
        self._set_up(
            self._sql,
            self._source.where,
            retention,
            max_series=max_series,
            max_waiting=max_waiting,
            every=every,
            threads=threads,
            run=self._in_database,
            release=partial(SyncSqlTables[MetricSql].close, self),
        )

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the table in `postgresql`, `mysql` or `mariadb`."""
        kind = "postgresql" if dialect_of(dialect).name == "postgresql" else "mysql"
        sql = _statements(kind, prefix, schema)
        return ddl_text(sql.definitions(mariadb=dialect == "mariadb"))

    def _in_database(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A:
        return run_now(self._do(work, None))


class AsyncSqlMetrics(AsyncTableMetrics):
    """The asynchronous `SqlMetrics`.

    It uses threads, and takes the arguments of `SqlMetrics`.
    """

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
        max_series: int = 1_000,
        max_waiting: int = 10_000,
        every: float | timedelta = 10.0,
        threads: bool | None = None,
        retention: Retention | None = None,
    ) -> None:
        self._metrics = SqlMetrics(
            url,
            timeout=timeout,
            connections=connections,
            prefix=prefix,
            schema=schema,
            create=create,
            max_series=max_series,
            max_waiting=max_waiting,
            every=every,
            threads=threads,
            retention=retention,
        )

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the table in `postgresql`, `mysql` or `mariadb`."""
        return SqlMetrics.ddl(dialect, prefix=prefix, schema=schema)


def _statements(kind: str, prefix: str, schema: str | None) -> MetricSql:
    bare_name = f"{prefix}{TABLE}"
    return MetricSql(kind, bare_name, table_name(bare_name, prefix, schema, kind))
