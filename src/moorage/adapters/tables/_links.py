"""How the statements of inbox and outbox reach MariaDB, MySQL and PostgreSQL."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.databases._sql_mysql import COMMIT, ROLLBACK, MysqlLink
from moorage.adapters.databases._sql_schema import VERSION
from moorage.adapters.tables._table import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.databases._sql_mysql import Run
    from moorage.adapters.tables._table import Asked, Value

_TEXTS: Final = 1_024


class MysqlEntryLink(MysqlLink):
    """A connection of our own to MariaDB or MySQL, for entries."""

    def __init__(self, connection: Any, run: Run, tables: Sequence[str]) -> None:
        super().__init__(connection, run, tables[0], tables[0])
        self._version = version_of(tables)

    async def ask(
        self, asked: Sequence[Asked], until: float, *, goes_on: bool, writes: bool
    ) -> list[Told]:
        """Run statements in the open transaction, or in a new one, and end it."""
        end = COMMIT if writes or not asked else ROLLBACK
        said = [*(_filled(*one) for one in asked), *([] if goes_on else [end])]
        ran = await self._say(said, until)
        return [Told(*one) for one in ran[: len(asked)]]


def version_of(tables: Sequence[str]) -> str:
    """Asks for the version of tables, which is this release's if all of them are there."""
    nothing = [f"NOT EXISTS (SELECT number FROM {table} WHERE false)" for table in tables]  # noqa: S608 - quoted
    return f"SELECT {VERSION} AS value WHERE {' AND '.join(nothing)}"


def _filled(text: str, values: Sequence[Value]) -> str:
    """A statement with its values in it: numbers, and hexadecimal digits."""
    first, *others = text.split("?")
    return first + "".join(
        part for pair in zip(map(_literal, values), others, strict=True) for part in pair
    )


def _literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return f"_utf8mb4 x'{value.encode().hex()}'"
    if isinstance(value, float):
        return f"{value!r}{'' if 'e' in repr(value) else 'e0'}"  # without `e` it would be a decimal
    return str(int(value))


# --- PostgreSQL ---------------------------------------------------------------------------

LONG: Final = Struct("!q")
DOUBLE: Final = Struct("!d")


@lru_cache(_TEXTS)
def numbered(text: str) -> tuple[bytes, bytes]:
    """A statement as PostgreSQL prepares it: its name, and its text with numbered values."""
    first, *others = text.split("?")
    whole = first + "".join(f"${place}{part}" for place, part in enumerate(others, 1))
    return b"moorage_" + sha256(whole.encode()).hexdigest()[:16].encode(), whole.encode()


def encoded(value: Value) -> bytes | None:
    """A value in PostgreSQL's binary format."""
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    if isinstance(value, int):
        return LONG.pack(value)
    if isinstance(value, float):
        return DOUBLE.pack(value)
    return value.encode() if isinstance(value, str) else value
