"""Commands that an asynchronous store runs in the background, without a waiting caller.

`post` is a synchronous function, so an asynchronous store cannot execute the command in it. Laws:

1. If an event loop runs, a task of that loop executes the posted commands in their order.
2. Without a running loop, or if the loop has ended, they wait for the next command.
3. The next command waits for the posted commands before it, for a limited time.
4. A command that failed in an outage is tried again with the next command, if it is repeatable.
   A command on a state that cannot be read is dropped, so that it does not block the others.
5. At most `MAX_POSTED` commands wait. Beyond that the oldest are dropped, and their leases expire.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.values.durations import bounded_seconds
from moorage.errors import StateUnavailable, StorageUnavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from moorage.domain.state.commands import Command

MAX_POSTED: Final = 1_000


class PostedCommands:
    """A store's queue of commands that run in the background, without a waiting caller.

    Attributes:
        queue: the commands that have not begun.
        task: the task that executes them. Without a queue and a task, `settle` has no effect.

    Args:
        execute: executes one command, and does not wait for posted ones.
        timeout: the seconds that a command waits for the posted commands before it.
    """

    def __init__(
        self, execute: Callable[[Command[Any]], Coroutine[Any, Any, Any]], timeout: float
    ) -> None:
        self._execute = execute
        self._timeout = timeout
        self._restart_after_fork()
        in_child(self, PostedCommands._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The parent process executes the commands that it has posted.
        self.queue: deque[Command[Any]] = deque(maxlen=MAX_POSTED)
        self.task: asyncio.Task[None] | None = None

    def post(self, command: Command[Any], /) -> None:
        """Queue a command; a running event loop of this thread executes it soon."""
        from asyncio import get_running_loop  # noqa: PLC0415 - synchronous programs do not need asyncio

        self.queue.append(command)
        try:
            loop = get_running_loop()
        except RuntimeError:
            return
        self._ensure_task(loop)

    async def settle(self, timeout: float | None = None) -> None:
        """Wait until all queued commands have succeeded or failed.

        Args:
            timeout: the maximum number of seconds, if it is shorter than the store's timeout.
        """
        from asyncio import get_running_loop, wait  # noqa: PLC0415 - synchronous programs do not need asyncio

        task = self._ensure_task(get_running_loop())
        await wait((task,), timeout=bounded_seconds(self._timeout, timeout))

    def _ensure_task(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        """Return the task of this loop that executes the queue; start it if necessary."""
        task = self.task
        if task is None or task.done() or task.get_loop() is not loop:
            task = self.task = loop.create_task(self._send())
        return task

    async def _send(self) -> None:
        from asyncio import current_task  # noqa: PLC0415 - synchronous programs do not need asyncio

        queue, task = self.queue, current_task()
        try:
            while queue:
                command = queue.popleft()
                try:
                    await self._execute(command)
                except StateUnavailable:
                    continue
                except StorageUnavailable:
                    # The other commands would fail as well; the next command tries again.
                    if not command.once:
                        queue.appendleft(command)
                    return
                except Exception:  # noqa: BLE001, S112 - no caller waits for it
                    continue
                except BaseException:
                    # The loop ends, so it is unknown whether the store has executed the command.
                    if not command.once:
                        queue.appendleft(command)
                    raise
        finally:
            if self.task is task:
                self.task = None


def seconds_until(until: float | None) -> float | None:
    """Return the seconds until a time of `monotonic()`, or None for None."""
    return None if until is None else until - monotonic()
