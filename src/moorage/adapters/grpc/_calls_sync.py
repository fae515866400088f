"""Calls with `grpc`, for the synchronous connector only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import inf
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

import grpc

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.concurrency.thread_start import start_thread
from moorage.adapters.grpc._requests import interrupted_requests_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

library: Final = grpc
EndOfStream: Final = StopIteration
ITERATORS: Final = (Iterator,)
BROKEN_OFF: Final = (grpc.RpcError, TimeoutError)
"""The exceptions of a call that ended before its time."""
_STATES: Final = ("idle", "connecting", "ready", "transient failure", "shutdown")
_READY: Final = 2


class Scope:
    """The process to which a gRPC channel belongs."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def check(self) -> bool:
        """Check that the channel can be used: a forked child needs a channel of its own."""
        return self._process == os.getpid()


class CurrentChannel:
    """The one channel of a connector, which is replaced if it cannot be used.

    Several threads may find that there is no channel, and each makes one. The first is kept; the
    others are closed before anything has used them. So nothing is called inside the lock.

    Attributes:
        channel: the channel; None before the first use, and after `take`.
        connections: the number of connections that calls have waited for.

    Args:
        new_channel: makes a channel, which does not connect yet.
    """

    def __init__(self, new_channel: Callable[[], Any]) -> None:
        self._new_channel = new_channel
        self._lock = ForkSafeLock()
        self._opened: tuple[Any, Scope] | None = None
        self.connections = 0

    @property
    def channel(self) -> Any:
        """The channel; None before the first use, and after `take`."""
        opened_channel = self._opened
        return None if opened_channel is None else opened_channel[0]

    def usable(self) -> tuple[Any, str, bool]:
        """Return a channel that can be used, its state, and whether it is new."""
        while True:
            opened_channel = self._opened
            if opened_channel is not None and opened_channel[1].check():
                state = state_of(opened_channel[0])
                if state != "transient failure":
                    return opened_channel[0], state, False
            new_channel = self._new_channel(), Scope()
            with self._lock.current:
                is_kept = self._opened is opened_channel
                if is_kept:
                    self._opened = new_channel
            if is_kept:
                return new_channel[0], "idle", True
            new_channel[0].close()

    def count_connection(self, before: int) -> None:
        """Count a connection, unless another caller already counted the same one.

        Args:
            before: the number of connections when the caller began to wait.
        """
        with self._lock.current:
            if self.connections == before:
                self.connections += 1

    def take(self) -> Any:
        """Remove the channel from the connector and return it; None if there is no channel."""
        with self._lock.current:
            opened_channel, self._opened = self._opened, None
        return None if opened_channel is None else opened_channel[0]


def state_of(channel: Any) -> str:
    """Return the state of a channel, such as "ready" or "transient failure".

    grpcio's public interface reports changes of the state in a thread of its own, but cannot be
    asked for the state. Where a release of grpcio has no other way, the state counts as "ready".
    """
    read_state: Any = getattr(getattr(channel, "_channel", None), "check_connectivity_state", None)
    state: int = _READY if read_state is None else read_state(False)
    return _STATES[state]


def ask(send: Any, request: bytes, timeout: float) -> bytes:
    """Make a call within `timeout` seconds, and return its answer.

    Raises:
        RpcError: the call failed, or took longer.
    """
    answer: bytes = send(request, timeout=timeout)
    return answer


def is_cancelled() -> bool:
    """Return False, because a synchronous call is never cancelled from outside."""
    return False


class Requests:
    """The serialized requests of a client-streaming call.

    Attributes:
        failure: the exception that ended the stream before its time, if there was one.
    """

    def __init__(self, requests: Iterable[Any], serialize: Callable[[Any], bytes]) -> None:
        self._requests = requests
        self._serialize = serialize
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for request in self._requests:
                yield self._serialize(request)
        except Exception as error:  # noqa: BLE001 - kept for the caller; the library would log it
            self.failure = error
        if self.failure is not None:
            raise interrupted_requests_error()


class Messages:
    """The messages of a server-streaming call, each within a time limit.

    grpcio waits for a message without a limit, so a thread cancels the call where one is overdue.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        # A finaliser may put an item at any moment, even while this thread puts one.
        self._ends: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._until = inf
        self._is_overdue = False
        self._patience: float | None = None

    def following(self, seconds: float) -> Any:
        """Return the next message of the stream.

        Raises:
            StopIteration: the stream has ended.
            TimeoutError: there was none in time.
            LocalFailure: the system has no more threads.
        """
        self._until = monotonic() + seconds
        if self._patience is None:
            self._patience = seconds
            start_thread(Thread(target=self._watch, name="moorage-grpc-stream", daemon=True))
        is_over = True
        try:
            message = next(self._call)
            is_over = False
        except grpc.RpcError:
            if self._is_overdue:
                raise TimeoutError from None
            raise
        finally:
            self._until = inf
            if is_over:
                # Otherwise the thread would outlive a stream that was read to its end.
                self._ends.put(None)
        return message

    def close(self) -> None:
        """End the gRPC call."""
        self._ends.put(None)
        self._call.cancel()

    def drop(self, leave: Callable[[], object]) -> None:
        """Make the thread end the gRPC call and then call `leave`."""
        self._ends.put(leave)

    def _watch(self) -> None:
        patience = self._patience or 0.0
        while True:
            try:
                leave = self._ends.get(timeout=max(0.0, min(patience, self._until - monotonic())))
            except Empty:
                if self._until <= monotonic():
                    self._is_overdue = True
                    self._call.cancel()
                    return
            else:
                if leave is not None:
                    self._call.cancel()
                    leave()
                return


def end_when_dropped(
    stream: object, messages: Messages, leave: Callable[[], object]
) -> finalize[..., Any]:
    """Return a finaliser that ends the call of a stream which is collected before its end.

    Args:
        stream: the stream.
        messages: its messages.
        leave: tells the connector that the call has ended.
    """
    finaliser = finalize(stream, messages.drop, leave)
    finaliser.atexit = False
    return finaliser


def with_metadata(send: Any, request: Any, timeout: float, metadata: Any) -> tuple[bytes, Any, Any]:
    """Make a call, and return its answer with the initial and trailing metadata."""
    data, call = send.with_call(request, timeout=timeout, metadata=metadata)
    return data, call.initial_metadata(), call.trailing_metadata()
