"""Sends requests through httpx2, and interprets its exceptions."""

from __future__ import annotations

import contextlib
import socket
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final

import httpcore2
import httpx2

from moorage.adapters.http.borrowed._library_exchange import (
    ExceptionMeaning,
    LibraryExchange,
    LoopLibraryExchange,
    SyncLibraryExchange,
    seconds_left,
    unverified_tls_error,
    verifies,
)

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from moorage.adapters.http.borrowed._library_exchange import OutgoingRequest
    from moorage.adapters.http.connections._wire import Origin

MEANINGS: Final[dict[type[BaseException], ExceptionMeaning]] = {
    httpx2.PoolTimeout: ExceptionMeaning.NO_CONNECTION,
    httpx2.ConnectTimeout: ExceptionMeaning.NOT_REACHED_IN_TIME,
    httpx2.WriteTimeout: ExceptionMeaning.NOT_TAKEN_IN_TIME,
    httpx2.TimeoutException: ExceptionMeaning.NO_RESPONSE_IN_TIME,
    httpx2.ConnectError: ExceptionMeaning.NOT_REACHED,
    httpx2.ProxyError: ExceptionMeaning.NOT_REACHED,
    httpx2.UnsupportedProtocol: ExceptionMeaning.NOT_REACHED,
    httpx2.InvalidURL: ExceptionMeaning.NOT_REACHED,
    httpx2.RemoteProtocolError: ExceptionMeaning.NOT_HTTP,
    Exception: ExceptionMeaning.CUT_OFF,
}
"""The meaning of an exception, by the first of its classes that is listed here."""

_ENDED_TEXTS: Final = ("peer closed connection", "Server disconnected")
_HTTP: Final = b"HTTP/1."
_STATUS_LENGTH: Final = 3
_EXCHANGE: Final = "moorage"
_HTTP11_CONNECTIONS: Final = (httpcore2.HTTP11Connection, httpcore2.AsyncHTTP11Connection)


