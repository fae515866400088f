"""Credentials in PostgreSQL, MariaDB or MySQL, each sealed for its service and tenant.

A row is found by a digest of whom it belongs to. What is done with it is one short transaction, on
a connection that is opened for it: from a URL nothing stays open, so nothing of it crosses a fork
or an event loop. Put a cache in front.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Table, Text, select, text, update
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from mooring.adapters._plain import PlainVault, run_now
from mooring.adapters._renewing import AsyncRenewing, Renewing
from mooring.adapters._sealed_vault import Row, SealedVault
from mooring.adapters._sql_schema import BYTES, DIGEST, alone, checked, dialect_of, like_bytes
from mooring.adapters._sql_source import Source
from mooring.adapters._sql_trips import Awaiting, Blocking
from mooring.domain.durations import seconds
from mooring.domain.frames import refusing
from mooring.domain.packing import unpack_values
from mooring.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    import sqlalchemy
    from sqlalchemy import Connection, MetaData
    from sqlalchemy.ext.asyncio import AsyncEngine

    from mooring.adapters._renewing import AsyncRenew, Renew
    from mooring.adapters._sealed_vault import Swap
    from mooring.errors import ConnectorError
    from mooring.ports.cipher import Cipher

_PREFIX: Final = "mooring_"
_PLAIN: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_AWAITED: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}
_NO_TABLE: Final = frozenset({"42P01", "42703", "3F000", 1146, 1054, 1049})
_DENIED: Final = frozenset({"42501", 1142, 1143})
_LONGEST: Final = 1_000


class _Common:
    """What both colours have in common."""

    _table: Table
    _source: Source

    @staticmethod
    def tables(
        metadata: MetaData | None = None, *, prefix: str = _PREFIX, schema: str | None = None
    ) -> Table:
        """Declare the table in `metadata`, for a host that makes its own migrations."""
        metadata = checked(metadata, prefix)
        name = f"{prefix}credentials"
        found = metadata.tables.get(f"{schema}.{name}" if schema else name)
        return _declared(metadata, name, schema) if found is None else found

    @staticmethod
    def ddl(dialect: str, *, prefix: str = _PREFIX, schema: str | None = None) -> str:
        """The statement that makes the table: of `postgresql`, `mysql` or `mariadb`."""
        made = CreateTable(_Common.tables(None, prefix=prefix, schema=schema))
        return f"{str(made.compile(dialect=dialect_of(dialect))).strip()};\n"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"


class SqlCredentialProvider(_Common, Renewing):
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
        prefix: str = _PREFIX,
        schema: str | None = None,
    ) -> None:
        bound = seconds(timeout, "timeout")
        self._table = self.tables(prefix=prefix, schema=schema)
        self._source = Source(url, _PLAIN, awaited=False, timeout=bound, path="url")
        self._sealed = SealedVault(_Rows(self._source, self._table, Blocking, bound), cipher)
        super().__init__(PlainVault(self._sealed), renew)

    def migrate(self) -> None:
        """Make the table if it is missing."""
        try:
            with self._source.engine.begin() as connection:
                _create(self._table, connection)
        except Exception as error:  # noqa: BLE001 - no foreign error passes
            failure = self._source.unmade(error)
        else:
            return
        # Out here, or it would carry along the frames of the driver, which hold the password.
        raise failure

    def reseal(self, *, batch: int = 100) -> int:
        """Seal anew what another key has sealed than seals now, and say how many that were.

        Others may read and write meanwhile. Credentials that cannot be opened are left as they
        are, and when all others are done, the first failure is raised.
        """
        return run_now(self._sealed.reseal(batch))


class AsyncSqlCredentialProvider(_Common, AsyncRenewing):
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
        prefix: str = _PREFIX,
        schema: str | None = None,
    ) -> None:
        bound = seconds(timeout, "timeout")
        self._table = self.tables(prefix=prefix, schema=schema)
        self._source = Source(url, _AWAITED, awaited=True, timeout=bound, path="url")
        rows = _Rows(self._source, self._table, Awaiting, bound)
        self._sealed = SealedVault(rows, cipher)
        super().__init__(self._sealed, renew)

    async def migrate(self) -> None:
        """Make the table if it is missing."""
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - wants greenlet

        try:
            async with AsyncEngine(self._source.engine).begin() as connection:
                await connection.run_sync(partial(_create, self._table))
        except Exception as error:  # noqa: BLE001 - no foreign error passes
            failure = self._source.unmade(error)
        else:
            return
        raise failure

    async def reseal(self, *, batch: int = 100) -> int:
        """Seal anew what another key has sealed than seals now, and say how many that were.

        Others may read and write meanwhile. Credentials that cannot be opened are left as they
        are, and when all others are done, the first failure is raised.
        """
        return await self._sealed.reseal(batch)


class _Rows:
    """The rows of the table, in the order of their ids."""

    def __init__(
        self, source: Source, table: Table, colour: type[Blocking | Awaiting], timeout: float
    ) -> None:
        kind = source.kind
        self._run = colour(source, partial(_meaning, source, table), timeout).run
        self._table = table
        self._bounds = _bounds(kind, timeout)
        self._insert = _upsert_postgresql if kind == "postgresql" else _upsert_mysql

    async def find(self, about: bytes, /) -> bytes | None:
        """What is sealed about this."""
        columns = self._table.c
        wanted = select(columns.sealed).where(columns.id == _id(about))
        return await self._run(lambda link: self._bounded(link).execute(wanted).scalar())

    async def put(self, about: bytes, sealed: bytes, /) -> None:
        """Put a text in place."""
        row = {"id": _id(about), "owner": _shown(about), "about": about, "sealed": sealed}
        statement = self._insert(self._table, row)
        await self._run(lambda link: self._bounded(link).execute(statement))

    async def swap(self, swaps: Sequence[Swap], /) -> int:
        """Put texts in place of others that are still there, locking rows in their order."""
        columns = self._table.c
        statements = [
            update(self._table).where(columns.id == id_, columns.sealed == old).values(sealed=new)
            for id_, old, new in sorted((_id(about), old, new) for about, old, new in swaps)
        ]

        def work(link: Connection) -> int:
            self._bounded(link)
            return sum(link.execute(statement).rowcount for statement in statements)

        return await self._run(work)

    async def page(self, after: bytes, size: int, /) -> list[Row]:
        """So many rows, in the order of their ids."""
        columns = self._table.c
        wanted = (
            select(columns.id, columns.about, columns.sealed)
            .where(columns.id > after)
            .order_by(columns.id)
            .limit(size)
        )
        found = await self._run(lambda link: self._bounded(link).execute(wanted).fetchall())
        # A row that somebody moved is about what its id says, so that it does not open.
        return [
            Row(id_, about if _id(about) == id_ else id_, sealed) for id_, about, sealed in found
        ]

    def _bounded(self, link: Connection) -> Connection:
        """The connection, which waits for others and for itself no longer than it may."""
        for statement in self._bounds:
            link.execute(text(statement))
        return link


def _declared(metadata: MetaData, name: str, schema: str | None) -> Table:
    return Table(
        name,
        metadata,
        Column("id", DIGEST, primary_key=True, comment="SHA-256 of about"),
        Column("owner", Text, nullable=False, comment="service and tenant, for people"),
        Column("about", BYTES, nullable=False, comment="what the text was sealed about"),
        Column("sealed", BYTES, nullable=False),
        schema=schema,
        **like_bytes(),
    )


def _create(table: Table, connection: Connection) -> None:
    with alone(connection, table.name):
        table.metadata.create_all(connection, [table])


def _bounds(kind: str, timeout: float) -> list[str]:
    if kind == "postgresql":
        most = max(1, round(timeout * 1000))
        return [f"SET LOCAL statement_timeout = {most}", f"SET LOCAL lock_timeout = {most}"]
    # The drivers' own bounds have to do: what is set here would stay set for a host's engine.
    return []


def _upsert_postgresql(table: Table, row: dict[str, Any]) -> postgresql.Insert:
    made = postgresql.insert(table).values(row)
    return made.on_conflict_do_update(
        index_elements=[table.c.id],
        set_={name: made.excluded[name] for name in ("owner", "about", "sealed")},
    )


def _upsert_mysql(table: Table, row: dict[str, Any]) -> mysql.Insert:
    made = mysql.insert(table).values(row)
    return made.on_duplicate_key_update(
        {name: made.inserted[name] for name in ("owner", "about", "sealed")}
    )


def _id(about: bytes) -> bytes:
    return sha256(about).digest()


def _shown(about: bytes) -> str:
    """Whom it belongs to, as any database takes it, whatever its encoding."""
    tenant, service, _ = unpack_values(about)
    owner = service if tenant is None else f"{service} of {tenant}"
    return owner.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:_LONGEST]


def _meaning(source: Source, table: Table, error: BaseException) -> ConnectorError:
    """What an error in a transaction means."""
    origin = getattr(error, "orig", None)
    codes = {getattr(origin, "sqlstate", None), *getattr(origin, "args", ())[:1]}
    name = source.quoted(table)
    if codes & _NO_TABLE:
        return ConfigurationError(
            f"there is no usable table {name} in {source.where}.",
            path="url",
            remedy="Run `migrate()` of the provider once, or what its `ddl()` prints.",
        )
    if codes & _DENIED:
        return ConfigurationError(
            f"{source.where} does not allow us to use {name}.",
            path="url",
            remedy="Grant SELECT, INSERT and UPDATE on it; who only reads needs SELECT.",
        )
    return source.unreachable(error)
