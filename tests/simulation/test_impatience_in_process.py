"""Places of a bulkhead, batches of calls and shared trips under callers who give up."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage import (
    AsyncConnectorManager,
    Bulkhead,
    BulkheadConfig,
    BulkheadFull,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    Service,
)
from moorage.adapters.concurrency.locks_async import AsyncioLocks
from moorage.adapters.concurrency.places import Places
from tests.simulation.virtual_loop import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage import Result

    Patience = Callable[[random.Random], float]

pytestmark = pytest.mark.untraced

PLACES, TAKES, QUEUE, LONGEST = 4, 0.2, 400, 2.0
BOUND = PLACES / TAKES
"""Calls a second that the places allow."""

SPAN = 12
PATIENCE: dict[str, Patience] = {
    "a shared time-out": lambda _: 1.0,
    "at random": lambda chance: chance.uniform(0.0, 3.0),
    "nine in ten": lambda chance: 30.0 if chance.random() < 0.1 else chance.uniform(0.0, 2.0),
}


class Visits:
    """Tasks that visit a bulkhead, and what became of each."""

    def __init__(self, *, max_wait: float | None = LONGEST) -> None:
        self.places = Places()
        self.bulkhead = Bulkhead(
            PLACES, QUEUE, max_wait=max_wait, async_locks=AsyncioLocks(self.places)
        )
        self.entered: list[tuple[float, float]] = []
        self.waited: list[float] = []
        self.inside = self.most = 0

    async def visit(self, patience: float, takes: float = TAKES) -> None:
        """Be inside for so long, unless the caller or the bulkhead gives up before."""
        loop = asyncio.get_running_loop()
        came = loop.time()
        try:
            async with asyncio.timeout(patience) as bound:
                async with self.bulkhead.guard():
                    bound.reschedule(None)
                    self.entered.append((came, loop.time()))
                    self.inside += 1
                    self.most = max(self.most, self.inside)
                    await asyncio.sleep(takes)
                    self.inside -= 1
        except (TimeoutError, BulkheadFull):
            pass
        finally:
            self.waited.append(min(loop.time() - came, patience))


async def arriving(times: list[float], visit: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a visit at each of these times, and wait for all."""
    loop, tasks = asyncio.get_running_loop(), []
    for time in times:
        await asyncio.sleep(time - loop.time())
        tasks.append(asyncio.ensure_future(visit()))
    await asyncio.gather(*tasks)


def steady(load: float) -> list[float]:
    """Arrivals at random, so many a second."""
    chance, time, times = random.Random(1), 0.0, []
    while time < SPAN:
        time += chance.expovariate(load)
        times.append(time)
    return times


@pytest.mark.parametrize("patience", PATIENCE)
@pytest.mark.parametrize("load", [28, 200])
def test_impatience_leaves_the_places_of_a_bulkhead_used(load: int, patience: str) -> None:
    """Nine tenths of the places are used, in order of arrival, and nobody waits too long."""
    visits, chance = Visits(), random.Random(2)

    run(arriving(steady(load), lambda: visits.visit(PATIENCE[patience](chance))))

    used = sum(1 for _, entered in visits.entered if SPAN / 2 <= entered < SPAN)
    assert used >= 0.9 * BOUND * SPAN / 2
    assert visits.entered == sorted(visits.entered)
    assert max(entered - came for came, entered in visits.entered) <= LONGEST + 1e-6
    assert PLACES == visits.most
    assert set() == visits.places.names()


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
def test_bulkhead_that_everybody_leaves_serves_the_next_at_once(order: int) -> None:
    """Whoever gives up in the queue holds no place, in whatever order they go."""

    async def crowded() -> list[float]:
        visits, loop = Visits(max_wait=None), asyncio.get_running_loop()
        inside = [asyncio.ensure_future(visits.visit(30.0)) for _ in range(PLACES)]
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(visits.visit(30.0)) for _ in range(60)]
        await asyncio.sleep(TAKES / 2)
        for task in waiting[::order]:
            task.cancel()
            await asyncio.sleep(0)
        next_ones = [asyncio.ensure_future(visits.visit(30.0)) for _ in range(PLACES)]
        await asyncio.gather(*inside, *next_ones)
        assert set() == visits.places.names()
        late = loop.time()
        await asyncio.gather(*(visits.visit(30.0) for _ in range(PLACES)))
        assert 3 * PLACES == len(visits.entered)
        return [late, *(entered for _, entered in visits.entered)]

    late, *entered = run(crowded())
    assert [0.0] * PLACES == entered[:PLACES]
    assert entered[PLACES : 2 * PLACES] == pytest.approx([TAKES] * PLACES)
    assert [late] * PLACES == entered[2 * PLACES :]


@pytest.mark.parametrize("patience", PATIENCE)
def test_after_overload_a_bulkhead_heals_at_once(patience: str) -> None:
    """Once the crowd has gone, nobody below the bound is refused."""
    visits, chance = Visits(), random.Random(2)
    overload = [time for time in steady(200) if time < 8]
    calm = [11 + item / 15 for item in range(15 * 10)]
    run(arriving([*overload, *calm], lambda: visits.visit(PATIENCE[patience](chance))))

    late = [entered - came for came, entered in visits.entered if came >= 11 + TAKES]
    assert len(late) >= 0.9 * 15 * (10 - TAKES)
    assert max(late) <= TAKES


