"""A request and response through another library, with the interface of a connection.

The library connects, sends, and parses the response. The parsed response is encoded as bytes again
and read by the same parser as every response, so that the same rules decide what is valid HTTP,
where a body ends and how large it may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from abc import ABC, abstractmethod
from enum import Enum, auto
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.adapters.http.borrowed._watchdog import Watchdog
from moorage.adapters.http.connections._threads import run
from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.adapters.http.messages._http1 import BODILESS, NotHttp, ResponseCutOff
from moorage.domain.resilience.health import is_exhaustion
from moorage.domain.resilience.interruptions import interruption_behind
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from moorage.adapters.http.connections._request import Upload
    from moorage.adapters.http.connections._wire import Origin
    from moorage.domain.http.requests import Timeouts

_Result = TypeVar("_Result")

PIECE_SIZE: Final = 65_536
_MAX_CAUSES: Final = 9
_MIN_TIMEOUT: Final = 0.001
_SYSTEM_MODULES: Final = {
    "builtins",
    "socket",
    "ssl",
}  # the messages of their errors contain no secrets
WATCHDOG: Final = Watchdog()


class ExceptionMeaning(Enum):
    """The kind of failure that a library's exception means, such as a lost connection."""

    NO_CONNECTION = auto()
    NOT_REACHED = auto()
    NOT_REACHED_IN_TIME = auto()
    NOT_TAKEN_IN_TIME = auto()
    NO_RESPONSE_IN_TIME = auto()
    CUT_OFF = auto()
    NOT_HTTP = auto()


TIMEOUT_MEANINGS: Final = {
    ExceptionMeaning.NO_CONNECTION: ("pool", "had no free connection"),
    ExceptionMeaning.NOT_REACHED_IN_TIME: ("connect", "could not be reached"),
    ExceptionMeaning.NOT_TAKEN_IN_TIME: ("write", "did not accept the request"),
    ExceptionMeaning.NO_RESPONSE_IN_TIME: ("read", "did not respond"),
}


_FAILURES_BEFORE_SENDING: Final = {
    ExceptionMeaning.NO_CONNECTION,
    ExceptionMeaning.NOT_REACHED,
    ExceptionMeaning.NOT_REACHED_IN_TIME,
}


class StepTimeout(DeadlinePassed):
    """Raised if a library's time limit has passed."""

    def __init__(self, meaning: ExceptionMeaning) -> None:
        super().__init__()
        self.step, self.what = TIMEOUT_MEANINGS[meaning]


class ServerNotReached(Exception):
    """Raised if no byte of the request was sent; the message has the reason, if known.

    Attributes:
        exhausted: whether this machine has no sockets, ports or memory left.
        refusal: the status with which a proxy refused to connect, if it did.
    """

    def __init__(self, reason: str, *, exhausted: bool = False, refusal: int | None = None) -> None:
        super().__init__(reason)
        self.exhausted = exhausted
        self.refusal = refusal


