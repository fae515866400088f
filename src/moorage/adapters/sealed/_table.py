"""Declares, creates and opens a table of encrypted texts in PostgreSQL, MariaDB or MySQL."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from sqlalchemy.schema import CreateTable

from moorage.adapters.databases._sql_schema import checked, dialect_of
from moorage.adapters.databases._sql_source import Source
from moorage.adapters.databases._sql_transactions import AsyncTransactions, BlockingTransactions
from moorage.adapters.sealed._rows import SealedRows, create, declared
from moorage.domain.values.durations import seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy import MetaData, Table

PREFIX: Final = "moorage_"

_SYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_ASYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}


class SealedTable:
    """The common part of the synchronous and the asynchronous table."""

    _called: ClassVar[str]
    """The name of the table, without its prefix."""

    _rows: SealedRows
    _source: Source
    _table: Table

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statement that creates the table in `postgresql`, `mysql` or `mariadb`."""
        statement = CreateTable(cls._declared(None, prefix, schema))
        return f"{str(statement.compile(dialect=dialect_of(dialect))).strip()};\n"

    @classmethod
    def _declared(cls, metadata: MetaData | None, prefix: str, schema: str | None) -> Table:
        metadata = checked(metadata, prefix)
        name = f"{prefix}{cls._called}"
        existing = metadata.tables.get(f"{schema}.{name}" if schema else name)
        return declared(metadata, name, schema) if existing is None else existing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"


class PlainSealedTable(SealedTable):
    """A table with synchronous operations."""

    def _open(
        self, url: object, timeout: float | timedelta, prefix: str, schema: str | None
    ) -> None:
        bound = seconds(timeout, "timeout")
        self._table = self._declared(None, prefix, schema)
        self._source = Source(url, _SYNC_DRIVERS, awaited=False, timeout=bound, path="url")
        self._rows = SealedRows(self._source, self._table, BlockingTransactions, bound)

    def migrate(self) -> None:
        """Create a missing table."""
        try:
            with self._source.engine.begin() as connection:
                create(self._table, connection)
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            failure = self._source.unmade(error)
        else:
            return
        # Raised outside the handler, so that it does not carry the driver's frames with the
        # password.
        raise failure


class AwaitedSealedTable(SealedTable):
    """A table with asynchronous operations."""

    def _open(
        self, url: object, timeout: float | timedelta, prefix: str, schema: str | None
    ) -> None:
        bound = seconds(timeout, "timeout")
        self._table = self._declared(None, prefix, schema)
        self._source = Source(url, _ASYNC_DRIVERS, awaited=True, timeout=bound, path="url")
        self._rows = SealedRows(self._source, self._table, AsyncTransactions, bound)

    async def migrate(self) -> None:
        """Create a missing table."""
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - wants greenlet

        try:
            async with AsyncEngine(self._source.engine).begin() as connection:
                await connection.run_sync(partial(create, self._table))
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            failure = self._source.unmade(error)
        else:
            return
        raise failure
