"""One request and its response through pyreqwest.

| what happens | raised | may have been processed |
|---|---|---|
| no slot becomes free in time | `AttemptTimeout` | no |
| the source of the body fails before the first byte | `LocalFailure` | no |
| the source of the body fails later | `LocalFailure` | yes |
| request not sent, or no piece of the response, in time | `AttemptTimeout` | yes |
| malformed compressed body, or body too large | `VendorFailed` | yes |
| pyreqwest raises an exception | see `_errors` | see `_errors` |

pyreqwest cannot cancel a request before the head of its response has arrived: an abandoned one goes
on until its total timeout at the latest. Its exceptions show the URL, so no error is raised from
them, nor while they are handled.
"""

from __future__ import annotations

import contextlib
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.adapters.http.connections._wire import TimeIsUp, exhausted
from moorage.adapters.http.messages._content import decompressor_for, wants_identity
from moorage.adapters.http.messages._http1 import (
    AUTHENTICATION_REQUIRED,
    BODILESS,
    NotHttp,
    TooLarge,
    check_status,
    framing,
)
from moorage.adapters.http.pyreqwest._errors import meaning_of
from moorage.adapters.http.pyreqwest._request import exact_url, fields_of, headers_of
from moorage.adapters.http.pyreqwest._timeouts import PIECE_SIZE
from moorage.adapters.http.stdlib._exchange_base import ExchangeBase
from moorage.domain.http.requests import BodyStream, HttpMethod
from moorage.errors import AttemptTimeout, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from moorage.adapters.http.connections._pool import Pool
    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._request import Upload
    from moorage.adapters.http.connections._wire import Origin
    from moorage.adapters.http.messages._content import Decompressor
    from moorage.adapters.http.pyreqwest._runtimes import Runtime, StreamRuntime
    from moorage.adapters.http.pyreqwest._timeouts import StepTimeouts
    from moorage.adapters.http.stdlib._engine import Engine
    from moorage.domain.http.requests import Body, Request

_PARTIAL_CONTENT: Final = 206


