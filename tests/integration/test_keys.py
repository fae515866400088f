"""An idempotency key has one effect across all processes."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import pytest

from moorage import RateLimitConfig, Service
from moorage.testing import Behaviour
from tests.integration.conftest import KINDS
from tests.integration.worker_pool import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from moorage.testing import VendorServer
    from moorage.testing.fakes.http_server import Received
    from tests.integration.worker_pool import WorkerPool


@pytest.mark.parametrize("kinds", [(kind,) for kind in KINDS] + [("redis", "sqlite")], ids="+".join)
def test_racing_processes_act_once_per_key(
    pool: WorkerPool,
    kinds: tuple[str, ...],
    name: str,
    vendor: VendorServer,
    request: pytest.FixtureRequest,
) -> None:
    """If processes use one key at once, the vendor gets one request and all get its response.

    That holds also if keys are in a separate store.
    """
    state, *claims = [request.getfixturevalue(f"{kind}_location") for kind in kinds]
    lock, effects = Lock(), []

    def act(received: Received) -> Behaviour:
        with lock:
            effects.append(received)
            return Behaviour(200, body=b"effect %d" % len(effects), delay=0.1)

    vendor.always(act)
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
    assert [("good", "effect 1")] * 16 == [(call["outcome"], call["value"]) for call in history]
    assert 1 == len(effects)
    assert 15 == sum(call["replayed"] for call in history)
