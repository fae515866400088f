"""A timer of an event loop that does something again and again, while there is something to do."""

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
    """Does some work every so many seconds in each event loop that asks for it, while it is wanted.

    The timer is set by the first `wake` in a loop, and not set again when a turn finds nothing
    wanted. It keeps no loop running.

    Args:
        work: what to await each time; its exceptions are dropped.
        wanted: whether there is anything to do.
        every: seconds between two times.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, object]],
        wanted: Callable[[], bool],
        every: float,
    ) -> None:
        self._work = work
        self._wanted = wanted
        self._every = every
        self._start_afresh()
        in_child(self, AsyncHeartbeat._start_afresh)

    def _start_afresh(self) -> None:
        self._loops: WeakSet[AbstractEventLoop] = WeakSet()
        self._tasks: set[Task[None]] = set()

    def able(self) -> bool:
        """Whether work can be done here at all: some other library's loop has no such timers."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    def wake(self) -> None:
        """Work from now on, unless that goes on already."""
        if not self.able():
            return
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._loops.add(loop)
            self._set_timer(loop)

    def _set_timer(self, loop: AbstractEventLoop) -> None:
        # In a context of its own: whoever came first is not who it is done for.
        loop.call_later(self._every, self._beat, loop, context=Context())

    def _beat(self, loop: AbstractEventLoop) -> None:
        if not self._wanted():
            self._loops.discard(loop)
            return
        task = loop.create_task(self._once(loop))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _once(self, loop: AbstractEventLoop) -> None:
        try:
            with suppress(Exception):
                await self._work()
        except BaseException:
            self._loops.discard(loop)
            raise
        self._set_timer(loop)
