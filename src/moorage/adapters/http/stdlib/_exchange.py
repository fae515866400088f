"""One request and its answer over HTTP/1.1, written once for both colours.

| what happened | raised | may have been processed |
|---|---|---|
| no place among the connections in time | `AttemptTimeout` | no |
| not reached, not secured | `ConnectionFailed`, `AttemptTimeout` | no |
| the body's source failed before the first byte | `ConnectionFailed` | no |
| the body's source failed later | `ConnectionFailed` | yes |
| not sent in time, no answer in time | `AttemptTimeout` | yes |
| cut off before the end of the answer | `ConnectionFailed` | yes |
| an answer that is not HTTP, or too large | `VendorFailed` | it was answered |

An idle connection may have ended without our knowing. As long as the system has not taken one byte
for it, another takes its place, once.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._request import Upload
from moorage.adapters.http.connections._wire import TimeIsUp, reason_of, unreached
from moorage.adapters.http.messages._content import inflater_for, takes_as_it_is
from moorage.adapters.http.messages._http1 import (
    AUTHENTICATION_REQUIRED,
    AnswerReader,
    CutOff,
    NotHttp,
    TooLarge,
    encode_head,
)
from moorage.domain.http.requests import BodyStream
from moorage.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    LocalFailure,
    VendorFailed,
)

if TYPE_CHECKING:
    from moorage.adapters.http.connections._pool import Pool
    from moorage.adapters.http.connections._wire import Origin, Wire
    from moorage.adapters.http.messages._content import Inflater
    from moorage.adapters.http.messages._http1 import Head, Limits
    from moorage.adapters.http.stdlib._engine import Engine
    from moorage.domain.http.requests import Headers, Request, Timeouts

_PART: Final = 206
_PIECE: Final = 65_536


class Exchange:
    """One request on its way, then its answer on its way back."""

    __slots__ = (
        "_broken",
        "_broken_off",
        "_deadline",
        "_ended",
        "_engine",
        "_gateway",
        "_inflater",
        "_most",
        "_origin",
        "_place",
        "_pool",
        "_reader",
        "_reading",
        "_size",
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
        self._most = limits.body
        self._reader = AnswerReader(limits, to_head=method == "HEAD")
        self._inflater: Inflater | None = None
        self._place = object()
        self._pool: Pool | None = None  # in which we have it, or wait for it
        self._wire: Wire | None = None
        self._broken_off: OSError | None = None  # what stopped the request
        self._size = 0
        self._reading = False
        self._ended = False
        self._broken = False

    @property
    def head(self) -> Head:
        """Everything before the body."""
        head = self._reader.head
        if head is None:  # pragma: no cover - nobody is given an exchange before it has a head
            raise RuntimeError("The answer has not come yet.")
        return head

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    @property
    def headers(self) -> Headers:
        """The fields received."""
        return self.head.headers

    async def start(self, request: Request, target: str, host: str) -> None:
        """Send the request and read its answer up to the body."""
        # Views, because they do not show what they are of: crash reporters show locals.
        first, later, upload = self._head_of(request, target, host), None, None
        if isinstance(request.body, BodyStream):
            upload = await self._open_body(request.body)
            first = memoryview(b"".join((first, upload.first)))
        elif len(request.body) > _PIECE:
            later = memoryview(request.body)
        elif request.body:
            first = memoryview(b"".join((first, request.body)))
        try:
            wire = await self._send_first(await self._take_place(), first)
            if later is not None and self._broken_off is None:
                await self._send(wire, later)
            if upload is not None:
                await self._send_rest(wire, upload)
            while self._reader.head is None:
                await self._read_on(wire)
            self._begin_body(request)
        except BaseException:
            self._let_go()
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
            raise gateway.refused(self._origin, status)  # a vendor, too, may say 407
        # A part could not be decompressed.
        if status != _PART and not takes_as_it_is(request.headers):
            self._inflater = inflater_for(self.headers)
        if self._inflater is not None:
            self._most = self._engine.held.body

    @property
    def _whom(self) -> str:
        """Who is at fault, as far as we can see."""
        way = "" if self._gateway is None else f" (through the proxy {self._gateway.origin})"
        return f"{self._origin}{way}"

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end."""
        if self._ended:
            return b""
        self._reading = True
        try:
            while not (piece := self._next_piece()):
                if self._wire is None:
                    self._ended = True
                    return b""
                await self._read_on(self._wire)
            self._admit(len(piece))
        except BaseException:
            self._broken = True
            self._let_go()
            raise
        finally:
            self._reading = False
        return piece

    async def rest(self) -> bytes:
        """Return what is left of the body."""
        first = await self.read()
        if self._wire is None and self._inflater is None:  # the usual case: it came in one piece
            self._ended = True
            return first
        pieces = [first]
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Leave the answer where it is, at any time and again."""
        self._broken = not self._ended
        if self._reading and self._wire is not None:
            self._wire.hang_up()  # whoever reads wakes up, and lets go of it
        else:
            self._let_go()

    async def _take_place(self) -> Pool:
        pool = self._pool = self._engine.pool()
        try:
            await pool.take(self._origin, self._place, self._until(self._timeouts.pool))
        except TimeIsUp:
            raise self._late("pool", "had no connection free", sent=False) from None
        return pool

    async def _connect(self, pool: Pool) -> Wire:
        pool.sweep()
        origin = self._origin
        try:
            until = self._until(self._timeouts.connect)
            return await self._engine.dial(origin, until)
        except TimeIsUp:
            raise self._late("connect", "could not be reached", sent=False) from None
        except (OSError, ValueError) as error:
            raise unreached(self._whom, error) from error

    async def _send_first(self, pool: Pool, first: memoryview) -> Wire:
        """Send the first piece, on a new connection if an idle one takes nothing of it."""
        wire = pool.reuse(self._origin)
        if wire is not None:
            self._wire, written = wire, wire.written
            await self._send(wire, first)
            if self._broken_off is None or wire.written > written:
                return wire
            self._broken_off = None
            wire.close()
        wire = self._wire = await self._connect(pool)
        await self._send(wire, first)
        return wire

    async def _open_body(self, stream: BodyStream, *, framed: bool = True) -> Upload:
        """Ask the source for its first bytes, so that one that fails does so before we send."""
        try:
            return await Upload.of(self._engine.network, stream, self._deadline, framed=framed)
        except TimeIsUp:
            raise self._late("total", "was not sent its request", sent=False) from None
        except ConnectorError:
            raise
        except Exception as error:
            raise self._no_body(error, sent=False) from error

    async def _send_rest(self, wire: Wire, upload: Upload) -> None:
        while self._broken_off is None:
            try:
                piece = memoryview(await upload.next(self._deadline))
            except TimeIsUp:
                raise self._late("total", "was not sent its request", sent=True) from None
            except Exception as error:
                raise self._no_body(error, sent=True) from error
            if not piece:
                return
            await self._send(wire, piece)

    async def _send(self, wire: Wire, data: memoryview) -> None:
        """Send these bytes, or keep what stopped them: an answer may say why."""
        try:
            for start in range(0, len(data), _PIECE):
                piece = data if len(data) <= _PIECE else data[start : start + _PIECE]
                await wire.send(piece, self._until(self._timeouts.write))
        except TimeIsUp:
            raise self._late("write", "did not take the request", sent=True) from None
        except OSError as error:
            self._broken_off = error

    async def _read_on(self, wire: Wire) -> None:
        reader = self._reader
        try:
            data = await wire.receive(self._until(self._timeouts.read))
            if data:
                reader.feed(data)
            else:
                reader.end()
        except TimeIsUp:
            what = "did not answer" if reader.silent else "did not finish its answer"
            raise self._late("read", what, sent=True) from None
        except NotHttp as error:
            raise self._no_answer(error) from None
        except (CutOff, OSError) as error:
            raise self._cut_off(error) from error
        if reader.done:
            self._let_go(reusable=reader.reusable and self._broken_off is None)

    def _next_piece(self) -> bytes:
        if self._broken:
            raise LocalFailure(
                f"The answer of {self._whom} was closed before its end.",
                may_have_been_processed=True,
            )
        inflater = self._inflater
        if inflater is None:
            return self._reader.take()
        try:
            piece = inflater.take()
            if not piece:
                inflater.feed(self._reader.take())
                piece = inflater.take()
            if not piece and self._reader.done:
                inflater.end()
        except NotHttp as error:
            raise self._no_answer(error) from None
        return piece

    def _admit(self, more: int) -> None:
        self._size += more
        if self._most is not None and self._size > self._most:
            raise self._no_answer(TooLarge(f"has a body of more than {self._most} bytes"))

    def _let_go(self, *, reusable: bool = False) -> None:
        """Give up the connection and its place; again is nothing."""
        wire, self._wire = self._wire, None
        if wire is not None and not reusable:
            wire.close()
            wire = None
        if self._pool is not None:
            idle = self.head.idle if wire is not None else None
            self._pool.give(self._origin, self._place, wire, idle)
            self._pool = None

    def __del__(self) -> None:
        # Nobody closed it. The connection closes, and warns, with its socket.
        if self._pool is not None:
            self._pool.lose(self._origin, self._place)

    def _until(self, bound: float | None) -> float:
        now = monotonic()
        if now >= self._deadline:
            raise TimeIsUp
        return self._deadline if bound is None else min(self._deadline, now + bound)

    def _late(self, step: str, what: str, *, sent: bool) -> AttemptTimeout:
        bound: float | None = getattr(self._timeouts, step)
        if bound is None or monotonic() >= self._deadline:
            step, bound = "total", self._timeouts.total
        return AttemptTimeout(
            f"{self._whom} {what} within the {step} timeout of {bound} s.",
            may_have_been_processed=sent,
        )

    def _no_body(self, error: Exception, *, sent: bool) -> LocalFailure:
        return LocalFailure(
            f"{self._whom} was not sent {'all of ' if sent else ''}its request, because the"
            f" body's source failed with {type(error).__name__}.",
            may_have_been_processed=sent,
            retryable=True,
            remedy="Look at the cause of this error for what is wrong with the source.",
        )

    def _cut_off(self, error: Exception) -> ConnectionFailed:
        broken_off = self._broken_off
        if broken_off is not None:
            what, error = "did not take all of the request", broken_off
        elif self._reader.silent:
            what = "closed the connection without an answer"
        else:
            what = "cut its answer off"
        reason = reason_of(error)
        return ConnectionFailed(f"{self._whom} {what}{f': {reason}' if reason else ''}.")

    def _no_answer(self, error: NotHttp) -> VendorFailed:
        remedy = None
        if isinstance(error, TooLarge):
            remedy = "If the vendor means it, raise the HTTP client's limit or stream the answer."
        head = self._reader.head
        return VendorFailed(
            f"{self._whom} sent an answer that {error}.",
            status=None if head is None else head.status,
            remedy=remedy,
        )
