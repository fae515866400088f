"""The tables, declared in the application's metadata.

Times are microseconds since the Unix epoch, as in all stores of moorage, because every database and
driver returns an integer unchanged.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import attrs
import sqlalchemy
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql

PREFIX: Final = "moorage_"

_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
_BYTES: Final = (
    LargeBinary().with_variant(mysql.LONGBLOB(), "mysql").with_variant(mysql.LONGBLOB(), "mariadb")
)
_SECONDS: Final = getattr(sqlalchemy, "Double", partial(Float, 53))()
"""A double-precision number; SQLAlchemy 1.4 has no name for its type."""
_MYSQL: Final = ("mysql", "mariadb")
_LIKE_BYTES: Final[dict[str, Any]] = {
    f"{kind}_{option}": value
    for kind in _MYSQL
    for option, value in (("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
} | {"mariadb_collate": "utf8mb4_nopad_bin"}
"""The collation by which MySQL and MariaDB distinguish "acme" from "ACME", and from "acme ".

A URL that begins with `mysql` may lead to either server, and they share no such collation.
"""

_BEGINNING: Final = 190
"""The number of characters that are indexed if a database cannot index a whole text."""


@attrs.frozen
class Tables:
    """The tables of this package."""

    log: Table
    inbox: Table
    outbox: Table
    lanes: Table


def tables(
    metadata: MetaData | None = None, *, prefix: str = PREFIX, schema: str | None = None
) -> Tables:
    """Declare the tables in `metadata`, for the application's own migrations.

    Args:
        metadata: the application's metadata, such as `Base.metadata` or `db.metadata`; by default
            new metadata.
        prefix: the beginning of the names of the tables.
        schema: the schema of the tables; by default that of the connection.
    """
    metadata = MetaData() if metadata is None else metadata
    return Tables(
        log=_log_table(metadata, f"{prefix}log", schema),
        inbox=_entries(metadata, f"{prefix}inbox", schema),
        outbox=_entries(metadata, f"{prefix}outbox", schema),
        lanes=_lanes(metadata, f"{prefix}lane", schema),
    )


def _log_table(metadata: MetaData, name: str, schema: str | None) -> Table:
    return _declared_table(
        metadata,
        name,
        schema,
        Column("number", _NUMBER, primary_key=True, autoincrement=True),
        Column("id", Text, nullable=False),
        Column("service", Text, nullable=False),
        Column("operation", Text),
        Column("tenant", Text),
        Column("subject", Text),
        Column("status", Text, nullable=False),
        Column("started_at", BigInteger, nullable=False),
        Column("duration", _SECONDS, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("error", Text),
        Column("http_status", Integer),
        Column("vendor_code", Text),
        Column("idempotency_key", Text),
        Column("region", Text),
        Column("vendor", Text),
        Column("account", Text),
        Column("trace_id", Text),
        Column("method", Text),
        Column("route", Text),
        Column("error_message", Text),
        Column("request", Text),
        Column("response", Text),
        Index(f"{name}_started_at", "started_at"),
        _index(name, "subject"),
        _index(name, "id"),
        _index(name, "idempotency_key"),
        _index(name, "trace_id"),
        Index(f"{name}_time", "started_at", "number"),
        *(
            _index(name, column, "started_at", "number")
            for column in ("service", "tenant", "status", "operation", "vendor")
        ),
    )


def _entries(metadata: MetaData, name: str, schema: str | None) -> Table:
    return _declared_table(
        metadata,
        name,
        schema,
        Column("number", _NUMBER, primary_key=True, autoincrement=True),
        Column("id", String(255), nullable=False, unique=True),
        Column("target", String(255), nullable=False),
        Column("operation", String(255), nullable=False),
        Column("tenant", String(255)),
        Column("subject", String(255)),
        Column("lane", String(255)),
        Column("added_at", BigInteger, nullable=False),
        Column("content", _BYTES, nullable=False),
        Column("state", String(20), nullable=False),
        Column("due", BigInteger),
        Column("holds", Boolean, nullable=False),
        Column("priority", Integer, nullable=False, server_default="0"),
        Column("fence", Integer, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("turn", Integer, nullable=False),
        Column("error", String(500), nullable=False),
        Column("settled_at", BigInteger),
        Column("traceparent", String(255)),
        Column("tracestate", String(512)),
        Column("predecessors", String(1_100)),
        Index(f"{name}_due", "due"),
        Index(f"{name}_lane", "lane", "number"),
        Index(f"{name}_state", "state", "number"),
        Index(f"{name}_subject", "subject"),
    )


def _lanes(metadata: MetaData, name: str, schema: str | None) -> Table:
    number = Column("number", _NUMBER, primary_key=True, autoincrement=False)
    return _declared_table(metadata, name, schema, number)


def _declared_table(metadata: MetaData, name: str, schema: str | None, *parts: Any) -> Table:
    declared_table = metadata.tables.get(f"{schema}.{name}" if schema else name)
    if declared_table is not None:
        return declared_table
    # A number is never used again, even if the entry with the highest number was deleted.
    return Table(name, metadata, *parts, schema=schema, sqlite_autoincrement=True, **_LIKE_BYTES)


def _index(table: str, column: str, *order: str) -> Index:
    lengths: dict[str, Any] = {f"{kind}_length": {column: _BEGINNING} for kind in _MYSQL}
    return Index(f"{table}_{column}", column, *order, **lengths)
