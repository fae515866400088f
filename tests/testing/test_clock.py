"""Virtual clocks, which move only when a test moves them, and their sleepers."""

import asyncio
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import cast

import pytest

from moorage.errors import ConfigurationError, InvalidData
from moorage.testing import clock_conformance as kit
from moorage.testing.fakes.clock import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
from moorage.testing.kits.checks import interrupted_results, name_of


def clock_and_sleeper() -> tuple[VirtualClock, VirtualSleeper]:
    """Return a virtual clock, and a sleeper that advances it."""
    clock = VirtualClock()
    return clock, VirtualSleeper(clock)


def jumping_clock() -> tuple[VirtualClock, AsyncVirtualSleeper]:
    """Return a clock that jumps ahead when all tasks sleep, and its sleeper."""
    clock = VirtualClock()
    return clock, AsyncVirtualSleeper(clock, autojump=True)


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_virtual_clock_passes_conformance_checks_of_clocks(check: kit.Check) -> None:
    """A virtual clock passes the conformance checks of clocks."""
    check(VirtualClock)


@pytest.mark.parametrize("check", kit.SLEEPER_CHECKS, ids=name_of)
def test_sleeper_that_advances_clock_passes_conformance_checks_of_sleepers(
    check: kit.SleeperCheck,
) -> None:
    """A sleeper that advances a virtual clock passes the conformance checks of sleepers."""
    check(clock_and_sleeper)


@pytest.mark.parametrize("check", kit.ASYNC_SLEEPER_CHECKS, ids=name_of)
def test_async_sleeper_conforms(check: kit.AsyncSleeperCheck) -> None:
    """A sleeper that waits for a clock's jump passes the conformance checks of sleepers."""
    asyncio.run(check(jumping_clock))


def test_virtual_clock_moves_only_by_advance() -> None:
    """Only `advance` moves a virtual clock; it moves wall time and monotonic time equally."""
    clock = VirtualClock(datetime(2031, 5, 1, tzinfo=UTC))

    assert (0, datetime(2031, 5, 1, tzinfo=UTC)) == (clock.nanoseconds(), clock.utc())
    clock.advance(1.5)
    clock.advance(timedelta(hours=1))
    assert 3_601_500_000_000 == clock.nanoseconds()
    assert datetime(2031, 5, 1, 1, 0, 1, 500_000, tzinfo=UTC) == clock.utc()


@pytest.mark.parametrize("seconds", [-1, -timedelta(seconds=1), math.nan])
def test_time_does_not_go_back(seconds: float | timedelta) -> None:
    """A virtual clock cannot be advanced by a negative time."""
    with pytest.raises(InvalidData, match="go back"):
        VirtualClock().advance(seconds)


@pytest.mark.parametrize("hours", [-1, 1])
def test_wall_time_can_be_set(hours: int) -> None:
    """The wall time of a virtual clock can be set forward or back while no time passes."""
    clock = VirtualClock()
    first_time = clock.utc()

    clock.step_utc(timedelta(hours=hours))

    assert (0, timedelta(hours=hours)) == (clock.nanoseconds(), clock.utc() - first_time)


def test_alarms_ring_in_order() -> None:
    """Alarms ring once, in order of their times; a cancelled alarm never rings."""
    clock, ring_times = VirtualClock(), list[int]()

    def ring() -> None:
        ring_times.append(clock.nanoseconds())

    clock.call_at(3, ring)
    call_off = clock.call_at(2, ring)
    clock.call_at(1, ring)
    clock.call_at(9, ring)
    call_off()
    call_off()
    clock.advance_to(5)

    assert ([1, 3], 5) == (ring_times, clock.nanoseconds())
    assert clock.advance_to_next_alarm()
    assert ([1, 3, 9], 9) == (ring_times, clock.nanoseconds())
    assert not clock.advance_to_next_alarm()


def test_late_alarm_does_not_set_the_clock_back() -> None:
    """An alarm for a time in the past rings when the clock next moves."""
    clock, ring_times = VirtualClock(), list[int]()
    clock.advance_to(10)
    clock.call_at(3, lambda: ring_times.append(clock.nanoseconds()))

    clock.advance(0)

    assert [10] == ring_times


def test_sleeps_are_remembered() -> None:
    """A sleep on a virtual clock advances the clock and is recorded."""
    clock, sleeper = clock_and_sleeper()
    for seconds in (1.5, 0, -1):
        sleeper.sleep(seconds)

    assert ([1.5, 0, -1], 1_500_000_000) == (sleeper.sleeps, clock.nanoseconds())


