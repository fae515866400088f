"""Batches of commands, so that callers of an event loop share round trips to Redis.

Laws:

1. One batch at a time is sent; later commands wait for the next batch.
2. A separate task sends it, so that a cancelled caller does not cancel the others.
3. If a batch times out, the commands that wait behind it fail too.
4. The tokens and slots granted to a caller who has stopped waiting are returned.
5. A command for whose result no caller waits is posted again after a failure, unless Redis has
   refused it, or it must not be repeated and may have taken effect.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis import exceptions as redis_errors

from moorage.adapters.state._redis_server import UnsentError
from moorage.adapters.state._redis_wire import CompareAndSwap, decode_reply
from moorage.domain.resilience.admission import Admission
from moorage.domain.resilience.gate_commands import return_unclaimed
from moorage.domain.values.durations import bounded_seconds
from moorage.errors import ConnectorError, StateUnavailable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from moorage.adapters.state._redis_async import AsyncClusterConnection, AsyncServerConnection
    from moorage.adapters.state._redis_wire import ScriptCall, ScriptCalls, SwapResult
    from moorage.domain.state.commands import Command

REQUEST_ERRORS: Final = (
    UnsentError,
    redis_errors.RedisError,
    redis_errors.RedisClusterException,
    ConnectorError,
    OSError,
)
"""The errors of a request."""

_UNEXECUTED_ERRORS: Final = (
    UnsentError,
    redis_errors.ReadOnlyError,
    redis_errors.BusyLoadingError,
    redis_errors.ClusterDownError,
    redis_errors.TryAgainError,
)
"""The errors after which no command has taken effect, and a later try may succeed."""

MAX_BATCH: Final = 128
"""The maximum number of commands in one call of the script, during which Redis serves no other."""

_MAX_TIMEOUTS: Final = 4
_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.02

_QueuedCall: TypeAlias = "tuple[ScriptCall, Future[Any] | None, Command[Any] | None, float]"
"""A script call, the future of its caller if there is one, its command, and its timeout."""
_QueuedSwap: TypeAlias = "tuple[Command[Any], Future[Any] | None, float]"
"""A command to execute by compare-and-swap, the future of its caller, and its timeout."""


def pauses(timeout: float, until: float = inf) -> Iterator[float]:
    """Yield the seconds to wait after conflicts with other callers, up to four timeouts in total.

    Args:
        timeout: the store's timeout in seconds.
        until: the caller's deadline, as a time of `monotonic()`.

    Raises:
        StateUnavailable: the four timeouts or the caller's deadline have passed.
    """
    until, pause = min(until, time.monotonic() + _MAX_TIMEOUTS * timeout), _FIRST_PAUSE
    while time.monotonic() < until:
        yield pause * (0.5 + random.random() / 2)  # noqa: S311 - it only spreads callers
        pause = min(2 * pause, _LONGEST_PAUSE)
    raise StateUnavailable(
        "Other callers kept changing the same state at the same time.",
        remedy="Let fewer callers use this key concurrently.",
    )


def can_resend(error: BaseException, *, once: bool) -> bool:
    """Return whether to send a failed background command again.

    A command that Redis has refused would be refused again, unless the server only refuses it now:
    it is a replica, is loading its data, or lacks a node of its cluster. It executed nothing then.
    """
    if isinstance(error, _UNEXECUTED_ERRORS):
        return True
    return not once and isinstance(error, (redis_errors.ConnectionError, redis_errors.TimeoutError))


class Batcher:
    """The queues of commands, and the tasks that send them to Redis."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        connection: AsyncServerConnection | AsyncClusterConnection,
        *,
        script_calls: ScriptCalls,
        timeout: float,
        posted: deque[Command[Any]],
        error_of: Callable[[BaseException], ConnectorError],
    ) -> None:
        self.loop = loop
        self._connection = connection
        self._script_calls = script_calls
        self._timeout = timeout
        self._posted = posted
        self._error_of = error_of
        self._calls: list[_QueuedCall] = []
        self._swaps: list[_QueuedSwap] = []
        self._send_task: Task[None] | None = None
        self._swap_task: Task[None] | None = None

    def idle(self) -> bool:
        """Return whether no command is queued."""
        return self._send_task is None and self._swap_task is None

    async def send(
        self,
        call: ScriptCall,
        timeout: float | None = None,
        command: Command[Any] | None = None,
    ) -> Any:
        """Return the Redis script's reply to a call; raise an error after `timeout` seconds."""
        future: Future[Any] = self.loop.create_future()
        timeout = bounded_seconds(self._timeout, timeout)
        self._calls.append((call, future, command, timeout))
        if self._send_task is None:
            self._send_task = self.loop.create_task(self._send_all())
        try:
            return await self._in_time(future, timeout)
        except asyncio.CancelledError:
            # The reply may have arrived in the same iteration of the event loop.
            if not future.cancelled() and future.exception() is None:
                self._return_unread(call, command, future.result())
            raise

    async def swap(self, command: Command[Any], timeout: float | None = None) -> Any:
        """Execute a command by compare-and-swap, and return the answer within the time limit."""
        future: Future[Any] = self.loop.create_future()
        self._swaps.append((command, future, bounded_seconds(self._timeout, timeout)))
        if self._swap_task is None:
            self._swap_task = self.loop.create_task(self._swap_all())
        try:
            answer, error = await self._in_time(future, timeout)
        except asyncio.CancelledError:
            # The result may have been set in the same iteration of the event loop.
            if not future.cancelled() and future.exception() is None:
                self._return_undelivered(command, future.result())
            raise
        if error is not None:
            raise error
        return answer

    async def _in_time(self, future: Future[Any], timeout: float | None) -> Any:
        """Return a future's result within a time limit; the batch continues afterwards."""
        if timeout is None:
            return await future
        timer = self.loop.call_later(timeout, self._time_out, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _time_out(self, future: Future[Any]) -> None:
        if not future.done():
            future.set_exception(self._error_of(redis_errors.TimeoutError()))

    def post(self, command: Command[Any], call: ScriptCall | None) -> None:
        """Queue a command for whose result no caller waits."""
        if call is not None:
            self._calls.append((call, None, command, self._timeout))
            if self._send_task is None:
                self._send_task = self.loop.create_task(self._send_all())
        else:
            self._swaps.append((command, None, self._timeout))
            if self._swap_task is None:
                self._swap_task = self.loop.create_task(self._swap_all())

    async def finish(self) -> None:
        """Wait until all queued commands have been sent."""
        while tasks := [task for task in (self._send_task, self._swap_task) if task is not None]:
            await asyncio.wait(tasks)

    async def _send_all(self) -> None:
        try:
            while self._calls:
                batch, self._calls = self._calls[:MAX_BATCH], self._calls[MAX_BATCH:]
                await self._send_batch(
                    [queued_call for queued_call in batch if _is_awaited(queued_call[1])]
                )
        except BaseException as error:
            self._fail(self._calls, error)
            self._calls = []
            raise
        finally:
            self._send_task = None

    async def _send_batch(self, batch: list[_QueuedCall], *, may_retry: bool = True) -> None:
        if not batch:
            return
        try:
            timeout = max(timeout for _, _, _, timeout in batch)
            replies = await self._request([call for call, *_ in batch], timeout)
        except redis_errors.ConnectionError as error:
            unrepeatable_calls = [
                queued_call for queued_call in batch if queued_call[0].once or not may_retry
            ]
            self._fail(unrepeatable_calls, error)
            await self._send_batch(
                [queued_call for queued_call in batch if queued_call not in unrepeatable_calls],
                may_retry=False,
            )
        except BaseException as error:
            self._fail(batch, error)
            if isinstance(error, redis_errors.TimeoutError):
                self._fail(self._calls, _unsent_error(error))
                self._calls = []
            if not isinstance(error, REQUEST_ERRORS):
                raise
        else:
            for (call, future, command, _), reply in zip(batch, replies, strict=True):
                if future is not None and not future.done():
                    future.set_result(reply)
                elif future is not None:
                    self._return_unread(call, command, reply)

    def _return_unread(self, call: ScriptCall, command: Command[Any] | None, reply: Any) -> None:
        """Give back the tokens and slots of a command whose caller has stopped waiting."""
        if isinstance(command, Admission):
            with suppress(StateUnavailable):
                self._post_all(return_unclaimed(command, decode_reply(call, reply)))

    def _return_undelivered(self, command: Command[Any], result: SwapResult) -> None:
        """Give back the tokens and slots of a compare-and-swap whose caller has stopped waiting."""
        answer, error = result
        if error is None:
            self._post_all(return_unclaimed(command, answer))

    def _post_all(self, commands: Iterable[Command[Any]]) -> None:
        for command in commands:
            self.post(command, self._script_calls.of(command))

    async def _request(self, batch: Sequence[ScriptCall], timeout: float) -> list[Any]:
        is_sent = False
        try:
            async with asyncio.timeout(timeout):
                await self._connection.ready()
                is_sent = True
                return await self._connection.run_batch(batch)
        except redis_errors.ReadOnlyError:
            await self._connection.drop()
            raise
        except redis_errors.ResponseError:
            raise
        except TimeoutError as error:
            await self._connection.drop()
            if is_sent:
                raise redis_errors.TimeoutError from None
            raise UnsentError from error
        except BaseException:
            # The connection may have an unread reply.
            await self._connection.drop()
            raise

    def _fail(self, batch: Sequence[_QueuedCall], error: BaseException) -> None:
        for call, future, command, _ in batch:
            if future is not None:
                if not future.done():
                    future.set_exception(self._error_of(error))
            elif command is not None and can_resend(error, once=call.once):
                self._posted.append(command)

    async def _swap_all(self) -> None:
        try:
            while self._swaps:
                batch, self._swaps = self._swaps[:MAX_BATCH], self._swaps[MAX_BATCH:]
                await self._swap_batch(
                    [queued_swap for queued_swap in batch if _is_awaited(queued_swap[1])]
                )
        except BaseException as error:
            self._fail_swaps(self._swaps, error, CompareAndSwap(self._script_calls, ()))
            self._swaps = []
            raise
        finally:
            self._swap_task = None

    async def _swap_batch(self, batch: list[_QueuedSwap]) -> None:
        if not batch:
            return
        swap = CompareAndSwap(self._script_calls, [command for command, *_ in batch])
        timeout = max(timeout for _, _, timeout in batch)
        pause_lengths = pauses(self._timeout)
        try:
            while True:
                reply = decode_reply(swap.read, await self.send(swap.read, timeout))
                write = swap.decide(reply)
                if write is None or await self.send(write, timeout):
                    break
                swap.may_be_written = False
                await asyncio.sleep(next(pause_lengths))
        except BaseException as error:
            self._fail_swaps(batch, error, swap)
            if not isinstance(error, REQUEST_ERRORS):
                raise
        else:
            for (command, future, _), result in zip(batch, swap.results, strict=True):
                if future is not None and not future.done():
                    future.set_result(result)
                elif future is not None:
                    self._return_undelivered(command, result)

    def _fail_swaps(
        self, batch: Sequence[_QueuedSwap], error: BaseException, swap: CompareAndSwap
    ) -> None:
        for command, future, _ in batch:
            if future is None:
                if swap.can_resend(command, error):
                    self._posted.append(command)
            elif not future.done():
                future.set_exception(self._error_of(error))


def _is_awaited(future: Future[Any] | None) -> bool:
    """Return whether a command must still be sent: its caller waits, or wants no result."""
    return future is None or not future.done()


def _unsent_error(cause: BaseException) -> UnsentError:
    error = UnsentError()
    error.__cause__ = cause
    return error
