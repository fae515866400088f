"""Inbox and outbox in PostgreSQL, MariaDB or MySQL, without a framework.

`add` can write in a transaction of the host (`within`). All else is done in short transactions on
connections of the store's own.

Who adds to a lane holds a lock of the lane's until its transaction ends, so that whoever adds to
it next gets a higher number and is committed later.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_schema import dialect_of
from moorage.adapters.entries._verbs import AsyncHostEntryOperations, HostEntryOperations
from moorage.adapters.tables._sql import PlainSqlTables, SqlTables
from moorage.adapters.tables._statements import EntrySql, table_name
from moorage.adapters.tables._table import EntryTable
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import Entry
from moorage.domain.secrets.frames import refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.adapters.tables._table import Execute

A = TypeVar("A")
E = TypeVar("E", bound=Entry)

PREFIX: Final = "moorage_"


class _Entries(SqlTables[EntrySql], Generic[E]):
    """What synchronous and asynchronous stores have in common."""

    reach: Final = "network"

    _kind: ClassVar[type[Any]]
    _called: ClassVar[str]
    """The name of the table, without its prefix."""

    _table: EntryTable[E]

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """The statements that make the tables: of `postgresql`, `mysql` or `mariadb`."""
        kind = "postgresql" if dialect_of(dialect).name == "postgresql" else "mysql"
        made = cls._statements(kind, prefix, schema).ddl(mariadb=dialect == "mariadb")
        return "".join(f"{statement};\n" for statement in made)

    @classmethod
    def _statements(cls, kind: str, prefix: str, schema: str | None) -> EntrySql:
        bare = f"{prefix}{cls._called}"
        table = table_name(bare, prefix, schema, kind)
        lanes = table_name(f"{prefix}lane", prefix, schema, kind)
        return EntrySql(kind, bare, table, lanes, notifies=kind == "postgresql")

    def _open(
        self,
        url: object,
        timeout: float | timedelta,
        connections: int,
        prefix: str,
        schema: str | None,
        *,
        create: bool,
        awaited: bool,
    ) -> None:
        self._connect(
            url,
            timeout,
            connections,
            lambda kind: self._statements(kind, prefix, schema),
            create=create,
            awaited=awaited,
        )
        self._table = EntryTable(self._kind, self._sql)

    async def _wait(self, seconds: float) -> bool:
        engine, end = self._engine, monotonic() + seconds

        async def listen(link: Any) -> bool:
            woken: bool = await link.listen(self._sql.bare, end)
            return woken

        if not self._sql.notifies:
            await engine.pause(seconds)
            return False
        return await engine.attempt(listen, engine.until(None) + seconds, once=False)


class _SqlEntries(_Entries[E], HostEntryOperations[E], PlainSqlTables[EntrySql]):
    """What synchronous stores have in common."""

    @refusing
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
        """Name the tables and the database.

        Args:
            url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
                driver psycopg or pymysql,
                whose way of connecting is used, and nothing else.
            timeout: seconds, or a timedelta: how long to wait for a connection, and for a reply.
            connections: how many at once.
            prefix: what the names of the tables begin with.
            schema: the schema of the tables, where it is not the connection's own.
            create: make the tables when they are missing. Left out, `migrate()` makes them.
        """
        self._open(url, timeout, connections, prefix, schema, create=create, awaited=False)

    def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        return run_now(self._do(work, timeout, once=once))

    def wait(self, seconds: float, /) -> bool:
        """Wait until an entry may have been added, at most so long; tell whether one may have been.

        PostgreSQL wakes whoever waits. In MariaDB and MySQL this is a pause.
        """
        return run_now(self._wait(seconds))


class _AsyncSqlEntries(_Entries[E], AsyncHostEntryOperations[E]):
    """What asynchronous stores have in common."""

    @refusing
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
        """Name the tables and the database.

        Args:
            url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy
                with the driver psycopg or asyncmy,
                whose way of connecting is used, and nothing else.
            timeout: seconds, or a timedelta: how long to wait for a connection, and for a reply.
            connections: how many at once.
            prefix: what the names of the tables begin with.
            schema: the schema of the tables, where it is not the connection's own.
            create: make the tables when they are missing. Left out, `migrate()` makes them.
        """
        self._open(url, timeout, connections, prefix, schema, create=create, awaited=True)

    async def _transact(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        return await self._do(work, timeout, once=once)

    async def wait(self, seconds: float, /) -> bool:
        """Wait until an entry may have been added, at most so long; tell whether one may have been.

        PostgreSQL wakes whoever waits. In MariaDB and MySQL this is a pause.
        """
        return await self._wait(seconds)

    async def migrate(self) -> None:
        """Make the tables where they are missing."""
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - wants greenlet

        try:
            async with AsyncEngine(self._source.engine).begin() as connection:
                await connection.run_sync(self._create)
        except Exception as error:  # noqa: BLE001 - no foreign error passes
            failure = self._source.unmade(error)
        else:
            return
        raise failure

    async def aclose(self) -> None:
        """Close every connection that is idle, and each other one when it is no longer used."""
        self._engine.close()
        await asyncio.sleep(0)  # a transport closes with the next turn of the loop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class SqlInbox(_SqlEntries[InboxEntry]):
    """An `InboxStorage` in PostgreSQL, MariaDB or MySQL."""

    _kind, _called = InboxEntry, "inbox"


class SqlOutbox(_SqlEntries[OutboxEntry]):
    """An `OutboxStorage` in PostgreSQL, MariaDB or MySQL."""

    _kind, _called = OutboxEntry, "outbox"


class AsyncSqlInbox(_AsyncSqlEntries[InboxEntry]):
    """An `AsyncInboxStorage` in PostgreSQL, MariaDB or MySQL."""

    _kind, _called = InboxEntry, "inbox"


class AsyncSqlOutbox(_AsyncSqlEntries[OutboxEntry]):
    """An `AsyncOutboxStorage` in PostgreSQL, MariaDB or MySQL."""

    _kind, _called = OutboxEntry, "outbox"
