"""The in-memory cache of responses."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError
from moorage.adapters.cache.memory import AsyncMemoryCache, MemoryCache
from moorage.adapters.concurrency.forking import restart_in_child
from moorage.testing import VirtualClock, cache_conformance, name_of
from moorage.testing.kits.cache_conformance import entry
from tests.support.examples import examples


@pytest.mark.parametrize("check", cache_conformance.CHECKS, ids=name_of)
def test_memory_cache_passes_conformance_kit(check: cache_conformance.Check) -> None:
    """MemoryCache passes the conformance kit."""
    check(MemoryCache)


@pytest.mark.parametrize("check", cache_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_memory_cache_passes_conformance_kit(check: cache_conformance.AsyncCheck) -> None:
    """AsyncMemoryCache passes the conformance kit."""
    asyncio.run(check(AsyncMemoryCache))


def put_responses(cache: MemoryCache, key: str, *numbers: int, seconds: float = 60.0) -> bool:
    """Store one response for each of these numbers in the cache."""
    return cache.store(key, cache.find(key).version, tuple(map(entry, numbers)), seconds)


SIZE = 256 + entry(1).size


def test_least_recently_used_entry_is_dropped() -> None:
    """A full cache drops the least recently used entry."""
    cache = MemoryCache(max_entries=2)
    put_responses(cache, "a", 1)
    put_responses(cache, "b", 2)
    cache.find("a")
    put_responses(cache, "c", 3)

    assert [1, 0, 1] == [len(cache.find(key).entries) for key in "abc"]
    assert 2 == len(cache)


def test_bytes_are_bounded() -> None:
    """The cache stays within `max_bytes`; the bytes of removed entries become available again."""
    cache = MemoryCache(max_bytes=2 * SIZE)
    put_responses(cache, "a", 1)
    put_responses(cache, "b", 2)
    assert 2 * SIZE == cache.size
    put_responses(cache, "c", 3)

    assert [0, 1, 1] == [len(cache.find(key).entries) for key in "abc"]
    assert 2 * SIZE == cache.size
    cache.delete("b")
    assert SIZE + 256 == cache.size


def test_oversized_entry_drops_no_other() -> None:
    """An entry that is larger than the whole cache is not stored.

    No other entry is removed for it.
    """
    cache = MemoryCache(max_bytes=SIZE + 256)
    put_responses(cache, "a", 1)
    put_responses(cache, "b")

    assert not put_responses(cache, "b", 1, 2)
    assert [1, 0] == [len(cache.find(key).entries) for key in "ab"]


def test_expired_answer_is_removed() -> None:
    """The cache's own clock decides a cached response's age; an expired response is removed."""
    clock = VirtualClock()
    cache = MemoryCache(clock)
    put_responses(cache, "a", 1, seconds=10)

    clock.advance(9.5)
    assert (attrs.evolve(entry(1), age=16.75),) == cache.find("a").entries
    clock.advance(0.5)
    assert () == cache.find("a").entries
    assert put_responses(cache, "a", 2)


def test_dropped_change_mark_prevents_storing() -> None:
    """If the cache forgets a key's change, responses requested earlier are not stored."""
    cache = MemoryCache(max_entries=2)
    first_version = cache.find("a").version
    cache.delete("a")
    put_responses(cache, "b", 1)
    put_responses(cache, "c", 1)

    assert not cache.store("a", first_version, (entry(1),), 60)
    assert put_responses(cache, "a", 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["find", "store", "delete"]), st.sampled_from("abcd")),
        max_size=60,
    ),
    st.integers(1, 4),
)
@examples(200)
def test_answer_requested_before_a_change_is_not_stored(
    steps: list[tuple[str, str]], entries: int
) -> None:
    """In any order of steps, the cache refuses a response that was requested before a change."""
    cache = MemoryCache(max_entries=entries)
    versions: dict[str, int] = {}
    changed_keys: dict[str, bool] = {}
    for verb, key in steps:
        if verb == "find":
            versions[key] = cache.find(key).version
            changed_keys[key] = False
        elif verb == "delete":
            cache.delete(key)
            changed_keys[key] = True
            assert () == cache.find(key).entries
        elif key in versions:
            was_stored = cache.store(key, versions[key], (entry(1),), 60)
            assert not (was_stored and changed_keys[key])
            changed_keys[key] = changed_keys[key] or was_stored
        assert len(cache) <= entries


def test_forked_child_has_an_empty_cache() -> None:
    """A forked child has an empty cache, even if its parent was writing to it."""
    cache = MemoryCache()
    put_responses(cache, "a", 1)

    with cache._lock:  # noqa: SLF001 - as another thread of the parent's would
        restart_in_child()
        assert () == cache.find("a").entries
    assert 0 == cache.size
    assert put_responses(cache, "a", 1)


def test_synchronous_and_asynchronous_callers_may_share_a_cache() -> None:
    """Synchronous and asynchronous callers can share one cache."""
    shared_cache = MemoryCache()
    put_responses(shared_cache, "a", 1)

    assert 1 == len(asyncio.run(AsyncMemoryCache(shared_cache).find("a")).entries)
    assert shared_cache


@pytest.mark.parametrize("option", ["max_entries", "max_bytes"])
def test_cache_with_a_limit_of_zero_is_refused(option: str) -> None:
    """A cache with a limit of zero is refused; the error contains the setting's name."""
    bounds: dict[str, Any] = {option: 0}
    with pytest.raises(ConfigurationError) as excinfo:
        MemoryCache(**bounds)
    assert option == excinfo.value.path
