"""The kinds of sources and sinks of pipelines, from moorage and from other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.config.pipeline_options import (
    CallSinkOptions,
    FileSinkOptions,
    FileSourceOptions,
    FunctionSinkOptions,
    FunctionSource,
    HttpSinkOptions,
    KafkaTransactionSinkOptions,
    OutboxSourceOptions,
    ParquetSinkOptions,
    PublishSinkOptions,
    SqlSinkOptions,
    WebhookSourceOptions,
)
from moorage.domain.http.requests import Request
from moorage.domain.pipelines.polled_endpoint import PolledEndpoint
from moorage.errors import ConfigurationError
from moorage.ports.pipeline_kinds import SinkKind, SourceKind
from moorage.wiring.installed_vendors import installed_entry_points, load_entry_point

if TYPE_CHECKING:
    from moorage.domain.pipelines.records import SinkRecord
    from moorage.ports.pipeline_kinds import PipelineParts
    from moorage.ports.pipelines import CheckpointStore, SinkConnector, SourceConnector

SINKS: Final = "moorage.sinks"
SOURCES: Final = "moorage.sources"
"""The groups of entry points of kinds of sinks and of sources."""

K = TypeVar("K", SinkKind, SourceKind)


def _sql_sink(options: SqlSinkOptions, parts: PipelineParts) -> SinkConnector:
    from moorage.adapters.sql.checkpoints import SqlCheckpoints  # noqa: PLC0415 - imports SQLAlchemy
    from moorage.adapters.sql.sink import SqlSink  # noqa: PLC0415 - imports SQLAlchemy

    manager, connector = parts.connector(options.connector)
    checkpoints = parts.checkpoints() if options.checkpoints else None
    return SqlSink(
        manager,
        connector,
        options.table,
        columns=options.columns,
        key=options.key,
        row=None if options.row is None else parts.imported(options.row, "sink.row"),
        json_columns=options.json_columns,
        schema=options.schema,
        checkpoints=checkpoints if isinstance(checkpoints, SqlCheckpoints) else None,
    )


def _file_sink(options: FileSinkOptions, parts: PipelineParts) -> SinkConnector:
    from moorage.adapters.files.file_sink import FileSink  # noqa: PLC0415 - few pipelines need it

    return FileSink(
        options.folder,
        options.name or parts.name,
        options.format,  # type: ignore[arg-type]  # checked to be one of the choices
        columns=options.columns,
        records=options.records,
        size=options.size,
        age=options.age,
    )


def _parquet_sink(options: ParquetSinkOptions, parts: PipelineParts) -> SinkConnector:
    from moorage.adapters.files.parquet_sink import ParquetSink  # noqa: PLC0415 - few pipelines need it

    return ParquetSink(
        options.folder,
        options.name or parts.name,
        columns=options.columns or None,
        compression=options.compression,
        records=options.records,
        size=options.size,
        age=options.age,
    )


def _http_sink(options: HttpSinkOptions, parts: PipelineParts) -> SinkConnector:
    from moorage.pipelines.calls import HttpBatchSink, HttpSink  # noqa: PLC0415 - few pipelines need it

    kind: Any = HttpBatchSink if options.batch else HttpSink
    build_request: Any
    if options.request is not None:
        build_request = parts.imported(options.request, "sink.request")
    elif options.batch:
        build_request = _batch_request(options.method, str(options.path))
    else:
        build_request = _record_request(options.method, str(options.path))
    sink_connector: SinkConnector = kind(parts.hub.manager, options.service, build_request)
    return sink_connector


def _record_request(method: str, path: str) -> Any:
    def request(record: SinkRecord) -> Request:
        """Make a request with the JSON value of a record."""
        return _request(method, path, record.json())

    return request


def _batch_request(method: str, path: str) -> Any:
    def request(records: list[SinkRecord]) -> Request:
        """Make a request with a list of the records' JSON values."""
        return _request(method, path, [record.json() for record in records])

    return request


def _request(method: str, path: str, value: object) -> Request:
    request_factory: Any = getattr(Request, method.lower())
    request: Request = request_factory(path, json=value)
    return request


def _call_sink(options: CallSinkOptions, parts: PipelineParts) -> SinkConnector:
    from moorage.pipelines.calls import CallSink  # noqa: PLC0415 - few pipelines need it

    contract, _, verb = options.operation.partition(".")
    operation: Any = getattr(getattr(parts.hub, contract)(options.tenant), verb)
    return CallSink(operation, parts.imported(options.request, "sink.request"))


def _publish_sink(options: PublishSinkOptions, parts: PipelineParts) -> SinkConnector:
    from moorage.pipelines.publishing import PublishSink  # noqa: PLC0415 - few pipelines need it

    return PublishSink(*parts.connector(options.connector), options.topic)


def _kafka_transaction_sink(
    options: KafkaTransactionSinkOptions, parts: PipelineParts
) -> SinkConnector:
    from moorage.pipelines.kafka_transactions import (  # noqa: PLC0415 - few pipelines need it
        KafkaTransactionSink,
    )

    source: Any = parts.source
    return KafkaTransactionSink(source, options.topic)


def _function_sink(options: FunctionSinkOptions, parts: PipelineParts) -> SinkConnector:
    from moorage.pipelines.functions import RecordSink  # noqa: PLC0415 - few pipelines need it

    target = parts.imported(options.function, "sink.function")
    sink_connector: SinkConnector = (
        target if hasattr(target, "process_batch") else RecordSink(target)
    )
    return sink_connector


