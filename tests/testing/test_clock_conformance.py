"""The conformance kit for clocks and sleepers finds faulty ones."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from moorage.adapters.clocks.system import SystemClock
from moorage.testing import clock_conformance as kit


class _FaultyClock:
    """A clock with a chosen fault."""

    def __init__(self, reading: Callable[[], int], watch: Callable[[], datetime]) -> None:
        self._reading = reading
        self._watch = watch

    def nanoseconds(self) -> int:
        return self._reading()

    def utc(self) -> datetime:
        return self._watch()


def _utc() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize("reading", [lambda: -time.monotonic_ns(), time.monotonic, lambda: True])
def test_notices_a_clock_that_counts_wrongly(reading: Callable[[], int]) -> None:
    """The kit reports a clock that goes back, and a clock whose times are not integers."""
    with pytest.raises(AssertionError, match="nanoseconds"):
        kit.nanoseconds_never_go_back(lambda: _FaultyClock(reading, _utc))


@pytest.mark.parametrize("watch", [datetime.now, lambda: datetime.now(UTC).replace(tzinfo=None)])
def test_check_fails_for_a_wall_time_without_a_zone(watch: Callable[[], datetime]) -> None:
    """The kit reports a clock whose wall time has no time zone."""
    with pytest.raises(AssertionError, match="aware"):
        kit.utc_is_aware(lambda: _FaultyClock(time.monotonic_ns, watch))


class _SleeplessClock:
    def sleep(self, seconds: float, /) -> None:
        """Return at once instead of sleeping."""


class _RestlessClock:
    async def sleep(self, seconds: float, /) -> None:
        """Return at once, without letting other tasks run."""


class _BackwardsClock:
    async def sleep(self, seconds: float, /) -> None:
        """Sleep less for longer requests."""
        await asyncio.sleep(0.002 - seconds / 20)


class _UncancellableClock:
    async def sleep(self, seconds: float, /) -> None:
        """Sleep, and return when cancelled instead of raising."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            return


def test_notices_a_sleep_that_is_early() -> None:
    """A sleeper that returns without sleeping fails its check."""
    with pytest.raises(AssertionError, match="took only"):
        kit.sleep_is_never_early(lambda: (SystemClock(), _SleeplessClock()))


@pytest.mark.parametrize(
    "check, sleeper, sentence",
    [
        (kit.async_sleep_is_never_early, _RestlessClock, "took only"),
        (kit.sleeping_lets_others_run, _RestlessClock, "No other task ran"),
        (kit.sleepers_wake_in_time_order, _BackwardsClock, "woke in the order"),
        (
            kit.cancelling_ends_a_sleep,
            _UncancellableClock,
            "A cancelled sleep ended without a cancellation error",
        ),
    ],
)
def test_check_fails_for_a_faulty_async_sleeper(
    check: kit.AsyncSleeperCheck, sleeper: Callable[[], _RestlessClock], sentence: str
) -> None:
    """A sleeper that blocks the event loop, wakes in wrong order or hides a cancellation fails."""
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(lambda: (SystemClock(), sleeper())))
