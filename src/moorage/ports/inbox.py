"""The interface of stores that keep webhooks until they are handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.domain.entries.inbox import InboxEntry
    from moorage.domain.entries.queue import EntryPage, EntryQuery


class InboxStorage(Protocol):
    """Stores webhooks as entries, decides nothing, and raises only `StorageUnavailable`.

    `now` is the store's time: aware, in UTC, and the same for all its users. A server returns its
    own time, at the statement and not at the transaction's start; a store on one machine uses that
    machine's clock. No other clock is ever used.

    `add` stores an entry as returned by `arrive(entry, now)`, and returns it with its `number`:
    higher than that of every entry so far. If an entry with this `id` exists, nothing changes and
    that entry is returned, even if it was added at the same moment; so `id` is unique in the store.
    The entry is written when `add` returns, or with the host's open transaction.

    Within a `lane`, numbers are assigned in the order in which transactions are committed: a second
    transaction that adds to the lane waits in `add` until the first has ended. Otherwise the higher
    number could be committed, seen and taken while the lower one is still open.

    `due` returns up to `limit` entries, highest `priority` first and then lowest number, whose
    `due` is not None and not after the store's time, and which no earlier entry of the same `lane`
    (with a lower `number`) blocks by `holds`. Entries whose `lane` is None are never blocked.
    Neither `due` nor `claim` returns an entry that a pause covers: an entry of the same store whose
    `state` is `paused`, and whose `target` (unless it is `*`), `tenant` and `subject` (unless they
    are None) are those of the entry, as in `is_covered` of `moorage.domain.entries.pauses`.

    `swap` overwrites an entry, except its `id` and `number`, if the stored entry with its `id`
    still has this `fence`, in one step; it returns whether it did. If not, nothing has changed:
    another worker has the entry by now, or it is gone.

    While a worker handles an entry, its `due` is moved forward every half second by a `swap` under
    the same `fence`. A thread of moorage does that, or a task in an event loop, so neither `now`
    nor `swap` may join a transaction of another thread. A synchronous store may have a method
    `release_thread`: that thread calls it after each round, to close its own connections.

    A store may have two more methods, both or neither. `claim(limit, lease, most)` takes entries
    that are due and that nobody else has locked, in one step: those that `together` picks, changed
    by `take`. `settle(entries, fences)` writes the results of several entries (`state`, `due`,
    `holds`, `fence`, `attempts`, `turn`, `error` and `settled_at`), each like `swap` with the
    `fence` at the same position, and returns for each whether it did.
    Without `claim`, a worker that has found a lease to be over may take the entry although the
    previous worker renews that lease, too late, in the same moment; that worker then learns at its
    next renewal that the entry is lost.

    Each method may have a parameter `timeout` in seconds. `timeout` is passed if the caller has a
    deadline, or if a late answer is useless, as for a renewal; otherwise the store's own limit
    applies. After that time the method raises `StorageUnavailable`.

    `find` returns one page of the matching entries, highest numbers first; `next` is the last
    number on the page as text, or None on the last page (`EntryPage.of` makes that). `remove`
    deletes all matching entries, regardless of pages, and returns their number.

    A store whose file allows only one writing transaction at a time has a `shortest_lease`: the
    default lease of an entry in seconds. Nothing is renewed while a transaction of the host locks
    the file, so the lease must outlast the longest of these.

    Each attribute of an entry is a column, except `reply`: `id`, `target`, `operation`, `tenant`,
    `subject` and `lane` are strings of at most 255 characters, `error` one of 500,
    `traceparent` one of 255, `tracestate` one of 512, `content` bytes of any length; times are
    aware, in UTC, and exact to the microsecond. Strings are compared exactly: strings that differ
    in case are different. Indexes on `due`, on `lane` with `number`, and on `state` with `number`
    make `due` fast.
    """

    def now(self, /) -> datetime: ...

    def add(self, entry: InboxEntry, /) -> InboxEntry: ...

    def due(self, limit: int, /) -> Sequence[InboxEntry]: ...

    def swap(self, entry: InboxEntry, fence: int, /) -> bool: ...

    def find(self, query: EntryQuery, /) -> EntryPage[InboxEntry]: ...

    def remove(self, query: EntryQuery, /) -> int: ...


class AsyncInboxStorage(Protocol):
    """The asynchronous `InboxStorage`."""

    async def now(self, /) -> datetime: ...

    async def add(self, entry: InboxEntry, /) -> InboxEntry: ...

    async def due(self, limit: int, /) -> Sequence[InboxEntry]: ...

    async def swap(self, entry: InboxEntry, fence: int, /) -> bool: ...

    async def find(self, query: EntryQuery, /) -> EntryPage[InboxEntry]: ...

    async def remove(self, query: EntryQuery, /) -> int: ...
