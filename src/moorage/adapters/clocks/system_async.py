"""Waiting in an asyncio event loop."""

from __future__ import annotations

import asyncio
import time
from math import ceil
from typing import Final

_SECOND: Final = 1_000_000_000
_FOREVER: Final = 1e11  # seconds; three thousand years
_NAP: Final = 86_400.0


class AsyncioSleeper:
    """Suspends the calling task, in whichever event loop it runs."""

    __slots__ = ()

    async def sleep(self, seconds: float, /) -> None:
        """Wait, however long, and no shorter than asked; other tasks run even if that is zero."""
        left = ceil(min(max(seconds, 0), _FOREVER) * _SECOND)
        end = time.monotonic_ns() + left
        while True:
            await asyncio.sleep(min(left / _SECOND, _NAP))
            # Event loops round their timers, some of them down.
            left = end - time.monotonic_ns()
            if left <= 0:  # pragma: no branch - whether a loop wakes early is luck
                return
