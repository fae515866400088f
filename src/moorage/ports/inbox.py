"""Where webhooks are written down before they are handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.domain.entries import EntryPage, EntryQuery
    from moorage.domain.inbox import InboxEntry


class InboxStorage(Protocol):
    """Keeps entries, and decides nothing. All that it raises is `StorageUnavailable`.

    `now` is the store's time: aware, in UTC, and the same for everybody who shares the store. A
    server says it, as the time of the statement and not of the transaction's start; what only one
    machine reaches goes by that machine's clock. No other time is ever asked.

    `add` writes an entry down as `arrive(entry, now)` has it, and gives it back with its `number`:
    higher than that of every entry that was there. If one of this `id` is there already, nothing
    changes, and that one is given back, whoever added it and at the same moment; so `id` is unique
    in the store. It is written when `add` returns, or with the transaction that the host has open.

    Of one `lane` numbers are given in the order in which transactions are committed: a second one
    that adds to the lane waits in `add` until the first has ended. Otherwise the higher number
    could be committed, seen and taken while the lower one is still open.

    `due` gives up to `limit` entries, those with the lowest numbers first, whose `due` is not None
    and not after the store's time, and before which no other entry of the same `lane` (with a lower
    `number`) has `holds`. Where `lane` is None nothing holds back.

    `swap` writes all of an entry but its `id` and `number` over the one that is stored under its
    `id`, if that has still this `fence`, as one step; and says whether it did. If it did not,
    nothing changed: the entry is another's by now, or gone.

    While an entry is worked on, its `due` is put off every half second by a `swap` under the same
    fence. A thread of moorage's own does that, or a task in an event loop, so neither `now` nor
    `swap` may join a transaction of another thread. A plain store may have a method
    `release_thread`: that thread calls it after each round, to close what it alone has open.

    `find` gives one page of what matches, those with the highest numbers first; `next` is the last
    number on the page as text, or None if nothing follows (`EntryPage.of` makes that). `remove`
    removes all that match, whatever page they would be on, and says how many those were.

    Each attribute of an entry is a column, except `reply`: `id`, `target`, `operation`, `tenant`,
    `subject` and `lane` are texts of at most 255 characters, `error` one of 500, `content` bytes of
    any length; times are aware, in UTC, and exact to the microsecond. Texts are compared exactly:
    two that differ in case are two. Indexes on `due`, and on `lane` with `number`, keep `due`
    quick.
    """

    def now(self, /) -> datetime: ...

    def add(self, entry: InboxEntry, /) -> InboxEntry: ...

    def due(self, limit: int, /) -> Sequence[InboxEntry]: ...

    def swap(self, entry: InboxEntry, fence: int, /) -> bool: ...

    def find(self, query: EntryQuery, /) -> EntryPage[InboxEntry]: ...

    def remove(self, query: EntryQuery, /) -> int: ...


class AsyncInboxStorage(Protocol):
    """As `InboxStorage`, awaited."""

    async def now(self, /) -> datetime: ...

    async def add(self, entry: InboxEntry, /) -> InboxEntry: ...

    async def due(self, limit: int, /) -> Sequence[InboxEntry]: ...

    async def swap(self, entry: InboxEntry, fence: int, /) -> bool: ...

    async def find(self, query: EntryQuery, /) -> EntryPage[InboxEntry]: ...

    async def remove(self, query: EntryQuery, /) -> int: ...
