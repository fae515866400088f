"""Inbox and outbox in a SQLite file, without a framework.

The file may be the host's own database, so `add` can write in a transaction of the host (`within`).
All other operations are short transactions on the store's own connections.

The time is the machine's boot clock. Its origin is stored in the file once per boot, so changes of
the wall clock have no effect. On systems that do not identify a boot it is the wall clock.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency._closing import AsyncContextClosable
from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.databases._sqlite_time import boot_id
from moorage.adapters.databases._table_definition import TableDefinition, ddl_text
from moorage.adapters.entries._verbs import AsyncHostEntryOperations, HostEntryOperations
from moorage.adapters.tables._host_transactions import HostTransaction
from moorage.adapters.tables._sqlite import SqliteTables
from moorage.adapters.tables._statements import EntrySql, table_name
from moorage.adapters.tables._table import EntryTable, micros, moment
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import Entry
from moorage.domain.entries.renewal import FILE_LEASE
from moorage.errors import LocalFailure, StorageUnavailable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine
    from datetime import datetime, timedelta

    from moorage.adapters.tables._table import Execute
    from moorage.ports.clock import Clock

A = TypeVar("A")
E = TypeVar("E", bound=Entry)

PREFIX: Final = "moorage_"


class _FileClock:
    """The clock of a SQLite file: the boot clock plus an origin stored in the file.

    Args:
        clock: measures time.
        table: the quoted name of the table with the row.
        entries: the quoted name of the table of entries.
    """

    def __init__(self, clock: Clock, table: str, entries: str) -> None:
        self._clock = clock
        self._table = table
        self._entries = entries
        self._boot = boot_id()
        self._origin: int | None = None

    async def __call__(self, execute: Execute) -> datetime:
        """Return the current time by the file's clock."""
        if self._boot is None:
            return self._clock.utc().astimezone(UTC)
        origin = self._origin
        if origin is None:
            origin = await self._stored_origin(execute, self._boot)
            if not isinstance(execute, HostTransaction):  # the caller may roll the row back
                self._origin = origin
        return moment(origin + self._clock.nanoseconds() // 1_000)

    async def _stored_origin(self, execute: Execute, boot: str) -> int:
        query = (f"SELECT origin FROM {self._table} WHERE boot = ?", (boot,))  # noqa: S608 - quoted names; values are parameters
        latest_query = f"SELECT added_at FROM {self._entries} ORDER BY number DESC LIMIT 1"  # noqa: S608 - quoted names; values are parameters
        (origin_result,) = await execute(query)
        if not origin_result.rows:
            (latest_result,) = await execute((latest_query, ()))
            minimum = latest_result.rows[0][0] if latest_result.rows else 0
            origin = max(micros(self._clock.utc()), minimum) - self._clock.nanoseconds() // 1_000
            insert = f"INSERT OR IGNORE INTO {self._table} (boot, origin) VALUES (?, ?)"  # noqa: S608 - quoted names; values are parameters
            _, origin_result = await execute((insert, (boot, origin)), query, writes=True)
        return int(origin_result.rows[0][0])


class _Entries(SqliteTables, HostEntryOperations[E]):
    """The common code of the synchronous inbox and outbox."""

    reach: Final = "machine"
    shortest_lease: Final = FILE_LEASE

    _kind: ClassVar[type[Any]]
    _table_suffix: ClassVar[str]
    """The name of the table, without its prefix."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        create: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Open the store in tables of a SQLite file.

        Args:
            path: the path of the file.
            timeout: seconds, or a timedelta, to wait while others write.
            prefix: the beginning of the tables' names.
            create: whether to create missing tables; otherwise run `migrate()`. A store that is
                bound to a transaction of the host with `within` creates none: run `migrate()`
                before.
            clock: measures time; by default the machine's boot clock.
        """
        self._sql = _statements(self._table_suffix, prefix)
        definitions = _definitions(self._sql, prefix)
        self._open(path, timeout, create=create, definitions=definitions)
        file_clock = _FileClock(clock or SystemClock(), definitions[-1].table, self._sql.table)
        self._table = EntryTable[E](self._kind, self._sql, file_clock)

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """Return the statements that create the tables, for a host's own migrations."""
        return ddl_text(_definitions(_statements(cls._table_suffix, prefix), prefix))

    def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,  # noqa: ARG002 - nothing is repeated
    ) -> A:
        return self._run_transaction(work, timeout)


class _AsyncEntries(AsyncContextClosable, AsyncHostEntryOperations[E]):
    """The common code of the asynchronous inbox and outbox; threads access the disk."""

    reach: Final = "machine"
    shortest_lease: Final = FILE_LEASE

    _sync_class: ClassVar[type[_Entries[Any]]]

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        create: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Open the store in tables of a SQLite file, with the synchronous store's arguments."""
        self._store: _Entries[E] = self._sync_class(
            path, timeout=timeout, prefix=prefix, create=create, clock=clock
        )
        self._table = self._store._table  # noqa: SLF001 - its synchronous twin

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """Return the statements that create the tables, for a host's own migrations."""
        return cls._sync_class.ddl(prefix=prefix)

    def __repr__(self) -> str:
        return f"Async{self._store!r}"

    async def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,  # noqa: ARG002 - nothing is repeated
    ) -> A:
        try:
            return await to_thread(self._store._run_transaction, work, timeout)  # noqa: SLF001 - its synchronous twin
        except LocalFailure as refusal:
            raise StorageUnavailable(refusal.message, remedy=refusal.remedy) from None

    async def migrate(self) -> None:
        """Create missing tables, and add missing columns and indexes."""
        await to_thread(self._store.migrate)

    async def aclose(self) -> None:
        """Close idle connections now, and the others when they are given back."""
        await to_thread(self._store.close)


class SqliteInbox(_Entries[InboxEntry]):
    """An `InboxStorage` in a SQLite file, such as the host's own database."""

    _kind, _table_suffix = InboxEntry, "inbox"


class SqliteOutbox(_Entries[OutboxEntry]):
    """An `OutboxStorage` in a SQLite file, such as the host's own database."""

    _kind, _table_suffix = OutboxEntry, "outbox"


class AsyncSqliteInbox(_AsyncEntries[InboxEntry]):
    """An `AsyncInboxStorage` in a SQLite file, such as the host's own database."""

    _sync_class = SqliteInbox


class AsyncSqliteOutbox(_AsyncEntries[OutboxEntry]):
    """An `AsyncOutboxStorage` in a SQLite file, such as the host's own database."""

    _sync_class = SqliteOutbox


def _statements(suffix: str, prefix: str) -> EntrySql:
    base_name = f"{prefix}{suffix}"
    return EntrySql("sqlite", base_name, table_name(base_name, prefix, None, "sqlite"), "")


def _definitions(sql: EntrySql, prefix: str) -> tuple[TableDefinition, ...]:
    """Return the definitions of the tables; the last one stores the clock's origins."""
    base_name = f"{prefix}clock"
    columns = {"boot": "TEXT PRIMARY KEY", "origin": "INTEGER NOT NULL"}
    table = table_name(base_name, prefix, None, "sqlite")
    return *sql.definitions(), TableDefinition("sqlite", base_name, table, columns)
