"""Bulkheads, batches of calls and shared store commands whose callers stop waiting."""

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
from moorage.adapters.concurrency.semaphore_slots import SlotHolders
from tests.simulation.virtual_loop import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage import Result

    Patience = Callable[[random.Random], float]

pytestmark = pytest.mark.untraced

PLACES, HOLD_SECONDS, QUEUE, LONGEST = 4, 0.2, 400, 2.0
BOUND = PLACES / HOLD_SECONDS
"""Calls a second that the bulkhead's slots allow."""

SPAN = 12
PATIENCE: dict[str, Patience] = {
    "a shared time-out": lambda _: 1.0,
    "at random": lambda chance: chance.uniform(0.0, 3.0),
    "nine in ten": lambda chance: 30.0 if chance.random() < 0.1 else chance.uniform(0.0, 2.0),
}


class BulkheadVisits:
    """Tasks that each wait for a slot of a bulkhead, and the outcome of each."""

    def __init__(self, *, max_wait: float | None = LONGEST) -> None:
        self.places = SlotHolders()
        self.bulkhead = Bulkhead(
            PLACES, QUEUE, max_wait=max_wait, async_locks=AsyncioLocks(self.places)
        )
        self.entered: list[tuple[float, float]] = []
        self.waited: list[float] = []
        self.inside = self.most = 0

    async def hold_slot(self, patience: float, takes: float = HOLD_SECONDS) -> None:
        """Hold a bulkhead slot for a while, unless the caller or the bulkhead gives up."""
        loop = asyncio.get_running_loop()
        arrived_at = loop.time()
        try:
            async with asyncio.timeout(patience) as bound:
                async with self.bulkhead.guard():
                    bound.reschedule(None)
                    self.entered.append((arrived_at, loop.time()))
                    self.inside += 1
                    self.most = max(self.most, self.inside)
                    await asyncio.sleep(takes)
                    self.inside -= 1
        except (TimeoutError, BulkheadFull):
            pass
        finally:
            self.waited.append(min(loop.time() - arrived_at, patience))


async def start_visits(
    times: list[float], hold_slot: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Start a task for the bulkhead at each of these times, and wait until all have ended."""
    loop, tasks = asyncio.get_running_loop(), []
    for time in times:
        await asyncio.sleep(time - loop.time())
        tasks.append(asyncio.ensure_future(hold_slot()))
    await asyncio.gather(*tasks)


def steady_arrivals(load: float) -> list[float]:
    """Return random arrival times, with the given average number of arrivals per second."""
    generator, time, times = random.Random(1), 0.0, []
    while time < SPAN:
        time += generator.expovariate(load)
        times.append(time)
    return times


@pytest.mark.parametrize("patience", PATIENCE)
@pytest.mark.parametrize("load", [28, 200])
def test_bulkhead_stays_utilised(load: int, patience: str) -> None:
    """Although callers give up, nine tenths of a bulkhead's slots are used, in order of arrival."""
    visits, generator = BulkheadVisits(), random.Random(2)

    run(
        start_visits(steady_arrivals(load), lambda: visits.hold_slot(PATIENCE[patience](generator)))
    )

    used_count = sum(1 for _, entered_at in visits.entered if SPAN / 2 <= entered_at < SPAN)
    assert used_count >= 0.9 * BOUND * SPAN / 2
    assert visits.entered == sorted(visits.entered)
    assert (
        max(entered_at - arrived_at for arrived_at, entered_at in visits.entered) <= LONGEST + 1e-6
    )
    assert PLACES == visits.most
    assert set() == visits.places.names()


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
def test_abandoned_queue_holds_no_slot(order: int) -> None:
    """Callers that leave a bulkhead's queue, in any order, hold no slot."""

    async def run_crowd() -> list[float]:
        visits, loop = BulkheadVisits(max_wait=None), asyncio.get_running_loop()
        inner_tasks = [asyncio.ensure_future(visits.hold_slot(30.0)) for _ in range(PLACES)]
        await asyncio.sleep(0)
        waiters = [asyncio.ensure_future(visits.hold_slot(30.0)) for _ in range(60)]
        await asyncio.sleep(HOLD_SECONDS / 2)
        for task in waiters[::order]:
            task.cancel()
            await asyncio.sleep(0)
        next_ones = [asyncio.ensure_future(visits.hold_slot(30.0)) for _ in range(PLACES)]
        await asyncio.gather(*inner_tasks, *next_ones)
        assert set() == visits.places.names()
        late_start = loop.time()
        await asyncio.gather(*(visits.hold_slot(30.0) for _ in range(PLACES)))
        assert 3 * PLACES == len(visits.entered)
        return [late_start, *(entered_at for _, entered_at in visits.entered)]

    late_start, *entry_times = run(run_crowd())
    assert [0.0] * PLACES == entry_times[:PLACES]
    assert entry_times[PLACES : 2 * PLACES] == pytest.approx([HOLD_SECONDS] * PLACES)
    assert [late_start] * PLACES == entry_times[2 * PLACES :]


@pytest.mark.parametrize("patience", PATIENCE)
def test_bulkhead_recovers_after_overload(patience: str) -> None:
    """After an overload, a bulkhead soon serves nine tenths of the calls that fit its slots."""
    visits, generator = BulkheadVisits(), random.Random(2)
    overload = [time for time in steady_arrivals(200) if time < 8]
    later_visits = [11 + item / 15 for item in range(15 * 10)]
    run(
        start_visits(
            [*overload, *later_visits], lambda: visits.hold_slot(PATIENCE[patience](generator))
        )
    )

    late_waits = [
        entered_at - arrived_at
        for arrived_at, entered_at in visits.entered
        if arrived_at >= 11 + HOLD_SECONDS
    ]
    assert len(late_waits) >= 0.9 * 15 * (10 - HOLD_SECONDS)
    assert max(late_waits) <= HOLD_SECONDS


# --- call_many ---

RATE, BURST, MANY = 20, 12, 8


class Vendor:
    """A vendor with a short latency, which records the times of its requests."""

    def __init__(self, takes: float = 0.05) -> None:
        self.times: list[float] = []
        self._takes = takes

    async def send(self, *_: object) -> Response:
        """Return a response after a short delay."""
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._takes)
        return Response(200)

    async def close(self) -> None:
        """Do nothing; the fake vendor has no connections."""


