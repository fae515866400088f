"""Deadlines for calls of blocking libraries that can only limit single steps.

A thread waits for the earliest timer. It starts with the first timer, and ends a while after the
last.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import inf
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.thread_start import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_IDLE_SECONDS: Final = 10.0  # seconds that the thread stays, so that not every exchange starts one


class Timer:
    """A timer that calls the quick function `on_expiry` at the time `at`."""

    __slots__ = ("at", "expired", "on_expiry")

    def __init__(self, at: float, on_expiry: Callable[[], None]) -> None:
        self.at = at
        self.on_expiry = on_expiry
        self.expired = False


class Watchdog:
    """A thread that calls the functions of expired timers."""

    def __init__(self, linger: float = _IDLE_SECONDS) -> None:
        self._linger = linger
        self._begin()
        in_child(self, Watchdog._begin)

    def _begin(self) -> None:
        self._changed = Condition()
        self._timers: set[Timer] = set()
        self._wakes = -inf  # the next time at which the thread wakes up; -inf without a thread

    @contextmanager
    def limit(self, at: float, on_expiry: Callable[[], None]) -> Generator[Timer]:
        """Call `on_expiry` at the time `at` in another thread, unless the block has ended."""
        timer = Timer(at, on_expiry)
        try:
            self.move(timer, at)
            yield timer
        finally:
            with self._changed:
                self._timers.discard(timer)

    def move(self, timer: Timer, at: float) -> None:
        """Change the expiry of a timer.

        Raises:
            LocalFailure: the system has no more threads.
        """
        with self._changed:
            timer.at = at
            self._timers.add(timer)
            if self._wakes == -inf:
                # If no thread can be started, this call fails, and the next call tries again.
                start_thread(Thread(target=self._run, name="moorage watchdog", daemon=True))
                self._wakes = at
            elif at < self._wakes:
                self._changed.notify()

    def _run(self) -> None:
        signal = self._changed
        with signal:
            while self._changed is signal:  # pragma: no branch - otherwise restarted after a fork
                now = monotonic()
                for timer in [timer for timer in self._timers if timer.at <= now]:
                    self._timers.remove(timer)
                    timer.expired = True
                    timer.on_expiry()
                next_expiry = min((timer.at for timer in self._timers), default=inf)
                self._wakes = min(next_expiry, now + self._linger)
                signal.wait(max(0.0, self._wakes - now))
                if not self._timers and monotonic() >= self._wakes:
                    self._wakes = -inf
                    return
