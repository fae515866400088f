"""The integration log in Django's database.

Entries wait in a queue, and a thread writes them about once a second. In processes without threads,
they are written at the end of each request. If more than `MOST` entries wait, the oldest are lost.
"""

from __future__ import annotations

from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

import attrs
from django.db import DataError, connections, transaction
from django.db.models import Count, F, Func, Q, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact

from moorage import (
    IntegrationLog,
    IntegrationStatus,
    InvalidData,
    LogPage,
    LogSummary,
)
from moorage.adapters.logs.queue import LogQueue
from moorage.domain.observation.call_content import LONGEST_CONTENT
from moorage.domain.observation.integration_log import (
    CONTENT_FIELDS,
    EQUAL_FIELDS,
    TEXT_FIELDS,
    USABLE_STATUSES,
)
from moorage.domain.observation.log_pages import read_page
from moorage.runtime.flows import run_now
from moorage_django.errors import translating_errors
from moorage_django.fields import WordField
from moorage_django.models import Call
from moorage_django.moments import EPOCH, MICROSECOND
from moorage_django.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage import LogQuery

MOST: Final = 10_000
NEWEST_FIRST: Final = ("-started_at", "-number")
"""The order of entries; processes write in batches, so the numbers alone are no order."""

_LENGTHS: Final = {
    "idempotency_key": 500,
    "error_message": 510,
    **dict.fromkeys(CONTENT_FIELDS, LONGEST_CONTENT),
}
"""The lengths of columns that are not 200 characters long."""
_CALLED: Final = {"id": "call"}
"""The columns whose name differs from the field's name."""


