"""Credentials in PostgreSQL, MariaDB or MySQL, encrypted separately for each service and tenant.

A row is found by a digest of its service and tenant. Each operation is a short transaction on a new
connection: with a URL no connection stays open, so none is shared with a forked child or another
event loop. Use a cache in front of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from moorage.adapters.credentials._sealed_operations import AsyncSealedOperations, SealedOperations
from moorage.adapters.sealed._table import PREFIX, AsyncSealedTable, SealedTable, SyncSealedTable
from moorage.domain.secrets.frames import without_arguments_in_errors

if TYPE_CHECKING:
    from datetime import timedelta

    import sqlalchemy
    from sqlalchemy import MetaData, Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.adapters.credentials._renewing import AsyncRenew, Renew
    from moorage.ports.cipher import Cipher


class _Credentials(SealedTable):
    _table_suffix: ClassVar[str] = "credentials"

    @classmethod
    def tables(
        cls, metadata: MetaData | None = None, *, prefix: str = PREFIX, schema: str | None = None
    ) -> Table:
        """Declare the table in `metadata`, for an application that writes its own migrations."""
        return cls._declared(metadata, prefix, schema)


class SqlCredentialProvider(_Credentials, SyncSealedTable, SealedOperations):
    """Encrypted credentials in PostgreSQL, MariaDB or MySQL, shared by processes.

    Two processes may renew the same credential concurrently; both then use the first result.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, whose pool provides a connection for each use; the engine
            then determines the timeout of a reply.
        cipher: encrypts the stored credentials.
        renew: called with the service, the tenant and the stale credential, returns a new one;
            without it nothing can be refreshed. One thread at a time calls it for a credential. Its
            result is dropped if the credential was replaced meanwhile.
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
        renew: Renew | None = None,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        schema: str | None = None,
    ) -> None:
        self._open(url, timeout, prefix, schema)
        super().__init__(self._rows, cipher, renew)


class AsyncSqlCredentialProvider(_Credentials, AsyncSealedTable, AsyncSealedOperations):
    """The asynchronous `SqlCredentialProvider`.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy with
            the driver psycopg or asyncmy, whose pool provides a connection for each use.
        cipher: encrypts the stored credentials.
        renew: awaited with the service, the tenant and the stale credential, returns a new one;
            without it nothing can be refreshed. One task at a time awaits it for a credential. Its
            result is dropped if the credential was replaced meanwhile.
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
        renew: AsyncRenew | None = None,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        schema: str | None = None,
    ) -> None:
        self._open(url, timeout, prefix, schema)
        super().__init__(self._rows, cipher, renew)