class LoopClock:
    """A clock that shows the time of the running event loop."""

    def nanoseconds(self) -> int:
        """Return nanoseconds since the loop was created."""
        return round(asyncio.get_running_loop().time() * 1e9)

    def utc(self) -> datetime:
        """Return a fixed date plus the time of the loop."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.nanoseconds() // 1000)


class LoopSleeper:
    """A sleeper that sleeps in the running event loop."""

    async def sleep(self, seconds: float, /) -> None:
        """Sleep for this many seconds of the loop's time."""
        await asyncio.sleep(seconds)


class AbandonedBatches:
    """Tasks that each send a batch of requests and are all cancelled at once."""

    def __init__(self, **options: Any) -> None:
        self.vendor = Vendor()
        service = Service("vat", base_url="https://vat.example", timeout=30, **options)
        self.manager = AsyncConnectorManager(
            [service], http=cast("Any", self.vendor), clock=LoopClock(), sleeper=LoopSleeper()
        )
        self.results: list[tuple[float, Result[Response]]] = []

    async def batch(self, patience: float = 30.0, each: float | None = None) -> None:
        """Send a batch of requests, and cancel it after this time."""
        loop = asyncio.get_running_loop()
        arrived_at, requests = loop.time(), [Request.get("/")] * MANY
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                results = await self.manager.call_many("vat", requests, timeout=each, at_once=MANY)
                self.results += [(loop.time() - arrived_at, result) for result in results]


def ideal_times(visits: list[tuple[float, float]], burst: int) -> list[float]:
    """Return the times at which an ideal rate limit would grant the calls, in order of arrival."""
    departure_times, next_due = [], 0.0
    for arrived_at, patience in visits:
        for _ in range(MANY):
            time = max(arrived_at, next_due - (burst - 1) / RATE)
            if time <= arrived_at + patience:
                departure_times.append(time)
                next_due = max(next_due, time) + 1 / RATE
    return departure_times


@pytest.mark.parametrize("patience", PATIENCE)
@pytest.mark.parametrize("burst", [1, BURST])
@pytest.mark.parametrize("load", [28, 200])
def test_limit_stays_utilised_by_batches(load: int, burst: int, patience: str) -> None:
    """Although batches give up, between nine tenths and all of a rate limit are used."""
    generator = random.Random(2)
    visits = [(time, PATIENCE[patience](generator)) for time in steady_arrivals(load / MANY)]
    arrival_patience = iter([wait for _, wait in visits])

    async def run_batches() -> list[float]:
        batches = AbandonedBatches(limits=[RateLimitConfig.per_second(RATE, burst=burst)])
        await start_visits(
            [time for time, _ in visits], lambda: batches.batch(next(arrival_patience))
        )
        return batches.vendor.times

    times = run(run_batches())
    used_count, bound = (
        sum(1 for time in departure_times if SPAN / 2 <= time < SPAN)
        for departure_times in (times, ideal_times(visits, burst))
    )
    assert used_count >= 0.9 * bound
    for first, time in enumerate(times):
        for last_index in range(first, min(first + 4 * RATE, len(times))):
            assert last_index - first + 1 <= burst + RATE * (times[last_index] - time + 1e-5)


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
@pytest.mark.parametrize("guard", ["limit", "bulkhead"])
def test_cancelled_batches_release_everything(guard: str, order: int) -> None:
    """Batches that are cancelled in any order release their bulkhead slots and tokens."""
    options: dict[str, dict[str, Any]] = {
        "limit": {"limits": [RateLimitConfig.per_second(RATE, burst=BURST)]},
        "bulkhead": {"bulkhead": BulkheadConfig(PLACES, QUEUE)},
    }

    async def run_batches() -> float:
        batches, loop = AbandonedBatches(**options[guard]), asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(batches.batch()) for _ in range(9)]
        await asyncio.sleep(0.01)
        for task in tasks[::order]:
            task.cancel()
            await asyncio.sleep(0)
        start_time = loop.time()
        await batches.manager.call("vat", Request.get("/"))
        assert 1 + (BURST if guard == "limit" else PLACES) == len(batches.vendor.times)
        return batches.vendor.times[-1] - start_time

    assert run(run_batches()) <= 1 / RATE + 1e-6


def test_batch_request_respects_its_timeout() -> None:
    """A batched request that times out in its rate limit's queue leaves its token to others."""

    async def run_batches() -> AbandonedBatches:
        batches = AbandonedBatches(limits=[RateLimitConfig.per_second(RATE, burst=BURST)])
        await start_visits(steady_arrivals(60 / MANY), lambda: batches.batch(each=1.0))
        return batches

    batches = run(run_batches())
    waits = [wait for wait, _ in batches.results]
    assert max(waits) <= 1.0 + 0.05
    refused_errors = [result.error for _, result in batches.results if result.error is not None]
    assert {RateLimitExceeded} == {type(error) for error in refused_errors}
    assert sum(1 for time in batches.vendor.times if time < SPAN) >= 0.9 * RATE * SPAN
