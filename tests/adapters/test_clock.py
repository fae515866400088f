"""The system clock, and sleeping in a thread."""

import math
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.clocks.system import SystemClock, ThreadSleeper, boot_clock
from moorage.testing import clock_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.support.signals_while_waiting import interrupt_while_waiting

if TYPE_CHECKING:
    from moorage.ports.clock import Clock, Sleeper


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_system_clock_conforms(check: kit.Check) -> None:
    """The system clock passes the conformance kit."""
    check(SystemClock)


@pytest.mark.parametrize("check", kit.SLEEPER_CHECKS, ids=name_of)
def test_thread_sleeper_conforms(check: kit.SleeperCheck) -> None:
    """ThreadSleeper passes the conformance kit."""
    check(lambda: (SystemClock(), ThreadSleeper()))


def test_utc_is_the_time_of_day() -> None:
    """`SystemClock.utc` agrees with `datetime.now`."""
    assert abs(SystemClock().utc() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("number", [None, 9_999])
def test_durations_are_measured_with_monotonic_clock_without_boot_clock(number: int | None) -> None:
    """Without a boot clock, durations are measured with the monotonic clock."""
    assert time.monotonic_ns is boot_clock(number)


def test_boot_clock_is_used_where_it_exists() -> None:
    """If the system has a boot clock, the function `boot_clock` reads the time from this clock."""
    assert boot_clock(time.CLOCK_MONOTONIC)() <= time.monotonic_ns()


@pytest.mark.parametrize("seconds", [1e5, 1e10, 1e300, math.inf])
def test_a_signal_ends_even_the_longest_sleep(seconds: float) -> None:
    """The clock accepts a sleep of any length; an exception in a signal handler ends the sleep."""
    interrupt_while_waiting(lambda: ThreadSleeper().sleep(seconds))


def test_system_clock_and_sleeper_satisfy_their_protocols() -> None:
    """SystemClock and ThreadSleeper satisfy the `Clock` and `Sleeper` protocols."""
    clock: Clock = SystemClock()
    sleeper: Sleeper = ThreadSleeper()

    assert clock.nanoseconds() >= 0
    sleeper.sleep(-1.0)
