"""The synchronous and asynchronous operations of inbox and outbox stores on a table.

The stores differ in how they run a transaction: each has its own `_transact`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.tables._host_transactions import HostTransaction
from moorage.domain.entries.queue import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import datetime
    from typing import Self

    from moorage.adapters.tables._table import EntryTable, Execute
    from moorage.domain.entries.queue import EntryPage, EntryQuery

A = TypeVar("A")
E = TypeVar("E", bound=Entry)
S = TypeVar("S")


class EntryOperations(ABC, Generic[E]):
    """The operations of a synchronous inbox or outbox store."""

    durable: Final = True

    _table: EntryTable[E]

    @abstractmethod
    def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        """Run a function in a transaction of its own.

        Args:
            work: the operation.
            timeout: the time limit in seconds; by default the store's own limit.
            once: whether it must not be repeated if its outcome is unknown.
        """

    def now(self, /, timeout: float | None = None) -> datetime:
        """Return the current time by the store's clock."""
        return self._transact(self._table.now, timeout)

    def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Store an entry; if its id exists already, return the stored entry."""
        return self._transact(partial(self._table.add, entry=entry), timeout)

    def due(self, limit: int, /, timeout: float | None = None) -> Sequence[E]:
        """Return the entries that workers may claim now."""
        return self._transact(partial(self._table.due, limit=limit), timeout)

    def claim(
        self, limit: int, lease: float, most: int, /, timeout: float | None = None
    ) -> Sequence[E]:
        """Claim entries that may be processed together."""
        work = partial(self._table.claim, limit=limit, lease=lease, most=most)
        return self._transact(work, timeout, once=True)

    def settle(
        self, entries: Sequence[E], fences: Sequence[int], /, timeout: float | None = None
    ) -> Sequence[bool]:
        """Store the results of entries, unless another worker has claimed them meanwhile."""
        work = partial(self._table.settle, entries=entries, fences=fences)
        return self._transact(work, timeout, once=True)

    def swap(self, entry: E, fence: int, /, timeout: float | None = None) -> bool:
        """Replace a stored entry, unless its fencing token has changed from `fence`."""
        return self._transact(
            partial(self._table.swap, entry=entry, fence=fence), timeout, once=True
        )

    def find(self, query: EntryQuery, /, timeout: float | None = None) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        return self._transact(partial(self._table.find, query=query), timeout)

    def remove(self, query: EntryQuery, /, timeout: float | None = None) -> int:
        """Delete the matching entries, and return their number."""
        return self._transact(partial(self._table.remove, query=query), timeout)


def _sharing_store(store: S) -> S:
    """Return a store that shares all attributes of a store, which cannot be copied."""
    result = object.__new__(type(store))
    vars(result).update(vars(store))
    return result


class HostEntryOperations(EntryOperations[E]):
    """The operations of a synchronous store that can write in the application's transactions."""

    _host: HostTransaction | None = None

    def within(self, connection: Any, /) -> Self:
        """Return a store whose `add` writes in the open transaction of the host's `connection`.

        Args:
            connection: a DB-API connection of the host, or a `Connection` or `Session` of
                SQLAlchemy; its database, or its file, has the tables of this store.
        """
        bound_store = _sharing_store(self)
        bound_store._host = HostTransaction(connection, self._table.database, is_async=False)  # noqa: SLF001 - this class's own attribute
        return bound_store

    def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Store an entry; if its id exists already, return the stored entry."""
        if self._host is not None:
            return run_now(self._table.add(self._host, entry))
        return super().add(entry, timeout)


class AsyncEntryOperations(ABC, Generic[E]):
    """The operations of an asynchronous inbox or outbox store."""

    durable: Final = True

    _table: EntryTable[E]

    @abstractmethod
    async def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        """Run a function in a transaction of its own.

        Args:
            work: the operation.
            timeout: the time limit in seconds; by default the store's own limit.
            once: whether it must not be repeated if its outcome is unknown.
        """

    async def now(self, /, timeout: float | None = None) -> datetime:
        """Return the current time by the store's clock."""
        return await self._transact(self._table.now, timeout)

    async def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Store an entry; if its id exists already, return the stored entry."""
        return await self._transact(partial(self._table.add, entry=entry), timeout)

    async def due(self, limit: int, /, timeout: float | None = None) -> Sequence[E]:
        """Return the entries that workers may claim now."""
        return await self._transact(partial(self._table.due, limit=limit), timeout)

    async def claim(
        self, limit: int, lease: float, most: int, /, timeout: float | None = None
    ) -> Sequence[E]:
        """Claim entries that may be processed together."""
        work = partial(self._table.claim, limit=limit, lease=lease, most=most)
        return await self._transact(work, timeout, once=True)

    async def settle(
        self, entries: Sequence[E], fences: Sequence[int], /, timeout: float | None = None
    ) -> Sequence[bool]:
        """Store the results of entries, unless another worker has claimed them meanwhile."""
        work = partial(self._table.settle, entries=entries, fences=fences)
        return await self._transact(work, timeout, once=True)

    async def swap(self, entry: E, fence: int, /, timeout: float | None = None) -> bool:
        """Replace a stored entry, unless its fencing token has changed from `fence`."""
        work = partial(self._table.swap, entry=entry, fence=fence)
        return await self._transact(work, timeout, once=True)

    async def find(self, query: EntryQuery, /, timeout: float | None = None) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        return await self._transact(partial(self._table.find, query=query), timeout)

    async def remove(self, query: EntryQuery, /, timeout: float | None = None) -> int:
        """Delete the matching entries, and return their number."""
        return await self._transact(partial(self._table.remove, query=query), timeout)


class AsyncHostEntryOperations(AsyncEntryOperations[E]):
    """The operations of an asynchronous store that can write in the application's transactions."""

    _host: HostTransaction | None = None

    def within(self, connection: Any, /) -> Self:
        """Return a store whose `add` writes in the open transaction of the host's `connection`.

        Args:
            connection: an asynchronous connection of the driver, or an `AsyncConnection` or
                `AsyncSession` of SQLAlchemy; its database, or its file, has the tables of this
                store.
        """
        bound_store = _sharing_store(self)
        bound_store._host = HostTransaction(connection, self._table.database, is_async=True)  # noqa: SLF001 - this class's own attribute
        return bound_store

    async def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Store an entry; if its id exists already, return the stored entry."""
        if self._host is not None:
            return await self._table.add(self._host, entry)
        return await super().add(entry, timeout)
