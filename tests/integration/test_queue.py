"""Thousands of tasks that wait for one rate limit."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import AsyncConnectorManager, RateLimitConfig, Service
from tests.integration.history_measurements import burst_of
from tests.integration.store_locations import AsyncRecordingStore, now, trips

if TYPE_CHECKING:
    from tests.integration.store_locations import StoreLocation

TASKS = 10_000 if os.environ.get("MOORAGE_LONG") else 2_000
RATE = 500


@attrs.frozen
class QueuedCall:
    """One task's call: its earliest and latest slot, its arrival time, and its ticket."""

    first: int
    last: int
    arrived_at: int
    ticket: tuple[int, int] | None


async def _queue(location: StoreLocation, name: str) -> list[QueuedCall]:
    """Make all tasks start their calls at the same time."""
    service = Service(
        name, limits=RateLimitConfig.per_second(RATE, burst=1), circuit=None, timeout=600
    )

    async def make_one_call(manager: AsyncConnectorManager) -> QueuedCall:
        noted_trips: list[dict[str, Any]] = []
        trips.set(noted_trips)

        async def function() -> int:
            return now()

        arrived_at = await manager.run(name, function)
        request = noted_trips[0]
        return QueuedCall(
            request["began"] + request["wait"],
            request["ended"] + request["wait"],
            arrived_at,
            request["tickets"][0] if request["tickets"] else None,
        )

    async with (
        location.open_async() as store,
        AsyncConnectorManager([service], state=AsyncRecordingStore(store)) as manager,
    ):
        return await asyncio.gather(*(make_one_call(manager) for _ in range(TASKS)))


@pytest.mark.untraced
@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_every_waiting_task_gets_its_turn(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """Every waiting task gets exactly one slot, and none runs before its slot."""
    queued_calls = asyncio.run(_queue(request.getfixturevalue(f"{kind}_location"), name))
    assert TASKS == len(queued_calls)
    assert all(queued_call.arrived_at >= queued_call.first for queued_call in queued_calls)
    assert (
        burst_of([(queued_call.first, queued_call.last) for queued_call in queued_calls], RATE) <= 1
    )
    queued_turns = sorted(queued_call.ticket for queued_call in queued_calls if queued_call.ticket)
    times = [sent_at for _, sent_at in queued_turns]
    assert queued_turns
    assert len(queued_turns) == len(set(times))
    assert all(
        later_turn - earlier_turn >= 1_000_000 // RATE
        for earlier_turn, later_turn in pairwise(times)
    )
