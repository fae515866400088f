"""Calls with a cache that is unavailable, slow or damaged."""

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
from moorage.adapters.concurrency.forking import restart_in_child
from tests.support.caching import (
    FRESH_RESPONSE,
    GET,
    FaultyCache,
    count_requests,
    events_of,
    vat,
)
from tests.support.modes import SYNC, World, sync_and_async
from tests.support.virtual_tasks import Interruption

if TYPE_CHECKING:
    from moorage.domain.cache.rules import StoredAnswers


@sync_and_async
async def test_cache_outage_without_observers_fails_no_call(world: World) -> None:
    """An unavailable cache fails no call when the manager has no observers."""
    cache = FaultyCache(world)
    cache.fails = StorageUnavailable("the cache is away.")
    manager = world.manager(vat(), cache=world.of_mode(cache))

    for _ in range(2):
        await manager.call("vat", GET)

    assert ["find"] == cache.asked


@sync_and_async
async def test_calls_go_on_without_the_cache(world: World) -> None:
    """An unavailable cache fails no call; it is skipped for a while and then probed."""
    cache = FaultyCache(world)
    world.vendor.otherwise = FRESH_RESPONSE
    manager = world.watched(vat(), cache=world.of_mode(cache))
    cache.fails = StorageUnavailable("the cache is away.")

    for _ in range(2):
        assert not (await manager.call("vat", GET)).cached
    assert ["find"] == cache.asked
    assert ["StorageUnavailable"] * 2 == [event.error for event in events_of(world, CacheSkipped)]
    assert ["cache"] == [event.service for event in events_of(world, StorageLost)]

    cache.fails = None
    world.clock.advance(2)
    await manager.call("vat", GET)
    assert (await manager.call("vat", GET)).cached
    assert ["cache"] == [event.service for event in events_of(world, StorageRecovered)]


@sync_and_async
async def test_failed_cache_is_probed_less_and_less_often(world: World) -> None:
    """After each failed probe of the cache, the next probe comes later."""
    cache = FaultyCache(world)
    world.vendor.otherwise = FRESH_RESPONSE
    manager = world.watched(vat(), cache=world.of_mode(cache))
    cache.fails = StorageUnavailable("the cache is away.")

    for _ in range(3):
        await manager.call("vat", GET)
        world.clock.advance(0.25)
    assert ["find"] * 2 == cache.asked
    assert ["cache"] * 2 == [event.service for event in events_of(world, StorageLost)]

    cache.fails = None
    world.clock.advance(1)
    await manager.call("vat", GET)
    assert (await manager.call("vat", GET)).cached
    assert [1.75] == [event.duration for event in events_of(world, StorageRecovered)]


@sync_and_async
async def test_cache_errors_do_not_reach_the_caller(world: World) -> None:
    """No error of a cache adapter reaches the caller; the call succeeds."""
    cache = FaultyCache(world)
    cache.fails = ZeroDivisionError("secret")
    manager = world.watched(vat(), cache=world.of_mode(cache))

    assert 200 == (await manager.call("vat", GET)).status

    (lost_event,) = events_of(world, StorageLost)
    assert lost_event.error.startswith("The cache raised ZeroDivisionError in ")
    assert "secret" not in repr(world.events)


@sync_and_async
async def test_refused_entry_is_not_an_outage(world: World) -> None:
    """If the cache refuses to store an entry, it still counts as available."""
    cache = FaultyCache(world)
    cache.fails = InvalidData("this cannot be kept.")
    manager = world.watched(vat(), cache=world.of_mode(cache))

    for _ in range(2):
        await manager.call("vat", GET)

    assert ["find", "find"] == cache.asked
    assert ["InvalidData"] * 2 == [event.error for event in events_of(world, CacheSkipped)]


