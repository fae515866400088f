"""The conformance kit for response caches finds faulty caches."""

from __future__ import annotations

import asyncio
import itertools
from threading import Event
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage.adapters.cache.memory import AsyncMemoryCache, MemoryCache
from moorage.domain.cache.rules import Entries, StoredAnswers
from moorage.testing import cache_conformance as kit
from moorage.testing.kits.checks import waiting_at_most

if TYPE_CHECKING:
    from collections.abc import Callable


class _FakeStoreCache(AsyncMemoryCache):
    """A faulty cache that stores nothing and reports success."""

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return True


class _RefusingCache(AsyncMemoryCache):
    """A faulty cache that stores nothing, and reports that it stored nothing."""

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return False


class _DropsReasonPhraseCache(AsyncMemoryCache):
    """A faulty cache that drops reason phrases."""

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        entries = tuple(
            attrs.evolve(entry, response=entry.response.evolve(reason=None)) for entry in entries
        )
        return await super().store(key, version, entries, seconds, timeout)


class _OneOnlyCache(AsyncMemoryCache):
    """A faulty cache that stores only the first of several responses."""

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().store(key, version, entries[:1], seconds, timeout)


class _AddsInsteadOfReplacingCache(AsyncMemoryCache):
    """A faulty cache that adds new responses to the old ones instead of replacing them."""

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        previous_look = await super().find(key, timeout)
        return await super().store(key, version, entries + previous_look.entries, seconds, timeout)


class _IgnoresKeyCaseCache(AsyncMemoryCache):
    """A faulty cache that ignores the case of keys."""

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        return await super().find(key.lower(), timeout)

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().store(key.lower(), version, entries, seconds, timeout)


class _NeverRemovesCache(AsyncMemoryCache):
    """A faulty cache that never removes a response."""

    async def delete(self, key: str, /, timeout: float | None = None) -> None:
        """Remove nothing."""


class _ForgetsRemovalsCache(AsyncMemoryCache):
    """A faulty cache that forgets which keys were removed."""

    async def delete(self, key: str, /, timeout: float | None = None) -> None:
        result = await super().find(key, timeout)
        if result.entries:
            await super().store(key, result.version, (), 60, timeout)

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().store(key, 10**9, entries, seconds, timeout)


class _DamagedCache(AsyncMemoryCache):
    """A faulty cache that cannot read its stored responses."""

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        result = await super().find(key, timeout)
        return result._replace(unreadable="InvalidData") if result.entries else result


class _NeverAgesCache(AsyncMemoryCache):
    """A faulty cache whose responses do not get older."""

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        result = await super().find(key, timeout)
        return result._replace(entries=tuple(attrs.evolve(e, age=7.25) for e in result.entries))


