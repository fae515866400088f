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
from tests.support.modes import SYNC, Harness, sync_and_async
from tests.support.virtual_tasks import Interruption

if TYPE_CHECKING:
    from moorage.domain.cache.rules import StoredAnswers


@sync_and_async
async def test_cache_outage_without_observers_fails_no_call(harness: Harness) -> None:
    """An unavailable cache fails no call when the manager has no observers."""
    cache = FaultyCache(harness)
    cache.fails = StorageUnavailable("the cache is away.")
    manager = harness.manager(vat(), cache=harness.of_mode(cache))

    for _ in range(2):
        await manager.call("vat", GET)

    assert ["find"] == cache.asked


@sync_and_async
async def test_calls_go_on_without_the_cache(harness: Harness) -> None:
    """An unavailable cache fails no call; it is skipped for a while and then probed."""
    cache = FaultyCache(harness)
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.watched(vat(), cache=harness.of_mode(cache))
    cache.fails = StorageUnavailable("the cache is away.")

    for _ in range(2):
        assert not (await manager.call("vat", GET)).cached
    assert ["find"] == cache.asked
    assert ["StorageUnavailable"] * 2 == [event.error for event in events_of(harness, CacheSkipped)]
    assert ["cache"] == [event.service for event in events_of(harness, StorageLost)]

    cache.fails = None
    harness.clock.advance(2)
    await manager.call("vat", GET)
    assert (await manager.call("vat", GET)).cached
    assert ["cache"] == [event.service for event in events_of(harness, StorageRecovered)]


@sync_and_async
async def test_failed_cache_is_probed_less_and_less_often(harness: Harness) -> None:
    """After each failed probe of the cache, the next probe comes later."""
    cache = FaultyCache(harness)
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.watched(vat(), cache=harness.of_mode(cache))
    cache.fails = StorageUnavailable("the cache is away.")

    for _ in range(3):
        await manager.call("vat", GET)
        harness.clock.advance(0.25)
    assert ["find"] * 2 == cache.asked
    assert ["cache"] * 2 == [event.service for event in events_of(harness, StorageLost)]

    cache.fails = None
    harness.clock.advance(1)
    await manager.call("vat", GET)
    assert (await manager.call("vat", GET)).cached
    assert [1.75] == [event.duration for event in events_of(harness, StorageRecovered)]


@sync_and_async
async def test_cache_errors_do_not_reach_the_caller(harness: Harness) -> None:
    """No error of a cache adapter reaches the caller; the call succeeds."""
    cache = FaultyCache(harness)
    cache.fails = ZeroDivisionError("secret")
    manager = harness.watched(vat(), cache=harness.of_mode(cache))

    assert 200 == (await manager.call("vat", GET)).status

    (lost_event,) = events_of(harness, StorageLost)
    assert lost_event.error.startswith("The cache raised ZeroDivisionError in ")
    assert "secret" not in repr(harness.events)


@sync_and_async
async def test_refused_entry_is_not_an_outage(harness: Harness) -> None:
    """If the cache refuses to store an entry, it still counts as available."""
    cache = FaultyCache(harness)
    cache.fails = InvalidData("this cannot be kept.")
    manager = harness.watched(vat(), cache=harness.of_mode(cache))

    for _ in range(2):
        await manager.call("vat", GET)

    assert ["find", "find"] == cache.asked
    assert ["InvalidData"] * 2 == [event.error for event in events_of(harness, CacheSkipped)]


@sync_and_async
async def test_slow_cache_is_skipped_for_a_while(harness: Harness) -> None:
    """A response that the cache returns too late is used, but the next calls skip the cache."""
    cache = FaultyCache(harness)
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.watched(vat(), cache=harness.of_mode(cache))
    await manager.call("vat", GET)

    cache.slow = 0.2
    assert (await manager.call("vat", GET)).cached
    cache.slow = 0.3
    assert (await manager.call("vat", GET)).cached
    assert not (await manager.call("vat", GET)).cached

    assert ["find", "store", "find", "find"] == cache.asked
    assert ["The cache did not answer within 0.25 s."] == [
        event.error for event in events_of(harness, StorageLost)
    ]


def test_cache_at_its_time_limit_is_not_late() -> None:
    """If the cache answers exactly at its time limit, its response is still used."""
    harness = Harness(SYNC)
    cache = FaultyCache(harness)
    harness.vendor.otherwise = FRESH_RESPONSE

    async def day() -> None:
        manager = harness.watched(vat(), cache=harness.of_mode(cache))
        await manager.call("vat", GET)
        cache.slow = 0.25
        assert (await manager.call("vat", GET)).cached

    harness.drive(day())
    assert [] == events_of(harness, StorageLost)


@sync_and_async
async def test_cache_look_up_counts_towards_the_deadline(harness: Harness) -> None:
    """Time spent in the cache reduces the time that a call may wait for a rate limit."""
    cache = FaultyCache(harness)
    cache.slow = 0.5
    service = vat(
        cache=CachePolicy(max_wait=9), limits=RateLimitConfig(1, per=1.2, burst=1), timeout=1.0
    )
    manager = harness.manager(service, cache=harness.of_mode(cache))
    await manager.call("vat", Request.options("/rates"))

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [] == harness.sleeper.slept


