"""Tables in PostgreSQL, MariaDB or MySQL, used in short transactions on the store's connections."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from moorage.adapters.databases._sql_engine import Engine
from moorage.adapters.databases._sql_mysql import AsyncRun, SyncRun
from moorage.adapters.databases._sql_runtimes import LoopRuntime, ThreadRuntime
from moorage.adapters.databases._sql_schema import exclusive_creation
from moorage.adapters.databases._sql_source import Names, Source
from moorage.adapters.tables._links import MysqlEntryLink
from moorage.domain.values.durations import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    import sqlalchemy

    from moorage.adapters.databases._sql_engine import Runtime
    from moorage.adapters.databases._sql_link import Link, Wait
    from moorage.adapters.tables._table import Execute, Statement

A = TypeVar("A")

_SYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_ASYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}


class TableSql(Protocol):
    """The statements about a table."""

    @property
    def bare(self) -> str:
        """The name of the table, without quotes and schema."""
        ...

    @property
    def table(self) -> str:
        """The quoted name of the table."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """The quoted names of the tables that must exist; each has a column `number`."""
        ...

    def ddl(self, *, mariadb: bool = True) -> list[str]:
        """Return the statements that create missing tables."""
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
        awaited: bool,
    ) -> None:
        bound = seconds(timeout, "timeout")
        drivers = _ASYNC_DRIVERS if awaited else _SYNC_DRIVERS
        self._source = Source(url, drivers, awaited=awaited, timeout=bound, path="url")
        self._sql = statements(self._source.kind)
        links = partial(_links, self._sql.tables, self._source.kind, awaited=awaited)
        runtime: Runtime = (
            LoopRuntime(self._source, links, self.migrate, bound)
            if awaited
            else ThreadRuntime(self._source, links, self.migrate)
        )
        self._engine = Engine(
            runtime,
            names=Names(self._source.where, self._sql.table, "migrate()"),
            timeout=bound,
            connections=count(connections, "connections"),
            create=create,
            path="url",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"

    async def _do(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float | None,
        *,
        once: bool = False,
    ) -> A:
        engine = self._engine
        until = engine.until(timeout)

        async def transact(link: Any) -> A:
            async def execute(
                *statements: Statement, keep_open: bool = False, writes: bool = False
            ) -> Any:
                return await link.execute(statements, until, keep_open=keep_open, writes=writes)

            return await work(execute)

        return await engine.attempt(transact, until, once=once)

    def _create(self, connection: sqlalchemy.Connection) -> None:
        with exclusive_creation(connection, self._sql.bare):
            is_mariadb = getattr(connection.dialect, "is_mariadb", False)
            if self._source.kind == "mysql":
                connection.exec_driver_sql(
                    "SET sql_notes = 0"
                )  # a driver turns each note into a warning
            for statement in self._sql.ddl(mariadb=is_mariadb):
                connection.exec_driver_sql(statement)


class SyncSqlTables(SqlTables[S]):
    """The connections of a synchronous store."""

    def migrate(self) -> None:
        """Create missing tables."""
        try:
            with self._source.engine.begin() as connection:
                self._create(connection)
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            failure = self._source.unmade(error)
        else:
            return
        # Raised outside the handler, so that it does not carry the driver's frames with the
        # password.
        raise failure

    def close(self) -> None:
        """Close idle connections now, and the others when they are returned."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _links(
    tables: tuple[str, ...], kind: str, wait: Wait, *, awaited: bool
) -> Callable[[Any], Link]:
    """Return a function that creates the link of a connection."""
    if kind == "postgresql":
        from moorage.adapters.tables._postgresql import (  # noqa: PLC0415 - imports psycopg
            PostgresEntryLink,
        )

        return lambda connection: PostgresEntryLink(connection, tables, wait)
    run = AsyncRun if awaited else SyncRun
    return lambda connection: MysqlEntryLink(connection, run(connection), tables)
