"""Options of pipelines' sources and sinks, which a configuration selects by kind."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.pipelines.parquet_columns import COMPRESSIONS, checked_columns
from moorage.domain.values.durations import is_count, is_seconds, plain_seconds
from moorage.domain.values.field_checks import is_among, is_filled
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_IMPORT_PATH: Final = late_pattern(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_OPERATION: Final = late_pattern(r"[a-z_]+\.[a-z_]+")
_FORMATS: Final = ("jsonl", "csv")
_METHODS: Final = ("POST", "PUT", "PATCH")


def is_import_path(_: object, field: attrs.Attribute[Any], value: str) -> None:
    """Refuse a string that does not name a module and an object in it.

    Raises:
        ConfigurationError: the string is not such a name.
    """
    if not _IMPORT_PATH.fullmatch(value):
        raise ConfigurationError(
            f"{field.name} must be the name of a module and of a function in it.",
            path=field.name,
            remedy="Write module:function, such as shop.orders:store.",
        )


def _is_operation(_: object, field: attrs.Attribute[Any], value: str) -> None:
    from moorage.hub.contract_methods import AsyncContractMethods  # noqa: PLC0415 - only some configurations call contracts

    contract, _, verb = value.partition(".")
    names = [name for name in vars(AsyncContractMethods) if not name.startswith("_")]
    if _OPERATION.fullmatch(value) and contract in names:
        from moorage import operations  # noqa: PLC0415 - only some configurations call contracts

        methods = getattr(operations, f"Async{contract.capitalize()}")
        method = None if verb.startswith("_") else getattr(methods, verb, None)
        if callable(method) and _takes_a_request(method):
            return
    raise ConfigurationError(
        f"The operation {value[:80]!r} does not exist, or does not accept an idempotency key.",
        path=field.name,
        remedy=f"Write a contract ({', '.join(names)}) and an operation of it, such as sms.send.",
    )


def _takes_a_request(method: Callable[..., Any]) -> bool:
    """Return whether a method takes one argument and also accepts an idempotency key."""
    parameters = inspect.signature(method).parameters
    required_parameters = [
        name for name, item in parameters.items() if item.default is inspect.Parameter.empty
    ]
    return len(required_parameters) == len(("self", "request")) and "idempotency_key" in parameters


def _are_columns(_: object, __: object, value: dict[str, str]) -> None:
    if value:
        checked_columns(value)


@frozen(kw_only=True)
class SqlSinkOptions:
    """A sink that writes each record as a row into a table of a SQL database.

    Attributes:
        connector: the connector of the database, of the kind sql.
        table: the name of the table.
        columns: the names of the columns to write, which are fields of the records' JSON.
        key: the columns of the table's primary key, or of a unique index. If the table has a row
            with the key, its other columns are replaced. Without a key each record inserts a row.
        schema: the schema of the table; by default the schema of the connection.
        row: a function that returns the values of a record by the names of the columns, such as
            shop.orders:row.
        json_columns: the columns whose values are written as JSON text, such as columns of the
            types json and jsonb.
        checkpoints: true to store the position of the source in the transaction that writes the
            rows, so that each record is written exactly once. This requires a source whose position
            moorage stores, and a single lane.
    """

    connector: str
    table: str
    columns: tuple[str, ...] = field(validator=is_filled)
    key: tuple[str, ...] = ()
    schema: str | None = None
    row: str | None = field(default=None, validator=attrs.validators.optional(is_import_path))
    json_columns: tuple[str, ...] = ()
    checkpoints: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse key columns and JSON columns that are not written."""
        for path, names, role in (
            ("key", self.key, "key"),
            ("json_columns", self.json_columns, "JSON"),
        ):
            missing_columns = [column for column in names if column not in self.columns]
            if missing_columns:
                raise ConfigurationError(
                    f"The {role} column {missing_columns[0][:80]!r} is missing in columns.",
                    path=path,
                    remedy="Add the column to columns.",
                )


@frozen(kw_only=True)
class FileSinkOptions:
    """A sink that appends records to files in a folder, as JSON Lines or CSV.

    Attributes:
        folder: the folder, which must exist.
        name: the beginning of the names of the files; by default the name of the pipeline.
        format: jsonl or csv.
        columns: the names of the columns of CSV, which are fields of the records' JSON.
        records: the number of records at which a file is completed; by default any number.
        size: the bytes at which a file is completed.
        age: the seconds after which a file is completed.
    """

    folder: str
    name: str | None = None
    format: str = field(default="jsonl", metadata={"choices": _FORMATS})
    columns: tuple[str, ...] = ()
    records: int | None = field(default=None, validator=attrs.validators.optional(is_count))
    size: int = field(default=100_000_000, validator=is_count)
    age: float = field(default=3_600.0, converter=plain_seconds, validator=is_seconds)

    def __attrs_post_init__(self) -> None:
        """Refuse CSV without columns, and JSON Lines with columns."""
        if (self.format == "csv") != bool(self.columns):
            raise ConfigurationError(
                "columns must be set for CSV, and must not be set for JSON Lines.",
                path="columns",
                remedy="Set columns with the format csv, and remove columns with other formats.",
            )