class _Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of a request, as a synchronous and an asynchronous httpx2 stream."""

    def __init__(self, exchange: LibraryExchange) -> None:
        self._pieces = exchange.outgoing.pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._pieces)


class _Httpx2Exchange(LibraryExchange):
    """The common code of synchronous and asynchronous exchanges with httpx2.

    Args:
        outgoing: the request to send.
        transport: the transport of httpx2 that sends it.
        allow_unverified: whether certificates need not be verified.
    """

    def __init__(
        self, outgoing: OutgoingRequest, transport: object, *, allow_unverified: bool
    ) -> None:
        self._pool = getattr(transport, "_pool", None)
        self.reports_sending = self._pool is not None
        super().__init__(outgoing)
        self._allow_unverified = allow_unverified
        self._response: httpx2.Response | None = None
        self._connection: Any = None
        self._stream: Any = None

    def meaning(self, error: Exception) -> ExceptionMeaning:
        """Return the kind of failure that an httpx2 exception means; one class has two meanings."""
        if isinstance(error, httpx2.RemoteProtocolError) and str(error).startswith(_ENDED_TEXTS):
            return (
                ExceptionMeaning.CUT_OFF
                if _is_http_start(self._unread_bytes())
                else ExceptionMeaning.NOT_HTTP
            )
        if isinstance(error, httpx2.TimeoutException) and self.connecting:
            # For example a proxy that refuses a tunnel; which of the timeouts ends first varies.
            return ExceptionMeaning.NOT_REACHED_IN_TIME  # pragma: no cover - depends on timing
        return next(MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS)

    def proxy_status(self, error: Exception) -> int | None:
        """Return the status of a proxy's refusal, which httpx2's error message begins with."""
        status = str(error)[:3] if isinstance(error, httpx2.ProxyError) else ""
        return int(status) if status.isdecimal() and len(status) == _STATUS_LENGTH else None

    def _request(self) -> httpx2.Request:
        method, target, fields = self.outgoing.parts()
        origin, timeouts, end_time = (
            self.outgoing.origin,
            self.outgoing.timeouts,
            self.outgoing.until,
        )
        return httpx2.Request(
            method,
            url_of(origin, target),
            headers=fields,
            stream=_Body(self),
            extensions={
                "timeout": {
                    step: seconds_left(getattr(timeouts, step), end_time)
                    for step in ("connect", "read", "write", "pool")
                },
                "target": target.encode("ascii"),
                "trace": self._trace,
                _EXCHANGE: self,
            },
        )

    @abstractmethod
    def _trace(self, name: str, info: dict[str, Any]) -> Any:
        """Record a progress event of a request, as httpx2 reports it."""

    def _note_progress(self, name: str, info: dict[str, Any]) -> None:
        """Record a progress event of a request, as httpx2 reports it."""
        step = name.partition(".")[2]
        if step in {"connect_tcp.started", "connect_unix_socket.started"}:
            self.connect_within(self.outgoing.timeouts.connect)
        elif step in {"connect_tcp.complete", "start_tls.complete"}:
            self._remember_connection(info["return_value"])
        elif step == "start_tls.started":
            self._check(info["ssl_context"])
        elif step == "send_request_headers.started" and info["request"].method != b"CONNECT":
            self.connected()
            self._connection = self._find_connection()
            if self._connection is not None:
                self._remember_connection(self._connection._network_stream)  # noqa: SLF001 - not public otherwise

    def _remember_connection(self, stream: Any) -> None:
        """Remember a new connection, because httpx2 loses it if its TLS handshake is cancelled."""
        self._stream = stream

    def _check(self, context: ssl.SSLContext) -> None:
        if not self._allow_unverified and not verifies(context):
            raise unverified_tls_error("client")

    def _find_connection(self) -> object:
        """Return the HTTP/1.1 connection of the request; None if it uses another protocol.

        The connection is not public, so it is searched for in the pool.
        """
        for pool_request in list(getattr(self._pool, "_requests", ())):
            if pool_request.request.extensions.get(_EXCHANGE) is self:
                connection = pool_request.connection
                while connection is not None and not isinstance(connection, _HTTP11_CONNECTIONS):
                    connection = getattr(connection, "_connection", None)
                return connection
        return None

    def _begin(self, response: httpx2.Response) -> bytes:
        self._response = response
        reason = response.extensions.get("reason_phrase", b"")
        return self.encode_head(response.status_code, reason, response.headers.raw)

    def _close_if_dirty(self) -> None:
        """Make httpx2 close a connection with surplus bytes after the response.

        Otherwise httpx2 would read these bytes as the next response.
        """
        if self._body_complete and self._unread_bytes():
            self._connection._h11_state.send_failed()  # noqa: SLF001 - the only way to close it

    def _unread_bytes(self) -> bytes:
        """Return the bytes received after the response, if httpx2 makes them accessible."""
        if self._connection is None:
            return b""
        unread_bytes: bytes = self._connection._h11_state.trailing_data[0]  # noqa: SLF001 - not public otherwise
        return unread_bytes


class SyncHttpx2Exchange(_Httpx2Exchange, SyncLibraryExchange):
    """A request and its response through an `httpx2.BaseTransport`."""

    def __init__(
        self, outgoing: OutgoingRequest, transport: httpx2.BaseTransport, *, allow_unverified: bool
    ) -> None:
        super().__init__(outgoing, transport, allow_unverified=allow_unverified)
        self._transport = transport
        self._pieces: Iterator[bytes] = iter(())
        self._socket: socket.socket | None = None
        self._duplicate: socket.socket | None = None

    async def send_request(self) -> bytes:
        """Send the request, and return the encoded head of the response."""
        try:
            response = self._transport.handle_request(self._request())
        finally:
            self._drop_duplicate()
        self._pieces = iter(response.stream)  # type: ignore[arg-type]  # it is of the same kind
        return self._begin(response)

    async def next_piece(self) -> bytes:
        """Return the next piece of the response's body."""
        for piece in self._pieces:
            if piece:  # pragma: no branch - no library is known to return empty pieces
                return piece
        return b""

    async def finish(self) -> None:
        """Give the connection back to httpx2."""
        if self._response is not None:
            self._close_if_dirty()
            self._response.close()
        elif self._stream is not None:
            self._stream.close()

    def hang_up(self) -> None:
        """Shut the connection down, which wakes the waiting caller."""
        self._hung_up = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own method, which would drop its state while another thread reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        self._note_progress(name, info)

    def _remember_connection(self, stream: httpcore2.NetworkStream) -> None:
        super()._remember_connection(stream)
        self._drop_duplicate()
        self._socket = sock = stream.get_extra_info("socket")
        if self.connecting:
            # The TLS handshake wraps the socket, and the new socket is not accessible.
            self._socket = self._duplicate = socket.socket(
                sock.family, sock.type, sock.proto, fileno=socket.dup(sock.fileno())
            )
        if self._hung_up:  # pragma: no cover - only between two lines of another thread
            self.hang_up()

    def _drop_duplicate(self) -> None:
        if self._duplicate is not None:
            self._duplicate.close()
            self._duplicate = self._socket = None


class AsyncHttpx2Exchange(_Httpx2Exchange, LoopLibraryExchange):
    """A request and its response through an `httpx2.AsyncBaseTransport`."""

    def __init__(
        self,
        outgoing: OutgoingRequest,
        transport: httpx2.AsyncBaseTransport,
        closing_tasks: set[asyncio.Task[None]],
        *,
        allow_unverified: bool,
    ) -> None:
        super().__init__(outgoing, transport, allow_unverified=allow_unverified)
        self.closing_tasks = closing_tasks
        self._transport = transport

    async def send_request(self) -> bytes:
        """Send the request, and return the encoded head of the response."""
        response = await self._transport.handle_async_request(self._request())
        self._pieces = aiter(response.stream)  # type: ignore[arg-type]  # it is of the same kind
        return self._begin(response)

    async def next_piece(self) -> bytes:
        """Return the next piece of the response's body."""
        async for piece in self._pieces:
            if piece:  # pragma: no branch - no library is known to return empty pieces
                return piece
        return b""

    async def finish(self) -> None:
        """Give the connection back to httpx2."""
        if self._response is not None:
            self._close_if_dirty()
            await self._response.aclose()
        elif self._stream is not None:
            await self._stream.aclose()

    async def _trace(self, name: str, info: dict[str, Any]) -> None:
        self._note_progress(name, info)


def _is_http_start(received: bytes) -> bool:
    return not received or received.startswith(_HTTP) or _HTTP.startswith(received)


def url_of(origin: Origin, target: str = "/") -> httpx2.URL:
    """Return the URL of an origin in the form that httpx2 needs."""
    return httpx2.URL(f"{'https' if origin.secure else 'http'}://{origin}{target}")
