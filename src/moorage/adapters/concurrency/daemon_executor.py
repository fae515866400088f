"""An executor whose threads do not keep the process alive."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.concurrency.thread_start import start_thread
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")


class DaemonExecutor(ThreadPoolExecutor):
    """An executor with daemon threads, for an event loop whose process must end at a deadline.

    Before a process ends, Python waits for the threads of `ThreadPoolExecutor`, but not for those
    of this class. It is a subclass because event loops accept only subclasses of
    `ThreadPoolExecutor`.

    Args:
        max_workers: the largest number of threads.
        name: the name of the threads.
    """

    def __init__(self, max_workers: int, name: str) -> None:
        super().__init__(max_workers)
        self._limit = max_workers
        self._name = name
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = Lock()
        self._threads_started = 0
        self._threads_free = 0
        self._is_shut_down = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Return a future; the function runs in the next free thread.

        Raises:
            RuntimeError: the executor was shut down.
            LocalFailure: the executor has no thread, and the system cannot start one.
        """
        outcome: Future[T] = Future()
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("The executor was shut down and runs no more functions.")
            if self._threads_free:
                self._threads_free -= 1
            elif self._threads_started < self._limit:
                self._start_thread()
            self._jobs.put((outcome, lambda: fn(*args, **kwargs)))
        return outcome

    def _start_thread(self) -> None:
        """Start another thread; if the system cannot, a running thread will do the work."""
        try:
            start_thread(Thread(target=self._run_jobs, name=self._name, daemon=True))
        except LocalFailure:
            if not self._threads_started:
                raise
        else:
            self._threads_started += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as the base class
        """End each thread after the submitted functions have run, without waiting for that."""
        with self._lock:
            self._is_shut_down = True
            for _ in range(self._threads_started):
                self._jobs.put(None)

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            outcome, function = job
            if outcome.set_running_or_notify_cancel():
                try:
                    outcome.set_result(function())
                except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                    outcome.set_exception(error)
            del job, outcome, function
            with self._lock:
                self._threads_free += 1
