"""The connector of an HTTP service, for asynchronous programs.

`python -m tools.twins` makes `connector_sync.py` of this file.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Self, cast

from moorage.adapters.links.health import health_of
from moorage.domain.connectors.health import ConnectorHealth, ConnectorVersions
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConnectorError, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.domain.service.operation import HttpOperation
    from moorage.ports.connector import AsyncPerformer


class AsyncHttpConnector(Uncopyable):
    """The named operations of an HTTP service, for asynchronous programs.

    The connector uses the connections of the manager's HTTP client, which closes them. The address,
    the credentials and the protections are those of the service.

    Attributes:
        name: the name of the connector.
        kind: the name of its kind.
        service: the name of the service.
        client: the object that makes the operations; use it for operations that have no name here.
        operations: the operations that can be run by name.

    Args:
        name: the name of the connector.
        kind: the name of its kind.
        performer: performs the operations.
        client: the object that makes the operations.
        operations: the operations that can be run by name.
        ping: the operation that shows if the service answers.
        service: the name of the service; by default that of the connector.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        performer: AsyncPerformer,
        *,
        client: Any,
        operations: Iterable[NamedOperation],
        ping: HttpOperation[Any],
        service: str | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.service = name if service is None else service
        self.client = client
        self.operations: Mapping[str, NamedOperation] = {item.name: item for item in operations}
        self._performer = performer
        self._ping = ping
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.kind})>"

    @property
    def versions(self) -> ConnectorVersions:
        """The versions of the library and of the server; an HTTP service reports none."""
        return ConnectorVersions()

    def statistics(self) -> PoolStatistics | None:
        """Return None, because the connections belong to the manager's HTTP client."""
        return None

    async def open(self, timeout: float = 5.0, /) -> None:
        """Check that the service responds, so that configuration errors appear early.

        Raises:
            ConnectorError: the service did not answer as expected.
        """
        self._check_open()
        await self._ping_server(timeout)

    def _check_open(self) -> None:
        """Raise an error if the connector is closed."""
        if self._is_closed:
            raise LocalFailure(
                f"The connector {self.name} is closed.",
                remedy="Use the connector before you close it, or create another one.",
            )

    async def _ping_server(self, timeout: float) -> None:
        """Perform the configured ping operation, to check that the service answers."""
        await self._performer.perform(self.service, cast("Any", self._ping), timeout=timeout)

    async def health(self, timeout: float = 5.0, /) -> ConnectorHealth:
        """Return the health of the service, determined by a ping.

        It asks through the service, so an open circuit shows as an unavailable service.
        """
        started_at = monotonic()
        try:
            self._check_open()
            await self._ping_server(timeout)
        except ConnectorError as error:
            return health_of(self.name, "The service", monotonic() - started_at, error=error)
        return health_of(self.name, "The service", monotonic() - started_at)

    async def close(self) -> None:
        """Mark the connector as closed; the manager owns its connections."""
        self._is_closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
