"""Builds pipelines from their settings, in the event loop in which they will run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.adapters.dead_letters.json_lines import DeadLetterFile
from moorage.config.importing import import_object
from moorage.config.pipeline_kinds import sink_kind, source_kind
from moorage.config.pipeline_options import PublishSinkOptions
from moorage.config.pipeline_schemas import schema_registry
from moorage.config.pipelines import EndSettings, KindSourceSettings, LetterFile, LetterTopic
from moorage.config.problems import key
from moorage.errors import ConfigurationError
from moorage.hub.closing import close_all_async
from moorage.hub.internals import flows_of
from moorage.pipelines.checkpoints import StateCheckpoints
from moorage.pipelines.pipeline import Pipeline
from moorage.pipelines.publishing import DeadLetterTopic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.config.connectors import ConnectorSettings
    from moorage.config.pipelines import PipelineSettings
    from moorage.domain.pipelines.records import SinkRecord
    from moorage.domain.values.result import Result
    from moorage.hub.hub import AsyncHub
    from moorage.ports.pipelines import (
        CheckpointStore,
        DeadLetters,
        SinkConnector,
        SourceConnector,
    )
    from moorage.ports.state import AsyncStateStorage


def build_pipeline(
    settings: PipelineSettings,
    hub: AsyncHub,
    storage: AsyncStateStorage | None,
    source: SourceConnector | None = None,
) -> Pipeline:
    """Build a pipeline from its settings and the connectors of a hub.

    Args:
        settings: the settings.
        hub: the hub of the same configuration.
        storage: the store of shared state, for sources that need one.
        source: a source in place of the configured source. The sink then stores no positions, and
            publishes without the transactions of the configured source.

    Raises:
        ConfigurationError: a function cannot be imported, or there is no store.
    """
    if source is not None:
        settings = _without_positions(settings)
    parts = ConfiguredParts(settings, hub, storage)
    transforms = parts.transforms()
    parts.source = source or _source(settings.source, parts)
    sink = sink_kind(settings.sink.kind).build(settings.sink.options, parts)
    return Pipeline(
        settings.name,
        parts.source,
        _PreparedSink(sink, parts),
        transforms=transforms,
        dead_letters=_dead_letters(settings.dead_letters, hub),
        config=settings.config,
    )


def _without_positions(settings: PipelineSettings) -> PipelineSettings:
    """Return settings with which the pipeline's sink cannot change the source's positions."""
    sink, source = settings.sink, settings.source
    if settings.row_checkpoints is not None:
        sink = attrs.evolve(sink, options=attrs.evolve(sink.options, checkpoints=False))
    elif settings.has_transactions and isinstance(source, KindSourceSettings):
        connector = source.connector.description.name
        options = PublishSinkOptions(connector=connector, topic=sink.options.topic)
        sink = EndSettings(kind="publish", options=options)
    return attrs.evolve(settings, sink=sink)


async def reset_row_checkpoints(
    settings: PipelineSettings, hub: AsyncHub, positions: dict[str, int | str]
) -> None:
    """Replace the position that a pipeline's sink stores together with its rows.

    Args:
        settings: the settings.
        hub: the hub of the same configuration.
        positions: the new position, by the name of the partition; empty to begin at the start.
    """
    parts = ConfiguredParts(settings, hub, None)
    try:
        checkpoints: Any = parts.checkpoints()
        await checkpoints.create_table()
        await checkpoints.reset(settings.name, positions)
    finally:
        await parts.close()


class ConfiguredParts:
    """The objects from which the source and the sink of one configured pipeline are made.

    Attributes:
        name: the name of the pipeline.
        hub: the hub of the same configuration.
        source: the source of the pipeline; None while it is being made.

    Args:
        settings: the settings of the pipeline.
        hub: the hub.
        storage: the store of shared state; None if there is none.
    """

    def __init__(
        self, settings: PipelineSettings, hub: AsyncHub, storage: AsyncStateStorage | None
    ) -> None:
        self.name = settings.name
        self.hub: Any = hub
        self.source: SourceConnector | None = None
        self._settings = settings
        self._path = f"pipelines.{key(settings.name)}"
        self._storage = storage
        self._own: dict[str, tuple[Any, Any]] = {}
        self._row_checkpoints: Any = None

    def connector(self, name: str, /) -> tuple[Any, Any]:
        """Return the named connector and its manager; SQLite connectors run in threads."""
        settings = self._settings.connectors[name]
        if not _is_sqlite_file(settings):
            return self.hub.manager, self.hub.connectors[name]
        if name not in self._own:
            from moorage.hub.manager import ConnectorManager  # noqa: PLC0415 - only SQLite needs it

            service = flows_of(self.hub.manager).plans.services[name]
            manager = ConnectorManager([service])
            self._own[name] = manager, settings.build(manager, is_async=False)()
        return self._own[name]

    def checkpoints(self) -> CheckpointStore:
        """Return the store of the source's position.

        Raises:
            ConfigurationError: there is no such store.
        """
        name = self._settings.row_checkpoints
        if name is not None:
            from moorage.adapters.sql.checkpoints import SqlCheckpoints  # noqa: PLC0415 - imports SQLAlchemy

            if self._row_checkpoints is None:
                self._row_checkpoints = SqlCheckpoints(*self.connector(name))
            store: CheckpointStore = self._row_checkpoints
            return store
        if self._storage is None:
            raise ConfigurationError(
                f"The pipeline {self.name!r} has no store for its position.",
                path="state.url",
                remedy="Configure a store, such as state.url = 'sqlite:///moorage.db'.",
            )
        return StateCheckpoints(self._storage)

    def transforms(self) -> list[Any]:
        """Return the transforms; transforms that need schemas share one registry.

        Raises:
            ConfigurationError: a function cannot be imported, or the registry cannot be read.
        """
        options = self._settings.schemas
        place = f"{self._path}.schemas"
        registry = None if options is None else schema_registry(options, self.hub.manager, place)
        return [
            self.imported(transform, f"transforms[{number}]")
            if isinstance(transform, str)
            else transform.build(registry)
            for number, transform in enumerate(self._settings.transforms)
        ]

    def imported(self, path: str, field: str, /) -> Any:
        """Import an object by a name such as shop.orders:store, and return it.

        Raises:
            ConfigurationError: the object cannot be imported, or is not a function.
        """
        return _import_object(path, f"{self._path}.{field}")

    async def prepare(self) -> None:
        """Create the table of checkpoints if the sink stores positions with its rows."""
        if self._row_checkpoints is not None:
            await self._row_checkpoints.create_table()

    async def close(self) -> None:
        """Close the connectors that only this pipeline uses, even if closing one of them fails."""
        await close_all_async(
            [partial(run_in_thread, connector.close) for _, connector in self._own.values()]
        )


@attrs.frozen
class _PreparedSink:
    """A sink that creates its tables at the start, and closes its own connectors at the end."""

    sink: SinkConnector
    parts: ConfiguredParts

    @property
    def needs_one_lane(self) -> bool:
        """True if records must arrive in the order of their positions."""
        return bool(getattr(self.sink, "needs_one_lane", False))

    async def open(self) -> None:
        await self.parts.prepare()
        await self.sink.open()

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        return await self.sink.process_batch(records)

    async def flush(self) -> None:
        await self.sink.flush()

    async def close(self) -> None:
        await close_all_async([self.sink.close, self.parts.close])


def _is_sqlite_file(settings: ConnectorSettings) -> bool:
    """Return whether a connector uses a SQLite file, for which there is no async driver."""
    if settings.description.kind != "sql":
        return False
    dialect, _, path = settings.settings.address().reveal().partition(":///")
    return dialect == "sqlite" and path not in {"", ":memory:"}


def _source(source: KindSourceSettings | EndSettings, parts: ConfiguredParts) -> SourceConnector:
    if isinstance(source, EndSettings):
        return source_kind(source.kind).build(source.options, parts)
    kind_source: Any = source.connector.kind.source
    source_connector: SourceConnector = kind_source.build(source.connector.settings, source.options)
    return source_connector


def _dead_letters(settings: LetterTopic | LetterFile | None, hub: AsyncHub) -> DeadLetters | None:
    if isinstance(settings, LetterTopic):
        return DeadLetterTopic(hub.manager, hub.connectors[settings.connector], settings.topic)
    return None if settings is None else DeadLetterFile(settings.file)


def _import_object(name: str, path: str) -> Any:
    """Import an object by a name such as shop.orders:store, and return it.

    Raises:
        ConfigurationError: the object cannot be imported, or is not a function.
    """
    target = import_object(
        name, path, "Write the name of a module and of an object in it, such as shop.orders:store"
    )
    if callable(target) or hasattr(target, "process_batch"):
        return target
    raise ConfigurationError(
        f"{name!r} is not a function.",
        path=path,
        remedy="Use the name of a function, or of a sink with the methods of"
        " moorage.SinkConnector.",
    )
