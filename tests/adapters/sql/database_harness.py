"""A database, an SQL connector and its manager, either sync or async, behind one interface."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql  # type: ignore[import-untyped]  # has none
from sqlalchemy import make_url

from moorage import AsyncConnectorManager, ConnectorManager, RetryPolicy, Service
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
from moorage.adapters.sql.statements import Command, Query
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SYSTEMS = ("postgresql", "mariadb", "sqlite")
SERVERS = ("postgresql", "mariadb")

SLEEP = {
    "postgresql": Query("SELECT pg_sleep(:seconds)", name="sleep"),
    "mariadb": Query("SELECT SLEEP(:seconds)", name="sleep"),
}
SESSION = {
    "postgresql": Query("SELECT pg_backend_pid()", name="session"),
    "mariadb": Query("SELECT CONNECTION_ID()", name="session"),
}
SLOW_INSERT = {
    "postgresql": Command(
        "INSERT INTO moorage_orders (id, note) SELECT CAST(:id AS int), pg_sleep(:seconds)::text",
        name="orders.insert",
    ),
    "mariadb": Command(
        "INSERT INTO moorage_orders (id, note) SELECT :id, SLEEP(:seconds)", name="orders.insert"
    ),
}
ENDLESS = {
    "postgresql": Query(
        "SELECT generate_series(CAST(:low AS integer), 1000000000) AS n", name="endless"
    ),
    "mariadb": Query("SELECT seq FROM seq_1_to_1000000000 WHERE seq >= :low", name="endless"),
    "sqlite": Query(
        "WITH RECURSIVE series(n) AS (VALUES (:low) UNION ALL SELECT n + 1 FROM series)"
        " SELECT n FROM series",
        name="endless",
    ),
}
CREATE = Command(
    "CREATE TABLE IF NOT EXISTS moorage_orders"
    " (id integer PRIMARY KEY, note varchar(500), amount numeric(10, 2))",
    name="create",
)
DROP = Command("DROP TABLE IF EXISTS moorage_orders", name="drop")
INSERT = Command("INSERT INTO moorage_orders (id, note) VALUES (:id, :note)", name="insert")
UPDATE = Command("UPDATE moorage_orders SET note = :note WHERE id = :id", name="update")
LIST = Query("SELECT id, note FROM moorage_orders ORDER BY id", name="list")
FIND = Query("SELECT note FROM moorage_orders WHERE id IN :ids ORDER BY id", name="find")


def url_of(system: str, database: str | None = None) -> str:
    """Return the URL of a test database; a given `database` replaces the name in the URL."""
    if system == "sqlite":
        return "sqlite://"
    url = make_url(postgres_url() if system == "postgresql" else mariadb_url())
    return (url.set(database=database) if database else url).render_as_string(hide_password=False)


class Administrator:
    """A separate connection that observes and kills the sessions of other connections."""

    def __init__(self, system: str, database: str | None = None) -> None:
        self.system = system
        self._connection: Any
        if system == "postgresql":
            self._connection = psycopg.connect(url_of(system, database), autocommit=True)
        else:
            url = make_url(url_of(system, database))
            self._connection = pymysql.connect(
                host=url.host or "",
                port=url.port or 3306,
                user=url.username,
                password=url.password or "",
                database=url.database,
                autocommit=True,
            )

    def ask(self, text: str) -> list[tuple[Any, ...]]:
        """Execute a statement, and return its rows."""
        cursor = self._connection.cursor()
        cursor.execute(text)
        return [] if cursor.description is None else list(cursor.fetchall())

    def is_busy(self, session: int) -> bool:
        """Return whether a session is executing a statement."""
        if self.system == "postgresql":
            return bool(
                self.ask(
                    f"SELECT 1 FROM pg_stat_activity WHERE pid = {session} AND state = 'active'"
                    " AND wait_event = 'PgSleep'"
                )
            )
        return bool(
            self.ask(
                "SELECT 1 FROM information_schema.processlist"
                f" WHERE id = {session} AND state LIKE '%sleep%'"
            )
        )

    def kill_when_busy(self, session: int) -> None:
        """End a session while it is executing a statement."""
        while not self.is_busy(session):
            pass
        ending = "SELECT pg_terminate_backend({})" if self.system == "postgresql" else "KILL {}"
        self.ask(ending.format(session))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _AsyncTransaction:
    """A wrapper that makes a synchronous transaction asynchronous, so each test is written once."""

    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction

    async def query(self, *arguments: Any, **parameters: Any) -> Any:
        """Execute a query and return its rows."""
        return self._transaction.query(*arguments, **parameters)

    async def execute(self, *arguments: Any, **parameters: Any) -> Any:
        """Execute a statement."""
        return self._transaction.execute(*arguments, **parameters)

    async def execute_each(self, *arguments: Any) -> None:
        """Execute a statement once for each row, with the row's values as parameters."""
        self._transaction.execute_each(*arguments)

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """Open a savepoint that undoes the block if it raises."""
        with self._transaction.savepoint():
            yield


class Harness:
    """An SQL connector and the manager that performs its operations, either sync or async."""

    def __init__(self, system: str, mode: str, **settings: Any) -> None:
        self.system, self.mode = system, mode
        url = settings.pop("url", None) or url_of(system)
        service = Service("sql", retry=RetryPolicy(3, 0), circuit=None)
        self.connector: Any
        self.manager: Any
        if mode == "sync":
            self.loop = None
            self.connector = SqlConnector(url, **settings)
            self.manager = ConnectorManager([service])
        else:
            self.loop = asyncio.new_event_loop()
            self.connector = AsyncSqlConnector(url, **settings)
            self.manager = AsyncConnectorManager([service])

    def perform(self, operation: Any, **options: Any) -> Any:
        """Perform an operation through the manager."""
        return self.finish(self.manager.perform("sql", operation, **options))

    def finish(self, value: Any) -> Any:
        """Return a value; in asynchronous mode, await it and return its result."""
        return value if self.loop is None else self.loop.run_until_complete(value)

    def transaction(self, work: Any, **settings: Any) -> Any:
        """Run an asynchronous function within a transaction, in the mode of the connector."""
        function = (
            work if self.loop is not None else lambda tx: run_now(work(_AsyncTransaction(tx)))
        )
        return self.perform(self.connector.transaction(function, name="work", **settings))

    def first_rows(self, operation: Any, number: int) -> list[Any]:
        """Return the first rows of a stream without reading the others."""

        async def take() -> list[Any]:
            async with await self.manager.perform("sql", operation) as rows:
                return [row async for row, _ in _numbered_rows(rows, number)]

        if self.loop is not None:
            return self.loop.run_until_complete(take())
        with self.manager.perform("sql", operation) as rows:
            return [row for row, _ in zip(rows, range(number), strict=False)]

    def query(self, statement: Any, **parameters: Any) -> Any:
        """Execute a query and return its rows."""
        return self.perform(self.connector.query(statement, **parameters))

    def execute(self, statement: Any, **parameters: Any) -> Any:
        """Execute a command and return its result."""
        return self.perform(self.connector.execute(statement, **parameters))

    def session(self) -> int:
        """Return the id of the server session, which the next operation will use as well."""
        number: int = self.query(SESSION[self.system])[0][0]
        return number

    def close(self) -> None:
        """Close the connector."""
        self.finish(self.connector.close())
        if self.loop is not None:
            self.loop.close()


async def _numbered_rows(rows: Any, number: int) -> AsyncGenerator[tuple[Any, int]]:
    count = 0
    async for row in rows:
        yield row, count
        count += 1
        if count == number:
            return
