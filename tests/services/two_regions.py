"""Helpers for tests of a service with two regions."""

from __future__ import annotations

import copy
import inspect
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moorage import (
    CircuitBreakerConfig,
    CircuitState,
    ConnectionFailed,
    Jitter,
    Region,
    Request,
    RetryPolicy,
    Service,
)

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager, Harness
    from tests.support.virtual_ports import SentRequest

EU = Region("eu", "https://eu.example/v1")
US = Region("us", "https://us.example/v1", tier=2)
GET = Request.get("/items")
POST = Request.post("/orders", json={"amount": "9.99"})
REFUSED_CONNECTION = ConnectionFailed("refused.", may_have_been_processed=False)
CUT_OFF = ConnectionFailed("cut off.")
HONOURED = {"idempotency_header": "Idempotency-Key", "idempotency_memory": 86_400}


def shop(*regions: Region, **options: Any) -> Service:
    """Return a service with two regions, the second as a standby."""
    fields: dict[str, Any] = {
        "circuit": CircuitBreakerConfig(),
        "retry": RetryPolicy(3, 1.0, jitter=Jitter.NONE),
    }
    return Service("shop", regions=regions or (EU, US), **fields | options)


def region_of(sent: SentRequest) -> str:
    """Return the region that a request was sent to."""
    return (urlsplit(sent.url).hostname or "").partition(".")[0]


def regions_used(harness: Harness) -> list[str]:
    """Return the regions that requests were sent to, in order."""
    return [region_of(requests) for requests in harness.vendor.requests]


def answers(harness: Harness, **by_region: Any) -> None:
    """Set the responses of each region in order; after them, each response is 200."""
    queued_responses: dict[str, deque[Any]] = {
        name: deque(responses) for name, responses in by_region.items()
    }

    async def answer(sent: SentRequest) -> Any:
        region_responses = queued_responses.get(region_of(sent))
        responses: Any = region_responses.popleft() if region_responses else 200
        if isinstance(responses, BaseException):
            # An error is signed by the call that it ends.
            return copy.copy(responses)
        return await responses(sent) if inspect.isfunction(responses) else responses

    harness.vendor.otherwise = answer


async def open_circuits(manager: AwaitedManager, *names: str) -> None:
    """Force the circuits of these regions open."""
    for name in names:
        await manager.set_circuit("shop", CircuitState.FORCED_OPEN, region=name)
