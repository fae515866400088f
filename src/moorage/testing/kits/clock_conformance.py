"""Checks that every clock and every sleeper must pass.

```python
import pytest

from moorage.adapters.clocks.system import SystemClock  # yours
from moorage.testing import clock_conformance, name_of


@pytest.mark.parametrize("check", clock_conformance.CHECKS, ids=name_of)
def test_clock(check):
    check(SystemClock)
```

`SLEEPER_CHECKS` and `ASYNC_SLEEPER_CHECKS` take a function that makes a clock and a sleeper which
agree about time; the checks of the latter are awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, TypeAlias

from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
from moorage.testing.kits.checks import require

Clocks: TypeAlias = Callable[[], Clock]
Sleepers: TypeAlias = Callable[[], tuple[Clock, Sleeper]]
AsyncSleepers: TypeAlias = Callable[[], tuple[Clock, AsyncSleeper]]
Check: TypeAlias = Callable[[Clocks], None]
SleeperCheck: TypeAlias = Callable[[Sleepers], None]
AsyncSleeperCheck: TypeAlias = Callable[[AsyncSleepers], Coroutine[Any, Any, None]]

_NAPS: Final = (0.0, 0.000_000_1, 0.000_3, 0.001_7, 0.004)


def nanoseconds_never_go_back(clocks: Clocks) -> None:
    """A clock's readings are whole numbers that never decrease."""
    clock = clocks()
    readings = [clock.nanoseconds() for _ in range(1_000)]
    require(all(type(reading) is int for reading in readings), "nanoseconds() must be an int.")
    require(sorted(readings) == readings, "nanoseconds() returned an earlier time than before.")


def utc_is_aware(clocks: Clocks) -> None:
    """A clock's date and time are in UTC."""
    now = clocks().utc()
    require(now.utcoffset() == timedelta(0), f"utc() must be aware and in UTC, not {now!r}.")


def sleep_is_never_early(sleepers: Sleepers) -> None:
    """A sleep takes at least the requested time, measured by a clock."""
    clock, sleeper = sleepers()
    for seconds in _NAPS:
        start = clock.nanoseconds()
        sleeper.sleep(seconds)
        _require_duration(seconds, clock.nanoseconds() - start)


async def async_sleep_is_never_early(sleepers: AsyncSleepers) -> None:
    """An asynchronous sleep takes at least the requested time, measured by a clock."""
    clock, sleeper = sleepers()
    for seconds in _NAPS:
        start = clock.nanoseconds()
        await sleeper.sleep(seconds)
        _require_duration(seconds, clock.nanoseconds() - start)


async def sleeping_lets_others_run(sleepers: AsyncSleepers) -> None:
    """Other tasks run during a sleep, even of zero seconds."""
    _, sleeper = sleepers()
    for seconds in (0.0, 0.001):
        other_task = asyncio.ensure_future(_answer())
        await sleeper.sleep(seconds)
        has_run = other_task.done()
        other_task.cancel()
        require(has_run, f"No other task ran during a sleep of {seconds} s.")


async def sleepers_wake_in_time_order(sleepers: AsyncSleepers) -> None:
    """Tasks that sleep concurrently wake in order of their durations."""
    _, sleeper = sleepers()
    woken_numbers: list[float] = []

    async def sleep_for(seconds: float) -> None:
        await sleeper.sleep(seconds)
        woken_numbers.append(seconds)

    naps = (0.03, 0.015, 0.0)
    await asyncio.gather(*map(sleep_for, naps))
    require(sorted(naps) == woken_numbers, f"Sleepers woke in the order {woken_numbers}.")


async def cancelling_ends_a_sleep(sleepers: AsyncSleepers) -> None:
    """Cancelling a sleeping task ends its sleep, and the task gets the cancellation."""
    _, sleeper = sleepers()
    task = asyncio.ensure_future(sleeper.sleep(86_400.0))
    # The task starts to sleep, and is cancelled before a virtual clock could advance.
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.wait([task])
    require(task.cancelled(), "A cancelled sleep ended without a cancellation error.")


async def _answer() -> None:
    """Do nothing; this task must run during another task's sleep."""


def _require_duration(seconds: float, slept: int) -> None:
    require(slept >= seconds * 1e9, f"A sleep of {seconds} s took only {slept} ns.")


CHECKS: Final[tuple[Check, ...]] = (nanoseconds_never_go_back, utc_is_aware)

SLEEPER_CHECKS: Final[tuple[SleeperCheck, ...]] = (sleep_is_never_early,)

ASYNC_SLEEPER_CHECKS: Final[tuple[AsyncSleeperCheck, ...]] = (
    async_sleep_is_never_early,
    sleeping_lets_others_run,
    sleepers_wake_in_time_order,
    cancelling_ends_a_sleep,
)
