"""One request and its response over pyreqwest, for synchronous and asynchronous clients.

| what happened | raised | may have been processed |
|---|---|---|
| no place among the exchanges in time | `AttemptTimeout` | no |
| the body's source failed before the first byte | `ConnectionFailed` | no |
| the body's source failed later | `ConnectionFailed` | yes |
| not sent in time, no piece of the answer in time | `AttemptTimeout` | yes |
| a compressed body that is none, or a body too large | `VendorFailed` | it was answered |
| pyreqwest raised | as `_pyreqwest_errors` says | the same |

pyreqwest cannot break off a request before the head of its answer has come: one that is left then
goes on without us, up to its total timeout at the latest. What it raises shows the URL, so nothing
is raised from it, nor while it is handled.
"""

from __future__ import annotations

import contextlib
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.adapters.http.connections._request import Upload
from moorage.adapters.http.connections._wire import TimeIsUp, exhausted
from moorage.adapters.http.messages._content import decompressor_for, wants_identity
from moorage.adapters.http.messages._http1 import (
    AUTHENTICATION_REQUIRED,
    BODILESS,
    NotHttp,
    check_status,
    framing,
)
from moorage.adapters.http.pyreqwest._bounds import PIECE
from moorage.adapters.http.pyreqwest._errors import meaning_of
from moorage.adapters.http.pyreqwest._request import exact_url, fields_of, headers_of
from moorage.domain.http.requests import HttpMethod
from moorage.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    LocalFailure,
    VendorFailed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from moorage.adapters.http.connections._pool import Pool
    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._wire import Origin
    from moorage.adapters.http.messages._content import Decompressor
    from moorage.adapters.http.pyreqwest._bounds import Bounds
    from moorage.adapters.http.pyreqwest._waiting import Face, StreamingFace
    from moorage.adapters.http.stdlib._engine import Engine
    from moorage.domain.http.requests import Body, Headers, Request

_PART: Final = 206


