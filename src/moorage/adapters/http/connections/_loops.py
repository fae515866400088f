"""Waiting by suspending the task."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, cast
from weakref import WeakKeyDictionary

from moorage.adapters.http.connections._resolve import Lookup, numeric
from moorage.adapters.http.connections._wait import wait
from moorage.adapters.http.connections._watch import EpollWatch
from moorage.adapters.http.connections._wire import TimeIsUp

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from moorage.adapters.http.connections._wire import Address, Turn
    from moorage.domain.http.body import Chunks

_GLIMPSE: Final = 0.25


class Loops:
    """Waiting by suspending the task, in whichever event loop it runs."""

    def here(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

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
        if found := numeric(host, port):
            return found
        turn = _Turn(asyncio.get_running_loop())
        lookup = Lookup(host, port, turn.call)
        lookup.start()
        await turn.wait(until)
        return lookup.addresses()

    async def pull(self, chunks: Chunks, until: float) -> object:
        if isinstance(chunks, Iterator):
            return next(chunks, None)
        if until == inf:
            return await anext(chunks, None)
        bound = asyncio.timeout(until - monotonic())
        try:
            async with bound:
                return await anext(chunks, None)
        except TimeoutError:
            if bound.expired():
                raise TimeIsUp from None
            raise

    def turn(self) -> Turn:
        return _Turn(asyncio.get_running_loop())


class _Turn:
    """A future that is done when somebody is called."""

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
                raise TimeIsUp
        finally:
            if timer is not None:
                timer.cancel()

    def call(self) -> None:
        """Call from any thread, even if the loop is closed and nobody waits any more."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.settle, True)

    def settle(self, in_time: bool, /) -> None:  # noqa: FBT001 - loops pass no keywords
        """Call from within the loop."""
        if not self._future.done():
            self._future.set_result(in_time)


class Watch(Protocol):
    """How tasks of one event loop wait for sockets.

    `ready` raises `TimeIsUp`; what it is to wait for is `readable` or `writable`.
    """

    readable: ClassVar[int]
    writable: ClassVar[int]

    async def ready(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float, event: int
    ) -> None: ...


_watches: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Watch]] = WeakKeyDictionary()


def watch_in(loop: asyncio.AbstractEventLoop) -> Watch:
    """Begin to watch sockets in an event loop, for as long as it lives."""
    try:
        watch: Watch = EpollWatch(loop)
    except (AttributeError, NotImplementedError):  # not Linux, or not a loop that watches sockets
        watch = ReaderWatch()
    _watches[loop] = watch
    return watch


class ReaderWatch:
    """Waiting by what every event loop has, and by threads in one that has not."""

    readable: ClassVar[int] = 0
    writable: ClassVar[int] = 1

    async def ready(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float, event: int
    ) -> None:
        """Suspend the task until the socket is ready."""
        turn, number, writing = _Turn(loop), sock.fileno(), event == self.writable
        try:
            (loop.add_writer if writing else loop.add_reader)(number, turn.settle, True)
        except NotImplementedError:  # the default loop of Windows
            await _ready_by_thread(loop, partial(wait, sock, writing=writing), until)
            return
        try:
            await turn.wait(until)
        finally:
            (loop.remove_writer if writing else loop.remove_reader)(number)


async def _ready_by_thread(
    loop: asyncio.AbstractEventLoop, ready: Callable[[float], None], until: float
) -> None:
    """Wait in threads, none of which outlives a cancelled task for long."""
    while True:
        glimpse = min(until, monotonic() + _GLIMPSE)
        try:
            return await loop.run_in_executor(None, ready, glimpse)
        except TimeIsUp:
            if glimpse == until:
                raise
