"""Bulkheads whose limit adapts to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import (
    AdaptiveLimit,
    BulkheadConfig,
    BulkheadFull,
    BulkheadShrank,
    RateLimitExceeded,
    RetryPolicy,
)
from tests.services.vat import GET, vat
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager

ADAPTIVE = BulkheadConfig(8, adaptive=AdaptiveLimit(min_concurrent=2, shrink_to=0.5, recovery=60))


@sync_and_async
async def test_throttled_call_shrinks_the_bulkhead_for_a_while(harness: Harness) -> None:
    """After a 429, fewer calls pass; the limit grows again with time."""
    manager = harness.watched(vat(bulkhead=ADAPTIVE, retry=None))
    config = ADAPTIVE
    limits = manager.manager._flows.core.concurrency_limits  # noqa: SLF001 - a look inside
    key = manager.manager._flows.plans.find("vat", None, None).bulkhead_key  # noqa: SLF001 - a look inside

    def limit() -> int:
        current: int = limits.limit(key, config, harness.clock.nanoseconds())
        return current

    assert 8 == limit()
    harness.vendor.answers(429)
    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)
    # A single call was in progress, so the limit has its smallest value.
    assert 2 == limit()
    assert [2] == [event.limit for event in harness.events if isinstance(event, BulkheadShrank)]
    harness.clock.advance(30)
    assert 5 == limit()
    harness.clock.advance(30)
    assert 8 == limit()


@sync_and_async
async def test_shrunk_bulkhead_refuses_calls(harness: Harness) -> None:
    """A call beyond the shrunk limit is refused, and its message names the limit."""
    bulkhead = BulkheadConfig(8, adaptive=AdaptiveLimit(recovery=6000))
    manager = harness.manager(vat(bulkhead=bulkhead, retry=None))
    harness.vendor.answers(503)
    await make_failing_call(manager)
    gate = harness.gate()
    harness.vendor.answers(gate.answering(200))
    running_call = harness.start(lambda: manager.call("vat", GET))
    await gate.reached()
    with pytest.raises(BulkheadFull, match="1 call is already in progress"):
        await manager.call("vat", GET)
    gate.open()
    await running_call.result()
    assert 200 == (await manager.call("vat", GET)).status


async def make_failing_call(manager: AwaitedManager) -> None:
    """Make a call that fails."""
    with pytest.raises(Exception, match="503"):
        await manager.call("vat", GET)


@sync_and_async
async def test_each_attempt_counts(harness: Harness) -> None:
    """A call that succeeds after a throttled attempt shrinks the limit too."""
    retry = RetryPolicy(base_delay=0.1, jitter="none")
    manager = harness.watched(vat(bulkhead=ADAPTIVE, retry=retry))
    harness.vendor.answers(503, 503, 200)

    assert 200 == (await manager.call("vat", GET)).status
    assert [2, 2] == [event.limit for event in harness.events if isinstance(event, BulkheadShrank)]
