"""Tables in PostgreSQL, MariaDB or MySQL, used in short transactions on connections of our own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from moorage.adapters.databases._sql_colours import Loops, Threads
from moorage.adapters.databases._sql_engine import Engine
from moorage.adapters.databases._sql_mysql import AwaitedRun, PlainRun
from moorage.adapters.databases._sql_schema import alone
from moorage.adapters.databases._sql_source import Names, Source
from moorage.adapters.tables._links import MysqlEntryLink
from moorage.domain.values.durations import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    import sqlalchemy

    from moorage.adapters.databases._sql_engine import Colour
    from moorage.adapters.databases._sql_link import Link, Wait
    from moorage.adapters.tables._table import Execute, Statement

A = TypeVar("A")

_PLAIN: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_AWAITED: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}


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
        """The quoted names of the tables that must be there; each has a column `number`."""
        ...

    def ddl(self, *, mariadb: bool = True) -> list[str]:
        """The statements that make the tables where they are missing."""
        ...


S = TypeVar("S", bound=TableSql)


class SqlTables(Generic[S]):
    """The connections of a store to its database; each thing that it does is one transaction."""

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
        drivers = _AWAITED if awaited else _PLAIN
        self._source = Source(url, drivers, awaited=awaited, timeout=bound, path="url")
        self._sql = statements(self._source.kind)
        links = partial(_links, self._sql.tables, self._source.kind, awaited=awaited)
        colour: Colour = (
            Loops(self._source, links, self.migrate, bound)
            if awaited
            else Threads(self._source, links, self.migrate)
        )
        self._engine = Engine(
            colour,
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
                *asked: Statement, keep_open: bool = False, writes: bool = False
            ) -> Any:
                return await link.execute(asked, until, keep_open=keep_open, writes=writes)

            return await work(execute)

        return await engine.attempt(transact, until, once=once)

    def _create(self, connection: sqlalchemy.Connection) -> None:
        with alone(connection, self._sql.bare):
            is_mariadb = getattr(connection.dialect, "is_mariadb", False)
            if self._source.kind == "mysql":
                connection.exec_driver_sql("SET sql_notes = 0")  # a driver tells each as a warning
            for statement in self._sql.ddl(mariadb=is_mariadb):
                connection.exec_driver_sql(statement)


class PlainSqlTables(SqlTables[S]):
    """The same for a store that is synchronous."""

    def migrate(self) -> None:
        """Make the tables where they are missing."""
        try:
            with self._source.engine.begin() as connection:
                self._create(connection)
        except Exception as error:  # noqa: BLE001 - no foreign error passes
            failure = self._source.unmade(error)
        else:
            return
        # Out here, or it would carry along the frames of the driver, which hold the password.
        raise failure

    def close(self) -> None:
        """Close every connection that is idle, and each other one when it is no longer used."""
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
    """A function that makes the link of a connection."""
    if kind == "postgresql":
        from moorage.adapters.tables._postgresql import (  # noqa: PLC0415 - imports psycopg
            PostgresEntryLink,
        )

        return lambda connection: PostgresEntryLink(connection, tables, wait)
    run = AwaitedRun if awaited else PlainRun
    return lambda connection: MysqlEntryLink(connection, run(connection), tables)
