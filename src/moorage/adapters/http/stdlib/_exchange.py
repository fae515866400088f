"""One request and its response over HTTP/1.1, for the synchronous and the asynchronous client.

| what happened | raised | may have been processed |
|---|---|---|
| no free connection in time | `AttemptTimeout` | no |
| no connection, or no TLS | `ConnectionFailed`, `AttemptTimeout` | no |
| the source of the body failed before the first byte | `ConnectionFailed` | no |
| the source of the body failed later | `ConnectionFailed` | yes |
| request or response not complete in time | `AttemptTimeout` | yes |
| connection closed before the end of the response | `ConnectionFailed` | yes |
| response not HTTP, or too large | `VendorFailed` | yes |

A reused connection may have been closed by the other side unnoticed. If the system accepted no byte
of the request for it, the request is sent once more over a new connection.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._wire import (
    DeadlinePassed,
    connection_failed_error,
    reason_of,
)
from moorage.adapters.http.messages._content import decompressor_of
from moorage.adapters.http.messages._http1 import (
    AUTHENTICATION_REQUIRED,
    NotHttp,
    ResponseCutOff,
    ResponseReader,
    encode_head,
)
from moorage.adapters.http.stdlib._exchange_base import ExchangeBase
from moorage.domain.http.requests import BodyStream
from moorage.domain.resilience.interruptions import is_interruption
from moorage.errors import (
    ConnectionFailed,
)

if TYPE_CHECKING:
    from moorage.adapters.http.connections._pool import Pool
    from moorage.adapters.http.connections._request import Upload
    from moorage.adapters.http.connections._wire import Origin, Wire
    from moorage.adapters.http.messages._content import Decompressor
    from moorage.adapters.http.messages._http1 import Head, Limits
    from moorage.adapters.http.stdlib._engine import Engine
    from moorage.domain.http.requests import Headers, Request, Timeouts

_PIECE_SIZE: Final = 65_536


class Exchange(ExchangeBase):
    """One HTTP exchange: first a request is sent, then its response is read."""

    __slots__ = (
        "_aborted",
        "_deadline",
        "_ended",
        "_engine",
        "_gateway",
        "_holder",
        "_inflater",
        "_max_body",
        "_origin",
        "_pool",
        "_reader",
        "_reading",
        "_send_error",
        "_timeouts",
        "_wire",
    )

    def __init__(
        self, engine: Engine, origin: Origin, timeouts: Timeouts, limits: Limits, method: str
    ) -> None:
        total = timeouts.total
        self._engine = engine
        self._origin = origin
        self._gateway = engine.gateway and engine.gateway_to(origin)
        self._timeouts = timeouts
        self._deadline = inf if total is None else monotonic() + total
        self._max_body = limits.body
        self._reader = ResponseReader(limits, to_head=method == "HEAD")
        self._inflater: Decompressor | None = None
        self._holder = object()
        self._pool: Pool | None = None  # the pool whose slot we hold or wait for
        self._wire: Wire | None = None
        self._send_error: OSError | None = None  # the error that interrupted sending
        self._size = 0
        self._reading = False
        self._ended = False
        self._aborted = False

    @property
    def head(self) -> Head:
        """The head of the response: its status and header fields."""
        head = self._reader.head
        if head is None:  # pragma: no cover - an exchange is returned once it has a head
            raise RuntimeError("The response has not arrived yet.")
        return head

    @property
    def status(self) -> int:  # type: ignore[override]  # nobody sets it
        """The status code of the response."""
        return self.head.status

    @property
    def headers(self) -> Headers:  # type: ignore[override]  # nobody sets it
        """The header fields of the response."""
        return self.head.headers

    async def start(self, request: Request, target: str, host: str) -> None:
        """Send the request, and read the head of its response."""
        # Memory views, because crash reporters print locals, and a view does not show its bytes.
        first_piece, large_body, upload = self._head_of(request, target, host), None, None
        if isinstance(request.body, BodyStream):
            upload = await self._open_body(request.body)
            first_piece = memoryview(b"".join((first_piece, upload.first)))
        elif len(request.body) > _PIECE_SIZE:
            large_body = memoryview(request.body)
        elif request.body:
            first_piece = memoryview(b"".join((first_piece, request.body)))
        try:
            wire = await self._send_first(await self._take_slot(), first_piece)
            if large_body is not None and self._send_error is None:
                await self._send(wire, large_body)
            if upload is not None:
                await self._send_rest(wire, upload)
            while self._reader.head is None:
                await self._receive(wire)
            self._begin_body(request)
        except BaseException:
            self._release()
            raise

    def _head_of(self, request: Request, target: str, host: str) -> memoryview:
        gateway = self._gateway
        if gateway is None or self._origin.secure:
            return memoryview(encode_head(request, target, host))
        url = f"http://{host}{target}"
        return memoryview(encode_head(request, url, host, gateway.introduction))

    def _begin_body(self, request: Request) -> None:
        status, gateway = self.status, self._gateway
        if status == AUTHENTICATION_REQUIRED and gateway is not None and not self._origin.secure:
            raise gateway.refused(self._origin, status)  # over TLS, a 407 comes from the vendor
        self._inflater = decompressor_of(request, status, self.headers)
        if self._inflater is not None:
            self._max_body = self._engine.held.body

    async def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        if self._ended:
            return b""
        self._reading = True
        try:
            while not (piece := self._next_piece()):
                if self._wire is None:
                    self._ended = True
                    return b""
                await self._receive(self._wire)
            self._count_bytes(len(piece))
        except BaseException:
            self._aborted = True
            self._release()
            raise
        finally:
            self._reading = False
        return piece

    async def rest(self) -> bytes:
        """Return the remaining bytes of the body."""
        first_piece = await self.read()
        if (
            self._wire is None and self._inflater is None
        ):  # the usual case: the body arrived in one piece
            self._ended = True
            return first_piece
        pieces = [first_piece]
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Stop reading the response; may be called at any time, also repeatedly."""
        self._aborted = not self._ended
        if self._reading and self._wire is not None:
            self._wire.hang_up()  # the waiting reader wakes up and releases the connection
        else:
            self._release()

    async def _take_slot(self) -> Pool:
        pool = self._pool = self._engine.pool()
        try:
            await pool.take(self._origin, self._holder, self._deadline_for(self._timeouts.pool))
        except DeadlinePassed:
            raise self._timed_out("pool", "had no free connection", sent=False) from None
        return pool

    async def _connect(self, pool: Pool) -> Wire:
        pool.sweep()
        origin = self._origin
        try:
            deadline = self._deadline_for(self._timeouts.connect)
            return await self._engine.dial(origin, deadline)
        except DeadlinePassed:
            raise self._timed_out("connect", "could not be reached", sent=False) from None
        except (OSError, ValueError) as error:
            raise connection_failed_error(self._peer, error) from error

    async def _send_first(self, pool: Pool, first: memoryview) -> Wire:
        """Send the first chunk; if an idle connection turns out to be closed, use a new one."""
        wire = pool.reuse(self._origin)
        if wire is not None:
            self._wire, written_before = wire, wire.written
            await self._send(wire, first)
            if self._send_error is None or wire.written > written_before:
                return wire
            self._send_error = None
            wire.close()
        wire = self._wire = await self._connect(pool)
        await self._send(wire, first)
        return wire

    async def _send_rest(self, wire: Wire, upload: Upload) -> None:
        while self._send_error is None:
            try:
                piece = memoryview(await upload.next(self._deadline))
            except DeadlinePassed:
                raise self._timed_out(
                    "total", "did not receive all of the request", sent=True
                ) from None
            except Exception as error:
                raise self._body_failed(error, sent=True) from error
            if not piece:
                return
            await self._send(wire, piece)

    async def _send(self, wire: Wire, data: memoryview) -> None:
        """Send bytes; keep an error for later, because the response may explain it."""
        try:
            for start in range(0, len(data), _PIECE_SIZE):
                piece = data if len(data) <= _PIECE_SIZE else data[start : start + _PIECE_SIZE]
                await wire.send(piece, self._deadline_for(self._timeouts.write))
        except DeadlinePassed:
            raise self._timed_out("write", "did not accept the request", sent=True) from None
        except OSError as error:
            if is_interruption(error):
                raise
            self._send_error = error

    async def _receive(self, wire: Wire) -> None:
        reader = self._reader
        try:
            data = await wire.receive(self._deadline_for(self._timeouts.read))
            if data:
                reader.feed(data)
            else:
                reader.end()
        except DeadlinePassed:
            problem = "did not respond" if reader.silent else "did not finish its response"
            raise self._timed_out("read", problem, sent=True) from None
        except NotHttp as error:
            raise self._bad_response(error) from None
        except (ResponseCutOff, OSError) as error:
            raise self._connection_lost(error) from error
        if reader.done:
            self._release(reusable=reader.reusable and self._send_error is None)

    def _next_piece(self) -> bytes:
        if self._aborted:
            raise self._closed_early()
        decompressor = self._inflater
        if decompressor is None:
            return self._reader.take()
        try:
            piece = decompressor.take()
            if not piece:
                decompressor.feed(self._reader.take())
                piece = decompressor.take()
            if not piece and self._reader.done:
                decompressor.end()
        except NotHttp as error:
            raise self._bad_response(error) from None
        return piece

    def _release(self, *, reusable: bool = False) -> None:
        """Return the connection and its slot to the pool; repeated calls do nothing."""
        wire, self._wire = self._wire, None
        if wire is not None and not reusable:
            wire.close()
            wire = None
        if self._pool is not None:
            idle_seconds = self.head.idle if wire is not None else None
            self._pool.give(self._origin, self._holder, wire, idle_seconds)
            self._pool = None

    def __del__(self) -> None:
        # The exchange was not closed. The socket closes the connection with a warning. If the
        # constructor was interrupted, the exchange has no pool yet.
        pool = getattr(self, "_pool", None)
        if pool is not None:
            pool.lose(self._origin, self._holder)

    def _deadline_for(self, bound: float | None) -> float:
        now = monotonic()
        if now >= self._deadline:
            raise DeadlinePassed
        return self._deadline if bound is None else min(self._deadline, now + bound)

    def _connection_lost(self, error: Exception) -> ConnectionFailed:
        send_error = self._send_error
        if send_error is not None:
            problem, error = "did not accept all of the request", send_error
        elif self._reader.silent:
            problem = "closed the connection without a response"
        else:
            problem = "closed the connection before the end of its response"
        reason = reason_of(error)
        return ConnectionFailed(f"{self._peer} {problem}{f': {reason}' if reason else ''}.")

    def _bound_of(self, step: str) -> float | None:
        timeout_seconds: float | None = getattr(self._timeouts, step)
        return timeout_seconds

    def _status_so_far(self) -> int | None:
        return None if self._reader.head is None else self._reader.head.status
