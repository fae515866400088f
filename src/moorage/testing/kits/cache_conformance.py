"""Checks that every response cache must pass.

```python
import pytest

from moorage.adapters.cache.memory import MemoryCache  # yours
from moorage.testing import cache_conformance, name_of


@pytest.mark.parametrize("check", cache_conformance.CHECKS, ids=name_of)
def test_cache(check):
    check(MemoryCache)
```

`CHECKS` are for `ResponseCache`. `ASYNC_CHECKS` are for `AsyncResponseCache`, and awaited. Each
takes a function that returns a cache with room for a hundred small responses. It may return the
same cache each time, because each check uses its own keys. The checks use real time, and may wait
for a tenth of a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import uuid4

import attrs

from moorage.domain.cache.rules import CacheEntry
from moorage.domain.http.response import Response
from moorage.ports.cache import AsyncResponseCache, ResponseCache
from moorage.testing.kits.checks import (
    interrupted_results,
    patience,
    require,
    run_concurrently,
    sync_check,
)

Factory: TypeAlias = Callable[[], ResponseCache]
AsyncFactory: TypeAlias = Callable[[], AsyncResponseCache]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]

_LONG: Final = 3_600.0
_SHORT: Final = 0.1
_THREADS: Final = 4
_ROUNDS: Final = 10
_HANGS: Final = "A thread that uses the cache does not end."
_BOTH_STORED: Final = "Two threads that looked up the same value at the same time both stored it."


def entry(number: int) -> CacheEntry:
    """Return a response that differs for each number."""
    fields = [("Set-Cookie", f"a={number}"), ("set-cookie", "b"), ("X-Latin", "\xe9\xff")]
    body = bytes(range(256)) + b"%d" % number
    response = Response(200 + number, fields, body, reason="Fine", elapsed=0.25)
    return CacheEntry(response, 60.5 + number, 7.25, ("accept", "x"), b"\x00\xff%d" % number)


async def a_new_cache_is_empty(factory: AsyncFactory) -> None:
    """A new cache has no responses, and removing them does nothing."""
    cache, key = factory(), _key()
    await _require_entries(cache, key)
    await cache.delete(key)
    await _require_entries(cache, key)


async def cached_responses_come_back_unchanged(factory: AsyncFactory) -> None:
    """Stored responses are returned in order, byte for byte, on every look-up."""
    cache, key = factory(), _key()
    expected = (entry(1), entry(2), attrs.evolve(entry(3), varies_by=(), lifetime=0.0))
    await _store_answer(cache, key, *expected)
    await _require_entries(cache, key, *expected)
    await _require_entries(cache, key, *expected)


async def keys_are_separate(factory: AsyncFactory) -> None:
    """Storing or deleting under one key does not affect other keys."""
    cache, key = factory(), _key()
    keys = [key, key.upper(), f"{key} ", f"{key}0", key.replace("@", "")]
    for number, distinct_key in enumerate(keys):
        await _store_answer(cache, distinct_key, entry(number))
    await cache.delete(key)
    await _require_entries(cache, key)
    for number, distinct_key in enumerate(keys[1:], 1):
        await _require_entries(cache, distinct_key, entry(number))


async def storing_replaces_earlier_responses(factory: AsyncFactory) -> None:
    """Storing under a key replaces all its earlier responses."""
    cache, key = factory(), _key()
    await _store_answer(cache, key, entry(1), entry(2))
    await _store_answer(cache, key, entry(3))
    await _require_entries(cache, key, entry(3))


async def a_removed_response_is_gone(factory: AsyncFactory) -> None:
    """A removed response is not found until a new one is stored."""
    cache, key = factory(), _key()
    await _store_answer(cache, key, entry(1))
    await cache.delete(key)
    await _require_entries(cache, key)
    await _store_answer(cache, key, entry(2))
    await _require_entries(cache, key, entry(2))


async def a_response_requested_before_removal_is_not_stored(factory: AsyncFactory) -> None:
    """A response is not stored if its key was removed from the cache after the request was made."""
    cache, key = factory(), _key()
    for has_entry in (False, True):
        if has_entry:
            await _store_answer(cache, key, entry(1))
        lookup = await cache.find(key)
        await cache.delete(key)
        was_stored = await cache.store(key, lookup.version, (entry(2),), _LONG)
        require(not was_stored, "A response was cached although its key had been removed.")
        await _require_entries(cache, key)


async def one_of_two_concurrent_writers_succeeds(factory: AsyncFactory) -> None:
    """If two callers have read the same version, only the first can replace it."""
    cache, key = factory(), _key()
    for number in (1, 3):
        lookup, second_lookup = await cache.find(key), await cache.find(key)
        is_first_kept = await cache.store(key, lookup.version, (entry(number),), _LONG)
        is_second_kept = await cache.store(key, second_lookup.version, (entry(number + 1),), _LONG)
        require(
            is_first_kept, "A response was not cached although nothing had changed under its key."
        )
        require(not is_second_kept, "A cached response replaced a newer one.")
        await _require_entries(cache, key, entry(number))


async def cached_responses_age(factory: AsyncFactory) -> None:
    """A response's age includes its time in the cache."""
    cache, key = factory(), _key()
    start_time = time.monotonic()
    await _store_answer(cache, key, entry(1))
    stored_at = time.monotonic()
    age = entry(1).age
    while age < entry(1).age + _SHORT:
        read_start = time.monotonic()
        entries = (await cache.find(key)).entries
        read_end = time.monotonic()
        require(entries, "A response with a long lifetime was lost.")
        require(entries[0].age >= age, "The age of a cached response decreased.")
        age = entries[0].age
        time_kept = age - entry(1).age
        require(
            time_kept <= read_end - start_time + _SHORT,
            f"An answer was kept {time_kept} s too early.",
        )
        require(
            time_kept >= read_start - stored_at - _SHORT, f"An answer is only {time_kept} s older."
        )
        require(read_end - stored_at < patience(), "The age of cached responses does not increase.")
        await asyncio.sleep(0.001)