def _function_source(options: FunctionSource, parts: PipelineParts) -> SourceConnector:
    checkpoints = parts.checkpoints()
    fetch = parts.imported(options.function, "source.function")
    return _polling(fetch, options.interval, parts, checkpoints)


def _file_source(options: FileSourceOptions, parts: PipelineParts) -> SourceConnector:
    from moorage.adapters.files.record_files import RecordFile  # noqa: PLC0415 - few pipelines need it

    file = RecordFile(
        options.path,
        options.format,  # type: ignore[arg-type]  # checked to be one of the choices
        is_complete=options.is_complete,
    )
    return _polling(file.after, options.interval, parts, parts.checkpoints())


def _outbox_source(options: OutboxSourceOptions, parts: PipelineParts) -> SourceConnector:
    from moorage.adapters.sql.outbox_table import OutboxTable  # noqa: PLC0415 - imports SQLAlchemy

    table = OutboxTable(
        *parts.connector(options.connector),
        options.table,
        id=options.id,
        payload=options.payload,
        key=options.key if options.ordered else None,
        transaction=options.transaction,
        schema=options.schema,
        limit=options.limit,
    )
    return _polling(table.after, options.interval, parts, parts.checkpoints())


def _http_source(endpoint: PolledEndpoint, parts: PipelineParts) -> SourceConnector:
    from moorage.pipelines.http_polling import HttpPolling  # noqa: PLC0415 - few pipelines need it

    polled_endpoint = HttpPolling(parts.hub.manager, endpoint)
    return _polling(polled_endpoint.after, endpoint.interval, parts, parts.checkpoints())


def _webhook_source(options: WebhookSourceOptions, parts: PipelineParts) -> SourceConnector:
    from moorage.hub.webhook_source import WebhookSource  # noqa: PLC0415 - few pipelines need it

    inbox = parts.imported(options.inbox, "source.inbox")(parts.hub)
    return WebhookSource(inbox, interval=options.interval)


def _polling(
    fetch: Any, interval: float, parts: PipelineParts, checkpoints: CheckpointStore
) -> SourceConnector:
    from moorage.pipelines.checkpoints import PollingSource  # noqa: PLC0415 - few pipelines need it

    return PollingSource(parts.name, fetch, checkpoints, interval=interval)


_OWN_SINKS: Final = {
    kind.name: kind
    for kind in (
        SinkKind(name="sql", options=SqlSinkOptions, build=_sql_sink, connector_kinds=("sql",)),
        SinkKind(name="files", options=FileSinkOptions, build=_file_sink),
        SinkKind(name="parquet", options=ParquetSinkOptions, build=_parquet_sink),
        SinkKind(name="http", options=HttpSinkOptions, build=_http_sink),
        SinkKind(name="call", options=CallSinkOptions, build=_call_sink),
        SinkKind(name="publish", options=PublishSinkOptions, build=_publish_sink),
        SinkKind(
            name="kafka-transactions",
            options=KafkaTransactionSinkOptions,
            build=_kafka_transaction_sink,
        ),
        SinkKind(name="function", options=FunctionSinkOptions, build=_function_sink),
    )
}
_OWN_SOURCES: Final = {
    kind.name: kind
    for kind in (
        SourceKind(
            name="function", options=FunctionSource, build=_function_source, has_checkpoints=True
        ),
        SourceKind(
            name="file", options=FileSourceOptions, build=_file_source, has_checkpoints=True
        ),
        SourceKind(name="http", options=PolledEndpoint, build=_http_source, has_checkpoints=True),
        SourceKind(name="webhooks", options=WebhookSourceOptions, build=_webhook_source),
        SourceKind(
            name="outbox-table",
            options=OutboxSourceOptions,
            build=_outbox_source,
            connector_kinds=("sql",),
            has_checkpoints=True,
        ),
    )
}


def sink_kind_names() -> tuple[str, ...]:
    """Return the names of all kinds of sinks."""
    return tuple(sorted({*_OWN_SINKS, *installed_entry_points(SINKS)}))


def source_kind_names() -> tuple[str, ...]:
    """Return the names of all kinds of sources."""
    return tuple(sorted({*_OWN_SOURCES, *installed_entry_points(SOURCES)}))


def sink_kind(name: str) -> SinkKind:
    """Return a kind of sink by its name.

    Raises:
        ConfigurationError: the entry point of this name does not load such a kind.
    """
    return _OWN_SINKS.get(name) or _installed_kind(name, SINKS, SinkKind)


def source_kind(name: str) -> SourceKind:
    """Return a kind of source by its name.

    Raises:
        ConfigurationError: the entry point of this name does not load such a kind.
    """
    return _OWN_SOURCES.get(name) or _installed_kind(name, SOURCES, SourceKind)


def _installed_kind(name: str, group: str, expected: type[K]) -> K:
    point = installed_entry_points(group)[name]
    kind = load_entry_point(point, "kind")
    if not isinstance(kind, expected):
        raise ConfigurationError(
            f"The entry point {name!r} of {group} refers to {point.value}, which is not an"
            f" object of the type {expected.__name__}.",
            path="kind",
            remedy=f"Set the entry point to an object of the type moorage.{expected.__name__}.",
        )
    if "kind" in attrs.fields_dict(kind.options):
        raise ConfigurationError(
            f"The options of the kind {name!r} have a field 'kind', but every table already"
            " has this setting.",
            path="kind",
            remedy="Rename the field of the options.",
        )
    return kind
