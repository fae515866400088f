"""Bulkhead slots for threads."""

import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.adapters.concurrency.semaphore_slots import SlotHolders
from moorage.testing import locks_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.forked import run_in_forked_child
from tests.adapters.raising_locks import FragileLock, Interruption, TakenLock


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_thread_locks_passes_conformance_kit(check: kit.Check) -> None:
    """ThreadLocks passes the conformance kit."""
    check(ThreadLocks)


@contextmanager
def frequent_thread_switches() -> Generator[None]:
    """Make the interpreter switch threads a thousand times as often as usual."""
    previous_interval = sys.getswitchinterval()
    sys.setswitchinterval(previous_interval / 1_000)
    try:
        yield
    finally:
        sys.setswitchinterval(previous_interval)


def test_conforms_when_threads_switch_often() -> None:
    """ThreadLocks passes the kit's check with many callers while threads switch frequently."""
    with frequent_thread_switches():
        kit.threads_never_exceed_the_limit(ThreadLocks)


def test_an_interrupted_caller_holds_nothing() -> None:
    """If a caller is interrupted while it acquires a slot, the slot becomes free again."""
    program = subprocess.run(
        [sys.executable, "-m", "tests.adapters.interrupting"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        timeout=150,
    )
    strikes, slots_left = map(int, program.stdout.split())

    assert strikes > 0
    assert 0 == slots_left


@pytest.mark.parametrize("releases", [1, 2, 3])
def test_interrupted_wait_leaves_the_queue(releases: int) -> None:
    """A caller interrupted before, during or after its wait leaves the queue of a ThreadLocks."""
    lock = FragileLock()
    places = SlotHolders(lambda: lock)
    locks, holder = ThreadLocks(places), object()
    locks.acquire("a", holder, slots=1, queue=0, timeout=0)

    lock.releases = releases
    with pytest.raises(Interruption):
        locks.acquire("a", object(), slots=1, queue=1, timeout=0.001)

    locks.release("a", holder)
    assert set() == places.names()


@pytest.mark.parametrize("method", ["enter", "release"])
def test_interruption_before_a_section_frees_its_lock(method: str) -> None:
    """A caller interrupted directly after it took the lock of the slots frees the lock."""
    lock, holder = TakenLock(), object()
    slots = SlotHolders(lambda: lock)
    arguments = ("a", holder, 1) if method == "enter" else ("a", holder)

    with pytest.raises(Interruption):
        getattr(slots, method)(*arguments)

    assert not lock.is_taken
    assert set() == slots.names()


def test_added_slots_admit_waiting_callers() -> None:
    """When a bulkhead gets more slots, waiting callers are admitted at once."""
    locks = ThreadLocks()
    locks.acquire("a", object(), slots=1, queue=0, timeout=0)
    inner_barrier = threading.Barrier(5)

    def visit_lock(slots: int) -> None:
        assert locks.acquire("a", object(), slots=slots, queue=9, timeout=20)
        inner_barrier.wait(20)

    visitors = [threading.Thread(target=visit_lock, args=(slots,)) for slots in (1, 1, 1, 5)]
    for visitor in visitors:
        visitor.start()
    inner_barrier.wait(20)
    for visitor in visitors:
        visitor.join()

    assert not locks.acquire("a", object(), slots=5, queue=0, timeout=0)


def test_infinite_timeout_is_accepted() -> None:
    """An infinite timeout works, although Python limits how long a thread can wait."""
    locks, holder = ThreadLocks(), object()
    locks.acquire("a", holder, slots=1, queue=0, timeout=0)
    timer = threading.Timer(0.005, locks.release, ["a", holder])
    timer.start()

    assert locks.acquire("a", object(), slots=1, queue=1, timeout=float("inf"))
    timer.join()


def test_acquired_slot_is_free_in_a_forked_child() -> None:
    """A slot that the parent has acquired is free in a forked child, but not in the parent."""
    locks, holder = ThreadLocks(), object()
    locks.acquire("a", holder, slots=1, queue=0, timeout=0)

    def release_all_and_check_held() -> list[bool]:
        locks.release("a", holder)
        return [locks.acquire("a", object(), slots=1, queue=0, timeout=0) for _ in range(2)]

    assert [True, False] == run_in_forked_child(release_all_and_check_held)
    assert not locks.acquire("a", object(), slots=1, queue=0, timeout=0)
