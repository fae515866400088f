"""The interface of stores that keep outgoing calls until a worker makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from moorage.domain.entries.outbox import OutboxEntry
    from moorage.domain.entries.queue import EntryPage, EntryQuery


class OutboxStorage(Protocol):
    """The store of an outbox's calls, with the same contract as `InboxStorage`.

    `add` writes in the host's open transaction, so that a call is made if that is committed, and
    not if it is rolled back. The other methods are used outside of a transaction.
    """

    def now(self, /) -> datetime: ...

    def add(self, entry: OutboxEntry, /) -> OutboxEntry: ...

    def due(self, limit: int, /) -> Sequence[OutboxEntry]: ...

    def swap(self, entry: OutboxEntry, fence: int, /) -> bool: ...

    def find(self, query: EntryQuery, /) -> EntryPage[OutboxEntry]: ...

    def remove(self, query: EntryQuery, /) -> int: ...


class AsyncOutboxStorage(Protocol):
    """The asynchronous `OutboxStorage`."""

    async def now(self, /) -> datetime: ...

    async def add(self, entry: OutboxEntry, /) -> OutboxEntry: ...

    async def due(self, limit: int, /) -> Sequence[OutboxEntry]: ...

    async def swap(self, entry: OutboxEntry, fence: int, /) -> bool: ...

    async def find(self, query: EntryQuery, /) -> EntryPage[OutboxEntry]: ...

    async def remove(self, query: EntryQuery, /) -> int: ...
