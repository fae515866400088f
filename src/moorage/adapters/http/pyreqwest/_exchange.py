"""Exchanges through pyreqwest in which the request, the response or both are streamed.

| what happens | raised | may have been processed |
|---|---|---|
| no slot becomes free in time | `AttemptTimeout` | no |
| the source of the body fails before the first byte | `LocalFailure` | no |
| the source of the body fails later | `LocalFailure` | yes |
| request not sent, or no piece of the response, in time | `AttemptTimeout` | yes |
| malformed compressed body, or body too large | `VendorFailed` | yes |
| pyreqwest raises an exception | see `_errors` | see `_errors` |

pyreqwest cannot cancel a request before the head of its response has arrived: an abandoned request
continues until its total timeout at the latest. Its exceptions show the URL, so no error is raised
from them, nor while they are handled.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.adapters.http.messages._content import decompressor_of
from moorage.adapters.http.messages._http1 import NotHttp
from moorage.adapters.http.pyreqwest._errors import meaning_of
from moorage.adapters.http.pyreqwest._failures import PyreqwestErrors
from moorage.adapters.http.pyreqwest._messages import (
    address_of,
    check_length,
    check_proxy,
    fields_of,
    headers_of,
)
from moorage.adapters.http.pyreqwest._timeouts import PIECE_SIZE
from moorage.adapters.http.pyreqwest._upload import UploadPieces
from moorage.adapters.http.pyreqwest._waiting import drop_response_async
from moorage.adapters.http.stdlib._exchange_base import ExchangeBase
from moorage.domain.http.requests import BodyStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from moorage.adapters.http.connections._pool import Pool
    from moorage.adapters.http.connections._request import Upload
    from moorage.adapters.http.messages._content import Decompressor
    from moorage.adapters.http.pyreqwest._loop_runtimes import StreamingRuntime
    from moorage.adapters.http.pyreqwest._timeouts import StepTimeouts
    from moorage.adapters.http.stdlib._engine import Engine
    from moorage.domain.http.requests import HttpMethod, Request
    from moorage.errors import AttemptTimeout


class PyreqwestExchange(PyreqwestErrors, ExchangeBase):
    """A request that pyreqwest sends, and its response.

    Args:
        engine: the engine, with the slots and the proxy.
        runtime: the way to wait.
        url: the destination.
        timeouts: the timeouts of the steps.
        max_body: the maximum number of bytes of the body, if there is one.
    """

    # Class attributes, because most exchanges never change these values.
    _abandoned = False  # True if no caller waits for the response any more
    _aborted = False  # True if the response was closed before its end
    _ended = False
    _inflater: Decompressor | None = None
    _outgoing: Any = None  # pyreqwest's context of the response, once the head has arrived
    _pool: Pool | None = None
    _pulling = False  # True while the source of the body is being read
    _reader: Any = None
    _source_error: Exception | None = None

    def __init__(
        self,
        engine: Engine,
        runtime: StreamingRuntime,
        url: str,
        timeouts: StepTimeouts,
        max_body: int | None,
    ) -> None:
        total = timeouts.total
        origin, self._url = address_of(url)
        super().__init__(
            origin,
            engine.gateway_to(origin),
            timeouts,
            inf if total is None else monotonic() + total,
        )
        self._engine = engine
        self._runtime = runtime
        self._max_body = max_body
        self._holder = object()
        self._size = 0

    async def start(self, request: Request, *, streamed: bool) -> None:
        """Send the request, in chunks if it is streamed, and read the head of its response."""
        fields, body = fields_of(request), request.body
        pieces: AsyncGenerator[bytes] | None = None
        timeouts, runtime = self._timeouts, self._runtime
        if isinstance(body, BodyStream):
            upload = await runtime.perform(self._open_body(body, framed=False))
            pieces = self._pieces(upload)
        elif streamed:
            pieces = self._pieces_in_memory(body)
            if "content-length" not in request.headers:
                fields.append(("Content-Length", str(len(body))))
        try:
            pool = self._pool = self._engine.pool()
            if not pool.claim(self._origin, self._holder):
                await self._wait_for_slot(pool)
            # No read timeout, because pyreqwest would count the sending of a body as the server's
            # silence.
            read_timeout = timeouts.read if pieces is None else None
            gateway = self._gateway
            client = runtime.clients.find(
                timeouts.connect, read_timeout, proxied=gateway is not None
            )
            builder = client.request(request.method, self._url)
            if fields:
                builder = builder.headers(fields)
            if timeouts.total is not None:
                builder = builder.timeout(timeouts.remaining(self._deadline - monotonic()))
            if pieces is not None:
                builder = builder.body_stream(UploadPieces(pieces))
            elif body:
                builder = builder.body_bytes(body)
            await self._enter(builder.streamed_read_buffer_limit(0).build_streamed())
            self._inflater = decompressor_of(request, self.status, self.headers)
            self._check_framing(request.method)
            check_proxy(gateway, self._origin, self.status)
        except BaseException:
            self._release()
            raise

    async def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
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
        return b"".join(pieces)

    def close(self) -> None:
        """Stop reading the response; may be called at any time, also repeatedly."""
        self._aborted = not self._ended
        if not self._runtime.hang_up():
            self._release()

    def limit_decompressed(self, max_body: int) -> None:
        """Limit the size of the decompressed body, if moorage decompresses it."""
        if self._inflater is not None:
            self._max_body = max_body

    # --- sending -----------------------------------------------------------

    async def _wait_for_slot(self, pool: Pool) -> None:
        end_time, timeout = self._deadline, self._timeouts.pool
        if timeout is not None:
            end_time = min(end_time, monotonic() + timeout)
        try:
            await self._runtime.perform(pool.take(self._origin, self._holder, end_time))
        except DeadlinePassed:
            raise self.no_slot() from None

    async def _pieces(self, upload: Upload) -> AsyncGenerator[bytes]:
        """Yield the pieces of the body whenever pyreqwest can send one."""
        piece = upload.first
        try:
            while piece and not self._abandoned:
                self._runtime.bound(self._timeouts.write, "write")
                yield piece
                self._runtime.bound(None, "")
                self._pulling = True
                piece = await self._runtime.perform(upload.piece(self._deadline))
                self._pulling = False
        except Exception as error:
            self._source_error = error
            raise
        self._end_of_body()

    async def _pieces_in_memory(self, body: bytes) -> AsyncGenerator[bytes]:
        """Yield the pieces of a body in memory, without waiting.

        Without a write timeout it is one piece.
        """
        timeout = self._timeouts.write
        size = len(body) if timeout is None else PIECE_SIZE
        for start in range(0, len(body), size):
            self._runtime.bound(timeout, "write")
            yield body[start : start + size]
            if self._abandoned:
                break
        self._end_of_body()

    def _end_of_body(self) -> None:
        """Start the response's read timeout, because the whole body was sent."""
        if self._abandoned:
            raise DeadlinePassed  # dropping the context makes pyreqwest cancel the request
        self._runtime.bound(self._timeouts.read, "read")

    async def _enter(self, outgoing: Any) -> None:
        failure: Exception
        try:
            response = await self._runtime.enter(outgoing)
            self._outgoing = outgoing
            self._reader = response.body_reader
            self.status = self._status = response.status
            self.headers = headers_of(response)
        except DeadlinePassed as timeout_error:
            failure = (
                self._translate(timeout_error)
                if self._source_error
                else self._step_timeout(str(timeout_error))
            )
        except Exception as error:  # noqa: BLE001 - every error is replaced
            failure = self._translate(error)
        else:
            return
        raise failure

    def _check_framing(self, method: HttpMethod) -> None:
        try:
            check_length(method, self.status, self.headers)
        except NotHttp as error:
            refusal = self._bad_response(error)
        else:
            return
        raise refusal

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
        """Return the next chunk of the body before decompression; b"" at the end."""
        failure: Exception
        try:
            data = await self._runtime.read(self._reader, self._timeouts.read)
            if data is None:
                self._reader = None
                return b""
            return bytes(data)
        except DeadlinePassed:
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
        """Drop the response and free the connection slot; repeated calls do nothing."""
        self._abandoned = True
        outgoing_request, self._outgoing = self._outgoing, None
        if outgoing_request is not None and self._reader is not None:
            self._reader = None
            drop_response_async(outgoing_request)
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
        """Return the error for an exception of pyreqwest or of the body's source."""
        source_error = self._source_error
        if isinstance(source_error, DeadlinePassed) or (
            self._pulling and meaning_of(error).timed_out
        ):
            return self._timed_out("total", "did not receive all of the request", sent=True)
        if source_error is not None:
            failure = self._body_failed(source_error, sent=True)
            failure.__cause__ = source_error
            return failure
        return self.of_pyreqwest(error)

    def _step_timeout(self, step: str) -> AttemptTimeout:
        problem = "did not accept the request" if step == "write" else "did not respond"
        return self._timed_out(step, problem, sent=True)
