"""HTTP/1.1 with the standard library, in an asyncio event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from mooring.adapters._http_engine import Engine, Settings
from mooring.adapters._http_resolve import Lookup, numeric
from mooring.adapters._http_wait import wait
from mooring.adapters._http_wire import TimeIsUp
from mooring.adapters.forking import in_child

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from datetime import timedelta
    from ssl import SSLContext
    from types import TracebackType
    from typing import Self

    from mooring.adapters._http_exchange import Exchange
    from mooring.adapters._http_wire import Address, Turn
    from mooring.domain.body import Chunks
    from mooring.domain.http import Headers, Request, Response, Timeouts

_GLIMPSE: Final = 0.25


class AsyncStdlibHttpClient:
    """A port's `AsyncHttpClient` on nothing but Python's standard library.

    It keeps connections alive, up to `max_connections` to each origin and each for `keep_alive`
    seconds, and undoes gzip and deflate. Nothing is connected before the first call. It may be
    used in several event loops, at once or one after another, each with connections of its own,
    and so may a forked child.

    Args:
        ssl_context: trusts other certificates than the system does, or carries one of ours; it
            must verify.
        max_connections: to one origin at once; a call that finds none waits.
        keep_alive: seconds, or a timedelta, for which an idle connection is kept.
        max_body: bytes of an answer that `send` holds in memory, or that `open` decompresses; what
            `open` streams as it came has no limit but the reader's.
        max_head: bytes of everything before the body.
        max_fields: header fields of an answer.
    """

    def __init__(
        self,
        *,
        ssl_context: SSLContext | None = None,
        max_connections: int = 100,
        keep_alive: float | timedelta = 15.0,
        max_body: int = 67_108_864,
        max_head: int = 65_536,
        max_fields: int = 200,
    ) -> None:
        settings = Settings(
            ssl_context=ssl_context,
            max_connections=max_connections,
            keep_alive=keep_alive,
            max_body=max_body,
            max_head=max_head,
            max_fields=max_fields,
        )
        self._engine = Engine(_Loops(), settings)
        in_child(self._engine, Engine.start_afresh)

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its answer to the end."""
        return await self._engine.send(request, url, timeouts)

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncStdlibIncoming:
        """Send a request and read its answer up to the body."""
        return AsyncStdlibIncoming(await self._engine.open(request, url, timeouts))

    async def close(self) -> None:
        """Close every connection that is idle, and each other one when its answer ends."""
        self._engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncStdlibIncoming:
    """An answer whose body is still coming."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def status(self) -> int:
        """The status code."""
        return self._exchange.status

    @property
    def headers(self) -> Headers:
        """The fields received."""
        return self._exchange.headers

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end."""
        return await self._exchange.read()

    def close(self) -> None:
        """Leave the answer where it is, at any time and again."""
        self._exchange.close()


class _Loops:
    """Waiting by suspending the task, in whichever event loop it runs."""

    def here(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def gone(self, there: object) -> bool:
        return cast("asyncio.AbstractEventLoop", there).is_closed()

    async def readable(self, sock: socket.socket, until: float) -> None:
        await _ready(sock, until, writing=False)

    async def writable(self, sock: socket.socket, until: float) -> None:
        await _ready(sock, until, writing=True)

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


async def _ready(sock: socket.socket, until: float, *, writing: bool) -> None:
    loop, number = asyncio.get_running_loop(), sock.fileno()
    turn = _Turn(loop)
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
