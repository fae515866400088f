"""HTTP/1.1 with the standard library, blocking threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.http.connections._threads import Threads, run
from moorage.adapters.http.connections._unverified import unverified_by
from moorage.adapters.http.stdlib._engine import Engine, Settings
from moorage.domain.secrets.frames import careful

if TYPE_CHECKING:
    from datetime import timedelta
    from ssl import SSLContext
    from types import TracebackType
    from typing import Self

    from moorage.adapters.http.stdlib._exchange import Exchange
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.http.requests import Headers, Request, Response, Timeouts
    from moorage.domain.http.transport import PoolStatistics, Proxy, Tls
    from moorage.domain.secrets.secret import Secret


@careful
class StdlibHttpClient:
    """An HTTP client that uses only Python's standard library.

    It keeps connections alive, up to `max_connections` to each origin and each for `keep_alive`
    seconds, and decompresses gzip and deflate. It connects at the first call. Threads may share it,
    and a forked child uses its own connections.

    Args:
        tls: the trusted authorities and the client certificate; by default the system's
            authorities.
        ssl_context: a prepared context instead of `tls`; it must verify certificates.
        proxy: the proxy or its URL; the environment is not read (`environment_proxy` does that).
        guard: the destinations that are allowed, for URLs that others choose.
        max_connections: the maximum number of connections to one origin; further calls wait.
        keep_alive: seconds, or a timedelta, for which an idle connection stays open.
        max_body: the maximum number of bytes that `send` holds in memory or `open` decompresses; an
            uncompressed stream of `open` has no limit.
        max_head: the maximum number of bytes before the body.
        max_fields: the maximum number of header fields of a response.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    def __init__(
        self,
        *,
        tls: Tls | None = None,
        ssl_context: SSLContext | None = None,
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
            ssl_context=ssl_context,
            proxy=proxy,
            guard=guard,
            max_connections=max_connections,
            keep_alive=keep_alive,
            max_body=max_body,
            max_head=max_head,
            max_fields=max_fields,
        )
        self.unverified = unverified_by(tls)
        self._engine = Engine(Threads(), settings)
        in_child(self._engine, Engine.start_afresh)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its whole response."""
        return run(self._engine.send(request, url, timeouts))

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> StdlibIncoming:
        """Send a request and read its response up to the body."""
        return StdlibIncoming(run(self._engine.open(request, url, timeouts)))

    def statistics(self) -> PoolStatistics:
        """Return the numbers of active, idle and waiting connections to all origins."""
        return self._engine.statistics()

    def close(self) -> None:
        """Close idle connections now, and the others when their responses end."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class StdlibIncoming:
    """A response whose body is still being received."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def status(self) -> int:
        """The status code."""
        return self._exchange.status

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return self._exchange.headers

    def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end."""
        return run(self._exchange.read())

    def close(self) -> None:
        """Stop reading the response; may be called at any time and repeatedly."""
        self._exchange.close()
