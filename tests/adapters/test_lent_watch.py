"""Ending what blocks when its time is up."""

from __future__ import annotations

import threading
from math import inf
from threading import Event
from time import monotonic

import pytest

from moorage.adapters.concurrency.forking import start_afresh
from moorage.adapters.http.borrowed._watch import Watch
from tests.adapters.forked import in_a_child

PATIENCE = 20.0


def test_an_alarm_rings_in_time() -> None:
    """What goes on for too long is ended from another thread."""
    watch, alarms = Watch(), Event()
    with watch.over(monotonic() + 0.01, alarms.set) as alarm:
        assert alarms.wait(PATIENCE)
    assert alarm.rang


def test_the_earliest_rings_first() -> None:
    """An alarm that is set later and rings sooner is not waited for."""
    watch, late, soon = Watch(), Event(), Event()
    with (
        watch.over(monotonic() + PATIENCE, late.set),
        watch.over(monotonic() + 0.01, soon.set),
    ):
        assert soon.wait(PATIENCE)
        assert not late.is_set()


def test_what_ends_in_time_hears_nothing() -> None:
    """After the block no alarm rings any more."""
    watch, early, other = Watch(), Event(), Event()
    with watch.over(monotonic() + 0.02, early.set):
        pass
    with watch.over(monotonic() + 0.04, other.set):
        assert other.wait(PATIENCE)
    assert not early.is_set()


def test_an_alarm_can_be_moved() -> None:
    """An alarm that never rings can be made to."""
    watch, alarms = Watch(), Event()
    with watch.over(inf, alarms.set) as alarm:
        watch.move(alarm, monotonic())
        assert alarms.wait(PATIENCE)


def test_the_thread_leaves_and_comes_back() -> None:
    """Without an alarm the thread ends after a while, and the next alarm starts another."""
    watch = Watch(linger=0.01)
    for _ in range(2):
        before = set(threading.enumerate())
        alarm = Event()
        with watch.over(monotonic(), alarm.set):
            assert alarm.wait(PATIENCE)
            (ours,) = set(threading.enumerate()) - before
        ours.join(PATIENCE)
        assert not ours.is_alive()


@pytest.mark.parametrize("held", [False, True])
def test_a_child_has_a_watch_of_its_own(held: bool) -> None:
    """A forked child does not wait for a thread, nor for a lock, that stayed with its parent."""
    watch = Watch()

    def ring() -> bool:
        alarm = Event()
        with watch.over(monotonic(), alarm.set):
            return alarm.wait(PATIENCE)

    assert ring()
    if held:
        with watch._changed:  # noqa: SLF001 - as a thread that is forked in it
            assert in_a_child(ring)
    else:
        start_afresh()
        assert ring()
