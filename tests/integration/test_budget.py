"""One retry budget for all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage import RetryBudget, RetryPolicy, Service
from tests.integration.crew import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from tests.integration.crew import Crew
    from tests.integration.places import Place

SECOND = 1_000_000_000


def test_a_vendor_that_is_down_sees_little_more(crew: Crew, place: Place, name: str) -> None:
    """All processes together make a share of retries and the floor of each period, no more."""
    ratio, floor, period = 0.2, 3, 2.0
    service = Service(
        name,
        circuit=None,
        retry=RetryPolicy(5, base_delay=0.001),
        retry_budget=RetryBudget(ratio=ratio, floor=floor, period=period),
    )
    job = Job(scenario="call", services=(service,), state=place, threads=3, calls=5, fails=1)
    history = calls(crew.work(*[job] * 6))
    attempts = sum(len(call["starts"]) for call in history)
    lasted = max(call["ended"] for call in history) - min(call["asked"] for call in history)
    periods = lasted // int(period * SECOND) + 2
    assert {"VendorFailed", "RetryBudgetExhausted"} >= {call["outcome"] for call in history}
    assert 90 == len(history)
    assert 90 + floor < attempts <= (1 + ratio) * 90 + floor * periods
