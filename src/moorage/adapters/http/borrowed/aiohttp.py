"""An HTTP client on aiohttp, which can use a session of the application."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
from yarl import URL

from moorage.adapters.http.borrowed._aiohttp_exchange import (
    AUTOMATIC_HEADERS,
    AiohttpExchange,
    AuthenticatedProxy,
    ReportingRequest,
)
from moorage.adapters.http.borrowed._aiohttp_resolver import guarded_connector_options
from moorage.adapters.http.borrowed._aiohttp_whole import OpenConnections, is_original, send_whole
from moorage.adapters.http.borrowed._exchange import LibraryExchangeEngine, LibraryExchangePool
from moorage.adapters.http.borrowed._guarded_resolver import resolver_for
from moorage.adapters.http.borrowed._library_exchange import (
    PIECE_SIZE,
    unverified_tls_error,
    verifies,
)
from moorage.adapters.http.borrowed._lifetime import (
    LoopLibraryClient,
    refuse_settings,
)
from moorage.adapters.http.connections._loops import LoopNetwork
from moorage.adapters.http.connections._proxy import basic
from moorage.adapters.http.connections._settings import ConnectionSettings
from moorage.adapters.http.connections._tls import http_context
from moorage.adapters.http.stdlib._clients import AsyncClient
from moorage.domain.http.transport import Tls
from moorage.domain.secrets.frames import with_careful_constructor

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.borrowed._library_exchange import LibraryExchange, OutgoingRequest
    from moorage.adapters.http.connections._wire import Network
    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.domain.http.transport import Proxy


@with_careful_constructor
@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class AsyncAiohttpHttpClient(AsyncClient, ConnectionSettings):
    """An asynchronous HTTP client that sends with aiohttp.

    The client uses the connector of your session, with its certificates, resolver, limits and
    tracing, or its own connector. The session's headers, cookies, auth, proxy, middlewares,
    redirects and timeouts are not used: only moorage's request is sent. `proxy` also applies to
    your session, `guard` does not; aiohttp allows 128 header fields, even if `max_fields` is
    larger. The client connects at the first call. Several event loops and forked children may use
    it, each with its own connections; your session can only be used in the loop of its first use.

    Args:
        session: your session, which you close, or a function that creates sessions, which moorage
            closes. The session's connector must verify certificates.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    session: aiohttp.ClientSession | Callable[[], aiohttp.ClientSession] | None = None

    def _new_engine(self, settings: ConnectionSettings) -> LibraryExchangeEngine:
        refuse_settings(self.session, "session", settings, with_proxy=True)
        return async_engine(self.session, settings, LoopNetwork())


def async_engine(
    session: aiohttp.ClientSession | Callable[[], aiohttp.ClientSession] | None,
    settings: ConnectionSettings,
    network: Network,
) -> LibraryExchangeEngine:
    """Return the client's engine; `network` resolves host names if there is a guard."""
    allow_unverified = settings.tls is not None and settings.tls.unverified is not None
    if isinstance(session, aiohttp.ClientSession):
        _check(session, allow_unverified=allow_unverified)
    context = http_context(settings.tls or Tls()) if session is None else None

    def new_library() -> _LibraryClient:
        if session is None:
            return _LibraryClient(_own_session(settings, context, network), settings, owned=True)
        if isinstance(session, aiohttp.ClientSession):
            return _LibraryClient(session, settings, owned=False)
        new_session = session()
        _check(new_session, allow_unverified=allow_unverified)
        return _LibraryClient(new_session, settings, owned=True)

    from_host = isinstance(session, aiohttp.ClientSession)
    return _AiohttpEngine(network, settings, new_library, from_host=from_host)


class _AiohttpEngine(LibraryExchangeEngine):
    """Sends requests with aiohttp; bypasses the session if this makes no difference."""

    async def send(self, request: Request, url: str, timeouts: Timeouts) -> Response:
        """Send a request and read its whole response."""
        body = request.body
        if isinstance(body, bytes) and len(body) <= PIECE_SIZE:
            pool = self.pool()
            assert isinstance(pool, LibraryExchangePool)  # noqa: S101 - there are no others
            library = pool.library
            assert isinstance(library, _LibraryClient)  # noqa: S101 - there are no others
            if library.is_direct():
                return await send_whole(self, pool, library.connections, request, url, timeouts)
        return await super().send(request, url, timeouts)


class _LibraryClient(LoopLibraryClient):
    """The aiohttp session of one event loop.

    Attributes:
        connections: the connections of the session, for requests that do not need the session.
    """

    def __init__(
        self, session: aiohttp.ClientSession, settings: ConnectionSettings, *, owned: bool
    ) -> None:
        self._session = session
        # The host's session shares only its connections, not its cookies and defaults.
        self._own_session = own_session = aiohttp.ClientSession(
            connector=session.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            request_class=ReportingRequest,
            skip_auto_headers=AUTOMATIC_HEADERS,
            trace_configs=session.trace_configs,
            max_line_size=settings.max_head,
            max_field_size=settings.max_head,
        )
        self.connections = OpenConnections(own_session)
        proxy = settings.proxy
        self._proxy = None if proxy is None else _authenticated_proxy(proxy)
        self._serves = None if proxy is None else lru_cache(maxsize=256)(proxy.serves)
        super().__init__((own_session.close, session.close) if owned else (own_session.close,))

    @property
    def closed(self) -> bool:
        """True if the application has closed the session."""
        return self._session.closed

    def is_direct(self) -> bool:
        """Return whether requests may use the session's connector without the session.

        They may not if a proxy is set, or if the session traces requests or has been changed, as
        libraries for tests and monitoring do.
        """
        return (
            self._proxy is None
            and not self._own_session.trace_configs
            and is_original(aiohttp.ClientSession._request)  # noqa: SLF001 - that is what they replace
        )

    def exchange(self, outgoing: OutgoingRequest) -> LibraryExchange:
        """Return a new exchange for this request."""
        uses_proxy = self._serves is not None and self._serves(outgoing.origin.host)
        return AiohttpExchange(
            outgoing, self._own_session, self.closing_tasks, self._proxy if uses_proxy else None
        )


def _own_session(
    settings: ConnectionSettings, context: ssl.SSLContext | None, network: Network
) -> aiohttp.ClientSession:
    options: dict[str, Any] = {"keepalive_timeout": settings.keep_alive}
    if not settings.keep_alive:
        options = {"force_close": True}
    resolver = resolver_for(settings, network)
    if resolver is not None:
        options |= guarded_connector_options(resolver)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context or True, limit=0, **options)
    )


def _check(session: aiohttp.ClientSession, *, allow_unverified: bool) -> None:
    """Refuse a session that does not verify certificates."""
    trust = getattr(session.connector, "_ssl", True)  # not available by a public name
    if not allow_unverified and (
        trust is False or (isinstance(trust, ssl.SSLContext) and not verifies(trust))
    ):
        raise unverified_tls_error("session")


def _authenticated_proxy(proxy: Proxy) -> AuthenticatedProxy:
    fields: tuple[tuple[str, str], ...] = ()
    if proxy.username is not None or proxy.password is not None:
        fields = (("Proxy-Authorization", f"Basic {basic(proxy)}"),)
    return AuthenticatedProxy(URL(proxy.url), fields)
