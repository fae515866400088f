"""HTTP/1.1 and HTTP/2 with pyreqwest, blocking threads."""

from __future__ import annotations

from functools import cache
from os import getpid
from typing import TYPE_CHECKING

import attrs

from moorage.adapters.http.connections._settings import PoolSettings
from moorage.adapters.http.connections._threads import ThreadNetwork
from moorage.adapters.http.pyreqwest._clients import ProcessForked, async_builder, sync_builder
from moorage.adapters.http.pyreqwest._engine import PyreqwestEngine
from moorage.adapters.http.pyreqwest._timeouts import is_streamed
from moorage.adapters.http.stdlib._clients import IncomingResponse, SyncClient
from moorage.domain.secrets.frames import with_careful_constructor

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.adapters.http.pyreqwest._exchange import PyreqwestExchange
    from moorage.adapters.http.pyreqwest._loop_runtimes import BackgroundRuntime
    from moorage.domain.http.requests import Request, Response, Timeouts


@with_careful_constructor
@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class PyreqwestHttpClient(SyncClient, PoolSettings):
    """An HTTP client that sends with pyreqwest, which also speaks HTTP/2.

    The client connects, and imports pyreqwest, at the first call. Threads may share it. Streamed
    bodies, of requests or responses, are transferred by an event loop in a background thread. A
    process that was forked from one that had imported pyreqwest cannot use it: there the client
    uses the standard library with the same settings, and a `RuntimeWarning` says so once.

    pyreqwest has limits of its own. pyreqwest refuses a response with 100 header fields or a head
    of some 400 kB; if a field is not ASCII, only its name is kept. A call that is interrupted from
    the keyboard ends only when its response arrives or its timeout passes. The authorities of `tls`
    are trusted in addition to the system's. The time to connect counts towards the read timeout.
    `guard` is refused, because pyreqwest resolves names itself.

    Args:
        http2: whether HTTP/2 is used with servers that offer it: many exchanges on one connection.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    http2: bool = False  # pyright: ignore[reportIncompatibleVariableOverride]  # it is frozen

    def _new_engine(self, settings: ConnectionSettings) -> PyreqwestEngine:
        engine = self._pyreqwest = PyreqwestEngine(ThreadNetwork(), settings, http2=self.http2)
        self._clients = engine.clients(sync_builder)
        self._streaming_clients = engine.clients(async_builder)
        return engine

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its whole response."""
        engine = self._pyreqwest
        if self._engine is engine:
            try:
                steps = engine.timeouts(timeouts)
                if is_streamed(request, steps):
                    runtime = self._background()
                    return runtime.run(engine.send_streamed(runtime, request, url, timeouts))
                clients = self._clients
                if clients.pid != getpid():
                    clients.enter()
                return _sender()(engine, clients, request, url, steps)
            except ProcessForked:
                self._fall_back()
        return super().send(request, url, timeouts)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> IncomingResponse:
        """Send a request, and read its response up to the end of the header fields."""
        if self._engine is self._pyreqwest:
            runtime = self._background()
            try:
                exchange = runtime.run(self._pyreqwest.open_with(runtime, request, url, timeouts))
                return _PyreqwestResponse(runtime, exchange)
            except ProcessForked:
                self._fall_back()
        return super().open(request, url, timeouts)

    def close(self) -> None:
        """Close idle connections now, and busy ones when their responses end."""
        self._pyreqwest.close()
        super().close()

    def _background(self) -> BackgroundRuntime:
        from moorage.adapters.http.pyreqwest._loop_runtimes import (  # noqa: PLC0415 - loads asyncio, for streams
            BackgroundRuntime,
        )

        return BackgroundRuntime(self._streaming_clients)

    def _fall_back(self) -> None:
        if self._engine is self._pyreqwest:  # pragma: no branch - another thread may be faster
            self._engine = self._pyreqwest.replacement(type(self).__name__)


class _PyreqwestResponse(IncomingResponse):
    """A response that a background event loop receives."""

    __slots__ = ("_runtime",)

    def __init__(self, runtime: BackgroundRuntime, exchange: PyreqwestExchange) -> None:
        super().__init__(exchange)
        self._runtime = runtime

    def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        return self._runtime.run(self._exchange.read())

    def close(self) -> None:
        """Stop reading the response; may be called at any time, also repeatedly."""
        self._runtime.call(self._exchange.close)


@cache
def _sender() -> Callable[..., Response]:
    from moorage.adapters.http.pyreqwest._whole_sync import (  # noqa: PLC0415 - loads pyreqwest
        send_whole,
    )

    return send_whole
