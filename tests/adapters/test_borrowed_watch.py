"""Interrupting blocking calls at their deadline."""

from __future__ import annotations

import threading
from math import inf
from threading import Event
from time import monotonic

import pytest

from moorage.adapters.concurrency.forking import start_afresh
from moorage.adapters.http.borrowed._watchdog import Watchdog
from tests.adapters.forked import in_a_child

PATIENCE = 20.0


def test_timer_expires_in_another_thread() -> None:
    """The function of a timer is called in another thread when the block takes too long."""
    watch, expired = Watchdog(), Event()
    with watch.limit(monotonic() + 0.01, expired.set) as timer:
        assert expired.wait(PATIENCE)
    assert timer.expired


def test_earliest_timer_expires_first() -> None:
    """A timer that is set later and expires sooner is called first."""
    watch, late, soon = Watchdog(), Event(), Event()
    with (
        watch.limit(monotonic() + PATIENCE, late.set),
        watch.limit(monotonic() + 0.01, soon.set),
    ):
        assert soon.wait(PATIENCE)
        assert not late.is_set()


def test_timer_does_not_expire_after_its_block() -> None:
    """The function of a timer is never called after the block."""
    watch, early, other = Watchdog(), Event(), Event()
    with watch.limit(monotonic() + 0.02, early.set):
        pass
    with watch.limit(monotonic() + 0.04, other.set):
        assert other.wait(PATIENCE)
    assert not early.is_set()


def test_timer_can_be_moved() -> None:
    """A timer without a deadline can get one."""
    watch, expired = Watchdog(), Event()
    with watch.limit(inf, expired.set) as timer:
        watch.move(timer, monotonic())
        assert expired.wait(PATIENCE)


def test_thread_ends_and_restarts() -> None:
    """Without timers the thread ends after a while, and the next timer starts another."""
    watch = Watchdog(linger=0.01)
    for _ in range(2):
        before = set(threading.enumerate())
        expired = Event()
        with watch.limit(monotonic(), expired.set):
            assert expired.wait(PATIENCE)
            (ours,) = set(threading.enumerate()) - before
        ours.join(PATIENCE)
        assert not ours.is_alive()


@pytest.mark.parametrize("held", [False, True])
def test_forked_child_has_its_own_watchdog(held: bool) -> None:
    """A forked child waits for neither its parent's thread nor a lock that this held."""
    watch = Watchdog()

    def on_expiry() -> bool:
        expired = Event()
        with watch.limit(monotonic(), expired.set):
            return expired.wait(PATIENCE)

    assert on_expiry()
    if held:
        with watch._changed:  # noqa: SLF001 - as a thread that is forked in it
            assert in_a_child(on_expiry)
    else:
        start_afresh()
        assert on_expiry()
