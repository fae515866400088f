"""Statements that upsert rows into a table, and check that its key is unique."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from moorage.adapters.sql.statements import Command, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

_INSERT_FUNCTIONS: Final[dict[str, Any]] = {
    "postgresql": postgresql.insert,
    "mysql": mysql.insert,
    "sqlite": sqlite.insert,
}


def table_of(name: str, schema: str | None, columns: Sequence[str]) -> sa.TableClause:
    """Return a SQLAlchemy table with these columns."""
    return sa.table(name, *map(sa.column, columns), schema=schema)


def parameter_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the parameter names of an upsert, one per column."""
    return tuple(f"value_{number}" for number in range(len(columns)))


def upsert(system: str, table: sa.TableClause, key: Sequence[str]) -> Command:
    """Return the statement that inserts a row, or updates the row with the same key.

    Without a key it inserts.
    """
    names = [column.name for column in table.columns]
    values: dict[str, Any] = {
        name: _parameter(parameter)
        for name, parameter in zip(names, parameter_names(names), strict=True)
    }
    insertion = _INSERT_FUNCTIONS[system](table).values(values)
    return Command(
        _with_update_clause(system, insertion, names, key),
        name=f"{table.name}.write",
        repeatable=bool(key),
    )


def _parameter(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name)


def key_check(system: str, table: sa.TableClause, key: Sequence[str]) -> Command:
    """Return a statement that changes no rows, but fails unless the table has this unique key."""
    names = [column.name for column in table.columns]
    empty_select = sa.select(*table.columns).where(sa.false())
    insertion = _INSERT_FUNCTIONS[system](table).from_select(names, empty_select)
    return Command(
        _with_update_clause(system, insertion, names, key),
        name=f"{table.name}.check",
        repeatable=True,
    )


def _with_update_clause(
    system: str, insertion: Any, names: Sequence[str], key: Sequence[str]
) -> Any:
    if not key:
        return insertion
    other_names = [name for name in names if name not in key]
    if system == "mysql":
        # In MariaDB, an update that sets a key to itself leaves the row unchanged.
        return insertion.on_duplicate_key_update(
            {name: insertion.inserted[name] for name in other_names or key}
        )
    if not other_names:
        return insertion.on_conflict_do_nothing(index_elements=list(key))
    return insertion.on_conflict_do_update(
        index_elements=list(key), set_={name: insertion.excluded[name] for name in other_names}
    )


_STATISTICS: Final = sa.table(
    "statistics",
    *map(sa.column, ("table_schema", "table_name", "index_name", "column_name", "non_unique")),
    schema="information_schema",
)

UNIQUE_COLUMNS: Final = Query(
    sa.select(_STATISTICS.c.index_name, _STATISTICS.c.column_name).where(
        _STATISTICS.c.table_schema == sa.func.coalesce(_parameter("schema"), sa.func.database()),
        _STATISTICS.c.table_name == _parameter("table"),
        _STATISTICS.c.non_unique == _parameter("unique"),
    ),
    name="indexes",
)
"""The columns of the unique indexes of a table of MariaDB, which accepts a key without an index."""
