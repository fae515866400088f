"""Clocks in a call and its core."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from datetime import timedelta

import pytest

from moorage import AttemptTimeout, Service
from moorage.services.calling.call import Call, cut_off
from tests.support.modes import START, World, sync_and_async


@pytest.mark.parametrize(
    "custom, bound",
    [
        pytest.param(None, 26.0, id="the deadline"),
        pytest.param(3, 3.0, id="its own"),
        pytest.param(60, 26.0, id="the deadline comes first"),
    ],
)
@sync_and_async
async def test_an_attempt_is_bounded(world: World, custom: float | None, bound: float) -> None:
    """An attempt may take as long as is configured, and never longer than the call has left."""
    flows = world.manager(Service("vat", attempt_timeout=custom)).manager._flows
    plan = flows.plans.find("vat", None, None)
    call = Call(plan, flows.core.nanoseconds(), plan.span)
    world.clock.advance(4)

    assert bound == call.bound(flows.core)
    error = cut_off()
    assert AttemptTimeout is type(error)
    assert "exceeded its time limit" in error.message


@pytest.mark.parametrize("after, microseconds", [(0, 0), (1, 1), (400, 1), (1000, 1), (-1500, -1)])
@sync_and_async
async def test_a_moment_is_never_early(world: World, after: int, microseconds: int) -> None:
    """Nanoseconds of the monotonic clock are rounded up to microseconds of wall time."""
    core = world.manager().manager._flows.core

    assert START + timedelta(microseconds=microseconds) == core.moment(core.nanoseconds() + after)
