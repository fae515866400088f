"""Commands that nobody waits for, on the asynchronous face: sent by a task, or with the next one.

`post` is a plain function, and a store that is awaited cannot finish there what it is given. So:

1. Posted where an event loop runs, a command is executed by a task of that loop, one after another
   in the order they were posted.
2. Posted anywhere else, or left over by a loop that ended, it is kept for the next command.
3. Who executes a command first waits for what was posted before it, for a bounded time.
4. What could not be executed is tried again with the next command, if it may be repeated.
5. No more than `MOST` are kept; past that the oldest fall out, and are left to their leases.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.values.durations import bounded
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.domain.state.commands import Command

MOST: Final = 1_000


class Posts:
    """The commands that were posted to a store and are not executed yet.

    `kept` are the commands that have not begun, `sending` is the task that executes them. Where
    both are empty there is nothing to wait for, and `settle` need not be called.

    Args:
        execute: runs one command, and does not wait for what was posted.
        timeout: for how many seconds a command waits for those that were posted before it.
    """

    def __init__(
        self, execute: Callable[[Command[Any]], Coroutine[Any, Any, Any]], timeout: float
    ) -> None:
        self._execute = execute
        self._timeout = timeout
        self._start_afresh()
        in_child(self, Posts._start_afresh)

    def _start_afresh(self) -> None:
        # What a parent has posted is the parent's to execute.
        self.kept: deque[Command[Any]] = deque(maxlen=MOST)
        self.sending: asyncio.Task[None] | None = None

    def post(self, command: Command[Any], /) -> None:
        """Keep a command, and have it executed soon if an event loop runs here."""
        self.kept.append(command)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._sent(loop)

    async def settle(self, timeout: float | None = None) -> None:
        """Wait until everything that was posted is executed, or could not be.

        Who has no more than `timeout` seconds left waits no longer than that.
        """
        task = self._sent(asyncio.get_running_loop())
        await asyncio.wait((task,), timeout=bounded(self._timeout, timeout))

    def _sent(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        """The task of this loop that executes what is kept."""
        task = self.sending
        if task is None or task.done() or task.get_loop() is not loop:
            task = self.sending = loop.create_task(self._send())
        return task

    async def _send(self) -> None:
        kept, task = self.kept, asyncio.current_task()
        try:
            while kept:
                command = kept.popleft()
                try:
                    await self._execute(command)
                except StorageUnavailable:
                    # The others would wait in vain, each as long: the next command tries again.
                    if not command.once:
                        kept.appendleft(command)
                    return
                except Exception:  # noqa: BLE001, S112 - nobody is there to be told
                    continue
        finally:
            if self.sending is task:
                self.sending = None
