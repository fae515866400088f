"""The two tables of a state store on a database server.

`states` has a row for each key. Only the columns `state` and `expires` are ever updated. The column
`expires`, which has an index, changes rarely, so most updates of a busy row change no index. In
PostgreSQL, free space on each page then saves the work of the next vacuum.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.engine import Dialect

    from moorage.adapters.databases._table_definition import RunStatement

VERSION: Final = 1

_KINDS: Final = ("mysql", "mariadb")
_BYTE_COMPARISON_OPTIONS: Final = {
    "charset": "utf8mb4",
    "collate": "utf8mb4_bin",
    "engine": "InnoDB",
}
_LOCK: Final = 5_911_650_442_318_370_049
_CONFLICT_CLAUSE: Final = "CONFLICT DO NOTHING"
_LOCK_TIMEOUT: Final = 60
DIGEST: Final = LargeBinary(32).with_variant(mysql.BINARY(32), *_KINDS)
BYTES: Final = LargeBinary().with_variant(mysql.LONGBLOB(), *_KINDS)
_PREFIX: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


@attrs.frozen
class Tables:
    """The tables of one store.

    Attributes:
        states: the table with a row for each key.
        meta: the table with the version.
    """

    states: Table
    meta: Table

    def create(self, connection: Connection) -> None:
        """Create missing tables; several processes may call this at the same time."""
        with exclusive_creation(connection, self.meta.name):
            self.meta.metadata.create_all(connection, [self.states, self.meta])
            self.stamp(connection)

    def ddl(self, dialect: Dialect) -> str:
        """Return the statements that create the tables."""
        statements = [
            str(CreateTable(self.states).compile(dialect=dialect)).strip(),
            *self.free_space_statements(dialect),
            *(str(CreateIndex(index).compile(dialect=dialect)) for index in self.states.indexes),
            str(CreateTable(self.meta).compile(dialect=dialect)).strip(),
            self.version_statement(dialect),
        ]
        return "".join(f"{statement};\n" for statement in statements)

    def stamp(self, connection: Connection) -> None:
        """Store the version of the tables in the database, unless a version is stored already."""
        connection.execute(text(self.version_statement(connection.dialect)))

    def set_fill_factor(self, connection: Connection) -> None:
        """Make the database leave free space in the pages of the state table, where that helps."""
        for statement in self.free_space_statements(connection.dialect):
            connection.execute(text(statement))

    def free_space_statements(self, dialect: Dialect) -> list[str]:
        """Return the SQL statements that leave free space in table pages."""
        states = dialect.identifier_preparer.format_table(self.states)
        return [] if dialect.name in _KINDS else [f"ALTER TABLE {states} SET (fillfactor = 50)"]

    def version_statement(self, dialect: Dialect) -> str:
        """Return the SQL statement that stores the version of the tables, unless one is stored."""
        meta = dialect.identifier_preparer.format_table(self.meta)
        conflict_clause = (
            "DUPLICATE KEY UPDATE value = value" if dialect.name in _KINDS else _CONFLICT_CLAUSE
        )
        return f"INSERT INTO {meta} (name, value) VALUES ('schema', {VERSION}) ON {conflict_clause}"  # noqa: S608 - quoted names; values are parameters


def declare_tables(metadata: MetaData | None, prefix: str, schema: str | None) -> Tables:
    """Return the tables declared in SQLAlchemy's `metadata`, after declaring missing ones."""
    metadata = checked_metadata(metadata, prefix)
    names = [f"{prefix}states", f"{prefix}meta"]
    existing_tables = [
        metadata.tables.get(f"{schema}.{name}" if schema else name) for name in names
    ]
    if existing_tables[0] is not None and existing_tables[1] is not None:
        return Tables(existing_tables[0], existing_tables[1])
    return _new_tables(metadata, names, schema)


@contextmanager
def exclusive_creation(connection: Connection, name: str) -> Generator[None]:
    """A context manager that keeps other processes from creating the tables at the same time."""
    kind = connection.dialect.name
    if kind in _KINDS:
        connection.execute(text(f"SELECT GET_LOCK('{name}', {_LOCK_TIMEOUT})"))
    else:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    try:
        yield
    finally:
        if kind in _KINDS:
            connection.execute(text(f"SELECT RELEASE_LOCK('{name}')"))


def run_statement(connection: Connection) -> RunStatement:
    """Return a function that runs an SQL statement on a connection and returns the rows."""

    async def run(statement: str) -> Sequence[Any]:
        result = connection.exec_driver_sql(statement)
        return result.fetchall() if result.returns_rows else ()

    return run


def checked_metadata(metadata: MetaData | None, prefix: str) -> MetaData:
    """Return SQLAlchemy's metadata for the tables, after checking the metadata and the prefix."""
    metadata = MetaData() if metadata is None else metadata
    if not isinstance(metadata, MetaData):
        raise ConfigurationError(
            f"The metadata {metadata!r} is not a MetaData object of SQLAlchemy.",
            path="metadata",
            remedy="Pass MetaData().",
        )
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"The prefix {prefix!r} cannot begin the name of a table.",
            path="prefix",
            remedy="Use a letter, followed by up to 39 letters, digits and underscores.",
        )
    return metadata


def _new_tables(metadata: MetaData, names: list[str], schema: str | None) -> Tables:
    options = byte_comparison()
    states = Table(
        names[0],
        metadata,
        Column("id", DIGEST, primary_key=True, comment="SHA-256 of the key"),
        Column("name", Text, nullable=False, comment="the key in readable form"),
        Column("state", BYTES),
        Column("expires", BigInteger, nullable=False, comment="microseconds since 1970"),
        Index(f"{names[0]}_expires", "expires"),
        schema=schema,
        **options,
    )
    meta = Table(
        names[1],
        metadata,
        Column("name", String(64), primary_key=True),
        Column("value", BigInteger, nullable=False),
        schema=schema,
        **options,
    )
    tables = Tables(states, meta)

    def set_fill_factor(_: Table, connection: Connection, **__: object) -> None:
        tables.set_fill_factor(connection)

    def stamp(_: Table, connection: Connection, **__: object) -> None:
        tables.stamp(connection)

    event.listen(states, "after_create", set_fill_factor)
    event.listen(meta, "after_create", stamp)
    return tables


def byte_comparison() -> dict[str, Any]:
    """Return the table options that make the database compare text byte by byte."""
    return {
        f"{kind}_{option}": value
        for kind in _KINDS
        for option, value in _BYTE_COMPARISON_OPTIONS.items()
    }


def dialect_of(name: str) -> Dialect:
    """Return the SQLAlchemy dialect with this name."""
    makers = {"postgresql": postgresql.dialect, "mysql": mysql.dialect, "mariadb": mysql.dialect}
    if name not in makers:
        raise ConfigurationError(
            f"The database {name!r} is unknown.",
            path="dialect",
            remedy=f"Use one of {', '.join(makers)}.",
        )
    dialect: Dialect = makers[name]()
    return dialect
