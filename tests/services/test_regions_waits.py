"""A service in several places: how long wishes, limits and deadlines let a call wait."""

from __future__ import annotations

from datetime import timedelta

import pytest

from moorage import (
    DeadlineExceeded,
    Jitter,
    RateLimitConfig,
    RateLimitExceeded,
    Response,
    RetryPolicy,
    VendorFailed,
)
from tests.services.two_regions import GET, REFUSED, answers, opened, shop, went
from tests.support.modes import START, World, sync_and_async


@sync_and_async
async def test_the_last_failure_says_when_to_come_back(world: World) -> None:
    """Where no attempt is left the vendor's wish is in the error, though others were free."""
    answers(world, eu=[Response(503, {"Retry-After": "7"})])
    manager = world.manager(shop(retry=None))

    with pytest.raises(VendorFailed) as caught:
        await manager.call("shop", GET)

    assert START + timedelta(seconds=7) == caught.value.retry_at


@sync_and_async
async def test_a_wish_to_be_left_alone_is_a_regions_own(world: World) -> None:
    """A 503 with Retry-After keeps calls from its region, not from the others."""
    answers(world, eu=[Response(503, {"Retry-After": "3600"})])
    manager = world.watched(shop(limits=RateLimitConfig(100)))

    await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us", "eu"] == went(world)
    assert [1.0] == world.sleeper.slept
    assert "VendorPaused" not in world.told()


@sync_and_async
async def test_absurd_pause_of_a_region_ends_after_an_hour(world: World) -> None:
    """A region that asks for decades is asked again after the service's longest pause."""
    answers(world, eu=[Response(503, {"Retry-After": "9" * 20})])
    manager = world.watched(shop(limits=RateLimitConfig(100)))

    await manager.call("shop", GET)
    world.clock.advance(3600)
    await manager.call("shop", GET)

    assert ["eu", "us", "eu"] == went(world)


@sync_and_async
async def test_region_is_not_called_before_its_retry_after(world: World) -> None:
    """Within a call no region is called again before its `Retry-After`."""
    answers(world, eu=[Response(503, {"Retry-After": "3"})], us=[503])
    manager = world.manager(shop(retry=RetryPolicy(4, 1.0, jitter=Jitter.NONE)))

    await manager.call("shop", GET)

    assert ["eu", "us", "us"] == went(world)
    assert [0.0, 1.0, 3.0] == [sent.at for sent in world.vendor.requests]


@sync_and_async
async def test_retry_after_holds_without_another_region(world: World) -> None:
    """If no other region is open, `Retry-After` delays the retry."""
    answers(world, eu=[Response(503, {"Retry-After": "7"})])
    manager = world.manager(shop())
    await opened(manager, "us")

    await manager.call("shop", GET)

    assert [0.0, 7.0] == [sent.at for sent in world.vendor.requests]


@sync_and_async
async def test_limits_are_for_all_regions(world: World) -> None:
    """A vendor's 429 pauses every region, and a limit of ours is one for all."""
    answers(world, eu=[Response(429, {"Retry-After": "5"})])
    manager = world.watched(shop(limits=RateLimitConfig(1, per=1)))

    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)
    assert 5.0 <= world.vendor.requests[1].at
    assert "VendorPaused" in world.told()


@sync_and_async
async def test_a_vendors_limit_is_waited_for_elsewhere(world: World) -> None:
    """A 429 keeps the call from every region, where no limit of ours does."""
    answers(world, eu=[Response(429, {"Retry-After": "5"})])
    manager = world.manager(shop())

    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)
    assert [0.0, 5.0] == [sent.at for sent in world.vendor.requests]


@sync_and_async
async def test_a_used_up_limit_is_for_all_regions(world: World) -> None:
    """A success that says that nothing is left makes every region wait."""
    used_up = {"RateLimit-Limit": "9", "RateLimit-Remaining": "0", "RateLimit-Reset": "5"}
    answers(world, eu=[Response(200, used_up)])
    manager = world.watched(shop(limits=RateLimitConfig(100)))

    await manager.call("shop", GET)

    assert "VendorPaused" in world.told()


@sync_and_async
async def test_limits_hold_across_regions(world: World) -> None:
    """A call that its limit refuses is refused, whatever other regions there are."""
    manager = world.watched(shop(limits=RateLimitConfig(1, per=60), max_limit_wait=0))
    await manager.call("shop", GET)

    with pytest.raises(RateLimitExceeded):
        await manager.call("shop", GET)

    assert ["eu"] == went(world)
    assert 1 == world.told().count("CallRefused")


@sync_and_async
async def test_circuit_that_opens_during_a_wait_moves_the_call(world: World) -> None:
    """If a circuit opens while a call waits for a limit, the next region is used."""
    manager = world.manager(shop(limits=RateLimitConfig(1, per=1)))
    await manager.call("shop", GET)

    async def meanwhile() -> None:
        await opened(manager, "eu")

    world.sleeper.meanwhile.append(meanwhile)
    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)


@sync_and_async
async def test_no_attempt_begins_after_the_deadline(world: World) -> None:
    """Failing over is within the deadline of the call."""
    answers(world, eu=[world.after(4.5, 503)])
    manager = world.manager(shop())

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET, timeout=5)
    assert ["eu"] == went(world)

    answers(world, eu=[world.hanging()])
    with pytest.raises(DeadlineExceeded):
        await manager.call("shop", GET, timeout=5)
    assert ["eu", "eu"] == went(world)


@sync_and_async
async def test_second_region_gets_the_remaining_time(world: World) -> None:
    """An attempt in a second region gets the rest of the deadline."""
    answers(world, eu=[world.after(1.0, REFUSED)])
    manager = world.manager(shop())

    await manager.call("shop", GET, timeout=5)

    assert [5.0, 4.0] == [sent.timeouts.total for sent in world.vendor.requests]
