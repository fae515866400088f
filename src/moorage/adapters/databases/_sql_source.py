"""Opens a store's connections, from a URL or through the host's SQLAlchemy engine.

A store never uses a connection that its host uses. A command in the host's transaction would be
rolled back with it, and a claim that is rolled back after the call of the vendor protects nothing.
A command that waited for the host's pool while the host waits for the command would never end. So
an engine is only used to open connections, with the host's settings, and each connection is
detached from SQLAlchemy at once.
"""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from moorage.adapters.databases._sql_link import MULTI_STATEMENTS, SLOWEST, ServerFull
from moorage.adapters.databases._url_options import check_url_options
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL, Connection
    from sqlalchemy.pool import Pool

    from moorage.adapters.databases._sql_schema import Tables
    from moorage.errors import ConnectorError

_SYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_ASYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}
_LEAST_OF_PSYCOPG: Final = 2

_REASONS: Final = (
    ("refused", "refused the connection", "Start the database, or correct the host and the port."),
    ("authentication", "refused the user or the password", "Correct the user and the password."),
    ("access denied", "refused the user or the password", "Correct the user and the password."),
    ("no password", "needs a password", "Add the password to the URL."),
    ("does not exist", "has no such user or database", "Correct the user and the database."),
    ("unknown database", "has no such database", "Correct the name of the database."),
    ("starting up", "is still starting", "Try again in a moment."),
    ("shutting down", "is shutting down", "Start the database."),
    (
        "timeout",
        "did not answer in time",
        "Check that the database is running, or raise `timeout`.",
    ),
    (
        "timed out",
        "did not answer in time",
        "Check that the database is running, or raise `timeout`.",
    ),
    (
        "lost connection",
        "closed the connection",
        "Check that the database and any proxy in front of it are running.",
    ),
    (
        "closed the connection",
        "closed the connection",
        "Check that the database and any proxy in front of it are running.",
    ),
    ("resolve", "has a host name that cannot be resolved", "Correct the host."),
    ("not known", "has a host name that cannot be resolved", "Correct the host."),
)
"""Words of drivers' errors, which are never quoted, with the reasons and the remedies."""

_FULL_SERVER_WORDS: Final = ("too many", "slots", "max_user_connections")
"""Words of drivers' errors about a server that accepts no more connections."""


class Names(NamedTuple):
    """The names of a database and its tables, as error messages show them.

    Attributes:
        where: the URL of the database, without its password.
        table: the table of states.
        version_statement: the statement that stores the version of the tables.
    """

    where: str
    table: str
    version_statement: str


