"""Inbox and outbox in a file of SQLite's, without a framework.

The file may be the host's own database, so that `add` writes in a transaction of the host
(`within`). All else is done in short transactions on connections of the store's own.

The time is the machine's boot clock, anchored in the file once per boot, so no step of a wall
clock touches it; on systems that do not tell one boot from another it is the wall clock.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.databases._sqlite_time import boot_id
from moorage.adapters.entries._verbs import AsyncHostEntryOperations, HostEntryOperations
from moorage.adapters.tables._host_transactions import HostTransaction
from moorage.adapters.tables._sqlite import SqliteTables
from moorage.adapters.tables._statements import EntrySql, table_name
from moorage.adapters.tables._table import EntryTable, micros, moment
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import Entry
from moorage.domain.entries.renewal import FILE_LEASE

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine
    from datetime import datetime, timedelta
    from typing import Self

    from moorage.adapters.tables._table import Execute
    from moorage.ports.clock import Clock

A = TypeVar("A")
E = TypeVar("E", bound=Entry)

PREFIX: Final = "moorage_"


class _FileClock:
    """The time of a file: the boot clock, and what to add to it, which is a row of the file.

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
        """The time now."""
        if self._boot is None:
            return self._clock.utc().astimezone(UTC)
        origin = self._origin
        if origin is None:
            origin = await self._stored_origin(execute, self._boot)
            if not isinstance(execute, HostTransaction):  # which may roll the row back
                self._origin = origin
        return moment(origin + self._clock.nanoseconds() // 1_000)

    async def _stored_origin(self, execute: Execute, boot: str) -> int:
        query = (f"SELECT origin FROM {self._table} WHERE boot = ?", (boot,))  # noqa: S608 - quoted
        latest = f"SELECT added_at FROM {self._entries} ORDER BY number DESC LIMIT 1"  # noqa: S608 - quoted
        (origin_row,) = await execute(query)
        if not origin_row.rows:
            (last,) = await execute((latest, ()))
            minimum = last.rows[0][0] if last.rows else 0
            origin = max(micros(self._clock.utc()), minimum) - self._clock.nanoseconds() // 1_000
            insert = f"INSERT OR IGNORE INTO {self._table} (boot, origin) VALUES (?, ?)"  # noqa: S608 - quoted
            _, origin_row = await execute((insert, (boot, origin)), query, writes=True)
        return int(origin_row.rows[0][0])


class _Entries(SqliteTables, HostEntryOperations[E]):
    """The common part of the synchronous inbox and outbox."""

    reach: Final = "machine"
    shortest_lease: Final = FILE_LEASE

    _kind: ClassVar[type[Any]]
    _called: ClassVar[str]
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
        """Name the tables and the file.

        Args:
            path: of the file.
            timeout: seconds, or a timedelta: how long to wait while others write.
            prefix: what the names of the tables begin with.
            create: make the tables when they are missing. Left out, `migrate()` makes them.
            clock: measures time; by default the machine's boot clock.
        """
        self._sql = _statements(self._called, prefix)
        clocks = table_name(f"{prefix}clock", prefix, None, "sqlite")
        making = _making(self._sql, clocks)
        self._open(path, timeout, create=create, table=self._sql.table, making=making)
        file_clock = _FileClock(clock or SystemClock(), clocks, self._sql.table)
        self._table = EntryTable[E](self._kind, self._sql, file_clock)

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """The statements that make the tables, for a host that makes its own migrations."""
        clocks = table_name(f"{prefix}clock", prefix, None, "sqlite")
        return "".join(
            f"{statement};\n" for statement in _making(_statements(cls._called, prefix), clocks)
        )

    def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,  # noqa: ARG002 - nothing is repeated
    ) -> A:
        return self._do(work, timeout)


class _AsyncEntries(AsyncHostEntryOperations[E]):
    """The common part of the asynchronous inbox and outbox; threads wait for the disk."""

    reach: Final = "machine"
    shortest_lease: Final = FILE_LEASE

    _made: ClassVar[type[_Entries[Any]]]

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        create: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Name the tables and the file; the arguments are those of the synchronous store."""
        self._plain: _Entries[E] = self._made(
            path, timeout=timeout, prefix=prefix, create=create, clock=clock
        )
        self._table = self._plain._table  # noqa: SLF001 - its synchronous twin  # pyright: ignore[reportPrivateUsage]

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """The statements that make the tables, for a host that makes its own migrations."""
        return cls._made.ddl(prefix=prefix)

    def __repr__(self) -> str:
        return f"Async{self._plain!r}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,  # noqa: ARG002 - nothing is repeated
    ) -> A:
        return await asyncio.to_thread(self._plain._do, work, timeout)  # noqa: SLF001 - its synchronous twin  # pyright: ignore[reportPrivateUsage]

    async def migrate(self) -> None:
        """Create missing tables."""
        await asyncio.to_thread(self._plain.migrate)

    async def aclose(self) -> None:
        """Close every connection that is idle, and each other one when it is no longer used."""
        await asyncio.to_thread(self._plain.close)


class SqliteInbox(_Entries[InboxEntry]):
    """An `InboxStorage` in a file of SQLite's, such as the host's own database."""

    _kind, _called = InboxEntry, "inbox"


class SqliteOutbox(_Entries[OutboxEntry]):
    """An `OutboxStorage` in a file of SQLite's, such as the host's own database."""

    _kind, _called = OutboxEntry, "outbox"


class AsyncSqliteInbox(_AsyncEntries[InboxEntry]):
    """An `AsyncInboxStorage` in a file of SQLite's, such as the host's own database."""

    _made = SqliteInbox


class AsyncSqliteOutbox(_AsyncEntries[OutboxEntry]):
    """An `AsyncOutboxStorage` in a file of SQLite's, such as the host's own database."""

    _made = SqliteOutbox


def _statements(called: str, prefix: str) -> EntrySql:
    bare = f"{prefix}{called}"
    return EntrySql("sqlite", bare, table_name(bare, prefix, None, "sqlite"), "")


def _making(sql: EntrySql, clocks: str) -> list[str]:
    """The statements that make the tables where they are missing."""
    columns = "boot TEXT PRIMARY KEY, origin INTEGER NOT NULL"
    return [*sql.ddl(), f"CREATE TABLE IF NOT EXISTS {clocks} ({columns})"]