@sync_and_async
async def test_slow_cache_is_skipped_for_a_while(world: World) -> None:
    """A response that the cache returns too late is used, but the next calls skip the cache."""
    cache = FaultyCache(world)
    world.vendor.otherwise = FRESH_RESPONSE
    manager = world.watched(vat(), cache=world.of_mode(cache))
    await manager.call("vat", GET)

    cache.slow = 0.2
    assert (await manager.call("vat", GET)).cached
    cache.slow = 0.3
    assert (await manager.call("vat", GET)).cached
    assert not (await manager.call("vat", GET)).cached

    assert ["find", "store", "find", "find"] == cache.asked
    assert ["The cache did not answer within 0.25 s."] == [
        event.error for event in events_of(world, StorageLost)
    ]


def test_cache_at_its_time_limit_is_not_late() -> None:
    """If the cache answers exactly at its time limit, its response is still used."""
    world = World(SYNC)
    cache = FaultyCache(world)
    world.vendor.otherwise = FRESH_RESPONSE

    async def day() -> None:
        manager = world.watched(vat(), cache=world.of_mode(cache))
        await manager.call("vat", GET)
        cache.slow = 0.25
        assert (await manager.call("vat", GET)).cached

    world.drive(day())
    assert [] == events_of(world, StorageLost)


@sync_and_async
async def test_cache_look_up_counts_towards_the_deadline(world: World) -> None:
    """Time spent in the cache reduces the time that a call may wait for a rate limit."""
    cache = FaultyCache(world)
    cache.slow = 0.5
    service = vat(
        cache=CachePolicy(max_wait=9), limits=RateLimitConfig(1, per=1.2, burst=1), timeout=1.0
    )
    manager = world.manager(service, cache=world.of_mode(cache))
    await manager.call("vat", Request.options("/rates"))

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [] == world.sleeper.slept


@sync_and_async
async def test_deadline_during_the_cache_look_up_takes_no_token(world: World) -> None:
    """A deadline that passes during the cache look-up ends the call without taking a token."""
    cache = FaultyCache(world)
    cache.slow = 1.0
    service = vat(
        cache=CachePolicy(max_wait=9), limits=RateLimitConfig(1, per=60, burst=1), timeout=1.0
    )
    manager = world.manager(service, cache=world.of_mode(cache))
    with pytest.raises(DeadlineExceeded) as excinfo:
        await manager.call("vat", GET)

    assert (0, False) == (count_requests(world), excinfo.value.may_have_been_processed)
    cache.slow = 0.0
    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_uncached_service_does_not_use_the_cache(world: World) -> None:
    """A write to a service without a cache policy does not use the cache."""
    cache = FaultyCache(world)
    manager = world.manager(
        vat(), attrs.evolve(vat(cache=None), name="crm"), cache=world.of_mode(cache)
    )

    await manager.call("crm", Request.post("/rates"))

    assert [] == cache.asked


@sync_and_async
async def test_failed_invalidation_is_reported(world: World) -> None:
    """A write succeeds although the cache is unavailable, and observers get an event."""
    cache = FaultyCache(world)
    cache.fails = StorageUnavailable("away.")
    manager = world.watched(vat(), cache=world.of_mode(cache))

    assert 200 == (await manager.call("vat", Request.post("/rates"))).status

    assert ["StorageUnavailable"] == [event.error for event in events_of(world, CacheSkipped)]


@sync_and_async
async def test_unreadable_entries_are_replaced(world: World) -> None:
    """A damaged cache entry, or one whose encryption key is missing, is reported and replaced."""
    cache = FaultyCache(world)
    world.vendor.otherwise = FRESH_RESPONSE
    manager = world.watched(vat(), cache=world.of_mode(cache))
    await manager.call("vat", GET)

    cache.unreadable = "InvalidData"
    assert not (await manager.call("vat", GET)).cached
    cache.unreadable = None

    assert (await manager.call("vat", GET)).cached
    assert ["InvalidData"] == [event.error for event in events_of(world, CacheSkipped)]
    assert [] == events_of(world, StorageLost)


