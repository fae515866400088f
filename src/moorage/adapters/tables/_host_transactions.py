"""The transaction of a host, in which an entry is added: DB-API connections and SQLAlchemy's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.tables._table import Told
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from moorage.adapters.tables._table import Asked, Value

MARKS: Final = {"sqlite": "?", "postgresql": "%s", "mysql": "%s"}
"""What stands for a value in a statement, as the usual drivers of a database want it."""

_PLAIN: Final = "a DB-API connection, or a Connection or Session of SQLAlchemy"
_AWAITED: Final = "an asynchronous connection of the driver, or SQLAlchemy's AsyncSession"


class LentConnection:
    """A connection of a host's that has a transaction open; its errors are the driver's.

    Args:
        connection: a DB-API connection, or a connection or session of SQLAlchemy.
        mark: what stands for a value in a statement.
    """

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection = connection
        self._mark = mark

    async def __call__(
        self,
        *asked: Asked,
        goes_on: bool = False,  # noqa: ARG002 - the host ends its transaction
        writes: bool = False,  # noqa: ARG002 - as above
    ) -> list[Told]:
        """Run statements in the host's transaction."""
        run = await self._opened()
        return [await run(text.replace("?", self._mark), tuple(row)) for text, row in asked]

    async def _opened(self) -> Callable[[str, tuple[Value, ...]], Coroutine[Any, Any, Told]]:
        connection = self._connection
        if hasattr(connection, "get_bind"):
            connection = await _settled(connection.connection())

        async def through_sqlalchemy(text: str, values: tuple[Value, ...]) -> Told:
            result = await _settled(connection.exec_driver_sql(text, values))
            return Told(result.fetchall() if result.returns_rows else (), result.rowcount)

        async def through_a_cursor(text: str, values: tuple[Value, ...]) -> Told:
            cursor = await _settled(connection.cursor())
            try:
                await _settled(cursor.execute(text, values))
                rows = await _settled(cursor.fetchall()) if cursor.description else ()
                return Told(list(map(_plain, rows)), cursor.rowcount)
            finally:
                await _settled(cursor.close())

        return through_sqlalchemy if hasattr(connection, "exec_driver_sql") else through_a_cursor


class HostLink(LentConnection):
    """The open transaction of a host in which an entry is added; errors are told as ours.

    Args:
        connection: the host's connection or session.
        kind: the kind of its database.
        awaited: whether what it does is awaited.
    """

    def __init__(self, connection: Any, kind: str, *, awaited: bool) -> None:
        super().__init__(connection, MARKS[kind])
        wanted = _AWAITED if awaited else _PLAIN
        if not any(hasattr(connection, name) for name in ("exec_driver_sql", "cursor", "get_bind")):
            raise ConfigurationError(
                f"a {type(connection).__name__} is no connection to a database.",
                path="connection",
                remedy=f"Give {wanted}.",
            )
        if _is_awaited(connection) is not awaited:
            colours = ("asynchronous", "synchronous")
            has, needs = colours if not awaited else colours[::-1]
            raise ConfigurationError(
                f"the {type(connection).__name__} is {has}, and this store is {needs}.",
                path="connection",
                remedy=f"Give {wanted}.",
            )
        if _is_between_transactions(connection):
            raise ConfigurationError(
                "the connection commits every statement by itself, so the entry would be there"
                " before your own rows, and stay if they are rolled back.",
                path="connection",
                remedy="Begin a transaction on it first, or turn its autocommit off.",
            )

    async def __call__(
        self, *asked: Asked, goes_on: bool = False, writes: bool = False
    ) -> list[Told]:
        """Run statements in the host's transaction."""
        try:
            return await super().__call__(*asked, goes_on=goes_on, writes=writes)
        except Exception as error:  # noqa: BLE001 - no foreign error passes
            kind = type(error).__name__
        raise StorageUnavailable(
            f"the host's transaction did not take an entry ({kind}).",
            remedy="Roll it back and try again. If that does not help, run `migrate()` of the"
            " store, and check that the connection leads to the same database.",
        )


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _plain(row: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any]:
    """The values of a row, whatever kind of rows the host has chosen."""
    return tuple(row.values()) if isinstance(row, Mapping) else tuple(row)


def _is_awaited(connection: Any) -> bool:
    if hasattr(connection, "get_bind"):
        return inspect.iscoroutinefunction(connection.connection)
    name = "exec_driver_sql" if hasattr(connection, "exec_driver_sql") else "commit"
    return inspect.iscoroutinefunction(getattr(connection, name, None))


def _is_between_transactions(connection: Any) -> bool:
    """Whether a connection commits by itself what is written now, as far as it can be told."""
    if getattr(connection, "isolation_level", "") is None and hasattr(connection, "in_transaction"):
        return connection.in_transaction is False
    if getattr(connection, "autocommit", None) is True and hasattr(connection, "pgconn"):
        return int(connection.pgconn.transaction_status) == 0
    return False