class PyreqwestExchange(ExchangeBase):
    """A request that pyreqwest sends, and then the response that it receives.

    Args:
        engine: has the slots and the proxy.
        runtime: the way to wait.
        origin: the destination.
        timeouts: the timeouts of the steps.
        max_body: the maximum number of bytes of the body, if there is one.
    """

    # Most exchanges leave these as they are.
    _abandoned = False  # whether nobody waits for the response any more
    _aborted = False  # whether the response was closed before its end
    _ended = False
    _gateway: Gateway | None = None
    _inflater: Decompressor | None = None
    _length = -1  # the announced number of bytes of the body, if it is known
    _outgoing: Any = None  # pyreqwest's context of the response, once the head has arrived
    _pool: Pool | None = None
    _pulling = False  # whether the source of the body is being read
    _reader: Any = None
    _source_error: Exception | None = None
    _wants_identity = False

    def __init__(
        self,
        engine: Engine,
        runtime: Runtime,
        origin: Origin,
        timeouts: StepTimeouts,
        max_body: int | None,
    ) -> None:
        total = timeouts.total
        self._engine = engine
        self._runtime = runtime
        self._origin = origin
        self._timeouts = timeouts
        self._deadline = inf if total is None else monotonic() + total
        self._max_body = max_body
        self._holder = object()
        self._size = 0

    async def start(
        self, request: Request, url: str, target: str, held: int, *, streamed: bool
    ) -> None:
        """Send the request, in pieces if it is streamed, and read the head of its response.

        If nothing is streamed, up to `held` bytes of the body are received with it.
        """
        request_url, fields, body = exact_url(url, target), fields_of(request), request.body
        self._wants_identity = wants_identity(request.headers)
        upload = None
        timeouts, runtime = self._timeouts, self._runtime
        if streamed:
            upload = await runtime.perform(self._open_body(_stream_of(body), framed=False))
        try:
            pool = self._pool = self._engine.pool()
            if not pool.claim(self._origin, self._holder):
                await self._wait_for_slot(pool)
            # While a body is sent, pyreqwest would count that as the server's silence.
            read_timeout = timeouts.read if upload is None else None
            gateway = self._gateway = self._engine.gateway_to(self._origin)
            client = runtime.clients.find(
                timeouts.connect, read_timeout, proxied=gateway is not None
            )
            builder = client.request(request.method.value, request_url)
            if fields:
                builder = builder.headers(fields)
            if timeouts.total is not None:
                builder = builder.timeout(timeouts.remaining(self._deadline - monotonic()))
            if upload is not None:
                held = 0
                builder = builder.body_stream(self._pieces(upload))
            elif body:
                builder = builder.body_bytes(body)
            await self._enter(builder.streamed_read_buffer_limit(held).build_streamed())
            self._check_framing(to_head=request.method is HttpMethod.HEAD)
            if gateway is not None:
                self._check_proxy(gateway)
        except BaseException:
            self._release()
            raise

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end."""
        if self._ended:
            return b""
        try:
            piece = await self._next_piece()
            if not piece:
                self._end()
                return b""
            self._count_bytes(len(piece))
        except BaseException:
            self._aborted = True
            self._release()
            raise
        return piece

    async def rest(self) -> bytes:
        """Return the remaining bytes of the body."""
        pieces: list[bytes] = []
        while piece := await self.read():
            pieces.append(piece)
            if self._size == self._length:  # usually after the first piece
                self._end()
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Stop reading the response; this may be called at any time, and several times."""
        self._aborted = not self._ended
        if not self._stream_runtime.hang_up():
            self._release()

    def limit_decompressed(self, max_body: int) -> None:
        """Limit the size of the decompressed body, if it is decompressed here."""
        if self._inflater is not None:
            self._max_body = max_body

    @property
    def _stream_runtime(self) -> StreamRuntime:
        """Return the object that waits for an exchange with a streamed body."""
        return cast("StreamRuntime", self._runtime)

    # --- sending -----------------------------------------------------------

    async def _wait_for_slot(self, pool: Pool) -> None:
        end_time, timeout = self._deadline, self._timeouts.pool
        if timeout is not None:
            end_time = min(end_time, monotonic() + timeout)
        try:
            await self._runtime.perform(pool.take(self._origin, self._holder, end_time))
        except TimeIsUp:
            raise self._timed_out("pool", "had no connection free", sent=False) from None

    async def _pieces(self, upload: Upload) -> AsyncIterator[bytes]:
        """Yield the pieces of the body as fast as pyreqwest sends them."""
        piece = upload.first
        try:
            while piece and not self._abandoned:
                self._stream_runtime.bound(self._timeouts.write, "write")
                yield piece
                self._stream_runtime.bound(None, "")
                self._pulling = True
                piece = await self._runtime.perform(upload.piece(self._deadline))
                self._pulling = False
        except Exception as error:
            self._source_error = error
            raise
        if self._abandoned:
            raise TimeIsUp  # which makes pyreqwest cancel the request
        self._stream_runtime.bound(self._timeouts.read, "read")

    async def _enter(self, outgoing: Any) -> None:
        failure: Exception
        try:
            response = await self._runtime.enter(outgoing)
            self._outgoing = outgoing
            self._reader = response.body_reader
            self.status = response.status
            self.headers = headers = headers_of(response)
        except TimeIsUp as timeout_error:
            failure = (
                self._translate(timeout_error)
                if self._source_error
                else self._passed(str(timeout_error))
            )
        except Exception as error:  # noqa: BLE001 - every error is replaced
            failure = self._translate(error)
        else:
            if "content-encoding" in headers:
                # A part of a compressed body could not be decompressed.
                if self.status != _PARTIAL_CONTENT and not self._wants_identity:
                    self._inflater = decompressor_for(headers)
            elif (length := headers.get("content-length", "")).isdecimal():
                self._length = int(length)
            return
        raise failure

    def _check_framing(self, *, to_head: bool) -> None:
        """Refuse a response whose length is ambiguous, which pyreqwest would accept."""
        try:
            check_status(self.status)
            if not to_head and self.status not in BODILESS:
                framing(self.headers, old=False)
        except NotHttp as error:
            refusal = self._bad_response(error)
        else:
            return
        raise refusal

    def _check_proxy(self, gateway: Gateway) -> None:
        if self.status == AUTHENTICATION_REQUIRED and not self._origin.secure:
            raise gateway.refused(self._origin, self.status)  # over TLS, a 407 is the vendor's

    # --- receiving ---------------------------------------------------------

    async def _next_piece(self) -> bytes:
        while not self._aborted:
            piece = await (self._receive() if self._inflater is None else self._decompressed())
            if piece or self._reader is None:
                return piece
        raise self._closed_early()

    async def _decompressed(self) -> bytes:
        decompressor = cast("Decompressor", self._inflater)
        try:
            piece = decompressor.take()
            if not piece:
                decompressor.feed(await self._receive())
                piece = decompressor.take()
            if not piece and self._reader is None:
                decompressor.end()
        except NotHttp as error:
            raise self._bad_response(error) from None
        return piece

    async def _receive(self) -> bytes:
        """Return the next piece of the body, not decompressed; b"" at the end."""
        failure: Exception
        try:
            data = await self._runtime.read(self._reader, self._timeouts.read)
            if data is None:
                self._reader = None
                return b""
            return bytes(data)
        except TimeIsUp:
            failure = self._timed_out("read", "did not finish its response", sent=True)
        except Exception as error:  # noqa: BLE001 - every error is replaced
            failure = self._translate(error)
        raise self._closed_early() if self._aborted else failure

    # --- ending ------------------------------------------------------------

    def _end(self) -> None:
        self._ended = True
        self._reader = None
        self._release()

    def _release(self) -> None:
        """Give up the response, and free the connection slot; a second call does nothing."""
        self._abandoned = True
        outgoing_request, self._outgoing = self._outgoing, None
        if outgoing_request is not None and self._reader is not None:
            self._reader = None
            with contextlib.suppress(Exception):
                self._runtime.leave(outgoing_request)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.give(self._origin, self._holder)

    def __del__(self) -> None:
        # The exchange was not closed.
        if self._pool is not None:
            self._pool.lose(self._origin, self._holder)
            self._pool = None
            self._release()

    # --- errors ------------------------------------------------------------

    def _translate(self, error: Exception) -> Exception:
        """Return the error for an exception of pyreqwest, or of the source of the body."""
        source_error, meaning = self._source_error, meaning_of(error)
        if isinstance(source_error, TimeIsUp) or (meaning.timed_out and self._pulling):
            return self._timed_out("total", "did not receive all of the request", sent=True)
        if source_error is not None:
            failure = self._body_failed(source_error, sent=True)
            failure.__cause__ = source_error
            return failure
        if meaning.too_large:
            return self._bad_response(TooLarge("has a head that is too large for pyreqwest"))
        if meaning.malformed:
            return self._bad_response(NotHttp("is not HTTP"))
        if meaning.timed_out and not meaning.sent:
            return AttemptTimeout(
                f"{self._peer} could not be reached within {self._timeouts.connect} s.",
                may_have_been_processed=False,
            )
        has_responded = self._outgoing is not None
        if meaning.timed_out:
            problem = "did not finish its response" if has_responded else "did not respond"
            return self._timed_out("read", problem, sent=True)
        reason = f": {meaning.reason}" if meaning.reason else ""
        if not meaning.sent and meaning.exhausted:
            return exhausted(self._peer, meaning.reason)
        if not meaning.sent:
            return ConnectionFailed(
                f"{self._peer} could not be reached{reason}.", may_have_been_processed=False
            )
        problem = "before the end of its" if has_responded else "without a"
        return ConnectionFailed(f"{self._peer} closed the connection {problem} response{reason}.")

    def _passed(self, step: str) -> AttemptTimeout:
        problem = "did not take the request" if step == "write" else "did not respond"
        return self._timed_out(step, problem, sent=True)

    def _bound_of(self, step: str) -> float | None:
        timeout_seconds: float | None = getattr(self._timeouts, step)
        return timeout_seconds

    def _status_so_far(self) -> int | None:
        status: int | None = getattr(self, "status", None)
        return status


def _stream_of(body: Body) -> BodyStream:
    """Return a body as a stream of pieces."""
    if isinstance(body, BodyStream):
        return body
    starts = range(0, len(body), PIECE_SIZE)
    return BodyStream(
        lambda: (body[start : start + PIECE_SIZE] for start in starts), length=len(body)
    )