@sync_and_async
async def test_deadline_during_the_cache_look_up_takes_no_token(harness: Harness) -> None:
    """A deadline that passes during the cache look-up ends the call without taking a token."""
    cache = FaultyCache(harness)
    cache.slow = 1.0
    service = vat(
        cache=CachePolicy(max_wait=9), limits=RateLimitConfig(1, per=60, burst=1), timeout=1.0
    )
    manager = harness.manager(service, cache=harness.of_mode(cache))
    with pytest.raises(DeadlineExceeded) as excinfo:
        await manager.call("vat", GET)

    assert (0, False) == (count_requests(harness), excinfo.value.may_have_been_processed)
    cache.slow = 0.0
    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_uncached_service_does_not_use_the_cache(harness: Harness) -> None:
    """A write to a service without a cache policy does not use the cache."""
    cache = FaultyCache(harness)
    manager = harness.manager(
        vat(), attrs.evolve(vat(cache=None), name="crm"), cache=harness.of_mode(cache)
    )

    await manager.call("crm", Request.post("/rates"))

    assert [] == cache.asked


@sync_and_async
async def test_failed_invalidation_is_reported(harness: Harness) -> None:
    """A write succeeds although the cache is unavailable, and observers get an event."""
    cache = FaultyCache(harness)
    cache.fails = StorageUnavailable("away.")
    manager = harness.watched(vat(), cache=harness.of_mode(cache))

    assert 200 == (await manager.call("vat", Request.post("/rates"))).status

    assert ["StorageUnavailable"] == [event.error for event in events_of(harness, CacheSkipped)]


@sync_and_async
async def test_unreadable_entries_are_replaced(harness: Harness) -> None:
    """A damaged cache entry, or one whose encryption key is missing, is reported and replaced."""
    cache = FaultyCache(harness)
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.watched(vat(), cache=harness.of_mode(cache))
    await manager.call("vat", GET)

    cache.unreadable = "InvalidData"
    assert not (await manager.call("vat", GET)).cached
    cache.unreadable = None

    assert (await manager.call("vat", GET)).cached
    assert ["InvalidData"] == [event.error for event in events_of(harness, CacheSkipped)]
    assert [] == events_of(harness, StorageLost)


@sync_and_async
async def test_next_caller_probes_the_cache_after_an_interrupted_probe(harness: Harness) -> None:
    """If a caller is interrupted while probing the cache, the next caller probes it."""
    cache = FaultyCache(harness)
    cache.fails = StorageUnavailable("away.")
    manager = harness.manager(vat(), cache=harness.of_mode(cache))
    await manager.call("vat", GET)
    harness.clock.advance(2)

    cache.fails = Interruption()
    with pytest.raises(Interruption):
        await manager.call("vat", GET)
    cache.fails = None
    harness.vendor.answers(FRESH_RESPONSE)
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
    harness = Harness("async")
    cache = HangingCache(harness)
    manager = harness.watched(vat(cache=CachePolicy(max_wait=max_wait)), cache=cache)

    for _ in range(2):
        asyncio.run(manager.call("vat", GET, timeout=timeout))

    assert lost == [event.service for event in events_of(harness, StorageLost)]
    assert ["find"] * (1 if lost else 2) == cache.asked
    assert 2 == count_requests(harness)


class SlowCache(FaultyCache):
    """A cache that a test can slow down by half a second per answer."""

    late = False

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        if self.late:
            await asyncio.sleep(0.5)
        return await super().find(key, timeout)


def test_cache_wait_ends_at_the_deadline() -> None:
    """A call does not wait for the cache beyond its own deadline."""
    harness = Harness("async")
    cache = SlowCache(harness)
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.manager(vat(cache=CachePolicy(max_wait=30)), cache=cache)

    asyncio.run(manager.call("vat", GET))
    cache.late = True
    asyncio.run(manager.call("vat", GET, timeout=0.01))

    assert 2 == count_requests(harness)


def test_call_with_too_little_time_to_probe_cache_leaves_probe_to_next_caller() -> None:
    """A call with too little time to probe the cache leaves the probe to the next caller."""
    harness = Harness("async")
    cache = HangingCache(harness)
    cache.hangs = False
    cache.fails = StorageUnavailable("away.")
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.manager(vat(cache=CachePolicy(max_wait=30.0)), cache=cache)
    asyncio.run(manager.call("vat", GET))
    harness.clock.advance(2)

    cache.hangs = True
    asyncio.run(manager.call("vat", GET, timeout=0.01))
    cache.hangs, cache.fails = False, None
    asyncio.run(manager.call("vat", GET))

    assert asyncio.run(manager.call("vat", GET)).cached


@sync_and_async
async def test_forked_child_probes_the_cache_that_its_parent_was_probing(harness: Harness) -> None:
    """If a process forks while one of its callers probes the cache, the child probes it too."""

    class ForkingCache(FaultyCache):
        """A cache that forks the process during its second look-up; the child makes a call."""

        async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
            if self.asked == ["find"]:
                self.asked.append("fork")
                restart_in_child()
                await manager.call("vat", GET)
            return await super().find(key, timeout)

    cache = ForkingCache(harness)
    cache.fails = StorageUnavailable("the cache is away.")
    manager = harness.watched(vat(), cache=harness.of_mode(cache))
    await manager.call("vat", GET)
    harness.clock.advance(1)

    await manager.call("vat", GET)

    assert ["find", "fork", "find", "find"] == cache.asked
