"""Timeouts for many concurrent tasks: a timer wheel for each event loop.

A timer of the loop for each call would cost more than the call. Here a call enters the bucket of
its deadline, and leaves it at its end; the loop has one timer, for the first bucket in use. So a
call may be cancelled up to a tick late, and never early.
"""

from __future__ import annotations

from asyncio import current_task, get_running_loop
from heapq import heapify, heappop, heappush
from threading import local
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

_TICKS_PER_SECOND: Final = 256
"""The number of ticks in a second."""

_FEWEST_BUCKETS: Final = 64
"""The number of buckets up to which empty ones are kept until their time."""


class TaskTimeout:
    """The timeout of a task, which cancels it at the deadline."""

    expired = False
    _ours = False

    def __init__(self, task: asyncio.Task[object], bucket: set[TaskTimeout]) -> None:
        self.task = task
        self._cancelling = task.cancelling()
        self._bucket: set[TaskTimeout] | None = bucket
        bucket.add(self)

    def move(self, bucket: set[TaskTimeout]) -> None:
        """Move the timeout to a group of timeouts that expire at another time."""
        self._bucket = bucket
        bucket.add(self)

    def end(self) -> bool:
        """Remove the timeout; return whether only this timeout has cancelled the task."""
        bucket = self._bucket
        if bucket is not None:
            self._bucket = None
            bucket.discard(self)
            if self.expired:
                self._ours = self.task.uncancel() <= self._cancelling
        return self._ours


class _TimerWheel:
    """The timeouts of one event loop, grouped by the time at which they expire."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._buckets: dict[int, set[TaskTimeout]] = {}
        self._ticks: list[int] = []
        self._most_buckets = _FEWEST_BUCKETS
        self._timer: asyncio.TimerHandle | None = None

    def bucket(self, seconds: float) -> set[TaskTimeout]:
        """Return the group of timeouts that expire after this number of seconds."""
        tick = int((self.loop.time() + seconds) * _TICKS_PER_SECOND) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            if len(self._ticks) >= self._most_buckets:
                self._drop_empty_buckets()
            bucket = self._buckets[tick] = set()
            heappush(self._ticks, tick)
            if self._ticks[0] == tick:
                self._set_timer()
        return bucket

    def _drop_empty_buckets(self) -> None:
        """Discard the groups of timeouts that are empty because their calls have ended.

        Otherwise short calls with a timeout of an hour would fill the memory for an hour. The next
        time is when there are twice as many buckets, so each bucket is looked at about once.
        """
        self._buckets = {tick: bucket for tick, bucket in self._buckets.items() if bucket}
        self._ticks = list(self._buckets)
        heapify(self._ticks)
        self._most_buckets = max(_FEWEST_BUCKETS, 2 * len(self._ticks))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(self._ticks[0] / _TICKS_PER_SECOND, self._expire)

    def _expire(self) -> None:
        """Cancel the tasks whose timeout has expired, and set the timer for the next timeouts.

        Of several timeouts of a task, the first expires now, and the next one a tick later. So an
        attempt can report its own end even if the loop was too busy to let it expire in time.
        """
        now, ticks, buckets = int(self.loop.time() * _TICKS_PER_SECOND), self._ticks, self._buckets
        self._timer = None
        tasks: set[asyncio.Task[object]] = set()
        later_timeouts: list[TaskTimeout] = []
        while ticks and (ticks[0] <= now or not buckets[ticks[0]]):
            for timeout in buckets.pop(heappop(ticks)):
                if timeout.task in tasks:
                    later_timeouts.append(timeout)
                    continue
                tasks.add(timeout.task)
                timeout.expired = True
                timeout.task.cancel()
        # After the loop above, because making a bucket may replace all buckets by the non-empty
        # ones.
        for timeout in later_timeouts:
            timeout.move(self.bucket(0.0))
        if self._ticks:
            self._set_timer()


class _ThreadState(local):
    wheel: _TimerWheel | None = None


_thread_state: Final = _ThreadState()


def start_task_timeout(seconds: float) -> TaskTimeout | None:
    """Start a timeout for the running task; return None if no asyncio task is running."""
    try:
        loop = get_running_loop()
    except RuntimeError:
        return None
    task = current_task(loop)
    if task is None:
        return None
    wheel = _thread_state.wheel
    if wheel is None or wheel.loop is not loop:
        wheel = _thread_state.wheel = _TimerWheel(loop)
    return TaskTimeout(task, wheel.bucket(seconds))
