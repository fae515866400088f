"""The integration log, with one entry per call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.observation.integration_log import (
        IntegrationLog,
        LogPage,
        LogQuery,
        LogSummary,
    )


class IntegrationLogger(Protocol):
    """Stores one entry of the integration log for each call, and finds stored entries.

    `write` is synchronous in every host: it never blocks, waits or raises; a logger that needs
    input or output queues the entry, up to a documented limit. `find` returns one page, newest
    first, and the page's `next` leads to the following one even while entries are written. A page
    may have fewer entries than the limit, and even none, before the last one.
    `summarise` aggregates all matching entries. `remove` deletes all matching entries, regardless
    of pages, and returns their number; queued entries are written first.
    """

    def write(self, entry: IntegrationLog, /) -> None: ...

    def find(self, query: LogQuery, /) -> LogPage: ...

    def summarise(self, query: LogQuery, /) -> LogSummary: ...

    def remove(self, query: LogQuery, /) -> int: ...


class AsyncIntegrationLogger(Protocol):
    """The asynchronous `IntegrationLogger`: queries are awaited, `write` is synchronous."""

    def write(self, entry: IntegrationLog, /) -> None: ...

    async def find(self, query: LogQuery, /) -> LogPage: ...

    async def summarise(self, query: LogQuery, /) -> LogSummary: ...

    async def remove(self, query: LogQuery, /) -> int: ...
