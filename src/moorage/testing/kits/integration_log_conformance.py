"""Checks that every integration log must pass.

```python
import pytest

from moorage.adapters.logs.memory import MemoryIntegrationLogger  # yours
from moorage.testing import integration_log_conformance, name_of


@pytest.mark.parametrize("check", integration_log_conformance.CHECKS, ids=name_of)
def test_integration_log(check):
    check(MemoryIntegrationLogger)
```

`CHECKS` are for `IntegrationLogger`. `ASYNC_CHECKS` are for `AsyncIntegrationLogger`, and awaited.
Each takes a function that makes a log without entries and with room for two hundred. A log may
show an entry some time after it was written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import product
from typing import Any, Final, TypeAlias, cast

import attrs

from moorage.domain.observation.integration_log import (
    IntegrationLog,
    IntegrationStatus,
    LogPage,
    LogQuery,
    summarise,
)
from moorage.domain.observation.log_pages import page_of
from moorage.ports.integration_log import AsyncIntegrationLogger, IntegrationLogger
from moorage.testing.kits.checks import (
    AsyncView,
    patience,
    require,
    require_pages,
    run_concurrently,
    sync_check,
)

Factory: TypeAlias = Callable[[], IntegrationLogger]
AsyncFactory: TypeAlias = Callable[[], AsyncIntegrationLogger]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]

_START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_STATUSES: Final = tuple(IntegrationStatus)


def _view(factory: Factory) -> AsyncIntegrationLogger:
    """Return an asynchronous view of a new synchronous integration log."""
    return cast("AsyncIntegrationLogger", AsyncView(factory(), unchanged={"write"}))


def entry(number: int) -> IntegrationLog:
    """Return a log entry that is different for each number; every third entry has all fields."""
    sync_log = IntegrationLog(
        id=f"call-{number:04}",
        service=("stripe", "adyen")[number % 2],
        tenant=(None, "acme", "acme-fr")[number % 3],
        status=_STATUSES[number % len(_STATUSES)],
        started_at=_START + timedelta(seconds=number),
        duration=number / 7,
    )
    if number % 3:
        return sync_log
    return attrs.evolve(
        sync_log,
        operation="charge",
        attempts=number,
        error="PaymentDeclined",
        http_status=402,
        vendor_code="card_declined – ünknown",
        idempotency_key=f"INV-{number}/1",
        region=("eu", "us")[number % 2],
        subject=("customer-1", "customer-ü")[number % 2],
        vendor="adyen",
        account=("adyen-eu", "adyen-us")[number % 2],
        trace_id=f"{number % 2 + 1:032x}",
        method="POST",
        route="/v1/100%_charges/{id}",
        error_message=f"The card was declined: “{number}”.",
        request=f'POST https://adyen.example/charges\n\n{{"n": {number}}}' + "é" * 8_000,
        response="HTTP 402\ncontent-type: application/json\n\n{}",
    )


QUERIES: Final = (
    LogQuery(),
    LogQuery(service="adyen"),
    LogQuery(service="nobody"),
    LogQuery(operation="charge"),
    LogQuery(tenant="acme"),
    LogQuery(region="eu"),
    LogQuery(subject="customer-ü"),
    LogQuery(status=IntegrationStatus.SUCCESS),
    LogQuery(failures=True),
    LogQuery(failures=True, service="stripe", since=_START + timedelta(seconds=12)),
    LogQuery(failures=True, status=IntegrationStatus.CACHED),
    LogQuery(id="call-0007"),
    LogQuery(idempotency_key="INV-6/1"),
    LogQuery(vendor="adyen"),
    LogQuery(account="adyen-us", since=_START + timedelta(seconds=12)),
    LogQuery(trace_id=f"{1:032x}"),
    LogQuery(text="“12”"),
    LogQuery(text="paymentDECLINED", account="adyen-eu"),
    LogQuery(text="100%_CHARGES"),
    LogQuery(text="1%_c"),
    LogQuery(text="ünknown"),
    LogQuery(text="/V1/", status=IntegrationStatus.SUCCESS),
    LogQuery(since=_START + timedelta(seconds=12)),
    LogQuery(until=_START + timedelta(seconds=12)),
    LogQuery(since=_START + timedelta(seconds=12), until=_START + timedelta(seconds=13)),
    LogQuery(service="stripe", tenant="acme-fr", since=_START + timedelta(seconds=5)),
)


async def entries_are_kept_as_they_are(factory: AsyncFactory) -> None:
    """Entries of the integration log are read back unchanged."""
    log = factory()
    for number in (0, 1):
        written_entry = entry(number)
        log.write(written_entry)
        await _shows(log, number + 1)
        entries = (await log.find(LogQuery(id=written_entry.id))).items
        require(
            entries == (written_entry,),
            f"{written_entry!r} was written, and {entries!r} was found.",
        )


async def times_are_exact(factory: AsyncFactory) -> None:
    """Times are stored and compared to the microsecond, whatever their time zone."""
    log = factory()
    zone = timezone(timedelta(hours=5, minutes=30))
    moments = [_START + timedelta(microseconds=number) for number in (0, 1, 2, 999_999)]
    entries = [
        attrs.evolve(entry(number), started_at=moment.astimezone(zone))
        for number, moment in enumerate(moments)
    ]
    for log_entry in entries:
        log.write(log_entry)
    await _shows(log, len(entries))
    for number, log_entry in enumerate(entries):
        found_entries = (await log.find(LogQuery(id=log_entry.id))).items
        require(
            found_entries == (log_entry,),
            f"{log_entry!r} was written, and {found_entries!r} was found.",
        )
        query = LogQuery(since=moments[number], until=moments[number] + timedelta(microseconds=1))
        ids = [item.id for item in (await log.find(query)).items]
        require(ids == [log_entry.id], f"{query!r} found {ids}, where {log_entry.id} matches.")


async def entries_of_one_moment_are_paged(factory: AsyncFactory) -> None:
    """Pages contain each entry once, even if several calls began at the same time."""
    log = factory()
    written_ids = {entry(number).id for number in range(12)}
    for number in range(12):
        log.write(attrs.evolve(entry(number), started_at=_START))
    await _shows(log, 12)
    ids = [item.id for item in (await log.find(LogQuery())).items]
    require({*ids} == written_ids, f"Entries of one moment were written, and {ids} were found.")
    for limit in (1, 5, 12):
        await require_pages(log.find, LogQuery(), ids, limit)


async def values_are_compared_exactly(factory: AsyncFactory) -> None:
    """Entries match a query only if a value is equal, including case, accents and spaces."""
    log = factory()
    tenants = ("acme", "ACME", "acme ", "acm\u00e9", "acme%", "acm_")
    for number, tenant in enumerate(tenants):
        log.write(attrs.evolve(entry(number), tenant=tenant))
    await _shows(log, len(tenants))
    for number, tenant in enumerate(tenants):
        ids = [item.id for item in (await log.find(LogQuery(tenant=tenant))).items]
        require(
            ids == [entry(number).id],
            f"The tenant {tenant!r} has one entry, and its query found {ids}.",
        )


async def the_newest_come_first(factory: AsyncFactory) -> None:
    """Log entries are returned newest first, up to the requested number."""
    log, entries = await _filled_log(factory)
    for query in QUERIES:
        page = await log.find(query)
        expected = [entry.id for entry in entries if query.matches(entry)]
        ids = [entry.id for entry in page.items]
        require(ids == expected, f"{query!r} found {ids}, where {expected} match.")
        require(page.next is None, f"{query!r} leads from its only page to another.")


async def pages_have_each_entry_once(factory: AsyncFactory) -> None:
    """A log's pages contain each matching entry once, and the last page has no successor."""
    log, entries = await _filled_log(factory)
    for limit in (1, 5, 6, 29, 30, 31):
        for query in QUERIES:
            expected = [entry.id for entry in entries if query.matches(entry)]
            await require_pages(log.find, query, expected, limit)


