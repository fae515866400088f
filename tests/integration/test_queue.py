"""Thousands of tasks in one queue."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import AsyncConnectorManager, RateLimitConfig, Service
from tests.integration.laws import burst_of
from tests.integration.places import AsyncWatched, now, trips

if TYPE_CHECKING:
    from tests.integration.places import Place

TASKS = 10_000 if os.environ.get("MOORAGE_LONG") else 2_000
RATE = 2_000


@attrs.frozen
class Turn:
    """One task's turn: no earlier than, no later than, when it came, and the store's ticket."""

    first: int
    last: int
    came: int
    ticket: tuple[int, int] | None


async def _queue(place: Place, name: str) -> list[Turn]:
    """Have all tasks call at once."""
    service = Service(
        name, limits=RateLimitConfig.per_second(RATE, burst=1), circuit=None, timeout=600
    )

    async def one(manager: AsyncConnectorManager) -> Turn:
        noted: list[dict[str, Any]] = []
        trips.set(noted)

        async def function() -> int:
            return now()

        came = await manager.run(name, function)
        request = noted[0]
        return Turn(
            request["began"] + request["wait"],
            request["ended"] + request["wait"],
            came,
            request["tickets"][0] if request["tickets"] else None,
        )

    async with (
        place.open_awaited() as store,
        AsyncConnectorManager([service], state=AsyncWatched(store)) as manager,
    ):
        return await asyncio.gather(*(one(manager) for _ in range(TASKS)))


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_everybody_in_the_queue_has_a_turn(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """However many tasks wait, each has a turn of its own, in a row, and none goes before it."""
    turns = asyncio.run(_queue(request.getfixturevalue(f"{kind}_place"), name))
    assert TASKS == len(turns)
    assert all(turn.came >= turn.first for turn in turns)
    assert burst_of([(turn.first, turn.last) for turn in turns], RATE) <= 1
    queued = sorted(turn.ticket for turn in turns if turn.ticket)
    times = [at for _, at in queued]
    assert len(queued) > TASKS // 2
    assert len(queued) == len(set(times))
    assert all(after - before >= 1_000_000 // RATE for before, after in pairwise(times))
