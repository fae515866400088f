"""The SQL definition of a table of encrypted strings for PostgreSQL, MariaDB or MySQL."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from sqlalchemy.schema import CreateTable

from moorage.adapters.databases._sql_schema import checked_metadata, dialect_of
from moorage.adapters.databases._sql_source import Source
from moorage.adapters.databases._sql_transactions import (
    AsyncTransactions,
    BlockingTransactions,
    Transactions,
)
from moorage.adapters.sealed._rows import SqlRows, create, declare_table
from moorage.domain.values.durations import seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy import MetaData, Table

PREFIX: Final = "moorage_"


class SealedTable:
    """The common code of the synchronous and asynchronous tables of encrypted strings."""

    _table_suffix: ClassVar[str]
    """The name of the table, without its prefix."""

    _rows: SqlRows
    _source: Source
    _table: Table

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statement that creates the table in `postgresql`, `mysql` or `mariadb`."""
        statement = CreateTable(cls._declared(None, prefix, schema))
        return f"{str(statement.compile(dialect=dialect_of(dialect))).strip()};\n"

    @classmethod
    def _declared(cls, metadata: MetaData | None, prefix: str, schema: str | None) -> Table:
        metadata = checked_metadata(metadata, prefix)
        name = f"{prefix}{cls._table_suffix}"
        existing_table = metadata.tables.get(f"{schema}.{name}" if schema else name)
        return declare_table(metadata, name, schema) if existing_table is None else existing_table

    def _connect(
        self,
        url: object,
        timeout: float | timedelta,
        prefix: str,
        schema: str | None,
        transactions: type[Transactions],
        *,
        is_async: bool,
    ) -> None:
        timeout_seconds = seconds(timeout, "timeout")
        self._table = self._declared(None, prefix, schema)
        self._source = Source(url, is_async=is_async, timeout=timeout_seconds, path="url")
        self._rows = SqlRows(self._source, self._table, transactions, timeout_seconds)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"


class SyncSealedTable(SealedTable):
    """A table of encrypted strings with synchronous operations."""

    def _open(
        self, url: object, timeout: float | timedelta, prefix: str, schema: str | None
    ) -> None:
        self._connect(url, timeout, prefix, schema, BlockingTransactions, is_async=False)

    def migrate(self) -> None:
        """Create a missing table, or add missing columns."""
        self._source.create_tables(partial(create, self._table))


class AsyncSealedTable(SealedTable):
    """A table of encrypted strings with asynchronous operations."""

    def _open(
        self, url: object, timeout: float | timedelta, prefix: str, schema: str | None
    ) -> None:
        self._connect(url, timeout, prefix, schema, AsyncTransactions, is_async=True)

    async def migrate(self) -> None:
        """Create a missing table, or add missing columns."""
        await self._source.acreate_tables(partial(create, self._table))
