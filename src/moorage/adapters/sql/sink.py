"""A sink that writes records as rows into a table of a SQL database.

Laws:

1. A batch is one transaction: all of its rows are written, or none.
2. With checkpoints, the rows and the position of their last record are stored together, and a
   record at or before the stored position writes nothing.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any, cast

from moorage.adapters.sql._access import SqlAccess
from moorage.adapters.sql._upserts import (
    UNIQUE_COLUMNS,
    key_check,
    parameter_names,
    table_of,
    upsert,
)
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.domain.values.result import Result
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, InvalidData, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moorage.adapters.sql._access import AnyPerformer, AnySqlConnector
    from moorage.adapters.sql.checkpoints import SqlCheckpoints
    from moorage.adapters.sql.transactions import AsyncTransaction
    from moorage.domain.pipelines.records import SinkRecord


@with_careful_constructor
class SqlSink:
    """A sink that writes each record as a row into a table, in one transaction per batch.

    A row with the same key as one in the table replaces its other columns. If the database refuses
    a row, no row of the batch is written, and the pipeline tries the halves of the batch.

    Args:
        manager: performs the transactions under the protections of the connector's service.
        connector: the connector of the database, which belongs to the caller. A `SqlConnector`
            works in threads and with a `ConnectorManager`; a SQLite file needs that.
        table: the name of the table.
        columns: the names of the columns to write.
        key: the columns of the table's primary key, or of a unique index. Without a key each record
            inserts a row, even a record that is delivered again.
        row: returns the values of a record by the names of the columns, and may return other values
            too. By default they are the fields of the record's JSON.
        json_columns: the columns whose values are written as JSON text, such as columns of the
            types json and jsonb; None stays NULL.
        schema: the schema of the table; by default that of the connection.
        checkpoints: the positions of the source, which are then stored in the same transaction as
            the rows, so that each record is written exactly once. The pipeline must have one lane.
    """

    def __init__(
        self,
        manager: AnyPerformer,
        connector: AnySqlConnector,
        table: str,
        *,
        columns: Iterable[str],
        key: Iterable[str] = (),
        row: Callable[[SinkRecord], Mapping[str, Any]] | None = None,
        json_columns: Iterable[str] = (),
        schema: str | None = None,
        checkpoints: SqlCheckpoints | None = None,
    ) -> None:
        self._columns = tuple(columns)
        self._key = tuple(key)
        if not self._columns or not set(self._key) <= set(self._columns):
            raise ConfigurationError(
                f"The columns of the table {table!r} are empty, or do not contain all columns"
                " of its key.",
                path="columns",
                remedy="List every column to write, including the columns of the key.",
            )
        self._json_columns = frozenset(json_columns)
        if not self._json_columns <= set(self._columns):
            raise ConfigurationError(
                f"The columns of the table {table!r} do not contain all of its JSON columns.",
                path="json_columns",
                remedy="List in `json_columns` only columns that are in `columns` too.",
            )
        if checkpoints is not None and checkpoints.connector is not connector:
            raise ConfigurationError(
                "The checkpoints and the sink use different connectors, so one transaction"
                " cannot write to both.",
                path="checkpoints",
                remedy="Pass the sink's connector to SqlCheckpoints.",
            )
        self._access = SqlAccess(manager, connector)
        self._row = row or _fields_of
        self._schema = schema
        self._checkpoints = checkpoints
        self._table = table_of(table, schema, self._columns)
        self._parameters = parameter_names(self._columns)
        self._statement = upsert(self._access.system, self._table, self._key)

    @property
    def needs_one_lane(self) -> bool:
        """True if all records must be written one after another, in order of their positions."""
        return self._checkpoints is not None

    async def open(self) -> None:
        """Check that the table has the columns and the unique key that the sink needs.

        Raises:
            ConfigurationError: the table has no such column, or its key is not unique.
        """
        await self._check_table()

    async def _check_table(self) -> None:
        statement = key_check(self._access.system, self._table, self._key)
        try:
            await self._access.execute(statement)
        except VendorRejected as error:
            raise self._unsuitable_table_error() from error
        if self._access.system == "mysql" and self._key and not await self._has_unique_key():
            raise self._unsuitable_table_error()

    async def _has_unique_key(self) -> bool:
        rows = await self._access.query(
            UNIQUE_COLUMNS, schema=self._schema, table=self._table.name, unique=0
        )
        columns: dict[str, set[str]] = {}
        for index, column in rows:
            columns.setdefault(index, set()).add(column)
        return set(self._key) in columns.values()

    def _unsuitable_table_error(self) -> ConfigurationError:
        return ConfigurationError(
            f"The table {self._table.name!r} does not have all columns of the sink, or has no"
            " unique index on its key.",
            path="table",
            remedy="Correct the names, create the table, or add a primary key or a unique"
            " index on exactly the columns of `key`.",
        )

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        """Write the records up to the first invalid one, and return its error.

        Raises:
            ConfigurationError: the table has changed, so that the sink cannot write to it any more.
        """
        rows: list[dict[str, Any]] = []
        problem: Exception | None = None
        for record in records:
            try:
                rows.append(self._values(record))
            except Exception as error:  # noqa: BLE001 - the pipeline judges it
                problem = error
                break
        if rows:
            try:
                await self._write(records[: len(rows)], rows)
            except VendorRejected:
                if len(rows) == 1:
                    # A record is not to blame for a table whose structure was changed.
                    await self._check_table()
                raise
        if problem is None:
            return None
        return [*(Result[object]() for _ in rows), Result(error=problem)]

    def _values(self, record: SinkRecord) -> dict[str, Any]:
        """Convert a record to the parameters of its INSERT statement."""
        row = self._row(record)
        missing_columns = [column for column in self._columns if column not in row]
        if missing_columns:
            raise InvalidData(
                f"A record has no value for the columns {', '.join(missing_columns)}.",
                field="payload",
                remedy="Correct the producer, or pass a `row` function that returns a value"
                " or None for every column.",
            )
        return {
            name: self._column_value(column, row[column])
            for name, column in zip(self._parameters, self._columns, strict=True)
        }

    def _column_value(self, column: str, value: Any) -> Any:
        """Return the value as the database takes it: in a JSON column, as JSON text."""
        if column in self._json_columns:
            return None if value is None else encode_json(value).decode()
        if is_object(value) or (is_list(value) and not self._is_array(value)):
            raise InvalidData(
                f"The value of the column {column!r} is {with_article(type(value).__name__)}.",
                field=column,
                remedy="To write it as JSON text, add the column to json_columns. Otherwise pass"
                " a `row` function that returns a str, a number or another plain value.",
            )
        return value

    def _is_array(self, items: list[Any]) -> bool:
        """Return whether the database can take a list as an array of plain values."""
        return self._access.system == "postgresql" and not any(
            is_object(item) or is_list(item) for item in items
        )

    async def _write(self, records: Sequence[SinkRecord], rows: list[dict[str, Any]]) -> None:
        checkpoints = self._checkpoints

        async def run_steps(transaction: AsyncTransaction) -> None:
            new_rows = rows
            if checkpoints is not None:
                are_new = await checkpoints.advance_within(transaction, records)
                new_rows = list(compress(rows, are_new))
            await transaction.execute_each(self._statement, new_rows)

        await self._access.transact(
            run_steps,
            name=self._statement.name,
            repeatable=self._statement.repeatable or checkpoints is not None,
        )

    async def flush(self) -> None:
        """Do nothing, because processed records are committed already."""

    async def close(self) -> None:
        """Do nothing, because the caller owns the connector."""


def _fields_of(record: SinkRecord) -> Mapping[str, Any]:
    value = record.json()
    if not isinstance(value, dict):
        raise InvalidData(
            "The payload of a record is not a JSON object.",
            field="payload",
            remedy="Correct the producer, or pass a `row` function.",
        )
    return cast("Mapping[str, Any]", value)
