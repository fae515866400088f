"""A daemon thread that runs blocking functions, and does not keep the process alive."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.concurrency.thread_start import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class DaemonWorker:
    """A thread that runs functions for an event loop, one after another.

    A function that never returns does not keep the process from ending.

    Args:
        name: the name of the thread.

    Raises:
        LocalFailure: the system has no more threads.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = (
            SimpleQueue()
        )
        start_thread(Thread(target=self._run_jobs, name=name, daemon=True))

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Return a future; the function starts when all functions submitted before it have ended.

        Cancelling the future keeps the function from beginning; one that has begun goes on.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((outcome, function))
        return outcome

    def end(self) -> None:
        """End the thread after all functions that were submitted before."""
        self._jobs.put(None)

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            outcome, function = job
            if outcome.cancelled():
                continue
            try:
                settle = partial(outcome.set_result, function())
            except BaseException as error:  # noqa: BLE001 - it is raised in the event loop
                settle = partial(outcome.set_exception, error)
            # Nobody waits for the outcome any more if the event loop is closed.
            with suppress(RuntimeError):
                outcome.get_loop().call_soon_threadsafe(_settle, outcome, settle)
            del job, outcome, function, settle


def _settle(outcome: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    """Store a function's result or error in its future, unless the future was cancelled."""
    if not outcome.cancelled():
        settle()
