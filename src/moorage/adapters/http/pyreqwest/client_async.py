"""HTTP/1.1 and HTTP/2 with pyreqwest, in an asyncio event loop."""

from __future__ import annotations

from functools import cache
from os import getpid
from typing import TYPE_CHECKING

import attrs

from moorage.adapters.http.connections._loops import LoopNetwork
from moorage.adapters.http.connections._settings import PoolSettings
from moorage.adapters.http.pyreqwest._clients import ProcessForked, async_builder
from moorage.adapters.http.pyreqwest._engine import PyreqwestEngine
from moorage.adapters.http.pyreqwest._loop_runtimes import StreamingRuntime
from moorage.adapters.http.pyreqwest._timeouts import is_streamed
from moorage.adapters.http.stdlib._clients import AsyncClient, AsyncIncomingResponse
from moorage.domain.secrets.frames import with_careful_constructor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.domain.http.requests import Request, Response, Timeouts


@with_careful_constructor
@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class AsyncPyreqwestHttpClient(AsyncClient, PoolSettings):
    """An asynchronous HTTP client that sends with pyreqwest, which also speaks HTTP/2.

    The client connects, and imports pyreqwest, at the first call. Several event loops may use it,
    concurrently or one after another. A process that was forked from one that had imported
    pyreqwest cannot use
    it: there the client uses the standard library with the same settings, and a `RuntimeWarning`
    says so once.

    pyreqwest has limits of its own. pyreqwest refuses a response with 100 header fields or a head
    of some 400 kB; if a field is not ASCII, only its name is kept. A call that is cancelled ends
    immediately, but its request continues until its response begins or its total timeout passes.
    The authorities of `tls` are trusted in addition to the system's. The time to connect counts
    towards the read timeout. `guard` is refused, because pyreqwest resolves names itself.

    Args:
        http2: whether HTTP/2 is used with servers that offer it: many exchanges on one connection.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    http2: bool = False  # pyright: ignore[reportIncompatibleVariableOverride]  # it is frozen

    def _new_engine(self, settings: ConnectionSettings) -> PyreqwestEngine:
        engine = self._pyreqwest = PyreqwestEngine(LoopNetwork(), settings, http2=self.http2)
        self._clients = engine.clients(async_builder)
        return engine

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its whole response."""
        engine = self._pyreqwest
        if self._engine is engine:
            try:
                steps = engine.timeouts(timeouts)
                if is_streamed(request, steps):
                    runtime = StreamingRuntime(self._clients)
                    return await engine.send_streamed(runtime, request, url, timeouts)
                clients = self._clients
                if clients.pid != getpid():
                    clients.enter()
                return await _sender()(engine, clients, request, url, steps)
            except ProcessForked:
                self._fall_back()
        return await super().send(request, url, timeouts)

    async def open(
        self, request: Request, url: str, timeouts: Timeouts, /
    ) -> AsyncIncomingResponse:
        """Send a request, and read its response up to the end of the header fields."""
        if self._engine is self._pyreqwest:
            try:
                runtime = StreamingRuntime(self._clients)
                return AsyncIncomingResponse(
                    await self._pyreqwest.open_with(runtime, request, url, timeouts)
                )
            except ProcessForked:
                self._fall_back()
        return await super().open(request, url, timeouts)

    async def close(self) -> None:
        """Close idle connections now, and busy ones when their responses end."""
        self._pyreqwest.close()
        await super().close()

    def _fall_back(self) -> None:
        if self._engine is self._pyreqwest:  # pragma: no branch - another thread may be faster
            self._engine = self._pyreqwest.replacement(type(self).__name__)


@cache
def _sender() -> Callable[..., Awaitable[Response]]:
    from moorage.adapters.http.pyreqwest._whole_async import (  # noqa: PLC0415 - loads pyreqwest
        send_whole,
    )

    return send_whole
