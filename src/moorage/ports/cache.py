"""The interface of stores that keep cached answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.cache.rules import Entries, StoredAnswers


class ResponseCache(Protocol):
    """Stores cached responses under their keys, and may remove a response at any time.

    `find` returns the answers under a key, with their version at this look-up. The age of each
    answer includes the time since it was stored, measured by a clock that never steps. `store`
    replaces the answers for at most the given seconds, and returns whether they are stored. `store`
    stores nothing if anything was stored or deleted under this key since the `find` that returned
    the version. `delete` deletes everything under a key. Data in a shared place is encrypted. If it
    cannot be decrypted, or was changed or moved to another key, it counts as missing, and
    `unreadable` has the reason.

    `timeout` is the number of seconds that the caller can wait, None without a limit. A method that
    takes longer raises StorageUnavailable, or may be cancelled. A cache whose methods have no such
    parameter is accepted; a synchronous one may then delay its callers.

    A cache that cannot be reached raises StorageUnavailable; no foreign exception passes. All
    methods are safe from several threads and after a fork.
    """

    def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers: ...

    def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool: ...

    def delete(self, key: str, /, timeout: float | None = None) -> None: ...


class AsyncResponseCache(Protocol):
    """The asynchronous `ResponseCache`; a cancelled method either completes or does nothing."""

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers: ...

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool: ...

    async def delete(self, key: str, /, timeout: float | None = None) -> None: ...
