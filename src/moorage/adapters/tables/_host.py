"""Tables that a host's migrations make, used on connections that the host lends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.tables._host_transactions import MARKS, LentConnection
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.tables._table import Ask, Asked, Told

A = TypeVar("A")

_KINDS: Final = {"mariadb": "mysql", **{kind: kind for kind in MARKS}}


class Lend(Protocol):
    """Calls a function with a connection that has a transaction open, and returns its result.

    The transaction ends with the call, unless it is one of the host's. Errors of the database are
    raised as `ConnectorError`.
    """

    def __call__(self, work: Callable[[Any], A], /) -> A: ...


class HostTables:
    """Transactions on connections that a host lends.

    Args:
        database: `sqlite`, `postgresql`, `mysql` or `mariadb`.
        lend: lends a DB-API connection, or a connection or session of SQLAlchemy.
        mark: what stands for a value in a statement; by default as the usual drivers want it.
    """

    def __init__(self, database: str, lend: Lend, mark: str | None) -> None:
        if database not in _KINDS:
            raise ConfigurationError(
                f"{database!r} is no database of a kind that is known here.",
                path="database",
                remedy=f"Give one of {', '.join(sorted(_KINDS))}.",
            )
        self.kind = _KINDS[database]
        self._lend = lend
        self._mark = MARKS[self.kind] if mark is None else mark

    def transact(self, work: Callable[[Ask], Coroutine[Any, Any, A]]) -> A:
        """Do something in one transaction; in a file, each statement in one of its own.

        Who has read in a transaction of SQLite's may find itself too late to write there.
        """
        if self.kind == "sqlite":
            return run_now(work(self._each))
        return self.join(self._lend, work)

    def join(self, lend: Lend, work: Callable[[Ask], Coroutine[Any, Any, A]]) -> A:
        """Do something on one connection that is lent for it."""
        return lend(lambda connection: run_now(work(LentConnection(connection, self._mark))))

    async def _each(
        self,
        *asked: Asked,
        goes_on: bool = False,  # noqa: ARG002 - nothing goes on
        writes: bool = False,  # noqa: ARG002 - the host commits what there is
    ) -> list[Told]:
        if not asked:
            return []
        return self._lend(
            lambda connection: run_now(LentConnection(connection, self._mark)(*asked))
        )
