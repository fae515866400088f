"""The event loop in which synchronous connectors keep connections of asynchronous libraries."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from os import getpid
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Coroutine

R = TypeVar("R")


class Background:
    """Runs coroutines in an event loop of another thread, which all connectors share."""

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine, and wait for its end; an interruption of the caller cancels it."""
        loop = _loop_of(getpid())
        waiting = _AwaitedWork(loop, work)
        try:
            loop.call_soon_threadsafe(waiting.begin)
            waiting.wait()
        except BaseException:
            loop.call_soon_threadsafe(waiting.cancel)
            raise
        return waiting.result()

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Start a coroutine without waiting for its end."""
        asyncio.run_coroutine_threadsafe(work, _loop_of(getpid()))


class _AwaitedWork(Generic[R]):
    """A coroutine that a thread has started in the event loop, and whose end it waits for.

    `asyncio.run_coroutine_threadsafe` does the same with two futures, at twice the cost.
    """

    __slots__ = ("_is_over", "_loop", "_task", "_work")

    _task: asyncio.Task[R] | None

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, R]) -> None:
        self._loop = loop
        self._work = work
        self._task = None
        self._is_over = Lock()
        self._is_over.acquire()

    def begin(self) -> None:
        """Start the coroutine; the event loop calls this."""
        self._task = self._loop.create_task(self._work)
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        """Cancel the coroutine, or close it if it has not begun; the event loop calls this."""
        if self._task is None:
            self._work.close()
        else:
            self._task.cancel()

    def wait(self) -> None:
        """Block the calling thread until the coroutine has ended."""
        self._is_over.acquire()

    def result(self) -> R:
        """Return the result of the coroutine, or raise its exception."""
        task, self._task = cast("asyncio.Task[R]", self._task), None
        try:
            if task.cancelled():
                raise CancelledError
            return task.result()
        finally:
            # Else the traceback holds this frame, and the frame the exception.
            del task

    def _end(self, _: asyncio.Task[R]) -> None:
        self._is_over.release()


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
