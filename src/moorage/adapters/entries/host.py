"""Inbox and outbox in tables of the application, over the application's connections.

A framework connects and begins transactions in its own way. These stores use the framework's
connections with any of its drivers, and run the same statements as the other stores.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from moorage.adapters.entries._verbs import AsyncEntryOperations, EntryOperations
from moorage.adapters.tables._host import HostTables, TransactionRunner
from moorage.adapters.tables._statements import EntrySql, table_name
from moorage.adapters.tables._table import EntryTable
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import Entry
from moorage.domain.entries.renewal import ENTRY_LEASE, FILE_LEASE
from moorage.domain.secrets.frames import without_arguments_in_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from moorage.adapters.tables._table import Execute

A = TypeVar("A")
E = TypeVar("E", bound=Entry)

__all__ = ("AsyncHostInbox", "AsyncHostOutbox", "HostInbox", "HostOutbox", "TransactionRunner")

PREFIX: Final = "moorage_"


class _HostEntries(EntryOperations[E]):
    _kind: ClassVar[type[Any]]
    _table_suffix: ClassVar[str]
    """The name of the table, without its prefix."""

    @without_arguments_in_errors
    def __init__(
        self,
        database: str,
        lend: TransactionRunner,
        *,
        lend_to_add: TransactionRunner | None = None,
        prefix: str = PREFIX,
        schema: str | None = None,
        mark: str | None = None,
        skips_locked: Callable[[], bool] | None = None,
    ) -> None:
        """Set the tables of the store, and the functions that provide connections.

        Args:
            database: `sqlite`, `postgresql`, `mysql` or `mariadb`.
            lend: lends a connection for one transaction.
            lend_to_add: lends a connection for `add`, such as the one with the host's open
                transaction; by default `lend`.
            prefix: the beginning of the tables' names.
            schema: the schema of the tables, if it is not the connection's default.
            mark: the placeholder of a value in a statement; by default `?` for SQLite, `%s` for
                others.
            skips_locked: returns whether the server supports `SKIP LOCKED`; called while the host
                lends a connection. By default every server does.
        """
        self._tables = HostTables(database, lend, mark)
        self._lend_to_add = lend_to_add or lend
        kind = self._tables.kind
        self.reach = "machine" if kind == "sqlite" else "network"
        base_name, lanes = f"{prefix}{self._table_suffix}", f"{prefix}lane"
        sql = EntrySql(
            kind,
            base_name,
            table_name(base_name, prefix, schema, kind),
            table_name(lanes, prefix, schema, kind),
            host_made=True,
        )
        is_file = kind == "sqlite"
        self.shortest_lease = FILE_LEASE if is_file else ENTRY_LEASE
        self._table = EntryTable[E](
            self._kind,
            sql,
            _machine_time if is_file else None,
            skips_locked=None if is_file else skips_locked,
        )

    def add(self, entry: E, /, timeout: float | None = None) -> E:  # noqa: ARG002 - as the port has it
        """Store an entry; if its id exists already, return the stored entry."""
        return self._tables.join(self._lend_to_add, partial(self._table.add, entry=entry))

    def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,  # noqa: ARG002 - the host's connections have their own timeouts
        *,
        once: bool = False,  # noqa: ARG002 - nothing is repeated
    ) -> A:
        return self._tables.transact(work)


class HostInbox(_HostEntries[InboxEntry]):
    """An `InboxStorage` in tables of the application."""

    _kind, _table_suffix = InboxEntry, "inbox"


class HostOutbox(_HostEntries[OutboxEntry]):
    """An `OutboxStorage` in tables of the application."""

    _kind, _table_suffix = OutboxEntry, "outbox"


class _AsyncHostEntries(AsyncEntryOperations[E]):
    def __init__(
        self, sync_store: _HostEntries[E], in_thread: Callable[..., Awaitable[Any]]
    ) -> None:
        """Wrap a synchronous store; its methods run in threads.

        Args:
            sync_store: the same store, synchronous.
            in_thread: calls a function with arguments in a thread, such as `asyncio.to_thread`.
        """
        self._sync_store = sync_store
        self._in_thread = in_thread
        self._table = sync_store._table  # noqa: SLF001 - its synchronous twin
        self.reach = sync_store.reach
        self.shortest_lease = sync_store.shortest_lease

    async def add(self, entry: E, /, timeout: float | None = None) -> E:
        """Store an entry; if its id exists already, return the stored entry."""
        stored_entry: E = await self._in_thread(self._sync_store.add, entry, timeout)
        return stored_entry

    async def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,  # noqa: ARG002 - nothing is repeated
    ) -> A:
        answer: A = await self._in_thread(self._sync_store._transact, work, timeout)  # noqa: SLF001 - its synchronous twin
        return answer


class AsyncHostInbox(_AsyncHostEntries[InboxEntry]):
    """An `AsyncInboxStorage` in tables of the application."""


class AsyncHostOutbox(_AsyncHostEntries[OutboxEntry]):
    """An `AsyncOutboxStorage` in tables of the application."""


async def _machine_time(_: Execute) -> datetime:
    return datetime.now(UTC)
