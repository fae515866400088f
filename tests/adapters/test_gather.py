"""Running several steps concurrently in threads."""

import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from moorage.adapters.concurrency.gather import ThreadGather, daemon
from moorage.errors import InvalidData
from moorage.testing import gather_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.support.threads import no_new_threads


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_thread_gather_passes_conformance_kit(check: kit.Check) -> None:
    """ThreadGather passes the conformance kit."""
    check(ThreadGather)


def one_thread_to_spare() -> Callable[[Callable[[], None]], bool]:
    """Return a function that allows one more thread to start, but no second one."""
    spare_threads = [True]
    return lambda run: bool(spare_threads) and spare_threads.pop() and daemon(run)


def four_steps() -> list[Callable[[], int]]:
    """Return four functions; each returns its own number."""
    return [partial(int, number) for number in range(4)]


@pytest.mark.parametrize("start", [one_thread_to_spare(), lambda _: False])
def test_steps_run_one_after_another_if_no_thread_can_start(
    start: Callable[[Callable[[], None]], bool],
) -> None:
    """If no thread can be started, ThreadGather.run_all runs the steps one after another."""
    gather = ThreadGather(start)

    assert [0, 1, 2, 3] == gather.run_all(four_steps(), at_once=4)


def test_quick_steps_need_no_thread() -> None:
    """New threads start while the caller's thread runs steps.

    Once all steps are done, no thread starts.
    """
    later_steps: list[Callable[[], None]] = []
    started_steps: list[Callable[[], None]] = []

    def start(run: Callable[[], None]) -> bool:
        started_steps.append(run)
        return True

    assert [0, 1, 2, 3] == ThreadGather(start, later_steps.append).run_all(four_steps(), at_once=4)
    (start_threads,) = later_steps
    start_threads()
    assert not started_steps


@pytest.mark.parametrize("at_once, thread_count", [(2, 1), (4, 3), (9, 3)])
def test_no_more_threads_than_steps(at_once: int, thread_count: int) -> None:
    """The caller's thread runs one step itself, so only the other steps need threads."""
    started_steps: list[Callable[[], None]] = []

    def start(run: Callable[[], None]) -> bool:
        started_steps.append(run)
        return True

    def run_at_once(run: Callable[[], None]) -> None:
        run()

    assert [0, 1, 2, 3] == ThreadGather(start, run_at_once).run_all(four_steps(), at_once=at_once)
    assert thread_count == len(started_steps)


def test_steps_run_in_the_caller_if_no_thread_can_start() -> None:
    """If the system cannot start a thread at all, the caller's thread runs all steps."""
    with no_new_threads():
        assert [0, 1, 2, 3] == ThreadGather().run_all(four_steps(), at_once=4)


def test_steps_are_tried_one_after_another_if_no_thread_can_start() -> None:
    """If no thread can be started, ThreadGather.first tries the steps one after another."""
    gather = ThreadGather(lambda _: False)

    assert 2 == gather.first(four_steps(), stagger=9, good=(2).__eq__)


def test_thread_that_cannot_start_raises_no_error() -> None:
    """If the system cannot start another thread, `daemon` returns False and raises nothing."""
    with no_new_threads():
        assert not daemon(lambda: None)


def test_single_step_runs_in_caller_thread() -> None:
    """A single step runs in the caller's thread."""
    gather, own_thread = ThreadGather(), threading.get_ident()

    assert [own_thread] == gather.run_all([threading.get_ident], at_once=9)
    assert own_thread == gather.first([threading.get_ident], stagger=9, good=bool)


def test_threads_have_ended_when_the_result_is_returned() -> None:
    """When the result is returned, the threads that ran the steps have ended."""
    joint_barrier = threading.Barrier(4)

    def wait_for_all() -> threading.Thread:
        joint_barrier.wait(20)
        return threading.current_thread()

    used_threads = {*ThreadGather().run_all([wait_for_all] * 8, at_once=4)} - {
        threading.current_thread()
    }
    for thread in used_threads:
        thread.join(20)

    assert 3 == len(used_threads)
    assert not any(thread.is_alive() for thread in used_threads)


def test_threads_keep_no_process_alive() -> None:
    """A step that hangs in its thread does not keep the process from ending."""
    start_event, gate = threading.Event(), threading.Event()
    kinds: list[bool] = []

    def hang_until_cancelled() -> str:
        kinds.append(threading.current_thread().daemon)
        start_event.set()
        gate.wait(20)
        return ""

    def answer() -> str:
        start_event.wait(20)
        return "good"

    assert "good" == ThreadGather().first([hang_until_cancelled, answer], stagger=0, good=bool)
    gate.set()
    assert [True] == kinds


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_step_that_raises_raises_in_the_caller(at_once: int) -> None:
    """If a step raises, the caller gets its exception, and no further step starts."""
    started_steps: list[int] = []

    def raise_error() -> None:
        started_steps.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ThreadGather().run_all([raise_error] * 20, at_once=at_once)
    assert at_once >= len(started_steps)


def test_the_first_step_that_raises_raises_in_the_caller() -> None:
    """If a step of ThreadGather.first raises, the caller gets its exception."""
    with pytest.raises(ZeroDivisionError):
        ThreadGather().first([lambda: 1 // 0, lambda: 1], stagger=9, good=bool)


def test_first_refuses_an_empty_list_of_steps() -> None:
    """ThreadGather.first refuses an empty list of steps."""
    with pytest.raises(InvalidData, match="no step"):
        ThreadGather().first([], stagger=1, good=bool)


class _Interruption(Exception):
    pass


@pytest.mark.parametrize("verb", ["run_all", "first"])
def test_an_interruption_does_not_wait_for_steps(verb: str) -> None:
    """If a signal handler raises, its exception is raised at once, even if steps still run."""
    gate, own_thread = threading.Event(), threading.get_ident()

    def interrupt(*_: object) -> None:
        raise _Interruption

    def hang_until_cancelled() -> bool:
        if threading.get_ident() != own_thread:
            time.sleep(0.005)
            signal.pthread_kill(own_thread, signal.SIGUSR1)
        return gate.wait(20)

    options: dict[str, Any] = {"at_once": 2} if verb == "run_all" else {"stagger": 9, "good": bool}
    previous_handler = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(_Interruption):
            getattr(ThreadGather(), verb)([hang_until_cancelled] * 2, **options)
    finally:
        signal.signal(signal.SIGUSR1, previous_handler)
        gate.set()
