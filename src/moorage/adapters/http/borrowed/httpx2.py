"""HTTP by httpx2, in both colours, for whoever has a client of it already."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import attrs
import httpx2

from moorage.adapters.http.borrowed._client import (
    AsyncLent,
    BlockingLender,
    BlockingLent,
    LoopLender,
    refuse_settings,
)
from moorage.adapters.http.borrowed._exchange import TripEngine
from moorage.adapters.http.borrowed._guide import guide_of
from moorage.adapters.http.borrowed._httpx2_guided import AsyncGuidedBackend, GuidedBackend
from moorage.adapters.http.borrowed._httpx2_trips import AsyncHttpx2Trip, Httpx2Trip, url_of
from moorage.adapters.http.borrowed._trip import unverified, verifies
from moorage.adapters.http.connections._loops import Loops
from moorage.adapters.http.connections._threads import Threads
from moorage.adapters.http.connections._tls import http_context
from moorage.adapters.http.connections._unverified import unverified_by
from moorage.adapters.http.stdlib._engine import Settings
from moorage.domain.http.transport import Tls
from moorage.domain.secrets.frames import careful
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from moorage.adapters.http.borrowed._trip import Errand, Trip
    from moorage.adapters.http.connections._wire import Network, Origin
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.http.transport import Proxy
    from moorage.domain.secrets.secret import Secret


@careful
class Httpx2HttpClient(BlockingLent):
    """A port's `HttpClient` that sends by httpx2.

    It sends by the transports of a client of yours, with their certificates, proxies and limits, or
    by one of its own. A client's headers, cookies, auth, hooks, redirects and timeouts are left
    out: what is sent is what moorage was given. Nothing is connected before the first call. Threads
    may share it; a forked child makes connections of its own, and refuses to share yours.

    Args:
        client: yours, which you close, or a function that makes one wherever one is needed, which
            moorage closes. It must verify, and speak HTTP/1.1.
        tls: whom to trust other than whom the system trusts, and who to say we are.
        proxy: through whom to go, or his URL.
        guard: refuses to ask where a URL that somebody else has chosen must not lead; not with a
            client of yours.
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
        client: httpx2.Client | Callable[[], httpx2.Client] | None = None,
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
        refuse_settings(client, "client", tls=tls, proxy=proxy, guard=guard)
        self.unverified = unverified_by(tls)
        super().__init__(engine(client, settings, Threads()))


