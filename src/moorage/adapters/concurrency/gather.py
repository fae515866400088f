"""Several steps at once, in threads."""

from __future__ import annotations

import time
from collections import deque
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")


class _Outcome(Generic[Item]):
    """What came of a step: an item, or what it raised."""

    __slots__ = ("_item", "error")

    def __init__(self, step: Callable[[], Item], context: Context) -> None:
        self.error: BaseException | None = None
        try:
            self._item = context.run(step)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self.error = error

    def get(self) -> Item:
        """The item; or raise what the step raised."""
        if self.error is not None:
            raise self.error
        return self._item


def daemon(run: Callable[[], None]) -> bool:
    """Run in a thread of its own that keeps no process alive, if the system has one to spare."""
    try:
        Thread(target=run, daemon=True).start()
    except RuntimeError:
        return False
    return True


class ThreadGather:
    """Runs steps in threads made for the purpose, and in the caller's where nothing else waits.

    Each step sees the caller's context variables, and changes only a copy of them. Where the
    system has no more threads to give, steps follow one another instead of failing. A step that
    raises, though it should not, raises in the caller, and no further step is started.
    """

    __slots__ = ("_start",)

    def __init__(self, start: Callable[[Callable[[], None]], bool] = daemon) -> None:
        self._start = start

    def every(self, steps: Sequence[Callable[[], Item]], /, *, at_once: int) -> list[Item]:
        """Run all steps, at most `at_once` at a time, and return their results in order."""
        waiting = deque((number, step, copy_context()) for number, step in enumerate(steps))
        answers: SimpleQueue[tuple[int, _Outcome[Item]]] = SimpleQueue()

        def work() -> None:
            while True:
                try:
                    number, step, context = waiting.popleft()
                except IndexError:
                    return
                outcome = _Outcome(step, context)
                if outcome.error is not None:
                    waiting.clear()
                answers.put((number, outcome))

        results: dict[int, Item] = {}
        try:
            for _ in range(min(at_once, len(steps)) - 1):
                if not self._start(work):
                    break
            work()
            while len(results) < len(steps):
                number, outcome = answers.get()
                results[number] = outcome.get()
        finally:
            waiting.clear()
        return [results[number] for number in range(len(steps))]

    def first(
        self,
        steps: Sequence[Callable[[], Item]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item:
        """Run steps until one is good, a new one each `stagger` seconds or when none is left."""
        if not steps:
            raise InvalidData("There is no step to run.", field="steps")
        waiting = deque(steps)
        answers: SimpleQueue[_Outcome[Item]] = SimpleQueue()
        running, due = 0, 0.0
        while True:
            left = min(due - time.monotonic(), TIMEOUT_MAX)
            if waiting and (not running or left <= 0):
                step, context = waiting.popleft(), copy_context()

                def run(step: Callable[[], Item] = step, context: Context = context) -> None:
                    answers.put(_Outcome(step, context))

                # A step that nothing else waits beside needs no thread.
                if not (waiting or running) or not self._start(run):
                    run()
                running += 1
                due = time.monotonic() + stagger
                continue
            try:
                item = answers.get(timeout=left if waiting else None).get()
            except Empty:
                continue
            running -= 1
            if good(item) or not (running or waiting):
                return item
