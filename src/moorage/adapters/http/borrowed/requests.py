"""An HTTP client on requests and urllib3, which can use a session of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3 import PoolManager, ProxyManager

from moorage.adapters.http.borrowed._engine import ExchangePool, LibraryClient, LibraryEngine
from moorage.adapters.http.borrowed._library_exchange import unverified_tls_error
from moorage.adapters.http.borrowed._lifetime import (
    SyncLibraryClient,
    refuse_settings,
)
from moorage.adapters.http.borrowed._urllib3_wire import Connections, Urllib3Pool, Urllib3Wire
from moorage.adapters.http.connections._proxy import Gateway, basic
from moorage.adapters.http.connections._settings import ConnectionSettings
from moorage.adapters.http.connections._threads import ThreadNetwork
from moorage.adapters.http.connections._tls import http_context
from moorage.adapters.http.stdlib._clients import SyncClient
from moorage.domain.http.transport import Proxy, Tls
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from moorage.adapters.http.borrowed._guarded_resolver import GuardedResolver
    from moorage.adapters.http.connections._wire import Network, Origin, Wire

_POOLS: Final = 100


@with_careful_constructor
@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class RequestsHttpClient(SyncClient, ConnectionSettings):
    """An HTTP client on the connections of a `requests.Session`, which are urllib3's.

    The session's adapters make and keep the connections, with its certificates, its proxies and,
    if it trusts it, the environment. The session's headers, cookies, auth, hooks, retries and
    redirects are not used, nor is `http.client`, whose errors are too vague: moorage itself sends
    over the connections. The first call connects. Threads may share it; a forked child makes
    its own connections, and cannot use your session, which excludes `proxy` and `guard`.

    Args:
        session: your session, which you close, or a function that creates sessions, which moorage
            closes. It must verify certificates. None uses a pool of urllib3.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    session: requests.Session | Callable[[], requests.Session] | None = None

    def _new_engine(self, settings: ConnectionSettings) -> LibraryEngine:
        refuse_settings(self.session, "session", settings)
        if isinstance(self.session, requests.Session):
            _check(self.session, settings)
        return engine(self.session, settings, ThreadNetwork())


def engine(
    session: requests.Session | Callable[[], requests.Session] | None,
    settings: ConnectionSettings,
    network: Network,
) -> LibraryEngine:
    """Return the client's engine; with a guard, `network` resolves host names."""
    return _Engine(settings, session, network)


class _Routes(LibraryClient, Protocol):
    """The urllib3 pools that a request uses, and the object that takes connections from them."""

    connections: Connections

    def pool_to(self, origin: Origin) -> Urllib3Pool: ...

    def gateway_to(self, origin: Origin) -> Gateway | None: ...


class _Engine(LibraryEngine):
    """Sends requests over the connections of urllib3."""

    def __init__(
        self,
        settings: ConnectionSettings,
        session: requests.Session | Callable[[], requests.Session] | None,
        network: Network,
    ) -> None:
        super().__init__(network, settings, from_host=isinstance(session, requests.Session))
        self._session = session
        if session is None:
            self.context()

    def new_exchange_pool(self) -> _SessionPool:
        """Create a session for this process, with its pool."""
        session, settings = self._session, self._settings
        routes: _Routes
        if session is None:
            routes = _UrllibPools(settings, self.gateway, self.context(), self.resolver)
        elif isinstance(session, requests.Session):
            routes = _SessionConnections(session, settings, owned=False)
        else:
            routes = _SessionConnections(_check(session(), settings), settings, owned=True)
        return _SessionPool(self.network, settings, routes)

    async def dial(self, origin: Origin, deadline: float) -> Wire:
        """Return an idle connection to an origin, or a new one."""
        if self.resolver is not None:
            self.resolver.check(origin)
        routes = self._routes()
        pool, gateway = routes.pool_to(origin), routes.gateway_to(origin)
        return routes.connections.take(pool, origin, deadline, gateway)

    def gateway_to(self, origin: Origin) -> Gateway | None:
        """Return the proxy for this origin, if there is one."""
        return self._routes().gateway_to(origin)

    def _routes(self) -> _Routes:
        session_pool = self.pool()
        assert isinstance(session_pool, _SessionPool)  # noqa: S101 - there are no others
        return session_pool.routes


class _SessionPool(ExchangePool):
    """Limits the connections of a session with slots; urllib3 itself keeps the connections."""

    def __init__(self, network: Network, settings: ConnectionSettings, routes: _Routes) -> None:
        super().__init__(network, settings.max_connections)
        self._keep_alive = settings.keep_alive
        self.library = self.routes = routes

    def give(
        self, origin: Origin, holder: object, wire: Wire | None = None, idle: float | None = None
    ) -> None:
        """Give back a slot, and the connection if it is reusable."""
        keep_seconds = self._keep_alive if idle is None else min(self._keep_alive, idle - 1)
        if isinstance(wire, Urllib3Wire) and keep_seconds > 0 and not self._closed:
            self.routes.connections.return_connection(wire, keep_seconds)
            wire = None
        super().give(origin, holder, wire, idle)


