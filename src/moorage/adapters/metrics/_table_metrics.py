"""Metrics in a table of any database."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from moorage.adapters.concurrency._closing import AsyncContextClosable
from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.metrics._table import MetricSql, MetricTable
from moorage.adapters.metrics.recorder import FiguresRecorder
from moorage.adapters.tables._statements import table_name
from moorage.domain.observation.figures import Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import datetime, timedelta

    from moorage.adapters.metrics.recorder import StoredFigures
    from moorage.adapters.tables._table import Execute
    from moorage.domain.observation.events import Event
    from moorage.domain.observation.figures import FiguresQuery, WindowFigures

A = TypeVar("A")


class Run(Protocol):
    """Runs a function in a transaction of its own."""

    def __call__(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A: ...


PREFIX: Final = "moorage_"
"""The usual beginning of the table's name."""

TABLE: Final = "metrics"
"""The name of the table, without its prefix."""


class TableMetrics:
    """Metrics about calls in a table; new metrics are first collected in memory.

    Attributes:
        event_classes: the classes of events that are counted.
    """

    event_classes = FiguresRecorder.event_classes

    def _set_up(
        self,
        sql: MetricSql,
        where: str,
        retention: Retention | None,
        *,
        max_series: int,
        max_waiting: int,
        every: float | timedelta,
        threads: bool | None,
        run: Run,
        release: Callable[[], None],
    ) -> None:
        self._run = run
        self._release = release
        self._retention = Retention() if retention is None else retention
        self._table = MetricTable(sql)
        self._recorder = FiguresRecorder(
            self._put,
            self.housekeep,
            where,
            max_series=max_series,
            max_waiting=max_waiting,
            every=every,
            threads=threads,
        )

    @property
    def lost(self) -> int:
        """The number of calls whose metrics this process could not store."""
        return self._recorder.lost

    def __call__(self, event: Event, /) -> None:
        """Count a call, if the event reports its end."""
        self._recorder(event)

    def flush(self) -> None:
        """Store the metrics that this process has collected in memory.

        Raises:
            StorageUnavailable: the database cannot store them now; they remain in memory.
            ConfigurationError: the table does not exist.
        """
        self._recorder.flush()

    def after_request(self) -> None:
        """Store this process's metrics, unless a background thread stores them."""
        self._recorder.after_request()

    def figures(self, query: FiguresQuery, /) -> tuple[WindowFigures, ...]:
        """Return the metrics of all processes, sorted by start, service, operation and tenant."""
        self._recorder.flush()
        return self._run(partial(self._table.figures, query=query))

    def housekeep(self, now: datetime, /) -> int:
        """Merge old windows, delete expired ones, and return the number of rows removed.

        Each transaction changes a few hundred rows, and several processes may do it concurrently.
        """
        total = 0
        for work in (self._table.remove, self._table.roll_up):
            step = partial(work, now=now, retention=self._retention)
            while number := self._run(step):
                total += number
        return total

    def close(self) -> None:
        """Store the metrics if the database is available, and close all connections."""
        self._recorder.close()
        self._release()

    def _put(self, rows: Sequence[StoredFigures]) -> None:
        self._run(partial(self._table.put, rows=rows))


class AsyncTableMetrics(AsyncContextClosable):
    """The asynchronous metrics in a table; threads access the database.

    Attributes:
        event_classes: the classes of events that are counted.
    """

    event_classes = FiguresRecorder.event_classes

    _metrics: Any

    @property
    def lost(self) -> int:
        """The number of calls whose metrics this process could not store."""
        lost_calls: int = self._metrics.lost
        return lost_calls

    def __repr__(self) -> str:
        return f"Async{self._metrics!r}"

    def __call__(self, event: Event, /) -> None:
        """Count a call, if the event reports its end."""
        self._metrics(event)

    async def flush(self) -> None:
        """Store the metrics that this process has collected in memory.

        Raises:
            StorageUnavailable: the database cannot store them now; they remain in memory.
            ConfigurationError: the table does not exist.
        """
        await to_thread(self._metrics.flush)

    async def figures(self, query: FiguresQuery, /) -> tuple[WindowFigures, ...]:
        """Return the metrics of all processes, sorted by start, service, operation and tenant."""
        return await to_thread(self._metrics.figures, query)

    async def housekeep(self, now: datetime, /) -> int:
        """Merge old windows, delete expired ones, and return the number of rows removed.

        Each transaction changes a few hundred rows, and several processes may do it concurrently.
        """
        return await to_thread(self._metrics.housekeep, now)

    async def migrate(self) -> None:
        """Create missing tables, and add missing columns and indexes."""
        await to_thread(self._metrics.migrate)

    async def aclose(self) -> None:
        """Store the metrics if the database is available, and close all connections."""
        await to_thread(self._metrics.close)


def statements_of(kind: str, prefix: str, schema: str | None = None) -> MetricSql:
    """Return the SQL statements for the table of metrics in one kind of database."""
    base_name = f"{prefix}{TABLE}"
    return MetricSql(kind, base_name, table_name(base_name, prefix, schema, kind))
