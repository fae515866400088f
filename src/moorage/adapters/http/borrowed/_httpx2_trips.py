"""Exchanges that httpx2 carries: what its exceptions mean, and what it does on the way."""

from __future__ import annotations

import contextlib
import socket
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final

import httpcore2
import httpx2

from moorage.adapters.http.borrowed._trip import (
    BlockingTrip,
    LoopTrip,
    Meaning,
    Trip,
    seconds_left,
    unverified,
    verifies,
)

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from moorage.adapters.http.borrowed._trip import Errand
    from moorage.adapters.http.connections._wire import Origin

MEANINGS: Final[dict[type[BaseException], Meaning]] = {
    httpx2.PoolTimeout: Meaning.NO_PLACE,
    httpx2.ConnectTimeout: Meaning.NOT_REACHED_IN_TIME,
    httpx2.WriteTimeout: Meaning.NOT_TAKEN_IN_TIME,
    httpx2.TimeoutException: Meaning.NOT_ANSWERED_IN_TIME,
    httpx2.ConnectError: Meaning.NOT_REACHED,
    httpx2.ProxyError: Meaning.NOT_REACHED,
    httpx2.UnsupportedProtocol: Meaning.NOT_REACHED,
    httpx2.InvalidURL: Meaning.NOT_REACHED,
    httpx2.RemoteProtocolError: Meaning.NO_ANSWER,
    Exception: Meaning.CUT_OFF,
}
"""What an exception means, by the first of its classes that is named here."""

_ENDED: Final = ("peer closed connection", "Server disconnected")
_HTTP: Final = b"HTTP/1."
_TRIP: Final = "moorage"
_CARRIERS: Final = (httpcore2.HTTP11Connection, httpcore2.AsyncHTTP11Connection)