@careful
class AsyncHttpx2HttpClient(AsyncLent):
    """A port's `AsyncHttpClient` that sends by httpx2.

    It sends by the transports of a client of yours, with their certificates, proxies and limits, or
    by one of its own. A client's headers, cookies, auth, hooks, redirects and timeouts are left
    out: what is sent is what moorage was given. Nothing is connected before the first call. It may
    be used in several event loops and in a forked child, each with connections of its own; yours is
    refused but where it was used first.

    Args:
        client: yours, which you close, or a function that makes one wherever one is needed, which
            moorage closes. It must verify.
        tls: whom to trust other than whom the system trusts, and who to say we are.
        proxy: through whom to go, or his URL.
        guard: refuses to ask where a URL that somebody else has chosen must not lead; not with a
            client of yours.
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
        client: httpx2.AsyncClient | Callable[[], httpx2.AsyncClient] | None = None,
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
        refuse_settings(client, "client", tls=tls, proxy=proxy, guard=guard)
        self.unverified = unverified_by(tls)
        super().__init__(async_engine(client, settings, Loops()))


def engine(client: Any, settings: Settings, network: Network) -> TripEngine:
    """Return what makes exchanges for threads, and looks names up by this network."""
    way = _Way(httpx2.Client, httpx2.HTTPTransport, client, settings, network)
    return TripEngine(network, settings, partial(_Lender, way), given=way.given)


def async_engine(client: Any, settings: Settings, network: Network) -> TripEngine:
    """Return what makes exchanges for tasks, and looks names up by this network."""
    way = _Way(httpx2.AsyncClient, httpx2.AsyncHTTPTransport, client, settings, network)
    return TripEngine(network, settings, partial(_AsyncLender, way), given=way.given)


class _Way:
    """Which transports lead where: those of a client of the host's, or of ours.

    Args:
        kind: of what class clients are.
        transport: makes transports.
        client: the host's, or what makes one.
        settings: those of the adapter.
        network: looks names up, where there is a guard.

    Attributes:
        given: whether the client is one that the host has made.
        anybody: whether it may lead to whoever answers.
    """

    def __init__(
        self,
        kind: type[httpx2.Client | httpx2.AsyncClient],
        transport: Callable[..., Any],
        client: Any,
        settings: Settings,
        network: Network,
    ) -> None:
        self._kind = kind
        self._guide = guide_of(settings, network)
        self._transport = transport
        self._client = client
        self._settings = settings
        self.given = isinstance(client, kind)
        self.anybody = settings.tls is not None and settings.tls.unverified is not None
        self._context = http_context(settings.tls or Tls()) if client is None else None
        if self.given:
            self._check(client)

    def open(self) -> _Transports:
        """Find or make them, for one process and event loop."""
        client = self._client
        if client is None:
            return self._own()
        if self.given:
            return _Transports(client, partial(_leading, client), ())
        client = client()
        self._check(client)
        return _Transports(client, partial(_leading, client), (client,))

    def _own(self) -> _Transports:
        settings, proxy = self._settings, self._settings.proxy
        limits = httpx2.Limits(
            max_connections=None,
            max_keepalive_connections=None if settings.keep_alive else 0,
            keepalive_expiry=settings.keep_alive,
        )
        make = partial(self._transport, verify=self._context, trust_env=False, limits=limits)
        direct = make()
        if self._guide is not None:
            pool = direct._pool  # noqa: SLF001 - a transport is told nothing of it
            guided = GuidedBackend if self._kind is httpx2.Client else AsyncGuidedBackend
            pool._network_backend = guided(pool._network_backend, self._guide)  # noqa: SLF001 - the same
        if proxy is None:
            return _Transports(None, lambda _: direct, (direct,))
        through = make(proxy=_proxy(proxy, settings.tls or Tls()))
        serves = lru_cache(maxsize=256)(proxy.serves)
        return _Transports(
            None,
            lambda origin: through if serves(origin.host) else direct,
            (direct, through),
        )

    def _check(self, client: Any) -> None:
        """Refuse a client that talks to anybody, or could not be stopped."""
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - nobody else tells
            pool = getattr(transport, "_pool", None)
            if pool is None:
                continue  # it says for itself as it connects, or does not connect
            context = pool._ssl_context  # noqa: SLF001 - the same
            if not self.anybody and context is not None and not verifies(context):
                raise unverified("client")
            if self._kind is httpx2.Client and pool._http2:  # noqa: SLF001 - the same
                raise ConfigurationError(
                    "A blocking client that speaks HTTP/2 cannot end one exchange in time without"
                    " ending all others on its connection.",
                    path="client",
                    remedy="Make it without http2=True, or use the asynchronous one.",
                )


@attrs.frozen
class _Transports:
    """What to send by.

    Attributes:
        client: the one it is taken from, if it is any.
        to: returns the transport that leads to an origin.
        ends: what is closed in the end: nothing of the host's.
    """

    client: Any
    to: Callable[[Origin], Any]
    ends: tuple[Any, ...]

    @property
    def closed(self) -> bool:
        """Whether the host has closed it."""
        return self.client is not None and bool(self.client.is_closed)


class _Lender(BlockingLender):
    """Transports for threads."""

    def __init__(self, way: _Way) -> None:
        self._transports = way.open()
        self._anybody = way.anybody
        super().__init__(self._transports.ends)

    @property
    def closed(self) -> bool:
        """Whether the host has closed it."""
        return self._transports.closed

    def trip(self, errand: Errand) -> Trip:
        """Return an exchange."""
        return Httpx2Trip(errand, self._transports.to(errand.origin), anybody=self._anybody)


class _AsyncLender(LoopLender):
    """Transports for an event loop."""

    def __init__(self, way: _Way) -> None:
        self._transports = way.open()
        self._anybody = way.anybody
        super().__init__(end.aclose for end in self._transports.ends)

    @property
    def closed(self) -> bool:
        """Whether the host has closed it."""
        return self._transports.closed

    def trip(self, errand: Errand) -> Trip:
        """Return an exchange."""
        transport = self._transports.to(errand.origin)
        return AsyncHttpx2Trip(errand, transport, self.leaving, anybody=self._anybody)


def _leading(client: Any, origin: Origin) -> Any:
    # The client itself would keep cookies.
    return client._transport_for_url(url_of(origin))  # noqa: SLF001 - what it sends by


def _proxy(proxy: Proxy, tls: Tls) -> httpx2.Proxy:
    auth = None
    if proxy.username is not None or proxy.password is not None:
        auth = (proxy.username or "", "" if proxy.password is None else proxy.password.reveal())
    # Our certificate is for vendors; a proxy is not shown it.
    bare = attrs.evolve(tls, certificate=None, key=None, password=None)
    context = http_context(bare) if proxy.url.startswith("https:") else None
    return httpx2.Proxy(proxy.url, auth=auth, ssl_context=context)
