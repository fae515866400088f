"""Metrics about calls in PostgreSQL, MariaDB or MySQL.

Figures wait in memory for ten seconds, and a thread stores them together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moorage.adapters.metrics._table import MetricSql
from moorage.adapters.metrics._table_metrics import (
    PREFIX,
    AsyncTableMetrics,
    TableMetrics,
    statements_of,
)
from moorage.adapters.tables._sql import SyncSqlTables, ddl_in
from moorage.domain.secrets.frames import without_arguments_in_errors

if TYPE_CHECKING:
    from datetime import timedelta

    import sqlalchemy

    from moorage.domain.observation.figures import Retention


class SqlMetrics(TableMetrics, SyncSqlTables[MetricSql]):
    """An observer that stores metrics about calls in PostgreSQL, MariaDB or MySQL.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, which is only used to open connections.
        timeout: seconds, or a timedelta, to wait for a connection and for a reply.
        connections: the maximum number of connections.
        prefix: the beginning of the table's name.
        schema: the schema of the table, if it is not the connection's default.
        create: whether to create a missing table; otherwise run `migrate()`.
        max_series: the maximum number of separate series in a day; further series are added up.
        max_waiting: the maximum number of figures in memory; beyond it, the oldest are lost.
        every: seconds, or a timedelta, between two writes.
        threads: whether a thread may store the figures; by default if threads are supported.
            Without a thread, call `flush`, such as at the end of each request.
        retention: how long metrics are kept.
    """

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
            lambda kind: statements_of(kind, prefix, schema),
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
        return ddl_in(dialect, lambda kind: statements_of(kind, prefix, schema))


class AsyncSqlMetrics(AsyncTableMetrics):
    """The asynchronous `SqlMetrics`.

    It uses threads, and has the arguments of `SqlMetrics`.
    """

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
