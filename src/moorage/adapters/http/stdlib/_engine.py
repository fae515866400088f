"""The engine of an HTTP client, which sends requests over its connection pools."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import attrs

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.http.connections._pool import Pool
from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.connections._settings import ConnectionSettings
from moorage.adapters.http.connections._wire import dial
from moorage.adapters.http.messages._http1 import Limits
from moorage.adapters.http.stdlib._exchange import Exchange
from moorage.domain.http.response import received_response
from moorage.errors import ConfigurationError, LocalFailure

if TYPE_CHECKING:
    from ssl import SSLContext

    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._wire import Network, Origin, Wire
    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.domain.http.transport import HttpPoolStatistics, Tls


def _new_context(tls: Tls) -> SSLContext:
    from moorage.adapters.http.connections._tls import http_context  # noqa: PLC0415 - costs milliseconds

    return http_context(tls)


def _check_context(settings: StdlibSettings, _: object, value: SSLContext | None) -> None:
    if value is None:
        return
    from moorage.adapters.http.connections._tls import check_context  # noqa: PLC0415 - costs milliseconds

    check_context(value)
    if settings.tls is not None:
        raise ConfigurationError(
            "The client has both `tls` and `ssl_context`.",
            path="tls",
            remedy="Pass only `tls`, or pass only `ssl_context` if you need an option that"
            " `tls` lacks.",
        )


@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class StdlibSettings(ConnectionSettings):
    """The settings of the HTTP clients that use only the standard library.

    Args:
        ssl_context: a prepared context instead of `tls`; it must verify certificates.
    """

    ssl_context: SSLContext | None = attrs.field(default=None, validator=_check_context)


class Engine:
    """Sends requests, and keeps reusable connections.

    Args:
        network: the way to wait for sockets: blocking, or in an event loop.
        settings: the settings of the client.
        context: the TLS context for origins, if it is not made from the settings.

    Attributes:
        network: the way to wait for sockets.
        max_body: the maximum number of bytes of a body that is held in memory.
        held: the limits of a response that is held in memory.
        streamed: the limits of a response that is read piece by piece.
        gateway: the proxy, if there is one.
    """

    def __init__(
        self,
        network: Network,
        settings: ConnectionSettings,
        context: SSLContext | None = None,
    ) -> None:
        self.network = network
        self._settings = settings
        self.max_body = settings.max_body
        self.held = Limits(settings.max_head, settings.max_fields, settings.max_body)
        self.streamed = attrs.evolve(self.held, body=None)
        self._context = context if settings.tls is None else _new_context(settings.tls)
        self.gateway: Gateway | None = None
        if settings.proxy is not None:
            from moorage.adapters.http.connections._proxy import Gateway  # noqa: PLC0415 - most have none

            self.gateway = Gateway(settings.proxy, self._for_proxy)
        self._pools: dict[object, Pool] = {}
        self._closed = False
        in_child(self, type(self).restart_after_fork)

    async def send(self, request: Request, url: str, timeouts: Timeouts) -> Response:
        """Send a request and read its whole response."""
        start_time = monotonic()
        exchange = await self._start(request, url, timeouts, self.held)
        status, reason, headers, _ = exchange.head
        body = await exchange.rest()
        return received_response(
            status, headers, body, reason=reason, url=url, elapsed=monotonic() - start_time
        )

    async def open(self, request: Request, url: str, timeouts: Timeouts) -> Exchange:
        """Send a request, and read its response up to the end of the header fields."""
        return await self._start(request, url, timeouts, self.streamed)

    def close(self) -> None:
        """Close idle connections now, and busy ones when their requests have ended."""
        self._closed = True
        for pool in list(self._pools.values()):
            pool.close()

    async def settle(self) -> None:
        """Return immediately, because closing sockets takes no time."""

    def statistics(self) -> HttpPoolStatistics:
        """Return the numbers of active, idle and waiting connections of all event loops."""
        from moorage.domain.http.transport import HttpPoolStatistics  # noqa: PLC0415 - rarely needed

        active_count, idle_count, waiting_count = 0, 0, 0
        for pool in list(self._pools.values()):
            more_active, more_idle, more_waiting = pool.counts()
            active_count, idle_count, waiting_count = (
                active_count + more_active,
                idle_count + more_idle,
                waiting_count + more_waiting,
            )
        limit = self._settings.max_connections
        return HttpPoolStatistics(
            active=active_count, idle=idle_count, waiting=waiting_count, limit=limit
        )

    def restart_after_fork(self) -> None:
        """Forget all connections after a fork, because they belong to the parent process."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.abandon()

    def context(self) -> SSLContext:
        """Return the TLS context for connections to servers."""
        if self._context is None:
            from moorage.domain.http.transport import Tls  # noqa: PLC0415 - the system's, as it is

            self._context = _new_context(Tls())
        return self._context

    async def dial(self, origin: Origin, deadline: float) -> Wire:
        """Connect to a server, or to the proxy that forwards requests to it."""
        context = self.context() if origin.secure else None
        gateway = self.gateway_to(origin)
        if gateway is not None:
            return await gateway.connect(self.network, origin, deadline, context)
        return await dial(self.network, origin, deadline, context, self._settings.guard)

    def gateway_to(self, origin: Origin) -> Gateway | None:
        """Return the proxy for this origin, if there is one."""
        gateway = self.gateway
        return gateway if gateway is None or gateway.serves(origin) else None

    def _for_proxy(self) -> SSLContext:
        """Return the TLS context for the proxy, which must not receive the client certificate."""
        tls = self._settings.tls
        if tls is None or tls.certificate is None:
            return self.context()
        return _new_context(attrs.evolve(tls, certificate=None, key=None, password=None))

    def pool(self) -> Pool:
        """Return the connection pool of the current event loop, or of all threads."""
        scope = self.network.here()
        pool = self._pools.get(scope)
        if pool is None:
            for other_scope in list(self._pools):
                if self.network.gone(other_scope):
                    abandoned_pool = self._pools.pop(other_scope, None)
                    if abandoned_pool is not None:  # otherwise another thread has removed it first
                        abandoned_pool.abandon()
            pool = self._pools.setdefault(scope, self.new_pool())
        if self._closed:
            pool.close()
            raise LocalFailure(
                "The HTTP client is closed.",
                remedy="Create a new client, or close this client later. A manager or a hub closes"
                " the client that it has created: after that, create a new manager or hub.",
            )
        return pool

    def new_pool(self) -> Pool:
        """Return an empty connection pool."""
        settings = self._settings
        return Pool(self.network, settings.max_connections, settings.keep_alive)

    async def _start(
        self, request: Request, url: str, timeouts: Timeouts, limits: Limits
    ) -> Exchange:
        origin, host, target = locate(url)
        exchange = Exchange(self, origin, timeouts, limits, request.method)
        await exchange.start(request, target, host)
        return exchange
