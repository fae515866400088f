"""Inbox and outbox in PostgreSQL, MariaDB or MySQL, without a framework.

`add` can write in a transaction of the host (`within`). All other operations are short transactions
on the store's own connections.

A transaction that adds to a lane holds the lane's lock until it ends, so that the next addition
gets a higher number and is committed later.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.entries._verbs import AsyncHostEntryOperations, HostEntryOperations
from moorage.adapters.tables._sql import AsyncSqlTables, SqlTables, SyncSqlTables, ddl_in
from moorage.adapters.tables._statements import EntrySql, table_name
from moorage.adapters.tables._table import EntryTable
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import Entry
from moorage.domain.secrets.frames import without_arguments_in_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.adapters.tables._table import Execute

A = TypeVar("A")
E = TypeVar("E", bound=Entry)

PREFIX: Final = "moorage_"


class _Entries(SqlTables[EntrySql], Generic[E]):
    """The common code of synchronous and asynchronous inboxes and outboxes."""

    reach: Final = "network"

    _kind: ClassVar[type[Any]]
    _table_suffix: ClassVar[str]
    """The name of the table, without its prefix."""

    _table: EntryTable[E]

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the tables in `postgresql`, `mysql` or `mariadb`."""
        return ddl_in(dialect, lambda kind: cls._statements(kind, prefix, schema))

    @classmethod
    def _statements(cls, kind: str, prefix: str, schema: str | None) -> EntrySql:
        base_name = f"{prefix}{cls._table_suffix}"
        table = table_name(base_name, prefix, schema, kind)
        lanes = table_name(f"{prefix}lane", prefix, schema, kind)
        return EntrySql(kind, base_name, table, lanes, notifies=kind == "postgresql")

    def _open(
        self,
        url: object,
        timeout: float | timedelta,
        connections: int,
        prefix: str,
        schema: str | None,
        *,
        create: bool,
        is_async: bool,
    ) -> None:
        self._connect(
            url,
            timeout,
            connections,
            lambda kind: self._statements(kind, prefix, schema),
            create=create,
            is_async=is_async,
        )
        self._table = EntryTable(self._kind, self._sql)

    async def _wait(self, seconds: float) -> bool:
        engine, end = self._engine, monotonic() + seconds
        # A short wait may end before a new connection gets its first reply.
        end_time = engine.until(None) + seconds

        async def listen(link: Any) -> bool:
            is_notified: bool = await link.listen(self._sql.base_name, end, end_time)
            return is_notified

        if not self._sql.notifies or self._source.pools_transactions:
            await engine.pause(seconds)
            return False
        return await engine.attempt(listen, end_time, once=False)


class _SqlEntries(_Entries[E], HostEntryOperations[E], SyncSqlTables[EntrySql]):
    """The common code of the synchronous inbox and outbox."""

    @without_arguments_in_errors
    def __init__(
        self,
        url: str | sqlalchemy.URL | sqlalchemy.Engine,
        *,
        timeout: float | timedelta = 5.0,
        connections: int = 5,
        prefix: str = PREFIX,
        schema: str | None = None,
        create: bool = False,
    ) -> None:
        """Open the store in tables of a database.

        Args:
            url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
                driver psycopg or pymysql, which is only used to open connections.
            timeout: seconds, or a timedelta, to wait for a connection and for a reply.
            connections: the maximum number of connections.
            prefix: the beginning of the tables' names.
            schema: the schema of the tables, if it is not the connection's default.
            create: whether to create missing tables; otherwise run `migrate()`.
        """
        self._open(url, timeout, connections, prefix, schema, create=create, is_async=False)

    def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        return run_now(self._run_transaction(work, timeout, once=once))

    def wait(self, seconds: float, /) -> bool:
        """Wait until an entry may have been added; return False on timeout.

        It waits at most `seconds`. PostgreSQL wakes waiting callers; with MariaDB and MySQL, and
        behind a pooler of transactions, it is only a pause.
        """
        return run_now(self._wait(seconds))


class _AsyncSqlEntries(_Entries[E], AsyncHostEntryOperations[E], AsyncSqlTables[EntrySql]):
    """The common code of the asynchronous inbox and outbox."""

    @without_arguments_in_errors
    def __init__(
        self,
        url: str | sqlalchemy.URL | AsyncEngine,
        *,
        timeout: float | timedelta = 5.0,
        connections: int = 5,
        prefix: str = PREFIX,
        schema: str | None = None,
        create: bool = False,
    ) -> None:
        """Open the store in tables of a database.

        Args:
            url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy
                with the driver psycopg or asyncmy, which is only used to open connections.
            timeout: seconds, or a timedelta, to wait for a connection and for a reply.
            connections: the maximum number of connections.
            prefix: the beginning of the tables' names.
            schema: the schema of the tables, if it is not the connection's default.
            create: whether to create missing tables; otherwise run `migrate()`.
        """
        self._open(url, timeout, connections, prefix, schema, create=create, is_async=True)

    async def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        return await self._run_transaction(work, timeout, once=once)

    async def wait(self, seconds: float, /) -> bool:
        """Wait until an entry may have been added; return False on timeout.

        It waits at most `seconds`. PostgreSQL wakes waiting callers; with MariaDB and MySQL, and
        behind a pooler of transactions, it is only a pause.
        """
        return await self._wait(seconds)


class SqlInbox(_SqlEntries[InboxEntry]):
    """An `InboxStorage` in PostgreSQL, MariaDB or MySQL."""

    _kind, _table_suffix = InboxEntry, "inbox"


class SqlOutbox(_SqlEntries[OutboxEntry]):
    """An `OutboxStorage` in PostgreSQL, MariaDB or MySQL."""

    _kind, _table_suffix = OutboxEntry, "outbox"


class AsyncSqlInbox(_AsyncSqlEntries[InboxEntry]):
    """An `AsyncInboxStorage` in PostgreSQL, MariaDB or MySQL."""

    _kind, _table_suffix = InboxEntry, "inbox"


class AsyncSqlOutbox(_AsyncSqlEntries[OutboxEntry]):
    """An `AsyncOutboxStorage` in PostgreSQL, MariaDB or MySQL."""

    _kind, _table_suffix = OutboxEntry, "outbox"