class _GrowingYoungerCache(AsyncMemoryCache):
    """A faulty cache that reports lower ages as its responses get older."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = itertools.count()

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        result = await super().find(key, timeout)
        back = next(self._looks)
        younger = (attrs.evolve(entry, age=7.25 + 0.01 / (1 + back)) for entry in result.entries)
        return result._replace(entries=tuple(younger))


class _AgesTooHighCache(AsyncMemoryCache):
    """A faulty cache that reports ages that are too high."""

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        result = await super().find(key, timeout)
        older_entries = (attrs.evolve(entry, age=entry.age + 5) for entry in result.entries)
        return result._replace(entries=tuple(older_entries))


class _ExpiresAtOnceCache(AsyncMemoryCache):
    """A faulty cache that keeps responses for a microsecond only."""

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().store(key, version, entries, min(seconds, 1e-6), timeout)


class _ExpiresTooLateCache(AsyncMemoryCache):
    """A faulty cache that keeps responses for too long."""

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().store(key, version, entries, 1e6, timeout)


class _HoldingEveryKeyCache(AsyncMemoryCache):
    """A faulty cache that returns a response for any key."""

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        return StoredAnswers(0, (kit.entry(1),))


class _NewIsOldCache(AsyncMemoryCache):
    """A faulty cache that reports each response as hours old, even a new one."""

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        result = await super().find(key, timeout)
        return result._replace(entries=tuple(attrs.evolve(e, age=1e4) for e in result.entries))


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (kit.a_new_cache_is_empty, _HoldingEveryKeyCache, "0 answers were stored"),
        (kit.cached_responses_come_back_unchanged, _FakeStoreCache, "3 answers were stored"),
        (
            kit.cached_responses_come_back_unchanged,
            _RefusingCache,
            "A response was not cached although nothing had changed under its key",
        ),
        (
            kit.cached_responses_come_back_unchanged,
            _DropsReasonPhraseCache,
            "3 answers were stored",
        ),
        (kit.cached_responses_come_back_unchanged, _OneOnlyCache, "3 answers were stored"),
        (kit.cached_responses_come_back_unchanged, _DamagedCache, "cannot be read: InvalidData"),
        (kit.cached_responses_come_back_unchanged, _NewIsOldCache, "An answer is 10000.0"),
        (kit.keys_are_separate, _IgnoresKeyCaseCache, "1 answers were stored"),
        (
            kit.storing_replaces_earlier_responses,
            _AddsInsteadOfReplacingCache,
            "1 answers were stored",
        ),
        (kit.a_removed_response_is_gone, _NeverRemovesCache, "0 answers were stored"),
        (
            kit.a_response_requested_before_removal_is_not_stored,
            _ForgetsRemovalsCache,
            "although its key had been removed",
        ),
        (
            kit.one_of_two_concurrent_writers_succeeds,
            _ForgetsRemovalsCache,
            "A cached response replaced a newer one",
        ),
        (
            kit.one_of_two_concurrent_writers_succeeds,
            _RefusingCache,
            "A response was not cached although nothing had changed under its key",
        ),
        (
            kit.cached_responses_age,
            _NeverAgesCache,
            "The age of cached responses does not increase|only .* s older",
        ),
        (kit.cached_responses_age, _GrowingYoungerCache, "The age of a cached response decreased"),
        (kit.cached_responses_age, _AgesTooHighCache, "too early"),
        (kit.cached_responses_age, _ExpiresAtOnceCache, "A response with a long lifetime was lost"),
        (
            kit.cached_responses_expire,
            _ExpiresTooLateCache,
            "A response was cached longer than its lifetime",
        ),
        (kit.cached_responses_expire, _ExpiresAtOnceCache, "1 answers were stored"),
    ],
)
def test_check_fails_for_a_faulty_cache(
    check: kit.AsyncCheck, wrong: Callable[[], AsyncMemoryCache], sentence: str
) -> None:
    """A cache with one fault fails the check for that fault."""
    with waiting_at_most(1.0), pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(wrong))


class _IgnoresRemovalsWhileStoringCache(MemoryCache):
    """A faulty cache that ignores removals that happen while it stores a response."""

    def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        super().store(key, 10**9, entries, seconds, timeout)
        return True

    def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        return super().find(key, timeout)._replace(version=7)


class _AlwaysRaisesCache(MemoryCache):
    """A faulty cache that raises on each use."""

    def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        raise ZeroDivisionError("broken")


class _StoresNothingCache(MemoryCache):
    """A faulty cache that stores nothing."""

    def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return False


class _NeverReturnsResponsesCache(MemoryCache):
    """A faulty cache that stores responses, but never returns them."""

    def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        return super().find(key, timeout)._replace(entries=())


class _TwoStepStoreCache(MemoryCache):
    """A faulty cache that compares the version and stores the response in two steps."""

    def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        cached_answers = self._entries.get(key)
        if cached_answers is not None and cached_answers.change > version:
            return False
        return super().store(key, 10**9, entries, seconds, timeout)


class _NeverEndsCache(MemoryCache):
    """A faulty cache that never returns."""

    def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        Event().wait()
        return super().find(key, timeout)


@pytest.mark.untraced
@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (
            _TwoStepStoreCache,
            "Two threads that looked up the same value at the same time both stored it",
        ),
        (_NeverEndsCache, "A thread that uses the cache does not end"),
        (
            _IgnoresRemovalsWhileStoringCache,
            "Two threads that looked up the same value at the same time both stored it",
        ),
        (_AlwaysRaisesCache, "raised .*ZeroDivisionError: broken"),
        (_StoresNothingCache, "No thread could store"),
        (_NeverReturnsResponsesCache, "the last thread stored is not in the cache"),
    ],
)
def test_thread_check_fails_for_a_faulty_cache(wrong: type[MemoryCache], sentence: str) -> None:
    """A cache that is not thread-safe fails the check for threads."""
    with waiting_at_most(0.2), pytest.raises(AssertionError, match=sentence):
        kit.many_threads_may_use_it(wrong)
