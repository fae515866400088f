"""The event loop in which synchronous connectors keep connections of asynchronous libraries."""

from __future__ import annotations

import asyncio
from os import getpid
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

R = TypeVar("R")


class Background:
    """Runs coroutines in an event loop of another thread, which all connectors share."""

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine, and wait for its end; an interruption of the caller cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, _loop_of(getpid()))
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Start a coroutine without waiting for its end."""
        asyncio.run_coroutine_threadsafe(work, _loop_of(getpid()))


_loops: Final[dict[int, asyncio.AbstractEventLoop]] = {}
"""The background event loop of this process, by the process's id; a fork has none yet."""


def _loop_of(process: int) -> asyncio.AbstractEventLoop:
    """Return the background event loop of this process, which never ends."""
    loop = _loops.get(process)
    if loop is None:
        new_loop = asyncio.new_event_loop()
        Thread(
            target=_run_until_stopped, args=(new_loop,), name="moorage-background", daemon=True
        ).start()
        loop = _loops.setdefault(process, new_loop)
        if loop is not new_loop:
            # Another thread has stored its loop first; all connections must belong to the same one.
            new_loop.call_soon_threadsafe(new_loop.stop)
    return loop


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, and close it."""
    loop.run_forever()
    loop.close()
