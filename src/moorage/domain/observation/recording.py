"""The metrics that one process records, in a limited number of series."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from moorage.domain.observation.call_events import AttemptFinished, CallFinished, operation_of
from moorage.domain.observation.events import RetryScheduled
from moorage.domain.observation.figures import (
    DAY,
    MINUTE,
    OTHER,
    CallTally,
    column_label,
    outcome_of,
)
from moorage.domain.observation.late_fields import facts_of

if TYPE_CHECKING:
    from moorage.domain.observation.call_events import AttemptFacts, CallFacts
    from moorage.domain.observation.events import Event

Key: TypeAlias = "tuple[str, str, str]"
"""A service, an operation and a tenant; "" stands for none."""

Windows: TypeAlias = "dict[int, dict[Key, CallTally]]"
"""Metrics by the start of a minute, in seconds from 1970, and by series."""


class Series:
    """Limits the number of separate metric series in a day; further calls share series.

    The first `limit` series of a day are counted separately. Calls of further tenants are
    counted under the tenant "other" of their service and operation; there may be a tenth as many of
    these series. All other calls are counted in one series whose service, operation and tenant are
    "other".

    Args:
        limit: the maximum number of separate series.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._day = 0
        self._members: set[Key] = set()
        self._shared: set[Key] = set()

    def admit(self, key: Key, minute: int) -> Key:
        """Return the metrics series of a call; above the limit, a series that calls share."""
        day = minute // DAY
        if day != self._day:
            self._day = day
            self._members.clear()
            self._shared.clear()
        if key in self._members:
            return key
        if len(self._members) < self._limit:
            self._members.add(key)
            return key
        shared_key = (key[0], key[1], OTHER)
        if shared_key not in self._shared:
            if len(self._shared) * 10 >= self._limit:
                return (OTHER, OTHER, OTHER)
            self._shared.add(shared_key)
        return shared_key


class RecordedMetrics:
    """The metrics recorded since the last `take`, for one thread at a time.

    Args:
        max_series: the maximum number of separate series in a day; further series are added up.
        max_rows: the maximum number of figures that wait to be taken.

    Attributes:
        lost: the number of calls that were not counted, because too many figures were waiting.
        windows: the figures.
    """

    event_classes = (AttemptFinished, CallFinished, RetryScheduled)

    def __init__(self, max_series: int, max_rows: int) -> None:
        self._series = Series(max_series)
        self._max_rows = max_rows
        self._rows = 0
        self.lost = 0
        self.windows: Windows = {}

    def take(self) -> Windows:
        """Return the recorded metrics, and start again without any."""
        windows, self.windows, self._rows = self.windows, {}, 0
        return windows

    def record(self, event: Event) -> None:
        """Count an event in the metrics, if its class is in `event_classes`."""
        if isinstance(event, CallFinished):
            self._add_call(event)
        elif isinstance(event, AttemptFinished):
            self._add_bytes(event)
        elif isinstance(event, RetryScheduled):
            tally = self._tally(event.at.timestamp(), event.service, event.operation, event.tenant)
            if tally is not None:
                tally.retries += 1

    def _add_call(self, event: CallFinished) -> None:
        # Reading an event's field is slower than reading the facts from which it is computed.
        call_facts: CallFacts | None = facts_of(event)
        if call_facts is not None:
            identity, plan, now, attempts, error = call_facts[:5]
            duration = now - identity.started
            tally = self._tally(
                identity.started_at.timestamp() + duration / 1e9,
                plan.service.name,
                operation_of(identity, plan),
                plan.tenant,
            )
            flags = call_facts[8:13]
        else:
            attempts, error, duration = event.attempts, event.error, round(event.duration * 1e9)
            tally = self._tally(event.at.timestamp(), event.service, event.operation, event.tenant)
            flags = (event.replayed, event.cached, event.fallback, event.cancelled, event.internal)
        if tally is None:
            self.lost += 1
        elif error is None and True not in flags:
            tally.success += 1
            tally.attempts += attempts
            if attempts:
                tally.durations.add_nanoseconds(duration)
        else:
            tally.add(outcome_of(error, flags), attempts, duration)

    def _add_bytes(self, event: AttemptFinished) -> None:
        attempt_facts: AttemptFacts | None = facts_of(event)
        bytes_out, bytes_in = (
            (event.bytes_out, event.bytes_in) if attempt_facts is None else attempt_facts[10:12]
        )
        if not bytes_out and not bytes_in:
            return
        tally = self._tally(event.at.timestamp(), event.service, event.operation, event.tenant)
        if tally is not None:
            tally.bytes_out += bytes_out or 0
            tally.bytes_in += bytes_in or 0

    def _tally(
        self, time: float, service: str, operation: str | None, tenant: str | None
    ) -> CallTally | None:
        """Return the counts of a series in the minute that contains a time.

        Return None if there is no room for them.
        """
        minute = int(time) // MINUTE * MINUTE
        key = (service, operation or "", tenant or "")
        window = self.windows.get(minute)
        if window is not None:
            tally = window.get(key)
            if tally is not None:
                return tally
        key = self._series.admit(
            (column_label(key[0]), column_label(key[1]), column_label(key[2])), minute
        )
        tally = None if window is None else window.get(key)
        if tally is None and self._rows < self._max_rows:
            self._rows += 1
            tally = self.windows.setdefault(minute, {})[key] = CallTally()
        return tally


