"""Encrypted tables of tenants in PostgreSQL, MariaDB or MySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.sealed._table import PREFIX, AwaitedSealedTable, PlainSealedTable, SealedTable
from moorage.adapters.tenants._sealed import SealedTenants
from moorage.domain.secrets.frames import refusing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    import sqlalchemy
    from sqlalchemy import MetaData, Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.ports.cipher import Cipher


class _Tenants(SealedTable):
    _called: ClassVar[str] = "tenants"

    @classmethod
    def tables_of(
        cls, metadata: MetaData | None = None, *, prefix: str = PREFIX, schema: str | None = None
    ) -> Table:
        """Declare the table in `metadata`, for a host that makes its own migrations."""
        return cls._declared(metadata, prefix, schema)


class SqlTenants(_Tenants, PlainSealedTable):
    """Encrypted tables of tenants in PostgreSQL, MariaDB or MySQL, for all processes that share it.

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

    @refusing
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

    def version(self, tenant: str, /) -> str | None:
        """Return a version that changes with the tables; None for an unknown tenant."""
        return run_now(self._sealed.version(tenant))

    def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return the tables of a tenant; empty for an unknown tenant."""
        return run_now(self._sealed.tables(tenant))

    def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store the tables of a tenant in place of the earlier ones."""
        run_now(self._sealed.put(tenant, tables))

    def remove(self, tenant: str, /) -> None:
        """Delete a tenant."""
        run_now(self._sealed.remove(tenant))

    def clear(self) -> int:
        """Delete all tenants, and return their number."""
        return run_now(self._sealed.clear())


class AsyncSqlTenants(_Tenants, AwaitedSealedTable):
    """The asynchronous `SqlTenants`.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy with
            the driver psycopg or asyncmy, whose pool provides a connection for each use.
        cipher: encrypts the stored tables.
        timeout: seconds, or a timedelta, for each step that waits for the database.
        prefix: the beginning of the table's name.
        schema: the schema of the table, if it is not the connection's default.
    """

    @refusing
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

    async def version(self, tenant: str, /) -> str | None:
        """Return a version that changes with the tables; None for an unknown tenant."""
        return await self._sealed.version(tenant)

    async def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return the tables of a tenant; empty for an unknown tenant."""
        return await self._sealed.tables(tenant)

    async def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store the tables of a tenant in place of the earlier ones."""
        await self._sealed.put(tenant, tables)

    async def remove(self, tenant: str, /) -> None:
        """Delete a tenant."""
        await self._sealed.remove(tenant)

    async def clear(self) -> int:
        """Delete all tenants, and return their number."""
        return await self._sealed.clear()
