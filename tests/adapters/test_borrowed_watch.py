"""The watchdog thread that interrupts blocking calls at their deadline."""

from __future__ import annotations

import threading
from math import inf
from threading import Event
from time import monotonic

import pytest

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.http.borrowed._watchdog import Watchdog
from moorage.errors import LocalFailure
from tests.adapters.forked import run_in_forked_child
from tests.support.threads import no_new_threads

PATIENCE = 20.0


def test_timer_expires_in_another_thread() -> None:
    """If a block exceeds its time limit, the watchdog's thread calls the timer's function."""
    watch, expired_event = Watchdog(), Event()
    with watch.limit(monotonic() + 0.01, expired_event.set) as timer:
        assert expired_event.wait(PATIENCE)
    assert timer.expired


def test_earliest_timer_expires_first() -> None:
    """Of two watchdog timers, the one that expires first is called first."""
    watch, late_event, early_event = Watchdog(), Event(), Event()
    with (
        watch.limit(monotonic() + PATIENCE, late_event.set),
        watch.limit(monotonic() + 0.01, early_event.set),
    ):
        assert early_event.wait(PATIENCE)
        assert not late_event.is_set()


def test_timer_does_not_expire_after_its_block() -> None:
    """After a block has ended, the watchdog never calls the function of its timer."""
    watch, early_event, other_event = Watchdog(), Event(), Event()
    with watch.limit(monotonic() + 0.02, early_event.set):
        pass
    with watch.limit(monotonic() + 0.04, other_event.set):
        assert other_event.wait(PATIENCE)
    assert not early_event.is_set()


def test_deadline_of_a_timer_can_be_moved() -> None:
    """A deadline can be set later for a watchdog timer that has none."""
    watch, expired_event = Watchdog(), Event()
    with watch.limit(inf, expired_event.set) as timer:
        watch.move(timer, monotonic())
        assert expired_event.wait(PATIENCE)


def test_timers_expire_after_a_time_without_free_threads() -> None:
    """If the watchdog's thread cannot start, that call fails, and the next call starts it."""
    watch, expired_event = Watchdog(), Event()
    with no_new_threads(), pytest.raises(LocalFailure), watch.limit(inf, expired_event.set):
        raise AssertionError
    with watch.limit(monotonic() + 0.01, expired_event.set):
        assert expired_event.wait(PATIENCE)


def test_thread_ends_and_restarts() -> None:
    """The watchdog thread ends when it has no timers; the next timer starts a new thread."""
    watch = Watchdog(linger=0.01)
    for _ in range(2):
        previous_threads = set(threading.enumerate())
        expired_event = Event()
        with watch.limit(monotonic(), expired_event.set):
            assert expired_event.wait(PATIENCE)
            (own_thread,) = set(threading.enumerate()) - previous_threads
        own_thread.join(PATIENCE)
        assert not own_thread.is_alive()


@pytest.mark.parametrize("held", [False, True])
def test_forked_child_waits_neither_for_its_parent_watchdog_thread_nor_for_its_lock(
    held: bool,
) -> None:
    """A forked child waits neither for the parent's watchdog thread nor for that thread's lock."""
    watch = Watchdog()

    def on_expiry() -> bool:
        expired_event = Event()
        with watch.limit(monotonic(), expired_event.set):
            return expired_event.wait(PATIENCE)

    assert on_expiry()
    if held:
        with watch._changed:  # noqa: SLF001 - as a thread that is forked in it
            assert run_in_forked_child(on_expiry)
    else:
        restart_in_child()
        assert on_expiry()
