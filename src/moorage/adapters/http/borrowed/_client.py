"""What every adapter of another library's client offers, in both colours."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.http.borrowed._engine import LentEngine
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
    """What can be closed."""

    def close(self) -> object: ...


class _Lent:
    """What is the same in both colours.

    Args:
        engine: makes its exchanges.
    """

    unverified: DangerouslyUnverified | None

    def __init__(self, engine: LentEngine) -> None:
        self._engine = engine
        in_child(engine, LentEngine.start_afresh)

    def statistics(self) -> PoolStatistics:
        """Tell what the connections are doing, to all origins together."""
        return self._engine.statistics()


class BlockingLent(_Lent):
    """An `HttpClient` on another library's client."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its answer to the end."""
        return run(self._engine.send(request, url, timeouts))

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> StdlibIncoming:
        """Send a request and read its answer up to the body."""
        return StdlibIncoming(run(self._engine.open(request, url, timeouts)))

    def close(self) -> None:
        """Close every connection that is idle, and each other one when its answer ends."""
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


class AsyncLent(_Lent):
    """An `AsyncHttpClient` on another library's client."""

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its answer to the end."""
        return await self._engine.send(request, url, timeouts)

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncStdlibIncoming:
        """Send a request and read its answer up to the body."""
        return AsyncStdlibIncoming(await self._engine.open(request, url, timeouts))

    async def close(self) -> None:
        """Close every connection that is idle, and each other one when its answer ends."""
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


class BlockingLender:
    """A library's client in one process.

    Args:
        ends: what is closed with it: nothing of the host's.
    """

    def __init__(self, ends: Iterable[Closing]) -> None:
        self._ends = tuple(ends)

    async def settle(self) -> None:
        """Nothing goes on behind a thread."""

    def shut(self) -> None:
        """Close what is ours."""
        for end in self._ends:
            with contextlib.suppress(Exception):
                end.close()


class LoopLender:
    """A library's client in one event loop.

    Args:
        ends: functions to await as it is closed: none for what is the host's.

    Attributes:
        leaving: what is being done to end exchanges, and to end it all.
    """

    def __init__(self, ends: Iterable[Callable[[], Awaitable[object]]]) -> None:
        self._ends = tuple(ends)
        self._loop = asyncio.get_running_loop()
        self.leaving: set[asyncio.Task[None]] = set()

    def shut(self) -> None:
        """Close what is ours, in a task of its own."""
        with contextlib.suppress(RuntimeError):  # without a loop there is nothing to end
            if asyncio.get_running_loop() is self._loop:
                task = self._loop.create_task(self._end(tuple(self.leaving)))
                self.leaving.add(task)
                task.add_done_callback(self.leaving.discard)

    async def settle(self) -> None:
        """Wait for what is being done."""
        if asyncio.get_running_loop() is self._loop:
            if self.leaving:
                await asyncio.wait(self.leaving)
            await asyncio.sleep(0)  # what was closed lets go of its socket in the next turn

    async def _end(self, before: tuple[asyncio.Task[None], ...]) -> None:
        if before:
            await asyncio.wait(before)
        for end in self._ends:
            with contextlib.suppress(Exception):
                await end()


def refuse_settings(
    given: object, name: str, *, tls: Tls | None, proxy: object, guard: object
) -> None:
    """Refuse to tell a client of the host's how to connect, which is its own to know."""
    if given is None:
        return
    if guard is not None:
        raise ConfigurationError(
            f"A {name} of yours connects by itself, so the guard would not know where to.",
            path="guard",
            remedy=f"Leave the {name} out: moorage's own asks the guard.",
        )
    if proxy is not None or (tls is not None and tls != Tls(unverified=tls.unverified)):
        what = "certificates" if proxy is None else "proxy"
        raise ConfigurationError(
            f"A {name} of yours brings its own {what}.",
            path="tls" if proxy is None else "proxy",
            remedy=f"Say it where you make the {name}, or leave the {name} out.",
        )
