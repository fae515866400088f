"""HTTP clients on httpx2, which can use a client of the application."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import attrs
import httpx2

from moorage.adapters.http.borrowed._exchange import LibraryExchangeEngine
from moorage.adapters.http.borrowed._guarded_resolver import Resolver, resolver_for
from moorage.adapters.http.borrowed._httpx2_backend import AsyncGuardedBackend, ResolvingBackend
from moorage.adapters.http.borrowed._httpx2_exchanges import (
    AsyncHttpx2Exchange,
    SyncHttpx2Exchange,
    url_of,
)
from moorage.adapters.http.borrowed._library_exchange import unverified_tls_error, verifies
from moorage.adapters.http.borrowed._lifetime import (
    LoopLibraryClient,
    SyncLibraryClient,
    refuse_settings,
)
from moorage.adapters.http.connections._loops import LoopNetwork
from moorage.adapters.http.connections._settings import ConnectionSettings
from moorage.adapters.http.connections._threads import ThreadNetwork
from moorage.adapters.http.connections._tls import http_context
from moorage.adapters.http.stdlib._clients import AsyncClient, SyncClient
from moorage.domain.http.transport import Tls
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.borrowed._library_exchange import LibraryExchange, OutgoingRequest
    from moorage.adapters.http.connections._wire import Network, Origin
    from moorage.domain.http.transport import Proxy


@with_careful_constructor
@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class Httpx2HttpClient(SyncClient, ConnectionSettings):
    """An HTTP client that sends with httpx2.

    This client uses the transports of your client, with their certificates, proxies and limits, or
    its own transport. The client's headers, cookies, auth, hooks, redirects and timeouts are not
    used: only moorage's request is sent. The first call connects. Threads may share it; a
        forked child
    makes its own connections, and cannot use your client, which excludes `proxy` and `guard`.

    Args:
        client: your client, which you close, or a function that creates clients, which moorage
            closes. It must verify certificates and use HTTP/1.1.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    client: httpx2.Client | Callable[[], httpx2.Client] | None = None

    def _new_engine(self, settings: ConnectionSettings) -> LibraryExchangeEngine:
        refuse_settings(self.client, "client", settings)
        return engine(self.client, settings, ThreadNetwork())


@with_careful_constructor
@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class AsyncHttpx2HttpClient(AsyncClient, ConnectionSettings):
    """An asynchronous HTTP client that sends with httpx2.

    This client uses the transports of your client, with their certificates, proxies and limits, or
    its own transport. The client's headers, cookies, auth, hooks, redirects and timeouts are not
    used: only moorage's request is sent. The first call connects. Several event loops and
        forked
    children may use it, each with its own connections; your client can only be used in the loop of
    its first use, and excludes `proxy` and `guard`.

    Args:
        client: your client, which you close, or a function that creates clients, which moorage
            closes. It must verify certificates.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    http2 = None
    client: httpx2.AsyncClient | Callable[[], httpx2.AsyncClient] | None = None

    def _new_engine(self, settings: ConnectionSettings) -> LibraryExchangeEngine:
        refuse_settings(self.client, "client", settings)
        return async_engine(self.client, settings, LoopNetwork())


def engine(client: Any, settings: ConnectionSettings, network: Network) -> LibraryExchangeEngine:
    """Return the synchronous client's engine; `network` resolves names if there is a guard."""
    source = _TransportSource(httpx2.Client, httpx2.HTTPTransport, client, settings, network)
    return LibraryExchangeEngine(
        network, settings, partial(_LibraryClient, source), from_host=source.from_host
    )


def async_engine(
    client: Any, settings: ConnectionSettings, network: Network
) -> LibraryExchangeEngine:
    """Return the asynchronous client's engine; `network` resolves names if there is a guard."""
    source = _TransportSource(
        httpx2.AsyncClient, httpx2.AsyncHTTPTransport, client, settings, network
    )
    return LibraryExchangeEngine(
        network, settings, partial(_AsyncLibraryClient, source), from_host=source.from_host
    )


