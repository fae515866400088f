"""Fake ports for tests of services: clock, vendor, store and others."""

# ruff: noqa: D102 - the ports describe their methods

from __future__ import annotations

import inspect
import threading
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.http.requests import Headers, Request, Response, Timeouts
from tests.support.virtual_tasks import (
    SyncPort,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.state.commands import Command
    from tests.support.modes import (
        Harness,
    )


START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that moves only during sleeps, or when the test advances it."""

    def __init__(self, began: int) -> None:
        self._began = began
        self._now = 0

    def nanoseconds(self) -> int:
        return self._began + self._now

    def utc(self) -> datetime:
        return START + timedelta(microseconds=self._now / 1000)

    @property
    def now(self) -> float:
        """Return the seconds since the test began."""
        return self._now / 1e9

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1e9)


class PredictableRandomness:
    """A source of random numbers that a test can predict."""

    def __init__(self) -> None:
        self.draw = 0.5
        self._last = 0
        self._lock = threading.Lock()

    def fraction(self) -> float:
        return self.draw

    def token(self) -> int:
        with self._lock:
            self._last += 1
            return self._last


class Ids:
    """An id generator that a test can predict."""

    def __init__(self) -> None:
        self._last = 0

    def new(self) -> str:
        self._last += 1
        return f"id-{self._last}"


@attrs.frozen
class SentRequest:
    """A request as the vendor received it."""

    request: Request
    url: str
    timeouts: Timeouts
    at: float

    @property
    def path(self) -> str:
        return self.request.path

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)


class WorkGate:
    """A point at which calls or background work wait until the test lets them continue."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._reached = harness.event()
        self._opened = harness.event()

    async def wait(self) -> None:
        """Report that the gate was reached, and wait until it opens."""
        self._reached.set()
        await self._harness.wait(self._opened)

    def answering(self, answer: object) -> Callable[[SentRequest], Awaitable[object]]:
        """Return a vendor's scripted response that arrives only when the gate opens."""

        async def answer_when_open(_: SentRequest) -> object:
            await self.wait()
            return answer

        return answer_when_open

    async def reached(self) -> None:
        """Wait until a call or background work has reached the gate."""
        await self._harness.wait(self._reached)

    def open(self) -> None:
        """Open the gate for all waiting calls."""
        self._opened.set()


class Vendor:
    """A fake vendor that gives scripted responses, and records its requests.

    An answer is a status, a response, an error to raise, or a function of what was sent that is
    awaited and returns one of these.
    """

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._answers: deque[Any] = deque()
        self.otherwise: Any = 200
        self.requests: list[SentRequest] = []
        self.arrivals: list[PiecewiseBody] = []

    def answers(self, *answers: Any) -> None:
        """Set the next responses, in order, followed by `otherwise`."""
        self._answers.extend(answers)

    def forget(self) -> None:
        """Drop the queued responses, so that each further request gets the response `otherwise`."""
        self._answers.clear()

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        answer = await self._answer(request, url, timeouts)
        return answer if isinstance(answer, Response) else Response(answer)

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Any:
        answer = await self._answer(request, url, timeouts)
        if isinstance(answer, int):
            answer = PiecewiseBody(answer)
        elif isinstance(answer, Response):
            answer = PiecewiseBody(answer.status, answer.headers, answer.body)
        answer.harness = self._harness
        self.arrivals.append(answer)
        return answer if self._harness.is_awaited else SyncPort(answer)

    async def _answer(self, request: Request, url: str, timeouts: Timeouts) -> Any:
        await self._harness.reach("before the request leaves")
        sent_request = SentRequest(request, url, timeouts, self._harness.clock.now)
        self.requests.append(sent_request)
        answer: Any = self._answers.popleft() if self._answers else self.otherwise
        if inspect.isfunction(answer):
            answer = await answer(sent_request)
        await self._harness.reach("before the answer arrives")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def close(self) -> None:
        """Do nothing, because there is nothing to close."""


class PiecewiseBody:
    """A streamed response body in pieces; an exception among the pieces is raised."""

    def __init__(self, status: int = 200, headers: Any = (), *pieces: Any) -> None:
        self.status = status
        self.headers = Headers(headers)
        self.pieces: deque[Any] = deque(pieces)
        self.closed = 0
        self.harness: Harness | None = None

    async def read(self) -> bytes:
        if self.harness is not None:
            await self.harness.reach("before a piece arrives")
        piece: Any = self.pieces.popleft() if self.pieces else b""
        if inspect.isfunction(piece):
            piece = await piece()
        if isinstance(piece, BaseException):
            raise piece
        return bytes(piece)

    def close(self) -> None:
        self.closed += 1


class Store:
    """A memory store that counts round trips, can be slow, and can fail.

    A store that is away raises one error at each round trip. At a trip in `lost_at` it acts, but
    raises the error instead of answering. A deaf store loses posted commands, like a dead caller.
    The store declares that it ends with its process, so that no claim in it is renewed unseen.
    """

    reach = "process"
    mixes_tags = True

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.memory = MemoryStorage(harness.clock)
        self.commands: list[Command[Any]] = []
        self.timeouts: list[Any] = []
        self.posted: list[Command[Any]] = []
        self.fails_at: dict[int, BaseException] = {}
        self.lost_at: dict[int, BaseException] = {}
        self.post_fails: Exception | None = None
        self.is_deaf = False
        self.is_away: Exception | None = None
        self.meanwhile: Callable[[Command[Any]], Awaitable[None]] | None = None

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        await self._harness.reach("before the store acts")
        self.timeouts.append(timeout)
        self.commands.append(command)
        trip = len(self.commands)
        if self.meanwhile is not None:
            await self.meanwhile(command)
        if self.is_away is not None:
            raise self.is_away
        failure = self.fails_at.pop(trip, None)
        if failure is not None:
            raise failure
        answer = self.memory.execute(command, timeout)
        failure = self.lost_at.pop(trip, None)
        if failure is not None:
            raise failure
        await self._harness.reach("before the store's answer arrives")
        return answer

    def post(self, command: Command[Any], /) -> None:
        if self.post_fails is not None:
            raise self.post_fails
        self.posted.append(command)
        if not self.is_deaf:
            self.memory.post(command)
