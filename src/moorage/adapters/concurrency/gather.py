"""Runs several steps at once, in threads."""

from __future__ import annotations

import time
from collections import deque
from contextvars import Context, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Result = TypeVar("Result")


class _Outcome(Generic[Result]):
    """The result of a step: a value, or the error that it raised."""

    __slots__ = ("_result", "error")

    def __init__(self, step: Callable[[], Result], context: Context) -> None:
        self.error: BaseException | None = None
        try:
            self._result = context.run(step)
        except BaseException as error:  # noqa: BLE001 - raised in the waiting caller
            self.error = error

    def get(self) -> Result:
        """Return the value of the step, or raise its error."""
        if self.error is not None:
            raise self.error
        return self._result


def daemon(run: Callable[[], None]) -> bool:
    """Run a function in a daemon thread; return False if the system cannot start a thread."""
    try:
        Thread(target=run, daemon=True).start()
    except RuntimeError:
        return False
    return True


class ThreadGather:
    """Runs steps in new threads, and in the caller's thread.

    Each step sees the caller's context variables, and changes only a copy of them. If the system
    cannot start more threads, the steps run one after another. The error of a step is raised in
    the caller, and no further step is started.
    """

    __slots__ = ("_start",)

    def __init__(self, start: Callable[[Callable[[], None]], bool] = daemon) -> None:
        self._start = start

    def every(self, steps: Sequence[Callable[[], Result]], /, *, at_once: int) -> list[Result]:
        """Run all steps, at most `at_once` at a time, and return their results in order."""
        waiting_steps = deque((number, step, copy_context()) for number, step in enumerate(steps))
        answers: SimpleQueue[tuple[int, _Outcome[Result]]] = SimpleQueue()

        def work(helpers: int) -> None:
            # Each thread starts the next one: quick steps are done before many threads exist.
            if helpers and len(waiting_steps) > 1:
                self._start(partial(work, helpers - 1))
            while True:
                try:
                    number, step, context = waiting_steps.popleft()
                except IndexError:
                    return
                outcome = _Outcome(step, context)
                if outcome.error is not None:
                    waiting_steps.clear()
                answers.put((number, outcome))

        results: dict[int, Result] = {}
        try:
            work(at_once - 1)
            while len(results) < len(steps):
                number, outcome = answers.get()
                results[number] = outcome.get()
        finally:
            waiting_steps.clear()
        return [results[number] for number in range(len(steps))]

    def first(
        self,
        steps: Sequence[Callable[[], Result]],
        /,
        *,
        stagger: float,
        good: Callable[[Result], bool],
    ) -> Result:
        """Start a step every `stagger` seconds until the result of one is good."""
        if not steps:
            raise InvalidData("There is no step to run.", field="steps")
        waiting_steps = deque(steps)
        answers: SimpleQueue[_Outcome[Result]] = SimpleQueue()
        running_count, next_start = 0, 0.0
        while True:
            wait_seconds = min(next_start - time.monotonic(), TIMEOUT_MAX)
            if waiting_steps and (not running_count or wait_seconds <= 0):
                step, context = waiting_steps.popleft(), copy_context()

                def run(step: Callable[[], Result] = step, context: Context = context) -> None:
                    answers.put(_Outcome(step, context))

                # The last step runs in the caller's thread if no other is running.
                if not (waiting_steps or running_count) or not self._start(run):
                    run()
                running_count += 1
                next_start = time.monotonic() + stagger
                continue
            try:
                result = answers.get(timeout=wait_seconds if waiting_steps else None).get()
            except Empty:
                continue
            running_count -= 1
            if good(result) or not (running_count or waiting_steps):
                return result
