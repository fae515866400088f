"""The conformance kit of integration logs finds faulty ones."""

import asyncio
from collections.abc import Callable
from datetime import datetime

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


class _LosesFieldLog(AsyncMemoryIntegrationLogger):
    """A faulty log that loses a field of its entries."""

    def write(self, entry: IntegrationLog, /) -> None:
        super().write(attrs.evolve(entry, vendor_code=None))


class _StoresTwiceLog(AsyncMemoryIntegrationLogger):
    """A faulty log that stores each entry twice."""

    def write(self, entry: IntegrationLog, /) -> None:
        super().write(entry)
        super().write(entry)


class _StoresNothingLog(AsyncMemoryIntegrationLogger):
    """A faulty log that stores nothing."""

    def write(self, entry: IntegrationLog, /) -> None:
        """Drop the entry."""


class _OldestFirstLog(AsyncMemoryIntegrationLogger):
    """A faulty log that returns pages in reverse order."""

    async def find(self, query: LogQuery, /) -> LogPage:
        page = await super().find(query)
        return attrs.evolve(page, items=page.items[::-1])


class _ReportsPageAfterLastLog(AsyncMemoryIntegrationLogger):
    """A faulty log that reports a next page after the last one."""

    async def find(self, query: LogQuery, /) -> LogPage:
        page = await super().find(query)
        return attrs.evolve(page, next=page.next or "0")


class _ReturnsOneMoreLog(AsyncMemoryIntegrationLogger):
    """A faulty log that returns one more entry than requested."""

    async def find(self, query: LogQuery, /) -> LogPage:
        return await super().find(attrs.evolve(query, limit=query.limit + 1))


class _IgnoresSearchLimitLog(AsyncMemoryIntegrationLogger):
    """A faulty log that ignores the limit on entries searched for one page."""

    async def find(self, query: LogQuery, /) -> LogPage:
        skip = int(query.after or 0)
        all_of_them = attrs.evolve(query, limit=10_000, after=None)
        items = (await super().find(all_of_them)).items
        end = skip + query.limit
        return LogPage(items=items[skip:end], next=str(end) if end < len(items) else None)


class _IgnoresSearchBoundLog(AsyncMemoryIntegrationLogger):
    """A faulty log that ignores how many entries it may search for a page."""

    async def find(self, query: LogQuery, /) -> LogPage:
        return await super().find(attrs.evolve(query, scan_limit=1_000))


class _SummarisesFirstPageLog(AsyncMemoryIntegrationLogger):
    """A faulty log that summarises only the first page of entries."""

    async def summarise(self, query: LogQuery, /) -> LogSummary:
        return summarise((await self.find(query)).items)


class _MillisecondLog(AsyncMemoryIntegrationLogger):
    """A faulty log that stores times in milliseconds."""

    def write(self, entry: IntegrationLog, /) -> None:
        microsecond = entry.started_at.microsecond // 1_000 * 1_000
        super().write(
            attrs.evolve(entry, started_at=entry.started_at.replace(microsecond=microsecond))
        )


class _PagesSkipEntriesLog(AsyncMemoryIntegrationLogger):
    """A faulty log whose next page skips entries with the same time as a page's last entry."""

    async def find(self, query: LogQuery, /) -> LogPage:
        page_query = attrs.evolve(query, after=None)
        if query.after is not None:
            page_query = attrs.evolve(page_query, until=datetime.fromisoformat(query.after))
        page = await super().find(page_query)
        return page if page.next is None else attrs.evolve(page, next=_cursor_of(page))


def _cursor_of(page: LogPage) -> str:
    return page.items[-1].started_at.isoformat()


class _ConfusesTenantsLog(AsyncMemoryIntegrationLogger):
    """A faulty log that ignores the case of letters and spaces at the end of a tenant's name."""

    def write(self, entry: IntegrationLog, /) -> None:
        super().write(attrs.evolve(entry, tenant=_plain(entry.tenant)))

    async def find(self, query: LogQuery, /) -> LogPage:
        return await super().find(attrs.evolve(query, tenant=_plain(query.tenant)))


def _plain(tenant: str | None) -> str | None:
    return None if tenant is None else tenant.strip().lower()


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (kit.entries_are_kept_as_they_are, _LosesFieldLog, "was found"),
        (kit.entries_are_kept_as_they_are, _StoresTwiceLog, "1 entries were written, and 2"),
        (kit.entries_are_kept_as_they_are, _StoresNothingLog, "Of 1 entries, 0 can be read"),
        (kit.times_are_exact, _MillisecondLog, "where call-0000 matches"),
        (kit.entries_of_one_moment_are_paged, _PagesSkipEntriesLog, " found "),
        (
            kit.values_are_compared_exactly,
            _ConfusesTenantsLog,
            "has one entry, and its query found",
        ),
        (kit.the_newest_come_first, _OldestFirstLog, "match"),
        (kit.the_newest_come_first, _ReportsPageAfterLastLog, "from its only page to another"),
        (kit.pages_have_each_entry_once, _ReportsPageAfterLastLog, "leads on after its last entry"),
        (kit.pages_have_each_entry_once, _ReturnsOneMoreLog, "A page of 1 has 2"),
        (kit.pages_have_each_entry_once, _OldestFirstLog, " found "),
        (
            kit.new_entries_do_not_shift_pages,
            _IgnoresSearchLimitLog,
            "Two pages, read before and after a write, contain",
        ),
        (kit.a_page_ends_at_the_scan_limit, _IgnoresSearchBoundLog, "looked through None entries"),
        (kit.a_summary_counts_all_matching_entries, _SummarisesFirstPageLog, "is summed up as"),
    ],
)
def test_check_fails_for_a_faulty_log(
    check: kit.AsyncCheck, wrong: Callable[[], AsyncMemoryIntegrationLogger], sentence: str
) -> None:
    """An integration log with one fault fails the check that looks for this fault."""
    with waiting_at_most(0.05), pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(wrong))


class _DropsEqualEntriesLog(MemoryIntegrationLogger):
    """A faulty log that drops an entry if it looks equal to another one."""

    def write(self, entry: IntegrationLog, /) -> None:
        super().write(attrs.evolve(entry, id="call-0000"))


def test_check_fails_for_a_log_that_loses_entries_of_threads() -> None:
    """An integration log that loses entries of concurrent threads fails the check."""
    with pytest.raises(AssertionError, match="200 became 200"):
        kit.many_threads_may_write(_DropsEqualEntriesLog)
