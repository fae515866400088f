"""Utilisation and recovery of a rate limit whose callers stop waiting."""

from __future__ import annotations

import asyncio
import heapq
import random
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from moorage import RateLimiter
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.gate_commands import GiveBack
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.values.durations import SECOND
from moorage.testing import AsyncVirtualSleeper, VirtualClock
from tests.domain.state_store import NOON, StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.state.commands import Ticket

    Patience = Callable[[random.Random], float]

pytestmark = pytest.mark.untraced

RATE, BURST = 20, 12
SPAN = 16
LIMITS = {
    "one": (RateLimitConfig.per_second(RATE, burst=BURST),),
    "no burst": (RateLimitConfig.per_second(RATE, burst=1),),
    "two": (
        RateLimitConfig.per_second(RATE, burst=BURST),
        RateLimitConfig.per_minute(60 * RATE, burst=300),
    ),
}
PATIENCE: dict[str, Patience] = {
    "a shared time-out": lambda _: 1.0,
    "at random": lambda chance: chance.uniform(0.0, 3.0),
    "nine in ten": lambda chance: 30.0 if chance.random() < 0.1 else chance.uniform(0.0, 2.0),
}


def steady_arrivals(load: float) -> list[float]:
    """Return random arrival times, with the given average number of arrivals per second."""
    generator, time, times = random.Random(1), 0.0, []
    while time < SPAN:
        time += generator.expovariate(load)
        times.append(time)
    return times


def simulate_callers(
    limits: tuple[RateLimitConfig, ...],
    arrivals: Iterable[float],
    patience: Patience,
    costs: tuple[int, ...] = (1,),
) -> list[tuple[float, int]]:
    """Simulate callers that give up waiting for a limit; return each grant's time and cost."""
    generator, store, departure_times = random.Random(2), StateStore(), []
    gates = Gates(
        limits=[limit.rule for limit in limits],
        limit_keys=[str(limit) for limit in range(len(limits))],
    )
    questions = {
        cost: Admission(gates, within=30 * SECOND, lease=0, costs=(cost,) * len(limits))
        for cost in costs
    }
    events: list[tuple[float, int, tuple[Ticket, ...] | None]] = [
        (time, number, None) for number, time in enumerate(arrivals)
    ]
    heapq.heapify(events)
    while events:
        time, number, tickets = heapq.heappop(events)
        store.now = NOON + round(time * SECOND)
        if tickets is not None:
            store.execute(GiveBack(gates, tickets))
            continue
        cost, waits = generator.choice(costs), patience(generator)
        answer, wait, _, tickets = store.execute(questions[cost])
        if answer is Answer.GO and wait > waits * SECOND:
            heapq.heappush(events, (time + waits, number, tickets))
        elif answer is Answer.GO:
            departure_times.append((time + wait / SECOND, cost))
    return sorted(departure_times)


@pytest.mark.parametrize("patience", PATIENCE)
@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("load", [28, 200])
def test_limit_stays_utilised_when_callers_give_up(load: int, limits: str, patience: str) -> None:
    """If callers stop waiting for a rate limit, the remaining callers use nine tenths of it."""
    departure_times = simulate_callers(LIMITS[limits], steady_arrivals(load), PATIENCE[patience])
    used_cost = sum(cost for time, cost in departure_times if SPAN / 2 <= time < SPAN)
    assert used_cost >= 0.9 * RATE * SPAN / 2


def test_limit_stays_utilised_with_costly_calls() -> None:
    """If cheap and costly calls stop waiting, nine tenths of a rate limit are still used."""
    departure_times = simulate_callers(
        LIMITS["one"], steady_arrivals(30), PATIENCE["at random"], costs=(1, 1, 1, 2, 5)
    )
    used_cost = sum(cost for time, cost in departure_times if SPAN / 2 <= time < SPAN)
    assert used_cost >= 0.9 * RATE * SPAN / 2


