"""Tenants in PostgreSQL, MariaDB or MySQL, what each has sealed for it."""

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
    """Knows tenants from PostgreSQL, MariaDB or MySQL, sealed, for all processes that share it.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, of whose pool a connection of its own is taken for each use;
            how long that waits for a reply is then the engine's matter.
        cipher: seals what is stored.
        timeout: seconds, or a timedelta: how long to wait for a connection, for rows that others
            have locked, and for a reply.
        prefix: what the name of the table begins with.
        schema: the schema of the table, where it is not the connection's own.
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
        """What tells the tables from those before."""
        return run_now(self._sealed.version(tenant))

    def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """What a tenant has; of one that is not known, nothing."""
        return run_now(self._sealed.tables(tenant))

    def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Keep what a tenant has, in place of what it had."""
        run_now(self._sealed.put(tenant, tables))

    def remove(self, tenant: str, /) -> None:
        """Know a tenant no more."""
        run_now(self._sealed.remove(tenant))

    def clear(self) -> int:
        """Know nobody any more, and say how many that were."""
        return run_now(self._sealed.clear())


class AsyncSqlTenants(_Tenants, AwaitedSealedTable):
    """As `SqlTenants`, awaited.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy with
            the driver psycopg or asyncmy, of whose pool a connection of its own is taken for each
            use.
        cipher: seals what is stored.
        timeout: seconds, or a timedelta: how long each step may take that waits for the database.
        prefix: what the name of the table begins with.
        schema: the schema of the table, where it is not the connection's own.
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
        """What tells the tables from those before."""
        return await self._sealed.version(tenant)

    async def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """What a tenant has; of one that is not known, nothing."""
        return await self._sealed.tables(tenant)

    async def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Keep what a tenant has, in place of what it had."""
        await self._sealed.put(tenant, tables)

    async def remove(self, tenant: str, /) -> None:
        """Know a tenant no more."""
        await self._sealed.remove(tenant)

    async def clear(self) -> int:
        """Know nobody any more, and say how many that were."""
        return await self._sealed.clear()
