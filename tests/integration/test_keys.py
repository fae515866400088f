"""Across all processes, an idempotency key has its effect only once."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import RateLimitConfig, Service
from moorage.testing import Behaviour
from tests.integration.conftest import KINDS
from tests.integration.worker_pool import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from moorage.testing import VendorServer
    from moorage.testing.fakes.http_server import ReceivedRequest
    from tests.integration.store_locations import StoreLocation
    from tests.integration.worker_pool import WorkerPool


@pytest.mark.parametrize(
    "kinds",
    [*((kind,) for kind in (*KINDS, "shards")), ("redis", "sqlite"), ("redis", "nats")],
    ids="+".join,
)
def test_racing_processes_act_once_per_key(
    pool: WorkerPool,
    kinds: tuple[str, ...],
    name: str,
    vendor: VendorServer,
    request: pytest.FixtureRequest,
) -> None:
    """If several processes use a key at once, one request is sent and all get its response.

    This also holds if keys are in a separate store.
    """
    state, *claims = [request.getfixturevalue(f"{kind}_location") for kind in kinds]
    lock, effects = Lock(), []

    def respond(received: ReceivedRequest) -> Behaviour:
        with lock:
            effects.append(received)
            return Behaviour(200, body=b"effect %d" % len(effects), delay=0.1)

    vendor.always(respond)
    service = Service(
        name, base_url=vendor.url, limits=RateLimitConfig.per_second(1_000), timeout=60
    )
    job = Job(
        scenario="call",
        services=(service,),
        state=state,
        claims=claims[0] if claims else None,
        threads=2,
        path="/",
        key="the key",
    )
    history = calls(pool.work(*[job] * 8))
    assert [] == [call["error"] for call in history if call["outcome"] != "good"]
    assert [("good", "effect 1")] * 16 == [(call["outcome"], call["value"]) for call in history]
    assert 1 == len(effects)
    assert 15 == sum(call["replayed"] for call in history)


def test_processes_act_once_per_key_while_a_shard_is_added(
    pool: WorkerPool, shards_location: StoreLocation, name: str, vendor: VendorServer
) -> None:
    """While only some processes use a new shard, each key has one effect or is refused."""
    lock, effects = Lock(), Counter[str | None]()

    def respond(received: ReceivedRequest) -> Behaviour:
        key = received.headers.get("idempotency-key")
        with lock:
            effects[key] += 1
        return Behaviour(200, body=f"effect of {key}".encode())

    vendor.always(respond)
    service = Service(
        name,
        base_url=vendor.url,
        limits=RateLimitConfig.per_second(1_000),
        timeout=60,
        idempotency_header="Idempotency-Key",
        idempotency_memory=86_400,
    )
    shards = shards_location.shards
    before = attrs.evolve(shards_location, shards=shards[:2], former=0)
    jobs = [
        Job(
            scenario="call",
            services=(service,),
            state=location,
            threads=2,
            calls=2,
            path="/",
            key=f"key {number}",
        )
        for number in range(6)
        for location in (before, shards_location)
    ]
    history = calls(pool.work(*jobs))
    refusals = [call for call in history if call["outcome"] != "good"]
    # A caller whose machine is suspended for longer than its lease loses its claim.
    assert {call["outcome"] for call in refusals} <= {"StateUnavailable", "IdempotencyInProgress"}
    assert {f"key {number}": 1 for number in range(6)} == effects
    assert {call["value"] for call in history if call["outcome"] == "good"} == {
        f"effect of {key}" for key in effects
    }
    # Only processes that do not know the new shard refuse a key because of it.
    assert all(
        not call["process"] % 2 for call in refusals if call["outcome"] == "StateUnavailable"
    )
