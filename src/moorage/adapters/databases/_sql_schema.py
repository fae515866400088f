"""The two tables of a store in a database server, and how they are made.

`states` has a row for each key. Its `state` and `expires` are all that is ever updated, and
`expires`, which has an index, moves once in a while only: so an update of a hot row touches no
index, and in PostgreSQL, with room left on each page, makes no work for the next vacuum.
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
    from collections.abc import Generator

    from sqlalchemy import Connection
    from sqlalchemy.engine import Dialect

VERSION: Final = 1

_KINDS: Final = ("mysql", "mariadb")
_LIKE_BYTES: Final = {"charset": "utf8mb4", "collate": "utf8mb4_bin", "engine": "InnoDB"}
_LOCK: Final = 5_911_650_442_318_370_049
_UNLESS: Final = "CONFLICT DO NOTHING"
_PATIENCE: Final = 60
DIGEST: Final = LargeBinary(32).with_variant(mysql.BINARY(32), *_KINDS)
BYTES: Final = LargeBinary().with_variant(mysql.LONGBLOB(), *_KINDS)
_PREFIX: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


@attrs.frozen
class Tables:
    """The tables of one store.

    Attributes:
        states: a row for each key.
        meta: what version they are of.
    """

    states: Table
    meta: Table

    def create(self, connection: Connection) -> None:
        """Create what is missing; several processes may do so at once."""
        with alone(connection, self.meta.name):
            self.meta.metadata.create_all(connection, [self.states, self.meta])
            self.stamp(connection)

    def ddl(self, dialect: Dialect) -> str:
        """The statements that create them."""
        statements = [
            str(CreateTable(self.states).compile(dialect=dialect)).strip(),
            *self.loosening(dialect),
            *(str(CreateIndex(index).compile(dialect=dialect)) for index in self.states.indexes),
            str(CreateTable(self.meta).compile(dialect=dialect)).strip(),
            self.stamping(dialect),
        ]
        return "".join(f"{statement};\n" for statement in statements)

    def stamp(self, connection: Connection) -> None:
        """Say in the tables which version they are of, if they do not say."""
        connection.execute(text(self.stamping(connection.dialect)))

    def loosen(self, connection: Connection) -> None:
        """Leave room on the pages of `states`, where that is of use."""
        for statement in self.loosening(connection.dialect):
            connection.execute(text(statement))

    def loosening(self, dialect: Dialect) -> list[str]:
        """The statements that leave room."""
        states = dialect.identifier_preparer.format_table(self.states)
        return [] if dialect.name in _KINDS else [f"ALTER TABLE {states} SET (fillfactor = 50)"]

    def stamping(self, dialect: Dialect) -> str:
        """The statement that says which version they are of, unless they say one."""
        meta = dialect.identifier_preparer.format_table(self.meta)
        unless = "DUPLICATE KEY UPDATE value = value" if dialect.name in _KINDS else _UNLESS
        return f"INSERT INTO {meta} (name, value) VALUES ('schema', {VERSION}) ON {unless}"  # noqa: S608 - quoted


def declared(metadata: MetaData | None, prefix: str, schema: str | None) -> Tables:
    """Declare the tables in `metadata`, or return those that are declared there."""
    metadata = checked(metadata, prefix)
    names = [f"{prefix}states", f"{prefix}meta"]
    found = [metadata.tables.get(f"{schema}.{name}" if schema else name) for name in names]
    if found[0] is not None and found[1] is not None:
        return Tables(found[0], found[1])
    return _made(metadata, names, schema)


@contextmanager
def alone(connection: Connection, name: str) -> Generator[None]:
    """Let nobody else create tables meanwhile, in whichever process."""
    kind = connection.dialect.name
    if kind in _KINDS:
        connection.execute(text(f"SELECT GET_LOCK('{name}', {_PATIENCE})"))
    else:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    try:
        yield
    finally:
        if kind in _KINDS:
            connection.execute(text(f"SELECT RELEASE_LOCK('{name}')"))


def checked(metadata: MetaData | None, prefix: str) -> MetaData:
    """Where to declare tables whose names begin so, if they can."""
    metadata = MetaData() if metadata is None else metadata
    if not isinstance(metadata, MetaData):
        raise ConfigurationError(
            f"{metadata!r} is not SQLAlchemy's MetaData.",
            path="metadata",
            remedy="Give MetaData().",
        )
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"{prefix!r} is no beginning of a table's name.",
            path="prefix",
            remedy="Give a letter, and up to 39 letters, digits and underscores.",
        )
    return metadata


def _made(metadata: MetaData, names: list[str], schema: str | None) -> Tables:
    options = like_bytes()
    states = Table(
        names[0],
        metadata,
        Column("id", DIGEST, primary_key=True, comment="SHA-256 of the key"),
        Column("name", Text, nullable=False, comment="the key, for people"),
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
    made = Tables(states, meta)

    def loosen(_: Table, connection: Connection, **__: object) -> None:
        made.loosen(connection)

    def stamp(_: Table, connection: Connection, **__: object) -> None:
        made.stamp(connection)

    event.listen(states, "after_create", loosen)
    event.listen(meta, "after_create", stamp)
    return made


def like_bytes() -> dict[str, Any]:
    """Options of a table whose texts are compared byte by byte."""
    return {f"{kind}_{option}": value for kind in _KINDS for option, value in _LIKE_BYTES.items()}


def dialect_of(name: str) -> Dialect:
    """SQLAlchemy's dialect of this name."""
    makers = {"postgresql": postgresql.dialect, "mysql": mysql.dialect, "mariadb": mysql.dialect}
    if name not in makers:
        raise ConfigurationError(
            f"{name!r} is no database that moorage keeps states in.",
            path="dialect",
            remedy=f"Give one of {', '.join(makers)}.",
        )
    made: Dialect = makers[name]()
    return made