def split_fields(
    entry: type[Any], columns: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split an entry's field names into those that have a database column and all others.

    Entries of a newer moorage may have fields that this release does not know.
    """
    known_columns = {*columns}
    names = [field.name for field in attrs.fields(entry)]
    kept_names = tuple(name for name in names if _CALLED.get(name, name) in known_columns)
    return kept_names, tuple(name for name in names if name not in kept_names)


_KEPT, UNKEPT = split_fields(IntegrationLog, (field.name for field in Call._meta.concrete_fields))
_NAMES: Final = tuple(name for name in _KEPT if name != "id")


class OrmLogger:
    """An integration log in a database alias.

    Args:
        alias: the database alias; entries that the project rolls back there are lost.
        every: seconds after which queued entries are written.
        threads: True to write the queue in a thread; by default, if the process can have threads.
    """

    def __init__(self, alias: str, *, every: float = 1.0, threads: bool | None = None) -> None:
        self.alias = alias
        self._queue = LogQueue(
            partial(_insert, alias),
            f"the database {alias!r}",
            max_waiting=MOST,
            every=every,
            threads=threads,
            release=self._release_thread,
        )

    @property
    def lost(self) -> int:
        """The number of entries that this process could not store."""
        return self._queue.lost

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue an entry; if the queue is full, its oldest entry is dropped and counted."""
        self._queue.write(entry)

    def after_request(self) -> None:
        """Write queued entries, unless a background thread writes them or a transaction is open."""
        if not connections[self.alias].in_atomic_block:
            self._queue.after_request()

    def close(self) -> None:
        """Write queued entries, and end the thread."""
        self._queue.close()

    def flush(self) -> None:
        """Write queued entries now; in a transaction, a rollback would remove them.

        Raises:
            StorageUnavailable: the database is not available; the entries stay in the queue.
            ConfigurationError: the table is missing.
        """
        self._queue.flush()

    def _release_thread(self) -> None:
        connections[self.alias].close()

    @translating_errors
    def find(self, query: LogQuery, /) -> LogPage:
        """Return one page of the matching entries, newest first."""
        self.flush()
        return run_now(read_page(_Rows(self.alias), query))

    @translating_errors
    def summarise(self, query: LogQuery, /) -> LogSummary:
        """Summarise all matching entries, not just one page."""
        self.flush()
        matching_calls = _matching_calls(self.alias, query)
        counts_by_status = (
            matching_calls.values_list("status").annotate(count=Count("number")).order_by()
        )
        by_status = {IntegrationStatus(status): count for status, count in counts_by_status}
        total = sum(by_status.values())
        durations = matching_calls.order_by("duration").values_list("duration", flat=True)

        def percentile(percent: int) -> float | None:
            """Return the smallest duration that `percent` of all durations do not exceed."""
            if not total:
                return None
            place = -(-total * percent // 100) - 1
            durations_at_place: list[float] = list(durations[place : place + 1])
            return durations_at_place[0] if durations_at_place else None

        return LogSummary(
            count=total,
            by_status=by_status,
            p50=percentile(50),
            p90=percentile(90),
            p95=percentile(95),
            p99=percentile(99),
        )

    @translating_errors
    def remove(self, query: LogQuery, /) -> int:
        """Delete all matching entries, and return their number."""
        self.flush()
        return int(_matching_calls(self.alias, query).delete()[0])


class AsyncOrmLogger:
    """The asynchronous `OrmLogger`.

    Args:
        shared: the synchronous log.
    """

    def __init__(self, shared: OrmLogger) -> None:
        self.shared = shared
        self.write = shared.write

    async def find(self, query: LogQuery, /) -> LogPage:
        """Return one page of the matching entries, newest first."""
        return await in_thread(self.shared.alias, self.shared.find, query)

    async def summarise(self, query: LogQuery, /) -> LogSummary:
        """Summarise all matching entries, not just one page."""
        return await in_thread(self.shared.alias, self.shared.summarise, query)

    async def remove(self, query: LogQuery, /) -> int:
        """Delete all matching entries, and return their number."""
        return await in_thread(self.shared.alias, self.shared.remove, query)


@translating_errors
def _insert(alias: str, entries: Iterable[IntegrationLog]) -> None:
    """Write all of these entries or none."""
    try:
        with transaction.atomic(using=alias):
            Call.objects.using(alias).bulk_create(map(_row, entries))
    except (DataError, ValueError, OverflowError):
        is_unfit = True
    else:
        is_unfit = False
    if is_unfit:
        raise InvalidData(
            "An entry of the integration log has values that the database cannot store.",
            field="entry",
            remedy="Only store entries that moorage has created.",
        )


def _row(entry: IntegrationLog) -> Call:
    fields = {name: getattr(entry, name) for name in _NAMES}
    fields |= {"status": entry.status.value, "call": entry.id}
    return Call(
        **{
            name: value[: _LENGTHS.get(name, 200)] if isinstance(value, str) else value
            for name, value in fields.items()
        }
    )


def _entry(row: Call) -> IntegrationLog:
    fields: dict[str, Any] = {name: getattr(row, name) for name in _NAMES}
    fields["id"] = row.call
    fields["status"] = IntegrationStatus(row.status)
    return IntegrationLog(**fields)


@attrs.frozen
class _Rows:
    """Reads rows of the log's table for the function `read_page`.

    Attributes:
        alias: the database alias.
    """

    alias: str

    async def at(self, window: LogQuery, position: int, /) -> tuple[str, datetime] | None:
        """Return the cursor and start time of the n-th entry in a time window, if it exists."""
        rows = self._calls(window, window).only("started_at")[position - 1 : position]
        return next(((_cursor(row), row.started_at) for row in rows), None)

    async def page(self, query: LogQuery, window: LogQuery, last: str | None, /) -> LogPage:
        """Return a page of matching entries that ends with the cursor's entry."""
        calls = self._calls(query, window)
        if last is not None:
            start_time, number = _position(last)
            calls = calls.filter(
                Q(started_at__gt=start_time) | Q(number__gte=number), started_at__gte=start_time
            )
        rows = list(calls[: query.limit + 1])
        return LogPage(
            items=tuple(map(_entry, rows[: query.limit])),
            next=_cursor(rows[query.limit - 1]) if len(rows) > query.limit else None,
        )

    def _calls(self, query: LogQuery, window: LogQuery) -> Any:
        """Return the matching calls after the query's cursor, in page order."""
        calls = _matching_calls(self.alias, query, window)
        if query.after is not None:
            start_time, number = _position(query.after)
            calls = calls.filter(
                Q(started_at__lt=start_time) | Q(number__lt=number), started_at__lte=start_time
            )
        return calls.order_by(*NEWEST_FIRST)


def _matching_calls(alias: str, query: LogQuery, window: LogQuery | None = None) -> Any:
    """Return the calls that match a query, using the index of its time window if any."""
    values = {name: getattr(query, name) for name in EQUAL_FIELDS}
    values["status"] = query.status and query.status.value
    times = {"started_at__gte": query.since, "started_at__lt": query.until}
    calls = Call.objects.using(alias).filter(
        *(
            _equals(alias, name, value, indexed=window is None or getattr(window, name) is not None)
            for name, value in values.items()
            if value is not None
        ),
        **{condition: time for condition, time in times.items() if time is not None},
    )
    if query.failures:
        calls = calls.exclude(status__in=[status.value for status in USABLE_STATUSES])
    if query.text is None:
        return calls
    lowered_text = Lower(Value(query.text))
    return calls.filter(
        reduce(or_, (Q((f"{name}__lower__contains", lowered_text)) for name in TEXT_FIELDS))
    )


def _equals(alias: str, name: str, value: str, *, indexed: bool) -> Any:
    column = _CALLED.get(name, name)
    if indexed or connections[alias].vendor != "sqlite":
        return Q((column, value))
    # SQLite has no statistics, and might use the index of another field.
    unindexed_column = Func(F(column), template="+%(expressions)s", output_field=WordField())
    return Exact(unindexed_column, value)


def _cursor(row: Call) -> str:
    """Return a row's cursor, from which the page of older entries begins."""
    return f"{(row.started_at - EPOCH) // MICROSECOND}.{row.number}"


def _position(cursor: str) -> tuple[datetime, int]:
    try:
        start_micros, number = map(int, cursor.split("."))
        return EPOCH + start_micros * MICROSECOND, number
    except (ValueError, OverflowError):
        raise InvalidData(
            f"{cursor[:80]!r} is not a cursor of this log.",
            field="after",
            remedy="Pass the `next` of a page of this log, unchanged.",
        ) from None
