"""Where answers are kept that may be used again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.caching import Entries, Found


class ResponseCache(Protocol):
    """Keeps answers under keys, apart for each key, and may forget any of them at any time.

    `look` gives what is kept under a key, each answer older by the time that it has rested here,
    however wall clocks step; and a mark. `keep` puts answers in place of what was there, for so
    many seconds at most, unless something was kept or forgotten under this key since the look that
    gave the mark; it tells whether they are there now. `forget` leaves nothing under a key. What
    is written to where others can read is sealed; what cannot be opened, or was changed or moved
    to another key, is not there, and its `unreadable` says why.

    A cache that cannot be reached raises StorageUnavailable; no foreign exception passes. All are
    safe from several threads and after a fork.
    """

    def look(self, key: str, /) -> Found: ...

    def keep(self, key: str, mark: int, entries: Entries, seconds: float, /) -> bool: ...

    def forget(self, key: str, /) -> None: ...


class AsyncResponseCache(Protocol):
    """As `ResponseCache`, awaited; a cancelled verb was done or was not."""

    async def look(self, key: str, /) -> Found: ...

    async def keep(self, key: str, mark: int, entries: Entries, seconds: float, /) -> bool: ...

    async def forget(self, key: str, /) -> None: ...