class UnstoredMetrics:
    """The metrics of a process that are not stored yet or may still change.

    Figures that grow are stored again as a whole, so writing them twice is safe. Each part
    of a window has a number. Figures of a window that arrive after its part was closed become
    another part.

    Args:
        max_rows: the maximum number of figures; beyond it, the figures of the oldest windows
            are lost.

    Attributes:
        lost: the number of calls in figures that were lost before they were stored.
    """

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._parts = 0
        self._windows: dict[int, tuple[int, dict[Key, CallTally]]] = {}
        self._unstored: dict[int, dict[Key, int]] = {}
        # Not just the newest minute, because a clock that was ahead for a while leaves later
        # minutes.
        self._current: int | None = None
        self.lost = 0

    def __bool__(self) -> bool:
        """Return whether there are metrics to store."""
        return bool(self._unstored)

    @property
    def current_minute(self) -> int | None:
        """The start of the minute in which calls were last counted; None if there is none."""
        return self._current

    def add(self, windows: Windows) -> None:
        """Add metrics that `RecordedMetrics.take` returned."""
        self._current = max(windows, default=self._current)
        for minute, window in windows.items():
            if minute not in self._windows:
                self._parts += 1
                self._windows[minute] = (self._parts, {})
            _, tallies = self._windows[minute]
            unstored = self._unstored.setdefault(minute, {})
            for key, tally in window.items():
                window_tally = tallies.setdefault(key, tally)
                if window_tally is not tally:
                    window_tally.merge(tally)
                unstored[key] = unstored.get(key, 0) + tally.calls
        self._shorten()

    def rows(self) -> list[tuple[int, int, Key]]:
        """Return the minute, the part number and the series of all metrics to store."""
        return [
            (minute, self._windows[minute][0], key)
            for minute, keys in sorted(self._unstored.items())
            for key in keys
        ]

    def tally(self, minute: int, key: Key) -> CallTally:
        """Return the counts of a series in a minute."""
        return self._windows[minute][1][key]

    def stored(self, rows: list[tuple[int, int, Key]]) -> None:
        """Record that rows were stored; drop fully stored minutes except the current one."""
        for minute, _, key in rows:
            keys = self._unstored[minute]
            del keys[key]
            if not keys:
                del self._unstored[minute]
        for minute in [minute for minute in self._windows if minute not in self._unstored]:
            if minute != self._current:
                del self._windows[minute]

    def drop(self) -> None:
        """Drop all metrics, because nothing will store them; count their calls as lost."""
        self.lost += sum(sum(keys.values()) for keys in self._unstored.values())
        self._windows.clear()
        self._unstored.clear()

    def _shorten(self) -> None:
        """Drop the oldest metrics if there are too many to store, or if they are too old."""
        current_minute = self._current
        number = sum(len(tallies) for _, tallies in self._windows.values())
        for minute in sorted(self._windows):
            too_old = current_minute is not None and current_minute - minute > DAY // 2
            if not too_old and number <= self._max_rows:
                break
            number -= len(self._windows.pop(minute)[1])
            self.lost += sum(self._unstored.pop(minute, {}).values())