class _SessionConnections(SyncLibraryClient):
    """The connections of a requests session's adapters."""

    def __init__(
        self, session: requests.Session, settings: ConnectionSettings, *, owned: bool
    ) -> None:
        super().__init__([session] if owned else [])
        self._session = session
        self.connections = Connections(allow_unverified=_allows_unverified(settings))

    def pool_to(self, origin: Origin) -> Urllib3Pool:
        """Return the urllib3 pool from which requests would take a connection."""
        url = _url(origin)
        adapter = self._session.get_adapter(url)
        if not isinstance(adapter, HTTPAdapter):
            raise ConfigurationError(
                f"The session's adapter {type(adapter).__name__} has no connection pool.",
                path="session",
                remedy="Mount a requests.adapters.HTTPAdapter for this origin.",
            )
        merged_settings = self._merged_settings(url)
        verify, cert = merged_settings["verify"], merged_settings["cert"]
        prepared_request = requests.Request("GET", url).prepare()
        pool = adapter.get_connection_with_tls_context(
            prepared_request, verify, proxies=merged_settings["proxies"], cert=cert
        )
        adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]  # an untyped library
        return pool

    def gateway_to(self, origin: Origin) -> Gateway | None:
        """Return the proxy that requests would use, if there is one."""
        url = _url(origin)
        proxy = select_proxy(url, self._merged_settings(url)["proxies"])
        if not proxy or proxy.startswith("socks"):
            return None  # urllib3 hides a SOCKS proxy
        return Gateway(Proxy.at(proxy if "://" in proxy else f"http://{proxy}"), _no_context)

    def _merged_settings(self, url: str) -> Any:
        return self._session.merge_environment_settings(
            url, {}, stream=True, verify=None, cert=None
        )


class _UrllibPools(SyncLibraryClient):
    """The pools of urllib3, for a client without a requests session."""

    def __init__(
        self,
        settings: ConnectionSettings,
        gateway: Gateway | None,
        context: ssl.SSLContext,
        resolver: GuardedResolver | None,
    ) -> None:
        tls = settings.tls or Tls()
        size = settings.max_connections
        self._direct = self._through = PoolManager(_POOLS, maxsize=size, ssl_context=context)
        self._gateway = gateway
        proxy = settings.proxy
        if proxy is not None:
            # The client certificate is for vendors, not for a proxy.
            proxy_tls = attrs.evolve(tls, certificate=None, key=None, password=None)
            self._through = ProxyManager(
                proxy.url,
                _POOLS,
                proxy_headers=_proxy_headers(proxy),
                proxy_ssl_context=http_context(proxy_tls)
                if proxy.url.startswith("https")
                else None,
                maxsize=size,
                ssl_context=context,
            )
        super().__init__(())
        self.connections = Connections(
            allow_unverified=_allows_unverified(settings), resolver=resolver
        )

    def pool_to(self, origin: Origin) -> Urllib3Pool:
        """Return the urllib3 pool for an origin."""
        manager = self._direct if self.gateway_to(origin) is None else self._through
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        scheme = "https" if origin.secure else "http"
        return manager.connection_from_host(host, origin.port, scheme)

    def gateway_to(self, origin: Origin) -> Gateway | None:
        """Return the proxy for this origin, if there is one."""
        gateway = self._gateway
        return gateway if gateway is not None and gateway.serves(origin) else None

    def shut(self) -> None:
        """Close idle connections."""
        self._direct.clear()
        self._through.clear()


def _check(session: requests.Session, settings: ConnectionSettings) -> requests.Session:
    """Refuse a session that does not verify certificates."""
    if session.verify is False and not _allows_unverified(settings):
        raise unverified_tls_error("session")
    return session


def _allows_unverified(settings: ConnectionSettings) -> bool:
    return settings.tls is not None and settings.tls.unverified is not None


def _url(origin: Origin) -> str:
    return f"{'https' if origin.secure else 'http'}://{origin}/"


def _proxy_headers(proxy: Proxy) -> dict[str, str]:
    if proxy.username is None and proxy.password is None:
        return {}
    return {"proxy-authorization": f"Basic {basic(proxy)}"}


def _no_context() -> ssl.SSLContext:  # pragma: no cover - urllib3 connects to the proxy
    raise AssertionError(
        "urllib3 opens the TLS connection to the proxy, so moorage needs no context for it."
    )