# --- call_many ---

RATE, BURST, MANY = 20, 12, 8


class Vendor:
    """A vendor that takes a moment, and knows when it was called."""

    def __init__(self, takes: float = 0.05) -> None:
        self.times: list[float] = []
        self._takes = takes

    async def send(self, *_: object) -> Response:
        """Answer after a moment."""
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._takes)
        return Response(200)

    async def close(self) -> None:
        """Nothing to close."""


class LoopClock:
    """The time of the running loop."""

    def nanoseconds(self) -> int:
        """Nanoseconds since the loop was made."""
        return round(asyncio.get_running_loop().time() * 1e9)

    def utc(self) -> datetime:
        """A day, and the time of the loop."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.nanoseconds() // 1000)


class LoopSleeper:
    """Sleeps by the running loop."""

    async def sleep(self, seconds: float, /) -> None:
        """Let others go on for so long."""
        await asyncio.sleep(seconds)


class Batches:
    """Tasks that each have many requests sent, and give up all at once."""

    def __init__(self, **options: Any) -> None:
        self.vendor = Vendor()
        service = Service("vat", base_url="https://vat.example", timeout=30, **options)
        self.manager = AsyncConnectorManager(
            [service], http=cast("Any", self.vendor), clock=LoopClock(), sleeper=LoopSleeper()
        )
        self.results: list[tuple[float, Result[Response]]] = []

    async def batch(self, patience: float = 30.0, each: float | None = None) -> None:
        """Send many requests, for so long at most."""
        loop = asyncio.get_running_loop()
        came, requests = loop.time(), [Request.get("/")] * MANY
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                results = await self.manager.call_many("vat", requests, timeout=each, at_once=MANY)
                self.results += [(loop.time() - came, result) for result in results]


def allowed(visits: list[tuple[float, float]], burst: int) -> list[float]:
    """When a limit that knew who gives up would let callers go, in order of arrival."""
    gone, due = [], 0.0
    for came, patience in visits:
        for _ in range(MANY):
            time = max(came, due - (burst - 1) / RATE)
            if time <= came + patience:
                gone.append(time)
                due = max(due, time) + 1 / RATE
    return gone


@pytest.mark.parametrize("patience", PATIENCE)
@pytest.mark.parametrize("burst", [1, BURST])
@pytest.mark.parametrize("load", [28, 200])
def test_batches_that_give_up_leave_a_limit_used(load: int, burst: int, patience: str) -> None:
    """Nine tenths of what a limit allows are used, and never more."""
    chance = random.Random(2)
    visits = [(time, PATIENCE[patience](chance)) for time in steady(load / MANY)]
    waits = iter([wait for _, wait in visits])

    async def work() -> list[float]:
        batches = Batches(limits=[RateLimitConfig.per_second(RATE, burst=burst)])
        await arriving([time for time, _ in visits], lambda: batches.batch(next(waits)))
        return batches.vendor.times

    times = run(work())
    used, bound = (
        sum(1 for time in gone if SPAN / 2 <= time < SPAN)
        for gone in (times, allowed(visits, burst))
    )
    assert used >= 0.9 * bound
    for first, time in enumerate(times):
        for last in range(first, min(first + 4 * RATE, len(times))):
            assert last - first + 1 <= burst + RATE * (times[last] - time + 1e-5)


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
@pytest.mark.parametrize("guard", ["limit", "bulkhead"])
def test_batches_that_all_give_up_leave_the_next_caller_alone(guard: str, order: int) -> None:
    """Batches that are cancelled give back places and turns, in whatever order they go."""
    options: dict[str, dict[str, Any]] = {
        "limit": {"limits": [RateLimitConfig.per_second(RATE, burst=BURST)]},
        "bulkhead": {"bulkhead": BulkheadConfig(PLACES, QUEUE)},
    }

    async def work() -> float:
        batches, loop = Batches(**options[guard]), asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(batches.batch()) for _ in range(9)]
        await asyncio.sleep(0.01)
        for task in tasks[::order]:
            task.cancel()
            await asyncio.sleep(0)
        began = loop.time()
        await batches.manager.call("vat", Request.get("/"))
        assert 1 + (BURST if guard == "limit" else PLACES) == len(batches.vendor.times)
        return batches.vendor.times[-1] - began

    assert run(work()) <= 1 / RATE + 1e-6


def test_request_of_a_batch_waits_no_longer_than_its_time_out() -> None:
    """A request that its limit cannot let go in time is refused, and others have its turn."""

    async def work() -> Batches:
        batches = Batches(limits=[RateLimitConfig.per_second(RATE, burst=BURST)])
        await arriving(steady(60 / MANY), lambda: batches.batch(each=1.0))
        return batches

    batches = run(work())
    waits = [wait for wait, _ in batches.results]
    assert max(waits) <= 1.0 + 0.05
    refused = [result.error for _, result in batches.results if result.error is not None]
    assert {RateLimitExceeded} == {type(error) for error in refused}
    assert sum(1 for time in batches.vendor.times if time < SPAN) >= 0.9 * RATE * SPAN
