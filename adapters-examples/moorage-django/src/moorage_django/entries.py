"""Inbox and outbox in Django's database.

Who adds to a lane keeps a row of the lane's to itself until its transaction ends, so that whoever
adds to it next gets a higher number and is committed later. SQLite lets one transaction write at a
time anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
from django.db import connections, transaction
from django.db.models import Exists, OuterRef, Q

from moorage.domain.entries import Entry, arrive, lane_number
from moorage.inbox import EntryPage, EntryState, InboxEntry
from moorage.outbox import OutboxEntry
from moorage_django.errors import guarded
from moorage_django.models import Deferred, Webhook
from moorage_django.moments import now_in
from moorage_django.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.inbox import EntryQuery

E = TypeVar("E", bound=Entry)

_NAMES: Final = tuple(field.name for field in attrs.fields(Entry) if field.name != "number")
_EXACTLY: Final = ("id", "target", "operation", "tenant", "subject")
_SLOTS: Final = 2**20
"""So many rows at most stay in the table of lanes where rows that come and go block each other."""


class _OrmEntries(Generic[E]):
    """Keeps entries in the database of an alias.

    Args:
        alias: of the database: the host's own, so that `add` is part of its transactions.
    """

    durable: Final = True
    shared: Final = True
    _kind: type[E]
    _table: Any

    def __init__(self, alias: str = "default") -> None:
        self.alias = alias
        self._rows = self._table.objects.using(alias)

    @guarded
    def now(self) -> datetime:
        """The database's time; a file's is that of its machine."""
        return now_in(self.alias)

    @guarded
    def add(self, entry: E, /) -> E:
        """Write an entry down, or give the one of this id."""
        with transaction.atomic(using=self.alias, savepoint=False):
            if entry.lane is not None:
                self._keep_order(entry.lane)
            row = self._table(**_columns(arrive(entry, now_in(self.alias))))
            self._rows.bulk_create([row], ignore_conflicts=True)
            return self._entry(self._rows.get(id=entry.id))

    @guarded
    def due(self, limit: int, /) -> Sequence[E]:
        """Those that may be taken."""
        earlier = self._rows.filter(
            lane=OuterRef("lane"), number__lt=OuterRef("number"), holds=True
        )
        now = now_in(self.alias)
        free = self._rows.filter(Q(lane=None) | ~Exists(earlier), due__lte=now)
        return [self._entry(row) for row in free.order_by("number")[:limit]]

    @guarded
    def swap(self, entry: E, fence: int, /) -> bool:
        """Write an entry over the one that has this fence."""
        columns = _columns(entry)
        del columns["id"]
        return bool(self._rows.filter(id=entry.id, fence=fence).update(**columns))

    @guarded
    def find(self, query: EntryQuery, /) -> EntryPage[E]:
        """One page of those that match, newest first."""
        found, before = self._matching(query), query.before
        if before is not None:
            found = found.filter(number__lt=before)
        rows = found.order_by("-number")[: query.limit + 1]
        return EntryPage.of(map(self._entry, rows), query.limit)

    @guarded
    def remove(self, query: EntryQuery, /) -> int:
        """Forget all that match; how many those were."""
        return int(self._matching(query).delete()[0])

    def release_thread(self) -> None:
        """Close the connection of a thread that no request ends."""
        connections[self.alias].close()

    def _matching(self, query: EntryQuery) -> Any:
        wanted: dict[str, Any] = {name: getattr(query, name) for name in _EXACTLY}
        wanted["added_at__gte"] = query.since
        wanted["added_at__lt"] = query.until
        wanted["settled_at__lt"] = query.settled_before
        wanted["state__in"] = [state.value for state in query.states] or None
        given = {name: value for name, value in wanted.items() if value is not None}
        if query.waits_beyond is not None:
            waiting = EntryState.WAITING.value
            late = Q(state=waiting, attempts__gt=0, due__gt=query.waits_beyond)
            return self._rows.filter(late, **given)
        return self._rows.filter(**given)

    def _keep_order(self, lane: str) -> None:
        """Wait for whoever has added to this lane and not committed yet; others wait for us."""
        link = connections[self.alias]
        number = lane_number(self._table.__name__, lane)
        with link.cursor() as cursor:
            if link.vendor == "postgresql":
                # Gone at once, and yet nobody else may insert it before this transaction ends.
                cursor.execute("INSERT INTO moorage_lane (number) VALUES (%s)", [number])
                cursor.execute("DELETE FROM moorage_lane WHERE number = %s", [number])
            elif link.vendor == "mysql":
                cursor.execute(
                    "INSERT INTO moorage_lane (number) VALUES (%s)"
                    " ON DUPLICATE KEY UPDATE number = number",
                    [number % _SLOTS],
                )

    def _entry(self, row: Any) -> E:
        fields = {name: getattr(row, name) for name in _NAMES}
        fields["content"] = bytes(fields["content"])
        return self._kind(number=row.number, **fields)


class _AsyncOrmEntries(Generic[E]):
    """As `_OrmEntries`, awaited: threads wait for the database, outside of any transaction."""

    durable: Final = True
    shared: Final = True
    _plain: _OrmEntries[E]

    async def now(self) -> datetime:
        """The database's time; a file's is that of its machine."""
        return await in_thread(self._plain.alias, self._plain.now)

    async def add(self, entry: E, /) -> E:
        """Write an entry down, or give the one of this id."""
        return await in_thread(self._plain.alias, self._plain.add, entry)

    async def due(self, limit: int, /) -> Sequence[E]:
        """Those that may be taken."""
        return await in_thread(self._plain.alias, self._plain.due, limit)

    async def swap(self, entry: E, fence: int, /) -> bool:
        """Write an entry over the one that has this fence."""
        return await in_thread(self._plain.alias, self._plain.swap, entry, fence)

    async def find(self, query: EntryQuery, /) -> EntryPage[E]:
        """One page of those that match, newest first."""
        return await in_thread(self._plain.alias, self._plain.find, query)

    async def remove(self, query: EntryQuery, /) -> int:
        """Forget all that match; how many those were."""
        return await in_thread(self._plain.alias, self._plain.remove, query)


class OrmInbox(_OrmEntries[InboxEntry]):
    """Keeps webhooks in the database of an alias.

    Args:
        alias: of the database.
    """

    _kind = InboxEntry
    _table = Webhook


class OrmOutbox(_OrmEntries[OutboxEntry]):
    """Keeps calls in the database of an alias.

    Args:
        alias: of the database: the host's own, so that `add` is part of its transactions.
    """

    _kind = OutboxEntry
    _table = Deferred


class AsyncOrmInbox(_AsyncOrmEntries[InboxEntry]):
    """As `OrmInbox`, awaited.

    Args:
        alias: of the database.
    """

    def __init__(self, alias: str = "default") -> None:
        self._plain = OrmInbox(alias)


class AsyncOrmOutbox(_AsyncOrmEntries[OutboxEntry]):
    """As `OrmOutbox`, awaited: in no transaction of the host's, for Django has none there.

    Args:
        alias: of the database.
    """

    def __init__(self, alias: str = "default") -> None:
        self._plain = OrmOutbox(alias)


def _columns(entry: Entry) -> dict[str, Any]:
    columns = {name: getattr(entry, name) for name in _NAMES}
    columns["state"] = entry.state.value
    return columns
