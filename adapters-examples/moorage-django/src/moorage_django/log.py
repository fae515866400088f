"""The integration log in Django's database.

`write` only queues an entry. The queue is written after the response, with the next `hub()`, before
a question is answered, and at exit. It is bounded: past `MOST` the oldest fall out.
"""

from __future__ import annotations

import time
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import attrs
from django.db import connections, transaction
from django.db.models import Count, Q

from moorage import (
    IntegrationLog,
    IntegrationStatus,
    InvalidData,
    LogPage,
    LogSummary,
)
from moorage.adapters.forking import in_child
from moorage_django.errors import guarded
from moorage_django.models import Call
from moorage_django.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage import LogQuery

MOST: Final = 10_000
_BATCH: Final = 500
_LATE: Final = 1.0
_SHORT: Final = {"call": 200, "idempotency_key": 500}
_EXACTLY: Final = ("service", "operation", "tenant", "region")
_NAMES: Final = tuple(field.name for field in attrs.fields(IntegrationLog) if field.name != "id")


class OrmLogger:
    """Keeps an entry for every call in the database of an alias.

    Args:
        alias: of the database; what the host rolls back there is lost.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._start_afresh()
        in_child(self, OrmLogger._start_afresh)

    def _start_afresh(self) -> None:
        # What a parent has queued is the parent's to write.
        self._waiting: deque[IntegrationLog] = deque(maxlen=MOST)
        self._since: float | None = None
        self._lock = Lock()

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue an entry."""
        self._waiting.append(entry)
        if self._since is None:
            self._since = time.monotonic()

    def tend(self) -> None:
        """Write what has waited long enough, unless a transaction would take it along."""
        since = self._since
        if since is None or (len(self._waiting) < _BATCH and time.monotonic() - since < _LATE):
            return
        self.flush()

    def flush(self, *, inside: bool = False) -> None:
        """Write what is queued; what cannot be written stays queued.

        Args:
            inside: also in a transaction, which may take the entries along.
        """
        if not self._waiting or not self._lock.acquire(blocking=inside):
            return
        try:
            if inside or not connections[self.alias].in_atomic_block:
                self._since = None
                while self._waiting and self._flushed():
                    pass
        except Exception:  # noqa: BLE001 - no call fails for its entry in the log; it stays queued
            return
        finally:
            self._lock.release()

    def _flushed(self) -> bool:
        """Write some of what is queued, and tell whether that could be done."""
        batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        if _inserted(self.alias, batch):
            return True
        left = [entry for entry in batch if not _inserted(self.alias, [entry])]
        if len(left) < len(batch):
            # The database takes others, so it is these that it does not take.
            return True
        self._waiting.extendleft(reversed(left))
        return False

    @guarded
    def find(self, query: LogQuery, /) -> LogPage:
        """One page of the entries that match, newest first."""
        self.flush(inside=True)
        found = self._matching(query)
        if query.after is not None:
            found = found.filter(number__lt=_position(query.after))
        rows = list(found.order_by("-number")[: query.limit + 1])
        return LogPage(
            items=tuple(map(_entry, rows[: query.limit])),
            next=str(rows[query.limit - 1].number) if len(rows) > query.limit else None,
        )

    @guarded
    def summarise(self, query: LogQuery, /) -> LogSummary:
        """What all entries that match come to, whatever page they would be on."""
        self.flush(inside=True)
        found = self._matching(query)
        counted = found.values_list("status").annotate(count=Count("number")).order_by()
        by_status = {IntegrationStatus(status): count for status, count in counted}
        total = sum(by_status.values())
        durations = found.order_by("duration").values_list("duration", flat=True)

        def percentile(percent: int) -> float | None:
            """The smallest duration that `percent` of all are no greater than."""
            if not total:
                return None
            place = -(-total * percent // 100) - 1
            found: list[float] = list(durations[place : place + 1])
            return found[0] if found else None

        return LogSummary(
            count=total,
            by_status=by_status,
            p50=percentile(50),
            p95=percentile(95),
            p99=percentile(99),
        )

    @guarded
    def remove(self, query: LogQuery, /) -> int:
        """Forget all entries that match, and say how many those were."""
        self.flush(inside=True)
        return int(self._matching(query).delete()[0])

    def _matching(self, query: LogQuery) -> Any:
        wanted = {name: getattr(query, name) for name in _EXACTLY}
        wanted["call"] = query.id
        wanted["subject"] = getattr(query, "subject", None)
        wanted["status"] = query.status and query.status.value
        wanted["started_at__gte"] = query.since
        wanted["started_at__lt"] = query.until
        given = {name: value for name, value in wanted.items() if value is not None}
        return Call.objects.using(self.alias).filter(Q(**given))


class AsyncOrmLogger:
    """As `OrmLogger`; the questions are awaited.

    Args:
        shared: the log to keep entries in.
    """

    def __init__(self, shared: OrmLogger) -> None:
        self.shared = shared
        self.write = shared.write

    async def find(self, query: LogQuery, /) -> LogPage:
        """One page of the entries that match, newest first."""
        return await in_thread(self.shared.alias, self.shared.find, query)

    async def summarise(self, query: LogQuery, /) -> LogSummary:
        """What all entries that match come to, whatever page they would be on."""
        return await in_thread(self.shared.alias, self.shared.summarise, query)

    async def remove(self, query: LogQuery, /) -> int:
        """Forget all entries that match, and say how many those were."""
        return await in_thread(self.shared.alias, self.shared.remove, query)


def _inserted(alias: str, entries: Iterable[IntegrationLog]) -> bool:
    """Write all of these or none, and tell whether that could be done."""
    try:
        with transaction.atomic(using=alias):
            Call.objects.using(alias).bulk_create(map(_row, entries))
    except Exception:  # noqa: BLE001 - whatever it is, they are not in the log
        return False
    return True


def _row(entry: IntegrationLog) -> Call:
    fields = {name: getattr(entry, name) for name in _NAMES}
    fields |= {"status": entry.status.value, "call": entry.id}
    return Call(
        **{
            name: value[: _SHORT.get(name, 200)] if isinstance(value, str) else value
            for name, value in fields.items()
        }
    )


def _entry(row: Call) -> IntegrationLog:
    fields: dict[str, Any] = {name: getattr(row, name) for name in _NAMES}
    fields["id"] = row.call
    fields["status"] = IntegrationStatus(row.status)
    return IntegrationLog(**fields)


def _position(cursor: str) -> int:
    try:
        return int(cursor)
    except ValueError:
        raise InvalidData(
            f"{cursor!r} leads to no page.",
            field="after",
            remedy="Give what a page of this log said in `next`, unchanged.",
        ) from None
