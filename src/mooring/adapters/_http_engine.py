"""What a client keeps between exchanges: its settings, and the connections of each place."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs

from mooring.adapters._http1 import Limits
from mooring.adapters._http_exchange import Exchange
from mooring.adapters._http_pool import Pool
from mooring.adapters._http_request import locate
from mooring.domain.http import Response
from mooring.errors import ConfigurationError, ConnectionFailed

if TYPE_CHECKING:
    from ssl import SSLContext

    from mooring.adapters._http_wire import Network
    from mooring.domain.http import Request, Timeouts


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


def _checked(_: object, __: object, value: SSLContext | None) -> None:
    if value is not None:
        from mooring.adapters._http_tls import check_context  # noqa: PLC0415 - costs milliseconds

        check_context(value)


@attrs.frozen(kw_only=True)
class Settings:
    """How much a client accepts and keeps.

    Attributes:
        ssl_context: whom to trust; None is whom the system trusts.
        max_connections: to one origin at once.
        keep_alive: seconds for which an idle connection is kept, if the vendor keeps it too.
        max_body: bytes of an answer that is held in memory, or decompressed.
        max_head: bytes of everything before the body.
        max_fields: header fields of an answer.
    """

    ssl_context: SSLContext | None = attrs.field(default=None, validator=_checked)
    max_connections: int = attrs.field(default=100, validator=_count)
    keep_alive: float = attrs.field(default=15.0, converter=_seconds, validator=_span)
    max_body: int = attrs.field(default=67_108_864, validator=_count)
    max_head: int = attrs.field(default=65_536, validator=_count)
    max_fields: int = attrs.field(default=200, validator=_count)


class Engine:
    """Makes exchanges, and keeps what connections they leave.

    Attributes:
        network: how to wait.
        held: the limits of an answer that is held in memory.
        streamed: the limits of one that its reader takes piece by piece.
    """

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network = network
        self._settings = settings
        self.held = Limits(settings.max_head, settings.max_fields, settings.max_body)
        self.streamed = attrs.evolve(self.held, body=None)
        self._context = settings.ssl_context
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

    def start_afresh(self) -> None:
        """Leave all connections to the parent, in a child that was just forked."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.abandon()

    def context(self) -> SSLContext:
        """Return whom to trust."""
        if self._context is None:
            from mooring.adapters._http_tls import (  # noqa: PLC0415 - costs milliseconds to load
                default_context,
            )

            self._context = default_context()
        return self._context

    def pool(self) -> Pool:
        """Return the connections that can be used here."""
        here = self.network.here()
        pool = self._pools.get(here)
        if pool is None:
            for there, left in list(self._pools.items()):
                if self.network.gone(there):
                    del self._pools[there]
                    left.abandon()
            settings = self._settings
            made = Pool(self.network, settings.max_connections, settings.keep_alive)
            pool = self._pools.setdefault(here, made)
        if self._closed:
            pool.close()
            raise ConnectionFailed(
                "The HTTP client is closed.",
                may_have_been_processed=False,
                retryable=False,
                remedy="Make a new client, or close this one later.",
            )
        return pool

    async def _start(
        self, request: Request, url: str, timeouts: Timeouts, limits: Limits
    ) -> Exchange:
        origin, host, target = locate(url)
        exchange = Exchange(self, origin, timeouts, limits, request.method)
        await exchange.start(request, target, host)
        return exchange
