"""A service in two places, what each of them answers, and where requests went."""

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
    from tests.support.modes import Face, Sent, World

EU = Region("eu", "https://eu.example/v1")
US = Region("us", "https://us.example/v1", tier=2)
GET = Request.get("/items")
POST = Request.post("/orders", json={"amount": "9.99"})
REFUSED = ConnectionFailed("refused.", may_have_been_processed=False)
CUT_OFF = ConnectionFailed("cut off.")
HONOURED = {"idempotency_header": "Idempotency-Key", "idempotency_memory": 86_400}


def shop(*regions: Region, **options: Any) -> Service:
    """A service in two regions, of which the second is a standby."""
    fields: dict[str, Any] = {
        "circuit": CircuitBreakerConfig(),
        "retry": RetryPolicy(3, 1.0, jitter=Jitter.NONE),
    }
    return Service("shop", regions=regions or (EU, US), **fields | options)


def where(sent: Sent) -> str:
    """The region that a request went to."""
    return (urlsplit(sent.url).hostname or "").partition(".")[0]


def went(world: World) -> list[str]:
    """The regions that requests went to, in order."""
    return [where(sent) for sent in world.vendor.requests]


def answers(world: World, **by_region: Any) -> None:
    """Set the answers of each region, in order; after them, 200."""
    left: dict[str, deque[Any]] = {name: deque(given) for name, given in by_region.items()}

    async def answer(sent: Sent) -> Any:
        mine = left.get(where(sent))
        given: Any = mine.popleft() if mine else 200
        if isinstance(given, BaseException):
            # An error is signed by the call that it ends.
            return copy.copy(given)
        return await given(sent) if inspect.isfunction(given) else given

    world.vendor.otherwise = answer


async def opened(manager: Face, *names: str) -> None:
    """Force circuits open."""
    for name in names:
        await manager.set_circuit("shop", CircuitState.FORCED_OPEN, region=name)
