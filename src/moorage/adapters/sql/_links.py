"""SQLAlchemy connections that stay open between operations.

Borrowing a connection from a pool of SQLAlchemy and returning it takes longer than all protections
of a call. So the connector keeps the connections itself, and SQLAlchemy only opens and closes them.

Laws:

1. The connection that was returned last is used first, so that surplus connections reach their
   lifetime.
2. A connection is not used again if it has reached its lifetime, or was opened before another one
   turned out to be lost: a server that restarts breaks all connections.
3. A forked child never uses or closes a connection of its parent.
"""

from __future__ import annotations

from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from moorage.adapters.sql._connecting import forget_unread_rows, set_end

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from moorage.adapters.sql._connecting import Limits

_INSTRUCTIONS: Final = 1000
"""The number of instructions after which SQLite looks whether its time is over."""

_IN_TRANSACTION_OF_POSTGRESQL: Final = 2
"""libpq's status of an open transaction without a failure."""

_IN_TRANSACTION_OF_MYSQL: Final = 1
"""The flag of an open transaction in MySQL's status."""


class SqlLink:
    """An open connection to a database.

    Attributes:
        connection: SQLAlchemy's connection.
        limit: the server's time limit for statements in milliseconds; None if it is not known.
        opened: the time of its opening, by the monotonic clock.
    """

    __slots__ = (
        "_driver",
        "_end",
        "_has_unread_rows",
        "_is_counted",
        "_system",
        "connection",
        "limit",
        "opened",
    )

    def __init__(self, connection: Connection, system: str, *, is_async: bool) -> None:
        self.connection = connection
        self.limit: int | None = None
        self.opened = monotonic()
        self._system = None if is_async else system
        self._has_unread_rows = system == "mysql"
        self._is_counted = system != "postgresql"
        driver: Any = connection.connection.driver_connection
        self._driver = driver
        if system == "sqlite":
            self._end = end = _StatementDeadline()
            driver.set_progress_handler(lambda: monotonic() > end.until, _INSTRUCTIONS)

    def end_waits_at(self, until: float) -> None:
        """Set the deadline until which the client waits for the database's response.

        An asynchronous client is cancelled instead.
        """
        if self._system == "sqlite":
            self._end.until = until
        elif self._system is not None:
            set_end(self._system, self._driver, until)

    def limit_statements(self, milliseconds: int) -> None:
        """Set the server's statement timeout in milliseconds, if it has changed."""
        if self.limit == milliseconds:
            return
        # If setting the limit fails, the server's current limit is unknown.
        self.limit = None
        cursor = self.connection.connection.cursor()
        try:
            cursor.execute(limit_statement(self.connection.dialect, milliseconds))
        finally:
            cursor.close()
        self.limit = milliseconds

    def answers(self) -> bool:
        """Return whether the server answers over this connection."""
        dialect: Any = self.connection.dialect
        try:
            dialect.do_ping(self.connection.connection.dbapi_connection)
        except Exception:  # noqa: BLE001 - whatever the reason, the connection cannot be used
            return False
        return True

    def has_transaction(self) -> bool:
        """Return whether the server would commit the open transaction.

        After some failures it has rolled the transaction back: PostgreSQL then refuses each further
        statement, and MySQL and SQLite would commit each one at once.
        """
        driver = self._driver
        match self.connection.dialect.name:
            case "postgresql":
                return driver.info.transaction_status == _IN_TRANSACTION_OF_POSTGRESQL  # type: ignore[no-any-return]  # psycopg's
            case "sqlite":
                return driver.in_transaction  # type: ignore[no-any-return]  # sqlite3's
            case _:
                # An error does not contain the transaction status, but the reply to a ping does.
                return self.answers() and bool(driver.server_status & _IN_TRANSACTION_OF_MYSQL)

    def may_have_large_values(self) -> bool:
        """Return whether a few rows may have many bytes, as the driver's last results suggest."""
        return self._is_counted or getattr(self._driver, "had_large_answer", False)

    def forget_unread_rows(self) -> None:
        """Make a MySQL driver close the connection without first reading all remaining rows."""
        if self._has_unread_rows:
            forget_unread_rows(self._driver)

    def discard(self) -> None:
        """Close the connection without waiting for the server."""
        self.forget_unread_rows()
        if not self.connection.invalidated:
            self.connection.invalidate()
        self.connection.close()


