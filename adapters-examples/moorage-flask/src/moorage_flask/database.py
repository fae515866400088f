"""Connections to a database that are separate from the application's.

A rollback of the application does not undo what these connections write, and an exhausted pool of
the application does not delay them. Of an application's engine, only its way of connecting is used.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy
from sqlalchemy import create_engine, insert, inspect, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, DataError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool, StaticPool

from moorage import ConfigurationError, InvalidData, StorageUnavailable
from moorage.adapters.concurrency.forking import around_fork, in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from sqlalchemy import Connection, MetaData, Table
    from sqlalchemy.orm import Session

    from moorage import ConnectorError

A = TypeVar("A")

_MEMORY: Final = frozenset({None, "", ":memory:"})
_SERVERS: Final = frozenset({"mysql", "mariadb"})
_SKIPPING_MARIADB: Final = (10, 6)
_SKIPPING_MYSQL: Final = (8,)
_LACKS_COLUMN: Final = ("no such column", "has no column", "unknown column", "does not exist")
_TIMEOUT: Final = 5
"""Seconds to wait for the lock of a file, or for a connection to a server."""


class Database:
    """A database, with separate connections in each process.

    Args:
        url_or_engine: a URL, or an engine of SQLAlchemy.
    """

    def __init__(self, url_or_engine: str | Engine) -> None:
        if isinstance(url_or_engine, Engine):
            self._given = url_or_engine
        else:
            self._given = _make_engine(url_or_engine)
        self._engines: dict[int, Engine] = {}
        self._restart_after_fork()
        if self.kind == "sqlite":
            in_child(self, Database._restart_after_fork)
            around_fork(self, Database._pause, Database._resume)

    def __repr__(self) -> str:
        return f"<Database {self.where}>"

    @property
    def kind(self) -> str:
        """SQLAlchemy's name for this kind of database."""
        return self._given.dialect.name

    @property
    def where(self) -> str:
        """The database URL without secrets."""
        return self._given.url.set(query={}).render_as_string(hide_password=True)

    @property
    def file(self) -> str | None:
        """The path of a SQLite file; None for other databases."""
        if self.kind != "sqlite" or self.is_in_memory:
            return None
        return self._given.url.database

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine that was passed to this object."""
        return self._given

    @property
    def is_in_memory(self) -> bool:
        """True if the database is in this process's memory."""
        return self.kind == "sqlite" and self._given.url.database in _MEMORY

    @contextmanager
    def begin(self) -> Generator[Connection]:
        """Begin a transaction on a connection that the application does not use.

        Raises:
            StorageUnavailable: the database could not be reached, or refused the transaction.
            InvalidData: the database cannot store a value.
        """
        try:
            with self._alone, self._engine().begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            failure = self._meaning(error)
        else:
            return
        # Raised here, so that its traceback has no frames of the driver, which hold the password.
        raise failure

    def lend(self, work: Callable[[Any], A], /) -> A:
        """Call a function with a separate connection, in a transaction."""
        with self.begin() as connection:
            return work(connection)

    def lend_session(
        self, session: Callable[[], Session], table: Table, work: Callable[[Any], A], /
    ) -> A:
        """Call a function with the application session's connection; the application commits.

        Args:
            session: returns the session.
            table: the table that is written to, for sessions with several databases.
            work: the function.
        """
        try:
            return work(session().connection(bind_arguments={"clause": insert(table)}))
        except SQLAlchemyError as error:
            failure = self._meaning(error)
        raise failure

    def skips_locked(self) -> bool:
        """True if the server supports SKIP LOCKED; unknown until the first connection."""
        if self.kind not in _SERVERS:
            return True
        dialect: Any = self._given.dialect
        lowest_version = _SKIPPING_MARIADB if dialect.is_mariadb else _SKIPPING_MYSQL
        return bool(dialect.server_version_info >= lowest_version)

    def _meaning(self, error: SQLAlchemyError) -> ConnectorError:
        """Return the moorage error for an error of SQLAlchemy."""
        if isinstance(error, DataError):
            return InvalidData(
                f"{self.where} cannot store a value.",
                remedy="Compare the tables with the tables of this release of moorage_flask.",
            )
        driver_message = str(getattr(error, "orig", "")).lower()
        if "column" in driver_message and any(words in driver_message for words in _LACKS_COLUMN):
            return ConfigurationError(
                f"A table in {self.where} lacks a column that this release needs.",
                path="MOORAGE.DATABASE",
                remedy="Run `flask moorage migrate`, or your own migrations.",
            )
        is_missing = "does not exist" in driver_message or "doesn't exist" in driver_message
        # A missing database raises another error.
        if "no such table" in driver_message or (
            is_missing and isinstance(error, ProgrammingError)
        ):
            return StorageUnavailable(
                f"{self.where} lacks a table of moorage.",
                remedy="Run `flask moorage migrate`, or your own migrations.",
            )
        return StorageUnavailable(
            f"{self.where} refused a statement or could not be reached ({type(error).__name__}).",
            remedy="Check that it is running, and that its user may read and write moorage's"
            " tables.",
        )

    def create(self, metadata: MetaData, tables: Sequence[Table]) -> None:
        """Create missing tables, columns and indexes of these tables."""
        with self.begin() as connection:
            metadata.create_all(connection, tables)
            inspector = inspect(connection)
            ddl_compiler: Any = connection.dialect.ddl_compiler
            compiler = ddl_compiler(connection.dialect, None)
            for table in tables:
                columns = {
                    column["name"] for column in inspector.get_columns(table.name, table.schema)
                }
                name = compiler.preparer.format_table(table)
                for column in table.columns:
                    if column.name not in columns:
                        definition = compiler.get_column_specification(column)
                        connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {definition}"))
                indexes = {
                    index["name"] for index in inspector.get_indexes(table.name, table.schema)
                }
                for index in table.indexes:
                    if index.name not in indexes:
                        index.create(connection)

    def close(self) -> None:
        """Close this process's connections."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None and engine is not self._given:
            engine.dispose()

    # A child that is forked during another thread's transaction in SQLite inherits its locks, and
    # no thread of the child would release them.

    def _restart_after_fork(self) -> None:
        self._alone: RLock | nullcontext[None] = RLock() if self.kind == "sqlite" else nullcontext()

    def _pause(self) -> None:
        self._alone.__enter__()

    def _resume(self) -> None:
        self._alone.__exit__(None, None, None)

    def _engine(self) -> Engine:
        # The parent's connections stay open, and are not used.
        pid = os.getpid()
        return self._engines.get(pid) or self._engines.setdefault(pid, self._fresh_engine())

    def _fresh_engine(self) -> Engine:
        given_engine = self._given
        if self.is_in_memory:  # it has a single connection
            return given_engine
        engine = Engine(given_engine.pool.recreate(), given_engine.dialect, given_engine.url)
        if self.kind not in _SERVERS:
            return engine
        # Otherwise two workers that take entries could wait for each other's gap locks.
        return engine.execution_options(isolation_level="READ COMMITTED")


def _make_engine(url: str) -> Engine:
    try:
        parsed_url = make_url(url)
        name = parsed_url.get_backend_name()
        if name == "sqlite":
            pool = StaticPool if parsed_url.database in _MEMORY else NullPool
            options = {"timeout": _TIMEOUT, "check_same_thread": False}
            return create_engine(parsed_url, poolclass=pool, connect_args=options)
        if parsed_url.drivername in _DRIVERS:
            parsed_url = parsed_url.set(drivername=_DRIVERS[parsed_url.drivername])
        return create_engine(parsed_url, pool_pre_ping=True)
    except (ArgumentError, ImportError, ValueError) as error:
        kind = type(error).__name__
    raise ConfigurationError(
        f"SQLAlchemy cannot create an engine for this URL ({kind}).",
        path="MOORAGE.DATABASE",
        remedy="Set a URL such as postgresql+psycopg://user@host/name, and install its driver.",
    )


MODERN: Final = int(sqlalchemy.__version__.partition(".")[0]) >= 2
"""True if SQLAlchemy has the features that moorage's stores need: version 2 or newer."""

_DRIVERS: Final = {
    "postgresql": "postgresql+psycopg" if MODERN else "postgresql+psycopg2",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
"""The drivers for URLs that name none; moorage uses the same."""
