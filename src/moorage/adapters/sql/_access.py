"""Lets a pipeline use a SQL connector, synchronous or asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeAlias

    from moorage.adapters.sql.statements import Statement
    from moorage.adapters.sql.transactions import AsyncTransaction, Transaction
    from moorage.ports.connector import AsyncPerformer, Performer

    AnyPerformer: TypeAlias = AsyncPerformer | Performer
    AnySqlConnector: TypeAlias = AsyncSqlConnector | SqlConnector


class SqlAccess:
    """Performs operations of a SQL connector; a synchronous connector runs in threads.

    Attributes:
        connector: the connector.
        system: the kind of the database: "postgresql", "mysql" or "sqlite".

    Args:
        manager: performs the operations, in the mode of the connector.
        connector: the connector.
    """

    def __init__(self, manager: AnyPerformer, connector: AnySqlConnector) -> None:
        if not isinstance(connector, (AsyncSqlConnector, SqlConnector)):
            raise ConfigurationError(
                f"An object of the type {type(connector).__name__} is not an SQL connector.",
                path="connector",
                remedy="Pass an AsyncSqlConnector, or a SqlConnector with a synchronous manager.",
            )
        self.connector = connector
        self.system = connector.database.system
        self._manager: Any = manager

    async def query(self, statement: Statement, **parameters: Any) -> Any:
        """Return the rows of a SQL query."""
        return await self._perform(self.connector.query(statement, **parameters))

    async def execute(self, statement: Statement, **parameters: Any) -> Any:
        """Execute a SQL statement."""
        return await self._perform(self.connector.execute(statement, **parameters))

    async def transact(
        self, work: Callable[[AsyncTransaction], Awaitable[Any]], *, name: str, repeatable: bool
    ) -> Any:
        """Await a function in a transaction, and commit the transaction.

        The function may await nothing but the transaction.
        """
        connector: Any = self.connector
        function: Any = work if isinstance(connector, AsyncSqlConnector) else _synchronous(work)
        return await self._perform(
            connector.transaction(function, name=name, repeatable=repeatable)
        )

    async def _perform(self, operation: Any) -> Any:
        manager, service = self._manager, self.connector.service
        if isinstance(self.connector, AsyncSqlConnector):
            return await manager.perform(service, operation)
        return await run_in_thread(lambda: manager.perform(service, operation))


def _synchronous(work: Callable[[AsyncTransaction], Awaitable[Any]]) -> Callable[..., Any]:
    """Return a synchronous function that runs a coroutine function in a transaction."""

    def function(transaction: Transaction) -> Any:
        flow: Any = work(cast("AsyncTransaction", _AwaitableTransaction(transaction)))
        return run_now(flow)

    return function


class _AwaitableTransaction:
    """A synchronous transaction with asynchronous methods, which never suspend."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def query(self, statement: Statement, /, **parameters: Any) -> Any:
        return self._transaction.query(statement, **parameters)

    async def execute(self, statement: Statement, /, **parameters: Any) -> int:
        return self._transaction.execute(statement, **parameters)

    async def execute_each(
        self, statement: Statement, rows: Sequence[Mapping[str, Any]], /
    ) -> None:
        self._transaction.execute_each(statement, rows)
