"""Encrypted configurations of tenants in PostgreSQL, MariaDB or MySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from moorage.adapters.sealed._table import PREFIX, AsyncSealedTable, SealedTable, SyncSealedTable
from moorage.adapters.tenants._sealed import AsyncTenantOperations, SealedTenants, TenantOperations
from moorage.domain.secrets.frames import without_arguments_in_errors

if TYPE_CHECKING:
    from datetime import timedelta

    import sqlalchemy
    from sqlalchemy import MetaData, Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.ports.cipher import Cipher


class _Tenants(SealedTable):
    _table_suffix: ClassVar[str] = "tenants"

    @classmethod
    def tables_of(
        cls, metadata: MetaData | None = None, *, prefix: str = PREFIX, schema: str | None = None
    ) -> Table:
        """Declare the table in `metadata`, for an application that writes its own migrations."""
        return cls._declared(metadata, prefix, schema)


class SqlTenants(_Tenants, SyncSealedTable, TenantOperations):
    """Encrypted configurations of tenants in PostgreSQL, MariaDB or MySQL.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, whose pool provides a connection for each use; the engine
            then determines the timeout of a reply.
        cipher: encrypts the stored tables.
        timeout: seconds, or a timedelta, to wait for a connection, for locked rows and for a
            reply.
        prefix: the beginning of the table's name.
        schema: the schema of the table, if it is not the connection's default.
    """

    @without_arguments_in_errors
    def __init__(
        self,
        url: str | sqlalchemy.URL | sqlalchemy.Engine,
        cipher: Cipher,
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        schema: str | None = None,
    ) -> None:
        self._open(url, timeout, prefix, schema)
        self._sealed = SealedTenants(self._rows, cipher)


class AsyncSqlTenants(_Tenants, AsyncSealedTable, AsyncTenantOperations):
    """The asynchronous `SqlTenants`.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy with
            the driver psycopg or asyncmy, whose pool provides a connection for each use.
        cipher: encrypts the stored tables.
        timeout: seconds, or a timedelta, for each step that waits for the database.
        prefix: the beginning of the table's name.
        schema: the schema of the table, if it is not the connection's default.
    """

    @without_arguments_in_errors
    def __init__(
        self,
        url: str | sqlalchemy.URL | AsyncEngine,
        cipher: Cipher,
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        schema: str | None = None,
    ) -> None:
        self._open(url, timeout, prefix, schema)
        self._sealed = SealedTenants(self._rows, cipher)
