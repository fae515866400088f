"""All processes share one retry budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage import RetryBudget, RetryPolicy, Service
from tests.integration.worker_pool import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from tests.integration.store_locations import StoreLocation
    from tests.integration.worker_pool import WorkerPool

SECOND = 1_000_000_000


def test_retry_budget_is_shared(pool: WorkerPool, location: StoreLocation, name: str) -> None:
    """Retries of all processes together stay within the budget's ratio and its minimum."""
    ratio, floor, period = 0.2, 3, 2.0
    service = Service(
        name,
        circuit=None,
        retry=RetryPolicy(5, base_delay=0.001),
        retry_budget=RetryBudget(ratio=ratio, floor=floor, period=period),
    )
    job = Job(scenario="call", services=(service,), state=location, threads=3, calls=5, fails=1)
    history = calls(pool.work(*[job] * 6))
    attempts = sum(len(call["starts"]) for call in history)
    duration = max(call["ended"] for call in history) - min(call["asked"] for call in history)
    periods = duration // int(period * SECOND) + 2
    assert {"VendorFailed", "RetryBudgetExhausted"} >= {call["outcome"] for call in history}
    assert 90 == len(history)
    assert 90 + floor < attempts <= (1 + ratio) * 90 + floor * periods
