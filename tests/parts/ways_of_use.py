"""Helpers for tests of parts: virtual clocks, fake stores, and each way of using a part."""

# ruff: noqa: D102, D103 - names that say it, and values of any kind

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.state.commands import Command
from moorage.errors import StorageUnavailable
from moorage.testing.fakes.clock import VirtualClock, nanoseconds

PATIENCE = 120.0
START = datetime(2031, 5, 6, tzinfo=UTC)


class FunctionFailure(Exception):
    """The error that a test's function raises on purpose."""


class Clock(VirtualClock):
    """A clock that moves only during sleeps, or on request."""

    def __init__(self) -> None:
        super().__init__(START)
        self.slept: list[float] = []

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.advance(seconds)


class AsyncSleeper:
    """An asynchronous sleeper on a virtual clock, whose tasks continue one after another."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def sleep(self, seconds: float, /) -> None:
        self._clock.sleep(seconds)


class StandingClock(Clock):
    """A clock that moves only when the test moves it, while sleepers wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._asleep = 0

    def sleep(self, seconds: float, /) -> None:
        woken_event = threading.Event()

        def wake() -> None:
            with self._changed:
                self._asleep -= 1
            woken_event.set()

        with self._changed:
            self.call_at(self.nanoseconds() + nanoseconds(seconds), wake)
            self._asleep += 1
            self._changed.notify_all()
        assert woken_event.wait(PATIENCE)

    def until_asleep(self, sleepers: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._asleep == sleepers, PATIENCE)


class PlainStore:
    """A synchronous store in memory that can be made unavailable."""

    mixes_tags = True

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock
        self.memory = MemoryStorage(clock)
        self.away = False

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        if self.away:
            raise StorageUnavailable("the store is away.")
        return self.memory.execute(command, timeout)

    def post(self, command: Command[Any], /) -> None:
        if not self.away:
            self.memory.post(command)


class DistantStore(PlainStore):
    """An asynchronous store that suspends the calling task before and after each command."""

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        await asyncio.sleep(0)
        answer = super().execute(command, timeout)
        await asyncio.sleep(0)
        return answer


class EventLog(list[Any]):
    """An observer that records its events."""

    __call__ = list.append

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self]


def run(flow: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends; its exceptions propagate unchanged."""
    try:
        flow.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


def as_async(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return an asynchronous function that calls the given synchronous one."""

    @functools.wraps(function)
    async def async_function(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return async_function


def run_threads(size: int, visit: Callable[[int], object]) -> list[Any]:
    """Run a function in this many threads at the same time, and return all outcomes."""
    start = threading.Barrier(size)
    results: list[Any] = [None] * size

    def thread(number: int) -> None:
        start.wait(PATIENCE)
        try:
            results[number] = visit(number)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            results[number] = error

    threads = [
        threading.Thread(target=thread, args=(number,), daemon=True) for number in range(size)
    ]
    for item in threads:
        item.start()
    for element in threads:
        element.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    return results


# Each way to use a guard: a function that takes the part and a plain function, and has the effect
# of calling it.


def call_part(part: Any, function: Callable[[], Any]) -> Any:
    return part.call(function)


def call_decorated(part: Any, function: Callable[[], Any]) -> Any:
    return part(function)()


def call_in_block(part: Any, function: Callable[[], Any]) -> Any:
    with part.guard():
        return function()


def call_async(part: Any, function: Callable[[], Any]) -> Any:
    return run(part.call(as_async(function)))


def call_decorated_async(part: Any, function: Callable[[], Any]) -> Any:
    return run(part(as_async(function))())


def call_in_async_block(part: Any, function: Callable[[], Any]) -> Any:
    async def enter() -> Any:
        async with part.guard():
            return function()

    return run(enter())


SYNC = (call_part, call_decorated, call_in_block)
ASYNC = (call_async, call_decorated_async, call_in_async_block)
USES = (*SYNC, *ASYNC)
