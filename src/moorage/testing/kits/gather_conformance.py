"""Checks that every gatherer must pass; a gatherer runs several functions concurrently.

```python
import pytest

from moorage.adapters.concurrency.gather import ThreadGather  # yours
from moorage.testing import gather_conformance, name_of


@pytest.mark.parametrize("check", gather_conformance.CHECKS, ids=name_of)
def test_gather(check):
    check(ThreadGather)
```

`CHECKS` are for `Gather`. `ASYNC_CHECKS` are for `AsyncGather`, and awaited. Each check takes a
function that makes an object to check.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, TypeVar

from moorage.ports.gather import AsyncGather, Gather
from moorage.testing.kits.checks import Flag, in_thread, patience, require, sync_check, wait_soon

Item = TypeVar("Item")
Factory: TypeAlias = Callable[[], Gather]
AsyncFactory: TypeAlias = Callable[[], AsyncGather]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]
Step: TypeAlias = Callable[[], Coroutine[Any, Any, Item]]

_who: Final = ContextVar("_who", default="nobody")
_BRIEFLY: Final = 0.02
_HANGS: Final = "A flow that should have ended is still running."


class _ThreadedGatherer:
    """A synchronous gatherer whose steps each run in an event loop of their own."""

    def __init__(self, factory: Factory) -> None:
        self._gather = factory()

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Item]]], /, *, at_once: int
    ) -> list[Item]:
        plain_functions = [_sync_function(step) for step in steps]
        return await in_thread(lambda: self._gather.run_all(plain_functions, at_once=at_once))

    async def first(
        self,
        steps: Sequence[Callable[[], Awaitable[Item]]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item:
        sync_steps = [_sync_function(step) for step in steps]
        return await in_thread(lambda: self._gather.first(sync_steps, stagger=stagger, good=good))


def _sync_function(step: Callable[[], Awaitable[Item]]) -> Callable[[], Item]:
    async def run() -> Item:
        return await step()

    return lambda: asyncio.run(run())


async def results_come_in_the_order_of_the_steps(factory: AsyncFactory) -> None:
    """Results are returned in step order, whichever step ends first."""
    flags = [Flag() for _ in range(4)]
    flags[3].set()

    async def wait_for_the_next(number: int) -> int:
        await flags[number].wait()
        if number:
            flags[number - 1].set()
        return number

    steps = [_step(wait_for_the_next, number) for number in range(4)]
    results = await wait_soon(factory().run_all(steps, at_once=4), _HANGS)
    require(results == [0, 1, 2, 3], f"The results stand in the order {results}.")


async def no_steps_give_no_results(factory: AsyncFactory) -> None:
    """Without steps, a gatherer returns an empty list."""
    steps: list[Step[int]] = []
    results = await wait_soon(factory().run_all(steps, at_once=3), _HANGS)
    require(results == [], f"No steps were passed, but the results are {results}.")


async def steps_run_at_once(factory: AsyncFactory) -> None:
    """A gatherer runs as many steps at the same time as allowed, and never more."""
    for at_once in (1, 2, 3):
        visit = _WaitingStep(at_once)
        steps = [visit.__call__] * (at_once * 2)
        step_results = await wait_soon(factory().run_all(steps, at_once=at_once), _HANGS)
        require(visit.most <= at_once, f"{visit.most} steps ran at once, where {at_once} may.")
        require(all(step_results), f"{at_once} steps did not run at once.")


class _WaitingStep:
    """A step that waits until the expected number of steps run concurrently."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._inside = self.most = 0
        self._guard = threading.Lock()
        self._full = Flag()

    async def __call__(self) -> bool:
        with self._guard:
            self._inside += 1
            self.most = max(self.most, self._inside)
            if self._inside == self._expected:
                self._full.set()
        is_met = await self._full.wait()
        await asyncio.sleep(0.001)  # long enough to be noticed if it runs although it should not
        with self._guard:
            self._inside -= 1
        return is_met


async def steps_see_the_context(factory: AsyncFactory) -> None:
    """Each step sees the caller's context variables; its own changes stay private."""
    token = _who.set("caller")

    async def rename() -> str:
        context_name = _who.get()
        _who.set("step")
        return context_name

    try:
        context_names = await wait_soon(factory().run_all([rename] * 3, at_once=1), _HANGS)
        context_names += await wait_soon(factory().run_all([rename] * 3, at_once=3), _HANGS)
        context_names += [
            await wait_soon(factory().first([rename] * 2, stagger=0, good=is_good), _HANGS)
            for is_good in (bool, _unreachable_task)
        ]
        require(
            context_names == ["caller"] * 8,
            f"The steps of one caller saw the contexts {context_names}.",
        )
        require(_who.get() == "caller", "A step changed its caller's context.")
    finally:
        _who.reset(token)


