"""Bounds for what is awaited, many at a time: a timer wheel for each event loop.

A timer of the loop for each call would cost more than the call. Here a call enters the bucket of
the moment at which its time is over, and leaves it at its end; the loop has one timer, for the
first bucket that anybody is in. So a call may be cut off up to a tick late, and never early.
"""

from __future__ import annotations

from asyncio import current_task, get_running_loop
from heapq import heappop, heappush
from threading import local
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

_A_SECOND: Final = 256
"""How many ticks are in one."""


class Bound:
    """One task's bound: the task is cancelled when its time is over, unless it ends before."""

    expired = False
    _ours = False

    def __init__(self, task: asyncio.Task[object], bucket: set[Bound]) -> None:
        self.task = task
        self._cancelling = task.cancelling()
        self._bucket: set[Bound] | None = bucket
        bucket.add(self)

    def end(self) -> bool:
        """Take the bound away; tell whether a cancellation was its doing, and nobody else's."""
        bucket = self._bucket
        if bucket is not None:
            self._bucket = None
            bucket.discard(self)
            if self.expired:
                self._ours = self.task.uncancel() <= self._cancelling
        return self._ours


class _Wheel:
    """The bounds of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._buckets: dict[int, set[Bound]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def bucket(self, seconds: float) -> set[Bound]:
        """Where those are whose time is over then."""
        tick = int((self.loop.time() + seconds) * _A_SECOND) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
            heappush(self._ticks, tick)
            if self._ticks[0] == tick:
                self._arm()
        return bucket

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(self._ticks[0] / _A_SECOND, self._expire)

    def _expire(self) -> None:
        """Cancel those whose time is over, and wait for the next that anybody is in."""
        now, ticks, buckets = int(self.loop.time() * _A_SECOND), self._ticks, self._buckets
        self._timer = None
        while ticks and (ticks[0] <= now or not buckets[ticks[0]]):
            for bound in buckets.pop(heappop(ticks)):
                bound.expired = True
                bound.task.cancel()
        if ticks:
            self._arm()


class _Here(local):
    wheel: _Wheel | None = None


_here: Final = _Here()


def bound_here(seconds: float) -> Bound | None:
    """Bound the running task from now on; None where there is no task of asyncio's to bound."""
    try:
        loop = get_running_loop()
    except RuntimeError:
        return None
    task = current_task(loop)
    if task is None:
        return None
    wheel = _here.wheel
    if wheel is None or wheel.loop is not loop:
        wheel = _here.wheel = _Wheel(loop)
    return Bound(task, wheel.bucket(seconds))