async def new_entries_do_not_shift_pages(factory: AsyncFactory) -> None:
    """New log entries do not shift the entries on the pages after the first one."""
    log, entries = await _filled_log(factory)
    first_page = await log.find(LogQuery(limit=10))
    for number in range(30, 45):
        log.write(entry(number))
    await _shows(log, 45)
    second_page = await log.find(LogQuery(limit=100, after=first_page.next))
    ids = [entry.id for entry in (*first_page.items, *second_page.items)]
    expected = [entry.id for entry in entries]
    require(ids == expected, f"Two pages, read before and after a write, contain {ids}.")


async def a_page_ends_at_the_scan_limit(factory: AsyncFactory) -> None:
    """A page ends after `scan_limit` entries and states that.

    The next page continues at that point.

    `page_of` in `moorage.domain.observation.log_pages` defines this rule. A log may have an index
    of the failures alone, or have none.
    """
    log, entries = await _filled_log(factory)
    for scan_limit, query in product((4, 30), QUERIES):
        entries_left, cursor = [(entry.id, entry) for entry in entries], None
        for limit in (3, 1, *[2] * len(entries)):
            page_query = attrs.evolve(query, limit=limit, scan_limit=scan_limit, after=cursor)
            page = await log.find(page_query)
            ids, cursor = [entry.id for entry in page.items], page.next
            right_pages = [
                page_of(page_query, entries_left, failures_indexed=is_indexed)
                for is_indexed in (False, True)
            ]
            expected = next(filter(partial(_is_like, page), right_pages), right_pages[0])
            require(
                _is_like(page, expected),
                f"{page_query!r} found {ids} and looked through {page.scanned} entries, back to"
                f" {page.scanned_to}, where {expected!r} is right.",
            )
            if expected.next is None:
                break
            position = [id_ for id_, _ in entries_left].index(expected.next)
            entries_left = entries_left[position + 1 :]


