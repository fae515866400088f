"""An integration log in a table of any database."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from moorage.adapters.concurrency._closing import AsyncContextClosable
from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.logs._table import LogSql, LogTable
from moorage.adapters.logs.queue import LogQueue
from moorage.adapters.tables._statements import table_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import timedelta

    from moorage.adapters.tables._table import Execute
    from moorage.domain.observation.call_events import SuccessFacts
    from moorage.domain.observation.integration_log import (
        IntegrationLog,
        LogPage,
        LogQuery,
        LogSummary,
    )

A = TypeVar("A")


class Run(Protocol):
    """Runs a function in a transaction of its own."""

    def __call__(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A: ...


PREFIX: Final = "moorage_"
"""The usual beginning of the table's name."""

TABLE: Final = "log"
"""The name of the table, without its prefix."""


class TableLog:
    """An integration log in a database table; new entries are first queued in memory."""

    durable: Final = False  # queued entries are lost in a crash

    def _set_up(
        self,
        sql: LogSql,
        where: str,
        every: float | timedelta,
        *,
        bounds: tuple[int, int],
        threads: bool | None,
        run: Run,
        release: Callable[[], None],
    ) -> None:
        self._run = run
        self._release = release
        self._table = LogTable(sql)
        self._queue = LogQueue(
            self._insert,
            where,
            max_waiting=bounds[0],
            max_bytes=bounds[1],
            every=every,
            threads=threads,
        )

    @property
    def lost(self) -> int:
        """The number of entries that this process could not store."""
        return self._queue.lost

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue a log entry, for a background thread to store soon."""
        self._queue.write(entry)

    def success_writer(self) -> Callable[[SuccessFacts], int]:
        """Return the function that queues a successful call's log entry, made from the call's data.

        It returns the number of entries that were lost so far. A manager calls it in place of
        `write`, because computing an entry takes longer than everything else.
        """
        return self._queue.write_success

    def flush(self) -> None:
        """Store the queued entries.

        Raises:
            StorageUnavailable: the database cannot store them now; they remain queued.
            ConfigurationError: the table does not exist.
        """
        self._queue.flush()

    def after_request(self) -> None:
        """Store the queued entries, unless a background thread stores them."""
        self._queue.after_request()

    def find(self, query: LogQuery, /) -> LogPage:
        """Return one page of the matching entries, newest first."""
        self._queue.flush()
        return self._run(partial(self._table.find, query=query))

    def summarise(self, query: LogQuery, /) -> LogSummary:
        """Return the counts and percentiles of all matching entries."""
        self._queue.flush()
        return self._run(partial(self._table.summarise, query=query))

    def remove(self, query: LogQuery, /) -> int:
        """Delete all matching entries, 1,000 per transaction, and return their number."""
        self._queue.flush()
        total = 0
        while deleted_count := self._run(partial(self._table.remove, query=query)):
            total += deleted_count
        return total

    def close(self) -> None:
        """Store the queued entries if the database is available, and close all connections."""
        self._queue.close()
        self._release()

    def _insert(self, entries: Sequence[IntegrationLog | SuccessFacts]) -> None:
        self._run(partial(self._table.add, entries=entries))


class AsyncTableLog(AsyncContextClosable):
    """The asynchronous integration log in a table; threads access the database."""

    durable: Final = False

    _log: Any

    @property
    def lost(self) -> int:
        """The number of entries that this process could not store."""
        lost_entries: int = self._log.lost
        return lost_entries

    def __repr__(self) -> str:
        return f"Async{self._log!r}"

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue a log entry, for a background thread to store soon."""
        self._log.write(entry)

    def success_writer(self) -> Callable[[SuccessFacts], int]:
        """Return the function that queues a successful call's log entry, made from its data."""
        writer: Callable[[SuccessFacts], int] = self._log.success_writer()
        return writer

    async def flush(self) -> None:
        """Store the queued entries.

        Raises:
            StorageUnavailable: the database cannot store them now; they remain queued.
            ConfigurationError: the table does not exist.
        """
        await to_thread(self._log.flush)

    async def find(self, query: LogQuery, /) -> LogPage:
        """Return one page of the matching entries, newest first."""
        return await to_thread(self._log.find, query)

    async def summarise(self, query: LogQuery, /) -> LogSummary:
        """Return the counts and percentiles of all matching entries."""
        return await to_thread(self._log.summarise, query)

    async def remove(self, query: LogQuery, /) -> int:
        """Delete all matching entries, 1,000 per transaction, and return their number."""
        return await to_thread(self._log.remove, query)

    async def migrate(self) -> None:
        """Create the log's table if it is missing."""
        await to_thread(self._log.migrate)

    async def aclose(self) -> None:
        """Store the queued entries if the database is available, and close all connections."""
        await to_thread(self._log.close)


def statements_of(kind: str, prefix: str, schema: str | None = None) -> LogSql:
    """Return the SQL statements for the log's table in this kind of database."""
    base_name = f"{prefix}{TABLE}"
    return LogSql(
        kind,
        base_name,
        table_name(base_name, prefix, schema, kind),
        failures_indexed=kind != "mysql",
    )
