"""A background event loop, in which synchronous connectors use asynchronous libraries."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import CancelledError
from inspect import CORO_CREATED, getcoroutinestate
from os import getpid
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from moorage.adapters.concurrency.thread_start import start_thread
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

R = TypeVar("R")

_EAGER_TASK_OPTIONS: Final[dict[str, Any]] = (
    {"eager_start": True} if sys.version_info >= (3, 12) else {}
)
"""The options of a task that makes its first step where it is created."""


class Background:
    """Runs coroutines in the event loop of a background thread that all connectors share."""

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine and wait until it ends; an interrupted wait cancels the coroutine."""
        loop = _loop_for(work)
        waiting = _AwaitedWork(loop, work)
        try:
            loop.call_soon_threadsafe(waiting.begin)
            waiting.wait()
        except BaseException:
            loop.call_soon_threadsafe(waiting.cancel)
            raise
        return waiting.result()

    def call(self, function: Callable[[], object]) -> None:
        """Schedule a function in the event loop, without waiting for it."""
        background_loop().call_soon_threadsafe(function)

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Start a coroutine without waiting until it ends."""
        asyncio.run_coroutine_threadsafe(work, _loop_for(work))


class _AwaitedWork(Generic[R]):
    """A coroutine that a thread has started in the event loop and waits for.

    `asyncio.run_coroutine_threadsafe` does the same with two futures, at twice the cost. The
    coroutine begins in the turn of the loop that starts it where Python can do that, and the
    coroutine itself tells the thread of its end, not a callback one turn of the loop later.
    """

    __slots__ = ("_error", "_is_over", "_loop", "_result", "_task", "_work")

    _result: R

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, R]) -> None:
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._is_over = Lock()
        self._is_over.acquire()

    def begin(self) -> None:
        """Start the coroutine; the event loop calls this."""
        self._task = asyncio.Task(self._finish(), loop=self._loop, **_EAGER_TASK_OPTIONS)

    def cancel(self) -> None:
        """Cancel the coroutine, or close it if it has not started; the event loop calls this."""
        if self._task is not None:
            self._task.cancel()
        if getcoroutinestate(self._work) == CORO_CREATED:
            self._work.close()

    def wait(self) -> None:
        """Block the calling thread until the coroutine has ended."""
        self._is_over.acquire()

    def result(self) -> R:
        """Return the result of the coroutine, or raise its exception."""
        error, self._error = self._error, None
        try:
            if error is None:
                return self._result
            raise CancelledError if isinstance(error, asyncio.CancelledError) else error
        finally:
            # Otherwise the traceback would refer to this frame, and the frame to the exception.
            del error

    async def _finish(self) -> None:
        """Run the coroutine to its end, and wake the calling thread."""
        try:
            self._result = await self._work
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread
            self._error = error
        finally:
            self._is_over.release()


_loops: Final[dict[int, asyncio.AbstractEventLoop]] = {}
"""The background event loop of this process, by the process's id; a fork has none yet."""


def background_loop() -> asyncio.AbstractEventLoop:
    """Return this process's background event loop, which runs as long as the process.

    Raises:
        LocalFailure: Python is shutting down. It has stopped the loop's thread, for which a caller
            would wait forever. Or the system has no more threads.
    """
    if sys.is_finalizing():
        raise LocalFailure(
            "Python is shutting down, so the thread of this connection has stopped.",
            remedy="Make the last calls before the main thread ends or in a function"
            " registered with `atexit`, not in a `__del__` method.",
        )
    process = getpid()
    loop = _loops.get(process)
    if loop is None:
        new_loop = asyncio.new_event_loop()
        thread = Thread(
            target=_run_until_stopped, args=(new_loop,), name="moorage-background", daemon=True
        )
        try:
            start_thread(thread)
        except BaseException:
            new_loop.close()
            raise
        loop = _loops.setdefault(process, new_loop)
        if loop is not new_loop:
            # Another thread stored its loop first; all connections must belong to the same loop.
            new_loop.call_soon_threadsafe(new_loop.stop)
    return loop


def _loop_for(work: Coroutine[Any, Any, object]) -> asyncio.AbstractEventLoop:
    """Return the background event loop; close the coroutine if the loop cannot be started."""
    try:
        return background_loop()
    except BaseException:
        work.close()
        raise


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, and close it."""
    loop.run_forever()
    loop.close()
