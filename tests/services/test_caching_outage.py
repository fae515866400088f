"""Calls whose cache is away, slow or damaged."""

# ruff: noqa: D102 - fakes, as typed and told of as they need to be

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import (
    CachePolicy,
    CacheSkipped,
    DeadlineExceeded,
    InvalidData,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    StorageLost,
    StorageRecovered,
    StorageUnavailable,
)
from tests.support.caching import (
    FRESH,
    GET,
    Cupboard,
    sent,
    told,
    vat,
)
from tests.support.modes import PLAIN, Interruption, World, sync_and_async

if TYPE_CHECKING:
    from moorage.domain.cache.rules import Found


@sync_and_async
async def test_nobody_need_listen(world: World) -> None:
    """An outage of the cache is noticed without observers too."""
    cupboard = Cupboard(world)
    cupboard.fails = StorageUnavailable("the cache is away.")
    manager = world.manager(vat(), cache=world.of_mode(cupboard))

    for _ in range(2):
        await manager.call("vat", GET)

    assert ["look"] == cupboard.asked


@sync_and_async
async def test_calls_go_on_without_the_cache(world: World) -> None:
    """A cache that is away fails no call; it is left alone for a while, and found again."""
    cupboard = Cupboard(world)
    world.vendor.otherwise = FRESH
    manager = world.watched(vat(), cache=world.of_mode(cupboard))
    cupboard.fails = StorageUnavailable("the cache is away.")

    for _ in range(2):
        assert not (await manager.call("vat", GET)).cached
    assert ["look"] == cupboard.asked
    assert ["StorageUnavailable"] * 2 == [event.error for event in told(world, CacheSkipped)]
    assert ["cache"] == [event.service for event in told(world, StorageLost)]

    cupboard.fails = None
    world.clock.advance(2)
    await manager.call("vat", GET)
    assert (await manager.call("vat", GET)).cached
    assert ["cache"] == [event.service for event in told(world, StorageRecovered)]


@sync_and_async
async def test_a_cache_that_stays_away_is_looked_for_less_often(world: World) -> None:
    """Who looks in vain leaves the next turn to another caller, after a longer pause."""
    cupboard = Cupboard(world)
    world.vendor.otherwise = FRESH
    manager = world.watched(vat(), cache=world.of_mode(cupboard))
    cupboard.fails = StorageUnavailable("the cache is away.")

    for _ in range(3):
        await manager.call("vat", GET)
        world.clock.advance(0.25)
    assert ["look"] * 2 == cupboard.asked
    assert ["cache"] * 2 == [event.service for event in told(world, StorageLost)]

    cupboard.fails = None
    world.clock.advance(1)
    await manager.call("vat", GET)
    assert (await manager.call("vat", GET)).cached
    assert [1.75] == [event.duration for event in told(world, StorageRecovered)]


@sync_and_async
async def test_what_a_cache_raises_is_not_passed_on(world: World) -> None:
    """Whatever an adapter raises, the call has its answer."""
    cupboard = Cupboard(world)
    cupboard.fails = ZeroDivisionError("secret")
    manager = world.watched(vat(), cache=world.of_mode(cupboard))

    assert 200 == (await manager.call("vat", GET)).status

    (lost,) = told(world, StorageLost)
    assert lost.error.startswith("The cache raised ZeroDivisionError in ")
    assert "secret" not in repr(world.events)


@sync_and_async
async def test_an_error_that_is_no_outage(world: World) -> None:
    """A cache that refuses one answer is not taken to be away."""
    cupboard = Cupboard(world)
    cupboard.fails = InvalidData("this cannot be kept.")
    manager = world.watched(vat(), cache=world.of_mode(cupboard))

    for _ in range(2):
        await manager.call("vat", GET)

    assert ["look", "look"] == cupboard.asked
    assert ["InvalidData"] * 2 == [event.error for event in told(world, CacheSkipped)]


@sync_and_async
async def test_a_slow_cache_is_left_alone(world: World) -> None:
    """What a cache answers late is used, but it is not waited for again at once."""
    cupboard = Cupboard(world)
    world.vendor.otherwise = FRESH
    manager = world.watched(vat(), cache=world.of_mode(cupboard))
    await manager.call("vat", GET)

    cupboard.slow = 0.2
    assert (await manager.call("vat", GET)).cached
    cupboard.slow = 0.3
    assert (await manager.call("vat", GET)).cached
    assert not (await manager.call("vat", GET)).cached

    assert ["look", "keep", "look", "look"] == cupboard.asked
    assert ["The cache did not answer within 0.25 s."] == [
        event.error for event in told(world, StorageLost)
    ]


def test_a_cache_that_takes_just_as_long_as_it_may_is_in_time() -> None:
    """It is late a moment later."""
    world = World(PLAIN)
    cupboard = Cupboard(world)
    world.vendor.otherwise = FRESH

    async def day() -> None:
        manager = world.watched(vat(), cache=world.of_mode(cupboard))
        await manager.call("vat", GET)
        cupboard.slow = 0.25
        assert (await manager.call("vat", GET)).cached

    world.drive(day())
    assert [] == told(world, StorageLost)


@sync_and_async
async def test_looking_takes_of_the_calls_time(world: World) -> None:
    """Who has looked for long waits no longer for a limit than the deadline leaves."""
    cupboard = Cupboard(world)
    cupboard.slow = 0.5
    service = vat(
        cache=CachePolicy(max_wait=9), limits=RateLimitConfig(1, per=1.2, burst=1), timeout=1.0
    )
    manager = world.manager(service, cache=world.of_mode(cupboard))
    await manager.call("vat", Request.options("/rates"))

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [] == world.sleeper.slept


