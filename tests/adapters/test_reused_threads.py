"""Threads that run blocking jobs, and are kept for later jobs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.adapters.concurrency.reused_threads import ReusedThreads
from moorage.errors import LocalFailure
from tests.adapters.forked import run_in_forked_child
from tests.support.threads import no_new_threads

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.define
class _Job:
    """A job that records its thread, and the number of free threads at its end."""

    threads: ReusedThreads
    work: Callable[[], object] = list
    thread: threading.Thread | None = None
    free_at_end: int = 0
    ended: threading.Event = attrs.field(factory=threading.Event)

    def run(self) -> None:
        self.thread = threading.current_thread()
        self.work()

    def finish(self) -> None:
        self.free_at_end = len(self.threads.free)
        self.ended.set()

    def thread_after_end(self) -> threading.Thread:
        assert self.ended.wait(60)
        assert self.thread is not None
        return self.thread


def _start(threads: ReusedThreads, work: Callable[[], object] = list) -> _Job:
    job = _Job(threads, work)
    threads.run(job)
    return job


def test_successive_jobs_share_a_daemon_thread() -> None:
    """A job that starts after another job has ended runs in the same thread."""
    threads = ReusedThreads("test")
    jobs_threads = {_start(threads).thread_after_end() for _ in range(1_000)}
    (thread,) = jobs_threads
    assert thread.daemon
    threads.close()
    thread.join(60)
    assert not thread.is_alive()


def test_job_that_hangs_delays_no_other() -> None:
    """If a job hangs, later jobs run in other threads without a delay."""
    threads = ReusedThreads("test")
    may_end = threading.Event()
    hanging = _start(threads, lambda: may_end.wait(60))
    others = {_start(threads).thread_after_end() for _ in range(10)}
    assert 1 == len(others)
    may_end.set()
    assert hanging.thread_after_end() not in others
    assert 2 == hanging.free_at_end
    threads.close()


def test_idle_thread_ends() -> None:
    """A thread without a job ends after the idle time, and a later job gets a new thread."""
    threads = ReusedThreads("test", idle=0.001)
    thread = _start(threads).thread_after_end()
    thread.join(60)
    assert not thread.is_alive()
    assert [] == threads.free
    assert _start(threads).thread_after_end() is not thread
    threads.close()


def test_busy_thread_ends_after_its_job_once_closed() -> None:
    """`close` does not wait for a running job; the job's thread ends when the job does."""
    threads = ReusedThreads("test")
    may_end = threading.Event()
    job = _start(threads, lambda: may_end.wait(60))
    threads.close()
    may_end.set()
    thread = job.thread_after_end()
    thread.join(60)
    assert not thread.is_alive()
    assert [] == threads.free


def test_forked_process_does_not_give_jobs_to_threads_that_only_its_parent_has() -> None:
    """A forked process does not pass jobs to threads that only its parent has."""
    threads = ReusedThreads("test")
    _start(threads).thread_after_end()

    def free_threads_before_and_after_a_job() -> tuple[int, int]:
        return len(threads.free), _start(threads).ended.wait(60) + len(threads.free)

    assert (0, 2) == run_in_forked_child(free_threads_before_and_after_a_job)
    assert 1 == len(threads.free)
    threads.close()


def test_job_without_a_free_thread_fails() -> None:
    """If the system has no thread for a job, nothing was done, and the caller may try again."""
    threads = ReusedThreads("test")
    with no_new_threads():
        with pytest.raises(LocalFailure, match="another thread"):
            threads.run(_Job(threads))
        with pytest.raises(LocalFailure, match="another thread"):
            asyncio.run(run_in_thread(int))
    job = _Job(threads)
    threads.run(job)
    job.thread_after_end()
    threads.close()
