"""The event loop in which synchronous connectors keep connections of asynchronous libraries."""

from __future__ import annotations

import asyncio
from functools import cache
from os import getpid
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

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


@cache
def _loop_of(_: int) -> asyncio.AbstractEventLoop:
    """Return the background event loop of this process, which never ends."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="moorage-background", daemon=True).start()
    return loop
