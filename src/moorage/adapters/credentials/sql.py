"""Credentials in PostgreSQL, MariaDB or MySQL, each sealed for its service and tenant.

A row is found by a digest of whom it belongs to. What is done with it is one short transaction, on
a connection that is opened for it: from a URL nothing stays open, so nothing of it crosses a fork
or an event loop. Put a cache in front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.credentials._renewing import AsyncRenewing, Renewing
from moorage.adapters.credentials._vault import SealedVault
from moorage.adapters.credentials._vaults import PlainVault
from moorage.adapters.sealed._table import PREFIX, AwaitedSealedTable, PlainSealedTable, SealedTable
from moorage.domain.secrets.frames import refusing

if TYPE_CHECKING:
    from datetime import timedelta

    import sqlalchemy
    from sqlalchemy import MetaData, Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.adapters.credentials._renewing import AsyncRenew, Renew
    from moorage.ports.cipher import Cipher


class _Credentials(SealedTable):
    _called: ClassVar[str] = "credentials"

    @classmethod
    def tables(
        cls, metadata: MetaData | None = None, *, prefix: str = PREFIX, schema: str | None = None
    ) -> Table:
        """Declare the table in `metadata`, for a host that makes its own migrations."""
        return cls._declared(metadata, prefix, schema)


class SqlCredentialProvider(_Credentials, PlainSealedTable, Renewing):
    """Keeps credentials in PostgreSQL, MariaDB or MySQL, sealed, for all processes that share it.

    Two processes may renew the same credential at once; what came first is kept by both.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, of whose pool a connection of its own is taken for each use;
            how long that waits for a reply is then the engine's matter.
        cipher: seals what is stored.
        renew: asked for a new credential with the service, the tenant and the stale one; without
            it nothing can be refreshed. It is called by one thread at a time for each credential.
            Its result is dropped if the credential was replaced meanwhile.
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
        renew: Renew | None = None,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        schema: str | None = None,
    ) -> None:
        self._open(url, timeout, prefix, schema)
        self._sealed = SealedVault(self._rows, cipher)
        super().__init__(PlainVault(self._sealed), renew)

    def reseal(self, *, batch: int = 100) -> int:
        """Seal anew what another key has sealed than seals now, and say how many that were.

        Others may read and write meanwhile. Credentials that cannot be opened are left as they
        are, and when all others are done, the first failure is raised.
        """
        return run_now(self._sealed.reseal(batch))

    def owners(self) -> list[tuple[str, str | None]]:
        """The services and tenants whose credentials are stored, in order; nothing is opened."""
        return run_now(self._sealed.owners())

    def delete(self, service: str, tenant: str | None, /) -> bool:
        """Forget what is stored for this service and tenant, and say whether there was anything."""
        return run_now(self._sealed.forget((service, tenant)))

    def clear(self) -> int:
        """Take every credential away, and say how many that were."""
        return run_now(self._rows.clear())


class AsyncSqlCredentialProvider(_Credentials, AwaitedSealedTable, AsyncRenewing):
    """As `SqlCredentialProvider`, awaited.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy with
            the driver psycopg or asyncmy, of whose pool a connection of its own is taken for each
            use.
        cipher: seals what is stored.
        renew: awaited for a new credential with the service, the tenant and the stale one; without
            it nothing can be refreshed. It runs in one task at a time for each credential. Its
            result is dropped if the credential was replaced meanwhile.
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
        renew: AsyncRenew | None = None,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        schema: str | None = None,
    ) -> None:
        self._open(url, timeout, prefix, schema)
        self._sealed = SealedVault(self._rows, cipher)
        super().__init__(self._sealed, renew)

    async def reseal(self, *, batch: int = 100) -> int:
        """Seal anew what another key has sealed than seals now, and say how many that were.

        Others may read and write meanwhile. Credentials that cannot be opened are left as they
        are, and when all others are done, the first failure is raised.
        """
        return await self._sealed.reseal(batch)

    async def owners(self) -> list[tuple[str, str | None]]:
        """The services and tenants whose credentials are stored, in order; nothing is opened."""
        return await self._sealed.owners()

    async def delete(self, service: str, tenant: str | None, /) -> bool:
        """Forget what is stored for this service and tenant, and say whether there was anything."""
        return await self._sealed.forget((service, tenant))

    async def clear(self) -> int:
        """Take every credential away, and say how many that were."""
        return await self._rows.clear()
