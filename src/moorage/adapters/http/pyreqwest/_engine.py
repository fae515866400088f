"""Performs exchanges with pyreqwest, for the synchronous and the asynchronous client."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.pyreqwest._clients import Clients, check_installed, identity_of
from moorage.adapters.http.pyreqwest._timeouts import PIECE_SIZE, StepTimeouts, is_streamed
from moorage.adapters.http.stdlib._engine import Engine
from moorage.adapters.notices import give_notice
from moorage.domain.http.requests import Response, Timeouts
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.adapters.http.connections._wire import Network
    from moorage.adapters.http.pyreqwest._exchange import PyreqwestExchange
    from moorage.adapters.http.pyreqwest._runtimes import Runtime
    from moorage.domain.http.requests import Request
    from moorage.domain.http.transport import HttpPoolStatistics

_NOTHING: Final = 0


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
        super().__init__(network, settings)  # which also tries the certificates
        self._identity = identity_of(settings.tls)
        self._http2 = http2
        self._all_clients: list[Clients] = []
        self._timeouts = StepTimeouts(Timeouts())
        self._exchange: type[PyreqwestExchange] | None = None

    def clients(self, new_builder: Callable[[], Any]) -> Clients:
        """Return new pyreqwest clients from these builders; this engine closes them."""
        clients = Clients(new_builder, self._settings, self._identity, http2=self._http2)
        self._all_clients.append(clients)
        return clients

    def timeouts(self, timeouts: Timeouts) -> StepTimeouts:
        """Return the timeouts for the steps of an exchange; equal ones are computed once."""
        steps = self._timeouts
        if steps.timeouts is not timeouts:
            steps = self._timeouts = StepTimeouts(timeouts)
        return steps

    async def send_with(
        self, runtime: Runtime, request: Request, url: str, timeouts: Timeouts, *, streamed: bool
    ) -> Response:
        """Send a request, in pieces if it is streamed, and read the whole response."""
        start_time = monotonic()
        new_exchange = self._exchange_class(runtime)
        origin, _, target = locate(url)
        exchange = new_exchange(
            self, runtime, origin, self.timeouts(timeouts), self._settings.max_body
        )
        await exchange.start(request, url, target, PIECE_SIZE, streamed=streamed)
        body = await exchange.rest()
        return Response(
            exchange.status, exchange.headers, body, url=url, elapsed=monotonic() - start_time
        )

    async def open_with(
        self, runtime: Runtime, request: Request, url: str, timeouts: Timeouts
    ) -> PyreqwestExchange:
        """Send a request and read its response up to the body."""
        new_exchange = self._exchange_class(runtime)
        origin, _, target = locate(url)
        steps = self.timeouts(timeouts)
        exchange = new_exchange(self, runtime, origin, steps, None)
        await exchange.start(request, url, target, _NOTHING, streamed=is_streamed(request, steps))
        exchange.limit_decompressed(self._settings.max_body)
        return exchange

    def statistics(self) -> HttpPoolStatistics:
        """Return the numbers of exchanges; pyreqwest alone knows its idle connections."""
        return attrs.evolve(super().statistics(), idle=None)

    def close(self) -> None:
        """Close idle connections now, and the others when their exchanges end."""
        super().close()
        for clients in self._all_clients:
            clients.forget()

    def replacement(self, client: str) -> Engine:
        """Return an engine on the standard library, and warn that pyreqwest cannot be used."""
        give_notice(
            f"{client} cannot use pyreqwest in this process, which was forked from a process that"
            " had loaded pyreqwest: it uses the standard library instead. Fork before the first"
            " call, and before pyreqwest is imported.",
            stacklevel=4,
        )
        engine = Engine(self.network, self._settings)
        if self._closed:
            engine.close()
        return engine

    def _exchange_class(self, runtime: Runtime) -> type[PyreqwestExchange]:
        """Return the class of exchanges, after checking that this process can use pyreqwest."""
        runtime.clients.enter()
        if self._exchange is None:
            from moorage.adapters.http.pyreqwest._exchange import (  # noqa: PLC0415 - loads pyreqwest
                PyreqwestExchange,
            )

            self._exchange = PyreqwestExchange
        return self._exchange


def _guard_refused() -> ConfigurationError:
    # A client of pyreqwest accepts addresses for a name, but never other ones later.
    return ConfigurationError(
        "The library pyreqwest resolves names itself, so the guard could not check the addresses.",
        path="guard",
        remedy="Use another HTTP client: StdlibHttpClient, Httpx2HttpClient or RequestsHttpClient;"
        " AsyncStdlibHttpClient, AsyncHttpx2HttpClient or AsyncAiohttpHttpClient.",
    )
