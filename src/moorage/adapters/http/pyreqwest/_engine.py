"""Performs exchanges with pyreqwest, for the synchronous and the asynchronous client."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs

from moorage.adapters.http.pyreqwest._clients import Clients, check_installed, identity_of
from moorage.adapters.http.pyreqwest._timeouts import StepTimeouts, is_streamed
from moorage.adapters.http.stdlib._engine import Engine
from moorage.adapters.notices import give_notice
from moorage.domain.http.requests import Response, Timeouts
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.adapters.http.connections._wire import Network
    from moorage.adapters.http.pyreqwest._exchange import PyreqwestExchange
    from moorage.adapters.http.pyreqwest._loop_runtimes import StreamingRuntime
    from moorage.domain.http.requests import Request
    from moorage.domain.http.transport import HttpPoolStatistics


class PyreqwestEngine(Engine):
    """Sends requests with pyreqwest, which keeps the connections.

    Args:
        network: the way to wait for slots and bodies: blocking, or in an event loop.
        settings: the settings of the client.
        http2: whether HTTP/2 is used with servers that offer it.
    """

    def __init__(self, network: Network, settings: ConnectionSettings, *, http2: bool) -> None:
        check_installed()
        if settings.guard is not None:
            raise _guard_refused()
        super().__init__(network, settings)  # this also tests the certificates
        self._identity = identity_of(settings.tls)
        self._http2 = http2
        self._all_clients: list[Clients] = []
        self._timeouts = StepTimeouts(Timeouts())

    def clients(self, new_builder: Callable[[], Any]) -> Clients:
        """Return pyreqwest clients from these builders; the engine closes them later."""
        clients = Clients(new_builder, self._settings, self._identity, http2=self._http2)
        self._all_clients.append(clients)
        return clients

    def timeouts(self, timeouts: Timeouts) -> StepTimeouts:
        """Return the timeouts of an exchange's steps; the result is cached."""
        steps = self._timeouts
        if steps.timeouts is not timeouts:
            steps = self._timeouts = StepTimeouts(timeouts)
        return steps

    async def send_streamed(
        self, runtime: StreamingRuntime, request: Request, url: str, timeouts: Timeouts
    ) -> Response:
        """Send a request in pieces, and read its whole response."""
        start_time = monotonic()
        exchange = self._exchange(runtime, url, timeouts, self.max_body)
        await exchange.start(request, streamed=True)
        body = await exchange.rest()
        return Response(
            exchange.status, exchange.headers, body, url=url, elapsed=monotonic() - start_time
        )

    async def open_with(
        self, runtime: StreamingRuntime, request: Request, url: str, timeouts: Timeouts
    ) -> PyreqwestExchange:
        """Send a request, and read its response up to the end of the header fields."""
        exchange = self._exchange(runtime, url, timeouts, None)
        await exchange.start(request, streamed=is_streamed(request, self.timeouts(timeouts)))
        exchange.limit_decompressed(self.max_body)
        return exchange

    def statistics(self) -> HttpPoolStatistics:
        """Return the numbers of requests in progress; pyreqwest hides its idle connections."""
        return attrs.evolve(super().statistics(), idle=None)

    def close(self) -> None:
        """Close idle connections now, and busy ones when their requests have ended."""
        super().close()
        for clients in self._all_clients:
            clients.forget()

    def replacement(self, client: str) -> Engine:
        """Return a standard-library engine, and warn that pyreqwest cannot be used."""
        give_notice(
            f"{client} uses the standard library instead of pyreqwest, because this process"
            " was forked from a process that had loaded pyreqwest. Fork before the first call"
            " and before importing pyreqwest.",
            stacklevel=4,
        )
        engine = Engine(self.network, self._settings)
        if self._closed:
            engine.close()
        return engine

    def _exchange(
        self, runtime: StreamingRuntime, url: str, timeouts: Timeouts, max_body: int | None
    ) -> PyreqwestExchange:
        runtime.clients.enter()
        from moorage.adapters.http.pyreqwest._exchange import (  # noqa: PLC0415 - loads pyreqwest
            PyreqwestExchange,
        )

        return PyreqwestExchange(self, runtime, url, self.timeouts(timeouts), max_body)


def _guard_refused() -> ConfigurationError:
    # A client of pyreqwest accepts addresses for a name once, and cannot change them later.
    return ConfigurationError(
        "The library pyreqwest resolves host names itself, so the guard could not check their"
        " addresses.",
        path="guard",
        remedy="Use another HTTP client, such as StdlibHttpClient, Httpx2HttpClient or"
        " RequestsHttpClient, or AsyncStdlibHttpClient, AsyncHttpx2HttpClient or"
        " AsyncAiohttpHttpClient.",
    )
