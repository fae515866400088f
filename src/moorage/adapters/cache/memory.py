"""A cache of responses in the memory of one process, which is the default.

1. It never holds more entries or bytes than its limits allow: the entry that was used longest ago
   is removed first.
2. Every change has a number. An answer is not stored if its key was changed after the look-up; if
   the record of a change was removed to save memory, answers whose look-up was before the removal
   are not stored.
3. A forked child begins with an empty cache, because another thread may have been changing it
   during the fork.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.forking import in_child
from moorage.domain.cache.rules import StoredAnswers
from moorage.domain.values.durations import count
from moorage.domain.values.named_tuples import new_tuple
from moorage.domain.values.uncopyable import Uncopyable

if TYPE_CHECKING:
    from moorage.domain.cache.rules import Entries
    from moorage.ports.clock import Clock

_SECOND: Final = 1_000_000_000
_NAME: Final = 256
"""Bytes that a key takes, about."""


class _CachedEntry(NamedTuple):
    """A cached entry, with its size and the times at which it was stored and expires."""

    change: int
    since: int
    until: int
    size: int
    entries: Entries


_TRACE: Final = _CachedEntry(0, 0, 0, _NAME, ())
"""What is left of what was forgotten."""


class MemoryCache(Uncopyable):
    """A `ResponseCache` of this process, safe to share between threads and event loops.

    Args:
        clock: measures time; by default the machine's boot clock.
        max_entries: the maximum number of URLs with cached answers.
        max_bytes: the approximate maximum size of all responses together, in bytes.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 << 20,
    ) -> None:
        self._nanoseconds = (SystemClock() if clock is None else clock).nanoseconds
        self._max_entries = count(max_entries, "max_entries")
        self._max_bytes = count(max_bytes, "max_bytes", most=1 << 40)
        self._clear_all()
        in_child(self, MemoryCache._clear_all)

    def _clear_all(self) -> None:
        self._lock = Lock()
        self._entries: OrderedDict[str, _CachedEntry] = OrderedDict()
        self._size = 0
        self._change = 0
        self._lost = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        # An empty cache is false: `cache or default` would replace it.
        return True

    @property
    def size(self) -> int:
        """The approximate number of bytes that all cached entries occupy."""
        return self._size

    def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:  # noqa: ARG002 - memory needs no waiting
        """Return the responses that are cached under a key."""
        with self._lock:
            change, cached_answers = self._change, self._entries.get(key)
            if cached_answers is None or not cached_answers.entries:
                return StoredAnswers(change)
            self._entries.move_to_end(key)
        now = self._nanoseconds()
        if now >= cached_answers.until:
            return StoredAnswers(change)
        age_seconds = (now - cached_answers.since) / _SECOND
        entries = tuple([entry.later(age_seconds) for entry in cached_answers.entries])
        return new_tuple(StoredAnswers, (change, entries, None))

    def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,  # noqa: ARG002 - memory needs no waiting
    ) -> bool:
        """Cache responses, unless the responses under the key have changed since `find`."""
        size = _NAME + sum(entry.size for entry in entries)
        now = self._nanoseconds()
        with self._lock:
            previous_answers = self._entries.get(key)
            last_change = self._lost if previous_answers is None else previous_answers.change
            if last_change > version:
                return False
            if size > self._max_bytes:
                # An entry this large would drive out all other entries.
                self._store(key, _TRACE)
                return False
            self._store(key, _CachedEntry(0, now, now + round(seconds * _SECOND), size, entries))
            return True

    def delete(self, key: str, /, timeout: float | None = None) -> None:  # noqa: ARG002 - memory needs no waiting
        """Remove a key's responses; `store` then refuses responses based on an earlier `find`."""
        with self._lock:
            self._store(key, _TRACE)

    def _store(self, key: str, new: _CachedEntry) -> None:
        self._change += 1
        self._remove_responses(key)
        self._entries[key] = new._replace(change=self._change)
        self._size += new.size
        while len(self._entries) > self._max_entries or self._size > self._max_bytes:
            self._lost = max(self._lost, self._remove_responses(next(iter(self._entries))))

    def _remove_responses(self, key: str) -> int:
        """Remove the responses under a key; return the number of the change that stored them."""
        removed_answers = self._entries.pop(key, None)
        if removed_answers is None:
            return 0
        self._size -= removed_answers.size
        return removed_answers.change


class AsyncMemoryCache(Uncopyable):
    """An asynchronous `MemoryCache`, which may share its entries with another cache."""

    def __init__(
        self,
        shared: MemoryCache | None = None,
        *,
        clock: Clock | None = None,
        max_entries: int = 10_000,
        max_bytes: int = 64 << 20,
    ) -> None:
        if shared is None:
            shared = MemoryCache(clock, max_entries=max_entries, max_bytes=max_bytes)
        self.shared = shared

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:  # noqa: ARG002 - memory needs no waiting
        """Return the responses that are cached under a key."""
        return self.shared.find(key)

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,  # noqa: ARG002 - memory needs no waiting
    ) -> bool:
        """Cache responses, unless the responses under the key have changed since `find`."""
        return self.shared.store(key, version, entries, seconds)

    async def delete(self, key: str, /, timeout: float | None = None) -> None:  # noqa: ARG002 - memory needs no waiting
        """Remove a key's responses; `store` then refuses responses based on an earlier `find`."""
        self.shared.delete(key)
