"""HTTP/1.1 and HTTP/2 with pyreqwest, blocking threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.adapters.http.connections._threads import Threads, run
from moorage.adapters.http.connections._unverified import unverified_by
from moorage.adapters.http.pyreqwest._bounds import streams
from moorage.adapters.http.pyreqwest._clients import Forked, blocking, suspending
from moorage.adapters.http.pyreqwest._courier import Courier, refuse_guard, warn_of_fork
from moorage.adapters.http.pyreqwest._waiting import Blocking
from moorage.adapters.http.stdlib._engine import Settings
from moorage.domain.secrets.frames import careful

if TYPE_CHECKING:
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from moorage.adapters.http.pyreqwest._exchange import Exchange
    from moorage.adapters.http.pyreqwest._loops import Lent
    from moorage.adapters.http.stdlib.client import StdlibHttpClient, StdlibIncoming
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.http.requests import Headers, Request, Response, Timeouts
    from moorage.domain.http.transport import PoolStatistics, Proxy, Tls
    from moorage.domain.secrets.secret import Secret


@careful
class PyreqwestHttpClient:
    """A port's `HttpClient` on pyreqwest, which speaks HTTP/2 too.

    Nothing is connected before the first call. Threads may share it. What is streamed, in either
    direction, goes by an event loop in a thread of its own. pyreqwest is imported by the first
    call. In a process that was forked from one that had it imported, it cannot be used: the
    standard library's client takes its place, with the same settings, and a `RuntimeWarning` says
    so once.

    pyreqwest has limits of its own. An answer's head is refused from 100 fields or some 400 kB on,
    and of a field that is not ASCII only the name is kept. A call that is interrupted from the
    keyboard ends with its answer, or its timeout. What `tls` names as authorities is trusted
    besides whom the system trusts. The time to connect counts as silence, for the read timeout.

    Args:
        tls: whom to trust besides whom the system trusts, and who to say we are.
        proxy: through whom to go, or the URL of that; the environment is not asked
            (`environment_proxy` does).
        guard: refused: pyreqwest looks names up itself, and tells nobody what it found.
        http2: speaks HTTP/2 with a vendor that offers it, many exchanges over one connection.
        max_connections: exchanges with one origin at once; a call beyond that waits.
        keep_alive: seconds, or a timedelta, for which an idle connection stays open.
        max_body: bytes of an answer that `send` holds in memory, or that `open` decompresses; what
            `open` streams as it came has no limit but the reader's.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    def __init__(
        self,
        *,
        tls: Tls | None = None,
        proxy: Proxy | Secret | str | None = None,
        guard: OutgoingGuard | None = None,
        http2: bool = False,
        max_connections: int = 100,
        keep_alive: float | timedelta = 15.0,
        max_body: int = 67_108_864,
    ) -> None:
        refuse_guard(guard)
        self._given: dict[str, Any] = {
            "tls": tls,
            "proxy": proxy,
            "max_connections": max_connections,
            "keep_alive": keep_alive,
            "max_body": max_body,
        }
        self._courier = Courier(Threads(), Settings(**self._given), http2=http2)
        self.unverified = unverified_by(tls)
        self._blocking = Blocking(self._courier.clients(blocking))
        self._streaming = self._courier.clients(suspending)
        self._instead: StdlibHttpClient | None = None

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its whole response."""
        if self._instead is not None:
            return self._instead.send(request, url, timeouts)
        try:
            if streams(request, self._courier.bounds(timeouts)):
                lent = self._lent()
                return lent.run(self._courier.send(lent, request, url, timeouts, streamed=True))
            return run(self._courier.send(self._blocking, request, url, timeouts, streamed=False))
        except Forked:
            return self._without().send(request, url, timeouts)

    def open(
        self, request: Request, url: str, timeouts: Timeouts, /
    ) -> PyreqwestIncoming | StdlibIncoming:
        """Send a request and read its response up to the body."""
        if self._instead is not None:
            return self._instead.open(request, url, timeouts)
        lent = self._lent()
        try:
            exchange = lent.run(self._courier.open(lent, request, url, timeouts))
            return PyreqwestIncoming(lent, exchange)
        except Forked:
            return self._without().open(request, url, timeouts)

    def statistics(self) -> PoolStatistics:
        """Tell what the exchanges are doing, with all origins together."""
        instead = self._instead
        return self._courier.statistics() if instead is None else instead.statistics()

    def close(self) -> None:
        """Close idle connections now, and the others when their responses end."""
        self._courier.close(self._blocking.clients, self._streaming)
        if self._instead is not None:
            self._instead.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _lent(self) -> Lent:
        from moorage.adapters.http.pyreqwest._loops import (  # noqa: PLC0415 - loads asyncio, for streams
            Lent,
        )

        return Lent(self._streaming)

    def _without(self) -> StdlibHttpClient:
        from moorage.adapters.http.stdlib.client import (  # noqa: PLC0415 - for forked processes only
            StdlibHttpClient,
        )

        if self._instead is None:  # pragma: no branch - two may find it out at once
            warn_of_fork(type(self).__name__)
            self._instead = StdlibHttpClient(**self._given)
        return self._instead


class PyreqwestIncoming:
    """An answer whose body is still coming."""

    __slots__ = ("_exchange", "_face")

    def __init__(self, face: Lent, exchange: Exchange) -> None:
        self._face = face
        self._exchange = exchange

    @property
    def status(self) -> int:
        """The status code."""
        return self._exchange.status

    @property
    def headers(self) -> Headers:
        """The fields received."""
        return self._exchange.headers

    def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end."""
        return self._face.run(self._exchange.read())

    def close(self) -> None:
        """Leave the answer where it is, at any time and again."""
        self._face.call(self._exchange.close)
