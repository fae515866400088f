"""The pages of an integration log; a limited number of entries is read for each page.

A log uses an index to answer a query about one of its indexed fields and an interval. For any other
query it looks through the entries that one indexed field and the interval choose: its window. These
are `scan_limit` entries at most. A page that ends there states that, and its `next` continues
there.

`page_of` is the rule, for logs in memory. `read_page` applies it to the rows of a database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from moorage.domain.observation.integration_log import (
    EQUAL_FIELDS,
    IntegrationStatus,
    LogPage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage.domain.observation.integration_log import IntegrationLog, LogQuery

INDEXED_FIELDS: Final = (
    *("id", "idempotency_key", "trace_id", "subject", "tenant", "operation", "service", "vendor"),
    "status",
)
"""The indexed fields of log entries; the fields with the rarest values come first.

The index of `status` has no successes, because most entries are some.
"""

_FIRST_PART: Final = 50
"""The divisor of a page's limit for its first read, as most pages are full after few entries."""


def window_of(query: LogQuery, *, failures_indexed: bool = False) -> LogQuery:
    """Return the query with only the conditions that one database index can answer.

    Args:
        query: the query.
        failures_indexed: True if there is an index of the failures alone.
    """
    unindexed = (None, IntegrationStatus.SUCCESS)
    lead_field = next(
        (name for name in INDEXED_FIELDS if getattr(query, name) not in unindexed), None
    )
    cleared_fields: dict[str, Any] = dict.fromkeys({*EQUAL_FIELDS, "status", "text"} - {lead_field})
    failures = query.failures and failures_indexed and lead_field is None
    return attrs.evolve(query, failures=failures, **cleared_fields)


def page_of(
    query: LogQuery,
    entries: Iterable[tuple[str, IntegrationLog]],
    *,
    failures_indexed: bool = False,
) -> LogPage:
    """Return the page with the first entries that match the query.

    Args:
        query: the query; its `after` is not read.
        entries: the entries after that of the query's `after`, in the order of pages, each with
            its cursor.
        failures_indexed: True if the log has an index of the failures alone.
    """
    window = window_of(query, failures_indexed=failures_indexed)
    items: list[IntegrationLog] = []
    scanned_count, last_cursor = 0, None
    for cursor, entry in entries:
        if not window.matches(entry):
            continue
        if query.matches(entry):
            if len(items) == query.limit:
                return LogPage(items=tuple(items), next=last_cursor)
            items.append(entry)
            last_cursor = cursor
        scanned_count += 1
        if scanned_count == query.scan_limit and window != query:
            return _stopped_page(tuple(items), query, (cursor, entry.started_at))
    return LogPage(items=tuple(items))


class LogRows(Protocol):
    """The rows of an integration log in a database, from which pages are read.

    Positions are counted from 1, after the query's `after`. A page includes the entry of its last
    cursor. Its `window` determines which index is used.
    """

    async def at(self, window: LogQuery, position: int, /) -> tuple[str, datetime] | None:
        """Return the cursor and start time of the entry at a position of the query's result."""
        ...

    async def page(self, query: LogQuery, window: LogQuery, last: str | None, /) -> LogPage:
        """Return a page of matching entries, ending with the entry of the cursor `last`."""
        ...


async def read_page(rows: LogRows, query: LogQuery, *, failures_indexed: bool = False) -> LogPage:
    """Read a page of log entries from a database.

    Args:
        rows: the rows of the database.
        query: the query.
        failures_indexed: True if the database has an index of the failures alone.
    """
    window = window_of(query, failures_indexed=failures_indexed)
    if window == query:
        return await rows.page(query, window, None)
    size = max(1, query.scan_limit // _FIRST_PART)
    while True:
        last_row = await rows.at(window, size)
        page = await rows.page(query, window, None if last_row is None else last_row[0])
        if last_row is None or page.next is not None:
            return page
        if size == query.scan_limit:
            return _stopped_page(page.items, query, last_row)
        size = min(size * 10, query.scan_limit)


def _stopped_page(
    items: tuple[IntegrationLog, ...], query: LogQuery, last: tuple[str, datetime]
) -> LogPage:
    cursor, started_at = last
    return LogPage(items=items, next=cursor, scanned=query.scan_limit, scanned_to=started_at)
