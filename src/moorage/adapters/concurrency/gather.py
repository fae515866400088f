"""Runs several steps concurrently, in threads."""

from __future__ import annotations

import _thread
import time
from collections import deque
from contextlib import suppress
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Thread
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Result = TypeVar("Result")
Item = TypeVar("Item")


_Outcome: TypeAlias = "tuple[Result | None, BaseException | None]"
"""The value of a step, or the error that it raised."""


def _outcome_of(step: Callable[[], Result], context: Context) -> _Outcome[Result]:
    try:
        return context.run(step), None
    except BaseException as error:  # noqa: BLE001 - raised in the waiting caller
        return None, error


def _value_of(outcome: _Outcome[Result]) -> Result:
    value, error = outcome
    if error is not None:
        raise error
    return cast("Result", value)


def _drain(waiting: deque[Item]) -> Iterator[Item]:
    """Yield items from a queue until it is empty; several threads may do this concurrently."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()


def daemon(run: Callable[[], None]) -> bool:
    """Run a function in a daemon thread; return False if the system cannot start a thread."""
    try:
        Thread(target=run, daemon=True).start()
    except RuntimeError:
        return False
    return True


def without_waiting(run: Callable[[], None]) -> None:
    """Start a function in a thread, without waiting until the thread is running.

    Nothing happens if the system cannot start a thread.
    """
    with suppress(RuntimeError):
        _thread.start_new_thread(run, ())


class ThreadGather:
    """Runs steps concurrently: one in the caller's thread, the others in new threads.

    Each step sees the caller's context variables, and changes only a copy of them. If the system
    cannot start more threads, the steps run one after another. The error of a step is raised in
    the caller, and no further step is started.

    Args:
        start: runs a function in a new thread; returns False if there can be no further thread.
        start_later: runs the function that starts the threads, when the caller's thread waits or
            has run for a while; so quick steps are done before there is a thread.
    """

    __slots__ = ("_later", "_start")

    def __init__(
        self,
        start: Callable[[Callable[[], None]], bool] = daemon,
        start_later: Callable[[Callable[[], None]], None] = without_waiting,
    ) -> None:
        self._start = start
        self._later = start_later

    def run_all(self, steps: Sequence[Callable[[], Result]], /, *, at_once: int) -> list[Result]:
        """Run all steps, at most `at_once` at a time, and return their results in order."""
        waiting_steps = deque(enumerate(steps))
        context = copy_context()
        answers: SimpleQueue[tuple[int, _Outcome[Result]]] = SimpleQueue()

        def start_threads() -> None:
            for _ in range(min(at_once, len(steps)) - 1):
                if not waiting_steps or not self._start(run_waiting_steps):
                    return

        def run_waiting_steps() -> None:
            for number, step in _drain(waiting_steps):
                outcome = _outcome_of(step, context.copy())
                if outcome[1] is not None:
                    waiting_steps.clear()
                answers.put((number, outcome))

        results: list[Any] = [None] * len(steps)
        missing_count = len(steps)
        try:
            if at_once > 1 and len(steps) > 1:
                self._later(start_threads)
            for number, step in _drain(waiting_steps):
                results[number] = context.copy().run(step)
                missing_count -= 1
            for _ in range(missing_count):
                number, outcome = answers.get()
                results[number] = _value_of(outcome)
        finally:
            waiting_steps.clear()
        return results

    def first(
        self,
        steps: Sequence[Callable[[], Result]],
        /,
        *,
        stagger: float,
        good: Callable[[Result], bool],
    ) -> Result:
        """Start a step every `stagger` seconds; return the first result that `good` accepts."""
        if not steps:
            raise InvalidData("There are no steps to run.", field="steps")
        waiting_steps = deque(steps)
        answers: SimpleQueue[_Outcome[Result]] = SimpleQueue()
        running_count, next_start = 0, 0.0
        while True:
            wait_seconds = min(next_start - time.monotonic(), TIMEOUT_MAX)
            if waiting_steps and (not running_count or wait_seconds <= 0):
                step, context = waiting_steps.popleft(), copy_context()

                def run(step: Callable[[], Result] = step, context: Context = context) -> None:
                    answers.put(_outcome_of(step, context))

                # The last step runs in the caller's thread if no other is running.
                if not (waiting_steps or running_count) or not self._start(run):
                    run()
                running_count += 1
                next_start = time.monotonic() + stagger
                continue
            try:
                result = _value_of(answers.get(timeout=wait_seconds if waiting_steps else None))
            except Empty:
                continue
            running_count -= 1
            if good(result) or not (running_count or waiting_steps):
                return result
