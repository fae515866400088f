"""A sync or async connection pool behind one asynchronous interface, with a fake server."""

from __future__ import annotations

import asyncio
import itertools
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from moorage.adapters.links.pool_async import AsyncLinkPool
from moorage.adapters.links.pool_sync import LinkPool
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


F = TypeVar("F", bound="FakeLink")


class LinkServer:
    """A fake server that breaks all open connections when it restarts.

    Attributes:
        opened: the connections that were opened.
        pings: the number of pings that the server answered.
        is_up: whether connections can be opened.
        on_ping: a function called at each ping, if any.
        on_connect: a function called before each connection is opened, if any.
    """

    def __init__(self) -> None:
        self.opened: list[FakeLink] = []
        self.pings = 0
        self.is_up = True
        self.on_ping: Callable[[], Any] | None = None
        self.on_connect: Callable[[], Any] | None = None
        self.timeouts: list[float] = []
        self._numbers = itertools.count(1)

    def connect(self, timeout: float) -> FakeLink:
        """Open a fake connection."""
        self.timeouts.append(timeout)
        if self.on_connect is not None:
            self.on_connect()
        return self._register(FakeLink(self, next(self._numbers)))

    async def connect_async(self, timeout: float) -> AsyncFakeLink:
        """Open a fake connection; the calling task is suspended for a moment."""
        self.timeouts.append(timeout)
        await asyncio.sleep(0)
        if self.on_connect is not None:
            self.on_connect()
        return self._register(AsyncFakeLink(self, next(self._numbers)))

    def restart(self) -> None:
        """Break all open connections without notifying the clients."""
        for link in self.opened:
            link.is_answered = False

    def _register(self, link: F) -> F:
        if not self.is_up:
            raise ConnectionFailed("The server is down.", may_have_been_processed=False)
        self.opened.append(link)
        return link


class FakeLink:
    """A fake synchronous connection that counts the calls of its `close`."""

    version = "fake 1.0"

    def __init__(self, server: LinkServer, number: int) -> None:
        self.server = server
        self.number = number
        self.is_answered = True
        self.closed = 0
        self.fails_to_close = False

    def is_connected(self) -> bool:
        """Return whether the connection is open."""
        return not self.closed

    def ping(self, timeout: float, /) -> None:
        """Ping the fake server."""
        self.server.timeouts.append(timeout)
        if self.server.on_ping is not None:
            self.server.on_ping()
        if not self.is_answered:
            raise ConnectionFailed("The server closed the connection.")
        self.server.pings += 1

    def close(self) -> None:
        """Close the connection and count this call."""
        self.closed += 1
        if self.fails_to_close:
            raise OSError("already gone")


class AsyncFakeLink(FakeLink):
    """A fake connection whose ping is asynchronous."""

    async def ping(self, timeout: float, /) -> None:  # type: ignore[override]  # awaited
        """Ping the fake server."""
        await asyncio.sleep(0)
        super().ping(timeout)


class PoolHarness:
    """A connection pool under test, its fake server, and a clock that the test sets."""

    def __init__(self, *, is_async: bool, **settings: Any) -> None:
        self.server = LinkServer()
        self.now = 0.0
        self.is_async = is_async
        kind: Any = AsyncLinkPool if is_async else LinkPool
        connect = self.server.connect_async if is_async else self.server.connect
        config = PoolConfig(**settings) if settings else None
        self.pool: Any = kind(connect, config, now=lambda: self.now, draw=lambda: 0.0)

    async def run(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method of the pool: await it if asynchronous, else run it in a thread."""
        if self.is_async:
            return await method(*arguments)
        return await asyncio.to_thread(method, *arguments)

    def loan(self, operation: str = "orders.read", timeout: float = 60.0) -> Any:
        """Return a context manager that will borrow a connection when it is entered."""
        return self.pool.link(operation, timeout)

    async def begin(self, loan: Any) -> FakeLink:
        """Borrow the connection by entering the context manager."""
        link: FakeLink = await self.run(loan.__aenter__ if self.is_async else loan.__enter__)
        return link

    async def end(self, loan: Any, error: BaseException | None = None) -> None:
        """Return the connection by leaving the context manager."""
        kind = None if error is None else type(error)
        leave = loan.__aexit__ if self.is_async else loan.__exit__
        await self.run(leave, kind, error, None)

    async def take(self, operation: str = "orders.read") -> tuple[Any, FakeLink]:
        """Borrow a connection; return its context manager and the connection."""
        lease = self.loan(operation)
        return lease, await self.begin(lease)

    async def queue(self, operation: str = "orders.read") -> tuple[Any, asyncio.Task[FakeLink]]:
        """Start to borrow from an exhausted pool; return the context manager and waiting task."""
        lease, count = self.loan(operation), self.pool.statistics().waiting
        task = asyncio.ensure_future(self.begin(lease))
        while self.pool.statistics().waiting == count:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.001)
        return lease, task


def with_both_pools(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run a test twice, with the PoolHarness constructors of the sync and the async mode."""

    @wraps(test)
    def run(*, is_async: bool) -> None:
        def make_harness(**settings: Any) -> PoolHarness:
            return PoolHarness(is_async=is_async, **settings)

        asyncio.run(test(make_harness))

    del run.__dict__["__wrapped__"]
    mark = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
    return mark(run)  # type: ignore[no-any-return]  # it is `run`
