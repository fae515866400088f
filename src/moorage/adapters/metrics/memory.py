"""Counts and durations of calls, kept in the memory of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.concurrency._closing import AsyncContextClosable, ContextClosable
from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.metrics.recorder import FiguresRecorder
from moorage.domain.observation.figures import (
    DIMENSIONS,
    Retention,
    grouped_figures,
    rolled_up,
    sum_of_figures,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.adapters.metrics.recorder import StoredFigures
    from moorage.domain.observation.events import Event
    from moorage.domain.observation.figures import FiguresQuery, WindowFigures

_MAX_WAITING: Final = 10_000


class MemoryMetrics(ContextClosable):
    """Metrics about the calls of this process, lost when the process ends.

    Args:
        max_series: the maximum number of separate series in a day; further series are added up.
        retention: how long metrics are kept.

    Attributes:
        event_classes: the classes of events that are counted.
    """

    event_classes = FiguresRecorder.event_classes

    def __init__(self, *, max_series: int = 1_000, retention: Retention | None = None) -> None:
        self._retention = Retention() if retention is None else retention
        self._rows: dict[tuple[Any, ...], WindowFigures] = {}
        self._changing = ForkSafeLock()
        self._recorder = FiguresRecorder(
            self._put, self.housekeep, "memory", max_series=max_series, max_waiting=_MAX_WAITING
        )

    @property
    def lost(self) -> int:
        """The number of calls whose metrics this process could not store."""
        return self._recorder.lost

    def __call__(self, event: Event, /) -> None:
        """Count a call, if the event reports its end."""
        self._recorder(event)

    def flush(self) -> None:
        """Add the calls so far to the metrics; every query does this too."""
        self._recorder.flush()

    def figures(self, query: FiguresQuery, /) -> tuple[WindowFigures, ...]:
        """Return the metrics of this process, sorted by start, service, operation and tenant."""
        self._recorder.flush()
        return grouped_figures(list(self._rows.values()), query)

    def housekeep(self, now: datetime, /) -> int:
        """Merge old windows, delete expired ones, and return the number of rows removed."""
        end, removed_count = self._retention.end(now), 0
        with self._changing.current:
            for step, longer_window, cutoff in self._retention.rollups(now):
                old_figures = {
                    identity: row
                    for identity, row in self._rows.items()
                    if row.seconds == step and row.start < cutoff
                }
                removed_count += len(old_figures)
                for identity in old_figures:
                    del self._rows[identity]
                for row in rolled_up(old_figures.values(), longer_window):
                    identity = _identity("roll-up", row)
                    earlier_figures = self._rows.get(identity, row)
                    if earlier_figures is not row:
                        figures = sum_of_figures((earlier_figures.figures, row.figures))
                        row = attrs.evolve(row, figures=figures)  # noqa: PLW2901 - both are rolled up
                    self._rows[identity] = row
            expired_identities = [
                identity for identity, row in self._rows.items() if row.start < end
            ]
            for identity in expired_identities:
                del self._rows[identity]
        return removed_count + len(expired_identities)

    def close(self) -> None:
        """Stop the thread that counts calls."""
        self._recorder.close()

    def _put(self, rows: Sequence[StoredFigures]) -> None:
        with self._changing.current:
            self._rows.update((_identity(process, row), row) for process, row in rows)


class AsyncMemoryMetrics(AsyncContextClosable):
    """The asynchronous `MemoryMetrics`, with the same arguments."""

    event_classes = FiguresRecorder.event_classes

    def __init__(self, *, max_series: int = 1_000, retention: Retention | None = None) -> None:
        self._metrics = MemoryMetrics(max_series=max_series, retention=retention)

    @property
    def lost(self) -> int:
        """The number of calls whose metrics this process could not store."""
        return self._metrics.lost

    def __call__(self, event: Event, /) -> None:
        """Count a call, if the event reports its end."""
        self._metrics(event)

    async def flush(self) -> None:
        """Add the calls so far to the metrics; every query does this too."""
        self._metrics.flush()

    async def figures(self, query: FiguresQuery, /) -> tuple[WindowFigures, ...]:
        """Return the metrics of this process, sorted by start, service, operation and tenant."""
        return self._metrics.figures(query)

    async def housekeep(self, now: datetime, /) -> int:
        """Merge old windows, delete expired ones, and return the number of rows removed."""
        return self._metrics.housekeep(now)

    async def aclose(self) -> None:
        """Stop the thread that counts calls."""
        self._metrics.close()


def _identity(process: str, row: WindowFigures) -> tuple[Any, ...]:
    return (process, row.seconds, row.start, *(getattr(row, name) for name in DIMENSIONS))