class Pieces:
    """The pieces of a request body, which another library reads one by one.

    Attributes:
        error: the error of the body's source, which is not a failure of the library.
    """

    __slots__ = ("_body", "_until", "_upload", "error")

    def __init__(self, body: bytes, upload: Upload | None, until: float) -> None:
        self._body = memoryview(body)
        self._upload = upload
        self._until = until
        self.error: Exception | None = None

    @property
    def whole(self) -> bytes | None:
        """Return the body if it is a single chunk; otherwise None."""
        if self._upload is not None or len(self._body) > PIECE_SIZE:
            return None
        return bytes(self._body)

    async def next(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        if self._upload is not None and not self._body:
            try:
                self._body = memoryview(await self._upload.piece(self._until))
            except Exception as error:
                self.error = error
                raise
        piece, self._body = self._body[:PIECE_SIZE], self._body[PIECE_SIZE:]
        return bytes(piece)

    def __iter__(self) -> Iterator[bytes]:
        while piece := run(self.next()):
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.next():
            yield piece


class BodySourceFailed(Exception):
    """Raised if the source of the body fails, or its length differs from the announced one."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@attrs.frozen(repr=False)
class OutgoingRequest:
    """A request for another library to send, with its deadline.

    Attributes:
        origin: the destination.
        head: the encoded head of the request.
        pieces: the request's body.
        timeouts: the timeouts of the steps.
        until: the deadline of the whole exchange.
    """

    origin: Origin
    head: memoryview
    pieces: Pieces
    timeouts: Timeouts
    until: float

    def parts(self) -> tuple[str, str, list[tuple[bytes, bytes]]]:
        """Return the method, the target and the header fields of the request."""
        start, *lines = bytes(self.head)[:-4].split(b"\r\n")
        method, target, _ = start.decode("ascii").split(" ")
        fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
        return method, target, fields


class LibraryExchange(ABC):
    """A request and response through a library, presented as a `Wire` that moorage reads.

    Attributes:
        reports_sending: whether the library reports when it begins to send.
        sent: whether a byte of the request may have been sent.
        connecting: whether a connection is being made, which has its own timeout.
        parsed_head: the status, reason and header fields of the response, if `send_request` has not
            encoded them.
    """

    reports_sending = True

    def __init__(self, outgoing: OutgoingRequest) -> None:
        self.outgoing = outgoing
        self.sent = not self.reports_sending
        self.connecting = False
        self._ever_sent = False
        self._to_head = bytes(outgoing.head[:5]) == b"HEAD "
        self.parsed_head: tuple[int, str, list[tuple[str, str]]] | None = None
        self._head = b""
        self._chunked = False
        self._remaining: int | None = None
        self._body_complete = False
        self._finished = False

    # --- operations of the library -----------------------------------------

    @abstractmethod
    async def send_request(self) -> bytes:
        """Send the request; return the encoded head of the response, or set `parsed_head`."""

    @abstractmethod
    async def next_piece(self) -> bytes:
        """Return the next piece of the body, without chunked framing; b"" at the end."""

    @abstractmethod
    async def finish(self) -> None:
        """Return the connection to the library; close it if the response is incomplete."""

    @abstractmethod
    def meaning(self, error: Exception) -> ExceptionMeaning:
        """Return the kind of failure that a library's exception stands for."""

    # --- notifications from the library ------------------------------------

    def connect_within(self, seconds: float | None) -> None:
        """Record that the library starts to connect, and limit the time for connecting."""
        self.connecting, self.sent = True, self._ever_sent
        if seconds is not None:
            self.bound(min(self.outgoing.until, monotonic() + seconds))

    def connected(self) -> None:
        """Record that the library has connected, and is sending the request."""
        self.sent = self._ever_sent = True
        if self.connecting:
            self.connecting = False
            if self.outgoing.timeouts.connect is not None:
                self.bound(self.outgoing.until)

    # --- waiting: blocking, or in an event loop ----------------------------

    @abstractmethod
    async def run_until(self, until: float, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Await a coroutine until the deadline.

        Raises:
            TimeIsUp: it did not end in time, or `hang_up` was called.
        """

    @abstractmethod
    def bound(self, until: float) -> None:
        """Change the deadline of a `run_until` call in progress."""

    @abstractmethod
    def hang_up(self) -> None:
        """Interrupt the waiting caller with an error."""

    @abstractmethod
    def close(self) -> None:
        """End the exchange without waiting."""

    # --- the interface of a Wire -------------------------------------------

    @property
    def written(self) -> int:
        """Return 1 if any byte was sent, otherwise 0; the library does not count bytes."""
        return int(self.sent)

    def read_available(self) -> bytes | None:
        """Return None, because bytes arrive only in `receive`."""
        return None

    def stale(self) -> bool:
        """Return True, because moorage does not use the connection of an exchange again."""
        return True

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send the request through the library, which has its data; `data` is ignored."""
        del data
        self._head = await self._await_translated(until, self.send_request())

    async def receive(self, until: float) -> bytes:
        """Return the next bytes of the response; b"" at the end."""
        head, self._head = self._head, b""
        if not head:
            return await self._await_translated(until, self._receive())
        if self._remaining == 0:
            await self._await_translated(until, self._finish())
        return head

    async def _receive(self) -> bytes:
        data = await self.next_piece()
        if not data:
            await self._finish()
            return b"0\r\n\r\n" if self._chunked else b""
        if self._remaining is not None:
            self._remaining -= len(data)
            if self._remaining <= 0:
                await self._finish()
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        return data

    async def _finish(self) -> None:
        while not self._body_complete and await self.next_piece():
            pass  # pragma: no cover - only if a library returns more than was announced
        self._body_complete = True
        await self.finish()
        self._finished = True

    def encode_head(self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
        """Return the encoded head of a response, and store how the end of its body is found."""
        lines = [b"%b: %b\r\n" % pair for pair in fields]
        if any(b"\n" in line[:-2] or b"\r" in line[:-2] for line in lines):
            raise NotHttp("has a malformed header field")
        values_by_name = {name.lower(): value for name, value in fields}
        length = values_by_name.get(b"content-length", b"").decode("latin-1")
        self.note_framing(status, chunked=b"transfer-encoding" in values_by_name, length=length)
        return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, b"".join(lines))

    def note_framing(self, status: int, *, chunked: bool, length: str) -> None:
        """Store how the end of the response's body is found."""
        if self._to_head or status in BODILESS:
            self._remaining = 0
        elif chunked:
            self._chunked = True
        elif length.isdecimal():
            self._remaining = int(length)

    def proxy_status(self, _error: Exception) -> int | None:
        """Return the status of a proxy's refusal to connect, if the library's error shows it."""
        return None

    async def _await_translated(self, until: float, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Await a coroutine, and convert the library's errors to moorage's.

        The library's error may contain the request with its secrets, so the new error is raised
        neither from it nor while it is handled.
        """
        try:
            return await self.run_until(until, work)
        except Exception as error:  # noqa: BLE001 - every error is replaced
            failure = error
        try:
            raise interruption_behind(failure) or self._translate_error(failure)
        finally:
            # Otherwise the traceback refers to this frame and the frame to the error: a cycle.
            del failure

    def _translate_error(self, error: Exception) -> Exception:
        if isinstance(error, (NotHttp, ResponseCutOff, ConnectorError)):
            return error.with_traceback(None)
        if isinstance(error, DeadlinePassed):
            return (
                StepTimeout(ExceptionMeaning.NOT_REACHED_IN_TIME)
                if self.connecting
                else DeadlinePassed()
            )
        if (source_error := self.outgoing.pieces.error) is not None:
            return BodySourceFailed(source_error)
        meaning = self.meaning(error)
        if meaning in _FAILURES_BEFORE_SENDING:
            self.sent = self._ever_sent
        refusal = None if self.sent else self.proxy_status(error)
        if refusal is not None:
            return ServerNotReached(reason_for(error), refusal=refusal)
        return translated_error(error, meaning, sent=self.sent)


def translated_error(error: Exception, meaning: ExceptionMeaning, *, sent: bool) -> Exception:
    """Convert a library's error to `StepTimeout`, `NotHttp`, `ServerNotReached` or `OSError`."""
    if meaning in TIMEOUT_MEANINGS:
        return StepTimeout(meaning)
    if meaning is ExceptionMeaning.NOT_HTTP and sent:
        return NotHttp("is not HTTP/1.1")
    reason = reason_for(error)
    if sent:
        return OSError(reason)
    return ServerNotReached(reason, exhausted=any(map(is_exhaustion, _system_errors(error))))


class SyncLibraryExchange(LibraryExchange):
    """A request and its response through a library; waiting blocks the thread."""

    _hung_up = False

    async def run_until(self, until: float, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine, and end it if the connection is shut down."""
        with WATCHDOG.limit(until, self.hang_up) as timer:
            self._alarm = timer
            try:
                result = await work
            except Exception:
                if not timer.expired:
                    raise
            else:
                # A response may look complete although it ended only because this side hung up.
                if not self._hung_up:
                    return result
        raise DeadlinePassed if timer.expired else ResponseCutOff

    def bound(self, until: float) -> None:
        """Change the deadline at which the exchange is interrupted."""
        WATCHDOG.move(self._alarm, until)

    def close(self) -> None:
        """End the exchange."""
        with contextlib.suppress(Exception):
            run(self.finish())


class LoopLibraryExchange(LibraryExchange):
    """A request and its response through a library; waiting suspends the task.

    Attributes:
        closing_tasks: the tasks that finish exchanges, later including this one.
    """

    closing_tasks: set[asyncio.Task[None]]
    _timeout: asyncio.Timeout | None = None
    _hung_up = False

    async def run_until(self, until: float, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Await a coroutine until the deadline."""
        if self.is_buffered():
            return await work
        self._timeout = timeout = asyncio.timeout_at(_loop_time(until))
        try:
            async with timeout:
                return await work
        except Exception:
            if not timeout.expired():
                raise
        finally:
            self._timeout = None
        raise ResponseCutOff if self._hung_up else DeadlinePassed

    def is_buffered(self) -> bool:
        """Return whether the whole response has arrived, so that a read does not wait."""
        return False

    def bound(self, until: float) -> None:
        """Change the deadline of a `run_until` call in progress."""
        if (  # pragma: no branch - it may have expired just now
            self._timeout is not None and not self._timeout.expired()
        ):
            self._timeout.reschedule(_loop_time(until))

    def hang_up(self) -> None:
        """Interrupt the waiting caller with an error."""
        self._hung_up = True
        self.bound(-inf)

    def close(self) -> None:
        """End an unfinished exchange in a new task."""
        if self._finished:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its connections with it
            task = asyncio.get_running_loop().create_task(self._finish_quietly())
            self.closing_tasks.add(task)
            task.add_done_callback(self.closing_tasks.discard)

    async def _finish_quietly(self) -> None:
        with contextlib.suppress(Exception):
            await self.finish()


def _loop_time(until: float) -> float | None:
    """Convert a time of `monotonic` to the event loop's clock."""
    return None if until == inf else asyncio.get_running_loop().time() + until - monotonic()


def seconds_left(timeout: float | None, until: float) -> float | None:
    """Return the seconds left for a step, which are always positive."""
    remaining_seconds = until - monotonic()
    if timeout is None:
        return None if remaining_seconds == inf else max(remaining_seconds, _MIN_TIMEOUT)
    return max(min(timeout, remaining_seconds), _MIN_TIMEOUT)


def reason_for(error: BaseException | None) -> str:
    """Return the message of the system error behind a library's error."""
    for failure in _system_errors(error):
        message = getattr(failure, "verify_message", None) or failure.strerror
        if message:
            return str(message)
    return type(error).__name__


def system_error(error: BaseException) -> OSError:
    """Return the system error behind a library's error."""
    reason = reason_for(error)
    number = next((failure.errno for failure in _system_errors(error)), None)
    return OSError(reason) if number is None else OSError(number, reason)


def _system_errors(error: BaseException | None) -> Iterator[OSError]:
    """Yield the system errors among an error's causes, the latest first."""
    count = 0
    while error is not None and count < _MAX_CAUSES:
        if isinstance(error, OSError) and type(error).__module__ in _SYSTEM_MODULES:
            yield error
        error, count = error.__cause__ or error.__context__, count + 1


def verifies(context: ssl.SSLContext) -> bool:
    """Return whether a TLS context verifies the identity of the server."""
    return context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


def unverified_tls_error(setting: str) -> ConfigurationError:
    """Return the error for an HTTP client that does not verify TLS certificates."""
    return ConfigurationError(
        f"Your {setting} does not verify certificates.",
        path=setting,
        remedy="Enable verification. For a test environment, pass"
        " tls=Tls(unverified=DangerouslyUnverified(because=...)).",
    )
