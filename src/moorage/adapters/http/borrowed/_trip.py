"""One exchange that another library carries, told as if its bytes had come over a wire of ours.

The library connects, sends, and takes the answer apart. What it found is put together again and
read by the rules that hold for every answer: one reader decides what is HTTP, where a body ends and
how large it may be.
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

from moorage.adapters.http.borrowed._watch import Watch
from moorage.adapters.http.connections._threads import run
from moorage.adapters.http.connections._wire import TimeIsUp
from moorage.adapters.http.messages._http1 import CutOff, NotHttp
from moorage.domain.resilience.health import is_exhaustion
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from moorage.adapters.http.connections._request import Upload
    from moorage.adapters.http.connections._wire import Origin
    from moorage.domain.http.requests import Timeouts

_Answer = TypeVar("_Answer")

_PIECE: Final = 65_536
_DEEPEST: Final = 9
_SOON: Final = 0.001
_SYSTEM: Final = {"builtins", "socket", "ssl"}  # whose words show nothing of ours
WATCH: Final = Watch()


class Meaning(Enum):
    """What an exception of a library says about an exchange."""

    NO_PLACE = auto()
    NOT_REACHED = auto()
    NOT_REACHED_IN_TIME = auto()
    NOT_TAKEN_IN_TIME = auto()
    NOT_ANSWERED_IN_TIME = auto()
    CUT_OFF = auto()
    NO_ANSWER = auto()


LATE: Final = {
    Meaning.NO_PLACE: ("pool", "had no connection free"),
    Meaning.NOT_REACHED_IN_TIME: ("connect", "could not be reached"),
    Meaning.NOT_TAKEN_IN_TIME: ("write", "did not take the request"),
    Meaning.NOT_ANSWERED_IN_TIME: ("read", "did not answer"),
}


_BEFORE: Final = {Meaning.NO_PLACE, Meaning.NOT_REACHED, Meaning.NOT_REACHED_IN_TIME}


class Late(TimeIsUp):
    """A bound of the library's has passed."""

    def __init__(self, meaning: Meaning) -> None:
        super().__init__()
        self.step, self.what = LATE[meaning]


class NotReached(Exception):
    """No byte of the request has left; the message says why, if anything does.

    Attributes:
        exhausted: whether this machine has no sockets, ports or memory left.
    """

    def __init__(self, why: str, *, exhausted: bool = False) -> None:
        super().__init__(why)
        self.exhausted = exhausted


class Pieces:
    """A body in pieces that a timeout can be set for, pulled by the library.

    Attributes:
        error: what the source raised; it is no failure of the library's.
    """

    __slots__ = ("_body", "_until", "_upload", "error")

    def __init__(self, body: bytes, upload: Upload | None, until: float) -> None:
        self._body = memoryview(body)
        self._upload = upload
        self._until = until
        self.error: Exception | None = None

    @property
    def whole(self) -> bytes | None:
        """The body, if it is a single piece."""
        if self._upload is not None or len(self._body) > _PIECE:
            return None
        return bytes(self._body)

    async def next(self) -> bytes:
        """Return the next piece, b"" after the last."""
        if self._upload is not None and not self._body:
            try:
                self._body = memoryview(await self._upload.piece(self._until))
            except Exception as error:
                self.error = error
                raise
        piece, self._body = self._body[:_PIECE], self._body[_PIECE:]
        return bytes(piece)

    def __iter__(self) -> Iterator[bytes]:
        while piece := run(self.next()):
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.next():
            yield piece


