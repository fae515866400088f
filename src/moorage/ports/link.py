"""Links: connections to a foreign system, which a connection pool lends to its callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from moorage.domain.connectors.pool_statistics import PoolStatistics

L_co = TypeVar("L_co", covariant=True)


class Link(Protocol):
    """One connection to a foreign system, for one caller at a time.

    A pool opens links with a function `connect(timeout)`. The function returns a link within
    `timeout` seconds, or raises an error of moorage and leaves no connection behind.

    `version` is the version of the server, such as "PostgreSQL 15.6"; None if it is not known.

    `is_connected` never waits: it returns False if the connection is closed or known to be broken.
    `is_connected` need not notice that the server has gone away.

    `ping` checks that the server responds, and raises `ConnectionFailed` or any other exception if
    it does not within `timeout` seconds.

    `close` drops the connection, and does not wait for the server. `close` may be called in any
    state, by any thread, and repeatedly.
    """

    @property
    def version(self) -> str | None: ...

    def is_connected(self) -> bool: ...

    def ping(self, timeout: float, /) -> None: ...

    def close(self) -> None: ...


class AsyncLink(Protocol):
    """The asynchronous `Link`: `connect` and `ping` are awaited, its other methods are not.

    A `connect` that is cancelled leaves no connection behind.

    `close` also works when the event loop of the connection is closed.
    """

    @property
    def version(self) -> str | None: ...

    def is_connected(self) -> bool: ...

    async def ping(self, timeout: float, /) -> None: ...

    def close(self) -> None: ...


class DrainingLink(Link, Protocol):
    """A connection that many callers share, and that closes only after their requests end.

    `leave` waits at most `timeout` seconds until all sent requests are complete; the caller then
    calls `close`.
    """

    def leave(self, timeout: float, /) -> None: ...


class AsyncDrainingLink(AsyncLink, Protocol):
    """The asynchronous `DrainingLink`."""

    async def leave(self, timeout: float, /) -> None: ...


class LinkSource(Protocol[L_co]):
    """The source of connections to a foreign system: a `LinkPool` or a `SharedLink`."""

    def link(self, operation: str, timeout: float) -> AbstractContextManager[L_co, Any]: ...

    def open(self, timeout: float) -> None: ...

    def statistics(self) -> PoolStatistics: ...

    def close(self) -> None: ...


class AsyncLinkSource(Protocol[L_co]):
    """The asynchronous `LinkSource`: an `AsyncLinkPool` or an `AsyncSharedLink`."""

    def link(self, operation: str, timeout: float) -> AbstractAsyncContextManager[L_co, Any]: ...

    async def open(self, timeout: float) -> None: ...

    def statistics(self) -> PoolStatistics: ...

    async def close(self) -> None: ...