def _is_like(page: LogPage, expected: LogPage) -> bool:
    """Return whether two pages have the same entries and the same end, apart from cursors."""
    contents, expected_contents = (
        ([entry.id for entry in item.items], item.scanned, item.scanned_to, item.next is None)
        for item in (page, expected)
    )
    return contents == expected_contents


async def a_summary_counts_all_matching_entries(factory: AsyncFactory) -> None:
    """A log's summary counts exactly the matching entries."""
    log, entries = await _filled_log(factory)
    for query in QUERIES:
        expected = summarise(entry for entry in entries if query.matches(entry))
        summary = await log.summarise(attrs.evolve(query, limit=1))
        require(summary == expected, f"{query!r} is summed up as {summary!r}, not {expected!r}.")


async def removal_deletes_all_matching_entries(factory: AsyncFactory) -> None:
    """Removing from a log deletes exactly the matching entries."""
    for query in QUERIES:
        log, entries = await _filled_log(factory)
        expected = [entry.id for entry in entries if not query.matches(entry)]
        removed_count = await log.remove(attrs.evolve(query, limit=1))
        ids = [entry.id for entry in (await log.find(LogQuery())).items]
        require(ids == expected, f"Removing {query!r} left the entries {ids}.")
        expected_count = len(entries) - len(expected)
        require(
            removed_count == expected_count,
            f"{query!r} removed {expected_count}, and says {removed_count}.",
        )


async def removal_covers_recent_entries(factory: AsyncFactory) -> None:
    """Removing from a log includes entries that are written but not visible yet."""
    log = factory()
    for number in range(30):
        log.write(entry(number))
    await log.remove(LogQuery(tenant="acme"))
    await _shows(log, 20)
    remaining_count = (await log.summarise(LogQuery(tenant="acme"))).count
    require(remaining_count == 0, f"{remaining_count} entries came after they were removed.")


def many_threads_may_write(factory: Factory) -> None:
    """No log entry is lost or duplicated when several threads write concurrently."""
    log = factory()

    def write(first: int) -> None:
        for number in range(first, first + 25):
            log.write(entry(number))

    run_concurrently(
        [partial(write, first) for first in range(0, 200, 25)],
        "A thread that writes to the log does not end.",
    )
    asyncio.run(_shows(_view(lambda: log), 200))
    ids = sorted(entry.id for entry in log.find(LogQuery(limit=500)).items)
    require(ids == [entry(number).id for number in range(200)], f"200 became {len(ids)}.")


async def _filled_log(
    factory: AsyncFactory,
) -> tuple[AsyncIntegrationLogger, list[IntegrationLog]]:
    """Return a log with thirty entries, and these entries, newest first."""
    log, entries = factory(), [entry(number) for number in range(30)]
    for log_entry in entries:
        log.write(log_entry)
    await _shows(log, 30)
    return log, entries[::-1]


async def _shows(log: AsyncIntegrationLogger, expected: int) -> None:
    """Wait until this many entries can be read from the log."""
    end = time.monotonic() + patience()
    while (shown_count := (await log.summarise(LogQuery())).count) < expected:
        require(time.monotonic() < end, f"Of {expected} entries, {shown_count} can be read.")
        await asyncio.sleep(0.001)
    require(
        shown_count == expected, f"{expected} entries were written, and {shown_count} are read."
    )


_SHARED_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    entries_are_kept_as_they_are,
    times_are_exact,
    entries_of_one_moment_are_paged,
    values_are_compared_exactly,
    the_newest_come_first,
    pages_have_each_entry_once,
    new_entries_do_not_shift_pages,
    a_page_ends_at_the_scan_limit,
    a_summary_counts_all_matching_entries,
    removal_deletes_all_matching_entries,
    removal_covers_recent_entries,
)

CHECKS: Final[tuple[Check, ...]] = (
    *(sync_check(check, _view) for check in _SHARED_CHECKS),
    many_threads_may_write,
)

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = _SHARED_CHECKS
