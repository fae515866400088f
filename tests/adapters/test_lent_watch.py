"""Ending what blocks when its time is up."""

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


def test_alarm_runs_at_its_deadline() -> None:
    """A block that takes too long is ended from another thread."""
    watch, expired = Watchdog(), Event()
    with watch.limit(monotonic() + 0.01, expired.set) as timer:
        assert expired.wait(PATIENCE)
    assert timer.expired


def test_the_earliest_rings_first() -> None:
    """An alarm that is set later and rings sooner is not waited for."""
    watch, late, soon = Watchdog(), Event(), Event()
    with (
        watch.limit(monotonic() + PATIENCE, late.set),
        watch.limit(monotonic() + 0.01, soon.set),
    ):
        assert soon.wait(PATIENCE)
        assert not late.is_set()


def test_no_alarm_after_the_block() -> None:
    """After the block its alarm never runs."""
    watch, early, other = Watchdog(), Event(), Event()
    with watch.limit(monotonic() + 0.02, early.set):
        pass
    with watch.limit(monotonic() + 0.04, other.set):
        assert other.wait(PATIENCE)
    assert not early.is_set()


def test_an_alarm_can_be_moved() -> None:
    """An alarm that never rings can be made to."""
    watch, expired = Watchdog(), Event()
    with watch.limit(inf, expired.set) as timer:
        watch.move(timer, monotonic())
        assert expired.wait(PATIENCE)


def test_the_thread_leaves_and_comes_back() -> None:
    """Without an alarm the thread ends after a while, and the next alarm starts another."""
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
def test_a_child_has_a_watch_of_its_own(held: bool) -> None:
    """A forked child does not wait for a thread, nor for a lock, that stayed with its parent."""
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