class Source:
    """Opens synchronous or asynchronous database connections.

    Args:
        url_or_engine: a URL, or an engine of SQLAlchemy.
        is_async: whether engines are SQLAlchemy's `AsyncEngine`.
        timeout: seconds for a connection.
        path: the path of the setting, for errors.

    Attributes:
        kind: `postgresql` or `mysql`.
        where: the URL of the database without its password, for messages.
        engine: the engine for rare operations without a timeout.
        bounded: the engine for rare operations with a timeout.
        opener: creates a function that opens connections; each event loop has its own.
        pools_transactions: True if a pooler in front of the database may give each transaction
            another session.
    """

    engine: Engine
    bounded: Engine
    opener: Callable[[], Callable[[], Any]]
    pools_transactions = False

    def __init__(
        self,
        url_or_engine: object,
        *,
        is_async: bool,
        timeout: float,
        path: str = "state",
    ) -> None:
        drivers = _ASYNC_DRIVERS if is_async else _SYNC_DRIVERS
        engine = (
            url_or_engine
            if isinstance(url_or_engine, Engine)
            else getattr(url_or_engine, "sync_engine", None)
        )
        if isinstance(engine, Engine) and engine.dialect.is_async is is_async:
            self.where = _without_secrets(engine.url)
            dialect_name = engine.dialect.name
            self.kind = _database_kind(
                dialect_name, engine.dialect.driver, drivers, self.where, path
            )
            self.engine = self.bounded = engine
            self.opener = lambda: partial(_open_detached, engine.pool.recreate())
            return
        url = _url(url_or_engine, path, is_async=is_async)
        self.where = _without_secrets(url)
        _, _, driver = url.drivername.partition("+")
        name = url.get_backend_name()
        name = "postgresql" if name == "postgres" else name
        self.kind = _database_kind(name, driver, drivers, self.where, path)
        url = url.set(drivername=f"{name}+{drivers[name]}")
        if self.kind == "postgresql" and "pool_mode" in url.query:
            self.pools_transactions = _pools_transactions(url, path)
            url = url.difference_update_query(["pool_mode"])
        new_engine = _async_engine if is_async else create_engine
        # Another session would not know this connection's prepared statements.
        unprepared = {"prepare_threshold": None} if self.pools_transactions else {}
        bounds = _bounds(self.kind, url, timeout)
        try:
            check_url_options(url, path)
            self.engine = new_engine(url, poolclass=NullPool, connect_args=unprepared)
            self.bounded = new_engine(url, poolclass=NullPool, connect_args=bounds | unprepared)
            self.opener = lambda: partial(_open_directly, self.bounded, bounds, self.kind)
        except ImportError:
            raise ConfigurationError(
                f"The driver {drivers[name]!r} is not installed.",
                path=path,
                remedy=install(self.kind),
            ) from None

    def names(self, tables: Tables) -> Names:
        """Return the names of the database and its tables for error messages."""
        return Names(
            self.where, self.quoted(tables.states), tables.version_statement(self.engine.dialect)
        )

    def quoted(self, table: Any) -> str:
        """Return the quoted name of a table for SQL statements."""
        return self.engine.dialect.identifier_preparer.format_table(table)

    def create_tables(self, create: Callable[[Connection], None]) -> None:
        """Run a function that creates tables in one transaction.

        Raises:
            ConfigurationError: an existing table is not one of moorage's.
            StorageUnavailable: the database is not available, or does not permit it.
        """
        try:
            with self.engine.begin() as connection:
                create(connection)
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            failure = self._creation_error(error)
        else:
            return
        # Raised outside the handler, so that it does not carry the driver's frames with the
        # password.
        raise failure

    async def acreate_tables(self, create: Callable[[Connection], None]) -> None:
        """Run a function that creates tables in one asynchronous transaction."""
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - wants greenlet

        try:
            async with AsyncEngine(self.engine).begin() as connection:
                await connection.run_sync(create)
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            failure = self._creation_error(error)
        else:
            return
        raise failure

    def _creation_error(self, error: Exception) -> ConnectorError:
        """Return the error for a failed creation of the tables."""
        if isinstance(error, ConfigurationError):
            return error.with_traceback(None)
        return StorageUnavailable(
            f"The tables could not be created in {self.where} ({type(error).__name__}).",
            remedy="Check that the database is running and that its user may create tables,"
            " or run the statements that `ddl()` returns as another user.",
        )

    def failure_of(self, error: BaseException) -> StorageUnavailable | ServerFull:
        """Return the error for a failed connection, retryable if the server was full."""
        error_text = str(error).lower()
        if any(words in error_text for words in _FULL_SERVER_WORDS):
            return ServerFull()
        return self.unreachable(error)

    def unreachable(self, error: BaseException, *, slow: bool = False) -> StorageUnavailable:
        """Return the error for a failed connection; `slow` if the server did not answer in time."""
        error_text = f"{type(error).__name__} {error}".lower()
        for words, reason, remedy in _REASONS:
            if words in error_text:
                return StorageUnavailable(f"{self.where} {reason}.", remedy=remedy, slow=slow)
        return StorageUnavailable(
            f"Connecting to {self.where} failed ({type(error).__name__}).",
            remedy="Check the URL, and that the database is running.",
        )


def _open_detached(pool: Pool) -> Any:
    """Open a connection with the application's engine, and detach it from SQLAlchemy's pool."""
    pooled_connection = pool.connect()
    connection = pooled_connection.driver_connection
    pooled_connection.detach()
    return connection


