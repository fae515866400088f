"""The verbs of a store of entries over a table, once for each way of calling it.

What differs between stores is how a transaction is done: each has a `_transact` of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.tables._host_transactions import HostLink
from moorage.domain.entries.queue import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import datetime
    from typing import Self

    from moorage.adapters.tables._table import Ask, EntryTable
    from moorage.domain.entries.queue import EntryPage, EntryQuery

A = TypeVar("A")
E = TypeVar("E", bound=Entry)


class EntryVerbs(ABC, Generic[E]):
    """The verbs of a synchronous store."""

    durable: Final = True

    _table: EntryTable[E]

    @abstractmethod
    def _transact(
        self,
        work: Callable[[Ask], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        """Do something in a transaction of its own.

        Args:
            work: what is done.
            timeout: seconds that it may take; by default the store's own bound counts.
            once: whether it must not be repeated when it may have been done.
        """

    def now(self, /, timeout: float | None = None) -> datetime:
        """The time of the store."""
        return self._transact(self._table.now, timeout)

    def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Write an entry down, or give the one of this id."""
        return self._transact(partial(self._table.add, entry=entry), timeout)

    def due(self, limit: int, /, timeout: float | None = None) -> Sequence[E]:
        """The entries that may be taken."""
        return self._transact(partial(self._table.due, limit=limit), timeout)

    def claim(
        self, limit: int, lease: float, most: int, /, timeout: float | None = None
    ) -> Sequence[E]:
        """Take entries that may be taken together, as `take` has them."""
        work = partial(self._table.claim, limit=limit, lease=lease, most=most)
        return self._transact(work, timeout, once=True)

    def settle(
        self, entries: Sequence[E], fences: Sequence[int], /, timeout: float | None = None
    ) -> Sequence[bool]:
        """Write what became of entries over those that have these fences."""
        work = partial(self._table.settle, entries=entries, fences=fences)
        return self._transact(work, timeout, once=True)

    def swap(self, entry: E, fence: int, /, timeout: float | None = None) -> bool:
        """Write an entry over the one that has this fence."""
        return self._transact(
            partial(self._table.swap, entry=entry, fence=fence), timeout, once=True
        )

    def find(self, query: EntryQuery, /, timeout: float | None = None) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        return self._transact(partial(self._table.find, query=query), timeout)

    def remove(self, query: EntryQuery, /, timeout: float | None = None) -> int:
        """Remove all that match, and say how many those were."""
        return self._transact(partial(self._table.remove, query=query), timeout)


class JoiningVerbs(EntryVerbs[E]):
    """The verbs of a synchronous store that can add in a transaction of its host."""

    _host: HostLink | None = None

    def within(self, connection: Any, /) -> Self:
        """This store, but `add` writes in the transaction that `connection` has open.

        Args:
            connection: a DB-API connection of the host's, or a `Connection` or `Session` of
                SQLAlchemy; its database, or its file, has the tables of this store.
        """
        other = copy(self)
        other._host = HostLink(connection, self._table.database, awaited=False)  # noqa: SLF001 - a copy of this
        return other

    def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Write an entry down, or give the one of this id."""
        if self._host is not None:
            return run_now(self._table.add(self._host, entry))
        return super().add(entry, timeout)


class AsyncEntryVerbs(ABC, Generic[E]):
    """The verbs of an asynchronous store."""

    durable: Final = True

    _table: EntryTable[E]

    @abstractmethod
    async def _transact(
        self,
        work: Callable[[Ask], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        """Do something in a transaction of its own.

        Args:
            work: what is done.
            timeout: seconds that it may take; by default the store's own bound counts.
            once: whether it must not be repeated when it may have been done.
        """

    async def now(self, /, timeout: float | None = None) -> datetime:
        """The time of the store."""
        return await self._transact(self._table.now, timeout)

    async def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Write an entry down, or give the one of this id."""
        return await self._transact(partial(self._table.add, entry=entry), timeout)

    async def due(self, limit: int, /, timeout: float | None = None) -> Sequence[E]:
        """The entries that may be taken."""
        return await self._transact(partial(self._table.due, limit=limit), timeout)

    async def claim(
        self, limit: int, lease: float, most: int, /, timeout: float | None = None
    ) -> Sequence[E]:
        """Take entries that may be taken together, as `take` has them."""
        work = partial(self._table.claim, limit=limit, lease=lease, most=most)
        return await self._transact(work, timeout, once=True)

    async def settle(
        self, entries: Sequence[E], fences: Sequence[int], /, timeout: float | None = None
    ) -> Sequence[bool]:
        """Write what became of entries over those that have these fences."""
        work = partial(self._table.settle, entries=entries, fences=fences)
        return await self._transact(work, timeout, once=True)

    async def swap(self, entry: E, fence: int, /, timeout: float | None = None) -> bool:
        """Write an entry over the one that has this fence."""
        work = partial(self._table.swap, entry=entry, fence=fence)
        return await self._transact(work, timeout, once=True)

    async def find(self, query: EntryQuery, /, timeout: float | None = None) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        return await self._transact(partial(self._table.find, query=query), timeout)

    async def remove(self, query: EntryQuery, /, timeout: float | None = None) -> int:
        """Remove all that match, and say how many those were."""
        return await self._transact(partial(self._table.remove, query=query), timeout)


class AsyncJoiningVerbs(AsyncEntryVerbs[E]):
    """The verbs of an asynchronous store that can add in a transaction of its host."""

    _host: HostLink | None = None

    def within(self, connection: Any, /) -> Self:
        """This store, but `add` writes in the transaction that `connection` has open.

        Args:
            connection: an asynchronous connection of the driver, or an `AsyncConnection` or
                `AsyncSession` of SQLAlchemy; its database, or its file, has the tables of this
                store.
        """
        other = copy(self)
        other._host = HostLink(connection, self._table.database, awaited=True)  # noqa: SLF001 - a copy of this
        return other

    async def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Write an entry down, or give the one of this id."""
        if self._host is not None:
            return await self._table.add(self._host, entry)
        return await super().add(entry, timeout)