class _TransportSource:
    """Returns the httpx2 transports of the application's client, or creates new ones.

    Args:
        kind: the class of clients.
        transport: creates transports.
        client: the host's client, or a function that creates clients.
        settings: the settings of the adapter.
        network: resolves names under a guard.

    Attributes:
        from_host: whether the host created the client.
        allow_unverified: whether certificates need not be verified.
    """

    def __init__(
        self,
        kind: type[httpx2.Client | httpx2.AsyncClient],
        transport: Callable[..., Any],
        client: Any,
        settings: ConnectionSettings,
        network: Network,
    ) -> None:
        self._kind = kind
        self._resolver = resolver_for(settings, network)
        self._transport = transport
        self._client = client
        self._settings = settings
        self.from_host = isinstance(client, kind)
        self.allow_unverified = settings.tls is not None and settings.tls.unverified is not None
        self._context = http_context(settings.tls or Tls()) if client is None else None
        if self.from_host:
            self._check(client)

    def open(self) -> _Transports:
        """Return the transports for the current process and event loop."""
        client = self._client
        if client is None:
            return self._own_transports()
        if self.from_host:
            return _Transports(client, partial(_transport_of, client), ())
        client = client()
        self._check(client)
        return _Transports(client, partial(_transport_of, client), (client,))

    def _own_transports(self) -> _Transports:
        settings, proxy = self._settings, self._settings.proxy
        limits = httpx2.Limits(
            max_connections=None,
            max_keepalive_connections=None if settings.keep_alive else 0,
            keepalive_expiry=settings.keep_alive,
        )
        make_transport = partial(
            self._transport, verify=self._context, trust_env=False, limits=limits
        )
        direct_transport, blocks = make_transport(), self._kind is httpx2.Client
        pool = direct_transport._pool  # noqa: SLF001 - not an argument of the transport
        if blocks:
            resolver = self._resolver or Resolver(ThreadNetwork())
            pool._network_backend = ResolvingBackend(pool._network_backend, resolver)  # noqa: SLF001 - not an argument of the transport
        elif self._resolver is not None:
            pool._network_backend = AsyncGuardedBackend(pool._network_backend, self._resolver)  # noqa: SLF001 - not an argument of the transport
        if proxy is None:
            return _Transports(None, lambda _: direct_transport, (direct_transport,))
        proxy_transport = make_transport(proxy=_proxy(proxy, settings.tls or Tls()))
        serves = lru_cache(maxsize=256)(proxy.serves)
        return _Transports(
            None,
            lambda origin: proxy_transport if serves(origin.host) else direct_transport,
            (direct_transport, proxy_transport),
        )

    def _check(self, client: Any) -> None:
        """Refuse a client that does not verify certificates or cannot be interrupted."""
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - not public otherwise
            pool = getattr(transport, "_pool", None)
            if pool is None:
                continue  # its certificates are checked when a connection is opened
            context = pool._ssl_context  # noqa: SLF001 - not public otherwise
            if not self.allow_unverified and context is not None and not verifies(context):
                raise unverified_tls_error("client")
            if self._kind is httpx2.Client and pool._http2:  # noqa: SLF001 - not public otherwise
                raise ConfigurationError(
                    "A synchronous HTTP/2 client cannot cancel one request without cancelling"
                    " all other requests on its connection.",
                    path="client",
                    remedy="Create the client without http2=True, or use the asynchronous client.",
                )


@attrs.frozen
class _Transports:
    """The httpx2 transports of a client, with and without proxy.

    Attributes:
        client: the client that they belong to, if there is one.
        to: returns the transport that leads to an origin.
        closables: the objects to close at the end; never those of the host.
    """

    client: Any
    to: Callable[[Origin], Any]
    closables: tuple[Any, ...]

    @property
    def closed(self) -> bool:
        """True if the application has closed the client."""
        return self.client is not None and bool(self.client.is_closed)


class _LibraryClient(SyncLibraryClient):
    """The transports of the synchronous client."""

    def __init__(self, source: _TransportSource) -> None:
        self._transports = source.open()
        self._allow_unverified = source.allow_unverified
        super().__init__(self._transports.closables)

    @property
    def closed(self) -> bool:
        """True if the application has closed the client."""
        return self._transports.closed

    def exchange(self, outgoing: OutgoingRequest) -> LibraryExchange:
        """Return a new exchange for this request."""
        return SyncHttpx2Exchange(
            outgoing, self._transports.to(outgoing.origin), allow_unverified=self._allow_unverified
        )


class _AsyncLibraryClient(LoopLibraryClient):
    """The transports of the asynchronous client."""

    def __init__(self, source: _TransportSource) -> None:
        self._transports = source.open()
        self._allow_unverified = source.allow_unverified
        super().__init__(closable.aclose for closable in self._transports.closables)

    @property
    def closed(self) -> bool:
        """True if the application has closed the client."""
        return self._transports.closed

    def exchange(self, outgoing: OutgoingRequest) -> LibraryExchange:
        """Return a new exchange for this request."""
        transport = self._transports.to(outgoing.origin)
        return AsyncHttpx2Exchange(
            outgoing, transport, self.closing_tasks, allow_unverified=self._allow_unverified
        )


def _transport_of(client: Any, origin: Origin) -> Any:
    # httpx's own client would store cookies.
    return client._transport_for_url(url_of(origin))  # noqa: SLF001 - not public otherwise


def _proxy(proxy: Proxy, tls: Tls) -> httpx2.Proxy:
    auth = None
    if proxy.username is not None or proxy.password is not None:
        auth = (proxy.username or "", "" if proxy.password is None else proxy.password.reveal())
    # The client certificate is for vendors, not for a proxy.
    tls_of_proxy = attrs.evolve(tls, certificate=None, key=None, password=None)
    context = http_context(tls_of_proxy) if proxy.url.startswith("https:") else None
    return httpx2.Proxy(proxy.url, auth=auth, ssl_context=context)
