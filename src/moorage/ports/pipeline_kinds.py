"""Kinds of pipeline sources and sinks that a configuration can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from moorage.domain.values.frozen_values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.ports.pipelines import CheckpointStore, SinkConnector, SourceConnector


class PipelineParts(Protocol):
    """The objects from which one configured pipeline's source and sink are made."""

    @property
    def name(self) -> str:
        """The name of the pipeline."""
        ...

    @property
    def hub(self) -> Any:
        """The `AsyncHub` of the pipeline's configuration."""
        ...

    @property
    def source(self) -> SourceConnector | None:
        """The source of the pipeline; None while it is being made."""
        ...

    def connector(self, name: str, /) -> tuple[Any, Any]:
        """Return the manager that performs a connector's operations, and the named connector."""
        ...

    def checkpoints(self) -> CheckpointStore:
        """Return the store of the source's positions.

        Raises:
            ConfigurationError: there is none.
        """
        ...

    def imported(self, path: str, field: str, /) -> Any:
        """Return the function that an import path such as "shop.orders:store" names.

        Args:
            path: the import path.
            field: the setting with the path below `[pipelines.NAME]`, for the error.

        Raises:
            ConfigurationError: it cannot be imported, or is not a function.
        """
        ...


@frozen(kw_only=True)
class SinkKind:
    """A kind of sink, which a package declares under the entry point `moorage.sinks`.

    Attributes:
        name: the name of the kind, as a configuration writes it.
        options: the class of its options, made with attrs. Each field is a setting of
            `[pipelines.NAME.sink]`, with its description from the class's docstring. A field
            `connector` names one of `[connectors]`, and a field `service` a configured service:
            both are checked when the configuration is read. No class may have a field `kind`.
        build: makes a sink of the options. `build` opens no connection.
        connector_kinds: the kinds of connectors that the field `connector` may name; any if empty.
    """

    name: str
    options: type[Any]
    build: Callable[[Any, PipelineParts], SinkConnector]
    connector_kinds: tuple[str, ...] = ()


@frozen(kw_only=True)
class SourceKind:
    """A kind of source, which a package declares under the entry point `moorage.sources`.

    The source of a broker belongs to the kind of its connector instead, as a `KindSource`.

    Attributes:
        name: the name of the kind, as a configuration writes it.
        options: the class of its options, as that of a `SinkKind`.
        build: makes a source of the options. `build` opens no connection.
        connector_kinds: the kinds of connectors that the field `connector` may name; any if empty.
        has_checkpoints: whether its position is kept by `PipelineParts.checkpoints`, so that
            `moorage stream reset` can change it.
    """

    name: str
    options: type[Any]
    build: Callable[[Any, PipelineParts], SourceConnector]
    connector_kinds: tuple[str, ...] = ()
    has_checkpoints: bool = False
