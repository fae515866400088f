"""Waiting and background work in virtual time, for tests of services."""

# ruff: noqa: D102 - the ports describe their methods

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from tests.support.modes import Harness


PATIENCE = 120.0
"""Seconds of real time after which a test that hangs fails instead."""


def run_plain(flow: Coroutine[Any, Any, Any]) -> Any:
    """Run, without an event loop, a coroutine that never suspends."""
    try:
        flow.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("synchronous code awaited something that suspends")


class Sleeper:
    """A sleeper that advances the clock instead of waiting."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.slept: list[float] = []
        self.meanwhile: deque[Callable[[], Awaitable[None]]] = deque()

    async def sleep(self, seconds: float, /) -> None:
        await self._harness.reach("before sleeping")
        self.slept.append(seconds)
        if self.meanwhile:
            await self.meanwhile.popleft()()
        self._harness.clock.advance(seconds)
        await self._harness.reach("before waking")
        await self._harness.yield_to_tasks()


class Locks:
    """Fake locks that admit callers in order of arrival."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.inside: dict[str, set[int]] = {}
        self.waiting: dict[str, deque[tuple[int, Any]]] = {}
        self.arrived = harness.event()

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        await self._harness.reach("before a place is taken")
        inside_holders = self.inside.setdefault(name, set())
        if len(inside_holders) < slots:
            inside_holders.add(id(holder))
            await self._harness.reach("before it is known that a place is taken")
            return True
        waiting_line = self.waiting.setdefault(name, deque())
        if timeout <= 0 or len(waiting_line) >= queue:
            return False
        event = self._harness.event()
        waiting_line.append((id(holder), event))
        self.arrived.set()
        if self._harness.impatient:
            self._harness.clock.advance(timeout)
            waiting_line.remove((id(holder), event))
            return False
        await self._harness.wait(event)
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
    """A fake Gather port; the test decides when the first step is too slow."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.too_long = harness.event()
        self.at_once = 0
        self.stagger = 0.0
        self.started: list[BackgroundWork] = []

    async def run_all(self, steps: Any, /, *, at_once: int) -> list[Any]:
        self.at_once = at_once
        steps = [self._harness.awaitable(step) for step in steps]
        results: list[Any] = []
        for number in range(0, len(steps), at_once):
            batch = [self._harness.start(step) for step in steps[number : number + at_once]]
            results += [await running_step.result() for running_step in batch]
        return results

    async def first(self, steps: Any, /, *, stagger: float, good: Callable[[Any], bool]) -> Any:
        running_steps = self.started = []
        self.stagger = stagger
        try:
            for step in steps:
                self.too_long.clear()
                running_steps.append(
                    self._harness.start(self._harness.awaitable(step), self.too_long.set)
                )
                await self._harness.wait(self.too_long)
                for value in running_steps:
                    if value.done() and good(await value.result()):
                        return await value.result()
            answers = [await item.result() for item in running_steps]
            return next((answer for answer in answers if good(answer)), answers[-1])
        finally:
            for element in running_steps:
                element.cancel()


class BackgroundWork:
    """Background work in a thread or a task, depending on the mode."""

    def __init__(self, harness: Harness, flow: Any, after: Callable[[], None]) -> None:
        self._harness = harness
        self._after = after
        self.ending: tuple[Any, BaseException | None] | None = None
        if harness.is_awaited:
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
        """Do nothing, because a thread cannot be stopped."""
        if self._harness.is_awaited:
            self._task.cancel()

    async def wait_until_over(self) -> None:
        """Wait until the work has ended, whether it succeeded or failed."""
        if self._harness.is_awaited:
            await asyncio.wait([self._task], timeout=PATIENCE)
        else:
            self._thread.join(PATIENCE)
        assert self.ending is not None, "the background work hangs"

    async def result(self) -> Any:
        """Return the result of the work, or raise its exception."""
        await self.wait_until_over()
        assert self.ending is not None
        value, error = self.ending
        if error is not None:
            raise error
        return value


class SyncPort:
    """A synchronous port that runs the methods of an asynchronous one, which never suspend."""

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
    """An interruption of a synchronous program, like KeyboardInterrupt."""
