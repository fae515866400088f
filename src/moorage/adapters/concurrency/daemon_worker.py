"""A daemon thread that runs blocking functions, and does not keep the process alive."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class DaemonWorker:
    """A thread that runs functions for an event loop, one after another.

    A function that never returns does not keep the process from ending.

    Args:
        name: the name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        Thread(target=self._run_jobs, name=name, daemon=True).start()

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Return a future; the function starts when all functions submitted before it have ended.

        Cancelling the future keeps the function from beginning; one that has begun goes on.
        """
        outcome: Future[T] = Future()
        self._jobs.put((outcome, function))
        return asyncio.wrap_future(outcome)

    def end(self) -> None:
        """End the thread after all functions that were submitted before."""
        self._jobs.put(None)

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            outcome, function = job
            if not outcome.set_running_or_notify_cancel():
                continue
            try:
                outcome.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is raised in the event loop
                outcome.set_exception(error)
            del job, outcome, function