async def cached_responses_expire(factory: AsyncFactory) -> None:
    """A cached response disappears after the time for which it was stored."""
    cache, key = factory(), _key()
    lookup = await cache.find(key)
    await cache.store(key, lookup.version, (entry(1),), _SHORT)
    await _store_answer(cache, f"{key}0", entry(2))
    end = time.monotonic() + patience()
    while (await cache.find(key)).entries:
        require(time.monotonic() < end, "A response was cached longer than its lifetime.")
        await asyncio.sleep(0.001)
    await _require_entries(cache, f"{key}0", entry(2))
    await _store_answer(cache, key, entry(3))
    await _require_entries(cache, key, entry(3))


def many_threads_may_use_it(factory: Factory) -> None:
    """If threads replace a cached response concurrently, one replaces it after the other."""
    cache, key = factory(), _key()
    versions: list[int] = []

    def store_and_find(number: int) -> None:
        for _ in range(_ROUNDS):
            lookup = cache.find(key)
            if cache.store(key, lookup.version, (entry(number),), _LONG):
                versions.append(lookup.version)

    try:
        run_concurrently(
            [partial(store_and_find, number) for number in range(_THREADS)],
            _HANGS,
        )
    except AssertionError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise AssertionError(f"Threads that used the cache at once raised {message}.") from error
    require(versions, "No thread could store an answer.")
    require(len(versions) == len(set(versions)), _BOTH_STORED)

    def two_calls(_: int) -> tuple[Callable[[], bool], Callable[[], bool]]:
        version = cache.find(key).version
        return (
            partial(cache.store, key, version, (entry(1),), _LONG),
            partial(cache.store, key, version, (entry(2),), _LONG),
        )

    for _, *were_stored in interrupted_results(two_calls, _HANGS):
        require(not all(were_stored), _BOTH_STORED)
    require(
        len(cache.find(key).entries) == 1,
        "The answer that the last thread stored is not in the cache.",
    )


def _key() -> str:
    """Return a unique key that contains lower-case and capital letters."""
    return f"{{@acme:vat}}:cache:{uuid4().hex}"


async def _store_answer(cache: AsyncResponseCache, key: str, *entries: CacheEntry) -> None:
    lookup = await cache.find(key)
    was_stored = await cache.store(key, lookup.version, entries, _LONG)
    require(was_stored, "A response was not cached although nothing had changed under its key.")


async def _require_entries(cache: AsyncResponseCache, key: str, *expected: CacheEntry) -> None:
    lookup = await cache.find(key)
    require(lookup.unreadable is None, f"A stored answer cannot be read: {lookup.unreadable}.")
    ageless = tuple(attrs.evolve(entry, age=0.0) for entry in lookup.entries)
    expected_ageless = tuple(attrs.evolve(entry, age=0.0) for entry in expected)
    require(
        ageless == expected_ageless,
        f"{len(expected_ageless)} answers were stored, and {ageless!r} were found.",
    )
    for entry, stored_entry in zip(lookup.entries, expected, strict=True):
        require(
            stored_entry.age <= entry.age < stored_entry.age + _LONG,
            f"An answer is {entry.age} s old.",
        )


_SHARED_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    a_new_cache_is_empty,
    cached_responses_come_back_unchanged,
    keys_are_separate,
    storing_replaces_earlier_responses,
    a_removed_response_is_gone,
    a_response_requested_before_removal_is_not_stored,
    one_of_two_concurrent_writers_succeeds,
    cached_responses_age,
    cached_responses_expire,
)

CHECKS: Final[tuple[Check, ...]] = (
    *(sync_check(check) for check in _SHARED_CHECKS),
    many_threads_may_use_it,
)

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = _SHARED_CHECKS
