"""Definitions of tables, which create missing tables, columns and indexes.

A release adds a column only if it is nullable or has a default, so that the tables of an earlier
release can be extended while they have rows. Nothing is ever changed or removed: processes of the
earlier release go on using the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import attrs

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_COLUMNS: Final = {
    "sqlite": "SELECT name FROM pragma_table_xinfo('{base_name}')",
    "postgresql": (
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    ),
    "mysql": "SHOW COLUMNS FROM {table}",
}
"""The query of a table's columns, whose first value is the name, for each kind of database."""

_TYPES: Final = {
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "BYTEA": "bytea",
    "DOUBLE": "double precision",
}
"""The PostgreSQL types of columns whose values are sent and read as bytes."""

_INDEX_NAME: Final = 2
"""The position of the name in a row of `SHOW INDEX`."""


class RunStatement(Protocol):
    """Runs an SQL statement in the transaction that changes a table, and returns the rows."""

    async def __call__(self, statement: str, /) -> Sequence[Sequence[Any]]: ...


class Index(NamedTuple):
    """The definition of an index of a table.

    Attributes:
        name: the index's name; except in MariaDB and MySQL, the name of the table precedes it.
        columns: the indexed columns, separated by commas.
        condition: the WHERE clause of a partial index.
    """

    name: str
    columns: str
    condition: str = ""


@attrs.frozen
class TableDefinition:
    """The definition of a table: its columns and indexes.

    Attributes:
        kind: `sqlite`, `postgresql` or `mysql`.
        base_name: the name of the table, without quotes and schema.
        table: the quoted name of the table.
        columns: the type and the constraints of each column, by its name.
        indexes: the indexes.
        constraints: the constraints of the whole table.
        options: the text after the columns.
    """

    kind: str
    base_name: str
    table: str
    columns: Mapping[str, str]
    indexes: tuple[Index, ...] = ()
    constraints: tuple[str, ...] = ()
    options: str = ""

    def statements(self) -> list[str]:
        """Return the statements that create the table if it is missing."""
        parts = [*(f"{name} {kind}" for name, kind in self.columns.items()), *self.constraints]
        if self.kind == "mysql":
            parts += [f"INDEX {index.name} ({index.columns})" for index in self.indexes]
        create = f"CREATE TABLE IF NOT EXISTS {self.table} ({', '.join(parts)}){self.options}"
        if self.kind == "mysql":
            return [create]
        return [create, *map(self._create_index, self.indexes)]

    async def create(self, run: RunStatement) -> None:
        """Create the table if it is missing, or add its missing columns and indexes.

        The caller prevents that other processes do so at the same time.

        Raises:
            ConfigurationError: a missing column is neither nullable nor has a default.
        """
        create, *indexes = self.statements()
        await run(create)
        await add_missing_columns(run, self.kind, self.base_name, self.table, self.columns)
        if self.kind == "mysql":
            existing_indexes = {
                row[_INDEX_NAME] for row in await run(f"SHOW INDEX FROM {self.table}")
            }
            indexes = [
                f"CREATE INDEX {index.name} ON {self.table} ({index.columns})"
                for index in self.indexes
                if index.name not in existing_indexes
            ]
        for statement in indexes:
            await run(statement)

    def _create_index(self, index: Index) -> str:
        return (
            f"CREATE INDEX IF NOT EXISTS {self.base_name}_{index.name}"
            f" ON {self.table} ({index.columns}){index.condition}"
        )


async def add_missing_columns(
    run: RunStatement, kind: str, base_name: str, table: str, columns: Mapping[str, str]
) -> None:
    """Add the columns that an existing table lacks.

    Args:
        run: runs a statement.
        kind: `sqlite`, `postgresql` or `mysql`.
        base_name: the name of the table, without quotes and schema.
        table: the quoted name of the table.
        columns: the type and the constraints of each column, by its name.

    Raises:
        ConfigurationError: a missing column is neither nullable nor has a default.
    """
    existing_columns = {
        row[0] for row in await run(_COLUMNS[kind].format(base_name=base_name, table=table))
    }
    missing_columns = {name: columns[name] for name in columns if name not in existing_columns}
    for name, definition in missing_columns.items():
        needs_value = "NOT NULL" in definition and "DEFAULT" not in definition
        if needs_value or "PRIMARY KEY" in definition:
            raise ConfigurationError(
                f"The table {table} has no column {name}, and its existing rows need a value"
                " for it.",
                path="prefix",
                remedy="Another program may have created this table: set another `prefix`, or"
                " rename the table and run `migrate()` again.",
            )
    for name, definition in missing_columns.items():
        await run(f"ALTER TABLE {table} ADD COLUMN {name} {definition}")


def ddl_text(definitions: Iterable[TableDefinition]) -> str:
    """Return the statements that create missing tables, for a host's own migrations."""
    return "".join(
        f"{statement};\n" for definition in definitions for statement in definition.statements()
    )


def version_query(version: int, definitions: Sequence[TableDefinition]) -> str:
    """Return an SQL query for the tables' version; it fails if a table or column is missing.

    In PostgreSQL it also fails if a column has another type, because values are sent as bytes.
    """
    conditions = [
        f"NOT EXISTS (SELECT {', '.join(_checked_columns(definition))} FROM {definition.table}"  # noqa: S608 - quoted names; values are parameters
        " WHERE false)"
        for definition in definitions
    ]
    return f"SELECT {version} AS value WHERE {' AND '.join(conditions)}"


def _checked_columns(definition: TableDefinition) -> Iterator[str]:
    for name, column_definition in definition.columns.items():
        column_type = _TYPES.get(column_definition.partition(" ")[0])
        if definition.kind == "postgresql" and column_type is not None:
            # Arrays are compared only if their items have the same type.
            yield f"ARRAY[{name}] = ARRAY[]::{column_type}[]"
        else:
            yield name
