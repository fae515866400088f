"""Encrypted strings in a table of PostgreSQL, MariaDB or MySQL.

A row is found by a digest of its id. Each operation is one short transaction.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Table, Text, delete, select, text, update
from sqlalchemy.dialects import mysql, postgresql

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_schema import (
    BYTES,
    DIGEST,
    byte_comparison,
    exclusive_creation,
    run_statement,
)
from moorage.adapters.databases._table_definition import add_missing_columns
from moorage.adapters.sealed._row import Row
from moorage.domain.state.packing import unpack_values
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, MetaData

    from moorage.adapters.databases._sql_source import Source
    from moorage.adapters.databases._sql_transactions import Transactions
    from moorage.adapters.sealed._row import TextReplacement
    from moorage.errors import ConnectorError

_NO_TABLE: Final = frozenset({"42P01", "42703", "3F000", 1146, 1054, 1049})
_DENIED_CODES: Final = frozenset({"42501", 1142, 1143})
_MAX_LENGTH: Final = 1_000


class SqlRows:
    """The encrypted strings of a table, ordered by id."""

    def __init__(
        self,
        source: Source,
        table: Table,
        transactions: type[Transactions],
        timeout: float,
    ) -> None:
        kind = source.kind
        self._run = transactions(source, partial(_error_of, source, table), timeout).run
        self._table = table
        self._timeout_statements = _timeout_statements(kind, timeout)
        self._insert = _upsert_postgresql if kind == "postgresql" else _upsert_mysql

    async def find(self, about: bytes, /) -> bytes | None:
        """Return the encrypted string with this id; None if there is none."""
        columns = self._table.c
        query = select(columns.sealed).where(columns.id == _id(about))
        return await self._run(lambda link: self._with_timeouts(link).execute(query).scalar())

    async def put(self, about: bytes, sealed: bytes, /) -> None:
        """Store an encrypted string."""
        row = {"id": _id(about), "owner": _readable_owner(about), "about": about, "sealed": sealed}
        statement = self._insert(self._table, row)
        await self._run(lambda link: self._with_timeouts(link).execute(statement))

    async def swap(self, swaps: Sequence[TextReplacement], /) -> int:
        """Replace strings that still have their old value; rows are locked in the order of ids."""
        columns = self._table.c
        statements = [
            update(self._table)
            .where(columns.id == id_, columns.sealed == old_sealed)
            .values(sealed=new_sealed)
            for id_, old_sealed, new_sealed in sorted(
                (_id(subject), old_text, new_text) for subject, old_text, new_text in swaps
            )
        ]

        def run_statements(link: Connection) -> int:
            self._with_timeouts(link)
            return sum(link.execute(statement).rowcount for statement in statements)

        return await self._run(run_statements)

    async def drop(self, about: bytes, /) -> bool:
        """Delete the encrypted string with this id; return whether it existed."""
        statement = delete(self._table).where(self._table.c.id == _id(about))
        return await self._run(
            lambda link: bool(self._with_timeouts(link).execute(statement).rowcount)
        )

    async def clear(self) -> int:
        """Delete all rows, and return their number."""
        statement = delete(self._table)
        return await self._run(lambda link: self._with_timeouts(link).execute(statement).rowcount)

    async def page(self, after: bytes, size: int, /) -> list[Row]:
        """Return at most `size` rows that follow an id."""
        columns = self._table.c
        query = (
            select(columns.id, columns.about, columns.sealed)
            .where(columns.id > after)
            .order_by(columns.id)
            .limit(size)
        )
        selected_rows = await self._run(
            lambda link: self._with_timeouts(link).execute(query).fetchall()
        )
        # A row that was moved gets the id of its new location, so decrypting it fails.
        return [
            Row(id_, subject if _id(subject) == id_ else id_, sealed_text)
            for id_, subject, sealed_text in selected_rows
        ]

    def _with_timeouts(self, link: Connection) -> Connection:
        """Set the timeouts of a connection, and return the connection."""
        for statement in self._timeout_statements:
            link.execute(text(statement))
        return link


def declare_table(metadata: MetaData, name: str, schema: str | None) -> Table:
    return Table(
        name,
        metadata,
        Column("id", DIGEST, primary_key=True, comment="SHA-256 of about"),
        Column("owner", Text, nullable=False, comment="service and tenant, for people"),
        Column("about", BYTES, nullable=False, comment="what the text was sealed about"),
        Column("sealed", BYTES, nullable=False),
        schema=schema,
        **byte_comparison(),
    )


def create(table: Table, connection: Connection) -> None:
    dialect = connection.dialect
    preparer = dialect.identifier_preparer
    columns = {
        preparer.format_column(column): dialect.type_compiler_instance.process(column.type)
        + ("" if column.nullable else " NOT NULL")
        for column in table.columns
    }
    kind = "postgresql" if dialect.name == "postgresql" else "mysql"
    quoted_table = preparer.format_table(table)
    with exclusive_creation(connection, table.name):
        table.metadata.create_all(connection, [table])
        run = run_statement(connection)
        run_now(add_missing_columns(run, kind, table.name, quoted_table, columns))


def _timeout_statements(kind: str, timeout: float) -> list[str]:
    if kind == "postgresql":
        milliseconds = max(1, round(timeout * 1000))
        return [
            f"SET LOCAL statement_timeout = {milliseconds}",
            f"SET LOCAL lock_timeout = {milliseconds}",
        ]
    # Only the drivers' timeouts apply: settings here would persist in the host's engine.
    return []


def _upsert_postgresql(table: Table, row: dict[str, Any]) -> postgresql.Insert:
    statement = postgresql.insert(table).values(row)
    return statement.on_conflict_do_update(
        index_elements=[table.c.id],
        set_={name: statement.excluded[name] for name in ("owner", "about", "sealed")},
    )


def _upsert_mysql(table: Table, row: dict[str, Any]) -> mysql.Insert:
    statement = mysql.insert(table).values(row)
    return statement.on_duplicate_key_update(
        {name: statement.inserted[name] for name in ("owner", "about", "sealed")}
    )


def _id(about: bytes) -> bytes:
    return sha256(about).digest()


def _readable_owner(about: bytes) -> str:
    """Return a service's and tenant's name, in characters that any database can store."""
    tenant, service, _ = unpack_values(about)
    owner = service if tenant is None else f"{service} of {tenant}"
    return owner.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:_MAX_LENGTH]


def _error_of(source: Source, table: Table, error: BaseException) -> ConnectorError:
    """Convert an error of a transaction to an error of moorage."""
    origin = getattr(error, "orig", None)
    codes = {getattr(origin, "sqlstate", None), *getattr(origin, "args", ())[:1]}
    name = source.quoted(table)
    if codes & _NO_TABLE:
        return ConfigurationError(
            f"{source.where} has no usable table {name}.",
            path="url",
            remedy="Call `migrate()` of the store once, or run the statements that `ddl()`"
            " returns.",
        )
    if codes & _DENIED_CODES:
        return ConfigurationError(
            f"The database user of {source.where} has no access to {name}.",
            path="url",
            remedy="Grant the user SELECT, INSERT, UPDATE and DELETE on the table. Reading"
            " needs only SELECT.",
        )
    return source.unreachable(error)