def test_tasks_wake_when_the_clock_is_advanced() -> None:
    """A sleeping task wakes when the clock reaches the task's waking time, and not earlier."""

    async def sleep_for() -> list[bool]:
        clock = VirtualClock()
        sleeper = AsyncVirtualSleeper(clock)
        task = asyncio.create_task(sleeper.sleep(2))
        await asyncio.sleep(0)
        awake_tasks = []
        for seconds in (1.5, 0.5):
            clock.advance(seconds)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            awake_tasks.append(task.done())
        return awake_tasks

    assert [False, True] == asyncio.run(sleep_for())


def test_the_clock_may_be_advanced_in_another_thread() -> None:
    """A sleeping task wakes in its own event loop, whichever thread advances the clock."""

    async def sleep_for() -> None:
        clock = VirtualClock()
        task = asyncio.create_task(AsyncVirtualSleeper(clock).sleep(math.inf))
        await asyncio.sleep(0)
        thread = threading.Thread(target=clock.advance_to_next_alarm)
        thread.start()
        await task
        thread.join()

    asyncio.run(sleep_for())


def test_a_sleeper_may_be_cancelled_as_it_is_woken() -> None:
    """If a task is cancelled at the moment it is woken, no other task is affected."""

    async def sleep_for() -> bool:
        clock = VirtualClock()
        task = asyncio.create_task(AsyncVirtualSleeper(clock).sleep(1))
        await asyncio.sleep(0)
        thread = threading.Thread(target=clock.advance_to_next_alarm)
        thread.start()
        thread.join()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(sleep_for())


def test_the_clock_jumps_from_nap_to_nap() -> None:
    """On a jumping clock, sleeps of an hour take no real time, yet each task sees an hour pass."""
    clock, sleeper = jumping_clock()
    nap_ends: list[tuple[str, float]] = []

    async def sleep_for(name: str, seconds: float, times: int) -> None:
        for _ in range(times):
            await sleeper.sleep(seconds)
            nap_ends.append((name, clock.nanoseconds() / 1e9))

    async def everybody() -> None:
        await asyncio.gather(
            sleep_for("a", 1_000, 3), sleep_for("b", 1_500, 2), sleep_for("c", 0, 1)
        )

    asyncio.run(everybody())

    expected = [("c", 0), ("a", 1000), ("b", 1500), ("a", 2000), ("a", 3000), ("b", 3000)]
    assert expected == sorted(nap_ends, key=lambda nap: (nap[1], nap[0]))
    assert [1_000, 1_500, 0, 1_000, 1_500, 1_000] == sleeper.sleeps


def test_jumping_clock_does_not_move_while_task_is_running() -> None:
    """A jumping clock does not move while a task is running."""
    clock, sleeper = jumping_clock()
    seen_times: list[int] = []

    async def record_times() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
            seen_times.append(clock.nanoseconds())

    async def everybody() -> None:
        await asyncio.gather(sleeper.sleep(1), record_times())

    asyncio.run(everybody())

    assert {0} == set(seen_times)
    assert 1_000_000_000 == clock.nanoseconds()


class _OpaqueLoop:
    """An event loop whose pending work cannot be inspected."""

    def create_future(self) -> asyncio.Future[None]:
        """Return a future of another event loop."""
        return asyncio.Future(loop=asyncio.new_event_loop())


def test_jumping_needs_a_loop_that_can_be_watched() -> None:
    """A jumping sleeper refuses an event loop whose pending work cannot be inspected."""
    _, sleeper = jumping_clock()

    with pytest.raises(ConfigurationError, match="_OpaqueLoop"):
        sleeper.watch(cast("asyncio.AbstractEventLoop", _OpaqueLoop()))


def test_jumping_sleeper_serves_another_loop() -> None:
    """A jumping sleeper works in a new event loop after one was closed with a sleeping task."""
    _, sleeper = jumping_clock()

    async def leave_a_sleeper() -> None:
        sleeping.append(asyncio.ensure_future(sleeper.sleep(5)))
        await asyncio.sleep(0)

    sleeping: list[asyncio.Future[None]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_sleeper())
    loop.close()

    async def sleep_again() -> None:
        async with asyncio.timeout(5):
            await sleeper.sleep(10)

    asyncio.run(sleep_again())


@pytest.mark.untraced
def test_no_advance_of_several_threads_is_lost() -> None:
    """The clock adds up the seconds by which several threads advance it."""

    def two_calls(_: int) -> tuple[Callable[[], None], Callable[[], None]]:
        clocks.append(VirtualClock())
        return partial(clocks[-1].advance, 1), partial(clocks[-1].advance, 1)

    clocks: list[VirtualClock] = []
    for _ in interrupted_results(two_calls, "`advance` did not return."):
        assert 2_000_000_000 == clocks[-1].nanoseconds()
