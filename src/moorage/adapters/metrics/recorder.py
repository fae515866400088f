"""An observer that counts calls, and a thread that stores the counts.

The thread runs while there are figures to store. Where no threads run, such as in uWSGI without
`--enable-threads`, the host stores them with `flush`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.heartbeat import Heartbeat, threads_may_run
from moorage.adapters.concurrency.process_end import at_process_end
from moorage.adapters.notices import give_notice
from moorage.domain.observation.figures import HOUR, MINUTE, WindowFigures
from moorage.domain.observation.recording import RecordedMetrics, UnstoredMetrics
from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import count, seconds
from moorage.domain.values.weak_table import WeakTable
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from moorage.domain.observation.events import Event

StoredFigures: TypeAlias = "tuple[str, WindowFigures]"
"""The part of a process, and its figures of one series and window."""

_BATCH: Final = 200

_recorders: Final[WeakTable[FiguresRecorder, None]] = WeakTable()


@with_careful_constructor
class FiguresRecorder:
    """Counts calls in memory; a thread stores the counts.

    Args:
        store: stores several figures in one transaction, replacing those of the same part, window
            and series. It raises an error if they cannot be stored now.
        housekeep: rolls up and removes old figures, as of a time; called once an hour.
        where: the name of the store in warnings.
        max_series: the maximum number of separate series in a day; further series are added up.
        max_waiting: the maximum number of figures in memory; beyond it, the oldest are lost.
        every: seconds, or a timedelta, between two writes.
        threads: whether a thread may store the figures; by default if threads are supported.
    """

    event_classes = RecordedMetrics.event_classes

    def __init__(
        self,
        store: Callable[[Sequence[StoredFigures]], None],
        housekeep: Callable[[datetime], object],
        where: str,
        *,
        max_series: int = 1_000,
        max_waiting: int = 10_000,
        every: float | timedelta = 10.0,
        threads: bool | None = None,
    ) -> None:
        self._store = store
        self._housekeep = housekeep
        self._where = where
        self._limits = count(max_series, "max_series"), count(max_waiting, "max_waiting")
        self._threads = threads_may_run() if threads is None else threads
        self._timer = Heartbeat(
            self._write, self._has_figures, seconds(every, "every"), "moorage-metrics"
        )
        self._restart_after_fork()
        in_child(self, FiguresRecorder._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The parent process stores the figures that it has recorded.
        self._recording = RecordedMetrics(*self._limits)
        self._unsettled = UnstoredMetrics(self._limits[1])
        self._token = os.urandom(10).hex()
        self._adding = Lock()
        self._writing = Lock()
        self._listed = False
        self._is_closed = False
        self._hour: int | None = None
        self._warnings_given: set[str] = set()

    @property
    def lost(self) -> int:
        """The number of calls whose metrics this process could not store."""
        return self._recording.lost + self._unsettled.lost

    def __call__(self, event: Event, /) -> None:
        """Count the call that an event reports."""
        with self._adding:
            self._recording.record(event)
        if self._is_closed:
            self._store_rest("calls ended after the metrics were closed")
            return
        if not self._listed:
            self._listed = True
            _recorders[self] = None
            at_process_end(close_all)
        if self._threads:
            self._timer.wake()

    def flush(self) -> None:
        """Store the metrics; after a failure they stay in memory.

        Raises:
            ConnectorError: the database is not available or not usable.
        """
        with self._writing:
            with self._adding:
                windows = self._recording.take()
            lost_before = self.lost
            unsettled_figures = self._unsettled
            unsettled_figures.add(windows)
            if self.lost > lost_before:
                self._warn_once(
                    "lost",
                    "loses figures, because too many are waiting to be stored or the"
                    " database was unavailable for too long",
                )
            rows = unsettled_figures.rows()
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                self._store([self._stored_figures(*row) for row in batch])
                unsettled_figures.stored(batch)

    def after_request(self) -> None:
        """Store this process's metrics, unless a background thread stores them."""
        if not self._threads and self._has_figures():
            self._write()

    def close(self) -> None:
        """Store the metrics, and stop the thread; count calls that cannot be stored as lost.

        A call that ends later is stored at once if the database is still open. Otherwise it is
        lost.
        """
        self._timer.stop()
        self._is_closed = True
        self._store_rest("the metrics were closed while the database was unavailable")

    def _store_rest(self, reason: str) -> None:
        """Store all metrics; if that fails, drop them and count their calls as lost."""
        with dropped_errors():
            self.flush()
        with self._writing:
            lost_before = self.lost
            self._unsettled.drop()
        if self.lost > lost_before:
            self._warn_once("lost", f"loses figures, because {reason}")

    def _has_figures(self) -> bool:
        return bool(self._recording.windows) or bool(self._unsettled)

    def _write(self) -> None:
        try:
            self.flush()
            self._housekeep_hourly()
        except ConfigurationError as error:
            self._warn_once("unusable", f"cannot be written: {error.message} {error.remedy}")
        except ConnectorError:
            return

    def _housekeep_hourly(self) -> None:
        """Merge and delete old metrics once an hour, together with storing new ones."""
        minute = self._unsettled.current_minute
        if minute is None or minute // HOUR == self._hour:
            return
        is_first, self._hour = self._hour is None, minute // HOUR
        if not is_first:
            self._housekeep(datetime.fromtimestamp(minute, UTC))

    def _stored_figures(self, minute: int, part: int, key: tuple[str, str, str]) -> StoredFigures:
        service, operation, tenant = key
        return (
            f"{self._token}.{part}",
            WindowFigures(
                start=datetime.fromtimestamp(minute, UTC),
                seconds=MINUTE,
                service=service,
                operation=operation,
                tenant=tenant,
                figures=self._unsettled.tally(minute, key).freeze(),
            ),
        )

    def _warn_once(self, kind: str, problem: str) -> None:
        """Emit a warning once per kind of problem."""
        if kind not in self._warnings_given:
            self._warnings_given.add(kind)
            give_notice(
                f"The metrics in {self._where}: this process {problem}. Check the database."
                " The attribute `lost` of the metrics counts the missing calls.",
                stacklevel=4,
            )


def close_all() -> None:
    """Close all recorders of metrics, at the end of the process."""
    for recorder in _recorders:
        recorder.close()