def _open_directly(engine: Engine, bounds: dict[str, Any], kind: str) -> Any:
    """Open a connection with the database driver, without SQLAlchemy's pool.

    SQLAlchemy runs half a dozen queries on a new connection, and over a slow network each takes as
    long as a command.
    """
    dialect = engine.dialect
    driver_arguments, driver_options = dialect.create_connect_args(engine.url)
    options = {**driver_options, **bounds}
    if kind == "mysql":
        # Allow several statements per query, and skip the query that sets a default.
        flags = options.get("client_flag", 0) | MULTI_STATEMENTS
        options |= {"client_flag": flags, "autocommit": None}
    return dialect.get_driver_connection(dialect.connect(*driver_arguments, **options))


def _async_engine(url: URL, **options: Any) -> Engine:
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - wants greenlet

    return create_async_engine(url, **options).sync_engine


def _url(url: object, path: str, *, is_async: bool) -> URL:
    try:
        made_url = make_url(url)  # type: ignore[arg-type]  # make_url checks it
    except (ArgumentError, ValueError):  # such as an invalid port
        engine_type = "AsyncEngine" if is_async else "Engine"
        description = "URL" if isinstance(url, str) else f"object of type {type(url).__name__}"
        raise ConfigurationError(
            f"The {description} cannot be used.",
            path=path,
            remedy=f"Pass a URL such as 'postgresql://user@host/name', or an {engine_type}.",
        ) from None
    if isinstance(url, str):
        _check_option_values(url, path)
    return made_url


def _check_option_values(url: str, path: str) -> None:
    """Refuse an option without a value, because SQLAlchemy would ignore it."""
    query = url.rpartition("@")[2].partition("?")[2]  # a password may have a question mark
    for name, value in parse_qsl(query, keep_blank_values=True):
        if not value:
            raise ConfigurationError(
                f"The option {name[:40]!r} in the URL has no value.",
                path=path,
                remedy="Add a value, such as pool_mode=transaction, or remove the option.",
            )


def _database_kind(name: str, driver: str, drivers: dict[str, str], where: str, path: str) -> str:
    if name not in drivers:
        raise ConfigurationError(
            f"moorage does not support the kind of database of {where}.",
            path=path,
            remedy="Use PostgreSQL, MariaDB or MySQL. For SQLite, use SqliteStorage or"
            " SqliteCredentialProvider.",
        )
    if driver and driver != drivers[name]:
        raise ConfigurationError(
            f"moorage does not support the driver {driver!r} of {where}.",
            path=path,
            remedy=f"Pass a URL or an engine of {name}+{drivers[name]}.",
        )
    return "postgresql" if name == "postgresql" else "mysql"


def _pools_transactions(url: URL, path: str) -> bool:
    """Return whether the URL option `pool_mode` says that a pooler runs each transaction."""
    pool_mode = url.query["pool_mode"]
    if pool_mode not in {"transaction", "session"}:
        raise ConfigurationError(
            "The option pool_mode in the URL has an unknown value.",
            path=path,
            remedy="Use transaction or session, the same value as pool_mode of PgBouncer.",
        )
    return pool_mode == "transaction"


def _bounds(kind: str, url: URL, timeout: float) -> dict[str, Any]:
    """Return the driver's connection timeouts, unless the URL sets them.

    They allow for a slow server, because each caller has its own timeout.
    """
    timeout = max(timeout, SLOWEST)
    if kind == "postgresql":
        bounds: dict[str, Any] = {"connect_timeout": max(_LEAST_OF_PSYCOPG, ceil(timeout))}
    elif url.drivername.endswith("pymysql"):
        bounds = {"connect_timeout": timeout, "read_timeout": timeout, "write_timeout": timeout}
    else:
        bounds = {"connect_timeout": timeout}
    return {name: limit for name, limit in bounds.items() if name not in url.query}


def _without_secrets(url: URL) -> str:
    """Return a URL without its password and query."""
    return url.set(query={}).render_as_string(hide_password=True)
