"""The conformance kit of response caches notices wrong caches."""

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
    """Stores nothing, and reports success."""

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
    """Stores nothing, and reports that."""

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
    """Keeps no reason phrases."""

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
    """Keeps the first answer of several."""

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
    """Puts new answers before the old."""

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
    """Compares keys without case."""

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
    """Never forgets an answer."""

    async def forget(self, key: str, /, timeout: float | None = None) -> None:
        """Do nothing."""


class _Traceless(AsyncMemoryCache):
    """Keeps no marks of forgotten keys."""

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
    """Cannot read its stored answers."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        return result._replace(unreadable="InvalidData") if result.entries else result


class _Frozen(AsyncMemoryCache):
    """Lets nothing grow older."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        return result._replace(entries=tuple(attrs.evolve(e, age=7.25) for e in result.entries))


class _GrowingYounger(AsyncMemoryCache):
    """Lets answers grow younger."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = itertools.count()

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        back = next(self._looks)
        younger = (attrs.evolve(entry, age=7.25 + 0.01 / (1 + back)) for entry in result.entries)
        return result._replace(entries=tuple(younger))


class _Hasty(AsyncMemoryCache):
    """Confuses seconds with milliseconds in ages."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        older_entries = (attrs.evolve(entry, age=entry.age + 5) for entry in result.entries)
        return result._replace(entries=tuple(older_entries))


class _Fleeting(AsyncMemoryCache):
    """Keeps nothing for longer than a moment."""

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
    """Keeps everything for ever."""

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
    """Has something under every key."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        return Found(0, (kit.entry(1),))


class _Aged(AsyncMemoryCache):
    """Treats every answer as old."""

    async def look(self, key: str, /, timeout: float | None = None) -> Found:
        result = await super().look(key, timeout)
        return result._replace(entries=tuple(attrs.evolve(e, age=1e4) for e in result.entries))


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (kit.nothing_is_there_at_first, _HoldingEveryKey, "0 answers are to be found"),
        (kit.answers_come_back_as_they_were, _Losing, "3 answers are to be found"),
        (kit.answers_come_back_as_they_were, _Refusing, "was not kept, though"),
        (kit.answers_come_back_as_they_were, _Stripping, "3 answers are to be found"),
        (kit.answers_come_back_as_they_were, _OneOnly, "3 answers are to be found"),
        (kit.answers_come_back_as_they_were, _Damaged, "cannot be read: InvalidData"),
        (kit.answers_come_back_as_they_were, _Aged, "An answer is 10000.0"),
        (kit.keys_are_apart, _Folding, "1 answers are to be found"),
        (kit.the_latest_takes_the_place_of_all, _Adding, "1 answers are to be found"),
        (kit.what_is_forgotten_is_gone, _Remembering, "0 answers are to be found"),
        (
            kit.what_was_looked_up_before_it_was_forgotten_is_not_kept,
            _Traceless,
            "under way when its key was forgotten",
        ),
        (kit.of_two_that_looked_at_once_one_keeps, _Traceless, "over one that came after"),
        (kit.of_two_that_looked_at_once_one_keeps, _Refusing, "was not kept, though"),
        (kit.answers_grow_old, _Frozen, "do not grow older|only .* s older"),
        (kit.answers_grow_old, _GrowingYounger, "has become younger"),
        (kit.answers_grow_old, _Hasty, "too early"),
        (kit.answers_grow_old, _Fleeting, "lost that was to be kept"),
        (kit.answers_are_kept_as_long_as_asked, _Eternal, "for longer than it was to be"),
        (kit.answers_are_kept_as_long_as_asked, _Fleeting, "1 answers are to be found"),
    ],
)
def test_notices_a_wrong_cache(
    check: kit.AsyncCheck, wrong: Callable[[], AsyncMemoryCache], sentence: str
) -> None:
    """A cache that is wrong in one way does not pass the check for that."""
    with waiting_at_most(1.0), pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(wrong))


class _Unmarked(MemoryCache):
    """Lets everybody keep."""

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
    """Breaks when it is used."""

    def look(self, key: str, /, timeout: float | None = None) -> Found:
        raise ZeroDivisionError("broken")


class _Stingy(MemoryCache):
    """Keeps nothing."""

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
    """Stores answers but never returns them."""

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
    """A cache that is not thread-safe fails."""
    with pytest.raises(AssertionError, match=sentence):
        kit.many_threads_may_use_it(wrong)
