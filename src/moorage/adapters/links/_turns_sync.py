"""Lets threads wait for a connection."""

from __future__ import annotations

from threading import TIMEOUT_MAX, Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Scope:
    """The scope of a pool: all threads of the process share it."""

    def enter(self, forget: Callable[[], None]) -> None:
        """Do nothing: every thread may use the pool."""


class Turn:
    """The place of a thread in a queue: `wait` ends when `call` is called, or at a time limit."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> None:
        """Block the thread until its turn comes, at most this number of seconds."""
        self._lock.acquire(timeout=max(0.0, min(seconds, TIMEOUT_MAX)))

    def call(self) -> None:
        """End the wait, from any thread; it is called once at most."""
        self._lock.release()


class Gate:
    """A lock that one thread holds at a time; others wait for it, each with a time limit."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()

    def enter(self, seconds: float) -> bool:
        """Wait for the lock, and return whether it was free in time."""
        return self._lock.acquire(timeout=max(0.0, min(seconds, TIMEOUT_MAX)))

    def leave(self) -> None:
        """Free the lock."""
        self._lock.release()
