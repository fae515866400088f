"""Queues of threads that wait for a connection."""

from __future__ import annotations

from threading import TIMEOUT_MAX, Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Scope:
    """The owner of a pool: all threads of the process."""

    def enter(self, forget: Callable[[], None]) -> None:
        """Do nothing, because every thread may use the pool."""


class Turn:
    """A thread's position in a queue; `wait` waits until another thread calls `call`."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> None:
        """Block the thread until `call`, at most this number of seconds."""
        self._lock.acquire(timeout=max(0.0, min(seconds, TIMEOUT_MAX)))

    def call(self) -> None:
        """Wake the thread that waits for this position, from any thread; call it only once."""
        self._lock.release()


class Gate:
    """A lock for threads; `enter` waits for it with a time limit."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()

    def enter(self, seconds: float) -> bool:
        """Acquire the lock; return False if it was not free in time."""
        return self._lock.acquire(timeout=max(0.0, min(seconds, TIMEOUT_MAX)))

    def leave(self) -> None:
        """Free the lock."""
        self._lock.release()
