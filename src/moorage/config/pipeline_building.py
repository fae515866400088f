"""Builds pipelines from their settings, in the event loop that they run in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from moorage.adapters.dead_letters.json_lines import DeadLetterFile
from moorage.config.pipelines import (
    FunctionSource,
    LetterFile,
    LetterTopic,
    TopicSettings,
)
from moorage.config.problems import key
from moorage.errors import ConfigurationError
from moorage.pipelines.checkpoints import PollingSource, StateCheckpoints
from moorage.pipelines.functions import RecordSink
from moorage.pipelines.pipeline import Pipeline
from moorage.pipelines.publishing import DeadLetterTopic, PublishSink

if TYPE_CHECKING:
    from moorage.config.pipelines import KindSourceSettings, ObjectSettings, PipelineSettings
    from moorage.hub.hub import AsyncHub
    from moorage.ports.pipelines import DeadLetters, SinkConnector, SourceConnector
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
        source: a source in place of the configured one.

    Raises:
        ConfigurationError: a function cannot be imported, or there is no store.
    """
    path = f"pipelines.{key(settings.name)}"
    transforms = [
        _imported(name, f"{path}.transforms[{number}]")
        for number, name in enumerate(settings.transforms)
    ]
    return Pipeline(
        settings.name,
        source or _source(settings.source, settings.name, path, storage),
        _sink(settings.sink, f"{path}.sink.function", hub),
        transforms=transforms,
        dead_letters=_dead_letters(settings.dead_letters, hub),
        config=settings.config,
    )


def _source(
    source: KindSourceSettings | FunctionSource,
    name: str,
    path: str,
    storage: AsyncStateStorage | None,
) -> SourceConnector:
    if not isinstance(source, FunctionSource):
        kind_source: Any = source.connector.kind.source
        made: SourceConnector = kind_source.build(source.connector.settings, source.options)
        return made
    if storage is None:
        raise ConfigurationError(
            f"The pipeline {name!r} has no store in which its position could be kept.",
            path="state.url",
            remedy="Configure a store, such as sqlite:///moorage.db.",
        )
    fetch = _imported(source.function, f"{path}.source.function")
    return PollingSource(name, fetch, StateCheckpoints(storage), interval=source.interval)


def _sink(sink: TopicSettings | ObjectSettings, path: str, hub: AsyncHub) -> SinkConnector:
    if isinstance(sink, TopicSettings):
        return PublishSink(hub.manager, hub.connectors[sink.connector], sink.topic)
    target = _imported(sink.function, path)
    made: SinkConnector = target if hasattr(target, "process_batch") else RecordSink(target)
    return made


def _dead_letters(settings: LetterTopic | LetterFile | None, hub: AsyncHub) -> DeadLetters | None:
    if isinstance(settings, LetterTopic):
        return DeadLetterTopic(hub.manager, hub.connectors[settings.connector], settings.topic)
    return None if settings is None else DeadLetterFile(settings.file)


def _imported(name: str, path: str) -> Any:
    """Import and return the object with a name such as shop.orders:store.

    Raises:
        ConfigurationError: it cannot be imported, or is no function.
    """
    module, _, attribute = name.partition(":")
    try:
        target: Any = import_module(module)
        for part in attribute.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"The object {name!r} cannot be imported ({error}).",
            path=path,
            remedy="Write a module and a name in it, such as shop.orders:store, and start the"
            " command in the folder where your program starts.",
        ) from None
    if callable(target) or hasattr(target, "process_batch"):
        return target
    raise ConfigurationError(
        f"The object {name!r} is no function.",
        path=path,
        remedy="Name a function, or a sink with the methods of moorage.SinkConnector.",
    )
