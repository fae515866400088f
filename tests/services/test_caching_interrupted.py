"""Calls of a cached service, interrupted at every possible point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import CachePolicy, Request, Response, StorageUnavailable
from tests.services.test_interruptions import all_slots_are_free, every_interruption, in_every_mode
from tests.support.caching import GET, NEWER, FaultyCache, vat

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager, Harness

SERVED_STALE = Response(200, {"Cache-Control": "max-age=60, stale-while-revalidate=600"}, b"first")


@pytest.mark.parametrize("away", [False, True])
@in_every_mode
def test_interrupted_read_releases_the_cache(
    mode: str,
    error: type[BaseException],
    away: bool,
) -> None:
    """An interrupted read releases its bulkhead slot, and the probe of an unavailable cache."""

    def prepare_calls(harness: Harness) -> tuple[AwaitedManager, Any]:
        cache = FaultyCache(harness)
        manager = harness.manager(vat(cache=CachePolicy(max_wait=9)), cache=harness.of_mode(cache))
        harness.vendor.answers(SERVED_STALE)
        harness.drive(manager.call("vat", GET))
        harness.clock.advance(61)
        harness.vendor.otherwise = NEWER
        if away:
            cache.fails = StorageUnavailable("away.")
            harness.drive(manager.call("vat", GET))
            cache.fails = None
            harness.clock.advance(2)
        return manager, lambda: manager.call("vat", GET)

    places = every_interruption(mode, error, prepare_calls)
    for harness, manager, _ in places:
        assert all_slots_are_free(harness)
        harness.drive(manager.call("vat", GET))
        assert harness.drive(manager.call("vat", GET)).cached
        assert b"second" == harness.drive(manager.call("vat", GET)).body
    assert "before the cache is asked to find" in {place for _, _, place in places}
    assert "before the cache is asked to store" in {place for _, _, place in places}


@in_every_mode
def test_interrupted_write_releases_the_cache(mode: str, error: type[BaseException]) -> None:
    """A write interrupted before sending, or while it clears the cache, frees its bulkhead slot."""

    def prepare_calls(harness: Harness) -> tuple[AwaitedManager, Any]:
        manager = harness.manager(vat(), cache=harness.of_mode(FaultyCache(harness)))
        harness.vendor.otherwise = NEWER
        harness.drive(manager.call("vat", GET))
        return manager, lambda: manager.call("vat", Request.put("/rates"))

    places = every_interruption(mode, error, prepare_calls)
    for harness, manager, _ in places:
        assert all_slots_are_free(harness)
        harness.drive(manager.call("vat", Request.put("/rates")))
        assert not harness.drive(manager.call("vat", GET)).cached
    assert "before the cache is asked to delete" in {place for _, _, place in places}
