"""Ending what blocks when its time is up, for libraries that bound each step but not all of them.

A thread waits for the earliest alarm. There is none before the first alarm, and none a while after
the last.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import inf
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.concurrency.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_LINGER: Final = 10.0  # seconds, so that not every exchange starts a thread


class Alarm:
    """Calls `ring` once it is `at`; it must be quick, and raise nothing."""

    __slots__ = ("at", "rang", "ring")

    def __init__(self, at: float, ring: Callable[[], None]) -> None:
        self.at = at
        self.ring = ring
        self.rang = False


class Watch:
    """Rings alarms."""

    def __init__(self, linger: float = _LINGER) -> None:
        self._linger = linger
        self._begin()
        in_child(self, Watch._begin)

    def _begin(self) -> None:
        self._changed = Condition()
        self._alarms: set[Alarm] = set()
        self._wakes = -inf  # when the thread looks again by itself; -inf while there is none

    @contextmanager
    def over(self, at: float, ring: Callable[[], None]) -> Generator[Alarm]:
        """Have `ring` called in another thread if the block goes on for longer, and never after."""
        alarm = Alarm(at, ring)
        try:
            self.move(alarm, at)
            yield alarm
        finally:
            with self._changed:
                self._alarms.discard(alarm)

    def move(self, alarm: Alarm, at: float) -> None:
        """Let it ring at another time."""
        with self._changed:
            alarm.at = at
            self._alarms.add(alarm)
            if self._wakes == -inf:
                self._wakes = at
                Thread(target=self._run, name="moorage watches the time", daemon=True).start()
            elif at < self._wakes:
                self._changed.notify()

    def _run(self) -> None:
        changed = self._changed
        with changed:
            while self._changed is changed:  # pragma: no branch - else all was started afresh
                now = monotonic()
                for alarm in [alarm for alarm in self._alarms if alarm.at <= now]:
                    self._alarms.remove(alarm)
                    alarm.rang = True
                    alarm.ring()
                next_one = min((alarm.at for alarm in self._alarms), default=inf)
                self._wakes = min(next_one, now + self._linger)
                changed.wait(max(0.0, self._wakes - now))
                if not self._alarms and monotonic() >= self._wakes:
                    self._wakes = -inf
                    return
