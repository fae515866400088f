"""Adds inbox or outbox entries within a transaction of the application."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.tables._table import StatementResult
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from moorage.adapters.tables._table import Statement, Value

PLACEHOLDERS: Final = {"sqlite": "?", "postgresql": "%s", "mysql": "%s"}
"""The placeholder of a value in a statement, as the usual drivers of a database expect it."""

_QUERY_STARTS: Final = ("SELECT ", "WITH ")
"""The beginnings of statements that return rows. A cursor's description is slow to read."""

_MYSQL_IN_TRANSACTION: Final = 1
"""The flag of MySQL's and MariaDB's status that a transaction is open."""

_SYNC_CONNECTION: Final = "a DB-API connection, or a Connection or Session of SQLAlchemy"
_ASYNC_CONNECTION: Final = "an asynchronous connection of the driver, or SQLAlchemy's AsyncSession"


class HostConnection:
    """A connection of the application with an open transaction.

    Args:
        connection: a DB-API connection, or a connection or session of SQLAlchemy.
        placeholder: the placeholder of a value in a statement.
    """

    def __init__(self, connection: Any, placeholder: str) -> None:
        self._connection = connection
        self._placeholder = placeholder

    async def __call__(
        self,
        *statements: Statement,
        keep_open: bool = False,  # noqa: ARG002 - the host ends its transaction
        writes: bool = False,  # noqa: ARG002 - the host ends its transaction
    ) -> list[StatementResult]:
        """Run SQL statements in the application's transaction."""
        run = await self._statement_runner()
        return [
            await run(text.replace("?", self._placeholder), tuple(values))
            for text, values in statements
        ]

    async def _statement_runner(
        self,
    ) -> Callable[[str, tuple[Value, ...]], Coroutine[Any, Any, StatementResult]]:
        connection = await self._open_connection()

        async def execute_by_sqlalchemy(text: str, values: tuple[Value, ...]) -> StatementResult:
            result = await _result_of(connection.exec_driver_sql(text, values))
            return StatementResult(
                result.fetchall() if result.returns_rows else (), result.rowcount
            )

        async def execute_by_cursor(text: str, values: tuple[Value, ...]) -> StatementResult:
            cursor = await _result_of(connection.cursor())
            try:
                await _result_of(cursor.execute(text, values))
                rows = await _result_of(cursor.fetchall()) if text.startswith(_QUERY_STARTS) else ()
                return StatementResult(list(map(_values_of_row, rows)), cursor.rowcount)
            finally:
                await _result_of(cursor.close())

        return (
            execute_by_sqlalchemy if hasattr(connection, "exec_driver_sql") else execute_by_cursor
        )

    async def _open_connection(self) -> Any:
        """Return the connection; for a session, return its transaction's connection."""
        connection = self._connection
        if hasattr(connection, "get_bind"):
            connection = await _result_of(connection.connection())
        return connection


class HostTransaction(HostConnection):
    """The application's open transaction, to which an entry is added.

    Args:
        connection: the connection or session of the host.
        kind: the kind of its database.
        is_async: whether the connection is asynchronous.
    """

    def __init__(self, connection: Any, kind: str, *, is_async: bool) -> None:
        super().__init__(connection, PLACEHOLDERS[kind])
        expected_connection = _ASYNC_CONNECTION if is_async else _SYNC_CONNECTION
        if not any(hasattr(connection, name) for name in ("exec_driver_sql", "cursor", "get_bind")):
            raise ConfigurationError(
                f"The connection is {with_article(type(connection).__name__)}, which runs no"
                " statements.",
                path="connection",
                remedy=f"Pass {expected_connection}.",
            )
        if _is_async(connection) is not is_async:
            kinds = ("asynchronous", "synchronous")
            actual_kind, needed_kind = kinds if not is_async else kinds[::-1]
            raise ConfigurationError(
                f"The {type(connection).__name__} is {actual_kind},"
                f" but this store is {needed_kind}.",
                path="connection",
                remedy=f"Pass {expected_connection}.",
            )
        _check_transaction(connection)

    async def __call__(
        self, *statements: Statement, keep_open: bool = False, writes: bool = False
    ) -> list[StatementResult]:
        """Run SQL statements in the application's transaction."""
        try:
            return await super().__call__(*statements, keep_open=keep_open, writes=writes)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            kind = type(error).__name__
            is_table_missing = "no such table" in str(error)
        if is_table_missing:
            raise StorageUnavailable(
                "The host's transaction could not store an entry: its database lacks a table of"
                " this store.",
                remedy="Roll it back and run `migrate()` of the store once: `create=True` creates"
                " no tables in a host's transaction. Check that the connection leads to the same"
                " database.",
            )
        raise StorageUnavailable(
            f"The host's transaction could not store an entry ({kind}).",
            remedy="Roll it back and try again. If that does not help, run `migrate()` of the"
            " store, and check that the connection leads to the same database.",
        )

    async def _open_connection(self) -> Any:
        """Return the connection; for a session, return its transaction's connection.

        Raises:
            ConfigurationError: the connection commits every statement by itself.
        """
        connection = await super()._open_connection()
        if connection is not self._connection:
            _check_transaction(connection)
        return connection


async def _result_of(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _values_of_row(row: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any]:
    """Return the values of a row, whatever row type the application uses."""
    return tuple(row.values()) if isinstance(row, Mapping) else tuple(row)


def _is_async(connection: Any) -> bool:
    if hasattr(connection, "get_bind"):
        return inspect.iscoroutinefunction(connection.connection)
    name = "exec_driver_sql" if hasattr(connection, "exec_driver_sql") else "commit"
    return inspect.iscoroutinefunction(getattr(connection, name, None))


def _check_transaction(connection: Any) -> None:
    """Refuse a connection that reports that it commits each statement separately.

    Raises:
        ConfigurationError: the connection reports this.
    """
    if _is_autocommit(connection):
        raise ConfigurationError(
            "The connection commits every statement by itself, so the entry would be stored"
            " before your own rows, and remain if they are rolled back.",
            path="connection",
            remedy="Begin a transaction on it first, or turn its autocommit off.",
        )


def _is_autocommit(connection: Any) -> bool:
    """Return whether a connection certainly commits each statement separately."""
    if hasattr(connection, "exec_driver_sql"):
        return _is_autocommit_of_sqlalchemy(getattr(connection, "sync_connection", connection))
    is_automatic = getattr(connection, "autocommit", None) is True
    if hasattr(connection, "pgconn"):
        return is_automatic and int(connection.pgconn.transaction_status) == 0
    if hasattr(connection, "get_transaction_status"):  # psycopg2
        return is_automatic and connection.get_transaction_status() == 0
    if hasattr(connection, "get_autocommit") and hasattr(connection, "server_status"):
        is_in_transaction = connection.server_status & _MYSQL_IN_TRANSACTION
        return bool(connection.get_autocommit()) and not is_in_transaction
    if is_automatic or getattr(connection, "isolation_level", "") is None:
        return getattr(connection, "in_transaction", None) is False
    return False


def _is_autocommit_of_sqlalchemy(connection: Any) -> bool:
    """Return whether a connection's settings make SQLAlchemy commit each statement separately."""
    level = connection.get_execution_options().get("isolation_level")
    if level is None:
        level = getattr(connection.dialect, "_on_connect_isolation_level", None)
    return bool(level == "AUTOCOMMIT")
