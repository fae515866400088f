"""HTTP by the connections of requests and urllib3, for whoever has a session already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3 import PoolManager, ProxyManager

from moorage.adapters.http.borrowed._client import BlockingLender, BlockingLent, refuse_settings
from moorage.adapters.http.borrowed._engine import Lender, LentEngine, Stand
from moorage.adapters.http.borrowed._trip import unverified
from moorage.adapters.http.borrowed._urllib3_wire import Connections, Urllib3Pool, Urllib3Wire
from moorage.adapters.http.connections._proxy import Gateway, basic
from moorage.adapters.http.connections._threads import Threads
from moorage.adapters.http.connections._tls import http_context
from moorage.adapters.http.connections._unverified import unverified_by
from moorage.adapters.http.stdlib._engine import Settings
from moorage.domain.http.transport import Proxy, Tls
from moorage.domain.secrets.frames import careful
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from datetime import timedelta

    from moorage.adapters.http.borrowed._guide import Guide
    from moorage.adapters.http.connections._wire import Network, Origin, Wire
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.secrets.secret import Secret

_POOLS: Final = 100


@careful
class RequestsHttpClient(BlockingLent):
    """A port's `HttpClient` on the connections of a `requests.Session`, which are urllib3's.

    The session's adapters connect, with its certificates, proxies and, if it trusts that, the
    environment; what is idle they keep. Its headers, cookies, auth, hooks, retries and redirects
    are left out, and `http.client` too, which says too little about what went wrong: what goes over
    a connection is moorage's. Nothing is connected before the first call. Threads may share it; a
    forked child makes connections of its own, and refuses to share yours.

    Args:
        session: yours, which you close, or a function that makes one wherever one is needed, which
            moorage closes. It must verify. None is a pool of urllib3's.
        tls: whom to trust other than whom the system trusts, and who to say we are.
        proxy: through whom to go, or his URL.
        guard: refuses to ask where a URL that somebody else has chosen must not lead; not with a
            session of yours.
        max_connections: to one origin at once; a call that finds none waits.
        keep_alive: seconds, or a timedelta, for which an idle connection is kept.
        max_body: bytes of an answer that `send` holds in memory, or that `open` decompresses; what
            `open` streams as it came has no limit but the reader's.
        max_head: bytes of everything before the body.
        max_fields: header fields of an answer.

    Attributes:
        unverified: what leaves out all checks of whom we talk to; None where nothing does.
    """

    def __init__(
        self,
        *,
        session: requests.Session | Callable[[], requests.Session] | None = None,
        tls: Tls | None = None,
        proxy: Proxy | Secret | str | None = None,
        guard: OutgoingGuard | None = None,
        max_connections: int = 100,
        keep_alive: float | timedelta = 15.0,
        max_body: int = 67_108_864,
        max_head: int = 65_536,
        max_fields: int = 200,
    ) -> None:
        settings = Settings(
            tls=tls,
            proxy=proxy,
            guard=guard,
            max_connections=max_connections,
            keep_alive=keep_alive,
            max_body=max_body,
            max_head=max_head,
            max_fields=max_fields,
        )
        refuse_settings(session, "session", tls=tls, proxy=proxy, guard=guard)
        self.unverified = unverified_by(tls)
        if isinstance(session, requests.Session):
            _check(session, settings)
        super().__init__(engine(session, settings, Threads()))


def engine(
    session: requests.Session | Callable[[], requests.Session] | None,
    settings: Settings,
    network: Network,
) -> LentEngine:
    """Return what makes exchanges, and looks names up by this network where there is a guard."""
    return _Engine(settings, session, network)


class _Routes(Lender, Protocol):
    """Pools of urllib3's, and who keeps their connections."""

    connections: Connections

    def pool_to(self, origin: Origin) -> Urllib3Pool: ...

    def gateway_to(self, origin: Origin) -> Gateway | None: ...


class _Engine(LentEngine):
    """Makes exchanges on urllib3's connections."""

    def __init__(
        self,
        settings: Settings,
        session: requests.Session | Callable[[], requests.Session] | None,
        network: Network,
    ) -> None:
        super().__init__(network, settings, given=isinstance(session, requests.Session))
        self._session = session
        if session is None:
            self.context()

    def new_stand(self) -> _Kept:
        """Make a session for this process, and room for it."""
        session, settings = self._session, self._settings
        routes: _Routes
        if session is None:
            routes = _Own(settings, self.gateway, self.context(), self.guide)
        elif isinstance(session, requests.Session):
            routes = _Session(session, settings, ours=False)
        else:
            routes = _Session(_check(session(), settings), settings, ours=True)
        return _Kept(self.network, settings, routes)

    async def dial(self, origin: Origin, until: float) -> Wire:
        """Take a connection, idle or new."""
        if self.guide is not None:
            self.guide.check(origin)
        routes = self._routes()
        pool, gateway = routes.pool_to(origin), routes.gateway_to(origin)
        return routes.connections.take(pool, origin, until, gateway)

    def gateway_to(self, origin: Origin) -> Gateway | None:
        """Return the proxy that the way to this origin leads through."""
        return self._routes().gateway_to(origin)

    def _routes(self) -> _Routes:
        kept = self.pool()
        assert isinstance(kept, _Kept)  # noqa: S101 - we make no others
        return kept.routes


