"""What a client keeps between exchanges: its settings, and the connections of each place."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs

from moorage.adapters.http.connections._pool import Pool
from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.connections._wire import dial
from moorage.adapters.http.messages._http1 import Limits
from moorage.adapters.http.stdlib._exchange import Exchange
from moorage.domain.http.requests import Response
from moorage.errors import ConfigurationError, LocalFailure

if TYPE_CHECKING:
    from ssl import SSLContext

    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._wire import Network, Origin, Wire
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.http.requests import Request, Timeouts
    from moorage.domain.http.transport import PoolStatistics, Proxy, Tls
    from moorage.domain.secrets.secret import Secret


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 1:
        raise _refused(attribute.name, value, "a whole number from 1 on")


def _span(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, (int, float)) or not value >= 0:
        raise _refused(attribute.name, value, "a number of seconds, or a timedelta; 0 keeps none")


def _refused(name: str, value: object, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{name} cannot be {value!r}.", path=name, remedy=f"Give {remedy}.")


def _made(tls: Tls) -> SSLContext:
    from moorage.adapters.http.connections._tls import http_context  # noqa: PLC0415 - costs milliseconds

    return http_context(tls)


def _checked(_: object, __: object, value: SSLContext | None) -> None:
    if value is not None:
        from moorage.adapters.http.connections._tls import check_context  # noqa: PLC0415 - costs milliseconds

        check_context(value)


def _worded(_: object, __: object, value: Tls | None) -> None:
    if value is not None:
        from moorage.domain.http.transport import Tls  # noqa: PLC0415 - most leave it to the system

        if not isinstance(value, Tls):
            raise _refused("tls", value, "a moorage.Tls")


def _proxy(value: Proxy | Secret | str | None) -> Proxy | None:
    if value is None:
        return None
    from moorage.domain.http.transport import as_proxy  # noqa: PLC0415 - most have none

    return as_proxy(value)


def _guards(_: object, __: object, value: OutgoingGuard | None) -> None:
    if value is not None:
        from moorage.domain.http.outgoing import OutgoingGuard  # noqa: PLC0415 - most have none

        if not isinstance(value, OutgoingGuard):
            raise _refused("guard", value, "a moorage.OutgoingGuard")


@attrs.frozen(kw_only=True)
class Settings:
    """How much a client accepts and keeps.

    Attributes:
        tls: whom to trust, and who to say we are; None is whom the system trusts.
        ssl_context: the same, where a host has made one already.
        proxy: through whom to go, or his URL; None goes directly.
        guard: which destinations are allowed; None allows all.
        max_connections: to one origin at once.
        keep_alive: seconds for which an idle connection is kept, if the vendor keeps it too.
        max_body: bytes of an answer that is held in memory, or decompressed.
        max_head: bytes of everything before the body.
        max_fields: header fields of an answer.
    """

    tls: Tls | None = attrs.field(default=None, validator=_worded)
    ssl_context: SSLContext | None = attrs.field(default=None, validator=_checked)
    proxy: Proxy | None = attrs.field(default=None, converter=_proxy)
    guard: OutgoingGuard | None = attrs.field(default=None, validator=_guards)
    max_connections: int = attrs.field(default=100, validator=_count)
    keep_alive: float = attrs.field(default=15.0, converter=_seconds, validator=_span)
    max_body: int = attrs.field(default=67_108_864, validator=_count)
    max_head: int = attrs.field(default=65_536, validator=_count)
    max_fields: int = attrs.field(default=200, validator=_count)

    def __attrs_post_init__(self) -> None:
        """Refuse two answers to one question."""
        if self.tls is not None and self.ssl_context is not None:
            raise ConfigurationError(
                "Both `tls` and `ssl_context` say whom to trust.",
                path="tls",
                remedy="Give `tls`; or `ssl_context`, if you need what `tls` has no word for.",
            )
        if self.guard is not None and self.proxy is not None:
            raise ConfigurationError(
                "A proxy looks names up itself, so the guard would not know where it connects to.",
                path="guard",
                remedy="Let the proxy refuse what must not be reached, or go without it.",
            )


class Engine:
    """Makes exchanges, and keeps what connections they leave.

    Attributes:
        network: how to wait.
        held: the limits of an answer that is held in memory.
        streamed: the limits of one that its reader takes piece by piece.
        gateway: the proxy, if there is one.
    """

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network = network
        self._settings = settings
        self.held = Limits(settings.max_head, settings.max_fields, settings.max_body)
        self.streamed = attrs.evolve(self.held, body=None)
        self._context = settings.ssl_context if settings.tls is None else _made(settings.tls)
        self.gateway: Gateway | None = None
        if settings.proxy is not None:
            from moorage.adapters.http.connections._proxy import Gateway  # noqa: PLC0415 - most have none

            self.gateway = Gateway(settings.proxy, self._for_proxy)
        self._pools: dict[object, Pool] = {}
        self._closed = False

    async def send(self, request: Request, url: str, timeouts: Timeouts) -> Response:
        """Send a request and read its answer to the end."""
        started = monotonic()
        exchange = await self._start(request, url, timeouts, self.held)
        status, reason, headers, _ = exchange.head
        body = await exchange.rest()
        return Response(
            status, headers, body, reason=reason, url=url, elapsed=monotonic() - started
        )

    async def open(self, request: Request, url: str, timeouts: Timeouts) -> Exchange:
        """Send a request and read its answer up to the body."""
        return await self._start(request, url, timeouts, self.streamed)

    def close(self) -> None:
        """Close what is idle now, and what is in use when its exchange ends."""
        self._closed = True
        for pool in list(self._pools.values()):
            pool.close()

    def statistics(self) -> PoolStatistics:
        """Count what connections are doing, wherever they can be used."""
        from moorage.domain.http.transport import PoolStatistics  # noqa: PLC0415 - for whoever asks

        active, idle, waiting = 0, 0, 0
        for pool in list(self._pools.values()):
            more_active, more_idle, more_waiting = pool.counts()
            active, idle, waiting = active + more_active, idle + more_idle, waiting + more_waiting
        limit = self._settings.max_connections
        return PoolStatistics(active=active, idle=idle, waiting=waiting, limit=limit)

    def start_afresh(self) -> None:
        """Leave all connections to the parent, in a child that was just forked."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.abandon()

    def context(self) -> SSLContext:
        """Return whom to trust."""
        if self._context is None:
            from moorage.domain.http.transport import Tls  # noqa: PLC0415 - the system's, as it is

            self._context = _made(Tls())
        return self._context

    async def dial(self, origin: Origin, until: float) -> Wire:
        """Make a connection to an origin, or to the proxy that is to forward requests to it."""
        context = self.context() if origin.secure else None
        gateway = self.gateway_to(origin)
        if gateway is not None:
            return await gateway.connect(self.network, origin, until, context)
        return await dial(self.network, origin, until, context, self._settings.guard)

    def gateway_to(self, origin: Origin) -> Gateway | None:
        """Return the proxy that the way to this origin leads through."""
        gateway = self.gateway
        return gateway if gateway is None or gateway.serves(origin) else None

    def _for_proxy(self) -> SSLContext:
        """Return whom to trust as a proxy, who is not shown a certificate of ours."""
        tls = self._settings.tls
        if tls is None or tls.certificate is None:
            return self.context()
        return _made(attrs.evolve(tls, certificate=None, key=None, password=None))

    def pool(self) -> Pool:
        """Return the connections that can be used here."""
        here = self.network.here()
        pool = self._pools.get(here)
        if pool is None:
            for there in list(self._pools):
                if self.network.gone(there):
                    left = self._pools.pop(there, None)
                    if left is not None:  # else another thread was faster
                        left.abandon()
            pool = self._pools.setdefault(here, self.new_pool())
        if self._closed:
            pool.close()
            raise LocalFailure(
                "The HTTP client is closed.",
                remedy="Make a new client, or close this one later.",
            )
        return pool

    def new_pool(self) -> Pool:
        """Return room for connections, of which there are none yet."""
        settings = self._settings
        return Pool(self.network, settings.max_connections, settings.keep_alive)

    async def _start(
        self, request: Request, url: str, timeouts: Timeouts, limits: Limits
    ) -> Exchange:
        origin, host, target = locate(url)
        exchange = Exchange(self, origin, timeouts, limits, request.method)
        await exchange.start(request, target, host)
        return exchange