@sync_and_async
async def test_who_has_looked_for_all_of_its_time_asks_for_nothing(world: World) -> None:
    """A deadline that passes while the cache is asked ends the call, which has taken no token."""
    cupboard = Cupboard(world)
    cupboard.slow = 1.0
    service = vat(
        cache=CachePolicy(max_wait=9), limits=RateLimitConfig(1, per=60, burst=1), timeout=1.0
    )
    manager = world.manager(service, cache=world.of_mode(cupboard))
    with pytest.raises(DeadlineExceeded) as caught:
        await manager.call("vat", GET)

    assert (0, False) == (sent(world), caught.value.may_have_been_processed)
    cupboard.slow = 0.0
    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_who_keeps_nothing_asks_no_cache(world: World) -> None:
    """Writing to a service of which no answers are kept makes nobody forget anything."""
    cupboard = Cupboard(world)
    manager = world.manager(
        vat(), attrs.evolve(vat(cache=None), name="crm"), cache=world.of_mode(cupboard)
    )

    await manager.call("crm", Request.post("/rates"))

    assert [] == cupboard.asked


@sync_and_async
async def test_what_cannot_be_forgotten_is_told(world: World) -> None:
    """A write goes through though the cache is away, and observers hear of it."""
    cupboard = Cupboard(world)
    cupboard.fails = StorageUnavailable("away.")
    manager = world.watched(vat(), cache=world.of_mode(cupboard))

    assert 200 == (await manager.call("vat", Request.post("/rates"))).status

    assert ["StorageUnavailable"] == [event.error for event in told(world, CacheSkipped)]


@sync_and_async
async def test_what_cannot_be_read_is_asked_for_again(world: World) -> None:
    """What is damaged, or sealed with a key that is not here, is told, and replaced."""
    cupboard = Cupboard(world)
    world.vendor.otherwise = FRESH
    manager = world.watched(vat(), cache=world.of_mode(cupboard))
    await manager.call("vat", GET)

    cupboard.unreadable = "InvalidData"
    assert not (await manager.call("vat", GET)).cached
    cupboard.unreadable = None

    assert (await manager.call("vat", GET)).cached
    assert ["InvalidData"] == [event.error for event in told(world, CacheSkipped)]
    assert [] == told(world, StorageLost)


@sync_and_async
async def test_an_interrupted_look_leaves_the_turn(world: World) -> None:
    """Who is interrupted while looking for a cache leaves that to the next caller."""
    cupboard = Cupboard(world)
    cupboard.fails = StorageUnavailable("away.")
    manager = world.manager(vat(), cache=world.of_mode(cupboard))
    await manager.call("vat", GET)
    world.clock.advance(2)

    cupboard.fails = Interruption()
    with pytest.raises(Interruption):
        await manager.call("vat", GET)
    cupboard.fails = None
    world.vendor.answers(FRESH)
    await manager.call("vat", GET)

    assert (await manager.call("vat", GET)).cached


class Hanging(Cupboard):
    """A cache that does not answer while it hangs."""

    hangs = True

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        if self.hangs:
            self.asked.append("look")
            await asyncio.Event().wait()
        return await super().look(key, timeout)


@pytest.mark.parametrize(
    "max_wait, timeout, lost",
    [(0.01, None, ["cache"]), (0.01, 0.01, ["cache"]), (30.0, 0.01, [])],
)
def test_a_cache_that_hangs_is_not_waited_for(
    max_wait: float, timeout: float | None, lost: list[str]
) -> None:
    """Tasks cut a cache off; one that merely had a call in a hurry is not taken to be away."""
    world = World("awaited")
    cupboard = Hanging(world)
    manager = world.watched(vat(cache=CachePolicy(max_wait=max_wait)), cache=cupboard)

    for _ in range(2):
        asyncio.run(manager.call("vat", GET, timeout=timeout))

    assert lost == [event.service for event in told(world, StorageLost)]
    assert ["look"] * (1 if lost else 2) == cupboard.asked
    assert 2 == sent(world)


class Late(Cupboard):
    """A cache that answers half a second later once it is late."""

    late = False

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        if self.late:
            await asyncio.sleep(0.5)
        return await super().look(key, timeout)


def test_a_cache_has_no_more_time_than_its_call() -> None:
    """What a cache answers after the deadline is not waited for, however patient the service is."""
    world = World("awaited")
    cupboard = Late(world)
    world.vendor.otherwise = FRESH
    manager = world.manager(vat(cache=CachePolicy(max_wait=30)), cache=cupboard)

    asyncio.run(manager.call("vat", GET))
    cupboard.late = True
    asyncio.run(manager.call("vat", GET, timeout=0.01))

    assert 2 == sent(world)


def test_a_call_in_a_hurry_leaves_the_turn() -> None:
    """Who has no time to look for a cache that was away leaves that to the next caller."""
    world = World("awaited")
    cupboard = Hanging(world)
    cupboard.hangs = False
    cupboard.fails = StorageUnavailable("away.")
    world.vendor.otherwise = FRESH
    manager = world.manager(vat(cache=CachePolicy(max_wait=30.0)), cache=cupboard)
    asyncio.run(manager.call("vat", GET))
    world.clock.advance(2)

    cupboard.hangs = True
    asyncio.run(manager.call("vat", GET, timeout=0.01))
    cupboard.hangs, cupboard.fails = False, None
    asyncio.run(manager.call("vat", GET))

    assert asyncio.run(manager.call("vat", GET)).cached
