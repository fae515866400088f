"""All processes share one rate limit."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import pytest

from moorage import RateLimitConfig, Service
from moorage.testing import Behaviour
from tests.integration.history_measurements import SECOND, burst_of
from tests.integration.store_locations import now
from tests.integration.worker_pool import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from moorage.testing import VendorServer
    from moorage.testing.fakes.http_server import ReceivedRequest
    from tests.integration.worker_pool import Report, WorkerPool
from tests.integration.store_locations import StoreLocation

RATE, BURST = 100, 10


@pytest.mark.parametrize("scenario", ["call", "call_async"])
def test_no_window_exceeds_the_rate_limit(
    pool: WorkerPool, location: StoreLocation, name: str, scenario: str
) -> None:
    """In any period of length t, all processes together get at most burst + rate · t grants.

    The clocks of the processes differ by hours.
    """
    service = Service(
        name, limits=RateLimitConfig.per_second(RATE, burst=BURST), circuit=None, timeout=60
    )
    jobs = [
        Job(scenario=scenario, services=(service,), state=location, threads=3, calls=4, hours=hours)
        for hours in (-1, 1, 0, -0.5, 0.5)
    ]
    history = calls(pool.work(*jobs))
    assert ["good"] * 60 == [call["outcome"] for call in history]
    grants = [_grant(call) for call in history]
    assert BURST >= burst_of(grants, RATE)
    # The vendor sees the calls spread by the delays between the grants and their arrivals.
    arrivals = [call["starts"][0] for call in history]
    way = max(
        arrival - granted_at for arrival, (granted_at, _) in zip(arrivals, grants, strict=True)
    )
    assert BURST + RATE * way / SECOND >= burst_of(
        [(arrival, arrival) for arrival in arrivals], RATE
    )
    # No call leaves before its grant.
    assert all(
        arrival >= granted_at for arrival, (granted_at, _) in zip(arrivals, grants, strict=True)
    )


def _grant(call: Report) -> tuple[int, int]:
    """Return the earliest and the latest possible time at which a granted call was admitted.

    The store read its clock between the start and the end of the command, and the grant is that
    much later.
    """
    request = next(trip for trip in call["trips"] if trip["what"] == "Admission")
    return request["began"] + request["wait"], request["ended"] + request["wait"]


@pytest.mark.parametrize("kind", ["redis", "shards"])
def test_parts_together_keep_the_rate_limit(
    pool: WorkerPool, kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """In any period of length t, a limit's parts together grant at most burst + rate · t calls."""
    location: StoreLocation = request.getfixturevalue(f"{kind}_location")
    limit = RateLimitConfig.per_second(RATE, burst=12, parts=6)
    service = Service(name, limits=limit, circuit=None, timeout=60)
    job = Job(scenario="call", services=(service,), state=location, threads=3, calls=6)
    history = calls(pool.work(*[job] * 5))
    assert ["good"] * 90 == [call["outcome"] for call in history]
    assert 12 >= burst_of([_grant(call) for call in history], RATE)


def test_roll_out_of_a_smaller_limit_keeps_the_larger_one(
    pool: WorkerPool, redis_location: StoreLocation, name: str
) -> None:
    """While processes use limits of 100 or 90 calls a second, no second has over 103 calls."""
    jobs = [
        Job(
            scenario="call",
            services=(
                Service(
                    name,
                    limits=RateLimitConfig.per_second(rate, burst=3),
                    circuit=None,
                    timeout=60,
                ),
            ),
            state=redis_location,
            threads=3,
            calls=10,
        )
        for rate in (100, 90, 100, 90)
    ]
    history = calls(pool.work(*jobs))
    assert ["good"] * 120 == [call["outcome"] for call in history]
    assert 3 >= burst_of([_grant(call) for call in history], 100)


def test_concurrent_calls_are_granted_exactly_the_tokens_of_the_limit(
    pool: WorkerPool, location: StoreLocation, name: str
) -> None:
    """Of concurrent calls, exactly as many are granted as the limit has tokens."""
    tokens = 96
    service = Service(
        name,
        limits=RateLimitConfig(1, per=86_400, burst=tokens),
        circuit=None,
        retry=None,
        max_limit_wait=0,
    )
    job = Job(scenario="call", services=(service,), state=location, threads=4, calls=6)
    history = pool.work(*[job] * 6)
    outcomes = [call["outcome"] for call in calls(history)]
    assert (tokens, 48) == (outcomes.count("good"), outcomes.count("RateLimitExceeded"))
    assert [] == [result for result in history if result["what"] == "StorageLost"]


def test_no_process_sends_before_pause_ends_after_one_process_receives_429(
    pool: WorkerPool, location: StoreLocation, name: str, vendor: VendorServer
) -> None:
    """After one process receives a 429, no process sends before the pause ends."""
    pause, lock = 1, Lock()
    arrivals: list[int] = []

    def answer(_: ReceivedRequest) -> Behaviour:
        with lock:
            arrivals.append(now())
            number = len(arrivals)
        if number == 20:
            return Behaviour(429, {"Retry-After": str(pause)})
        return Behaviour(200)

    vendor.always(answer)
    service = Service(
        name,
        base_url=vendor.url,
        limits=RateLimitConfig.per_second(200, burst=4),
        circuit=None,
        timeout=150,
    )
    job = Job(scenario="call", services=(service,), state=location, threads=2, calls=6, path="/")
    history = calls(pool.work(*[job] * 5))
    assert ["good"] * 60 == [call["outcome"] for call in history]
    reports = [trip for call in history for trip in call["trips"] if trip["what"] == "Pause"]
    assert 1 == len(reports)
    pause_end = reports[0]["began"] + pause * SECOND
    late_calls = [call for call in history if _last_command(call)["began"] > reports[0]["ended"]]
    assert len({call["process"] for call in late_calls}) > 1
    assert all(_last_command(call)["ended"] >= pause_end for call in late_calls)
    assert sum(arrival >= pause_end for arrival in arrivals) >= len(late_calls)


def _last_command(call: Report) -> Report:
    """Return the last store command that was sent before a call."""
    requests: list[Report] = [
        trip for trip in call["trips"] if trip["what"] in {"Admission", "Confirm"}
    ]
    return requests[-1]
