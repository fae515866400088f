"""Databases for tests of pipelines with SQL sinks, each with its own schema."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from inspect import isawaitable
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from moorage import AsyncConnectorManager, ConnectorManager, RetryPolicy, Service
from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
from moorage.adapters.sql.statements import configured_statement
from tests.adapters.sql.database_harness import Administrator, url_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

SYSTEMS: Final = ("postgresql", "mariadb", "sqlite")

_numbers: Iterator[int] = count()


class Database:
    """A database schema that only one test uses, with connectors to the database."""

    def __init__(self, system: str, folder: Path, url: str | None = None) -> None:
        self.system = system
        self.schema = f"moorage_ends_{os.getpid()}_{next(_numbers)}"
        self.url = f"sqlite:///{folder}/ends.db"
        self.options: dict[str, Any] = {}
        if system == "postgresql":
            self.url = url or url_of(system)
            self.options = {"options": f"-c search_path={self.schema}"}
        elif system == "mariadb":
            self.url = url_of(system, self.schema)
        service = Service(name="sql", retry=RetryPolicy(max_attempts=1))
        kind: Any = ConnectorManager if system == "sqlite" else AsyncConnectorManager
        self.manager: Any = kind([service])
        self.connector = self.connect()

    def connect(self) -> AsyncSqlConnector | SqlConnector:
        """Return another connector to the database; for SQLite, a synchronous one."""
        kind: Any = SqlConnector if self.system == "sqlite" else AsyncSqlConnector
        connector: AsyncSqlConnector | SqlConnector = kind(
            self.url, options=self.options, connections=5
        )
        return connector

    async def run(self, text: str, **parameters: Any) -> Any:
        """Execute a statement, and return its rows or the number of changed rows."""
        statement = configured_statement("test", text, repeatable=False)
        perform: Any = self.connector.query if statement.safe else self.connector.execute
        return await finish(self.manager.perform("sql", perform(statement, **parameters)))

    async def column(self, text: str) -> list[Any]:
        """Return the first column of the rows of a query."""
        return [row[0] for row in await self.run(text)]


async def finish(value: Any) -> Any:
    """Return a value; if its connector or manager is asynchronous, await it first."""
    return await value if isawaitable(value) else value


@asynccontextmanager
async def database(system: str, folder: Path) -> AsyncGenerator[Database]:
    """Create a database schema, and drop it afterwards."""
    administrator = None if system == "sqlite" else Administrator(system)
    db = Database(system, folder)
    if administrator is not None:
        administrator.ask(f"CREATE SCHEMA {db.schema}")
    try:
        yield db
    finally:
        await finish(db.connector.close())
        if administrator is not None:
            cascade = " CASCADE" if system == "postgresql" else ""
            administrator.ask(f"DROP SCHEMA {db.schema}{cascade}")
            administrator.close()
