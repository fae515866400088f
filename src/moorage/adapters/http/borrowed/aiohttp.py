"""HTTP by aiohttp, for whoever has a session of it already."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from moorage.adapters.http.borrowed._aiohttp_guided import guided
from moorage.adapters.http.borrowed._aiohttp_trip import AiohttpTrip, Introduced, tracing
from moorage.adapters.http.borrowed._client import AsyncLent, LoopLender, refuse_settings
from moorage.adapters.http.borrowed._exchange import TripEngine
from moorage.adapters.http.borrowed._guide import guide_of
from moorage.adapters.http.borrowed._trip import unverified, verifies
from moorage.adapters.http.connections._loops import Loops
from moorage.adapters.http.connections._proxy import basic
from moorage.adapters.http.connections._tls import http_context
from moorage.adapters.http.connections._unverified import unverified_by
from moorage.adapters.http.stdlib._engine import Settings
from moorage.domain.http.transport import Tls
from moorage.domain.secrets.frames import careful

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from moorage.adapters.http.borrowed._trip import Errand, Trip
    from moorage.adapters.http.connections._wire import Network
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.http.transport import Proxy
    from moorage.domain.secrets.secret import Secret


@careful
class AsyncAiohttpHttpClient(AsyncLent):
    """A port's `AsyncHttpClient` that sends by aiohttp.

    It sends by the connector of a session of yours, with its certificates, resolver and limits, and
    tells its tracing; or by one of its own. A session's headers, cookies, auth, proxy, middlewares,
    redirects and timeouts are left out: what is sent is what moorage was given. Nothing is
    connected before the first call. It may be used in several event loops and in a forked child,
    each with connections of its own; yours is refused but where it was used first.

    Args:
        session: yours, which you close, or a function that makes one wherever one is needed, which
            moorage closes. Its connector must verify.
        tls: whom to trust other than whom the system trusts, and who to say we are.
        proxy: through whom to go, or his URL; also with a session of yours, which tells nobody its
            own.
        guard: refuses to ask where a URL that somebody else has chosen must not lead; not with a
            session of yours.
        max_connections: to one origin at once; a call that finds none waits.
        keep_alive: seconds, or a timedelta, for which an idle connection is kept.
        max_body: bytes of an answer that `send` holds in memory, or that `open` decompresses; what
            `open` streams as it came has no limit but the reader's.
        max_head: bytes of everything before the body.
        max_fields: header fields of an answer; aiohttp has a limit of its own, of 128.

    Attributes:
        unverified: what leaves out all checks of whom we talk to; None where nothing does.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession | Callable[[], aiohttp.ClientSession] | None = None,
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
        refuse_settings(session, "session", tls=tls, proxy=None, guard=guard)
        self.unverified = unverified_by(tls)
        super().__init__(async_engine(session, settings, Loops()))


def async_engine(
    session: aiohttp.ClientSession | Callable[[], aiohttp.ClientSession] | None,
    settings: Settings,
    network: Network,
) -> TripEngine:
    """Return what makes exchanges, and looks names up by this network where there is a guard."""
    anybody = unverified_by(settings.tls) is not None
    if isinstance(session, aiohttp.ClientSession):
        _check(session, anybody=anybody)
    context = http_context(settings.tls or Tls()) if session is None else None

    def lender() -> _Lender:
        if session is None:
            return _Lender(_own(settings, context, network), settings, ours=True)
        if isinstance(session, aiohttp.ClientSession):
            return _Lender(session, settings, ours=False)
        made = session()
        _check(made, anybody=anybody)
        return _Lender(made, settings, ours=True)

    given = isinstance(session, aiohttp.ClientSession)
    return TripEngine(network, settings, lender, given=given)


class _Lender(LoopLender):
    """A session in one event loop."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings, *, ours: bool) -> None:
        self._session = session
        # Of another's session we want the connections, and nothing of what it remembers.
        self._twin = twin = aiohttp.ClientSession(
            connector=session.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[tracing(), *session.trace_configs],
            max_line_size=settings.max_head,
            max_field_size=settings.max_head,
        )
        proxy = settings.proxy
        self._proxy = None if proxy is None else _introduced(proxy)
        self._serves = None if proxy is None else lru_cache(maxsize=256)(proxy.serves)
        super().__init__((twin.close, session.close) if ours else (twin.close,))

    @property
    def closed(self) -> bool:
        """Whether the host has closed it."""
        return self._session.closed

    def trip(self, errand: Errand) -> Trip:
        """Return an exchange."""
        served = self._serves is not None and self._serves(errand.origin.host)
        return AiohttpTrip(errand, self._twin, self.leaving, self._proxy if served else None)


def _own(
    settings: Settings, context: ssl.SSLContext | None, network: Network
) -> aiohttp.ClientSession:
    kept: dict[str, Any] = {"keepalive_timeout": settings.keep_alive}
    if not settings.keep_alive:
        kept = {"force_close": True}
    guide = guide_of(settings, network)
    if guide is not None:
        kept |= guided(guide)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context or True, limit=0, **kept)
    )


def _check(session: aiohttp.ClientSession, *, anybody: bool) -> None:
    """Refuse a session that talks to anybody."""
    trusts = getattr(session.connector, "_ssl", True)  # nobody else tells
    if not anybody and (
        trusts is False or (isinstance(trusts, ssl.SSLContext) and not verifies(trusts))
    ):
        raise unverified("session")


def _introduced(proxy: Proxy) -> Introduced:
    fields: tuple[tuple[str, str], ...] = ()
    if proxy.username is not None or proxy.password is not None:
        fields = (("Proxy-Authorization", f"Basic {basic(proxy)}"),)
    return Introduced(URL(proxy.url), fields)
