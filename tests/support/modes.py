"""Runs the body of a service's test in every mode: synchronous, asynchronous and others.

`@sync_and_async` runs an `async def` body with a `Harness` of each mode: in the synchronous one
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
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncConnectorManager, AttemptTimeout, ConnectorManager
from moorage.adapters.state.memory import AsyncMemoryStorage
from moorage.domain.resilience.gate_commands import Pause
from tests.support.virtual_ports import (
    Clock,
    Ids,
    PredictableRandomness,
    SentRequest,
    Store,
    Vendor,
    WorkGate,
)
from tests.support.virtual_tasks import (
    PATIENCE,
    BackgroundWork,
    Gather,
    Interruption,
    Locks,
    Sleeper,
    SyncPort,
    run_plain,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


SYNC, ASYNC, DISTANT = "sync", "async", "async, distant store"
MODES = (SYNC, ASYNC, DISTANT)


def sync_and_async(body: Callable[..., Coroutine[Any, Any, None]]) -> Any:
    """Run a test's body in every mode; its first parameter is a `Harness` of the mode."""
    _, *other_parameters = inspect.signature(body).parameters.values()

    @pytest.mark.parametrize("mode", MODES)
    def test(mode: str, **options: Any) -> None:
        harness = Harness(mode)
        harness.drive(body(harness, **options))

    functools.update_wrapper(test, body)
    del test.__dict__["__wrapped__"]
    mode = inspect.Parameter("mode", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__dict__["__signature__"] = inspect.Signature([mode, *other_parameters])
    return test


class Harness:
    """The environment of a sync or async manager: stores, clock, vendor and events."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.is_awaited = mode != SYNC
        # A clock may begin at any time, including zero.
        self.clock = Clock(0 if mode == DISTANT else 10**12)
        self.chance = PredictableRandomness()
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
        """Run a test's body to its end."""
        return asyncio.run(flow) if self.is_awaited else run_plain(flow)

    def start(
        self, flow: Callable[[], Any], after: Callable[[], None] = lambda: None
    ) -> BackgroundWork:
        """Start background work."""
        return BackgroundWork(self, flow, after)

    async def run_together(self, *flows: Callable[[], Any]) -> list[Any]:
        """Run several calls at once; return the result or error of each."""
        running_flows = [self.start(flow) for flow in flows]
        for element in running_flows:
            await element.wait_until_over()
        endings = [item.ending or (None, None) for item in running_flows]
        return [value if error is None else error for value, error in endings]

    async def yield_to_tasks(self) -> None:
        """Give other tasks a chance to run."""
        if self.is_awaited and not self.by_hand:
            await asyncio.sleep(0)

    def event(self) -> Any:
        """Return an event in the style of this mode, which threads or tasks can wait for."""
        return asyncio.Event() if self.is_awaited else threading.Event()

    async def wait(self, event: Any) -> None:
        """Wait until this event is set."""
        if self.is_awaited:
            await asyncio.wait_for(event.wait(), PATIENCE)
        else:
            assert event.wait(PATIENCE), "nobody came"

    def awaitable(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """Return a step of the Gather port as an asynchronous function in every mode."""
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
        """Return an asynchronous port converted to this harness's mode."""
        return port if self.is_awaited else SyncPort(port)

    def manager(self, *services: Any, **ports: Any) -> AwaitedManager:
        """Return a manager with this harness's mode and ports, each of which can be replaced."""
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
            return AwaitedManager(self, AsyncConnectorManager(services, **options))
        return AwaitedManager(self, ConnectorManager(services, **options))

    def watched(self, *services: Any, **ports: Any) -> AwaitedManager:
        """Return a manager whose events are stored in `events`."""
        return self.manager(*services, observers=[self.events.append], **ports)

    def state(self) -> Any:
        """Return this harness's store, converted to its mode."""
        if self.mode == ASYNC:
            return AsyncMemoryStorage(self.store.memory)
        return self.of_mode(self.store)

    def gate(self) -> WorkGate:
        """Return a gate that pauses a call until the test opens it."""
        return WorkGate(self)

    def event_names(self) -> list[str]:
        """Return the names of all events so far."""
        return [type(event).__name__ for event in self.events]

    def pause(self, manager: AwaitedManager, service: str, seconds: float) -> None:
        """Pause a service, as a vendor's `Retry-After` does."""
        gates = manager.manager._flows.plans.find(service, None, None).gates
        self.store.memory.execute(Pause(gates, round(seconds * 1e6)))

    # --- what a vendor or a function does ---

    async def do_nothing(self) -> None:
        """Return a function that does nothing."""

    def answer_after(
        self, seconds: float, answer: object
    ) -> Callable[[SentRequest], Awaitable[object]]:
        """Return a vendor's scripted response that arrives after a delay."""

        async def answer_late(sent: SentRequest) -> object:
            patience = sent.timeouts.total or 0.0
            self.clock.advance(min(seconds, patience))
            return AttemptTimeout("it took too long.") if seconds > patience else answer

        return answer_late

    def never_answer(self) -> Callable[[SentRequest], Awaitable[object]]:
        """Return a vendor's scripted response that never arrives."""
        return self.answer_after(1e9, 200)


class _Suspension:
    def __await__(self) -> Any:
        yield self


class AwaitedManager:
    """A manager whose calls a test can await in both sync and async mode."""

    def __init__(self, harness: Harness, manager: Any) -> None:
        self.harness = harness
        self.manager = manager

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.manager, name)

        async def call_method(*args: Any, **kwargs: Any) -> Any:
            value = method(*args, **kwargs)
            return await value if self.harness.is_awaited else value

        return call_method

    async def call_as_is(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a manager's method with unchanged arguments, and await its result if necessary."""
        value = getattr(self.manager, name)(*args, **kwargs)
        return await value if self.harness.is_awaited else value

    async def run(self, service: str, function: Callable[[], Any], **options: Any) -> Any:
        """Run an `async def` under the manager's protections, in this harness's mode."""
        value = self.manager.run(service, self.plain(function), **options)
        return await value if self.harness.is_awaited else value

    def plain(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function converted to this harness's mode."""
        if self.harness.is_awaited:
            return function

        @functools.wraps(function)
        def sync_call(*args: Any, **kwargs: Any) -> Any:
            return run_plain(function(*args, **kwargs))

        del sync_call.__dict__["__wrapped__"]
        return sync_call

    async def stream(self, *args: Any, **kwargs: Any) -> StreamedResponse:
        """Return a streamed response whose methods can be awaited in both sync and async mode."""
        value = self.manager.stream(*args, **kwargs)
        return StreamedResponse(self.harness, await value if self.harness.is_awaited else value)


class StreamedResponse:
    """A streamed response whose methods can be awaited in both sync and async mode."""

    def __init__(self, harness: Harness, answer: Any) -> None:
        self._harness = harness
        self.answer = answer

    async def read(self) -> bytes:
        piece = self.answer.read()
        return bytes(await piece if self._harness.is_awaited else piece)

    async def all(self) -> list[bytes]:
        if self._harness.is_awaited:
            return [piece async for piece in self.answer]
        return list(self.answer)

    async def __aenter__(self) -> Any:
        if self._harness.is_awaited:
            await self.answer.__aenter__()
        else:
            self.answer.__enter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._harness.is_awaited:
            await self.answer.__aexit__(*details)
        else:
            self.answer.__exit__(*details)
