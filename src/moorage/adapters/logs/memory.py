"""An integration log in the memory of one process."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.sections import new_section_lock, release_if_held
from moorage.domain.observation.integration_log import (
    full_success_entry,
    size_of_texts,
    success_entry,
    summarise,
)
from moorage.domain.observation.log_pages import page_of
from moorage.domain.values.durations import count
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.observation.call_events import SuccessFacts
    from moorage.domain.observation.integration_log import (
        IntegrationLog,
        LogPage,
        LogQuery,
        LogSummary,
    )

MAX_BYTES: Final = 64 * 2**20
"""The bytes of the long texts of all entries at most, by default."""


_Item: TypeAlias = "tuple[int, IntegrationLog | SuccessFacts, int]"
"""The number of a log entry, the entry or its facts, and the size of its long texts."""


class MemoryIntegrationLogger(Uncopyable):
    """An integration log of the latest entries in the memory of this process.

    Entries are in the order in which they were written, which is the order in which calls ended.

    Args:
        max_entries: the maximum number of entries; older ones are dropped.
        max_bytes: the maximum number of bytes of requests, responses and error messages; beyond
            it, the oldest entries are dropped, except for the latest.
    """

    durable = False
    reach = "process"

    def __init__(self, *, max_entries: int = 10_000, max_bytes: int = MAX_BYTES) -> None:
        self._max_entries = count(max_entries, "max_entries")
        self._max_bytes = count(max_bytes, "max_bytes")
        self._number = 0
        self._items: deque[_Item] = deque()
        self._start_lock()
        in_child(self, MemoryIntegrationLogger._start_lock)

    def _start_lock(self) -> None:
        # A thread of the parent may have held the lock during the fork.
        self._lock = new_section_lock()
        self._bytes = sum(size for _, _, size in self._items)

    def write(self, entry: IntegrationLog, /) -> None:
        """Store a log entry."""
        size = size_of_texts(entry)
        with self._lock:
            items = self._items
            self._number += 1
            items.append((self._number, entry, size))
            self._bytes += size
            while len(items) > 1 and (
                len(items) > self._max_entries or self._bytes > self._max_bytes
            ):
                self._bytes -= items.popleft()[2]

    def success_writer(self) -> Callable[[SuccessFacts], int]:
        """Return a function that stores a successful call's data, without making an entry yet.

        The function returns the number of entries that were lost, which is always 0.
        """

        def write_entry(facts: SuccessFacts, /) -> int:
            self.write(full_success_entry(facts))
            return 0

        max_entries = self._max_entries

        def write_facts(facts: SuccessFacts, /) -> int:
            lock = self._lock
            try:
                lock.acquire()
            except BaseException:
                release_if_held(lock)
                raise
            try:
                items = self._items
                number = self._number = self._number + 1
                items.append((number, facts, 0))
                if len(items) > max_entries:
                    self._bytes -= items.popleft()[2]
            finally:
                lock.release()
            return 0

        # The method `write` of a subclass must not be bypassed.
        is_own = getattr(self.write, "__func__", None) is MemoryIntegrationLogger.write
        return write_facts if is_own else write_entry

    def find(self, query: LogQuery, /) -> LogPage:
        """Return one page of the matching entries, newest first."""
        before_number = _position(query.after)
        items = self._newest_first()
        if before_number is not None:
            items = [item for item in items if item[0] < before_number]
        return page_of(query, ((str(number), entry) for number, entry in items))

    def summarise(self, query: LogQuery, /) -> LogSummary:
        """Return the counts and percentiles of all matching entries."""
        entries = (entry for _, entry in self._newest_first())
        return summarise(entry for entry in entries if query.matches(entry))

    def remove(self, query: LogQuery, /) -> int:
        """Delete all matching log entries, and return their number."""
        with self._lock:
            entries = self._made_entries()
            remaining_items: list[_Item] = [item for item in entries if not query.matches(item[1])]
            removed_count = len(entries) - len(remaining_items)
            self._items = deque(remaining_items)
            self._bytes = sum(size for _, _, size in remaining_items)
        return removed_count

    def _newest_first(self) -> list[tuple[int, IntegrationLog]]:
        """Return the entries with their numbers, newest first."""
        with self._lock:
            return [(number, entry) for number, entry, _ in reversed(self._made_entries())]

    def _made_entries(self) -> list[tuple[int, IntegrationLog, int]]:
        """Turn all stored calls into log entries, and keep those; the caller holds the lock."""
        number, items = self._number, [*self._items]
        made_entries = [
            (number, success_entry(item) if isinstance(item, tuple) else item, size)
            for number, item, size in items
        ]
        kept_items: deque[_Item] = deque(made_entries)
        # A finaliser may have written an entry in the meantime; that entry must not be lost.
        if number == self._number:
            self._items = kept_items
        return made_entries


class AsyncMemoryIntegrationLogger(Uncopyable):
    """The asynchronous `MemoryIntegrationLogger`.

    Args:
        shared: the log whose entries it shares.
        max_entries: the maximum number of entries; older ones are dropped.
        max_bytes: the maximum number of bytes of requests, responses and error messages; beyond
            it, the oldest entries are dropped, except for the latest.
    """

    durable = False
    reach = "process"

    def __init__(
        self,
        shared: MemoryIntegrationLogger | None = None,
        *,
        max_entries: int = 10_000,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._log = shared or MemoryIntegrationLogger(max_entries=max_entries, max_bytes=max_bytes)

    def write(self, entry: IntegrationLog, /) -> None:
        """Store a log entry."""
        self._log.write(entry)

    def success_writer(self) -> Callable[[SuccessFacts], int]:
        """Return the function that `MemoryIntegrationLogger.success_writer` returns."""
        return self._log.success_writer()

    async def find(self, query: LogQuery, /) -> LogPage:
        """Return one page of the matching entries, newest first."""
        return self._log.find(query)

    async def summarise(self, query: LogQuery, /) -> LogSummary:
        """Return the counts and percentiles of all matching entries."""
        return self._log.summarise(query)

    async def remove(self, query: LogQuery, /) -> int:
        """Delete all matching log entries, and return their number."""
        return self._log.remove(query)


def _position(cursor: str | None) -> int | None:
    try:
        return None if cursor is None else int(cursor)
    except ValueError:
        raise InvalidData(
            f"The cursor {cursor!r} is not valid.",
            field="after",
            remedy="Pass the `next` value of a page of this log unchanged.",
        ) from None
