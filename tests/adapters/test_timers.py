"""Timeouts of an event loop are grouped by the time at which they expire."""

from __future__ import annotations

import asyncio
import time

import pytest

from moorage.adapters.concurrency import _timers
from moorage.adapters.concurrency._timers import TaskTimeout, start_task_timeout

HOUR = 3600.0
TICK = 1 / 256


def started_timeout(seconds: float) -> TaskTimeout:
    """Return a timeout that was started in the running task."""
    bound = start_task_timeout(seconds)
    assert bound is not None
    return bound


def times_in_memory() -> int:
    """Return the number of expiry times that the running event loop remembers."""
    wheel = _timers._thread_state.wheel  # noqa: SLF001 - the memory of a loop is private
    assert wheel is not None
    assert len(wheel._ticks) == len(wheel._buckets)  # noqa: SLF001 - the memory of a loop is private
    return len(wheel._ticks)  # noqa: SLF001 - the memory of a loop is private


def test_ended_calls_leave_no_times_in_memory() -> None:
    """Expiry times of ended calls are forgotten early, so they do not fill the memory."""

    async def call() -> None:
        for number in range(5_000):
            assert not started_timeout(HOUR + number * TICK).end()
        assert 64 >= times_in_memory()

    asyncio.run(call())


def test_running_calls_keep_their_times() -> None:
    """The timers keep their expiry times while calls run, for any number of calls."""

    async def call() -> None:
        running = [started_timeout(HOUR + number * TICK) for number in range(500)]
        for number in range(500, 5_000):
            started_timeout(HOUR + number * TICK).end()
        assert 500 <= times_in_memory() <= 1_000
        assert not any(bound.end() for bound in running)

    asyncio.run(call())


def test_timeout_expires_after_others_were_forgotten() -> None:
    """A timeout still cancels its task after the expiry times of ended calls were forgotten."""

    async def call() -> None:
        bound = started_timeout(20 * TICK)
        for number in range(1_000):
            started_timeout(TICK + number * TICK / 100).end()
            started_timeout(HOUR + number * TICK).end()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        assert bound.end()

    asyncio.run(call())


def test_timeouts_of_a_task_expire_one_after_another() -> None:
    """If a busy event loop lets two timeouts expire at once, the inner one ends its own block."""

    async def attempt() -> str:
        inner_bound = started_timeout(TICK)
        try:
            await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            if not inner_bound.end():
                return "cancelled"
        return "expired"

    async def call() -> None:
        outer_bound = started_timeout(5 * TICK)
        asyncio.get_running_loop().call_soon(time.sleep, 20 * TICK)
        assert "expired" == await attempt()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(HOUR)
        assert outer_bound.end()

    asyncio.run(call())
