"""Daemon threads that run blocking jobs, and are kept for later jobs."""

from __future__ import annotations

from threading import Lock, Thread
from typing import TYPE_CHECKING, Final, Protocol

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.thread_start import start_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

IDLE: Final = 10.0
"""Seconds after which a thread without a job ends."""


class ThreadJob(Protocol):
    """Work for a thread. Neither method may raise."""

    def run(self) -> None:
        """Do the work, which may last any time."""

    def finish(self) -> None:
        """Report the end of the work to the waiting caller; this may not block."""


class ReusedThreads:
    """Threads that run one job at a time; a job runs in a free thread, or else in a new one.

    No job waits for another one, so a job that never ends occupies its own thread only. A thread
    that has been free for `idle` seconds ends. No thread keeps the process alive, and a forked
    process begins without threads.

    Args:
        name: the name of the threads.
        idle: seconds after which a thread without a job ends.
    """

    def __init__(self, name: str, *, idle: float = IDLE) -> None:
        self._name = name
        self._idle_seconds = idle
        self._free_workers: list[_Worker] = []
        self._is_closed = False
        in_child(self, ReusedThreads._forget_threads)

    @property
    def free(self) -> Sequence[Thread]:
        """The threads that have no job."""
        return [worker.thread for worker in self._free_workers]

    def run(self, job: ThreadJob) -> None:
        """Start a job without waiting for its end.

        Raises:
            LocalFailure: the system has no more threads.
        """
        try:
            worker = self._free_workers.pop()
        except IndexError:
            worker = _Worker(job)
            worker.thread = Thread(
                target=self._run_jobs, args=(worker,), name=self._name, daemon=True
            )
            start_thread(worker.thread)
        else:
            worker.job = job
            worker.wake.release()

    def close(self) -> None:
        """End free threads now, and busy threads after their current job."""
        self._is_closed = True
        while self._free_workers:
            try:
                worker = self._free_workers.pop()
            except IndexError:  # pragma: no cover - another thread has just taken the last one
                return
            worker.wake.release()

    def _run_jobs(self, worker: _Worker) -> None:
        """Run a worker's jobs until it has been free for too long, or is woken without a job."""
        while (job := worker.job) is not None:
            worker.job = None
            job.run()
            # The thread counts as free before its caller continues, so the caller's next job can
            # reuse it.
            self._free_workers.append(worker)
            job.finish()
            del job
            if self._is_closed:
                self.close()
            if not worker.wake.acquire(timeout=self._idle_seconds):
                try:
                    self._free_workers.remove(worker)
                except ValueError:  # pragma: no cover - it was taken at this moment
                    worker.wake.acquire()

    def _forget_threads(self) -> None:  # pragma: no cover - runs in forked children
        self._free_workers.clear()


class _Worker:
    """A thread, its next job, and a lock whose release wakes it."""

    __slots__ = ("job", "thread", "wake")

    thread: Thread

    def __init__(self, job: ThreadJob) -> None:
        self.job: ThreadJob | None = job
        self.wake = Lock()
        self.wake.acquire()
