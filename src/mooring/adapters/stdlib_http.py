"""HTTP/1.1 with the standard library, blocking threads."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from threading import TIMEOUT_MAX, Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from mooring.adapters._http_engine import Engine, Settings
from mooring.adapters._http_resolve import Lookup, numeric
from mooring.adapters._http_wait import wait
from mooring.adapters._http_wire import TimeIsUp
from mooring.adapters.forking import in_child
from mooring.errors import InvalidData

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine
    from datetime import timedelta
    from ssl import SSLContext
    from types import TracebackType
    from typing import Self

    from mooring.adapters._http_exchange import Exchange
    from mooring.adapters._http_wire import Address, Turn
    from mooring.domain.body import Chunks
    from mooring.domain.http import Headers, Request, Response, Timeouts

_Answer = TypeVar("_Answer")


class StdlibHttpClient:
    """A port's `HttpClient` on nothing but Python's standard library.

    It keeps connections alive, up to `max_connections` to each origin and each for `keep_alive`
    seconds, and undoes gzip and deflate. Nothing is connected before the first call. Threads may
    share it, and a forked child uses connections of its own.

    Args:
        ssl_context: trusts other certificates than the system does, or carries one of ours; it
            must verify.
        max_connections: to one origin at once; a call that finds none waits.
        keep_alive: seconds, or a timedelta, for which an idle connection is kept.
        max_body: bytes of an answer that `send` holds in memory, or that `open` decompresses; what
            `open` streams as it came has no limit but the reader's.
        max_head: bytes of everything before the body.
        max_fields: header fields of an answer.
    """

    def __init__(
        self,
        *,
        ssl_context: SSLContext | None = None,
        max_connections: int = 100,
        keep_alive: float | timedelta = 15.0,
        max_body: int = 67_108_864,
        max_head: int = 65_536,
        max_fields: int = 200,
    ) -> None:
        settings = Settings(
            ssl_context=ssl_context,
            max_connections=max_connections,
            keep_alive=keep_alive,
            max_body=max_body,
            max_head=max_head,
            max_fields=max_fields,
        )
        self._engine = Engine(_Threads(), settings)
        in_child(self._engine, Engine.start_afresh)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request and read its answer to the end."""
        return _run(self._engine.send(request, url, timeouts))

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> StdlibIncoming:
        """Send a request and read its answer up to the body."""
        return StdlibIncoming(_run(self._engine.open(request, url, timeouts)))

    def close(self) -> None:
        """Close every connection that is idle, and each other one when its answer ends."""
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

    def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end."""
        return _run(self._exchange.read())

    def close(self) -> None:
        """Leave the answer where it is, at any time and again."""
        self._exchange.close()


class _Threads:
    """Waiting by blocking the thread: nothing here ever suspends."""

    def here(self) -> None:
        """Threads can share connections."""

    def gone(self, there: object) -> bool:  # noqa: ARG002 - there is one place
        return False

    async def readable(self, sock: socket.socket, until: float) -> None:
        wait(sock, until, writing=False)

    async def writable(self, sock: socket.socket, until: float) -> None:
        wait(sock, until, writing=True)

    async def resolve(self, host: str, port: int, until: float) -> list[Address]:
        if found := numeric(host, port):
            return found
        lookup = Lookup(host, port, int)
        lookup.start()
        lookup.join(None if until == inf else max(0, until - monotonic()))
        if lookup.is_alive():
            raise TimeIsUp
        return lookup.addresses()

    async def pull(self, chunks: Chunks, until: float) -> object:  # noqa: ARG002 - cannot be bounded
        if isinstance(chunks, Iterator):
            return next(chunks, None)
        raise InvalidData(
            "An async body cannot be sent by the synchronous client.",
            field="body",
            remedy="Stream from a plain iterator or file, or use the async client.",
        )

    def turn(self) -> Turn:
        return _Turn()


class _Turn:
    """A lock that is held until somebody is called."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    async def wait(self, until: float) -> None:
        left = max(0, until - monotonic())
        if not self._lock.acquire(timeout=min(left, TIMEOUT_MAX)):
            raise TimeIsUp

    def call(self) -> None:
        self._lock.release()


def _run(flow: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Run what never suspends to its end."""
    try:
        flow.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    flow.close()
    raise RuntimeError("The synchronous HTTP client was made to wait without blocking.")
