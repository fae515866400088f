"""The base of connectors whose operations use pooled connections, for asynchronous programs.

`python -m tools.twins` makes `connector_sync.py` of this file.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar

from moorage.adapters.links.health import health_of
from moorage.domain.connectors.health import ConnectorVersions
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.uncopyable import Uncopyable
from moorage.ports.link import AsyncLink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from moorage.domain.connectors.health import ConnectorHealth
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.domain.service.operation import OperationAttempt
    from moorage.errors import ConnectorError
    from moorage.ports.link import AsyncLinkSource

R = TypeVar("R")
L = TypeVar("L", bound=AsyncLink)

_CONNECT_TIMEOUT: Final = 5.0
_ATTEMPT_MARGIN: Final = 0.02
"""Seconds, and the share of an attempt, that are left for reporting a failure in time."""


def end_of(timeout: float) -> float:
    """Return the deadline of an attempt, as a time of `monotonic`.

    Args:
        timeout: the seconds after which the attempt must have ended.
    """
    return monotonic() + timeout - min(_ATTEMPT_MARGIN, timeout * _ATTEMPT_MARGIN)


class AsyncLinkOperation(Generic[R]):
    """An operation that uses a connection of the pool, for `AsyncConnectorManager.perform`.

    Attributes:
        name: the operation's name in events, errors and logs.
        safe: True if it changes nothing.
        repeatable: True if performing it twice is safe.
    """

    __slots__ = ("_work", "name", "repeatable", "safe")

    system: ClassVar[str]

    def __init__(
        self,
        name: str,
        work: Callable[[float], Awaitable[R]],
        *,
        safe: bool = False,
        repeatable: bool = False,
    ) -> None:
        self._work = work
        self.name = name
        self.safe = safe
        self.repeatable = safe or repeatable

    async def perform(self, attempt: OperationAttempt, /) -> R:
        """Make one attempt of the operation."""
        try:
            return await self._work(end_of(attempt.timeout))
        except Exception as error:  # noqa: BLE001 - as below
            failure = error
        # The stack frames contain passwords and values.
        raise without_frames(failure)

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Return None, because links raise only errors of moorage."""
        del error
        return None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class AsyncLinkConnector(Uncopyable, Generic[L]):
    """A connector whose operations use pooled connections, for asynchronous programs.

    Attributes:
        kind: the name of the connector's kind.
        name: the name of the connector.
        service: the service whose protections apply.

    Args:
        name: the name of the connector.
        service: the service whose protections apply; by default the one of the connector's name.
        links: lends connections to the foreign system.
        title: the name of the foreign system in sentences.
    """

    def __init__(
        self,
        name: str,
        service: str | None,
        links: AsyncLinkSource[L],
        *,
        title: str,
    ) -> None:
        self.name = name
        self.service = name if service is None else service
        self._links = links
        self._title = title
        self._server: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def versions(self) -> ConnectorVersions:
        """The server's version, once a connection has reported it."""
        return ConnectorVersions(server=self._server)

    def statistics(self) -> PoolStatistics:
        """Return the statistics of the connections, without waiting."""
        return self._links.statistics()

    async def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Open a connection, so that configuration errors appear early."""
        try:
            await self._links.open(timeout)
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = self._converted(error)
        else:
            return
        raise without_frames(failure)

    async def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the foreign system; a failure is part of the result, not raised."""
        started_at = monotonic()
        until = started_at + timeout
        try:
            async with self._link("health", until) as link:
                await link.ping(max(0.0, until - monotonic()))
                self._server = link.version
                problem = self._problem(link)
        except Exception as error:  # noqa: BLE001 - health is a value
            failure = self._converted(error)
            return health_of(
                self.name, self._title, monotonic() - started_at, error=without_frames(failure)
            )
        return health_of(self.name, self._title, monotonic() - started_at, problem=problem)

    async def close(self) -> None:
        """Close idle connections now, and busy ones at the end of their operations."""
        await self._links.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _link(self, operation: str, until: float) -> AbstractAsyncContextManager[L, Any]:
        """Return a context manager that lends a connection."""
        return self._links.link(operation, max(0.0, until - monotonic()))

    def _on_link(
        self,
        operation: str,
        work: Callable[[L, float], Awaitable[R]],
    ) -> Callable[[float], Awaitable[R]]:
        """Return a function that performs an operation over one connection.

        Args:
            operation: the name of the operation.
            work: is called with the connection and the deadline.
        """
        return partial(self._with_link, operation, work)

    async def _with_link(
        self,
        operation: str,
        work: Callable[[L, float], Awaitable[R]],
        until: float,
    ) -> R:
        async with self._link(operation, until) as link:
            return await work(link, until)

    def _converted(self, error: Exception) -> Exception:
        """Convert an exception of a link to an error of moorage; return others unchanged."""
        return error

    def _problem(self, link: L) -> tuple[str, str] | None:
        """Return the problem that the system itself reports, and its remedy; None if healthy."""
        del link
        return None