class _Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of a request, in either colour."""

    def __init__(self, trip: Trip) -> None:
        self._pieces = trip.errand.pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._pieces)


class _Httpx2Trip(Trip):
    """What is the same in both colours.

    Args:
        errand: what it is for.
        transport: what httpx2 sends it by.
        anybody: whether it may go to whoever answers.
    """

    def __init__(self, errand: Errand, transport: object, *, anybody: bool) -> None:
        self._pool = getattr(transport, "_pool", None)
        self.tells = self._pool is not None
        super().__init__(errand)
        self._anybody = anybody
        self._response: httpx2.Response | None = None
        self._carrier: Any = None
        self._stream: Any = None

    def meaning(self, error: Exception) -> Meaning:
        """Look it up; one class stands for half an answer and for none."""
        if isinstance(error, httpx2.RemoteProtocolError) and str(error).startswith(_ENDED):
            return Meaning.CUT_OFF if _begins(self._unread()) else Meaning.NO_ANSWER
        if isinstance(error, httpx2.TimeoutException) and self.connecting:
            # Such as a proxy that opens no tunnel; which of its timeouts tells first is luck.
            return Meaning.NOT_REACHED_IN_TIME  # pragma: no cover - a matter of luck
        return next(MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS)

    def _request(self) -> httpx2.Request:
        method, target, fields = self.errand.opened()
        origin, timeouts, until = self.errand.origin, self.errand.timeouts, self.errand.until
        return httpx2.Request(
            method,
            url_of(origin, target),
            headers=fields,
            stream=_Body(self),
            extensions={
                "timeout": {
                    step: seconds_left(getattr(timeouts, step), until)
                    for step in ("connect", "read", "write", "pool")
                },
                "target": target.encode("ascii"),
                "trace": self._trace,
                _TRIP: self,
            },
        )

    @abstractmethod
    def _trace(self, name: str, info: dict[str, Any]) -> Any:
        """Take notice of what httpx2 does."""

    def _follow(self, name: str, info: dict[str, Any]) -> None:
        """Take notice of what httpx2 does."""
        step = name.partition(".")[2]
        if step in {"connect_tcp.started", "connect_unix_socket.started"}:
            self.connect_within(self.errand.timeouts.connect)
        elif step in {"connect_tcp.complete", "start_tls.complete"}:
            self._reached(info["return_value"])
        elif step == "start_tls.started":
            self._check(info["ssl_context"])
        elif step == "send_request_headers.started" and info["request"].method != b"CONNECT":
            self.connected()
            self._carrier = self._find_carrier()
            if self._carrier is not None:
                self._reached(self._carrier._network_stream)  # noqa: SLF001 - it tells nobody else

    def _reached(self, stream: Any) -> None:
        """Take notice of a connection: httpx2 forgets one that is cancelled as it is secured."""
        self._stream = stream

    def _check(self, context: ssl.SSLContext) -> None:
        if not self._anybody and not verifies(context):
            raise unverified("client")

    def _find_carrier(self) -> object:
        """The connection that httpx2 has chosen, if it speaks HTTP/1.1.

        httpx2 does not tell, so that we look for it.
        """
        for queued in list(getattr(self._pool, "_requests", ())):
            if queued.request.extensions.get(_TRIP) is self:
                carrier = queued.connection
                while carrier is not None and not isinstance(carrier, _CARRIERS):
                    carrier = getattr(carrier, "_connection", None)
                return carrier
        return None

    def _begin(self, response: httpx2.Response) -> bytes:
        self._response = response
        reason = response.extensions.get("reason_phrase", b"")
        return self.put(response.status_code, reason, response.headers.raw)

    def _spoil(self) -> None:
        """Have a connection closed on which more came than the answer.

        httpx2 would take it for the next one.
        """
        if self._over and self._unread():
            self._carrier._h11_state.send_failed()  # noqa: SLF001 - it is not closed otherwise

    def _unread(self) -> bytes:
        """What has come and was not made sense of, if we can know that."""
        if self._carrier is None:
            return b""
        unread: bytes = self._carrier._h11_state.trailing_data[0]  # noqa: SLF001 - nobody else knows
        return unread


class Httpx2Trip(_Httpx2Trip, BlockingTrip):
    """An exchange by an `httpx2.BaseTransport`."""

    def __init__(self, errand: Errand, transport: httpx2.BaseTransport, *, anybody: bool) -> None:
        super().__init__(errand, transport, anybody=anybody)
        self._transport = transport
        self._pieces: Iterator[bytes] = iter(())
        self._socket: socket.socket | None = None
        self._own: socket.socket | None = None

    async def ask(self) -> bytes:
        """Send it."""
        try:
            response = self._transport.handle_request(self._request())
        finally:
            self._drop_own()
        self._pieces = iter(response.stream)  # type: ignore[arg-type]  # it is of our colour
        return self._begin(response)

    async def more(self) -> bytes:
        """Return the next piece."""
        for piece in self._pieces:
            if piece:  # pragma: no branch - no library is known to give empty ones
                return piece
        return b""

    async def leave(self) -> None:
        """Give the connection back."""
        if self._response is not None:
            self._spoil()
            self._response.close()
        elif self._stream is not None:
            self._stream.close()

    def hang_up(self) -> None:
        """Wake whoever waits for the connection."""
        self._hung_up = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not an SSLSocket's own, which would forget its state under who reads from it.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        self._follow(name, info)

    def _reached(self, stream: httpcore2.NetworkStream) -> None:
        super()._reached(stream)
        self._drop_own()
        self._socket = sock = stream.get_extra_info("socket")
        if self.connecting:
            # While TLS is agreed on the socket changes hands, and nobody is told the new one.
            self._socket = self._own = socket.socket(
                sock.family, sock.type, sock.proto, fileno=socket.dup(sock.fileno())
            )
        if self._hung_up:  # pragma: no cover - only between two lines of another thread
            self.hang_up()

    def _drop_own(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = self._socket = None


class AsyncHttpx2Trip(_Httpx2Trip, LoopTrip):
    """An exchange by an `httpx2.AsyncBaseTransport`."""

    def __init__(
        self,
        errand: Errand,
        transport: httpx2.AsyncBaseTransport,
        leaving: set[asyncio.Task[None]],
        *,
        anybody: bool,
    ) -> None:
        super().__init__(errand, transport, anybody=anybody)
        self.leaving = leaving
        self._transport = transport

    async def ask(self) -> bytes:
        """Send it."""
        response = await self._transport.handle_async_request(self._request())
        self._pieces = aiter(response.stream)  # type: ignore[arg-type]  # it is of our colour
        return self._begin(response)

    async def more(self) -> bytes:
        """Return the next piece."""
        async for piece in self._pieces:
            if piece:  # pragma: no branch - no library is known to give empty ones
                return piece
        return b""

    async def leave(self) -> None:
        """Give the connection back."""
        if self._response is not None:
            self._spoil()
            await self._response.aclose()
        elif self._stream is not None:
            await self._stream.aclose()

    async def _trace(self, name: str, info: dict[str, Any]) -> None:
        self._follow(name, info)


def _begins(answer: bytes) -> bool:
    return not answer or answer.startswith(_HTTP) or _HTTP.startswith(answer)


def url_of(origin: Origin, target: str = "/") -> httpx2.URL:
    """A URL of an origin, as httpx2 likes to have it."""
    return httpx2.URL(f"{'https' if origin.secure else 'http'}://{origin}{target}")
