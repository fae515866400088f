"""A table of sealed texts in PostgreSQL, MariaDB or MySQL: declared, made, and opened."""

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

_PLAIN: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_AWAITED: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}


class SealedTable:
    """The common part of the synchronous and the asynchronous table."""

    _called: ClassVar[str]
    """The name of the table, without its prefix."""

    _rows: SealedRows
    _source: Source
    _table: Table

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """The statement that makes the table: of `postgresql`, `mysql` or `mariadb`."""
        made = CreateTable(cls._declared(None, prefix, schema))
        return f"{str(made.compile(dialect=dialect_of(dialect))).strip()};\n"

    @classmethod
    def _declared(cls, metadata: MetaData | None, prefix: str, schema: str | None) -> Table:
        metadata = checked(metadata, prefix)
        name = f"{prefix}{cls._called}"
        found = metadata.tables.get(f"{schema}.{name}" if schema else name)
        return declared(metadata, name, schema) if found is None else found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"


class PlainSealedTable(SealedTable):
    """A table that is waited for."""

    def _open(
        self, url: object, timeout: float | timedelta, prefix: str, schema: str | None
    ) -> None:
        bound = seconds(timeout, "timeout")
        self._table = self._declared(None, prefix, schema)
        self._source = Source(url, _PLAIN, awaited=False, timeout=bound, path="url")
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
        # Out here, or it would carry along the frames of the driver, which hold the password.
        raise failure


class AwaitedSealedTable(SealedTable):
    """A table that is awaited."""

    def _open(
        self, url: object, timeout: float | timedelta, prefix: str, schema: str | None
    ) -> None:
        bound = seconds(timeout, "timeout")
        self._table = self._declared(None, prefix, schema)
        self._source = Source(url, _AWAITED, awaited=True, timeout=bound, path="url")
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
