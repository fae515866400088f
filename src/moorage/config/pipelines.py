"""The `[pipelines]` tables of a configuration: sources, transforms, sinks and dead letters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.config.class_tables import summary, table_of
from moorage.config.pipeline_kinds import sink_kind, sink_kind_names, source_kind, source_kind_names
from moorage.config.pipeline_options import (
    FunctionSinkOptions,
    FunctionSource,
    KafkaTransactionSinkOptions,
    PublishSinkOptions,
    SqlSinkOptions,
)
from moorage.config.pipeline_schemas import SchemaRegistryOptions, SchemaTransformOptions
from moorage.config.problems import (
    REPORTED,
    ReportedProblem,
    key,
    path_below,
    quote_word,
    similar_word,
)
from moorage.config.shapes import (
    AnyOf,
    AnyValue,
    Field,
    ListOf,
    NamedTable,
    Table,
    TableByKind,
    Text,
)
from moorage.config.structure import read, read_table
from moorage.domain.pipelines.batches import BatchLimits
from moorage.domain.pipelines.settings import PipelineConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.state.keys import checked_name
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.domain.values.json_text import is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.config.connectors import ConnectorSettings
    from moorage.config.problems import Report
    from moorage.ports.pipeline_kinds import SinkKind, SourceKind

_PATH: Final = "pipelines"


@frozen(kw_only=True)
class KindSourceSettings:
    """A source that a connector offers.

    Attributes:
        connector: the connector whose server is read.
        options: the options of the source, which depend on the connector's kind.
    """

    connector: ConnectorSettings
    options: Any


@frozen(kw_only=True)
class EndSettings:
    """A source or a sink whose kind a configuration names.

    Attributes:
        kind: the name of the kind.
        options: the options of the kind.
    """

    kind: str
    options: Any


@frozen(kw_only=True)
class LetterTopic:
    """A broker's topic for dead letters (records that could not be processed).

    Attributes:
        connector: the name of a connector that publishes to the broker.
        topic: the topic.
    """

    connector: str
    topic: str


@frozen(kw_only=True)
class LetterFile:
    """A file for dead letters (records that could not be processed).

    Attributes:
        file: the path of the file.
    """

    file: str


_DEFAULTS: Final = PipelineConfig()


def _config_value(value: Any) -> Any:
    """Return a default value in the form that a configuration file has for it."""
    return getattr(value, "value", value)


def _policy(name: str) -> Table:
    """Return the configuration table for a retry policy, with the defaults of pipelines."""
    default = getattr(_DEFAULTS, name)
    table = table_of(
        RetryPolicy,
        name=name,
        without=["retry_on", "max_retry_after"],
        make=partial(evolve, default),
    )
    fields = {
        field: evolve(setting, default=_config_value(getattr(default, field)))
        for field, setting in table.fields.items()
    }
    return evolve(table, fields=fields)


_CONFIG: Final = table_of(
    PipelineConfig,
    shapes={
        "batch": table_of(BatchLimits, name="batch"),
        "retry": _policy("retry"),
        "reconnect": _policy("reconnect"),
    },
)
_IMPORT_EXAMPLE: Final = "such as shop.orders:priced"


def _kind_table(end: str, find: Callable[[str], SinkKind | SourceKind], name: str) -> Table:
    """Return the configuration table for one kind of source or sink."""
    options = find(name).options
    fields = {
        "kind": Field(Text(), "The kind.", required=True),
        **table_of(options).fields,
    }

    def make_end_settings(*, kind: str, **fields: Any) -> EndSettings:
        return EndSettings(kind=kind, options=options(**fields))

    return Table(f"{end} {name}", summary(options), fields, make_end_settings, (options,))


_PIPELINE: Final = Table(
    "pipeline",
    "A pipeline, which carries records from a source to a sink.",
    {
        "source": Field(
            TableByKind(
                "kind of source",
                source_kind_names,
                partial(_kind_table, "source", source_kind),
                named=False,
                other=NamedTable(AnyValue()),
            ),
            "The source: `connector` with the options for its kind; `kind` with the options"
            " for that kind; or `function` and `interval`.",
            required=True,
        ),
        "sink": Field(
            TableByKind(
                "kind of sink",
                sink_kind_names,
                partial(_kind_table, "sink", sink_kind),
                named=False,
                other=NamedTable(AnyValue()),
            ),
            "The sink: `kind` with the options for that kind; `connector` and `topic` to"
            " publish; or `function` for your own.",
            required=True,
        ),
        "transforms": Field(
            ListOf(AnyOf((Text(), table_of(SchemaTransformOptions, name="transform")))),
            f"Functions that change a record or return None to leave it out, {_IMPORT_EXAMPLE}; and"
            " tables with `decode` or `encode`.",
        ),
        "schemas": Field(
            table_of(SchemaRegistryOptions, name="registry of schemas"),
            "The schema registry with which transforms decode and encode records.",
        ),
        "dead_letters": Field(
            NamedTable(AnyValue()),
            "Where records go that cannot be processed: `connector` and `topic`, or `file`."
            " Without this table, the pipeline stops at the first such record.",
        ),
        **_CONFIG.fields,
    },
    kinds=(PipelineConfig,),
)
PIPELINES: Final = NamedTable(_PIPELINE)


@frozen(kw_only=True)
class PipelineSettings:
    """A pipeline that a configuration defines.

    Attributes:
        name: the pipeline's name.
        source: the pipeline's source.
        sink: the pipeline's sink.
        transforms: the names of transform functions, and the options of transforms by schema.
        schemas: the registry of schemas, if there is one.
        dead_letters: the store of its dead letters, if there is one.
        config: the pipeline's other settings.
        connectors: the connectors that its source, its sink and its dead letters use, by name.
    """

    name: str
    source: KindSourceSettings | EndSettings
    sink: EndSettings
    transforms: tuple[str | SchemaTransformOptions, ...] = ()
    schemas: SchemaRegistryOptions | None = None
    dead_letters: LetterTopic | LetterFile | None = None
    config: PipelineConfig = field(factory=PipelineConfig)
    connectors: Mapping[str, ConnectorSettings] = field(factory=dict[str, "ConnectorSettings"])

    @property
    def has_checkpoints(self) -> bool:
        """True if the source's position is stored in a store of checkpoints."""
        return (
            isinstance(self.source, EndSettings) and source_kind(self.source.kind).has_checkpoints
        )

    @property
    def row_checkpoints(self) -> str | None:
        """The sink's connector, if the sink stores the source's position with its rows."""
        options = self.sink.options
        is_with_rows = isinstance(options, SqlSinkOptions) and options.checkpoints
        return options.connector if is_with_rows else None

    @property
    def has_transactions(self) -> bool:
        """True if the sink publishes in its source's transactions."""
        return isinstance(self.sink.options, KafkaTransactionSinkOptions)