class FailedSource(Exception):
    """The source of the body has raised an error, or it is not what it promised."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@attrs.frozen(repr=False)
class Errand:
    """What a library is to send, and by when.

    Attributes:
        origin: where to.
        head: the head of the request as we would send it.
        pieces: its body.
        timeouts: for each step.
        until: for all of it.
    """

    origin: Origin
    head: memoryview
    pieces: Pieces
    timeouts: Timeouts
    until: float

    def opened(self) -> tuple[str, str, list[tuple[bytes, bytes]]]:
        """The method, the target and the fields."""
        start, *lines = bytes(self.head)[:-4].split(b"\r\n")
        method, target, _ = start.decode("ascii").split(" ")
        fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
        return method, target, fields


class Trip(ABC):
    """An exchange in the hands of a library: a `Wire` whose bytes are written anew.

    Attributes:
        tells: whether the library tells when it begins to send.
        sent: whether a byte of the request may have left.
        connecting: whether a connection is being made, for which there is a bound of its own.
    """

    tells = True

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        self.sent = not self.tells
        self.connecting = False
        self._ever_sent = False
        self._to_head = bytes(errand.head[:5]) == b"HEAD "
        self._head = b""
        self._chunked = False
        self._left: int | None = None
        self._over = False

    # --- what a library does -----------------------------------------------

    @abstractmethod
    async def ask(self) -> bytes:
        """Send the request; return the head of the answer, put together by `put`."""

    @abstractmethod
    async def more(self) -> bytes:
        """Return the next piece of the body as it was sent, but without chunks; b"" at its end."""

    @abstractmethod
    async def leave(self) -> None:
        """Give the connection back to the library, or close it after half an answer."""

    @abstractmethod
    def meaning(self, error: Exception) -> Meaning:
        """Say what an exception of the library's means."""

    # --- what it tells of its way ------------------------------------------

    def connect_within(self, seconds: float | None) -> None:
        """Take notice that a connection is being made, and bound that."""
        self.connecting, self.sent = True, self._ever_sent
        self.bound(min(self.errand.until, inf if seconds is None else monotonic() + seconds))

    def connected(self) -> None:
        """Take notice that the request is being sent."""
        self.sent = self._ever_sent = True
        self.connecting = False
        self.bound(self.errand.until)

    # --- what each colour does ---------------------------------------------

    @abstractmethod
    async def within(self, until: float, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Do some work.

        Raises:
            TimeIsUp: it was not done in time, or somebody hung up.
        """

    @abstractmethod
    def bound(self, until: float) -> None:
        """Bound otherwise what is being done within a bound."""

    @abstractmethod
    def hang_up(self) -> None:
        """Wake whoever waits, in vain."""

    @abstractmethod
    def close(self) -> None:
        """Leave, without waiting."""

    # --- a wire ------------------------------------------------------------

    @property
    def written(self) -> int:
        """How many bytes left: we know of none or some."""
        return int(self.sent)

    def glance(self) -> bytes | None:
        """Nothing is there before somebody waits for it."""
        return None

    def stale(self) -> bool:
        """No trip is made twice."""
        return True

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send the errand, which is what the bytes would have been."""
        del data
        self._head = await self._told(until, self.ask())

    async def receive(self, until: float) -> bytes:
        """Return what comes next."""
        return await self._told(until, self._receive())

    async def _receive(self) -> bytes:
        if self._head:
            data, self._head = self._head, b""
        else:
            data = await self.more()
            if not data:
                await self._finish()
                return b"0\r\n\r\n" if self._chunked else b""
            if self._left is not None:
                self._left -= len(data)
            elif self._chunked:
                data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._left is not None and self._left <= 0:
            await self._finish()
        return data

    async def _finish(self) -> None:
        while not self._over and await self.more():
            pass  # pragma: no cover - unless a library gives more than was announced
        self._over = True
        await self.leave()

    def put(self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
        """Put a head together, and take notice of how the body is framed."""
        lines = [b"%b: %b\r\n" % pair for pair in fields]
        if any(b"\n" in line[:-2] or b"\r" in line[:-2] for line in lines):
            raise NotHttp("has a malformed header field")
        named = {name.lower(): value for name, value in fields}
        if self._to_head or status in {204, 304}:
            self._left = 0
        elif b"transfer-encoding" in named:
            self._chunked = True
        elif (length := named.get(b"content-length", b"")).isdigit():
            self._left = int(length)
        return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, b"".join(lines))

    async def _told(self, until: float, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Do some work, and say in our words what went wrong.

        What the library raised may show the request and with it every secret, so that nothing is
        raised from it, nor while it is handled.
        """
        failure: Exception
        try:
            return await self.within(until, work)
        except (NotHttp, CutOff, ConnectorError) as error:
            failure = error.with_traceback(None)
        except TimeIsUp:
            failure = Late(Meaning.NOT_REACHED_IN_TIME) if self.connecting else TimeIsUp()
        except Exception as error:  # noqa: BLE001 - none may pass
            failure = self._in_our_words(error)
        raise failure

    def _in_our_words(self, error: Exception) -> Exception:
        if (failed := self.errand.pieces.error) is not None:
            return FailedSource(failed)
        meaning = self.meaning(error)
        if meaning in _BEFORE:
            self.sent = self._ever_sent
        if meaning in LATE:
            return Late(meaning)
        if meaning is Meaning.NO_ANSWER and self.sent:
            return NotHttp("is not HTTP/1.1")
        why = why_of(error)
        if self.sent:
            return OSError(why)
        return NotReached(why, exhausted=any(map(is_exhaustion, _system_errors(error))))


class BlockingTrip(Trip):
    """A trip on which a thread waits."""

    _hung_up = False

    async def within(self, until: float, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Do some work, which ends when the connection does."""
        with WATCH.over(until, self.hang_up) as alarm:
            self._alarm = alarm
            try:
                answer = await work
            except Exception:
                if not alarm.rang:
                    raise
            else:
                # What ended because we hung up may look whole.
                if not self._hung_up:
                    return answer
        raise TimeIsUp if alarm.rang else CutOff

    def bound(self, until: float) -> None:
        """Let the alarm ring at another time."""
        WATCH.move(self._alarm, until)

    def close(self) -> None:
        """Leave."""
        with contextlib.suppress(Exception):
            run(self.leave())


class LoopTrip(Trip):
    """A trip on which a task waits.

    Attributes:
        leaving: what is still being done to end others, and this one in the end.
    """

    leaving: set[asyncio.Task[None]]
    _timeout: asyncio.Timeout | None = None
    _hung_up = False

    async def within(self, until: float, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Do some work, unless that takes too long."""
        self._timeout = timeout = asyncio.timeout_at(_on_the_clock(until))
        try:
            async with timeout:
                return await work
        except Exception:
            if not timeout.expired():
                raise
        finally:
            self._timeout = None
        raise CutOff if self._hung_up else TimeIsUp

    def bound(self, until: float) -> None:
        """Let the time be up sooner or later."""
        if (  # pragma: no branch - it may have expired just now
            self._timeout is not None and not self._timeout.expired()
        ):
            self._timeout.reschedule(_on_the_clock(until))

    def hang_up(self) -> None:
        """Wake whoever waits."""
        self._hung_up = True
        self.bound(-inf)

    def close(self) -> None:
        """Leave, in a task of its own."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and all that was in it
            task = asyncio.get_running_loop().create_task(self._leave())
            self.leaving.add(task)
            task.add_done_callback(self.leaving.discard)

    async def _leave(self) -> None:
        with contextlib.suppress(Exception):
            await self.leave()


def _on_the_clock(until: float) -> float | None:
    """A time of `monotonic` as a time of the event loop, whose clock may be another."""
    return None if until == inf else asyncio.get_running_loop().time() + until - monotonic()


def seconds_left(bound: float | None, until: float) -> float | None:
    """The seconds of a step for a library, which takes none that has passed already."""
    left = until - monotonic()
    if bound is None:
        return None if left == inf else max(left, _SOON)
    return max(min(bound, left), _SOON)


def why_of(error: BaseException | None) -> str:
    """What the system said, found below what the library made of it, which may show a URL."""
    for failure in _system_errors(error):
        told = getattr(failure, "verify_message", None) or failure.strerror
        if told:
            return str(told)
    return type(error).__name__


def system_error(error: BaseException) -> OSError:
    """The system's error below what the library made of it, which may show a URL."""
    why = why_of(error)
    number = next((failure.errno for failure in _system_errors(error)), None)
    return OSError(why) if number is None else OSError(number, why)


def _system_errors(error: BaseException | None) -> Iterator[OSError]:
    """The errors of the operating system that an error was made from, the latest first."""
    seen = 0
    while error is not None and seen < _DEEPEST:
        if isinstance(error, OSError) and type(error).__module__ in _SYSTEM:
            yield error
        error, seen = error.__cause__ or error.__context__, seen + 1


def verifies(context: ssl.SSLContext) -> bool:
    """Whether nobody can answer in another's place."""
    return context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


def unverified(what: str) -> ConfigurationError:
    """The error for a client that talks to whoever answers."""
    return ConfigurationError(
        f"The {what} that was given to moorage does not verify whom it talks to.",
        path=what,
        remedy="Have it verify; for a test bench, say tls=Tls(unverified=DangerouslyUnverified("
        "because=...)).",
    )
