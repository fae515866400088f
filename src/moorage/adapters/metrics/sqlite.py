"""Metrics about calls in a SQLite file.

Figures wait in memory for ten seconds, and a thread stores them together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moorage.adapters.databases._table_definition import ddl_text
from moorage.adapters.metrics._table_metrics import (
    PREFIX,
    AsyncTableMetrics,
    TableMetrics,
    statements_of,
)
from moorage.adapters.tables._sqlite import SqliteTables

if TYPE_CHECKING:
    import os
    from datetime import timedelta

    from moorage.domain.observation.figures import Retention


class SqliteMetrics(TableMetrics, SqliteTables):
    """An observer that stores metrics about calls in a SQLite file.

    Args:
        path: the path of the file.
        timeout: seconds, or a timedelta, to wait while others write.
        prefix: the beginning of the table's name.
        create: whether to create a missing table; otherwise run `migrate()`.
        max_series: the maximum number of separate series in a day; further series are added up.
        max_waiting: the maximum number of figures in memory; beyond it, the oldest are lost.
        every: seconds, or a timedelta, between two writes.
        threads: whether a thread may store the figures; by default if threads are supported.
            Without a thread, call `flush`, such as at the end of each request.
        retention: how long metrics are kept.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        create: bool = False,
        max_series: int = 1_000,
        max_waiting: int = 10_000,
        every: float | timedelta = 10.0,
        threads: bool | None = None,
        retention: Retention | None = None,
    ) -> None:
        sql = statements_of("sqlite", prefix)
        self._open(path, timeout, create=create, definitions=sql.definitions())
        self._set_up(
            sql,
            self._path,
            retention,
            max_series=max_series,
            max_waiting=max_waiting,
            every=every,
            threads=threads,
            run=self._in_file,
            release=partial(SqliteTables.close, self),
        )

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """Return the statements that create the table, for a host's own migrations."""
        return ddl_text(statements_of("sqlite", prefix).definitions())


class AsyncSqliteMetrics(AsyncTableMetrics):
    """The asynchronous `SqliteMetrics`.

    It has the arguments of `SqliteMetrics`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        create: bool = False,
        max_series: int = 1_000,
        max_waiting: int = 10_000,
        every: float | timedelta = 10.0,
        threads: bool | None = None,
        retention: Retention | None = None,
    ) -> None:
        self._metrics = SqliteMetrics(
            path,
            timeout=timeout,
            prefix=prefix,
            create=create,
            max_series=max_series,
            max_waiting=max_waiting,
            every=every,
            threads=threads,
            retention=retention,
        )

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """Return the statements that create the table, for a host's own migrations."""
        return SqliteMetrics.ddl(prefix=prefix)
