"""HTTP/1.1 with the standard library, in an asyncio event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.http.connections._loops import Loops
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
class AsyncStdlibHttpClient:
    """A port's `AsyncHttpClient` on nothing but Python's standard library.

    It keeps connections alive, up to `max_connections` to each origin and each for `keep_alive`
    seconds, and undoes gzip and deflate. Nothing is connected before the first call. It may be
    used in several event loops, at once or one after another, each with connections of its own,
    and so may a forked child.

    Args:
        tls: whom to trust other than whom the system trusts, and who to say we are.
        ssl_context: the same, for a host that has one already; it must verify.
        proxy: through whom to go, or the URL of that; the environment is not asked
            (`environment_proxy` does).
        guard: refuses to ask where a URL that somebody else has chosen must not lead.
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
        self._engine = Engine(Loops(), settings)
        in_child(self._engine, Engine.start_afresh)

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its answer to the end."""
        return await self._engine.send(request, url, timeouts)

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncStdlibIncoming:
        """Send a request and read its answer up to the body."""
        return AsyncStdlibIncoming(await self._engine.open(request, url, timeouts))

    def statistics(self) -> PoolStatistics:
        """Tell what the connections are doing, to all origins together."""
        return self._engine.statistics()

    async def close(self) -> None:
        """Close every connection that is idle, and each other one when its answer ends."""
        self._engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncStdlibIncoming:
    """An answer whose body is still coming."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def status(self) -> int:
        """The status code."""
        return self._exchange.status

    @property
    def headers(self) -> Headers:
        """The fields received."""
        return self._exchange.headers

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end."""
        return await self._exchange.read()

    def close(self) -> None:
        """Leave the answer where it is, at any time and again."""
        self._exchange.close()
