"""Where the connections of a store come from: a URL, or a host's engine of SQLAlchemy.

A store never uses a connection that its host uses. A command that joined the host's transaction
would be undone with it, and a claim that is undone after the vendor was called protects nobody; and
a command that waited for the host's pool, while the host waits for the command, would wait for
ever. So of an engine it takes the way of connecting only, with everything the host has set for it,
and takes each connection out of SQLAlchemy's hands as soon as it is there.
"""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from moorage.adapters.databases._sql_link import MULTI_STATEMENTS, SLOWEST
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL
    from sqlalchemy.pool import Pool

    from moorage.adapters.databases._sql_schema import Tables

_LEAST_OF_PSYCOPG: Final = 2

_REASONS: Final = (
    ("refused", "refused the connection", "Start the database, or correct host and port."),
    ("authentication", "refused the user or the password", "Correct the user and the password."),
    ("access denied", "refused the user or the password", "Correct the user and the password."),
    ("no password", "wants a password", "Put the password into the URL."),
    ("does not exist", "knows no such user or database", "Correct the user and the database."),
    ("unknown database", "knows no such database", "Correct the name of the database."),
    ("too many", "takes no more connections", "Give fewer `connections`, or let it take more."),
    ("slots", "takes no more connections", "Give fewer `connections`, or let it take more."),
    ("starting up", "is only just starting", "Try again in a moment."),
    ("shutting down", "is shutting down", "Start the database."),
    ("timeout", "did not answer in time", "Check that it is up, or give more `timeout`."),
    ("timed out", "did not answer in time", "Check that it is up, or give more `timeout`."),
    ("lost connection", "hung up", "Check that it is up, and what stands before it."),
    ("closed the connection", "hung up", "Check that it is up, and what stands before it."),
    ("resolve", "has a host that nobody knows", "Correct the host."),
    ("not known", "has a host that nobody knows", "Correct the host."),
)
"""What drivers say, what it means, and what to do. Their words are looked at and never quoted."""


class Names(NamedTuple):
    """What messages call things.

    Attributes:
        where: the database, without a password.
        table: the table of states.
        stamping: the statement that says which version the tables are of.
    """

    where: str
    table: str
    stamping: str


class Source:
    """How to open connections of one colour to one database.

    Args:
        given: a URL, or an engine of SQLAlchemy.
        drivers: the driver for each kind of database.
        awaited: whether engines are SQLAlchemy's `AsyncEngine`.
        timeout: seconds for a connection.
        path: what the user called what is given here.

    Attributes:
        kind: `postgresql` or `mysql`.
        where: the database as messages name it, without a password.
        engine: the engine, for what is done rarely and may take long.
        bounded: the engine, for what is done rarely and must not take long.
        opener: makes a function that opens one connection; each event loop has one of its own.
    """

    engine: Engine
    bounded: Engine
    opener: Callable[[], Callable[[], Any]]

    def __init__(
        self,
        given: object,
        drivers: dict[str, str],
        *,
        awaited: bool,
        timeout: float,
        path: str = "state",
    ) -> None:
        engine = given if isinstance(given, Engine) else getattr(given, "sync_engine", None)
        if isinstance(engine, Engine) and engine.dialect.is_async is awaited:
            self.where = _shown(engine.url)
            named = engine.dialect.name
            self.kind = _kind(named, engine.dialect.driver, drivers, self.where, path)
            self.engine = self.bounded = engine
            self.opener = lambda: partial(_detached, engine.pool.recreate())
            return
        url = _url(given, path, awaited=awaited)
        self.where = _shown(url)
        _, _, driver = url.drivername.partition("+")
        name = url.get_backend_name()
        name = "postgresql" if name == "postgres" else name
        self.kind = _kind(name, driver, drivers, self.where, path)
        url = url.set(drivername=f"{name}+{drivers[name]}")
        made = _awaited_engine if awaited else create_engine
        bounds = _bounds(self.kind, url, timeout)
        try:
            self.engine = made(url, poolclass=NullPool)
            self.bounded = made(url, poolclass=NullPool, connect_args=bounds)
            self.opener = lambda: partial(_connected, self.bounded, bounds, self.kind)
        except ImportError:
            raise ConfigurationError(
                f"the driver {drivers[name]!r} is not installed.",
                path=path,
                remedy=install(self.kind),
            ) from None

    def names(self, tables: Tables) -> Names:
        """What the tables are called in messages."""
        return Names(self.where, self.quoted(tables.states), tables.stamping(self.engine.dialect))

    def quoted(self, table: Any) -> str:
        """The name of a table, as it stands in a statement."""
        return self.engine.dialect.identifier_preparer.format_table(table)

    def unmade(self, error: Exception) -> StorageUnavailable:
        """What an error in making the tables means."""
        return StorageUnavailable(
            f"the tables could not be made in {self.where} ({type(error).__name__}).",
            remedy="Check that the database is up and that its user may create tables, or run what "
            "`ddl()` prints as a user who may.",
        )

    def unreachable(self, error: BaseException, *, slow: bool = False) -> StorageUnavailable:
        """What an error in connecting means; `slow` says that the server is there all the same."""
        said = f"{type(error).__name__} {error}".lower()
        for words, reason, remedy in _REASONS:
            if words in said:
                return StorageUnavailable(f"{self.where} {reason}.", remedy=remedy, slow=slow)
        return StorageUnavailable(
            f"{self.where} cannot be connected to ({type(error).__name__}).",
            remedy="Check the URL, and that the database is up.",
        )


