"""Sleeping in an asyncio event loop."""

import asyncio
import math
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple, Unpack

import pytest

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.clocks.system_async import AsyncioSleeper
from moorage.testing import clock_conformance as kit
from moorage.testing.kits.checks import name_of

Arguments = TypeVarTuple("Arguments")


@pytest.mark.parametrize("check", kit.ASYNC_SLEEPER_CHECKS, ids=name_of)
def test_asyncio_sleeper_passes_conformance_kit(check: kit.AsyncSleeperCheck) -> None:
    """AsyncioSleeper passes the conformance kit."""
    asyncio.run(check(lambda: (SystemClock(), AsyncioSleeper())))


class _EarlyWakingLoop(asyncio.SelectorEventLoop):
    """An event loop that, like some real ones, rounds its timers down to whole milliseconds."""

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return super().call_later(int(delay * 1_000) / 1_000, callback, *args, context=context)


def test_sleep_is_never_too_short_even_if_the_loop_wakes_early() -> None:
    """If an event loop wakes a task too early, the task still sleeps for the whole time."""

    async def sleep_for() -> int:
        clock = SystemClock()
        start = clock.nanoseconds()
        await AsyncioSleeper().sleep(0.0029)
        return clock.nanoseconds() - start

    with asyncio.Runner(loop_factory=_EarlyWakingLoop) as runner:
        assert runner.run(sleep_for()) >= 2_900_000


@pytest.mark.parametrize("seconds", [1e10, 1e300, math.inf])
def test_cancelling_ends_even_the_longest_sleep(seconds: float) -> None:
    """The clock accepts a sleep of any length; cancelling the task ends the sleep."""

    async def cancel_sleep() -> bool:
        task = asyncio.create_task(AsyncioSleeper().sleep(seconds))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancel_sleep())
