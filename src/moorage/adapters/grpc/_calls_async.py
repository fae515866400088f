"""Calls with `grpc.aio`, for the asynchronous connector only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

import grpc
import grpc.aio

from moorage.adapters.concurrency._timers import start_task_timeout
from moorage.adapters.grpc._requests import interrupted_requests_error
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

library: Final = grpc.aio
EndOfStream: Final = StopAsyncIteration
ITERATORS: Final = (AsyncIterator, Iterator)
BROKEN_OFF: Final = (grpc.RpcError, asyncio.CancelledError, TimeoutError)
"""The exceptions of a call that ended before its time."""


_leaving: Final[set[asyncio.Future[None]]] = set()
"""The tasks that end dropped streams; the event loop itself keeps only weak references."""


class Scope:
    """The event loop to which a gRPC channel belongs."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def check(self) -> bool:
        """Return whether the channel can still be used in this event loop.

        Raises:
            LocalFailure: it belongs to another event loop.
        """
        if self._loop is asyncio.get_running_loop():
            return True
        if self._loop.is_closed():
            return False
        raise LocalFailure(
            "The connector was used in another event loop before.",
            remedy="Create a connector for each event loop.",
        )


class CurrentChannel:
    """The one channel of a connector, which is replaced if it cannot be used.

    Attributes:
        channel: the channel; None before the first use, and after `take`.
        connections: the number of connections that calls have waited for.

    Args:
        new_channel: makes a channel, which does not connect yet.
    """

    def __init__(self, new_channel: Callable[[], Any]) -> None:
        self._new_channel = new_channel
        self._scope: Scope | None = None
        self.channel: Any = None
        self.connections = 0

    def usable(self) -> tuple[Any, str, bool]:
        """Return a channel that can be used, its state, and whether it is new."""
        if self._scope is not None and self._scope.check():
            state = state_of(self.channel)
            if state != "transient failure":
                return self.channel, state, False
        self.channel, self._scope = self._new_channel(), Scope()
        return self.channel, "idle", True

    def count_connection(self, before: int) -> None:
        """Count a connection, unless another caller already counted the same one.

        Args:
            before: the number of connections when the caller began to wait.
        """
        if self.connections == before:
            self.connections += 1

    def take(self) -> Any:
        """Remove the channel from the connector and return it; None if there is no channel."""
        channel, self.channel = self.channel, None
        self._scope = None
        return channel


def state_of(channel: Any) -> str:
    """Return the state of a channel, such as "ready" or "transient failure"."""
    return str(channel.get_state().value[1])


async def ask(send: Any, request: bytes, timeout: float) -> bytes:
    """Make a call within `timeout` seconds, and return its answer.

    A timer of moorage's ends the call, because it expires before the later one of the caller's
    deadline. grpcio's own timer may be later than both.

    Raises:
        RpcError: the call failed, or took longer.
    """
    bound = start_task_timeout(timeout)
    try:
        answer: bytes = await send(request, timeout=timeout)
    except asyncio.CancelledError:
        if bound is None or not bound.end():
            raise
        empty = grpc.aio.Metadata()
    else:
        return answer
    finally:
        if bound is not None:
            bound.end()
    raise grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, empty, empty, None, None)


def _is_async(requests: Any) -> bool:
    return isinstance(requests, AsyncIterable)


def is_cancelled() -> bool:
    """Return whether the running task is being cancelled, and not only its gRPC call."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Requests:
    """The serialized requests of a client-streaming call.

    Attributes:
        failure: the exception that ended the stream before its time, if there was one.
    """

    def __init__(self, requests: Any, serialize: Callable[[Any], bytes]) -> None:
        self._requests = requests
        self._serialize = serialize
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            if _is_async(self._requests):
                async for request in self._requests:
                    yield self._serialize(request)
            else:
                for request in self._requests:
                    yield self._serialize(request)
        except Exception as error:  # noqa: BLE001 - kept for the caller; the library would log it
            self.failure = error
        if self.failure is not None:
            raise interrupted_requests_error()


class Messages:
    """The messages of a server-streaming call, each within a time limit."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._messages = aiter(call)

    async def following(self, seconds: float | None) -> Any:
        """Return the next message of the stream.

        Raises:
            StopAsyncIteration: the stream has ended.
            TimeoutError: there was none in time.
        """
        async with asyncio.timeout(seconds):
            return await anext(self._messages)

    def close(self) -> None:
        """End the gRPC call."""
        self._call.cancel()


def end_when_dropped(
    stream: object, messages: Messages, leave: Callable[[], Coroutine[Any, Any, None]]
) -> finalize[..., Any]:
    """Return a finaliser that ends the call of a stream which is collected before its end.

    Args:
        stream: the stream.
        messages: its messages.
        leave: tells the connector that the call has ended.
    """
    finaliser = finalize(stream, _end_in_loop, asyncio.get_running_loop(), messages, leave)
    finaliser.atexit = False
    return finaliser


def _end_in_loop(
    loop: asyncio.AbstractEventLoop,
    messages: Messages,
    leave: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    # Python collects objects in any thread; the call belongs to its event loop.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_end, messages, leave)


def _end(messages: Messages, leave: Callable[[], Coroutine[Any, Any, None]]) -> None:
    messages.close()
    task = asyncio.ensure_future(leave())
    _leaving.add(task)
    task.add_done_callback(_leaving.discard)


async def with_metadata(
    send: Any, request: Any, timeout: float, metadata: Any
) -> tuple[bytes, Any, Any]:
    """Make a call, and return its answer with the initial and trailing metadata."""
    call = send(request, timeout=timeout, metadata=metadata)
    return await call, await call.initial_metadata(), await call.trailing_metadata()
