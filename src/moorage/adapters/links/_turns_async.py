"""Queues of tasks that wait for a connection; a pool belongs to one event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable

_FOREVER: Final = 1e9  # seconds; not every event loop counts further


class Scope:
    """The event loop that owns a pool: the first caller's loop, until that loop is closed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self, forget: Callable[[], None]) -> None:
        """Check that the caller runs in the pool's loop; a closed loop is replaced.

        Args:
            forget: the function that makes the pool forget the links of a closed loop.

        Raises:
            LocalFailure: the pool belongs to another loop.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None:
            if not self._loop.is_closed():
                raise LocalFailure(
                    "The connection pool belongs to another event loop.",
                    remedy="Use one pool for each event loop.",
                )
            forget()
        self._loop = loop


class Turn:
    """A task's position in a queue; `wait` waits until another task calls `call`."""

    __slots__ = ("_is_called", "_signal")

    def __init__(self) -> None:
        self._signal: asyncio.Future[None] | None = None
        self._is_called = False

    async def wait(self, seconds: float) -> None:
        """Suspend the task until `call`, at most this number of seconds."""
        if self._is_called:
            return
        loop = asyncio.get_running_loop()
        signal = self._signal = loop.create_future()
        timer = loop.call_later(max(0.0, min(seconds, _FOREVER)), _set, signal)
        try:
            await signal
        finally:
            timer.cancel()

    def call(self) -> None:
        """Wake the task that waits for this position; must be called in the same event loop."""
        self._is_called = True
        if self._signal is not None:
            _set(self._signal)


def _set(signal: asyncio.Future[None]) -> None:
    if not signal.done():
        signal.set_result(None)


class Gate:
    """A lock for tasks; `enter` waits for it with a time limit."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def enter(self, seconds: float) -> bool:
        """Acquire the lock; return False if it was not free before the deadline."""
        try:
            async with asyncio.timeout(max(0.0, min(seconds, _FOREVER))):
                await self._lock.acquire()
        except TimeoutError:
            return False
        return True

    def leave(self) -> None:
        """Free the lock."""
        self._lock.release()
