"""The executor whose threads do not keep the process alive."""

from __future__ import annotations

import threading
from typing import NoReturn

import pytest

from moorage.adapters.concurrency.daemon_executor import DaemonExecutor
from moorage.errors import LocalFailure
from tests.support.threads import no_new_threads
from tests.support.waiting import wait_until


def _fail() -> NoReturn:
    raise SystemExit("No.")


def test_results_and_errors_are_returned() -> None:
    """A future has its function's result, or the exception that the function raised."""
    executor = DaemonExecutor(1, "test")
    with executor:
        assert 8 == executor.submit(pow, 2, exp=3).result(60)
        with pytest.raises(SystemExit, match="No"):
            executor.submit(_fail).result(60)
        assert [1, 4] == list(executor.map(pow, (1, 2), (2, 2), timeout=60))
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(_fail)


def test_threads_are_daemons_and_at_most_as_many_as_allowed() -> None:
    """At most the allowed number of daemon threads run.

    A thread that is free runs the next function.
    """
    executor = DaemonExecutor(2, "test")
    barrier, may_end = threading.Barrier(3), threading.Event()

    def wait() -> threading.Thread:
        barrier.wait(60)
        may_end.wait(60)
        return threading.current_thread()

    waiting = [executor.submit(wait) for _ in range(2)]
    barrier.wait(60)
    later_futures = [executor.submit(threading.current_thread) for _ in range(3)]
    cancelled = later_futures.pop()
    assert cancelled.cancel()
    may_end.set()
    threads = {future.result(60) for future in waiting}
    assert 2 == len(threads)
    assert all(thread.daemon for thread in threads)
    assert {future.result(60) for future in later_futures} <= threads
    assert executor.submit(threading.current_thread).result(60) in threads
    executor.shutdown()
    wait_until(lambda: not any(thread.is_alive() for thread in threads), "the end of the threads")


def test_free_thread_is_used_again() -> None:
    """Successive functions run in the same thread."""
    with DaemonExecutor(8, "test") as executor:
        first = executor.submit(threading.current_thread).result(60)
        # The thread counts as free only after it has settled the result.
        wait_until(
            lambda: executor.submit(threading.current_thread).result(60) is first, "a free thread"
        )


def test_without_more_threads_a_running_thread_does_the_work() -> None:
    """If no thread can be started, a running thread does the work; without one, it is refused.

    A refused function never runs.
    """
    calls: list[str] = []
    executor = DaemonExecutor(2, "test")
    with no_new_threads(), pytest.raises(LocalFailure, match="could not start another thread"):
        executor.submit(calls.append, "refused")
    may_end = threading.Event()
    executor.submit(may_end.wait, 60)
    with no_new_threads():
        accepted = executor.submit(calls.append, "accepted")
        may_end.set()
        accepted.result(60)
    assert ["accepted"] == calls
    executor.shutdown()
