"""Connectors: objects that connect to one foreign system, with a life cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.domain.connectors.health import ConnectorHealth, ConnectorVersions
    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.ports.operation import AsyncOperation, Operation
    from moorage.ports.pipelines import SourceConnector

T = TypeVar("T")


class DescribedConnector(Protocol):
    """The attributes that synchronous and asynchronous connectors share.

    `name` is the connector's own name, such as "erp", and `kind` the name of its kind, such as
    "sql". `service` is the service whose protections apply to its operations; usually it has the
    connector's name. `versions` are the versions of its libraries and, if connected, of the server;
    reading them opens no connection. `statistics` returns the numbers of the connection pool, or
    None if there is no pool; it opens no connection and never waits. `operations` are the
    operations that the connector offers by name.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def service(self) -> str: ...

    @property
    def versions(self) -> ConnectorVersions: ...

    @property
    def operations(self) -> Mapping[str, NamedOperation]: ...

    def statistics(self) -> PoolStatistics | None: ...


class Connector(DescribedConnector, Protocol):
    """A synchronous connector to a foreign system.

    `open` prepares it within `timeout` seconds, usually with the first connection, and raises an
    error of moorage if that fails; then it may be called again. A connector that is used before it
    was opened opens itself.

    `health` asks the server within `timeout` seconds, and returns the answer as a value: it raises
    no exception if the server does not work. A health check is never retried, and no circuit
    counts it.

    `close` waits only until idle connections are closed. Connections in use are closed
    when they are returned. `close` may be called repeatedly, and no operation begins after it.

    Several threads may use a connector concurrently.
    """

    def open(self, timeout: float, /) -> None: ...

    def health(self, timeout: float, /) -> ConnectorHealth: ...

    def close(self) -> None: ...


class AsyncConnector(DescribedConnector, Protocol):
    """The asynchronous `Connector`; a method that is cancelled leaves no connection behind."""

    async def open(self, timeout: float, /) -> None: ...

    async def health(self, timeout: float, /) -> ConnectorHealth: ...

    async def close(self) -> None: ...


class Performer(Protocol):
    """Performs operations under the protections of a service: a `ConnectorManager`."""

    def perform(
        self,
        service: str,
        operation: Operation[T],
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_key: str | None = None,
        payload: object = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> T: ...


class AsyncPerformer(Protocol):
    """The asynchronous `Performer`: an `AsyncConnectorManager`."""

    async def perform(
        self,
        service: str,
        operation: AsyncOperation[T],
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_key: str | None = None,
        payload: object = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> T: ...


@attrs.frozen(kw_only=True)
class KindSource:
    """The kind of pipeline source that the connectors of one kind can be turned into.

    Attributes:
        options: the class of its options, made with attrs. Each field is a setting of
            `[pipelines.NAME.source]`, with its description from the class's docstring. No class may
            have a field `connector`.
        build: makes a source from the connector's settings and the options. `build` opens no
            connection.
    """

    options: type[Any]
    build: Callable[[Any, Any], SourceConnector]


@attrs.frozen(kw_only=True)
class ConnectorKind:
    """A kind of connector, which a package declares under the entry point `moorage.connectors`.

    Attributes:
        name: the name of the kind, as a configuration writes it.
        settings: the class of its settings, made with attrs. Each field is a setting of
            `[connectors.NAME]`, with its description from the class's docstring. A field of the
            type `Secret` may be written as a reference such as "secret://env/NAME". The fields
            `kind`, `enabled`, `version` and `depends_on` have their own meaning, and no class may
            have them.
        build: makes a connector from its name, its settings, and the manager that performs its
            operations; None if the kind is asynchronous only. `build` opens no connection.
        build_async: makes an asynchronous connector from the same arguments; None if the kind is
            synchronous only.
        version: the version of the settings. A configuration without `version` is of this version.
        migrate: converts a table of settings of an older version to this one; None if there is no
            older version.
        source: the source of pipelines that the kind offers; None if it offers none.
    """

    name: str
    settings: type[Any]
    build: Callable[[str, Any, Performer], Connector] | None = None
    build_async: Callable[[str, Any, AsyncPerformer], AsyncConnector] | None = None
    version: int = 1
    migrate: Callable[[int, Mapping[str, Any]], Mapping[str, Any]] | None = None
    source: KindSource | None = None
