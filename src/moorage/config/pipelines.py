"""The `[pipelines]` tables of a configuration: sources, transforms, sinks and dead letters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.config.of_classes import table_of
from moorage.config.problems import WRONG, Wrong, key, near, under
from moorage.config.shapes import Anything, Field, Many, Named, Table, Text
from moorage.config.structure import read, read_table
from moorage.domain.pipelines.batches import BatchLimits
from moorage.domain.pipelines.settings import PipelineConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.state.keys import checked_name
from moorage.domain.values.durations import is_seconds, plain
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.config.connectors import ConnectorSettings
    from moorage.config.problems import Report

_PATH: Final = "pipelines"
_IMPORT_PATH: Final = late_pattern(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def _is_import_path(_: object, field: attrs.Attribute[Any], value: str) -> None:
    if not _IMPORT_PATH.fullmatch(value):
        raise ConfigurationError(
            f"{field.name} is no name of a function in a module.",
            path=field.name,
            remedy="Write the module and the name in it, such as shop.orders:store.",
        )


@attrs.frozen(kw_only=True)
class FunctionSource:
    """A source that asks a function for the records after a position, again and again.

    Attributes:
        function: the function, such as shop.orders:after.
        interval: seconds between two calls that returned nothing.
    """

    function: str = attrs.field(validator=_is_import_path)
    interval: float = attrs.field(default=1.0, converter=plain, validator=is_seconds)


@attrs.frozen(kw_only=True)
class KindSourceSettings:
    """A source that the kind of a connector offers.

    Attributes:
        connector: the connector whose server is read.
        options: the options of its kind.
    """

    connector: ConnectorSettings
    options: Any


@attrs.frozen(kw_only=True)
class TopicSettings:
    """A topic of a broker.

    Attributes:
        connector: the name of a connector that publishes to the broker.
        topic: the topic; by default that of each record.
    """

    connector: str
    topic: str | None = None


@attrs.frozen(kw_only=True)
class ObjectSettings:
    """A function or a sink of your program.

    Attributes:
        function: the function for each record, or a sink, such as shop.orders:store.
    """

    function: str = attrs.field(validator=_is_import_path)


@attrs.frozen(kw_only=True)
class LetterTopic:
    """A topic for dead letters.

    Attributes:
        connector: the name of a connector that publishes to the broker.
        topic: the topic.
    """

    connector: str
    topic: str


@attrs.frozen(kw_only=True)
class LetterFile:
    """A file for dead letters.

    Attributes:
        file: the path of the file.
    """

    file: str


_DEFAULTS: Final = PipelineConfig()


def _plain(value: Any) -> Any:
    """Return a default value as a configuration would write it."""
    return getattr(value, "value", value)


def _policy(name: str) -> Table:
    """Return the table of a retry policy whose defaults are those of a pipeline."""
    default = getattr(_DEFAULTS, name)
    table = table_of(
        RetryPolicy,
        name=name,
        without=["retry_on", "max_retry_after"],
        make=partial(attrs.evolve, default),
    )
    fields = {
        field: attrs.evolve(setting, default=_plain(getattr(default, field)))
        for field, setting in table.fields.items()
    }
    return attrs.evolve(table, fields=fields)


_CONFIG: Final = table_of(
    PipelineConfig,
    shapes={
        "batch": table_of(BatchLimits, name="batch"),
        "retry": _policy("retry"),
        "reconnect": _policy("reconnect"),
    },
)
_IMPORTED: Final = "such as shop.orders:priced"
_PIPELINE: Final = Table(
    "pipeline",
    "A pipeline, which carries records from a source to a sink.",
    {
        "source": Field(
            Named(Anything()),
            "The source: `connector` with the options of its kind, or `function` and `interval`.",
            required=True,
        ),
        "sink": Field(
            Named(Anything()),
            "The sink: `connector` and `topic` to publish, or `function` for your own.",
            required=True,
        ),
        "transforms": Field(
            Many(Text()),
            f"Functions that change a record or return None to leave it out, {_IMPORTED}.",
        ),
        "dead_letters": Field(
            Named(Anything()),
            "The place of records that cannot be processed: `connector` and `topic`, or `file`."
            " Without one the pipeline stops at the first.",
        ),
        **_CONFIG.fields,
    },
    kinds=(PipelineConfig,),
)
PIPELINES: Final = Field(Named(_PIPELINE), "Pipelines, by names of your choice.")


@attrs.frozen(kw_only=True)
class PipelineSettings:
    """A pipeline that a configuration names.

    Attributes:
        name: its name.
        source: its source.
        sink: its sink.
        transforms: the names of its transforms.
        dead_letters: the place of its dead letters, if there is one.
        config: its other settings.
    """

    name: str
    source: KindSourceSettings | FunctionSource
    sink: TopicSettings | ObjectSettings
    transforms: tuple[str, ...] = ()
    dead_letters: LetterTopic | LetterFile | None = None
    config: PipelineConfig = attrs.field(factory=PipelineConfig)


def pipelines(
    tables: Mapping[str, Mapping[str, Any]],
    source_tables: Mapping[str, Any],
    connectors: Mapping[str, ConnectorSettings],
    connector_names: tuple[str, ...],
    report: Report,
) -> tuple[PipelineSettings, ...]:
    """Return the configured pipelines whose settings are valid.

    Args:
        tables: the settings that could be read, by name.
        source_tables: the same as they were written, with their references resolved.
        connectors: the valid connectors, by name.
        connector_names: the names of all connectors.
        report: collects the problems.
    """
    reader = _Reader(connectors, connector_names, report)
    results = (reader.pipeline(name, table, source_tables[name]) for name, table in tables.items())
    return tuple(result for result in results if result is not None)


@attrs.frozen
class _Reader:
    """Reads the tables of pipelines, and reports each problem at its path."""

    connectors: Mapping[str, ConnectorSettings]
    connector_names: tuple[str, ...]
    report: Report

    def pipeline(
        self, name: str, table: Mapping[str, Any], source_table: Mapping[str, Any]
    ) -> PipelineSettings | None:
        """Return the settings of a pipeline; None if one of them is wrong."""
        path = under(_PATH, key(name))
        self.report.made(partial(checked_name, name, "pipeline"), path, exact=True)
        ends: dict[str, Any] = {
            end: read_end(source_table[end], f"{path}.{end}")
            for end, read_end in (
                ("source", self.source),
                ("sink", self.sink),
                ("dead_letters", self.dead_letters),
            )
            if end in table
        }
        transforms = table.get("transforms", ())
        for number, transform in enumerate(transforms):
            make = partial(ObjectSettings, function=transform)
            self.report.made(make, f"{path}.transforms[{number}]", exact=True)
        settings = {field: table[field] for field in _CONFIG.fields if field in table}
        config = self.report.made(partial(PipelineConfig, **settings), path)
        if not self.report.clear(path) or WRONG in ends.values() or isinstance(config, Wrong):
            return None
        return PipelineSettings(name=name, transforms=transforms, config=config, **ends)

    def source(self, table: Any, path: str) -> Any:
        """Return the source that a table describes."""
        if "connector" not in table:
            return self.own(FunctionSource, "function", table, path)
        connector = self.connector(table, path)
        if connector is None:
            return WRONG
        source = connector.kind.source
        if source is None:
            return self.report.add(
                f"{path}.connector",
                f"No pipeline can read from connectors of the kind {connector.kind.name}.",
                "Use a connector of a broker, or write a function that returns records.",
            )
        fields = {name: value for name, value in table.items() if name != "connector"}
        options = read_table(table_of(source.options), fields, path, self.report)
        if isinstance(options, Wrong):
            return WRONG
        return KindSourceSettings(connector=connector, options=options)

    def sink(self, table: Any, path: str) -> Any:
        """Return the sink that a table describes."""
        return self.topic(TopicSettings, ObjectSettings, "function", table, path)

    def dead_letters(self, table: Any, path: str) -> Any:
        """Return the store of dead letters that a table describes."""
        return self.topic(LetterTopic, LetterFile, "file", table, path)

    def topic(self, topic: type[Any], other: type[Any], name: str, table: Any, path: str) -> Any:
        """Return the topic that a table describes, or `other` if it names no connector."""
        if "connector" not in table:
            return self.own(other, name, table, path)
        from moorage.adapters.messages.broker_settings import BrokerSettings  # noqa: PLC0415 - only some configurations have pipelines

        connector = self.connector(table, path)
        if connector is not None and not isinstance(connector.settings, BrokerSettings):
            return self.report.add(
                f"{path}.connector",
                f"Connectors of the kind {connector.kind.name} publish no messages.",
                "Use a connector of a broker.",
            )
        return read_table(table_of(topic), table, path, self.report)

    def own(self, kind: type[Any], name: str, table: Any, path: str) -> Any:
        """Return a source, sink or dead-letter store that a setting names without a connector."""
        if name in table:
            return read_table(table_of(kind), table, path, self.report)
        return self.report.add(
            path,
            f"The table has neither connector nor {name}.",
            f"Write connector, with the name of one of [connectors]; or {name}.",
            nearest=next(
                (nearest for entry in table if (nearest := near(entry, ["connector", name]))), None
            ),
        )

    def connector(self, table: Any, path: str) -> ConnectorSettings | None:
        """Return the connector that a pipeline's table names; None if it is invalid."""
        path, name = f"{path}.connector", table["connector"]
        if not isinstance(name, str):
            read(Text(), name, path, self.report)
        elif name not in self.connector_names:
            self.report.add(
                path,
                f"There is no connector named {name[:80]!r}.",
                "Name one of [connectors].",
                nearest=near(name, self.connector_names),
            )
        elif name in self.connectors:
            connector = self.connectors[name]
            if connector.description.enabled:
                return connector
            self.report.add(path, f"The connector {name!r} is disabled.", "Enable it there.")
        return None
