"""An integration log in the memory of one process."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING

from moorage.domain.observation.integration_log import LogPage, summarise
from moorage.domain.values.durations import count as checked_count
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.observation.integration_log import IntegrationLog, LogQuery, LogSummary


class MemoryIntegrationLogger:
    """An integration log of the latest entries in the memory of this process.

    Entries are in the order in which they were written: by the end of their calls.

    Args:
        max_entries: the maximum number of entries; older ones are dropped.
    """

    durable = False
    reach = "process"

    def __init__(self, *, max_entries: int = 10_000) -> None:
        self._numbers = count(1)
        # Appending drops the oldest entry, and is atomic, so no lock is needed.
        self._entries: deque[tuple[int, IntegrationLog]] = deque(
            maxlen=checked_count(max_entries, "max_entries")
        )

    def write(self, entry: IntegrationLog, /) -> None:
        """Store an entry."""
        self._entries.append((next(self._numbers), entry))

    def find(self, query: LogQuery, /) -> LogPage:
        """Return one page of the matching entries, newest first."""
        before_number = _position(query.after)
        items: list[IntegrationLog] = []
        last_number = 0
        for number, entry in self._newest_first():
            if (before_number is None or number < before_number) and query.matches(entry):
                if len(items) == query.limit:
                    return LogPage(items=tuple(items), next=str(last_number))
                items.append(entry)
                last_number = number
        return LogPage(items=tuple(items))

    def summarise(self, query: LogQuery, /) -> LogSummary:
        """Return the counts and percentiles of all matching entries."""
        return summarise(entry for _, entry in self._newest_first() if query.matches(entry))

    def remove(self, query: LogQuery, /) -> int:
        """Delete all matching entries, and return their number."""
        removed_count = 0
        for numbered_entry in self._entries.copy():
            if query.matches(numbered_entry[1]):
                # Another thread may have dropped or removed it by now.
                with suppress(ValueError):
                    self._entries.remove(numbered_entry)
                    removed_count += 1
        return removed_count

    def _newest_first(self) -> list[tuple[int, IntegrationLog]]:
        # Two threads may append in a different order than they got their numbers.
        return sorted(self._entries.copy(), key=itemgetter(0), reverse=True)


class AsyncMemoryIntegrationLogger:
    """The asynchronous `MemoryIntegrationLogger`.

    Args:
        shared: the log whose entries it shares.
        max_entries: the maximum number of entries; older ones are dropped.
    """

    durable = False
    reach = "process"

    def __init__(
        self, shared: MemoryIntegrationLogger | None = None, *, max_entries: int = 10_000
    ) -> None:
        self._log = shared or MemoryIntegrationLogger(max_entries=max_entries)

    def write(self, entry: IntegrationLog, /) -> None:
        """Store an entry."""
        self._log.write(entry)

    async def find(self, query: LogQuery, /) -> LogPage:
        """Return one page of the matching entries, newest first."""
        return self._log.find(query)

    async def summarise(self, query: LogQuery, /) -> LogSummary:
        """Return the counts and percentiles of all matching entries."""
        return self._log.summarise(query)

    async def remove(self, query: LogQuery, /) -> int:
        """Delete all matching entries, and return their number."""
        return self._log.remove(query)


def _position(cursor: str | None) -> int | None:
    try:
        return None if cursor is None else int(cursor)
    except ValueError:
        raise InvalidData(
            f"The cursor {cursor!r} is not valid.",
            field="after",
            remedy="Pass the `next` of a page of this log, unchanged.",
        ) from None
