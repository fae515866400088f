"""Inbox and outbox in the memory of one process, for tests and for data that may be lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.pauses import is_covered
from moorage.domain.entries.queue import Entry, EntryPage, EntryState, arrive
from moorage.domain.values.durations import count
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.entries.queue import EntryQuery
    from moorage.ports.clock import Clock

E = TypeVar("E", bound=Entry)


class _Entries(Uncopyable, Generic[E]):
    """Entries of an inbox or outbox in the memory of this process.

    Its time starts with the wall clock when it is created, and is measured by the boot clock from
    then on: later changes of the wall clock do not affect it.

    Args:
        clock: measures time; by default the machine's.
        max_entries: the maximum number of entries; a full store refuses further ones.
    """

    durable = False
    reach = "process"

    def __init__(self, clock: Clock | None = None, *, max_entries: int = 100_000) -> None:
        self._lock = ForkSafeLock()
        clock = SystemClock() if clock is None else clock
        self._nanoseconds = clock.nanoseconds
        self._created_at, self._started = clock.utc(), clock.nanoseconds()
        self._max_entries = count(max_entries, "max_entries")
        self._entries: dict[str, E] = {}
        self._last = 0
        self._has_priorities = False
        self._pauses: dict[str, E] = {}

    def now(self) -> datetime:
        """Return the current time by the store's clock."""
        elapsed_micros = (self._nanoseconds() - self._started) // 1_000
        return self._created_at + timedelta(microseconds=elapsed_micros)

    def add(self, entry: E, /) -> E:
        """Store an entry; if its id exists already, return the stored entry."""
        with self._lock.current:
            if entry.id not in self._entries:
                if len(self._entries) >= self._max_entries:
                    raise StorageUnavailable(
                        f"The store is full, because it has {self._max_entries} entries.",
                        remedy="Remove settled entries, or raise `max_entries`.",
                    )
                self._last += 1
                self._has_priorities |= entry.priority != 0
                stored_entry = attrs.evolve(arrive(entry, self.now()), number=self._last)
                self._entries[entry.id] = stored_entry
                self._note_pause(stored_entry)
            return self._entries[entry.id]

    def due(self, limit: int, /) -> tuple[E, ...]:
        """Return the entries that workers may claim now."""
        now = self.now()
        due_entries: list[E] = []
        blocked_lanes: set[str] = set()
        with self._lock.current:
            for entry in self._entries.values():
                if len(due_entries) == limit and not self._has_priorities:
                    break
                is_free = entry.lane is None or entry.lane not in blocked_lanes
                is_due = is_free and entry.due is not None and entry.due <= now
                if is_due and not is_covered(entry, self._pauses.values()):
                    due_entries.append(entry)
                if entry.lane is not None and entry.holds:
                    blocked_lanes.add(entry.lane)
        due_entries.sort(key=lambda entry: (-entry.priority, entry.number))
        return tuple(due_entries[:limit])

    def swap(self, entry: E, fence: int, /) -> bool:
        """Replace a stored entry, unless its fencing token has changed from `fence`."""
        with self._lock.current:
            stored_entry = self._entries.get(entry.id)
            if stored_entry is None or stored_entry.fence != fence:
                return False
            new_entry = attrs.evolve(entry, number=stored_entry.number)
            self._entries[entry.id] = new_entry
            self._note_pause(new_entry)
            return True

    def _note_pause(self, entry: E) -> None:
        if entry.state is EntryState.PAUSED:
            self._pauses[entry.id] = entry
        else:
            self._pauses.pop(entry.id, None)

    def find(self, query: EntryQuery, /) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        before_number = query.before
        with self._lock.current:
            entries = list(self._entries.values())
        matches = [
            entry
            for entry in reversed(entries)
            if (before_number is None or entry.number < before_number) and query.matches(entry)
        ]
        return EntryPage.of(matches, query.limit)

    def remove(self, query: EntryQuery, /) -> int:
        """Delete the matching entries, and return their number."""
        with self._lock.current:
            matching_ids = [entry.id for entry in self._entries.values() if query.matches(entry)]
            for name in matching_ids:
                del self._entries[name]
                self._pauses.pop(name, None)
        return len(matching_ids)


class _AsyncEntries(Uncopyable, Generic[E]):
    """The asynchronous `_Entries`."""

    durable = False
    reach = "process"
    _entries: _Entries[E]

    async def now(self) -> datetime:
        """Return the current time by the store's clock."""
        return self._entries.now()

    async def add(self, entry: E, /) -> E:
        """Store an entry; if its id exists already, return the stored entry."""
        return self._entries.add(entry)

    async def due(self, limit: int, /) -> tuple[E, ...]:
        """Return the entries that workers may claim now."""
        return self._entries.due(limit)

    async def swap(self, entry: E, fence: int, /) -> bool:
        """Replace a stored entry, unless its fencing token has changed from `fence`."""
        return self._entries.swap(entry, fence)

    async def find(self, query: EntryQuery, /) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        return self._entries.find(query)

    async def remove(self, query: EntryQuery, /) -> int:
        """Delete the matching entries, and return their number."""
        return self._entries.remove(query)


class MemoryInbox(_Entries[InboxEntry]):
    """An inbox of webhooks in the memory of this process.

    Args:
        clock: measures time; by default the machine's. Its date is read once.
        max_entries: the maximum number of entries; a full store refuses further ones.
    """


class MemoryOutbox(_Entries[OutboxEntry]):
    """An outbox of calls in the memory of this process.

    Args:
        clock: measures time; by default the machine's. Its date is read once.
        max_entries: the maximum number of entries; a full store refuses further ones.
    """


class AsyncMemoryInbox(_AsyncEntries[InboxEntry]):
    """The asynchronous `MemoryInbox`.

    Args:
        shared: the inbox whose entries it shares.
        clock: measures time; by default the machine's. Its date is read once.
        max_entries: the maximum number of entries; a full store refuses further ones.
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
    """The asynchronous `MemoryOutbox`.

    Args:
        shared: the outbox whose entries it shares.
        clock: measures time; by default the machine's. Its date is read once.
        max_entries: the maximum number of entries; a full store refuses further ones.
    """

    def __init__(
        self,
        shared: MemoryOutbox | None = None,
        *,
        clock: Clock | None = None,
        max_entries: int = 100_000,
    ) -> None:
        self._entries = shared or MemoryOutbox(clock, max_entries=max_entries)