@frozen(kw_only=True)
class ParquetSinkOptions:
    """A sink that writes records into files of Parquet in a folder.

    Attributes:
        folder: the folder, which must exist.
        name: the beginning of the names of the files; by default the name of the pipeline.
        columns: the types of the columns by their names: string, int32, int64, float64, bool,
            timestamp, or decimal(10,2). By default they are derived from the first batch.
        compression: zstd, snappy, gzip or none.
        records: the number of records at which a file is completed.
        size: the bytes of JSON at which a file is completed.
        age: the seconds after which a file is completed.
    """

    folder: str
    name: str | None = None
    columns: dict[str, str] = field(factory=dict[str, str], validator=_are_columns)
    compression: str = field(default="zstd", metadata={"choices": COMPRESSIONS})
    records: int = field(default=1_000_000, validator=is_count)
    size: int = field(default=500_000_000, validator=is_count)
    age: float = field(default=3_600.0, converter=plain_seconds, validator=is_seconds)


@frozen(kw_only=True)
class HttpSinkOptions:
    """A sink that sends an HTTP request to a service for each record or batch.

    Attributes:
        service: the name of the service, whose protections apply.
        path: the path below the service's base URL, to which the JSON of a record is sent.
        method: POST, PUT or PATCH.
        request: a function that makes the request from a record, such as shop.orders:request, in
            place of path and method. With `batch` its argument is a list of records.
        batch: true to send a whole batch in one request, as a JSON list. The service must then
            recognise records that arrive again in another batch.
    """

    service: str
    path: str | None = None
    method: str = field(
        default="POST", metadata={"choices": _METHODS}, validator=is_among(_METHODS)
    )
    request: str | None = field(default=None, validator=attrs.validators.optional(is_import_path))
    batch: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse a sink whose requests are described twice or not at all."""
        if (self.path is None) == (self.request is None):
            raise ConfigurationError(
                "The sink needs either a path or a request function.",
                path="path",
                remedy="Set path, such as /orders; or request, such as shop.orders:request.",
            )


@frozen(kw_only=True)
class CallSinkOptions:
    """A sink that calls an operation of a contract for each record.

    Attributes:
        operation: the contract and its operation, such as sms.send.
        request: a function that makes the operation's request from a record, such as
            shop.orders:sms.
        tenant: the tenant whose accounts are used.
    """

    operation: str = field(validator=_is_operation)
    request: str = field(validator=is_import_path)
    tenant: str | None = None


@frozen(kw_only=True)
class PublishSinkOptions:
    """A sink that publishes records to a broker, and waits for the broker's acknowledgement.

    Attributes:
        connector: the name of a connector that publishes to the broker.
        topic: the topic; by default each record keeps its own topic.
    """

    connector: str
    topic: str | None = None


@frozen(kw_only=True)
class KafkaTransactionSinkOptions:
    """A sink that publishes each record exactly once, in its Kafka source's transactions.

    Attributes:
        topic: the topic.
    """

    topic: str = field(validator=is_filled)


@frozen(kw_only=True)
class FunctionSinkOptions:
    """A sink that is a function or an object of your program.

    Attributes:
        function: the function for each record, or a sink, such as shop.orders:store.
    """

    function: str = field(validator=is_import_path)


@frozen(kw_only=True)
class FunctionSource:
    """A source that calls a function to get the records after a position.

    Attributes:
        function: the function, such as shop.orders:after.
        interval: seconds to wait after a call that returned no records.
    """

    function: str = field(validator=is_import_path)
    interval: float = field(default=1.0, converter=plain_seconds, validator=is_seconds)


@frozen(kw_only=True)
class WebhookSourceOptions:
    """A source that delivers the webhooks that an inbox has stored.

    Attributes:
        inbox: a function that returns the inbox of a hub, such as shop.webhooks:inbox.
        interval: seconds to wait after a query of the inbox that returned no webhooks.
    """

    inbox: str = field(validator=is_import_path)
    interval: float = field(default=1.0, converter=plain_seconds, validator=is_seconds)


@frozen(kw_only=True)
class FileSourceOptions:
    """A source that reads records from a file to which a program appends.

    Attributes:
        path: the path of the file, which need not exist yet.
        format: jsonl for a JSON value in each line, or csv for a table whose first line has the
            names of the columns.
        is_complete: true if no more records are appended, so that the pipeline ends at the end of
            the file.
        interval: seconds to wait after the file has not grown.
    """

    path: str
    format: str = field(default="jsonl", metadata={"choices": _FORMATS})
    is_complete: bool = False
    interval: float = field(default=1.0, converter=plain_seconds, validator=is_seconds)


@frozen(kw_only=True)
class OutboxSourceOptions:
    """A source that reads rows of an outbox table, which a program inserts in transactions.

    Attributes:
        connector: the connector of the database, of the kind sql.
        table: the name of the table.
        id: the column of the id, a positive number that the database generates in ascending order.
        payload: the column of the payload: a string, bytes, or JSON.
        key: the column of the key.
        ordered: true if the table has a column with the key.
        transaction: the column of the transaction, which only PostgreSQL has.
        schema: the schema of the table; by default the schema of the connection.
        limit: the maximum number of rows per query.
        interval: seconds to wait after a query that returned no rows.
    """

    connector: str
    table: str
    id: str = "id"
    payload: str = "payload"
    key: str = "key"
    ordered: bool = True
    transaction: str = "transaction"
    schema: str | None = None
    limit: int = field(default=1_000, validator=is_count)
    interval: float = field(default=1.0, converter=plain_seconds, validator=is_seconds)
