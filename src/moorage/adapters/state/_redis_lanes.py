"""Callers of one event loop that share round trips.

Laws:

1. One batch is under way at a time; whoever comes meanwhile goes with the next.
2. It is under way in a task of its own, so that a caller who is cancelled takes nobody along.
3. Whoever waits behind a batch that was not answered in time fails with it.
4. What is granted to a caller who has left by then is given back.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis import exceptions as wrong

from moorage.adapters.state._redis_place import UnsentError
from moorage.adapters.state._redis_wire import Swap, answer_of
from moorage.domain.resilience.admission import Admission, unclaimed
from moorage.domain.values.durations import bounded
from moorage.errors import ConnectorError, StateUnavailable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from moorage.adapters.state._redis_async_links import AsyncClusterLink, AsyncLink
    from moorage.adapters.state._redis_wire import Decided, Question, Questions
    from moorage.domain.state.commands import Command

FAILED: Final = (
    UnsentError,
    wrong.RedisError,
    wrong.RedisClusterException,
    ConnectorError,
    OSError,
)
"""What a request may end with."""

TOGETHER: Final = 128
"""How many commands go with one call of the script: Redis serves nobody else meanwhile."""

_PATIENCE: Final = 4
_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.02

_Asked: TypeAlias = "tuple[Question, Future[Any] | None, Command[Any] | None, float]"
"""A question, who waits for it, the command that it asks, and how many seconds it may take."""
_Undecided: TypeAlias = "tuple[Command[Any], Future[Any] | None, float]"
"""A command that is decided here, who waits for it, and how many seconds it may take."""


def pauses(timeout: float, until: float = inf) -> Iterator[float]:
    """Yield the pauses after each conflict with another caller, for four timeouts in all.

    Raises:
        StateUnavailable: these are over, or the caller's time is, by `monotonic()`.
    """
    until, pause = min(until, time.monotonic() + _PATIENCE * timeout), _FIRST_PAUSE
    while time.monotonic() < until:
        yield pause * (0.5 + random.random() / 2)  # noqa: S311 - it only spreads callers
        pause = min(2 * pause, _LONGEST_PAUSE)
    raise StateUnavailable(
        "others kept changing the same state faster.", remedy="Use fewer callers for this key."
    )


def is_kept(error: BaseException, *, once: bool) -> bool:
    """Return whether a posted command is sent again with the next one, after this error.

    What Redis has refused it would refuse again.
    """
    if isinstance(error, UnsentError):
        return True
    return not once and isinstance(error, (wrong.ConnectionError, wrong.TimeoutError))


class Lane:
    """A queue, and the tasks that serve it while there is anybody in it."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        link: AsyncLink | AsyncClusterLink,
        *,
        questions: Questions,
        timeout: float,
        posted: deque[Command[Any]],
        error_of: Callable[[BaseException], ConnectorError],
    ) -> None:
        self.loop = loop
        self._link = link
        self._questions = questions
        self._timeout = timeout
        self._posted = posted
        self._error_of = error_of
        self._asked: list[_Asked] = []
        self._undecided: list[_Undecided] = []
        self._asking: Task[None] | None = None
        self._deciding: Task[None] | None = None

    def idle(self) -> bool:
        """Return whether no caller waits here."""
        return self._asking is None and self._deciding is None

    async def ask(
        self,
        question: Question,
        timeout: float | None = None,
        command: Command[Any] | None = None,
    ) -> Any:
        """Return the script's reply, if it arrives within `timeout` seconds."""
        future: Future[Any] = self.loop.create_future()
        patience = bounded(self._timeout, timeout)
        self._asked.append((question, future, command, patience))
        if self._asking is None:
            self._asking = self.loop.create_task(self._ask_all())
        try:
            return await self._in_time(future, timeout)
        except asyncio.CancelledError:
            # Its reply may have come in the same turn of the loop.
            if not future.cancelled() and future.exception() is None:
                self._give_back(question, command, future.result())
            raise

    async def decide(self, command: Command[Any], timeout: float | None = None) -> Any:
        """The answer to a command that is decided here, if it comes within `timeout` seconds."""
        future: Future[Any] = self.loop.create_future()
        self._undecided.append((command, future, bounded(self._timeout, timeout)))
        if self._deciding is None:
            self._deciding = self.loop.create_task(self._decide_all())
        try:
            answer, error = await self._in_time(future, timeout)
        except asyncio.CancelledError:
            # It may have been decided in the same turn of the loop.
            if not future.cancelled() and future.exception() is None:
                self._return(command, future.result())
            raise
        if error is not None:
            raise error
        return answer

    async def _in_time(self, future: Future[Any], timeout: float | None) -> Any:
        """Return the result of a future; its batch continues without a caller that timed out."""
        if timeout is None:
            return await future
        late = self.loop.call_later(timeout, self._give_up, future)
        try:
            return await future
        finally:
            late.cancel()

    def _give_up(self, future: Future[Any]) -> None:
        if not future.done():
            future.set_exception(self._error_of(wrong.TimeoutError()))

    def post(self, command: Command[Any], question: Question | None) -> None:
        """Queue a command that nobody waits for."""
        if question is not None:
            self._asked.append((question, None, command, self._timeout))
            if self._asking is None:
                self._asking = self.loop.create_task(self._ask_all())
        else:
            self._undecided.append((command, None, self._timeout))
            if self._deciding is None:
                self._deciding = self.loop.create_task(self._decide_all())

    async def finish(self) -> None:
        """Wait until nobody waits."""
        while tasks := [task for task in (self._asking, self._deciding) if task is not None]:
            await asyncio.wait(tasks)

    async def _ask_all(self) -> None:
        try:
            while self._asked:
                batch, self._asked = self._asked[:TOGETHER], self._asked[TOGETHER:]
                await self._ask_some([asked for asked in batch if _wanted(asked[1])])
        except BaseException as error:
            self._fail(self._asked, error)
            self._asked = []
            raise
        finally:
            self._asking = None

    async def _ask_some(self, batch: list[_Asked], *, again: bool = True) -> None:
        if not batch:
            return
        try:
            patience = max(patience for _, _, _, patience in batch)
            replies = await self._request([question for question, *_ in batch], patience)
        except wrong.ConnectionError as error:
            last = [asked for asked in batch if asked[0].once or not again]
            self._fail(last, error)
            await self._ask_some([asked for asked in batch if asked not in last], again=False)
        except BaseException as error:
            self._fail(batch, error)
            if isinstance(error, wrong.TimeoutError):
                self._fail(self._asked, _unsent(error))
                self._asked = []
            if not isinstance(error, FAILED):
                raise
        else:
            for (question, future, command, _), reply in zip(batch, replies, strict=True):
                if future is not None and not future.done():
                    future.set_result(reply)
                elif future is not None:
                    self._give_back(question, command, reply)

    def _give_back(self, question: Question, command: Command[Any] | None, reply: Any) -> None:
        """Give back what the script granted to a caller who left before the reply came."""
        if isinstance(command, Admission):
            with suppress(StateUnavailable):
                self._post_all(unclaimed(command, answer_of(question, reply)))

    def _return(self, command: Command[Any], outcome: Decided) -> None:
        """Give back what was granted here to a caller who left before it was written."""
        answer, error = outcome
        if error is None:
            self._post_all(unclaimed(command, answer))

    def _post_all(self, commands: Iterable[Command[Any]]) -> None:
        for command in commands:
            self.post(command, self._questions.of(command))

    async def _request(self, batch: Sequence[Question], patience: float) -> list[Any]:
        sent = False
        try:
            async with asyncio.timeout(patience):
                await self._link.ready()
                sent = True
                return await self._link.ask(batch)
        except wrong.ReadOnlyError:
            await self._link.drop()
            raise
        except wrong.ResponseError:
            raise
        except TimeoutError as error:
            await self._link.drop()
            if sent:
                raise wrong.TimeoutError from None
            raise UnsentError from error
        except BaseException:
            # There may be an unread reply in it.
            await self._link.drop()
            raise

    def _fail(self, batch: Sequence[_Asked], error: BaseException) -> None:
        for question, future, command, _ in batch:
            if future is not None:
                if not future.done():
                    future.set_exception(self._error_of(error))
            elif command is not None and is_kept(error, once=question.once):
                self._posted.append(command)

    async def _decide_all(self) -> None:
        try:
            while self._undecided:
                batch, self._undecided = self._undecided[:TOGETHER], self._undecided[TOGETHER:]
                await self._decide_some([each for each in batch if _wanted(each[1])])
        except BaseException as error:
            self._drop(self._undecided, error)
            self._undecided = []
            raise
        finally:
            self._deciding = None

    async def _decide_some(self, batch: list[_Undecided]) -> None:
        if not batch:
            return
        swap = Swap(self._questions, [command for command, *_ in batch])
        patience = max(patience for _, _, patience in batch)
        waits = pauses(self._timeout)
        try:
            while True:
                write = swap.decide(answer_of(swap.look, await self.ask(swap.look, patience)))
                if write is None or await self.ask(write, patience):
                    break
                await asyncio.sleep(next(waits))
        except BaseException as error:
            self._drop(batch, error)
            if not isinstance(error, FAILED):
                raise
        else:
            for (command, future, _), outcome in zip(batch, swap.outcomes, strict=True):
                if future is not None and not future.done():
                    future.set_result(outcome)
                elif future is not None:
                    self._return(command, outcome)

    def _drop(self, batch: Sequence[_Undecided], error: BaseException) -> None:
        for _, future, _ in batch:
            if future is not None and not future.done():
                future.set_exception(self._error_of(error))


def _wanted(future: Future[Any] | None) -> bool:
    """Return whether a caller still waits, or none ever did; otherwise nothing is sent."""
    return future is None or not future.done()


def _unsent(cause: BaseException) -> UnsentError:
    error = UnsentError()
    error.__cause__ = cause
    return error