async def the_first_good_result_is_enough(factory: AsyncFactory) -> None:
    """When a step has a good result, the gatherer returns it and starts no further step."""
    for good_one in range(3):
        start_numbers: list[int] = []

        async def start_call(number: int, started: list[int] = start_numbers) -> int:
            started.append(number)
            return number

        steps = [_step(start_call, number) for number in range(3)]
        result = await wait_soon(
            factory().first(steps, stagger=patience() * 2, good=good_one.__eq__),
            "A step did not start, although all steps before it had returned.",
        )
        require(result == good_one, f"Step {good_one} was good, and {result} was returned.")
        expected = list(range(good_one + 1))
        require(
            start_numbers == expected,
            f"Steps {start_numbers} started, where {expected} were needed.",
        )


async def without_a_good_result_the_last_is_returned(factory: AsyncFactory) -> None:
    """Without any good result, the last result is returned after all steps have run."""
    steps = [_step(_echo, number) for number in range(3)]
    result = await wait_soon(
        factory().first(steps, stagger=patience() * 2, good=_unreachable_task), _HANGS
    )
    require(result == 2, f"The last of three bad results was returned as {result}.")


async def a_slow_step_is_overtaken(factory: AsyncFactory) -> None:
    """If a step is slow, the next one also starts, and the first good result is returned."""
    flag, slow_numbers, fast_numbers = Flag(), list[float](), list[float]()

    async def wait_for_cancellation() -> str:
        slow_numbers.append(time.monotonic())
        await flag.wait()
        return "slow"

    async def answer() -> str:
        fast_numbers.append(time.monotonic())
        return "fast"

    start = time.monotonic()
    try:
        race = factory().first(
            [wait_for_cancellation, answer, wait_for_cancellation], stagger=_BRIEFLY, good=bool
        )
        result = await wait_soon(race, "A good result waited for a step that hangs.")
    finally:
        flag.set()
    require(result == "fast", "A step that hangs was not overtaken.")
    require(len(slow_numbers) < 2, "Three steps started, although two were needed.")
    require(
        fast_numbers[0] - start >= _BRIEFLY, "A second step started before the first had its time."
    )


async def a_slow_good_result_beats_a_fast_bad_one(factory: AsyncFactory) -> None:
    """A bad result does not end the wait for another step that is still running."""
    bad_step_done = Flag()

    async def slow_task() -> str:
        await bad_step_done.wait()
        return "good"

    async def fast_task() -> str:
        bad_step_done.set()
        return ""

    result = await wait_soon(factory().first([slow_task, fast_task], stagger=0, good=bool), _HANGS)
    require(result == "good", "A running step was cancelled because of a bad result.")


async def a_cancelled_caller_cancels_every_step(factory: AsyncFactory) -> None:
    """Cancelling a gatherer's caller cancels all steps and waits for their end."""
    for verb in ("run_all", "first"):
        gather, start_numbers, ended_numbers = factory(), list[int](), list[int]()
        both_started = asyncio.Event()

        async def wait_for_cancellation(
            number: int,
            begun: list[int] = start_numbers,
            ended: list[int] = ended_numbers,
            both_started: asyncio.Event = both_started,
        ) -> int:
            begun.append(number)
            if len(begun) == 2:
                both_started.set()
            try:
                return await asyncio.sleep(patience() * 2, number)
            finally:
                await asyncio.sleep(0)
                ended.append(number)

        steps = [_step(wait_for_cancellation, number) for number in range(3)]
        caller = asyncio.ensure_future(
            gather.run_all(steps, at_once=2)
            if verb == "run_all"
            else gather.first(steps, stagger=0, good=_unreachable_task)
        )
        await wait_soon(both_started.wait(), "Two steps did not start.")
        caller.cancel()
        await wait_soon(asyncio.wait([caller]), "A cancelled caller does not continue.")
        require(caller.cancelled(), f"`{verb}` swallowed a cancellation.")
        require(
            sorted(ended_numbers) == sorted(start_numbers),
            f"`{verb}` left a step behind when cancelled.",
        )


async def other_steps_have_ended(factory: AsyncFactory) -> None:
    """When a good result is returned, all other steps have been cancelled and have ended."""
    ended_steps = list[str]()

    async def wait_for_cancellation() -> str:
        try:
            return await asyncio.sleep(patience() * 2, "")
        finally:
            await asyncio.sleep(0)
            ended_steps.append("hang")

    await wait_soon(
        factory().first([wait_for_cancellation, _step(_echo, "good")], stagger=0, good=bool), _HANGS
    )
    require(ended_steps == ["hang"], "A step whose result is not needed continues.")


def _step(run: Callable[[Any], Coroutine[Any, Any, Item]], argument: object) -> Step[Item]:
    return lambda: run(argument)


async def _echo(argument: Item) -> Item:
    return argument


def _unreachable_task(_: object) -> bool:
    return False


_SHARED_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    results_come_in_the_order_of_the_steps,
    no_steps_give_no_results,
    steps_run_at_once,
    steps_see_the_context,
    the_first_good_result_is_enough,
    without_a_good_result_the_last_is_returned,
    a_slow_step_is_overtaken,
    a_slow_good_result_beats_a_fast_bad_one,
)

CHECKS: Final[tuple[Check, ...]] = tuple(
    sync_check(check, _ThreadedGatherer) for check in _SHARED_CHECKS
)

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    *_SHARED_CHECKS,
    a_cancelled_caller_cancels_every_step,
    other_steps_have_ended,
)