@pytest.mark.parametrize("limits", ["one", "two"])
def test_limit_stays_utilised_after_bursts(limits: str) -> None:
    """After bursts of 300 callers that soon give up, a rate limit is still used almost fully."""
    arrivals = [item * 1.5 for item in range(14) for _ in range(300)]
    departure_times = simulate_callers(LIMITS[limits], arrivals, PATIENCE["at random"])
    used_cost = sum(cost for time, cost in departure_times if 10 <= time < 20)
    assert used_cost >= 0.9 * RATE * 10


@pytest.mark.parametrize("patience", PATIENCE)
def test_limit_recovers_after_overload(patience: str) -> None:
    """After an overload of a rate limit, calls at a rate below the limit are granted at once."""
    overload = [time for time in steady_arrivals(200) if time < 8]
    later_calls = [11 + item / 15 for item in range(15 * 10)]
    departure_times = simulate_callers(LIMITS["one"], [*overload, *later_calls], PATIENCE[patience])
    period = BURST / RATE
    used_count = sum(1 for time, _ in departure_times if 11 + period <= time < 21)
    assert used_count >= 0.9 * 15 * (10 - period)


def test_abandoned_burst_delays_nobody() -> None:
    """After a burst of callers that stopped waiting, calls below the rate limit are not delayed."""
    later_calls = [item / 15 for item in range(15 * 20)]
    departure_times = simulate_callers(
        LIMITS["one"], [*later_calls, *[5.0] * 200], PATIENCE["a shared time-out"]
    )
    times = [time for time, _ in departure_times if time < 19]
    assert max(next_time - time for time, next_time in pairwise(times)) < 0.5


async def grant_times_of_one_process(
    arrivals: Iterable[float], patience: Patience, burst: int
) -> list[float]:
    """Run tasks that give up waiting for a limiter; return the times of their grants."""
    clock, generator, departure_times = VirtualClock(), random.Random(2), list[float]()
    sleeper = AsyncVirtualSleeper(clock, autojump=True)
    limiter = RateLimiter(
        RateLimitConfig.per_second(RATE, burst=burst), clock=clock, async_sleeper=sleeper
    )
    start_time = clock.nanoseconds()

    async def wait_for_token(time: float, waits: float) -> None:
        await sleeper.sleep(time)
        waiter = asyncio.ensure_future(limiter.aacquire())

        async def give_up() -> None:
            await sleeper.sleep(waits)
            waiter.cancel()

        giving_up = asyncio.ensure_future(give_up())
        with suppress(asyncio.CancelledError):
            await waiter
            departure_times.append((clock.nanoseconds() - start_time) / 1e9)
        giving_up.cancel()

    await asyncio.gather(*(wait_for_token(time, patience(generator)) for time in arrivals))
    return sorted(departure_times)


@pytest.mark.parametrize("burst", [1, 3])
@pytest.mark.parametrize(
    "arrivals, patience",
    [
        (steady_arrivals(22), lambda chance: chance.uniform(0.15, 0.45)),
        (steady_arrivals(22), lambda _: 0.3),
        ([item * 1.5 for item in range(11) for _ in range(100)], PATIENCE["at random"]),
    ],
    ids=["short", "short and shared", "bursts"],
)
def test_waiting_tasks_move_up(arrivals: list[float], patience: Patience, burst: int) -> None:
    """If a task stops waiting for a rate limiter, tasks behind it in the process move up."""
    departure_times = asyncio.run(grant_times_of_one_process(arrivals, patience, burst))
    used_count = sum(1 for time in departure_times if SPAN / 4 <= time < SPAN)
    assert used_count >= 0.9 * RATE * SPAN * 3 / 4
    for first, time in enumerate(departure_times):
        for last_index in range(first, min(first + 4 * RATE, len(departure_times))):
            # The store counts in microseconds, so a task leaves a microsecond after its grant.
            assert last_index - first + 1 <= burst + RATE * (
                departure_times[last_index] - time + 1e-6
            )
