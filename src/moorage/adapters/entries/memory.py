"""Entries of one process, in memory: for tests, and where a crash may lose them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.forking import in_child
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import Entry, EntryPage, arrive
from moorage.domain.values.durations import count
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.entries.queue import EntryQuery
    from moorage.ports.clock import Clock

E = TypeVar("E", bound=Entry)


class _Locked:
    """Has a lock; in a forked child another, for whoever held that of before is not there."""

    def __init__(self) -> None:
        self._forget_lock()
        in_child(self, _Locked._forget_lock)

    def _forget_lock(self) -> None:
        self._lock = threading.Lock()


class _Entries(_Locked, Generic[E]):
    """Keeps entries in the memory of this process.

    Its time is that of the wall clock when it was made, and measured by the boot clock from then
    on: no later step of the wall clock touches it.

    Args:
        clock: measures time; by default the machine's.
        max_entries: how many; a full one takes no more.
    """

    durable = False
    reach = "process"

    def __init__(self, clock: Clock | None = None, *, max_entries: int = 100_000) -> None:
        super().__init__()
        clock = SystemClock() if clock is None else clock
        self._nanoseconds = clock.nanoseconds
        self._made_at, self._began = clock.utc(), clock.nanoseconds()
        self._most = count(max_entries, "max_entries")
        self._entries: dict[str, E] = {}
        self._last = 0
        self._ranked = False

    def now(self) -> datetime:
        """The store's time."""
        passed = (self._nanoseconds() - self._began) // 1_000
        return self._made_at + timedelta(microseconds=passed)

    def add(self, entry: E, /) -> E:
        """Write an entry down, or give the one of this id."""
        with self._lock:
            if entry.id not in self._entries:
                if len(self._entries) >= self._most:
                    raise StorageUnavailable(
                        f"the store holds as many entries as it may ({self._most}).",
                        remedy="Remove what is settled, or give it room for more.",
                    )
                self._last += 1
                self._ranked |= entry.priority != 0
                self._entries[entry.id] = attrs.evolve(arrive(entry, self.now()), number=self._last)
            return self._entries[entry.id]

    def due(self, limit: int, /) -> tuple[E, ...]:
        """Those that may be taken."""
        now = self.now()
        found: list[E] = []
        held: set[str] = set()
        with self._lock:
            for entry in self._entries.values():
                if len(found) == limit and not self._ranked:
                    break
                free = entry.lane is None or entry.lane not in held
                if free and entry.due is not None and entry.due <= now:
                    found.append(entry)
                if entry.lane is not None and entry.holds:
                    held.add(entry.lane)
        found.sort(key=lambda entry: (-entry.priority, entry.number))
        return tuple(found[:limit])

    def swap(self, entry: E, fence: int, /) -> bool:
        """Write an entry over the one that has this fence."""
        with self._lock:
            stored = self._entries.get(entry.id)
            if stored is None or stored.fence != fence:
                return False
            self._entries[entry.id] = attrs.evolve(entry, number=stored.number)
            return True

    def find(self, query: EntryQuery, /) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        before = query.before
        with self._lock:
            known = list(self._entries.values())
        found = [
            entry
            for entry in reversed(known)
            if (before is None or entry.number < before) and query.matches(entry)
        ]
        return EntryPage.of(found, query.limit)

    def remove(self, query: EntryQuery, /) -> int:
        """Forget all that match; how many those were."""
        with self._lock:
            gone = [entry.id for entry in self._entries.values() if query.matches(entry)]
            for name in gone:
                del self._entries[name]
        return len(gone)


class _AsyncEntries(Generic[E]):
    """As `_Entries`, awaited."""

    durable = False
    reach = "process"
    _entries: _Entries[E]

    async def now(self) -> datetime:
        """The store's time."""
        return self._entries.now()

    async def add(self, entry: E, /) -> E:
        """Write an entry down, or give the one of this id."""
        return self._entries.add(entry)

    async def due(self, limit: int, /) -> tuple[E, ...]:
        """Those that may be taken."""
        return self._entries.due(limit)

    async def swap(self, entry: E, fence: int, /) -> bool:
        """Write an entry over the one that has this fence."""
        return self._entries.swap(entry, fence)

    async def find(self, query: EntryQuery, /) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        return self._entries.find(query)

    async def remove(self, query: EntryQuery, /) -> int:
        """Forget all that match; how many those were."""
        return self._entries.remove(query)


class MemoryInbox(_Entries[InboxEntry]):
    """Keeps webhooks in the memory of this process.

    Args:
        clock: measures time; by default the machine's. Its date is read once.
        max_entries: how many; a full one takes no more.
    """


class MemoryOutbox(_Entries[OutboxEntry]):
    """Keeps calls in the memory of this process.

    Args:
        clock: measures time; by default the machine's. Its date is read once.
        max_entries: how many; a full one takes no more.
    """


class AsyncMemoryInbox(_AsyncEntries[InboxEntry]):
    """As `MemoryInbox`, awaited.

    Args:
        shared: the inbox to keep entries in, if several are to keep one.
        clock: measures time; by default the machine's. Its date is read once.
        max_entries: how many; a full one takes no more.
    """

    def __init__(
        self,
        shared: MemoryInbox | None = None,
        *,
        clock: Clock | None = None,
        max_entries: int = 100_000,
    ) -> None:
        self._entries = shared or MemoryInbox(clock, max_entries=max_entries)


class AsyncMemoryOutbox(_AsyncEntries[OutboxEntry]):
    """As `MemoryOutbox`, awaited.

    Args:
        shared: the outbox to keep entries in, if several are to keep one.
        clock: measures time; by default the machine's. Its date is read once.
        max_entries: how many; a full one takes no more.
    """

    def __init__(
        self,
        shared: MemoryOutbox | None = None,
        *,
        clock: Clock | None = None,
        max_entries: int = 100_000,
    ) -> None:
        self._entries = shared or MemoryOutbox(clock, max_entries=max_entries)
