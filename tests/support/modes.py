"""A service's test is written once, and its body runs in every mode.

`@sync_and_async` runs an `async def` body with a `World` of each mode: in the synchronous one
nothing suspends and background work runs in threads; in the asynchronous ones it runs in tasks of
a loop, once over a store that never waits and once over one that does. Fakes are written once, as
asynchronous, and made synchronous where such a port is needed. Time is virtual: a sleep moves the
clock.
"""

# ruff: noqa: D102, SLF001 - fakes, as typed and told of as they need to be

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import AsyncConnectorManager, AttemptTimeout, ConnectorManager
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.domain.http.requests import Headers, Request, Response, Timeouts
from moorage.domain.resilience.admission import Pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from moorage.domain.state.commands import Command

PLAIN, AWAITED, DISTANT = "plain", "awaited", "awaited, distant store"
MODES = (PLAIN, AWAITED, DISTANT)
START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 120.0
"""Seconds of real time after which a test that hangs fails instead."""


def sync_and_async(body: Callable[..., Coroutine[Any, Any, None]]) -> Any:
    """Run a test's body in every mode: its first parameter is the world it plays in."""
    _, *other_parameters = inspect.signature(body).parameters.values()

    @pytest.mark.parametrize("mode", MODES)
    def test(mode: str, **options: Any) -> None:
        world = World(mode)
        world.drive(body(world, **options))

    functools.update_wrapper(test, body)
    del test.__dict__["__wrapped__"]
    mode = inspect.Parameter("mode", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__dict__["__signature__"] = inspect.Signature([mode, *other_parameters])
    return test


def run_plain(flow: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends."""
    try:
        flow.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("something suspended on the plain face")


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
        """Seconds since the world began."""
        return self._now / 1e9

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1e9)


class Chance:
    """Draws that a test can foresee."""

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
    """Ids that a test can foresee."""

    def __init__(self) -> None:
        self._last = 0

    def new(self) -> str:
        self._last += 1
        return f"id-{self._last}"


@attrs.frozen
class SentRequest:
    """A request as the vendor saw it."""

    request: Request
    url: str
    timeouts: Timeouts
    at: float

    @property
    def path(self) -> str:
        return self.request.path

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)


class Gate:
    """A place where background work stands still until the test lets it go on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reached = world.event()
        self._opened = world.event()

    async def stand(self) -> None:
        """Report that this point was reached, and wait."""
        self._reached.set()
        await self._world.wait(self._opened)

    def answering(self, answer: object) -> Callable[[SentRequest], Awaitable[object]]:
        """Return an answer that comes when the gate is opened."""

        async def answer_when_open(_: SentRequest) -> object:
            await self.stand()
            return answer

        return answer_when_open

    async def reached(self) -> None:
        """Wait until the point is reached."""
        await self._world.wait(self._reached)

    def open(self) -> None:
        """Continue all waiting calls."""
        self._opened.set()


class Vendor:
    """Answers as configured, and records its requests.

    An answer is a status, a response, an error to raise, or a function of what was sent that is
    awaited and returns one of these.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._answers: deque[Any] = deque()
        self.otherwise: Any = 200
        self.requests: list[SentRequest] = []
        self.arrivals: list[Arriving] = []

    def answers(self, *answers: Any) -> None:
        """Give these, in order, and then `otherwise`."""
        self._answers.extend(answers)

    def forget(self) -> None:
        """Answer everything with `otherwise` from now on."""
        self._answers.clear()

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        answer = await self._answer(request, url, timeouts)
        return answer if isinstance(answer, Response) else Response(answer)

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Any:
        answer = await self._answer(request, url, timeouts)
        if isinstance(answer, int):
            answer = Arriving(answer)
        elif isinstance(answer, Response):
            answer = Arriving(answer.status, answer.headers, answer.body)
        answer.world = self._world
        self.arrivals.append(answer)
        return answer if self._world.is_awaited else Plainly(answer)

    async def _answer(self, request: Request, url: str, timeouts: Timeouts) -> Any:
        await self._world.reach("before the request leaves")
        sent_request = SentRequest(request, url, timeouts, self._world.clock.now)
        self.requests.append(sent_request)
        answer: Any = self._answers.popleft() if self._answers else self.otherwise
        if inspect.isfunction(answer):
            answer = await answer(sent_request)
        await self._world.reach("before the answer arrives")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def close(self) -> None:
        """Close nothing."""


class Arriving:
    """A body that comes in pieces; an error among them is raised."""

    def __init__(self, status: int = 200, headers: Any = (), *pieces: Any) -> None:
        self.status = status
        self.headers = Headers(headers)
        self.pieces: deque[Any] = deque(pieces)
        self.closed = 0
        self.world: World | None = None

    async def read(self) -> bytes:
        if self.world is not None:
            await self.world.reach("before a piece arrives")
        piece: Any = self.pieces.popleft() if self.pieces else b""
        if inspect.isfunction(piece):
            piece = await piece()
        if isinstance(piece, BaseException):
            raise piece
        return bytes(piece)

    def close(self) -> None:
        self.closed += 1


class Store:
    """A store in memory that counts its round trips, can be slow, and can fail.

    One that is away raises the same at every trip. At a trip in `lost_at` it acts, but instead of
    its answer the error comes. A deaf store loses what is posted, as one does whose caller dies.
    It says that it ends with its process, so no claim in it is renewed behind a test's back.
    """

    reach = "process"

    def __init__(self, world: World) -> None:
        self._world = world
        self.memory = MemoryStorage(world.clock)
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
        await self._world.reach("before the store acts")
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
        await self._world.reach("before the store's answer arrives")
        return answer

    def post(self, command: Command[Any], /) -> None:
        if self.post_fails is not None:
            raise self.post_fails
        self.posted.append(command)
        if not self.is_deaf:
            self.memory.post(command)


class Sleeper:
    """Moves the clock instead of waiting."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.slept: list[float] = []
        self.meanwhile: deque[Callable[[], Awaitable[None]]] = deque()

    async def sleep(self, seconds: float, /) -> None:
        await self._world.reach("before sleeping")
        self.slept.append(seconds)
        if self.meanwhile:
            await self.meanwhile.popleft()()
        self._world.clock.advance(seconds)
        await self._world.reach("before waking")
        await self._world.breathe()


class Locks:
    """Places, given in order of arrival."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.inside: dict[str, set[int]] = {}
        self.waiting: dict[str, deque[tuple[int, Any]]] = {}
        self.arrived = world.event()

    async def acquire(
        self, name: str, holder: object, /, *, places: int, queue: int, timeout: float
    ) -> bool:
        await self._world.reach("before a place is taken")
        inside_holders = self.inside.setdefault(name, set())
        if len(inside_holders) < places:
            inside_holders.add(id(holder))
            await self._world.reach("before it is known that a place is taken")
            return True
        waiting_line = self.waiting.setdefault(name, deque())
        if timeout <= 0 or len(waiting_line) >= queue:
            return False
        event = self._world.event()
        waiting_line.append((id(holder), event))
        self.arrived.set()
        if self._world.impatient:
            self._world.clock.advance(timeout)
            waiting_line.remove((id(holder), event))
            return False
        await self._world.wait(event)
        return True

    def release(self, name: str, holder: object, /) -> None:
        holders = self.inside.get(name, set())
        if id(holder) not in holders:
            return
        holders.remove(id(holder))
        waiting_tickets = self.waiting.get(name)
        if waiting_tickets:
            first, event = waiting_tickets.popleft()
            holders.add(first)
            event.set()


class Gather:
    """Runs steps at once; the test says when the first of several has taken too long."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.too_long = world.event()
        self.at_once = 0
        self.stagger = 0.0
        self.started: list[BackgroundWork] = []

    async def every(self, steps: Any, /, *, at_once: int) -> list[Any]:
        self.at_once = at_once
        steps = [self._world.awaitable(step) for step in steps]
        results: list[Any] = []
        for number in range(0, len(steps), at_once):
            batch = [self._world.start(step) for step in steps[number : number + at_once]]
            results += [await running_step.result() for running_step in batch]
        return results

    async def first(self, steps: Any, /, *, stagger: float, good: Callable[[Any], bool]) -> Any:
        running_steps = self.started = []
        self.stagger = stagger
        try:
            for step in steps:
                self.too_long.clear()
                running_steps.append(
                    self._world.start(self._world.awaitable(step), self.too_long.set)
                )
                await self._world.wait(self.too_long)
                for value in running_steps:
                    if value.done() and good(await value.result()):
                        return await value.result()
            answers = [await item.result() for item in running_steps]
            return next((answer for answer in answers if good(answer)), answers[-1])
        finally:
            for element in running_steps:
                element.cancel()


class BackgroundWork:
    """Work in the background: a thread or a task."""

    def __init__(self, world: World, flow: Any, after: Callable[[], None]) -> None:
        self._world = world
        self._after = after
        self.ending: tuple[Any, BaseException | None] | None = None
        if world.is_awaited:
            self._task: Any = asyncio.ensure_future(self._run(flow))
        else:
            self._thread = threading.Thread(target=run_plain, args=(self._run(flow),), daemon=True)
            self._thread.start()

    async def _run(self, flow: Any) -> None:
        try:
            self.ending = await flow(), None
        except BaseException as error:  # noqa: BLE001 - kept for who asks
            self.ending = None, error
        finally:
            self._after()

    def done(self) -> bool:
        return self.ending is not None

    def cancel(self) -> None:
        """A thread cannot be stopped."""
        if self._world.is_awaited:
            self._task.cancel()

    async def wait_until_over(self) -> None:
        """Wait for the end, with any result."""
        if self._world.is_awaited:
            await asyncio.wait([self._task], timeout=PATIENCE)
        else:
            self._thread.join(PATIENCE)
        assert self.ending is not None, "the background work hangs"

    async def result(self) -> Any:
        """The result of the work, or its exception."""
        await self.wait_until_over()
        assert self.ending is not None
        value, error = self.ending
        if error is not None:
            raise error
        return value


class Plainly:
    """An awaited port as a plain one."""

    def __init__(self, port: Any) -> None:
        self.port = port

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.port, name)
        if not inspect.iscoroutinefunction(value):
            return value

        def run_method(*args: Any, **kwargs: Any) -> Any:
            return run_plain(value(*args, **kwargs))

        return run_method


class Interruption(BaseException):
    """An interruption of a synchronous program, such as KeyboardInterrupt."""


class World:
    """The environment of a manager, in one mode: stores, clock, vendor and events."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.is_awaited = mode != PLAIN
        # A clock may begin anywhere, zero included.
        self.clock = Clock(0 if mode == DISTANT else 10**12)
        self.chance = Chance()
        self.store = Store(self)
        self.vendor = Vendor(self)
        self.sleeper = Sleeper(self)
        self.locks = Locks(self)
        self.gather = Gather(self)
        self.events: list[Any] = []
        self.points: list[str] = []
        self.interrupt_at: int | None = None
        self.interruption: type[BaseException] = Interruption
        self.by_hand = False
        self.impatient = False

    # --- running ---

    def drive(self, flow: Coroutine[Any, Any, Any]) -> Any:
        """Run a test's body."""
        return asyncio.run(flow) if self.is_awaited else run_plain(flow)

    def start(
        self, flow: Callable[[], Any], after: Callable[[], None] = lambda: None
    ) -> BackgroundWork:
        """Run work in the background."""
        return BackgroundWork(self, flow, after)

    async def run_together(self, *flows: Callable[[], Any]) -> list[Any]:
        """Run several calls at once; return the result or error of each."""
        running_flows = [self.start(flow) for flow in flows]
        for element in running_flows:
            await element.wait_until_over()
        endings = [item.ending or (None, None) for item in running_flows]
        return [value if error is None else error for value, error in endings]

    async def breathe(self) -> None:
        """Yield to other tasks."""
        if self.is_awaited and not self.by_hand:
            await asyncio.sleep(0)

    def event(self) -> Any:
        """An event of this mode."""
        return asyncio.Event() if self.is_awaited else threading.Event()

    async def wait(self, event: Any) -> None:
        """Wait for an event of this mode."""
        if self.is_awaited:
            await asyncio.wait_for(event.wait(), PATIENCE)
        else:
            assert event.wait(PATIENCE), "nobody came"

    def awaitable(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """A step of the Gather port, which is plain in the synchronous mode, as awaited."""
        if self.is_awaited:
            return step

        async def run_step() -> Any:
            return step()

        return run_step

    async def reach(self, point: str) -> None:
        """Mark a point at which a test may interrupt the call."""
        self.points.append(point)
        if self.by_hand:
            if self.is_awaited:
                await _Suspension()
            elif self.interrupt_at == len(self.points):
                raise self.interruption
        elif self.mode == DISTANT:
            await asyncio.sleep(0)

    # --- what is called ---

    def of_mode(self, port: Any) -> Any:
        """An awaited port in this world's mode."""
        return port if self.is_awaited else Plainly(port)

    def manager(self, *services: Any, **ports: Any) -> Face:
        """Return a manager of this mode over this world; ports can be replaced."""
        options: dict[str, Any] = {
            "http": self.of_mode(self.vendor),
            "state": self.state(),
            "clock": self.clock,
            "sleeper": self.of_mode(self.sleeper),
            "randomness": self.chance,
            "ids": Ids(),
            "locks": self.of_mode(self.locks),
            "gather": self.of_mode(self.gather),
        }
        options |= ports
        if self.is_awaited:
            return Face(self, AsyncConnectorManager(services, **options))
        return Face(self, ConnectorManager(services, **options))

    def watched(self, *services: Any, **ports: Any) -> Face:
        """Return a manager whose events are stored in `events`."""
        return self.manager(*services, observers=[self.events.append], **ports)

    def state(self) -> Any:
        """This world's store, in its mode."""
        if self.mode == AWAITED:
            return AsyncMemoryStorage(self.store.memory)
        return self.of_mode(self.store)

    def gate(self) -> Gate:
        """Return a gate at which a call can be paused."""
        return Gate(self)

    def event_names(self) -> list[str]:
        """The names of the events so far."""
        return [type(event).__name__ for event in self.events]

    def pause(self, manager: Face, service: str, seconds: float) -> None:
        """Pause a service, as a vendor's `Retry-After` does."""
        gates = manager.manager._flows.plans.find(service, None, None).gates
        self.store.memory.execute(Pause(gates, round(seconds * 1e6)))

    # --- what a vendor or a function does ---

    async def do_nothing(self) -> None:
        """A function that does nothing."""

    def answer_after(
        self, seconds: float, answer: object
    ) -> Callable[[SentRequest], Awaitable[object]]:
        """An answer that takes its time, for which the client does not wait for ever."""

        async def answer_late(sent: SentRequest) -> object:
            patience = sent.timeouts.total or 0.0
            self.clock.advance(min(seconds, patience))
            return AttemptTimeout("it took too long.") if seconds > patience else answer

        return answer_late

    def never_answer(self) -> Callable[[SentRequest], Awaitable[object]]:
        """No answer, until the client gives up."""
        return self.answer_after(1e9, 200)


class _Suspension:
    def __await__(self) -> Any:
        yield self


class Face:
    """A manager that can be awaited in both modes."""

    def __init__(self, world: World, manager: Any) -> None:
        self.world = world
        self.manager = manager

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.manager, name)

        async def call_method(*args: Any, **kwargs: Any) -> Any:
            value = method(*args, **kwargs)
            return await value if self.world.is_awaited else value

        return call_method

    async def call_as_is(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method with arguments of any mode."""
        value = getattr(self.manager, name)(*args, **kwargs)
        return await value if self.world.is_awaited else value

    async def run(self, service: str, function: Callable[[], Any], **options: Any) -> Any:
        """Protect an `async def` that suspends only where the world does."""
        value = self.manager.run(service, self.plain(function), **options)
        return await value if self.world.is_awaited else value

    def plain(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of this mode."""
        if self.world.is_awaited:
            return function

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            return run_plain(function(*args, **kwargs))

        del plain.__dict__["__wrapped__"]
        return plain

    async def stream(self, *args: Any, **kwargs: Any) -> Streamed:
        """A streamed response that can be awaited in both modes."""
        value = self.manager.stream(*args, **kwargs)
        return Streamed(self.world, await value if self.world.is_awaited else value)


class Streamed:
    """A streamed response that can be awaited in both modes."""

    def __init__(self, world: World, answer: Any) -> None:
        self._world = world
        self.answer = answer

    async def read(self) -> bytes:
        piece = self.answer.read()
        return bytes(await piece if self._world.is_awaited else piece)

    async def all(self) -> list[bytes]:
        if self._world.is_awaited:
            return [piece async for piece in self.answer]
        return list(self.answer)

    async def __aenter__(self) -> Any:
        if self._world.is_awaited:
            await self.answer.__aenter__()
        else:
            self.answer.__enter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._world.is_awaited:
            await self.answer.__aexit__(*details)
        else:
            self.answer.__exit__(*details)
