"""Processes that fork after they have used a store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moorage import RateLimitConfig, Service
from tests.integration.worker_pool import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from tests.integration.store_locations import StoreLocation
    from tests.integration.worker_pool import WorkerPool

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def test_forked_children_share_state_not_connections(
    pool: WorkerPool, location: StoreLocation, name: str
) -> None:
    """Forked children share limits and idempotency keys with their parent, but no connections."""
    tokens = 20
    service = Service(
        name,
        limits=RateLimitConfig(1, per=86_400, burst=tokens),
        circuit=None,
        retry=None,
        max_limit_wait=0,
    )
    keyed_service = Service(f"keyed-{name}", timeout=60)
    job = Job(
        scenario="fork", services=(service, keyed_service), state=location, calls=3, key="the key"
    )
    history = pool.work(job)
    assert [0] * 5 == [result["code"] for result in history if result["what"] == "child"]
    keyed_calls = [call for call in calls(history) if "key" in call]
    keyless_outcomes = [call["outcome"] for call in calls(history) if "key" not in call]
    assert 12 == len(keyed_calls)
    assert 1 == len({call["value"] for call in keyed_calls})
    assert 1 == sum(len(call["starts"]) for call in keyed_calls)
    assert (tokens, 18) == (
        keyless_outcomes.count("good"),
        keyless_outcomes.count("RateLimitExceeded"),
    )
