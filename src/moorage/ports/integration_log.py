"""The record of every call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.integration_log import IntegrationLog, LogPage, LogQuery, LogSummary


class IntegrationLogger(Protocol):
    """Keeps one entry for each call, and answers questions about them.

    `write` is plain in both colours: it never blocks, waits or raises; a logger that must do input
    or output queues the entry, within a bound that it states. `find` returns one page, newest
    first, and `next` of the page leads to the following one even while entries are written.
    `summarise` aggregates all that match. `remove` removes all that match, whatever page they would
    be on, and says how many those were; what is still queued is written first.
    """

    def write(self, entry: IntegrationLog, /) -> None: ...

    def find(self, query: LogQuery, /) -> LogPage: ...

    def summarise(self, query: LogQuery, /) -> LogSummary: ...

    def remove(self, query: LogQuery, /) -> int: ...


class AsyncIntegrationLogger(Protocol):
    """As `IntegrationLogger`; the questions are awaited."""

    def write(self, entry: IntegrationLog, /) -> None: ...

    async def find(self, query: LogQuery, /) -> LogPage: ...

    async def summarise(self, query: LogQuery, /) -> LogSummary: ...

    async def remove(self, query: LogQuery, /) -> int: ...
