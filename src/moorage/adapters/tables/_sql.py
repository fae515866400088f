"""Tables in PostgreSQL, MariaDB or MySQL, and the short transactions that use them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from moorage.adapters.concurrency._closing import AsyncContextClosable, ContextClosable
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_engine import Engine
from moorage.adapters.databases._sql_mysql import AsyncRun, SyncRun
from moorage.adapters.databases._sql_runtimes import LoopRuntime, ThreadRuntime
from moorage.adapters.databases._sql_schema import dialect_of, exclusive_creation, run_statement
from moorage.adapters.databases._sql_source import Names, Source
from moorage.adapters.databases._table_definition import ddl_text
from moorage.adapters.tables._links import MysqlEntryLink
from moorage.domain.values.durations import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import timedelta

    import sqlalchemy

    from moorage.adapters.databases._sql_engine import Runtime
    from moorage.adapters.databases._sql_link import Link, SocketWait
    from moorage.adapters.databases._table_definition import TableDefinition
    from moorage.adapters.tables._table import Execute, Statement

A = TypeVar("A")


class TableSql(Protocol):
    """The SQL statements for a table."""

    @property
    def base_name(self) -> str:
        """The name of the table without quotes and schema."""
        ...

    @property
    def table(self) -> str:
        """The quoted name of the table."""
        ...

    def definitions(self, *, mariadb: bool = True) -> Sequence[TableDefinition]:
        """Return the definitions of the store's tables, beginning with the main one, `table`."""
        ...


S = TypeVar("S", bound=TableSql)


class SqlTables(Generic[S]):
    """The connections of a store to its database; each operation is one transaction."""

    _source: Source
    _sql: S
    _engine: Engine
    migrate: Callable[[], Any]

    def _connect(
        self,
        url: object,
        timeout: float | timedelta,
        connections: int,
        statements: Callable[[str], S],
        *,
        create: bool,
        is_async: bool,
    ) -> None:
        timeout_seconds = seconds(timeout, "timeout")
        self._source = Source(url, is_async=is_async, timeout=timeout_seconds, path="url")
        self._sql = statements(self._source.kind)
        links = partial(_links, self._sql.definitions(), self._source, is_async=is_async)
        runtime: Runtime = (
            LoopRuntime(self._source, links, self.migrate, timeout_seconds)
            if is_async
            else ThreadRuntime(self._source, links, self.migrate)
        )
        self._engine = Engine(
            runtime,
            names=Names(self._source.where, self._sql.table, "migrate()"),
            timeout=timeout_seconds,
            connections=count(connections, "connections"),
            create=create,
            path="url",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"

    async def _run_transaction(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        engine = self._engine
        end_time = engine.until(timeout)

        async def transact(link: Any) -> A:
            async def execute(
                *statements: Statement, keep_open: bool = False, writes: bool = False
            ) -> Any:
                return await link.execute(statements, end_time, keep_open=keep_open, writes=writes)

            return await work(execute)

        return await engine.attempt(transact, end_time, once=once)

    def _create(self, connection: sqlalchemy.Connection) -> None:
        with exclusive_creation(connection, self._sql.base_name):
            is_mariadb = getattr(connection.dialect, "is_mariadb", False)
            if self._source.kind == "mysql":
                # The driver turns each note of the server into a warning.
                connection.exec_driver_sql("SET sql_notes = 0")
            for definition in self._sql.definitions(mariadb=is_mariadb):
                run_now(definition.create(run_statement(connection)))


class SyncSqlTables(ContextClosable, SqlTables[S]):
    """The connections of a synchronous store."""

    def _in_database(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A:
        return run_now(self._run_transaction(work, None))

    def _once_in_database(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A:
        return run_now(self._run_transaction(work, None, once=True))

    def migrate(self) -> None:
        """Create missing tables, and add missing columns and indexes."""
        self._source.create_tables(self._create)

    def close(self) -> None:
        """Close idle connections now, and the others when they are given back."""
        self._engine.close()


class AsyncSqlTables(AsyncContextClosable, SqlTables[S]):
    """The connections of an asynchronous store."""

    async def migrate(self) -> None:
        """Create missing tables, and add missing columns and indexes."""
        await self._source.acreate_tables(self._create)

    async def aclose(self) -> None:
        """Close idle connections now, and the others when they are given back."""
        self._engine.close()
        await asyncio.sleep(0)  # a transport closes in the next iteration of the loop


def ddl_in(dialect: str, statements: Callable[[str], TableSql]) -> str:
    """Return the statements that create a store's tables, for an application's own migrations.

    Args:
        dialect: `postgresql`, `mysql` or `mariadb`.
        statements: returns the statements of the store for `postgresql` or `mysql`.
    """
    kind = "postgresql" if dialect_of(dialect).name == "postgresql" else "mysql"
    return ddl_text(statements(kind).definitions(mariadb=dialect == "mariadb"))


def _links(
    definitions: Sequence[TableDefinition], source: Source, wait: SocketWait, *, is_async: bool
) -> Callable[[Any], Link]:
    """Return a function that wraps connections of a database driver."""
    if source.kind == "postgresql":
        from moorage.adapters.tables._postgresql import (  # noqa: PLC0415 - imports psycopg
            PooledPostgresEntryLink,
            PostgresEntryLink,
        )

        link_type = PooledPostgresEntryLink if source.pools_transactions else PostgresEntryLink
        return lambda connection: link_type(connection, definitions, wait)
    run = AsyncRun if is_async else SyncRun
    return lambda connection: MysqlEntryLink(connection, run(connection), definitions)