class Exchange:
    """One request on its way, then its answer on its way back.

    Attributes:
        status: the status code, once the head of the answer has come.
        headers: the fields received, likewise.
    """

    # Most exchanges leave these as they are.
    _as_it_is = False  # whether the body is handed over as it comes
    _broken = False
    _ended = False
    _inflater: Decompressor | None = None
    _left = False
    _length = -1
    _pool: Pool | None = None  # in which we have a place, or wait for one
    _pulling = False
    _reader: Any = None
    _sending: Any = None  # what pyreqwest gave us, once the head has come
    _size = 0
    _source_failed: Exception | None = None

    status: int
    headers: Headers

    def __init__(
        self, rooms: Engine, face: Face, origin: Origin, bounds: Bounds, most: int | None
    ) -> None:
        total = bounds.total
        self._rooms = rooms
        self._face = face
        self._origin = origin
        self._bounds = bounds
        self._deadline = inf if total is None else monotonic() + total
        self._most = most
        self._place = object()

    async def start(
        self, request: Request, url: str, target: str, held: int, *, streamed: bool
    ) -> None:
        """Send the request, in pieces if it is streamed, and read its answer up to the body.

        Where nothing is streamed, up to `held` bytes of the body come with it.
        """
        exact, fields, body = exact_url(url, target), fields_of(request), request.body
        self._as_it_is = wants_identity(request.headers)
        pieces, first = None, b""
        bounds, face = self._bounds, self._face
        if streamed:
            pieces = await face.ask(self._opened(body))
            first = await face.ask(self._first(pieces))
        try:
            pool = self._pool = self._rooms.pool()
            if not pool.claim(self._origin, self._place):
                await self._wait_for_place(pool)
            # Silence is bounded here while a body is sent, since pyreqwest takes that for silence.
            read = bounds.read if pieces is None else None
            gateway = self._rooms.gateway_to(self._origin)
            client = face.clients.find(bounds.connect, read, proxied=gateway is not None)
            sending = client.request(request.method.value, exact)
            if fields:
                sending = sending.headers(fields)
            if bounds.total is not None:
                sending = sending.timeout(bounds.left(self._deadline - monotonic()))
            if pieces is not None:
                held = 0
                sending = sending.body_stream(self._pieces(pieces, first))
            elif body:
                sending = sending.body_bytes(body)
            sending = sending.streamed_read_buffer_limit(held).build_streamed()
            await self._enter(sending)
            self._check_framing(to_head=request.method is HttpMethod.HEAD)
            if gateway is not None:
                self._check_proxy(gateway)
        except BaseException:
            self._let_go()
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
            self._admit(len(piece))
        except BaseException:
            self._broken = True
            self._let_go()
            raise
        return piece

    def _check_framing(self, *, to_head: bool) -> None:
        """Refuse what pyreqwest lets pass, though the answer could end in more than one place."""
        try:
            check_status(self.status)
            if not to_head and self.status not in BODILESS:
                framing(self.headers, old=False)
        except NotHttp as error:
            refused = self._no_answer(str(error))
        else:
            return
        raise refused

    def _check_proxy(self, gateway: Gateway) -> None:
        if self.status == AUTHENTICATION_REQUIRED and not self._origin.secure:
            raise gateway.refused(self._origin, self.status)  # a vendor, too, may say 407

    def bound_inflated(self, most: int) -> None:
        """Accept no more than so many bytes, if they are decompressed here."""
        if self._inflater is not None:
            self._most = most

    async def rest(self) -> bytes:
        """Return what is left of the body."""
        pieces: list[bytes] = []
        while piece := await self.read():
            pieces.append(piece)
            if self._size == self._length:  # all that was announced, mostly in one piece
                self._end()
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Leave the answer where it is, at any time and again."""
        self._broken = not self._ended
        if not self._streaming.hang_up():
            self._let_go()

    @property
    def _streaming(self) -> StreamingFace:
        """The waiting of an exchange with a streamed body."""
        return cast("StreamingFace", self._face)

    # --- sending -----------------------------------------------------------

    async def _opened(self, body: Body) -> Upload:
        if isinstance(body, bytes):
            cut = (body[start : start + PIECE] for start in range(0, len(body), PIECE))
            return Upload(self._face.network, cut, len(body))
        try:
            return Upload(self._face.network, body.open(), body.length)
        except ConnectorError:
            raise
        except Exception as error:
            raise self._no_body(error, sent=False) from error

    async def _first(self, pieces: Upload) -> bytes:
        """Ask the source for its first bytes, so that one that fails does so before we send."""
        try:
            return await pieces.piece(self._deadline)
        except TimeIsUp:
            raise self._late("total", "was not sent its request", sent=False) from None
        except ConnectorError:
            raise
        except Exception as error:
            raise self._no_body(error, sent=False) from error

    async def _wait_for_place(self, pool: Pool) -> None:
        until, bound = self._deadline, self._bounds.pool
        if bound is not None:
            until = min(until, monotonic() + bound)
        try:
            await self._face.ask(pool.take(self._origin, self._place, until))
        except TimeIsUp:
            raise self._late("pool", "had no connection free", sent=False) from None

    async def _pieces(self, pieces: Upload, piece: bytes) -> AsyncIterator[bytes]:
        """Give pyreqwest the body, a piece whenever it can take one."""
        try:
            while piece and not self._left:
                self._streaming.bound(self._bounds.write, "write")
                yield piece
                self._streaming.bound(None, "")
                self._pulling = True
                piece = await self._face.ask(pieces.piece(self._deadline))
                self._pulling = False
        except Exception as error:
            self._source_failed = error
            raise
        if self._left:
            raise TimeIsUp  # which breaks the request off
        self._streaming.bound(self._bounds.read, "read")

    async def _enter(self, sending: Any) -> None:
        failure: Exception
        try:
            response = await self._face.enter(sending)
            self._sending = sending
            self._reader = response.body_reader
            self.status = response.status
            self.headers = headers = headers_of(response)
        except TimeIsUp as passed:
            failure = self._told(passed) if self._source_failed else self._passed(str(passed))
        except Exception as error:  # noqa: BLE001 - none may pass
            failure = self._told(error)
        else:
            if "content-encoding" in headers:
                # A part could not be decompressed.
                if self.status != _PART and not self._as_it_is:
                    self._inflater = decompressor_for(headers)
            elif (length := headers.get("content-length", "")).isdecimal():
                self._length = int(length)
            return
        raise failure

    # --- receiving ---------------------------------------------------------

    async def _next_piece(self) -> bytes:
        while not self._broken:
            piece = await (self._receive() if self._inflater is None else self._inflated())
            if piece or self._reader is None:
                return piece
        raise self._closed()

    async def _inflated(self) -> bytes:
        decompressor = cast("Decompressor", self._inflater)
        try:
            piece = decompressor.take()
            if not piece:
                decompressor.feed(await self._receive())
                piece = decompressor.take()
            if not piece and self._reader is None:
                decompressor.end()
        except NotHttp as error:
            raise self._no_answer(str(error)) from None
        return piece

    def _admit(self, more: int) -> None:
        self._size += more
        if self._most is not None and self._size > self._most:
            raise self._too_large(f"has a body of more than {self._most} bytes")

    async def _receive(self) -> bytes:
        """Return what comes next as it was sent, b"" at the end."""
        failure: Exception
        try:
            came = await self._face.read(self._reader, self._bounds.read)
            if came is None:
                self._reader = None
                return b""
            return bytes(came)
        except TimeIsUp:
            failure = self._late("read", "did not finish its answer", sent=True)
        except Exception as error:  # noqa: BLE001 - none may pass
            failure = self._told(error)
        raise self._closed() if self._broken else failure

    # --- ending ------------------------------------------------------------

    def _end(self) -> None:
        self._ended = True
        self._reader = None
        self._let_go()

    def _let_go(self) -> None:
        """Give up the answer and the place; again is nothing."""
        self._left = True
        sending, self._sending = self._sending, None
        if sending is not None and self._reader is not None:
            self._reader = None
            with contextlib.suppress(Exception):
                self._face.leave(sending)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.give(self._origin, self._place)

    def __del__(self) -> None:
        # Nobody closed it.
        if self._pool is not None:
            self._pool.lose(self._origin, self._place)
            self._pool = None
            self._let_go()

    # --- in our words ------------------------------------------------------

    def _told(self, error: Exception) -> Exception:
        """Say what an exception means: a source's failure, or what pyreqwest tells."""
        failed, what = self._source_failed, meaning_of(error)
        if isinstance(failed, TimeIsUp) or (what.late and self._pulling):
            return self._late("total", "was not sent its request", sent=True)
        if failed is not None:
            told = self._no_body(failed, sent=True)
            told.__cause__ = failed
            return told
        if what.answered:
            said = "has a head larger than is accepted" if what.large else "is not HTTP"
            return self._too_large(said) if what.large else self._no_answer(said)
        if what.late and not what.sent:
            return AttemptTimeout(
                f"{self._origin} could not be reached within {self._bounds.connect} s.",
                may_have_been_processed=False,
            )
        if what.late:
            heard = "did not answer" if self._sending is None else "did not finish its answer"
            return self._late("read", heard, sent=True)
        because = f": {what.why}" if what.why else ""
        if not what.sent and what.exhausted:
            return exhausted(str(self._origin), what.why)
        if not what.sent:
            return ConnectionFailed(
                f"{self._origin} could not be reached{because}.", may_have_been_processed=False
            )
        cut = "broke the exchange off" if self._sending is None else "cut its answer off"
        return ConnectionFailed(f"{self._origin} {cut}{because}.")

    def _passed(self, step: str) -> AttemptTimeout:
        what = "did not take the request" if step == "write" else "did not answer"
        return self._late(step, what, sent=True)

    def _late(self, step: str, what: str, *, sent: bool) -> AttemptTimeout:
        bound: float | None = getattr(self._bounds, step)
        if bound is None or monotonic() >= self._deadline:
            step, bound = "total", self._bounds.total
        return AttemptTimeout(
            f"{self._origin} {what} within the {step} timeout of {bound} s.",
            may_have_been_processed=sent,
        )

    def _no_body(self, error: Exception, *, sent: bool) -> LocalFailure:
        return LocalFailure(
            f"{self._origin} was not sent {'all of ' if sent else ''}its request, because the"
            f" body's source failed with {type(error).__name__}.",
            may_have_been_processed=sent,
            retryable=True,
            remedy="Look at the cause of this error for what is wrong with the source.",
        )

    def _closed(self) -> LocalFailure:
        return LocalFailure(
            f"The answer of {self._origin} was closed before its end.",
            may_have_been_processed=True,
        )

    def _no_answer(self, what: str, remedy: str | None = None) -> VendorFailed:
        return VendorFailed(
            f"{self._origin} sent an answer that {what}.",
            status=getattr(self, "status", None),
            remedy=remedy,
        )

    def _too_large(self, what: str) -> VendorFailed:
        return self._no_answer(
            what, "If the vendor means it, raise the HTTP client's limit or stream the answer."
        )
