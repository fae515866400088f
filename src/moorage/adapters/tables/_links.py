"""The database connections of inbox and outbox."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.databases._sql_mysql import COMMIT, ROLLBACK, MysqlLink
from moorage.adapters.databases._sql_schema import VERSION
from moorage.adapters.databases._table_definition import version_query
from moorage.adapters.tables._table import StatementResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.databases._sql_mysql import Run
    from moorage.adapters.databases._table_definition import TableDefinition
    from moorage.adapters.tables._table import Statement, Value

_CACHE_SIZE: Final = 1_024


class MysqlEntryLink(MysqlLink):
    """A MariaDB or MySQL connection that runs the statements of inbox and outbox stores."""

    def __init__(self, connection: Any, run: Run, definitions: Sequence[TableDefinition]) -> None:
        table = definitions[0].table
        super().__init__(connection, run, table, table)
        self._version = version_query(VERSION, definitions)

    async def execute(
        self, statements: Sequence[Statement], until: float, *, keep_open: bool, writes: bool
    ) -> list[StatementResult]:
        """Run SQL statements in the open transaction, or else in a new transaction."""
        end = COMMIT if writes or not statements else ROLLBACK
        texts = [
            *(_insert_values(*statement) for statement in statements),
            *([] if keep_open else [end]),
        ]
        results = await self._run_round_trip(texts, until)
        return [StatementResult(*result) for result in results[: len(statements)]]


def _insert_values(text: str, values: Sequence[Value]) -> str:
    """Return an SQL statement with its values inserted; strings become hexadecimal digits."""
    first_part, *other_parts = text.split("?")
    return first_part + "".join(
        part for pair in zip(map(_literal_text, values), other_parts, strict=True) for part in pair
    )


def _literal_text(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return f"_utf8mb4 x'{value.encode().hex()}'"
    if isinstance(value, float):
        return f"{value!r}{'' if 'e' in repr(value) else 'e0'}"  # otherwise it would be a decimal
    return str(int(value))


# --- PostgreSQL ---------------------------------------------------------------------------

LONG: Final = Struct("!q")
DOUBLE: Final = Struct("!d")


@lru_cache(_CACHE_SIZE)
def prepared_statement(text: str) -> tuple[bytes, bytes]:
    """Return a name for a prepared PostgreSQL statement, and its text with numbered parameters."""
    first_part, *other_parts = text.split("?")
    statement = first_part + "".join(
        f"${position}{part}" for position, part in enumerate(other_parts, 1)
    )
    return b"moorage_" + sha256(statement.encode()).hexdigest()[:16].encode(), statement.encode()


def encode_value(value: Value) -> bytes | None:
    """Return a value in PostgreSQL's binary format."""
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    if isinstance(value, int):
        return LONG.pack(value)
    if isinstance(value, float):
        return DOUBLE.pack(value)
    return value.encode() if isinstance(value, str) else value
