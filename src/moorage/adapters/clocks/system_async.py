"""Waiting in an asyncio event loop."""

from __future__ import annotations

import asyncio
import time
from math import ceil
from typing import Final

from moorage.adapters.clocks.event_loop import running_loop

_SECOND: Final = 1_000_000_000
_FOREVER: Final = 1e11  # seconds; three thousand years
_MAX_SLEEP: Final = 86_400.0


class AsyncioSleeper:
    """Waits by suspending the calling task, in any event loop."""

    __slots__ = ()

    async def sleep(self, seconds: float, /) -> None:
        """Wait at least this long; other tasks run meanwhile, even if the time is zero."""
        running_loop()
        remaining_nanoseconds = ceil(min(max(seconds, 0), _FOREVER) * _SECOND)
        end = time.monotonic_ns() + remaining_nanoseconds
        while True:
            await asyncio.sleep(min(remaining_nanoseconds / _SECOND, _MAX_SLEEP))
            # Event loops round their timers, some of them down, so the task may wake too early.
            remaining_nanoseconds = end - time.monotonic_ns()
            if remaining_nanoseconds <= 0:  # pragma: no branch - depends on the loop's timers
                return
