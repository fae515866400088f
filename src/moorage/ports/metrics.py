"""The interface of stores of aggregated metrics about calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.observation.figures import FiguresQuery, WindowFigures


class Metrics(Protocol):
    """Answers queries about the metrics that all processes have recorded.

    `figures` returns the figures that match a query, in the order of their start, service,
    operation and tenant. `housekeep` merges old time windows into longer ones and removes the
    oldest, as of `now`; it returns the number of rows that it removed. This method changes no
    figure that is younger than its retention, and may run in several processes concurrently.
    """

    def figures(self, query: FiguresQuery, /) -> tuple[WindowFigures, ...]: ...

    def housekeep(self, now: datetime, /) -> int: ...


class AsyncMetrics(Protocol):
    """The asynchronous `Metrics`."""

    async def figures(self, query: FiguresQuery, /) -> tuple[WindowFigures, ...]: ...

    async def housekeep(self, now: datetime, /) -> int: ...
