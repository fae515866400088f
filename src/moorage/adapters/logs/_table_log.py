"""An integration log in a table, whichever database has it: the synchronous and the other one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from moorage.adapters.logs._table import LogSql, LogTable
from moorage.adapters.logs.queue import LogQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import timedelta
    from typing import Self

    from moorage.adapters.tables._table import Ask
    from moorage.domain.observation.integration_log import (
        IntegrationLog,
        LogPage,
        LogQuery,
        LogSummary,
    )

A = TypeVar("A")


class Run(Protocol):
    """Does something in a transaction of its own."""

    def __call__(self, work: Callable[[Ask], Coroutine[Any, Any, A]], /) -> A: ...


CALLED: Final = "log"
"""The name of the table, without its prefix."""


class TableLog:
    """The verbs of a log whose entries wait in a queue for a table."""

    durable: Final = False  # what is queued is lost in a crash

    def _keep(
        self,
        sql: LogSql,
        where: str,
        max_waiting: int,
        every: float | timedelta,
        *,
        threads: bool | None,
        run: Run,
        release: Callable[[], None],
    ) -> None:
        self._run = run
        self._release = release
        self._table = LogTable(sql)
        self._queue = LogQueue(
            self._insert, where, max_waiting=max_waiting, every=every, threads=threads
        )

    @property
    def lost(self) -> int:
        """How many entries this process could not keep."""
        return self._queue.lost

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue an entry; it is in the table a moment later."""
        self._queue.write(entry)

    def flush(self) -> None:
        """Write what is queued.

        Raises:
            StorageUnavailable: the database takes nothing now; what is queued stays queued.
            ConfigurationError: there is no table.
        """
        self._queue.flush()

    def after_request(self) -> None:
        """Write what is queued, unless a thread does so; what cannot be written stays queued."""
        self._queue.after_request()

    def find(self, query: LogQuery, /) -> LogPage:
        """One page of the entries that match, newest first."""
        self._queue.flush()
        return self._run(partial(self._table.find, query=query))

    def summarise(self, query: LogQuery, /) -> LogSummary:
        """What all entries that match come to, whatever page they would be on."""
        self._queue.flush()
        return self._run(partial(self._table.summarise, query=query))

    def remove(self, query: LogQuery, /) -> int:
        """Remove all entries that match, a thousand in each transaction; how many those were."""
        self._queue.flush()
        gone = 0
        while some := self._run(partial(self._table.remove, query=query)):
            gone += some
        return gone

    def close(self) -> None:
        """Write what is queued, if the database takes it, and close every connection."""
        self._queue.close()
        self._release()

    def _insert(self, entries: Sequence[IntegrationLog]) -> None:
        self._run(partial(self._table.add, entries=entries))


class AsyncTableLog:
    """The same, whose questions are awaited: threads wait for the database."""

    durable: Final = False

    _log: Any

    @property
    def lost(self) -> int:
        """How many entries this process could not keep."""
        lost: int = self._log.lost
        return lost

    def __repr__(self) -> str:
        return f"Async{self._log!r}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue an entry; it is in the table a moment later."""
        self._log.write(entry)

    async def flush(self) -> None:
        """Write what is queued.

        Raises:
            StorageUnavailable: the database takes nothing now; what is queued stays queued.
            ConfigurationError: there is no table.
        """
        await asyncio.to_thread(self._log.flush)

    async def find(self, query: LogQuery, /) -> LogPage:
        """One page of the entries that match, newest first."""
        return await asyncio.to_thread(self._log.find, query)

    async def summarise(self, query: LogQuery, /) -> LogSummary:
        """What all entries that match come to, whatever page they would be on."""
        return await asyncio.to_thread(self._log.summarise, query)

    async def remove(self, query: LogQuery, /) -> int:
        """Remove all entries that match, a thousand in each transaction; how many those were."""
        return await asyncio.to_thread(self._log.remove, query)

    async def migrate(self) -> None:
        """Make the tables where they are missing."""
        await asyncio.to_thread(self._log.migrate)

    async def aclose(self) -> None:
        """Write what is queued, if the database takes it, and close every connection."""
        await asyncio.to_thread(self._log.close)
