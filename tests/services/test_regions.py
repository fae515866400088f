"""A service in several places: where its attempts go, and where they go when one fails."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    ConnectionFailed,
    Endpoint,
    Jitter,
    Region,
    Request,
    RetryBudget,
    RetryBudgetExhausted,
    RetryPolicy,
    VendorFailed,
)
from tests.services.two_regions import CUT_OFF, EU, GET, POST, REFUSED, US, answers, shop, went
from tests.support.modes import World, sync_and_async


@sync_and_async
async def test_the_first_tier_is_asked(world: World) -> None:
    """Requests go to the first tier, below its base URL."""
    manager = world.watched(shop())

    await manager.call("shop", GET)

    assert ["https://eu.example/v1/items"] == [sent.url for sent in world.vendor.requests]
    assert [None, "eu", "eu"] == [event.region for event in world.events]


@sync_and_async
async def test_the_draw_decides_by_weight(world: World) -> None:
    """Within a tier the draw decides, by the weights."""
    us = Region("us", "https://us.example", weight=3)
    manager = world.manager(shop(EU, us))

    for world.chance.draw in (0.0, 0.24, 0.26, 0.99):
        await manager.call("shop", GET)

    assert ["eu", "eu", "us", "us"] == went(world)


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@sync_and_async
async def test_refused_connection_moves_on_at_once(world: World, request_: Request) -> None:
    """After a refused connection the next region is tried without a pause."""
    answers(world, eu=[REFUSED])
    manager = world.watched(shop())

    response = await manager.call("shop", request_)

    assert (200, ["eu", "us"], []) == (response.status, went(world), world.sleeper.slept)
    last = world.events[-1]
    assert (2, "us") == (last.attempts, last.region)  # type: ignore[attr-defined]  # CallFinished


@sync_and_async
async def test_moving_on_at_once_needs_no_time_for_a_pause(world: World) -> None:
    """A call with less time than a pause can still try another region at once."""
    answers(world, eu=[REFUSED])
    manager = world.manager(shop())

    assert 200 == (await manager.call("shop", POST, timeout=0.5)).status
    assert ["eu", "us"] == went(world)


@sync_and_async
async def test_failing_over_is_an_attempt(world: World) -> None:
    """It counts among the attempts, and an error names the region of the last."""
    answers(world, eu=[REFUSED] * 9, us=[REFUSED] * 9)
    manager = world.manager(shop(retry=RetryPolicy(2)))

    with pytest.raises(ConnectionFailed) as caught:
        await manager.call("shop", POST)

    assert ["eu", "us"] == went(world)
    assert (2, "us") == (caught.value.attempts, caught.value.region)
    assert str(caught.value).startswith("shop in us: ")


@sync_and_async
async def test_failing_over_is_within_the_retry_budget(world: World) -> None:
    """Another region is asked only if the budget allows for one more attempt."""
    answers(world, eu=[REFUSED])
    budget = RetryBudget(ratio=0.01, floor=0)
    manager = world.manager(shop(retry_budget=budget))

    with pytest.raises(RetryBudgetExhausted):
        await manager.call("shop", GET)

    assert ["eu"] == went(world)


@sync_and_async
async def test_second_attempt_at_a_region_pauses(world: World) -> None:
    """A second attempt at the same region pauses like any retry."""
    answers(world, eu=[REFUSED, REFUSED], us=[REFUSED])
    manager = world.manager(shop(retry=RetryPolicy(4, 1.0, jitter=Jitter.NONE)))

    await manager.call("shop", GET)

    assert ["eu", "us", "eu", "us"] == went(world)
    assert [2.0, 4.0] == world.sleeper.slept


@sync_and_async
async def test_untried_regions_come_first(world: World) -> None:
    """Regions that a call has not tried come before those that it has."""
    answers(world, eu=[REFUSED], us=[REFUSED])
    ap = Region("ap", "https://ap.example/v1", tier=3)
    manager = world.manager(shop(EU, US, ap))

    await manager.call("shop", POST)

    assert ["eu", "us", "ap"] == went(world)


@pytest.mark.parametrize("failure", [CUT_OFF, 503], ids=["cut off", "503"])
@sync_and_async
async def test_a_read_that_failed_goes_elsewhere_after_its_pause(
    world: World, failure: Any
) -> None:
    """An idempotent request that may have been processed tries another region after the pause."""
    answers(world, eu=[failure])
    manager = world.manager(shop())

    await manager.call("shop", GET)

    assert (["eu", "us"], [1.0]) == (went(world), world.sleeper.slept)


@pytest.mark.parametrize("failure", [CUT_OFF, 503], ids=["cut off", "503"])
@sync_and_async
async def test_possibly_processed_post_is_not_repeated(world: World, failure: Any) -> None:
    """A POST without a key that may have been processed tries no other region."""
    answers(world, eu=[failure])
    manager = world.manager(shop())

    with pytest.raises((ConnectionFailed, VendorFailed)):
        await manager.call("shop", POST)

    assert ["eu"] == went(world)


@pytest.mark.parametrize(
    "endpoint, request_, moves",
    [
        (None, Request.put("/items/7"), True),
        (None, POST.evolve(idempotent=True), True),
        (Endpoint("any", path="/orders", idempotent=True), POST, True),
        (Endpoint("any", path="/items", idempotent=False), GET, False),
        (None, GET.evolve(idempotent=False), False),
    ],
)
@sync_and_async
async def test_idempotent_requests_may_change_regions(
    world: World, endpoint: Endpoint | None, request_: Request, *, moves: bool
) -> None:
    """The request or its endpoint declares whether it may be repeated elsewhere."""
    answers(world, eu=[CUT_OFF])
    manager = world.manager(shop(endpoints=endpoint or ()))

    if moves:
        await manager.call("shop", request_)
    else:
        with pytest.raises(ConnectionFailed):
            await manager.call("shop", request_)

    assert (["eu", "us"] if moves else ["eu"]) == went(world)


@sync_and_async
async def test_without_circuits_only_failures_move_a_call(world: World) -> None:
    """A service without a circuit knows no sick region, but goes elsewhere all the same."""
    answers(world, eu=[REFUSED, REFUSED])
    manager = world.manager(shop(circuit=None))

    await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us", "eu", "us"] == went(world)
