"""The common part of the synchronous and the asynchronous client over pyreqwest."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.pyreqwest._bounds import PIECE, Bounds, streams
from moorage.adapters.http.pyreqwest._clients import Clients, identity_of, installed
from moorage.adapters.http.stdlib._engine import Engine
from moorage.adapters.notices import give_notice
from moorage.domain.http.requests import Response, Timeouts
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._wire import Network
    from moorage.adapters.http.pyreqwest._exchange import Exchange
    from moorage.adapters.http.pyreqwest._waiting import Face
    from moorage.adapters.http.stdlib._engine import Settings
    from moorage.domain.http.requests import Request
    from moorage.domain.http.transport import PoolStatistics

_STREAMED: Final = 0


class Courier:
    """Makes exchanges, each with a place of its own.

    Attributes:
        rooms: has the places, and knows the way through a proxy.
    """

    def __init__(self, network: Network, settings: Settings, *, http2: bool) -> None:
        installed()
        self._settings = settings
        self.rooms = Engine(network, settings)  # which also tries what TLS was told
        in_child(self.rooms, Engine.start_afresh)
        self._identity = identity_of(settings.tls)
        self._http2 = http2
        self._bounds = Bounds(Timeouts())
        self._exchange: type[Exchange] | None = None

    def clients(self, builder: Callable[[], Any]) -> Clients:
        """Return pyreqwest's clients that this builder makes."""
        return Clients(builder, self._settings, self._identity, http2=self._http2)

    def bounds(self, timeouts: Timeouts) -> Bounds:
        """Return the bounds that these timeouts set, mostly those of the call before."""
        bounds = self._bounds
        if bounds.timeouts is not timeouts:
            bounds = self._bounds = Bounds(timeouts)
        return bounds

    async def send(
        self, face: Face, request: Request, url: str, timeouts: Timeouts, *, streamed: bool
    ) -> Response:
        """Send a request, in pieces if it is streamed, and read its answer to the end."""
        started = monotonic()
        begin = self._beginning(face)
        origin, _, target = locate(url)
        exchange = begin(self.rooms, face, origin, self.bounds(timeouts), self._settings.max_body)
        await exchange.start(request, url, target, PIECE, streamed=streamed)
        body = await exchange.rest()
        return Response(
            exchange.status, exchange.headers, body, url=url, elapsed=monotonic() - started
        )

    async def open(self, face: Face, request: Request, url: str, timeouts: Timeouts) -> Exchange:
        """Send a request and read its response up to the body."""
        begin = self._beginning(face)
        origin, _, target = locate(url)
        bounds = self.bounds(timeouts)
        exchange = begin(self.rooms, face, origin, bounds, None)
        await exchange.start(request, url, target, _STREAMED, streamed=streams(request, bounds))
        exchange.bound_inflated(self._settings.max_body)
        return exchange

    def _beginning(self, face: Face) -> type[Exchange]:
        """Return what makes an exchange, where there can be one."""
        face.clients.enter()
        if self._exchange is None:
            from moorage.adapters.http.pyreqwest._exchange import (  # noqa: PLC0415 - loads pyreqwest
                Exchange,
            )

            self._exchange = Exchange
        return self._exchange

    def statistics(self) -> PoolStatistics:
        """Count what is under way; pyreqwest does not tell of idle connections."""
        return attrs.evolve(self.rooms.statistics(), idle=None)

    def close(self, *all_clients: Clients) -> None:
        """Begin no other exchange, and keep no connection."""
        self.rooms.close()
        for clients in all_clients:
            clients.forget()


def warn_of_fork(kind: str) -> None:
    """Say that this process has to do without pyreqwest."""
    give_notice(
        f"{kind} was forked from a process that has loaded pyreqwest, which cannot be used"
        " here: the standard library's client takes its place. Fork before pyreqwest is"
        " imported, and before the first call.",
        stacklevel=4,
    )


def refuse_guard(guard: object) -> None:
    """Refuse what pyreqwest cannot keep.

    It takes an address for a name, but for a client and for good; names change theirs.
    """
    if guard is not None:
        raise ConfigurationError(
            "pyreqwest looks names up itself, so the guard would not know where it connects to.",
            path="guard",
            remedy="Give another HTTP client a guard: StdlibHttpClient, Httpx2HttpClient,"
            " RequestsHttpClient, or AsyncStdlibHttpClient, AsyncHttpx2HttpClient,"
            " AsyncAiohttpHttpClient.",
        )
