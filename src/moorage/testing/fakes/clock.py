"""A virtual clock that advances only on request."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet

from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

_SECOND: Final = 1_000_000_000
_FOREVER: Final = 1e11  # seconds; three thousand years
_START: Final = datetime(2030, 1, 1, tzinfo=UTC)


class VirtualClock:
    """A clock that moves only when it is advanced, and fires the timers that become due.

    Its date and time advance with it, and can also be changed alone, like a wall clock.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._start = start
        self._now = 0
        self._serials = count()
        self._alarms: list[tuple[int, int, Callable[[], None]]] = []
        self._lock = threading.RLock()

    def nanoseconds(self) -> int:
        """Return the total time by which the clock was advanced, in nanoseconds."""
        return self._now

    def utc(self) -> datetime:
        """Return the virtual date and time in UTC."""
        return self._start + timedelta(microseconds=self._now // 1_000)

    def advance(self, seconds: float | timedelta) -> None:
        """Advance the clock, and wake sleepers in order of time."""
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if not seconds >= 0:
            raise InvalidData("The time of a fake clock cannot go back.", field="seconds")
        with self._lock:
            self.advance_to(self._now + nanoseconds(seconds))

    def step_utc(self, step: timedelta) -> None:
        """Change the virtual date and time, as when a clock is set, without letting time pass."""
        self._start += step

    def call_at(self, time: int, ring: Callable[[], None]) -> Callable[[], None]:
        """Call `ring` when `nanoseconds()` reaches this time; return a function that cancels it."""
        alarm = (time, next(self._serials), ring)
        with self._lock:
            heappush(self._alarms, alarm)
        return lambda: self._call_off(alarm)

    def advance_to_next_alarm(self) -> bool:
        """Advance the clock to its next alarm; return False if there is none."""
        with self._lock:
            if not self._alarms:
                return False
            self.advance_to(self._alarms[0][0])
            return True

    def advance_to(self, time: int) -> None:
        """Advance the clock to this `nanoseconds()` value, unless the clock is already past it."""
        with self._lock:
            while self._alarms and self._alarms[0][0] <= time:
                alarm_time, _, callback = heappop(self._alarms)
                self._now = max(self._now, alarm_time)
                callback()
            self._now = max(self._now, time)

    def _call_off(self, alarm: tuple[int, int, Callable[[], None]]) -> None:
        with self._lock:
            if alarm in self._alarms:
                self._alarms.remove(alarm)
                heapify(self._alarms)


def nanoseconds(seconds: float) -> int:
    """Convert a duration to nanoseconds, rounded up."""
    return ceil(min(seconds, _FOREVER) * _SECOND)


class VirtualSleeper:
    """A sleeper that advances the virtual clock instead of waiting.

    Attributes:
        sleeps: the seconds of each sleep so far.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.sleeps: list[float] = []

    def sleep(self, seconds: float, /) -> None:
        """Advance the virtual clock, without sleeping."""
        self.sleeps.append(seconds)
        self._clock.advance(max(seconds, 0))


class AsyncVirtualSleeper:
    """A sleeper that waits for the virtual clock; `autojump` advances the clock if all tasks wait.

    With `autojump`, whenever every task of the event loop waits, the clock jumps to the time of the
    next alarm. It does not wait for tasks that wait for something real, such as a thread, a socket
    or real time. `autojump` needs an event loop of asyncio itself.

    Attributes:
        sleeps: the seconds of each sleep so far.
    """

    def __init__(self, clock: VirtualClock, *, autojump: bool = False) -> None:
        self._clock = clock
        self._autojump = autojump
        self._asleep: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()
        self._watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float, /) -> None:
        """Wait until the virtual clock has advanced; other tasks run even for zero seconds."""
        self.sleeps.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        woken_future = loop.create_future()

        def ring() -> None:
            if _running_loop() is loop:
                _wake_sleeper(woken_future)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_wake_sleeper, woken_future)

        if self._autojump and loop not in self._watched:
            self.watch(loop)
        call_off = self._clock.call_at(self._clock.nanoseconds() + nanoseconds(seconds), ring)
        self._asleep[loop] = self._asleep.get(loop, 0) + 1
        try:
            await woken_future
        finally:
            self._asleep[loop] = self._asleep.get(loop, 1) - 1
            call_off()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Advance the clock whenever all tasks are waiting and at least one of them sleeps."""
        # No public interface tells whether a loop has more to do; all event loops of asyncio keep
        # their pending callbacks under this name.
        ready_callbacks: Any = getattr(loop, "_ready", None)
        if ready_callbacks is None:
            raise ConfigurationError(
                f"{type(loop).__name__} does not report when its tasks are idle.",
                remedy="Run the test in an event loop of asyncio's own, or advance the clock.",
            )

        def check_clock() -> None:
            if self._asleep.get(loop) and not ready_callbacks:
                self._clock.advance_to_next_alarm()
            if self._asleep.get(loop):
                loop.call_soon(check_clock)
            else:
                self._watched.discard(loop)

        self._watched.add(loop)
        loop.call_soon(check_clock)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _wake_sleeper(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
