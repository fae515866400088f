"""The common base of the adapters for other libraries' HTTP clients."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.http.borrowed._engine import LibraryEngine
from moorage.adapters.http.connections._threads import run
from moorage.adapters.http.stdlib.client import StdlibIncoming
from moorage.adapters.http.stdlib.client_async import AsyncStdlibIncoming
from moorage.domain.http.transport import Tls
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType
    from typing import Self

    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.domain.http.transport import DangerouslyUnverified, PoolStatistics


class Closing(Protocol):
    """An object that can be closed."""

    def close(self) -> object: ...


class _BorrowedClient:
    """The common part of the synchronous and the asynchronous client.

    Args:
        engine: performs the exchanges.
    """

    unverified: DangerouslyUnverified | None

    def __init__(self, engine: LibraryEngine) -> None:
        self._engine = engine
        in_child(engine, LibraryEngine.start_afresh)

    def statistics(self) -> PoolStatistics:
        """Return the numbers of active and waiting exchanges with all origins."""
        return self._engine.statistics()


class BorrowedHttpClient(_BorrowedClient):
    """An HTTP client that sends with another library's client."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its whole response."""
        return run(self._engine.send(request, url, timeouts))

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> StdlibIncoming:
        """Send a request and read its response up to the body."""
        return StdlibIncoming(run(self._engine.open(request, url, timeouts)))

    def close(self) -> None:
        """Close idle connections now, and the others when their responses end."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncBorrowedHttpClient(_BorrowedClient):
    """An asynchronous HTTP client that sends with another library's client."""

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its whole response."""
        return await self._engine.send(request, url, timeouts)

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncStdlibIncoming:
        """Send a request and read its response up to the body."""
        return AsyncStdlibIncoming(await self._engine.open(request, url, timeouts))

    async def close(self) -> None:
        """Close idle connections now, and the others when their responses end."""
        self._engine.close()
        await self._engine.settle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class SyncLibraryClient:
    """A library's synchronous client in one process.

    Args:
        closables: the objects to close with it; never those of the host.
    """

    def __init__(self, closables: Iterable[Closing]) -> None:
        self._closables = tuple(closables)

    async def settle(self) -> None:
        """Return at once: nothing runs in the background."""

    def shut(self) -> None:
        """Close the objects that we own."""
        for closable in self._closables:
            with contextlib.suppress(Exception):
                closable.close()


class LoopLibraryClient:
    """A library's asynchronous client in one event loop.

    Args:
        closers: the functions to await when it is closed; never those of the host's objects.

    Attributes:
        closing_tasks: the tasks that close exchanges and the client.
    """

    def __init__(self, closers: Iterable[Callable[[], Awaitable[object]]]) -> None:
        self._closables = tuple(closers)
        self._loop = asyncio.get_running_loop()
        self.closing_tasks: set[asyncio.Task[None]] = set()

    def shut(self) -> None:
        """Close the objects that we own, in a new task."""
        with contextlib.suppress(RuntimeError):  # without a loop there is nothing to close
            if asyncio.get_running_loop() is self._loop:
                task = self._loop.create_task(self._close_all(tuple(self.closing_tasks)))
                self.closing_tasks.add(task)
                task.add_done_callback(self.closing_tasks.discard)

    async def settle(self) -> None:
        """Wait for the closing tasks."""
        if asyncio.get_running_loop() is self._loop:
            if self.closing_tasks:
                await asyncio.wait(self.closing_tasks)
            await asyncio.sleep(0)  # a closed connection releases its socket in the next iteration

    async def _close_all(self, earlier_tasks: tuple[asyncio.Task[None], ...]) -> None:
        if earlier_tasks:
            await asyncio.wait(earlier_tasks)
        for close in self._closables:
            with contextlib.suppress(Exception):
                await close()


def refuse_settings(
    client: object, name: str, *, tls: Tls | None, proxy: object, guard: object
) -> None:
    """Raise an error for connection settings beside a client of the host, which has its own."""
    if client is None:
        return
    if guard is not None:
        raise ConfigurationError(
            f"Your {name} connects by itself, so the guard cannot check its addresses.",
            path="guard",
            remedy=f"Omit the {name}: moorage's own uses the guard.",
        )
    if proxy is not None or (tls is not None and tls != Tls(unverified=tls.unverified)):
        setting = "certificates" if proxy is None else "proxy"
        raise ConfigurationError(
            f"Your {name} has its own {setting}.",
            path="tls" if proxy is None else "proxy",
            remedy=f"Set it where you create the {name}, or omit the {name}.",
        )
