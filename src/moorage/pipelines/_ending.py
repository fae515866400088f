"""The end of a pipeline, which takes limited time even if its source or sink hangs.

Laws:

1. Nothing is awaited without a time limit, not even a cancelled task.
2. A pipeline that is stopped has ended `CLOSING` seconds after its `drain` at the latest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

CLOSING: Final = 0.8
"""Seconds after `drain` in which everything but the batches must end."""

_MAX_SECONDS: Final = 3.0
"""Seconds that the steps of an end may take together if `drain` leaves them more."""

_STEPS: Final = 6
"""The number of steps at the end of a pipeline."""

_CANCEL_SHARE: Final = 0.75
"""The part of a step's time after which it is cancelled, so that it can end by itself."""


class EndTimeLimit:
    """The time within which a pipeline must end, which all its last steps share.

    The remaining time is divided equally among the remaining steps, so that a step which hangs
    leaves time for the others. The time begins with the first step.

    Args:
        drain: the seconds in which batches in progress may end when the pipeline stops.
    """

    def __init__(self, drain: float) -> None:
        self._drain = drain
        self._limit = self._until = float("inf")
        self._steps = _STEPS

    def stop(self) -> None:
        """Record that the pipeline stops now."""
        self._limit = asyncio.get_running_loop().time() + self._drain + CLOSING

    async def cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks, and wait until they end, but no longer than one step may take."""
        await _cancel_and_wait(tasks, self._seconds_of_step())

    async def run(self, work: Coroutine[Any, Any, object]) -> Exception | None:
        """Run a last step, and return its error; this is a `TimeoutError` if it took too long."""
        share = self._seconds_of_step()
        task = asyncio.create_task(work)
        try:
            await asyncio.wait([task], timeout=share * _CANCEL_SHARE)
        finally:
            task.cancel()
        if not task.done():
            await _cancel_and_wait([task], share * (1 - _CANCEL_SHARE))
        if not task.done() or task.cancelled():
            return TimeoutError()
        error = task.exception()
        if error is None or isinstance(error, Exception):
            return error
        raise error

    def _seconds_of_step(self) -> float:
        """Return the time limit of the next step in seconds."""
        now = asyncio.get_running_loop().time()
        self._until = min(self._until, self._limit, now + _MAX_SECONDS)
        share = max(0.0, self._until - now) / self._steps
        self._steps = max(1, self._steps - 1)
        return share


async def _cancel_and_wait(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> None:
    """Cancel tasks, and wait a limited time for their end."""
    pending_tasks = [task for task in tasks if not task.done()]
    for task in pending_tasks:
        task.cancel()
    if pending_tasks:
        await asyncio.wait(pending_tasks, timeout=seconds)
