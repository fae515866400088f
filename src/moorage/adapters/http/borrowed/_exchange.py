"""One request and its response through the client of another library.

| the library reports | raised | may have been processed |
|---|---|---|
| no free connection in time | `AttemptTimeout` | no |
| the proxy refused to connect | `ConnectionFailed` | no |
| no connection or no TLS, in time or at all | `ConnectionFailed`, `AttemptTimeout` | no |
| the source of the body failed | `LocalFailure` | if anything was sent |
| request or response not complete in time | `AttemptTimeout` | yes |
| connection closed before the end of the response | `ConnectionFailed` | yes |
| response not HTTP, or too large | `VendorFailed` | yes |
| anything else | `ConnectionFailed` | if anything was sent |

A library that does not report whether anything was sent counts as having sent the request.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Protocol

from moorage.adapters.http.borrowed._engine import (
    ExchangePool,
    LibraryClient,
    LibraryEngine,
    closed_error,
)
from moorage.adapters.http.borrowed._library_exchange import (
    BodySourceFailed,
    LibraryExchange,
    OutgoingRequest,
    Pieces,
    ServerNotReached,
    StepTimeout,
)
from moorage.adapters.http.connections._proxy import refusal_error
from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.connections._wire import DeadlinePassed, resource_error
from moorage.adapters.http.messages._http1 import NotHttp, ResponseCutOff, encode_head
from moorage.adapters.http.stdlib._exchange import Exchange
from moorage.adapters.http.stdlib._exchange_base import ExchangeErrors
from moorage.domain.http.requests import BodyStream
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.adapters.http.connections._wire import Network
    from moorage.adapters.http.messages._http1 import Limits
    from moorage.domain.http.requests import Request, Timeouts


class ExchangeLibrary(LibraryClient, Protocol):
    """A client of another library, which sends a request and reads its response in one step."""

    @property
    def closed(self) -> bool: ...

    def exchange(self, outgoing: OutgoingRequest) -> LibraryExchange: ...


class LibraryExchangePool(ExchangePool):
    """A pool of exchanges (requests with responses) that another library performs.

    Attributes:
        lost: exchanges that were garbage-collected without being closed.
    """

    def __init__(self, network: Network, slots: int, make_library: ExchangeLibrary) -> None:
        super().__init__(network, slots)
        self.library = self._library = make_library
        self.lost: deque[LibraryExchange] = deque()

    def exchange(self, outgoing: OutgoingRequest) -> LibraryExchange:
        """Return a new exchange for a request, without sending the request yet."""
        self.enter()
        return self._library.exchange(outgoing)

    def enter(self) -> None:
        """Close abandoned exchanges; raise an error if the client is closed."""
        while self.lost:
            self.lost.popleft().close()
        if self._library.closed:
            raise closed_error("Your HTTP client is closed.")


class LibraryExchangeEngine(LibraryEngine):
    """Sends requests through a library that handles each request and its response as a whole.

    Args:
        network: the way to wait: blocking, or in an event loop.
        settings: the settings of the adapter.
        make_library: creates a client.
        from_host: whether the host created the client.
    """

    def __init__(
        self,
        network: Network,
        settings: ConnectionSettings,
        make_library: Callable[[], ExchangeLibrary],
        *,
        from_host: bool,
    ) -> None:
        super().__init__(network, settings, from_host=from_host)
        self._new_library = make_library

    def new_exchange_pool(self) -> LibraryExchangePool:
        """Create a client for this process and event loop, with its pool."""
        return LibraryExchangePool(
            self.network, self._settings.max_connections, self._new_library()
        )

    async def _start(
        self, request: Request, url: str, timeouts: Timeouts, limits: Limits
    ) -> Exchange:
        origin, host, target = locate(url)
        if self.resolver is not None:
            self.resolver.check(origin)
        exchange = BorrowedExchange(self, origin, timeouts, limits, request.method)
        await exchange.start(request, target, host)
        return exchange


class LibraryErrors(ExchangeErrors):
    """The errors of an exchange through a library, with the same messages as for all clients."""

    __slots__ = ()

    @abstractmethod
    def _connection_lost(self, error: Exception) -> ConnectionFailed:
        """Return the error for a connection that ended before the response."""

    def _error_of_head(self, error: Exception, *, sent: bool) -> Exception:
        """Return the error for a failure before the head of the response arrived.

        Args:
            error: the failure, as a `LibraryExchange` raises it.
            sent: whether a byte of the request may have been sent.
        """
        if isinstance(error, StepTimeout):
            return self._timed_out(error.step, error.what, sent=sent)
        if isinstance(error, DeadlinePassed):
            return self._timed_out("total", "did not respond", sent=sent)
        if isinstance(error, NotHttp):
            return self._bad_response(error)
        if not isinstance(error, ServerNotReached):
            return self._connection_lost(error)
        if error.refusal is not None:
            proxy = "The proxy" if self._gateway is None else f"The proxy {self._gateway.origin}"
            return refusal_error(proxy, self._origin, error.refusal)
        if error.exhausted:
            return resource_error(self._peer, str(error))
        return ConnectionFailed(
            f"{self._peer} could not be reached: {error}.", may_have_been_processed=False
        )


class BorrowedExchange(Exchange, LibraryErrors):
    """One request and its response, through another library."""

    __slots__ = ()

    async def start(self, request: Request, target: str, host: str) -> None:
        """Send the request, and read the status and header fields of its response."""
        # Memory views, because crash reports show locals, and a view does not show its bytes.
        head, upload = memoryview(encode_head(request, target, host)), None
        if isinstance(request.body, BodyStream):
            upload = await self._open_body(request.body, framed=False)
            pieces = Pieces(upload.first, upload, self._deadline)
        else:
            pieces = Pieces(request.body, None, self._deadline)
        outgoing_request = OutgoingRequest(
            self._origin, head, pieces, self._timeouts, self._deadline
        )
        try:
            pool = await self._take_slot()
            exchange = self._wire = pool.exchange(outgoing_request)
            await self._send_request(exchange)
            if exchange.parsed_head is not None:
                await self._begin(exchange, *exchange.parsed_head)
            while self._reader.head is None:
                await self._receive(exchange)
            self._begin_body(request)
        except BaseException:
            self._release()
            raise

    async def _begin(
        self, exchange: LibraryExchange, status: int, reason: str, fields: list[tuple[str, str]]
    ) -> None:
        try:
            self._reader.begin(status, reason, fields)
        except NotHttp as error:
            raise self._bad_response(error) from None
        if self._reader.done:
            await self._receive(exchange)

    async def _take_slot(self) -> LibraryExchangePool:
        pool = await super()._take_slot()
        assert isinstance(pool, LibraryExchangePool)  # noqa: S101 - there are no others
        return pool

    async def _send_request(self, exchange: LibraryExchange) -> None:
        try:
            await exchange.send(b"", self._deadline_for(None))
        except BodySourceFailed as body_failure:
            raise self._body_failed(body_failure.error, sent=exchange.sent) from body_failure.error
        except (DeadlinePassed, NotHttp, ServerNotReached, ResponseCutOff, OSError) as error:
            raise self._error_of_head(error, sent=exchange.sent) from None

    def __del__(self) -> None:
        # The exchange was not closed, so the library would keep its connection reserved.
        if isinstance(self._pool, LibraryExchangePool) and isinstance(self._wire, LibraryExchange):
            self._pool.lost.append(self._wire)
        super().__del__()
