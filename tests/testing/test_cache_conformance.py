"""The conformance kit of response caches finds faulty caches."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage.adapters.cache.memory import AsyncMemoryCache, MemoryCache
from moorage.domain.cache.rules import Entries, Found
from moorage.testing import cache_conformance as kit
from moorage.testing.kits.checks import waiting_at_most

if TYPE_CHECKING:
    from collections.abc import Callable


class _Losing(AsyncMemoryCache):
    """A faulty cache that stores nothing and reports success."""

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return True


class _Refusing(AsyncMemoryCache):
    """A faulty cache that stores nothing and reports that."""

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return False


class _Stripping(AsyncMemoryCache):
    """A faulty cache that loses reason phrases."""

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        entries = tuple(
            attrs.evolve(entry, response=entry.response.evolve(reason=None)) for entry in entries
        )
        return await super().keep(key, mark, entries, seconds, timeout)


class _OneOnly(AsyncMemoryCache):
    """A faulty cache that stores only the first of several responses."""

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().keep(key, mark, entries[:1], seconds, timeout)


class _Adding(AsyncMemoryCache):
    """A faulty cache that adds new responses to the old ones instead of replacing them."""

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        previous_look = await super().look(key, timeout)
        return await super().keep(key, mark, entries + previous_look.entries, seconds, timeout)


class _Folding(AsyncMemoryCache):
    """A faulty cache that ignores the case of keys."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        return await super().look(key.lower(), timeout)

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().keep(key.lower(), mark, entries, seconds, timeout)


class _Remembering(AsyncMemoryCache):
    """A faulty cache that never removes a response."""

    async def forget(self, key: str, /, timeout: float | None = None) -> None:
        """Remove nothing."""


class _Traceless(AsyncMemoryCache):
    """A faulty cache that does not remember which keys were removed."""

    async def forget(self, key: str, /, timeout: float | None = None) -> None:
        result = await super().look(key, timeout)
        if result.entries:
            await super().keep(key, result.mark, (), 60, timeout)

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().keep(key, 10**9, entries, seconds, timeout)


class _Damaged(AsyncMemoryCache):
    """A faulty cache that cannot read its stored responses."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        return result._replace(unreadable="InvalidData") if result.entries else result


class _Frozen(AsyncMemoryCache):
    """A faulty cache whose responses do not get older."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        return result._replace(entries=tuple(attrs.evolve(e, age=7.25) for e in result.entries))


class _GrowingYounger(AsyncMemoryCache):
    """A faulty cache whose responses get younger."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = itertools.count()

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        back = next(self._looks)
        younger = (attrs.evolve(entry, age=7.25 + 0.01 / (1 + back)) for entry in result.entries)
        return result._replace(entries=tuple(younger))


class _Hasty(AsyncMemoryCache):
    """A faulty cache that reports ages that are too high."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        older_entries = (attrs.evolve(entry, age=entry.age + 5) for entry in result.entries)
        return result._replace(entries=tuple(older_entries))


class _Fleeting(AsyncMemoryCache):
    """A faulty cache that keeps responses for a microsecond only."""

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().keep(key, mark, entries, min(seconds, 1e-6), timeout)


class _Eternal(AsyncMemoryCache):
    """A faulty cache that keeps responses for too long."""

    async def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return await super().keep(key, mark, entries, 1e6, timeout)


class _HoldingEveryKey(AsyncMemoryCache):
    """A faulty cache that returns a response for each key."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        return Found(0, (kit.entry(1),))


class _Aged(AsyncMemoryCache):
    """A faulty cache that reports each response as hours old."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        return result._replace(entries=tuple(attrs.evolve(e, age=1e4) for e in result.entries))


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (kit.a_new_cache_is_empty, _HoldingEveryKey, "0 answers are to be found"),
        (kit.cached_responses_come_back_unchanged, _Losing, "3 answers are to be found"),
        (kit.cached_responses_come_back_unchanged, _Refusing, "was not kept, though"),
        (kit.cached_responses_come_back_unchanged, _Stripping, "3 answers are to be found"),
        (kit.cached_responses_come_back_unchanged, _OneOnly, "3 answers are to be found"),
        (kit.cached_responses_come_back_unchanged, _Damaged, "cannot be read: InvalidData"),
        (kit.cached_responses_come_back_unchanged, _Aged, "An answer is 10000.0"),
        (kit.keys_are_apart, _Folding, "1 answers are to be found"),
        (kit.storing_replaces_earlier_responses, _Adding, "1 answers are to be found"),
        (kit.a_removed_response_is_gone, _Remembering, "0 answers are to be found"),
        (
            kit.a_response_requested_before_removal_is_not_stored,
            _Traceless,
            "under way when its key was forgotten",
        ),
        (kit.one_of_two_concurrent_writers_succeeds, _Traceless, "over one that came after"),
        (kit.one_of_two_concurrent_writers_succeeds, _Refusing, "was not kept, though"),
        (kit.cached_responses_age, _Frozen, "do not grow older|only .* s older"),
        (kit.cached_responses_age, _GrowingYounger, "has become younger"),
        (kit.cached_responses_age, _Hasty, "too early"),
        (kit.cached_responses_age, _Fleeting, "lost that was to be kept"),
        (kit.cached_responses_expire, _Eternal, "for longer than it was to be"),
        (kit.cached_responses_expire, _Fleeting, "1 answers are to be found"),
    ],
)
def test_notices_a_wrong_cache(
    check: kit.AsyncCheck, wrong: Callable[[], AsyncMemoryCache], sentence: str
) -> None:
    """A cache with one fault fails the check for that fault."""
    with waiting_at_most(1.0), pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(wrong))


class _Unmarked(MemoryCache):
    """A faulty cache that stores responses without checking for removals meanwhile."""

    def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        super().keep(key, 10**9, entries, seconds, timeout)
        return True

    def look(self, key: str, /, timeout: float | None = None) -> Found:
        return super().look(key, timeout)._replace(mark=7)


class _Breaking(MemoryCache):
    """A faulty cache that raises on each use."""

    def look(self, key: str, /, timeout: float | None = None) -> Found:
        raise ZeroDivisionError("broken")


class _Stingy(MemoryCache):
    """A faulty cache that stores nothing."""

    def keep(
        self,
        key: str,
        mark: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        return False


class _Mute(MemoryCache):
    """A faulty cache that stores responses and never returns them."""

    def look(self, key: str, /, timeout: float | None = None) -> Found:
        return super().look(key, timeout)._replace(entries=())


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (_Unmarked, "Two threads kept"),
        (_Breaking, "raised .*ZeroDivisionError: broken"),
        (_Stingy, "No thread could keep"),
        (_Mute, "the last thread kept is not there"),
    ],
)
def test_notices_thread_unsafe_caches(wrong: type[MemoryCache], sentence: str) -> None:
    """A cache that is not thread-safe fails its check."""
    with pytest.raises(AssertionError, match=sentence):
        kit.many_threads_may_use_it(wrong)
