"""A timer of an event loop that repeats a job as long as there is work."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING
from weakref import WeakSet

from moorage.adapters.concurrency.forking import in_child

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable, Coroutine
    from typing import Any


class AsyncHeartbeat:
    """Repeats a job at an interval in each event loop, while `has_work` returns True.

    The first `wake` in a loop sets the timer, which is not set again when there is nothing to do.
    It does not keep a loop running.

    Args:
        work: the function to await repeatedly; its exceptions are dropped.
        has_work: returns whether there is anything to do.
        every: seconds between two repetitions.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, object]],
        has_work: Callable[[], bool],
        every: float,
    ) -> None:
        self._work = work
        self._has_work = has_work
        self._every = every
        self._restart_after_fork()
        in_child(self, AsyncHeartbeat._restart_after_fork)

    def _restart_after_fork(self) -> None:
        self._loops: WeakSet[AbstractEventLoop] = WeakSet()
        self._tasks: set[Task[None]] = set()

    def is_available(self) -> bool:
        """Return whether the job can run here, which needs a timer of asyncio's event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    def wake(self) -> None:
        """Set the timer of the running event loop, unless it is set."""
        if not self.is_available():
            return
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._loops.add(loop)
            self._set_timer(loop)

    def _set_timer(self, loop: AbstractEventLoop) -> None:
        # In a new context, because the work belongs to all callers, not to the first one.
        loop.call_later(self._every, self._on_timer, loop, context=Context())

    def _on_timer(self, loop: AbstractEventLoop) -> None:
        if not self._has_work():
            self._loops.discard(loop)
            return
        task = loop.create_task(self._run_once(loop))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_once(self, loop: AbstractEventLoop) -> None:
        try:
            with suppress(Exception):
                await self._work()
        except BaseException:
            self._loops.discard(loop)
            raise
        self._set_timer(loop)
