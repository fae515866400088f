"""One bucket for all processes."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import pytest

from moorage import RateLimitConfig, Service
from moorage.testing import Behaviour
from tests.integration.crew import calls
from tests.integration.laws import SECOND, burst_of
from tests.integration.places import now
from tests.integration.workers import Job

if TYPE_CHECKING:
    from moorage.testing import VendorServer
    from moorage.testing.fakes.http_server import Received
    from tests.integration.crew import Crew, Told
from tests.integration.places import Place

RATE, BURST = 100, 10


@pytest.mark.parametrize("scenario", ["call", "call_awaited"])
def test_no_window_has_more_than_the_bucket_gives(
    crew: Crew, place: Place, name: str, scenario: str
) -> None:
    """Over every window, all processes are granted no more than burst + rate · t.

    Their watches differ by hours.
    """
    service = Service(
        name, limits=RateLimitConfig.per_second(RATE, burst=BURST), circuit=None, timeout=60
    )
    jobs = [
        Job(scenario=scenario, services=(service,), state=place, threads=3, calls=4, hours=hours)
        for hours in (-1, 1, 0, -0.5, 0.5)
    ]
    history = calls(crew.work(*jobs))
    assert ["good"] * 60 == [call["outcome"] for call in history]
    grants = [_grant(call) for call in history]
    assert BURST >= burst_of(grants, RATE)
    # What the vendor sees is as spread as the ways from the grants to it.
    arrivals = [call["starts"][0] for call in history]
    way = max(at - granted for at, (granted, _) in zip(arrivals, grants, strict=True))
    assert BURST + RATE * way / SECOND >= burst_of([(at, at) for at in arrivals], RATE)
    # Nobody leaves before the grant.
    assert all(at >= granted for at, (granted, _) in zip(arrivals, grants, strict=True))


def _grant(call: Told) -> tuple[int, int]:
    """Between which times a call was granted, by the clock that all processes share.

    The store read its clock while the question was under way, and the grant is so much later.
    """
    request = next(trip for trip in call["trips"] if trip["what"] == "Admission")
    return request["began"] + request["wait"], request["ended"] + request["wait"]


def test_contention_is_no_limit(crew: Crew, place: Place, name: str) -> None:
    """However many ask at once, exactly as many are granted as there are tokens, and no fewer."""
    tokens = 96
    service = Service(
        name,
        limits=RateLimitConfig(1, per=86_400, burst=tokens),
        circuit=None,
        retry=None,
        max_limit_wait=0,
    )
    job = Job(scenario="call", services=(service,), state=place, threads=4, calls=6)
    history = crew.work(*[job] * 6)
    outcomes = [call["outcome"] for call in calls(history)]
    assert (tokens, 48) == (outcomes.count("good"), outcomes.count("RateLimitExceeded"))
    assert [] == [result for result in history if result["what"] == "StorageLost"]


def test_one_429_pauses_every_process(
    crew: Crew, place: Place, name: str, vendor: VendorServer
) -> None:
    """After one process was told to stay away, nothing leaves any process before it is time."""
    pause, lock = 1, Lock()
    arrivals: list[int] = []

    def answer(_: Received) -> Behaviour:
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
    job = Job(scenario="call", services=(service,), state=place, threads=2, calls=6, path="/")
    history = calls(crew.work(*[job] * 5))
    assert ["good"] * 60 == [call["outcome"] for call in history]
    reports = [trip for call in history for trip in call["trips"] if trip["what"] == "Pause"]
    assert 1 == len(reports)
    free = reports[0]["began"] + pause * SECOND
    late = [call for call in history if _last(call)["began"] > reports[0]["ended"]]
    assert len({call["process"] for call in late}) > 1
    assert all(_last(call)["ended"] >= free for call in late)
    assert sum(at >= free for at in arrivals) >= len(late)


def _last(call: Told) -> Told:
    """The question after whose answer a call left, for the last time."""
    requests: list[Told] = [
        trip for trip in call["trips"] if trip["what"] in {"Admission", "Confirm"}
    ]
    return requests[-1]
