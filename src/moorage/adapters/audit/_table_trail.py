"""An audit trail in tables of any database."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from moorage.adapters.audit._table import AuditSql
from moorage.adapters.tables._statements import table_name
from moorage.domain.observation.audit import damaged_trail_error

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from moorage.adapters.audit._table import AuditTable
    from moorage.adapters.tables._table import Execute
    from moorage.domain.observation.audit import AuditHead, AuditPage, AuditQuery, AuditRecord

A = TypeVar("A")

PREFIX: Final = "moorage_"
TABLE: Final = "audit"
"""The name of the table, without its prefix."""


class Run(Protocol):
    """Runs a function in a transaction; retries it only if the failed attempt changed nothing."""

    def __call__(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A: ...


class TableTrail:
    """The operations of an `AuditStorage` on database tables."""

    durable: Final = True

    def _set_up(self, table: AuditTable, where: str, run: Run) -> None:
        self._where = where
        self._table = table
        self._run = run

    def append(
        self, build: Callable[[AuditHead], tuple[Sequence[AuditRecord], AuditHead]], /
    ) -> Sequence[AuditRecord]:
        """Append records to the audit trail; `build` creates them from the trail's current end.

        Raises:
            StorageUnavailable: the database is not available.
            ConfigurationError: the tables do not exist, or records are missing at the end.
        """
        records, head = self._run(partial(self._table.append, build=build))
        if records is None:
            raise damaged_trail_error(self._where, head.number)
        return records

    def head(self) -> AuditHead:
        """Return the head of the audit chain: the number and hash of its last record."""
        return self._run(self._table.head)

    def records(self) -> Iterator[AuditRecord]:
        """Yield all records page by page, in the order of their numbers."""
        number: int | None = None
        while page := self._run(partial(self._table.following, number=number)):
            yield from page
            number = page[-1].number

    def find(self, query: AuditQuery, /) -> AuditPage:
        """Return one page of the matching records, newest first."""
        return self._run(partial(self._table.find, query=query))


def statements_of(kind: str, prefix: str, schema: str | None = None) -> AuditSql:
    """Return the SQL statements for the audit tables in this kind of database."""
    base_name = f"{prefix}{TABLE}"
    head = table_name(f"{base_name}_head", prefix, schema, kind)
    return AuditSql(kind, base_name, table_name(base_name, prefix, schema, kind), head)
