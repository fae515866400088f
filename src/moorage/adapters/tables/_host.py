"""Transactions on the application's own database connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.tables._host_transactions import PLACEHOLDERS, HostConnection
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.tables._table import Execute, Statement, StatementResult

A = TypeVar("A")

_KINDS: Final = {"mariadb": "mysql", **{kind: kind for kind in PLACEHOLDERS}}


class TransactionRunner(Protocol):
    """A function of the application that passes an open transaction's connection to a callback.

    The transaction ends with the call, unless the host had begun it before. Errors of the database
    are raised as `ConnectorError`.
    """

    def __call__(self, work: Callable[[Any], A], /) -> A: ...


class HostTables:
    """Runs transactions on connections of the application.

    Args:
        database: `sqlite`, `postgresql`, `mysql` or `mariadb`.
        lend: lends a DB-API connection, or a connection or session of SQLAlchemy.
        mark: the placeholder of a value in a statement; by default that of the usual drivers.
    """

    def __init__(self, database: str, lend: TransactionRunner, mark: str | None) -> None:
        if database not in _KINDS:
            raise ConfigurationError(
                f"The database {database!r} is unknown.",
                path="database",
                remedy=f"Use one of {', '.join(sorted(_KINDS))}.",
            )
        self.kind = _KINDS[database]
        self._lend = lend
        self._placeholder = PLACEHOLDERS[self.kind] if mark is None else mark

    def transact(self, work: Callable[[Execute], Coroutine[Any, Any, A]]) -> A:
        """Run a function in one transaction; in SQLite, each statement commits separately.

        A transaction of SQLite that has read may no longer be able to write.
        """
        if self.kind == "sqlite":
            return run_now(work(self._run_separately))
        return self.join(self._lend, work)

    def join(self, lend: TransactionRunner, work: Callable[[Execute], Coroutine[Any, Any, A]]) -> A:
        """Run a function on one of the application's connections."""
        return lend(lambda connection: run_now(work(HostConnection(connection, self._placeholder))))

    async def _run_separately(
        self,
        *statements: Statement,
        keep_open: bool = False,  # noqa: ARG002 - each statement is a transaction
        writes: bool = False,  # noqa: ARG002 - the host commits
    ) -> list[StatementResult]:
        if not statements:
            return []
        return self._lend(
            lambda connection: run_now(HostConnection(connection, self._placeholder)(*statements))
        )