class _Kept(Stand):
    """Room for exchanges on connections that urllib3 keeps."""

    def __init__(self, network: Network, settings: Settings, routes: _Routes) -> None:
        super().__init__(network, settings.max_connections)
        self._keep = settings.keep_alive
        self.lender = self.routes = routes

    def give(
        self, origin: Origin, holder: object, wire: Wire | None = None, idle: float | None = None
    ) -> None:
        """Give the place back, and with it the connection if another can use it."""
        keep = self._keep if idle is None else min(self._keep, idle - 1)
        if isinstance(wire, Urllib3Wire) and keep > 0 and not self._closed:
            self.routes.connections.give(wire, keep)
            wire = None
        super().give(origin, holder, wire, idle)


class _Session(BlockingLender):
    """The pools of a session's adapters."""

    def __init__(self, session: requests.Session, settings: Settings, *, ours: bool) -> None:
        super().__init__([session] if ours else [])
        self._session = session
        self.connections = Connections(anybody=_anybody(settings))

    def pool_to(self, origin: Origin) -> Urllib3Pool:
        """The pool that requests would take a connection from."""
        url = _url(origin)
        adapter = self._session.get_adapter(url)
        if not isinstance(adapter, HTTPAdapter):
            raise ConfigurationError(
                f"The session sends by a {type(adapter).__name__}, which has no connections.",
                path="session",
                remedy="Mount a requests.adapters.HTTPAdapter for this origin.",
            )
        merged = self._merged(url)
        verify, cert = merged["verify"], merged["cert"]
        prepared = requests.Request("GET", url).prepare()
        pool = adapter.get_connection_with_tls_context(
            prepared, verify, proxies=merged["proxies"], cert=cert
        )
        adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]  # it is not ours
        return pool

    def gateway_to(self, origin: Origin) -> Gateway | None:
        """The proxy that requests would go through."""
        url = _url(origin)
        proxy = select_proxy(url, self._merged(url)["proxies"])
        if not proxy or proxy.startswith("socks"):
            return None  # of which nobody sees anything
        return Gateway(Proxy.at(proxy if "://" in proxy else f"http://{proxy}"), _never)

    def _merged(self, url: str) -> Any:
        return self._session.merge_environment_settings(
            url, {}, stream=True, verify=None, cert=None
        )


class _Own(BlockingLender):
    """Pools of our own."""

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway | None,
        context: ssl.SSLContext,
        guide: Guide | None,
    ) -> None:
        tls = settings.tls or Tls()
        size = settings.max_connections
        self._direct = self._through = PoolManager(_POOLS, maxsize=size, ssl_context=context)
        self._gateway = gateway
        proxy = settings.proxy
        if proxy is not None:
            # Our certificate is for vendors; a proxy is not shown it.
            bare = attrs.evolve(tls, certificate=None, key=None, password=None)
            self._through = ProxyManager(
                proxy.url,
                _POOLS,
                proxy_headers=_introduction(proxy),
                proxy_ssl_context=http_context(bare) if proxy.url.startswith("https") else None,
                maxsize=size,
                ssl_context=context,
            )
        super().__init__(())
        self.connections = Connections(anybody=_anybody(settings), guide=guide)

    def pool_to(self, origin: Origin) -> Urllib3Pool:
        """The pool of this origin."""
        manager = self._direct if self.gateway_to(origin) is None else self._through
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        scheme = "https" if origin.secure else "http"
        return manager.connection_from_host(host, origin.port, scheme)

    def gateway_to(self, origin: Origin) -> Gateway | None:
        """The proxy that the way leads through."""
        gateway = self._gateway
        return gateway if gateway is not None and gateway.serves(origin) else None

    def shut(self) -> None:
        """Close what is idle."""
        self._direct.clear()
        self._through.clear()


def _check(session: requests.Session, settings: Settings) -> requests.Session:
    """Refuse a session that talks to anybody."""
    if session.verify is False and not _anybody(settings):
        raise unverified("session")
    return session


def _anybody(settings: Settings) -> bool:
    return settings.tls is not None and settings.tls.unverified is not None


def _url(origin: Origin) -> str:
    return f"{'https' if origin.secure else 'http'}://{origin}/"


def _introduction(proxy: Proxy) -> dict[str, str]:
    if proxy.username is None and proxy.password is None:
        return {}
    return {"proxy-authorization": f"Basic {basic(proxy)}"}


def _never() -> ssl.SSLContext:  # pragma: no cover - urllib3 connects to the proxy
    raise AssertionError("urllib3 connects to the proxy, not we.")