def _detached(pool: Pool) -> Any:
    """Open a connection as a host's engine does, and take it out of SQLAlchemy's hands."""
    pooled = pool.connect()
    connection = pooled.driver_connection
    pooled.detach()
    return connection


def _connected(engine: Engine, bounds: dict[str, Any], kind: str) -> Any:
    """Open a connection with the driver alone.

    SQLAlchemy asks a new connection half a dozen questions, and over a slow network each takes as
    long as a command.
    """
    dialect = engine.dialect
    positional, named = dialect.create_connect_args(engine.url)
    options = {**named, **bounds}
    if kind == "mysql":
        # Statements that are sent together, and no question about a setting that follows anyway.
        flags = options.get("client_flag", 0) | MULTI_STATEMENTS
        options |= {"client_flag": flags, "autocommit": None}
    return dialect.get_driver_connection(dialect.connect(*positional, **options))


def _awaited_engine(url: URL, **options: Any) -> Engine:
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - wants greenlet

    return create_async_engine(url, **options).sync_engine


def _url(given: object, path: str, *, awaited: bool) -> URL:
    try:
        return make_url(given)  # type: ignore[arg-type]  # it checks
    except (ArgumentError, ValueError):  # such as a port that is no number
        wanted = "AsyncEngine" if awaited else "Engine"
        what = "the URL" if isinstance(given, str) else f"a {type(given).__name__}"
        raise ConfigurationError(
            f"{what} cannot be used.",
            path=path,
            remedy=f"Give a URL such as 'postgresql://user@host/name', or an {wanted}.",
        ) from None


def _kind(name: str, driver: str, drivers: dict[str, str], where: str, path: str) -> str:
    if name not in drivers:
        raise ConfigurationError(
            f"{where} is no database of a kind that is known here.",
            path=path,
            remedy="Give one of PostgreSQL, MariaDB or MySQL; for SQLite there is SqliteStorage, or"
            " SqliteCredentialProvider.",
        )
    if driver and driver != drivers[name]:
        raise ConfigurationError(
            f"{where} is to be spoken to through {driver!r}.",
            path=path,
            remedy=f"Give a URL or an engine of {name}+{drivers[name]}.",
        )
    return "postgresql" if name == "postgresql" else "mysql"


def _bounds(kind: str, url: URL, timeout: float) -> dict[str, Any]:
    """The driver's own bounds on connecting, as far as the URL does not set them.

    A slow server is waited for: whoever opens a connection has a bound of their own.
    """
    timeout = max(timeout, SLOWEST)
    if kind == "postgresql":
        bounds: dict[str, Any] = {"connect_timeout": max(_LEAST_OF_PSYCOPG, ceil(timeout))}
    elif url.drivername.endswith("pymysql"):
        bounds = {"connect_timeout": timeout, "read_timeout": timeout, "write_timeout": timeout}
    else:
        bounds = {"connect_timeout": timeout}
    return {name: bound for name, bound in bounds.items() if name not in url.query}


def _shown(url: URL) -> str:
    """A URL without what may be secret."""
    return url.set(query={}).render_as_string(hide_password=True)