@sync_and_async
async def test_next_caller_probes_the_cache_after_an_interrupted_probe(world: World) -> None:
    """If a caller is interrupted while probing the cache, the next caller probes it."""
    cache = FaultyCache(world)
    cache.fails = StorageUnavailable("away.")
    manager = world.manager(vat(), cache=world.of_mode(cache))
    await manager.call("vat", GET)
    world.clock.advance(2)

    cache.fails = Interruption()
    with pytest.raises(Interruption):
        await manager.call("vat", GET)
    cache.fails = None
    world.vendor.answers(FRESH_RESPONSE)
    await manager.call("vat", GET)

    assert (await manager.call("vat", GET)).cached


class HangingCache(FaultyCache):
    """A cache that blocks each call while a test makes it hang."""

    hangs = True

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        if self.hangs:
            self.asked.append("find")
            await asyncio.Event().wait()
        return await super().find(key, timeout)


@pytest.mark.parametrize(
    "max_wait, timeout, lost",
    [(0.01, None, ["cache"]), (0.01, 0.01, ["cache"]), (30.0, 0.01, [])],
)
def test_hanging_cache_is_abandoned(
    max_wait: float, timeout: float | None, lost: list[str]
) -> None:
    """A hanging cache is abandoned; a call with a short timeout does not mark it unavailable."""
    world = World("async")
    cache = HangingCache(world)
    manager = world.watched(vat(cache=CachePolicy(max_wait=max_wait)), cache=cache)

    for _ in range(2):
        asyncio.run(manager.call("vat", GET, timeout=timeout))

    assert lost == [event.service for event in events_of(world, StorageLost)]
    assert ["find"] * (1 if lost else 2) == cache.asked
    assert 2 == count_requests(world)


class SlowCache(FaultyCache):
    """A cache that a test can slow down by half a second per answer."""

    late = False

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        if self.late:
            await asyncio.sleep(0.5)
        return await super().find(key, timeout)


def test_cache_wait_ends_at_the_deadline() -> None:
    """A call does not wait for the cache beyond its own deadline."""
    world = World("async")
    cache = SlowCache(world)
    world.vendor.otherwise = FRESH_RESPONSE
    manager = world.manager(vat(cache=CachePolicy(max_wait=30)), cache=cache)

    asyncio.run(manager.call("vat", GET))
    cache.late = True
    asyncio.run(manager.call("vat", GET, timeout=0.01))

    assert 2 == count_requests(world)


def test_call_with_too_little_time_to_probe_cache_leaves_probe_to_next_caller() -> None:
    """A call with too little time to probe the cache leaves the probe to the next caller."""
    world = World("async")
    cache = HangingCache(world)
    cache.hangs = False
    cache.fails = StorageUnavailable("away.")
    world.vendor.otherwise = FRESH_RESPONSE
    manager = world.manager(vat(cache=CachePolicy(max_wait=30.0)), cache=cache)
    asyncio.run(manager.call("vat", GET))
    world.clock.advance(2)

    cache.hangs = True
    asyncio.run(manager.call("vat", GET, timeout=0.01))
    cache.hangs, cache.fails = False, None
    asyncio.run(manager.call("vat", GET))

    assert asyncio.run(manager.call("vat", GET)).cached


@sync_and_async
async def test_forked_child_probes_the_cache_that_its_parent_was_probing(world: World) -> None:
    """If a process forks while one of its callers probes the cache, the child probes it too."""

    class ForkingCache(FaultyCache):
        """A cache that forks the process during its second look-up; the child makes a call."""

        async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
            if self.asked == ["find"]:
                self.asked.append("fork")
                restart_in_child()
                await manager.call("vat", GET)
            return await super().find(key, timeout)

    cache = ForkingCache(world)
    cache.fails = StorageUnavailable("the cache is away.")
    manager = world.watched(vat(), cache=world.of_mode(cache))
    await manager.call("vat", GET)
    world.clock.advance(1)

    await manager.call("vat", GET)

    assert ["find", "fork", "find", "find"] == cache.asked
