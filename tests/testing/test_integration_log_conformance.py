"""The conformance kit of integration logs notices wrong ones."""

import asyncio
from collections.abc import Callable

import attrs
import pytest

from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.domain.observation.integration_log import (
    IntegrationLog,
    LogPage,
    LogQuery,
    LogSummary,
    summarise,
)
from moorage.testing import integration_log_conformance as kit
from moorage.testing.kits.checks import waiting_at_most


class _Forgetful(AsyncMemoryIntegrationLogger):
    """Keeps no fields beyond the first few."""

    def write(self, entry: IntegrationLog, /) -> None:
        super().write(attrs.evolve(entry, vendor_code=None))


class _Doubling(AsyncMemoryIntegrationLogger):
    """Keeps entries twice."""

    def write(self, entry: IntegrationLog, /) -> None:
        super().write(entry)
        super().write(entry)


class _Losing(AsyncMemoryIntegrationLogger):
    """Keeps nothing."""

    def write(self, entry: IntegrationLog, /) -> None:
        """Do nothing."""


class _OldestFirst(AsyncMemoryIntegrationLogger):
    """Turns pages around."""

    async def find(self, query: LogQuery, /) -> LogPage:
        page = await super().find(query)
        return attrs.evolve(page, items=page.items[::-1])


class _Endless(AsyncMemoryIntegrationLogger):
    """Always leads to another page."""

    async def find(self, query: LogQuery, /) -> LogPage:
        page = await super().find(query)
        return attrs.evolve(page, next=page.next or "0")


class _Generous(AsyncMemoryIntegrationLogger):
    """Returns one entry more than requested."""

    async def find(self, query: LogQuery, /) -> LogPage:
        return await super().find(attrs.evolve(query, limit=query.limit + 1))


class _Counting(AsyncMemoryIntegrationLogger):
    """Leads from page to page by counting entries from the newest."""

    async def find(self, query: LogQuery, /) -> LogPage:
        skip = int(query.after or 0)
        all_of_them = attrs.evolve(query, limit=10_000, after=None)
        items = (await super().find(all_of_them)).items
        end = skip + query.limit
        return LogPage(items=items[skip:end], next=str(end) if end < len(items) else None)


class _Tireless(AsyncMemoryIntegrationLogger):
    """Looks through all entries for every page."""

    async def find(self, query: LogQuery, /) -> LogPage:
        return await super().find(attrs.evolve(query, scan_limit=1_000))


class _ShortSighted(AsyncMemoryIntegrationLogger):
    """Sums up one page only."""

    async def summarise(self, query: LogQuery, /) -> LogSummary:
        return summarise((await self.find(query)).items)


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (kit.entries_are_kept_as_they_are, _Forgetful, "was found"),
        (kit.entries_are_kept_as_they_are, _Doubling, "1 entries were written, and 2"),
        (kit.entries_are_kept_as_they_are, _Losing, "Of 1 entries, 0 can be read"),
        (kit.the_newest_come_first, _OldestFirst, "match"),
        (kit.the_newest_come_first, _Endless, "from its only page to another"),
        (kit.pages_join_without_seam, _Endless, "leads on after its last entry"),
        (kit.pages_join_without_seam, _Generous, "A page of 1 has 2"),
        (kit.pages_join_without_seam, _OldestFirst, " found "),
        (kit.pages_stay_while_entries_are_written, _Counting, "with writing between them"),
        (kit.a_page_looks_through_a_limited_number, _Tireless, "looked through None entries"),
        (kit.all_that_match_are_summed_up, _ShortSighted, "is summed up as"),
    ],
)
def test_notices_a_wrong_log(
    check: kit.AsyncCheck, wrong: Callable[[], AsyncMemoryIntegrationLogger], sentence: str
) -> None:
    """A log that is wrong in one way does not pass the check for that."""
    with waiting_at_most(0.05), pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(wrong))


class _Copying(MemoryIntegrationLogger):
    """Drops entries, because it considers all of them equal."""

    def write(self, entry: IntegrationLog, /) -> None:
        super().write(attrs.evolve(entry, id="call-0000"))


def test_notices_lost_entries_of_threads() -> None:
    """A log that loses entries of several threads fails."""
    with pytest.raises(AssertionError, match="200 became 200"):
        kit.many_threads_may_write(_Copying)
