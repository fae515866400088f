"""Health checks of several connectors in concurrent tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from moorage.adapters.concurrency.gather_async import AsyncioGather

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.domain.connectors.health import ConnectorHealth

R = TypeVar("R")

_MOST_CONCURRENT: Final = 32
_GRACE: Final = 0.05
"""Seconds by which a connector's health check may exceed its limit before it is cancelled."""


async def every_async(steps: Sequence[Callable[[], Awaitable[R]]]) -> list[R]:
    """Run several functions concurrently, and return their results in order."""
    return await AsyncioGather().run_all(steps, at_once=_MOST_CONCURRENT)


async def bounded_async(
    health: Callable[[float], Awaitable[ConnectorHealth]], seconds: float
) -> ConnectorHealth:
    """Return the health of a connector; cancel the check if it exceeds its time limit.

    Raises:
        TimeoutError: it took longer.
    """
    return await asyncio.wait_for(health(seconds), seconds + _GRACE)
