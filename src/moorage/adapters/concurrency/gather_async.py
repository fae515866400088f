"""Runs several steps concurrently, in tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Final, TypeVar

from moorage.adapters.clocks.event_loop import running_loop
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Result = TypeVar("Result")

_FOREVER: Final = 1e9  # seconds; not every event loop counts further


class AsyncioGather:
    """Runs steps in tasks. All tasks have ended when the call returns.

    Each step sees the caller's context variables, and changes only a copy of them. The error of a
    step cancels the others and is raised in the caller, without an exception group. A step that
    cancels itself cancels the caller.
    """

    __slots__ = ()

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Result]]], /, *, at_once: int
    ) -> list[Result]:
        """Run all steps, at most `at_once` at a time, and return their results in order."""
        running_loop()
        waiting_steps = deque(enumerate(steps))
        context = copy_context()
        results: dict[int, Result] = {}

        def start_tasks() -> None:
            if waiting_steps:
                number, step = waiting_steps.popleft()
                group.create_task(run(number, step), context=context.copy())

        async def run(number: int, step: Callable[[], Awaitable[Result]]) -> None:
            try:
                results[number] = await step()
            except BaseException:
                waiting_steps.clear()
                raise
            start_tasks()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(at_once, 1)):
                    start_tasks()
        except BaseExceptionGroup as error_group:
            raise error_group.exceptions[0] from None
        if len(results) < len(steps):
            raise asyncio.CancelledError  # a step cancelled itself, which a group ignores
        return [results[number] for number in range(len(steps))]

    async def first(
        self,
        steps: Sequence[Callable[[], Awaitable[Result]]],
        /,
        *,
        stagger: float,
        good: Callable[[Result], bool],
    ) -> Result:
        """Start a step every `stagger` seconds; return the first result that `good` accepts."""
        if not steps:
            raise InvalidData("There are no steps to run.", field="steps")
        try:
            return await _first_good_result(deque(steps), stagger, good)
        except BaseExceptionGroup as error_group:
            raise error_group.exceptions[0] from None


def _result_in(answer: tuple[Result, ...]) -> Result:
    """Return the result of a step; if the step cancelled itself, cancel the caller too."""
    if not answer:
        raise asyncio.CancelledError
    return answer[0]


async def _first_good_result(
    waiting: deque[Callable[[], Awaitable[Result]]], stagger: float, good: Callable[[Result], bool]
) -> Result:
    context, loop = copy_context(), running_loop()
    answers: asyncio.Queue[tuple[Result, ...]] = asyncio.Queue()
    tasks: list[asyncio.Task[None]] = []
    running_count, next_start, is_over = 0, 0.0, False

    async def run(step: Callable[[], Awaitable[Result]]) -> None:
        try:
            answers.put_nowait((await step(),))
        except asyncio.CancelledError:
            answers.put_nowait(())  # a group ignores a task that cancels itself
            raise
        except Exception:
            if not is_over:  # errors after the first good result are ignored
                raise

    async with asyncio.TaskGroup() as group:
        try:
            while True:
                wait_seconds = min(next_start - loop.time(), _FOREVER)
                if waiting and (not running_count or wait_seconds <= 0):
                    step = waiting.popleft()
                    tasks.append(group.create_task(run(step), context=context.copy()))
                    running_count += 1
                    next_start = loop.time() + stagger
                    continue
                try:
                    async with asyncio.timeout(wait_seconds if waiting else None):
                        answer = await answers.get()
                except TimeoutError:
                    continue
                running_count -= 1
                result = _result_in(answer)
                if good(result) or not (running_count or waiting):
                    return result
        finally:
            is_over = True
            for task in tasks:
                task.cancel()
