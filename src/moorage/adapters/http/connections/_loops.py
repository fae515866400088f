"""Waiting for sockets in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, cast
from weakref import WeakKeyDictionary

from moorage.adapters.clocks.event_loop import running_loop
from moorage.adapters.http.connections._resolve import Lookup, numeric_addresses
from moorage.adapters.http.connections._wait import wait
from moorage.adapters.http.connections._watch import EpollWatch
from moorage.adapters.http.connections._wire import DeadlinePassed

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from moorage.adapters.http.connections._wire import Address, Waiter
    from moorage.domain.http.body import Chunks

_THREAD_INTERVAL: Final = 0.25


class LoopNetwork:
    """The network of the asynchronous client, which waits by suspending tasks."""

    def here(self) -> asyncio.AbstractEventLoop:
        return running_loop()

    def gone(self, there: object) -> bool:
        return cast("asyncio.AbstractEventLoop", there).is_closed()

    async def readable(self, sock: socket.socket, until: float) -> None:
        loop = asyncio.get_running_loop()
        watch = _watches.get(loop) or watch_in(loop)
        await watch.ready(loop, sock, until, watch.readable)

    async def writable(self, sock: socket.socket, until: float) -> None:
        loop = asyncio.get_running_loop()
        watch = _watches.get(loop) or watch_in(loop)
        await watch.ready(loop, sock, until, watch.writable)

    async def resolve(self, host: str, port: int, until: float) -> list[Address]:
        if addresses := numeric_addresses(host, port):
            return addresses
        waiter = _Waiter(asyncio.get_running_loop())
        lookup = Lookup(host, port, waiter.call)
        lookup.begin()
        await waiter.wait(until)
        return lookup.addresses()

    async def pull(self, chunks: Chunks, until: float) -> object:
        if isinstance(chunks, Iterator):
            return next(chunks, None)
        if until == inf:
            return await anext(chunks, None)
        timeout = asyncio.timeout(until - monotonic())
        try:
            async with timeout:
                return await anext(chunks, None)
        except TimeoutError:
            if timeout.expired():
                raise DeadlinePassed from None
            raise

    def waiter(self) -> Waiter:
        return _Waiter(asyncio.get_running_loop())


class _Waiter:
    """A future of an event loop, which `call` completes."""

    __slots__ = ("_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[bool] = loop.create_future()

    async def wait(self, until: float) -> None:
        timer = None
        if until != inf:
            timer = self._loop.call_later(until - monotonic(), self.settle, False)
        try:
            if not await self._future:
                raise DeadlinePassed
        finally:
            if timer is not None:
                timer.cancel()

    def call(self) -> None:
        """Wake the waiting task, from any thread; do nothing if its event loop is closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.settle, True)

    def settle(self, in_time: bool, /) -> None:  # noqa: FBT001 - loops pass no keywords
        """Complete the future in its event loop."""
        if not self._future.done():
            self._future.set_result(in_time)


class SocketWatch(Protocol):
    """Waits for sockets in the tasks of one event loop.

    `ready` waits for the event `readable` or `writable`, and raises `DeadlinePassed`.
    """

    readable: ClassVar[int]
    writable: ClassVar[int]

    async def ready(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float, event: int
    ) -> None: ...


_watches: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, SocketWatch]] = WeakKeyDictionary()


def watch_in(loop: asyncio.AbstractEventLoop) -> SocketWatch:
    """Return a new watch for the sockets of an event loop, with the lifetime of the loop."""
    try:
        watch: SocketWatch = EpollWatch(loop)
    except (AttributeError, NotImplementedError):  # not Linux, or not a loop that watches sockets
        watch = ReaderWatch()
    _watches[loop] = watch
    return watch


class ReaderWatch:
    """Waits with the event loop's reader and writer callbacks, or else in threads."""

    readable: ClassVar[int] = 0
    writable: ClassVar[int] = 1

    async def ready(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float, event: int
    ) -> None:
        """Suspend the task until the socket is ready."""
        waiter, number, is_writing = _Waiter(loop), sock.fileno(), event == self.writable
        try:
            (loop.add_writer if is_writing else loop.add_reader)(number, waiter.settle, True)
        except NotImplementedError:  # the default loop of Windows
            await _ready_by_thread(loop, partial(wait, sock, writing=is_writing), until)
            return
        try:
            await waiter.wait(until)
        finally:
            (loop.remove_writer if is_writing else loop.remove_reader)(number)


async def _ready_by_thread(
    loop: asyncio.AbstractEventLoop, ready: Callable[[float], None], until: float
) -> None:
    """Wait until a socket is ready, by a series of short waits in other threads."""
    while True:
        step_end = min(until, monotonic() + _THREAD_INTERVAL)
        try:
            return await loop.run_in_executor(None, ready, step_end)
        except DeadlinePassed:
            if step_end == until:
                raise