def pipelines(
    tables: Mapping[str, Mapping[str, Any]],
    source_tables: Mapping[str, Any],
    connectors: Mapping[str, ConnectorSettings],
    connector_names: tuple[str, ...],
    *,
    service_names: frozenset[str],
    report: Report,
) -> tuple[PipelineSettings, ...]:
    """Return the configured pipelines whose settings are valid.

    Args:
        tables: the settings that could be read, by name.
        source_tables: the same settings as they were written, with their references resolved.
        connectors: the valid connectors, by name.
        connector_names: the names of all connectors.
        service_names: the names of all services, including those with a wrong setting.
        report: collects the problems.
    """
    reader = _Reader(connectors, connector_names, service_names, report)
    results = (reader.pipeline(name, table, source_tables[name]) for name, table in tables.items())
    return tuple(result for result in results if result is not None)


def _connectors_of(*tables: Any) -> list[str]:
    """Return the names of the connectors that the tables of a pipeline mention."""
    return [table["connector"] for table in tables if is_object(table) and "connector" in table]


@frozen
class _Reader:
    """Reads the tables of pipelines, and reports each problem at its path."""

    connectors: Mapping[str, ConnectorSettings]
    connector_names: tuple[str, ...]
    service_names: frozenset[str]
    report: Report

    def pipeline(
        self, name: str, table: Mapping[str, Any], source_table: Mapping[str, Any]
    ) -> PipelineSettings | None:
        """Return the settings of a pipeline; None if one of them is wrong."""
        path = path_below(_PATH, key(name))
        self.report.make_or_report(partial(checked_name, name, "pipeline"), path, exact=True)
        both_ends: dict[str, Any] = {
            end: read_end(
                table[end] if isinstance(table[end], EndSettings) else source_table[end],
                f"{path}.{end}",
            )
            for end, read_end in (
                ("source", self.source),
                ("sink", self.sink),
                ("dead_letters", self.dead_letters),
            )
            if end in table
        }
        transforms = table.get("transforms", ())
        self.transforms(transforms, path, has_registry="schemas" in source_table)
        schemas = table.get("schemas")
        if schemas is not None:
            self.service(schemas.service, f"{path}.schemas")
        settings = {field: table[field] for field in _CONFIG.fields if field in table}
        config = self.report.make_or_report(partial(PipelineConfig, **settings), path)
        if (
            not self.report.has_no_problem(path)
            or REPORTED in both_ends.values()
            or isinstance(config, ReportedProblem)
        ):
            return None
        result = PipelineSettings(
            name=name,
            transforms=transforms,
            schemas=schemas,
            config=config,
            connectors={
                connector_name: self.connectors[connector_name]
                for connector_name in _connectors_of(*source_table.values())
            },
            **both_ends,
        )
        return result if self.order_is_kept(result, path) else None

    def transforms(self, transforms: Any, path: str, *, has_registry: bool) -> None:
        """Report transforms that are not functions, and transforms that lack a schema registry."""
        for number, transform in enumerate(transforms):
            place = f"{path}.transforms[{number}]"
            if isinstance(transform, str):
                options_factory = partial(FunctionSinkOptions, function=transform)
                self.report.make_or_report(options_factory, place, exact=True)
            elif not has_registry:
                self.report.add(
                    place,
                    "The transform needs a schema registry, but the pipeline has none.",
                    "Add a table [schemas] with service or folder to the pipeline.",
                )

    def service(self, name: str | None, path: str) -> None:
        """Report a service that does not exist."""
        if name is not None and name not in self.service_names:
            self.report.add(
                f"{path}.service",
                f"There is no service named {quote_word(name)}.",
                f"Use one of: {', '.join(sorted(self.service_names)) or 'none is configured'}.",
                nearest=similar_word(name, self.service_names),
            )

    def order_is_kept(self, settings: PipelineSettings, path: str) -> bool:
        """Return whether a sink that stores positions with its rows gets records in order."""
        if settings.has_transactions:
            return self.source_has_transactions(settings, path)
        if settings.row_checkpoints is None:
            return True
        if not settings.has_checkpoints:
            self.report.add(
                f"{path}.sink.checkpoints",
                "The sink cannot store the position of the source with its rows, because the"
                " source keeps its position itself.",
                "Remove checkpoints, and set a key for the sink.",
            )
        if settings.config.lanes > 1:
            self.report.add(
                f"{path}.lanes",
                "A sink with checkpoints needs its records in order.",
                "Set lanes to 1, or remove checkpoints from the sink.",
            )
        return self.report.has_no_problem(path)

    def source_has_transactions(self, settings: PipelineSettings, path: str) -> bool:
        """Return whether the source has the transactions that the sink needs."""
        source = settings.source
        transactional_id = getattr(source.options, "transactional_id", None)
        if isinstance(source, EndSettings) or transactional_id is None:
            self.report.add(
                f"{path}.sink.kind",
                "The sink publishes in the transactions of its source, but the source has no"
                " transactions.",
                "Read from a connector of the kind kafka, and set transactional_id in the source.",
            )
        if settings.config.lanes > 1:
            self.report.add(
                f"{path}.lanes",
                "A sink with transactions needs its records in order.",
                "Set lanes to 1, or use the sink kind publish.",
            )
        return self.report.has_no_problem(path)

    def source(self, table: Any, path: str) -> Any:
        """Return the source that a table describes."""
        if isinstance(table, EndSettings):
            return self.end(table, source_kind(table.kind).connector_kinds, path)
        if "connector" not in table:
            options = self.read_own(FunctionSource, "function", table, path)
            return (
                REPORTED if options is REPORTED else EndSettings(kind="function", options=options)
            )
        connector = self.connector(table["connector"], path)
        if connector is None:
            return REPORTED
        source = connector.kind.source
        if source is None:
            return self.report.add(
                f"{path}.connector",
                f"A pipeline cannot read from a connector of the kind {connector.kind.name}.",
                "Use a connector to a message broker, or write a function that returns records.",
            )
        fields = {name: value for name, value in table.items() if name != "connector"}
        options = read_table(table_of(source.options), fields, path, self.report)
        if isinstance(options, ReportedProblem):
            return REPORTED
        return KindSourceSettings(connector=connector, options=options)

    def sink(self, table: Any, path: str) -> Any:
        """Return the sink that a table describes."""
        if isinstance(table, EndSettings):
            if isinstance(table.options, PublishSinkOptions):
                self.is_publisher(table.options.connector, path)
            return self.end(table, sink_kind(table.kind).connector_kinds, path)
        kind = "publish" if "connector" in table else "function"
        options = self.topic(PublishSinkOptions, FunctionSinkOptions, "function", table, path)
        return REPORTED if options is REPORTED else EndSettings(kind=kind, options=options)

    def end(self, settings: EndSettings, kinds: tuple[str, ...], path: str) -> Any:
        """Return a source or a sink whose connector and service exist."""
        name = getattr(settings.options, "connector", None)
        connector = (
            self.connector(name, path) if name and self.report.has_no_problem(path) else None
        )
        if connector is not None and kinds and connector.kind.name not in kinds:
            self.report.add(
                f"{path}.connector",
                f"The kind {settings.kind} does not work with connectors of the kind"
                f" {connector.kind.name}.",
                f"Use a connector of the kind {' or '.join(kinds)}.",
            )
        self.service(getattr(settings.options, "service", None), path)
        is_wrong = not self.report.has_no_problem(path) or (name is not None and connector is None)
        return REPORTED if is_wrong else settings

    def dead_letters(self, table: Any, path: str) -> Any:
        """Return the store of dead letters that a table describes."""
        return self.topic(LetterTopic, LetterFile, "file", table, path)

    def topic(self, topic: type[Any], other: type[Any], name: str, table: Any, path: str) -> Any:
        """Read a table's topic settings, or settings of class `other` if it names no connector."""
        if "connector" not in table:
            return self.read_own(other, name, table, path)
        if not self.is_publisher(table["connector"], path):
            return REPORTED
        return read_table(table_of(topic), table, path, self.report)

    def is_publisher(self, name: Any, path: str) -> bool:
        """Return whether a connector is valid and can publish messages; report it if it cannot."""
        from moorage.adapters.messages.broker_settings import BrokerSettings  # noqa: PLC0415 - only some configurations have pipelines

        connector = self.connector(name, path)
        if connector is not None and not isinstance(connector.settings, BrokerSettings):
            self.report.add(
                f"{path}.connector",
                f"Connectors of the kind {connector.kind.name} cannot publish messages.",
                "Use a connector to a message broker.",
            )
            return False
        return connector is not None

    def read_own(self, kind: type[Any], name: str, table: Any, path: str) -> Any:
        """Return a source, sink or dead-letter store that a setting names without a connector."""
        if name in table:
            return read_table(table_of(kind), table, path, self.report)
        return self.report.add(
            path,
            f"The table needs connector or {name}.",
            f"Set connector to the name of a connector under [connectors], or set {name}.",
            nearest=next(
                (
                    nearest_name
                    for entry in table
                    if (nearest_name := similar_word(entry, ["connector", name]))
                ),
                None,
            ),
        )

    def connector(self, name: Any, path: str) -> ConnectorSettings | None:
        """Return the connector that a pipeline's table names; None if it is invalid."""
        path = f"{path}.connector"
        if not isinstance(name, str):
            read(Text(), name, path, self.report)
        elif name not in self.connector_names:
            self.report.add(
                path,
                f"There is no connector named {name[:80]!r}.",
                "Use the name of a connector under [connectors].",
                nearest=similar_word(name, self.connector_names),
            )
        elif name in self.connectors:
            connector = self.connectors[name]
            if connector.description.enabled:
                return connector
            self.report.add(path, f"The connector {name!r} is disabled.", "Enable it there.")
        return None