class SqlLinks:
    """A connector's database connections: opens new ones, and keeps idle ones for reuse.

    Args:
        engine: opens the connections.
        limits: the deadlines of attempts, which the engine reads.
        system: the kind of the database, such as "postgresql".
        is_async: whether the driver is asynchronous.
        lifetime: the seconds after which a connection is replaced.
        checks_idle: whether the server is asked before each use if the connection still works.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        system: str,
        *,
        is_async: bool,
        lifetime: float,
        checks_idle: bool,
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._system = system
        self._is_async = is_async
        self._lifetime = lifetime
        self._checks_idle = checks_idle
        self._lost_at = self._forked_at = 0.0
        self._idle: list[SqlLink] = []
        self._created, self._taken = count(1), count(1)
        self.created = self.taken = 0
        # SQLAlchemy warns if an asynchronous connection is garbage-collected while checked out.
        finalize(self, _detach, self._idle)

    @property
    def idle(self) -> int:
        """The number of idle connections."""
        return len(self._idle)

    def take(self, until: float) -> SqlLink:
        """Return an idle or new connection that waits at most until the time `until`."""
        while (link := self._pop()) is not None:
            link.end_waits_at(until)
            if not self._checks_idle or self._answers(link):
                self.taken = next(self._taken)
                return link
        self._limits.until = until
        link = SqlLink(self._engine.connect(), self._system, is_async=self._is_async)
        link.end_waits_at(until)
        self.created = next(self._created)
        self.taken = next(self._taken)
        return link

    def give_back(self, link: SqlLink) -> None:
        """Keep a connection for later operations."""
        if link.opened > self._forked_at:
            self._idle.append(link)

    def discard(self, link: SqlLink) -> None:
        """Close a connection that cannot be reused."""
        if link.opened < self._forked_at:
            return
        if link.connection.invalidated:
            self._lost_at = monotonic()
        link.discard()

    def close(self) -> None:
        """Close the idle connections."""
        while (link := _last_of(self._idle)) is not None:
            link.connection.close()

    def abandon(self) -> None:
        """Forget all connections after a fork, because they belong to the parent process."""
        self._forked_at = monotonic()
        _detach(self._idle)

    def _pop(self) -> SqlLink | None:
        """Return the most recently used idle connection; close those that are too old."""
        while (link := _last_of(self._idle)) is not None:
            if link.opened > max(self._lost_at, monotonic() - self._lifetime):
                return link
            link.discard()
        return None

    def _answers(self, link: SqlLink) -> bool:
        """Return whether the server responds on a connection; close the connection if not."""
        answers = False
        try:
            answers = link.answers()
        finally:
            if not answers:
                link.discard()
        return answers


class _StatementDeadline:
    """The time at which SQLite interrupts a statement, by the monotonic clock."""

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until = 0.0


def _last_of(links: list[SqlLink]) -> SqlLink | None:
    """Remove and return the last connection, or None; safe while other threads do the same."""
    try:
        return links.pop()
    except IndexError:
        return None


def _detach(links: list[SqlLink]) -> None:
    """Remove connections from SQLAlchemy's pool, without sending anything."""
    while (link := _last_of(links)) is not None:
        link.connection.detach()


def limit_statement(dialect: Any, milliseconds: int) -> str:
    """Return the SQL statement that sets the server's time limit for statements."""
    match dialect.name:
        case "postgresql":
            return f"SET statement_timeout = {milliseconds:d}"
        case "sqlite":
            return f"PRAGMA busy_timeout = {milliseconds:d}"
        case _ if dialect.is_mariadb:
            return f"SET max_statement_time = {milliseconds / 1000:.3f}"
        case _:
            return f"SET max_execution_time = {milliseconds:d}"
