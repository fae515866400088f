"""The code that synchronous and asynchronous HTTP clients share."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from moorage.adapters.http.connections._settings import settings_of
from moorage.adapters.http.connections._threads import run

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.adapters.http.stdlib._engine import Engine
    from moorage.adapters.http.stdlib._exchange_base import ExchangeBase
    from moorage.domain.http.requests import Headers, Request, Response, Timeouts
    from moorage.domain.http.transport import DangerouslyUnverified, HttpPoolStatistics, Tls


class ClientOfEngine(ABC):
    """The common base class of synchronous and asynchronous HTTP clients.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
        http2: True if the client speaks HTTP/2 with servers that offer it; None if the
            application's own client decides.
    """

    http2: bool | None = False
    tls: Tls | None
    unverified: DangerouslyUnverified | None

    def __attrs_post_init__(self) -> None:
        """Create the engine, and warn if certificates are not verified."""
        self._engine = self._new_engine(settings_of(self))
        self.unverified = None if self.tls is None else self.tls.unverified
        if self.unverified is not None:
            warnings.warn(
                f"TLS certificates are not verified ({self.unverified.because}). Your secrets"
                " are sent to any server that answers.",
                stacklevel=4,  # the caller of the constructor, beyond the wrapper `careful`
            )

    @abstractmethod
    def _new_engine(self, settings: ConnectionSettings) -> Engine:
        """Return the engine of this client; the engine must not have a reference to the client."""

    def statistics(self) -> HttpPoolStatistics:
        """Return the numbers of active, idle and waiting connections to all origins."""
        return self._engine.statistics()


class SyncClient(ClientOfEngine):
    """The base class of synchronous HTTP clients."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its whole response."""
        return run(self._engine.send(request, url, timeouts))

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> IncomingResponse:
        """Send a request, and read its response up to the end of the header fields."""
        return IncomingResponse(run(self._engine.open(request, url, timeouts)))

    def close(self) -> None:
        """Close idle connections now, and busy ones when their responses end."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(ClientOfEngine):
    """The base class of asynchronous HTTP clients."""

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its whole response."""
        return await self._engine.send(request, url, timeouts)

    async def open(
        self, request: Request, url: str, timeouts: Timeouts, /
    ) -> AsyncIncomingResponse:
        """Send a request, and read its response up to the end of the header fields."""
        return AsyncIncomingResponse(await self._engine.open(request, url, timeouts))

    async def close(self) -> None:
        """Close idle connections now, and busy ones when their responses end."""
        self._engine.close()
        await self._engine.settle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class _Incoming:
    """A response whose body is still being received."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: ExchangeBase) -> None:
        self._exchange = exchange

    @property
    def status(self) -> int:
        """The status code of the response."""
        return self._exchange.status

    @property
    def headers(self) -> Headers:
        """The header fields of the response."""
        return self._exchange.headers

    def close(self) -> None:
        """Stop reading the response; may be called at any time, also repeatedly."""
        self._exchange.close()


class IncomingResponse(_Incoming):
    """A response of a synchronous client whose body is still being received."""

    __slots__ = ()

    def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        return run(self._exchange.read())


class AsyncIncomingResponse(_Incoming):
    """A response of an asynchronous client whose body is still being received."""

    __slots__ = ()

    async def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        return await self._exchange.read()
