"""Sends a request with aiohttp when its body is in memory, and reads the whole response.

The request goes to the session's connector without the session: so no cookies, redirects, defaults,
middlewares or retries apply. Errors are as in `_exchange`.
"""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop, sleep
from functools import lru_cache
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp import client as aiohttp_client
from yarl import URL

from moorage.adapters.concurrency._timers import start_task_timeout
from moorage.adapters.http.borrowed._aiohttp_exchange import (
    AUTOMATIC_HEADERS,
    LOOP_ITERATIONS,
    client_timeout,
    encoded_headers,
    meaning_of,
    reason_and_fields,
)
from moorage.adapters.http.borrowed._exchange import LibraryErrors
from moorage.adapters.http.borrowed._library_exchange import (
    ExceptionMeaning,
    StepTimeout,
    translated_error,
)
from moorage.adapters.http.connections._request import locate
from moorage.adapters.http.connections._wait import is_readable
from moorage.adapters.http.connections._wire import DeadlinePassed, below_total, reason_of
from moorage.adapters.http.messages._content import HeldBody, decompressor_of
from moorage.adapters.http.messages._http1 import (
    BODILESS,
    NotHttp,
    ResponseTooLarge,
    body_framing,
    fields_to_send,
    headers_of_head,
)
from moorage.domain.http.requests import HttpMethod
from moorage.domain.http.response import received_response
from moorage.errors import ConnectionFailed, ConnectorError

if TYPE_CHECKING:
    from moorage.adapters.http.borrowed._exchange import (
        LibraryExchangeEngine,
        LibraryExchangePool,
    )
    from moorage.adapters.http.connections._wire import Origin
    from moorage.adapters.http.messages._http1 import Limits
    from moorage.domain.http.headers import Headers
    from moorage.domain.http.requests import Request, Response, Timeouts

_WITHOUT_BODY: Final = frozenset({HttpMethod.GET, HttpMethod.HEAD, HttpMethod.DELETE})
_HEAD: Final = HttpMethod.HEAD


async def send_whole(  # noqa: PLR0917 - a frame less for every exchange
    engine: LibraryExchangeEngine,
    pool: LibraryExchangePool,
    connections: OpenConnections,
    request: Request,
    url: str,
    timeouts: Timeouts,
) -> Response:
    """Send a request whose body is in memory, and read its whole response.

    Args:
        engine: the engine, with the limits of a response.
        pool: the pool, which limits the number of exchanges.
        connections: the connections to use.
        request: the request.
        url: the request's URL.
        timeouts: the timeouts of the steps.
    """
    origin, host, address = _address_of(url)
    if engine.resolver is not None:
        engine.resolver.check(origin)
    library_request = _WholeRequest.of(request, host, address, connections.session)
    pool.enter()
    start_time, total = monotonic(), timeouts.total
    exchange = _WholeExchange(origin, timeouts, inf if total is None else start_time + total)
    bound = None if total is None else start_task_timeout(total)
    failure: Exception
    try:
        if not pool.claim(origin, exchange):
            await exchange.wait_for_slot(pool)
        response = await exchange.send(library_request, connections, engine.held)
        try:
            status, reason, headers = exchange.head_of(response, request, engine)
            content, max_body = response.content, engine.max_body
            body = await content.readany()
            if len(body) > max_body or "content-encoding" in headers or not content.at_eof():
                held_body = HeldBody(decompressor_of(request, status, headers), max_body)
                body = await _whole_body(content, body, held_body)
        except BaseException:
            response.close()
            raise
        return received_response(
            status, headers, body, reason=reason, url=url, elapsed=monotonic() - start_time
        )
    except ConnectorError as error:
        failure = error.with_traceback(None)
    except CancelledError:
        if bound is None or not bound.end():
            raise
        failure = exchange.failure(DeadlinePassed())
    except Exception as error:  # noqa: BLE001 - every error is replaced
        failure = exchange.failure(error)
    finally:
        if bound is not None:
            bound.end()
        pool.give(origin, exchange)
    raise failure


async def _whole_body(content: aiohttp.StreamReader, piece: bytes, held_body: HeldBody) -> bytes:
    """Read the rest of a response's body after its first piece, and return the whole body."""
    while piece:
        held_body.add(piece)
        piece = await content.readany()
    return held_body.whole()


class _WholeExchange(LibraryErrors):
    """The state of one request and its response; its errors say whether the request was sent.

    Args:
        origin: the destination.
        timeouts: the timeouts of the steps.
        deadline: the time at which the exchange must have ended.
    """

    __slots__ = ("_deadline", "_gateway", "_origin", "_sent", "_status", "_timeouts")

    def __init__(self, origin: Origin, timeouts: Timeouts, deadline: float) -> None:
        self._origin = origin
        self._gateway = None
        self._timeouts = timeouts
        self._deadline = deadline
        self._sent = False
        self._status: int | None = None

    async def wait_for_slot(self, pool: LibraryExchangePool) -> None:
        """Wait until the origin has fewer requests in progress than the limit."""
        pool_timeout = self._timeouts.pool
        until = inf if pool_timeout is None else monotonic() + pool_timeout
        try:
            await pool.take(self._origin, self, min(until, self._deadline))
        except DeadlinePassed:
            raise self._timed_out("pool", "had no free connection", sent=False) from None

    async def send(
        self, request: _WholeRequest, connections: OpenConnections, limits: Limits
    ) -> aiohttp.ClientResponse:
        """Send a request, and return its response when the head has arrived."""
        timeouts = self._timeouts
        timeout = client_timeout(
            below_total(timeouts.connect, timeouts.total),
            below_total(timeouts.read, timeouts.total),
        )
        connection = await connections.open(request, timeout)
        try:
            transport, protocol = connection.transport, connection.protocol
            self._sent = transport is not None and not transport.is_closing()
            assert protocol is not None  # noqa: S101 - the connection has not been released
            protocol.set_response_params(
                skip_payload=request.method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                read_timeout=timeout.sock_read,
                timeout_ceil_threshold=inf,
                max_line_size=limits.head,
                max_field_size=limits.head,
            )
            response = await request.send(connection)
            try:
                await response.start(connection)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise
        connections.used(protocol)
        return response

    def head_of(
        self, response: aiohttp.ClientResponse, request: Request, engine: LibraryExchangeEngine
    ) -> tuple[int, str, Headers]:
        """Check and return the status, reason phrase and header fields.

        Raises:
            NotHttp: it is not the head of a response, or the end of its body is ambiguous.
            TooLarge: the response exceeds a limit.
        """
        status = self._status = response.status
        reason, fields = reason_and_fields(response)
        headers = headers_of_head(engine.held, status, reason, fields)
        if request.method is not _HEAD and status not in BODILESS:
            _, length = body_framing(headers, is_http_1_0=False)
            if length is not None and length > engine.max_body:
                raise ResponseTooLarge(f"has a body of more than {engine.max_body} bytes")
        return status, reason, headers

    def failure(self, error: Exception) -> Exception:
        """Return the error for an exception of aiohttp, an exceeded limit or the total timeout."""
        if isinstance(error, DeadlinePassed):
            if not self._sent:
                error = StepTimeout(ExceptionMeaning.NOT_REACHED_IN_TIME)
        elif isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            error = StepTimeout(ExceptionMeaning.NOT_REACHED_IN_TIME)
        elif not isinstance(error, NotHttp):
            error = translated_error(error, meaning_of(error), sent=self._sent)
        if self._status is None:
            return self._error_of_head(error, sent=self._sent)
        if isinstance(error, DeadlinePassed):
            return self._timed_out("read", "did not finish its response", sent=True)
        return (
            self._bad_response(error)
            if isinstance(error, NotHttp)
            else self._connection_lost(error)
        )

    def _connection_lost(self, error: Exception) -> ConnectionFailed:
        problem = "without a" if self._status is None else "before the end of its"
        return ConnectionFailed(
            f"{self._peer} closed the connection {problem} response: {reason_of(error)}."
        )

    def _bound_of(self, step: str) -> float | None:
        timeout_seconds: float | None = getattr(self._timeouts, step)
        return timeout_seconds

    def _status_so_far(self) -> int | None:
        return self._status


class OpenConnections:
    """The connections of an aiohttp connector; a server may have closed some of them unnoticed.

    Args:
        session: a session of moorage on the connector of the session.

    Attributes:
        session: as given.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self._used: WeakSet[object] = WeakSet()

    def used(self, protocol: object) -> None:
        """Record that a response has arrived over a connection."""
        if protocol not in self._used:
            self._used.add(protocol)

    async def open(
        self, request: _WholeRequest, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """Return a connection for a request; use an idle connection only if it is still open."""
        connector = self.session.connector
        assert connector is not None  # noqa: S101 - the session is open
        while True:
            connection = await connector.connect(request, [], timeout)
            if connection.protocol not in self._used or await _is_idle(connection):
                return connection
            connection.close()


async def _is_idle(connection: aiohttp.connector.Connection) -> bool:
    """Return whether a connection is open, and no unexpected bytes have arrived."""
    transport, protocol = connection.transport, connection.protocol
    assert transport is not None  # noqa: S101 - it has just been taken
    assert protocol is not None  # noqa: S101 - it has just been taken
    sock = transport.get_extra_info("socket")
    if sock is None or is_readable(sock):
        # The event loop has not yet noticed new data: the connection's end, unexpected bytes, or
        # TLS tickets.
        try:
            for _ in range(LOOP_ITERATIONS):
                await sleep(0)
        except BaseException:
            connection.close()
            raise
    return not (transport.is_closing() or protocol.should_close)


class _WholeRequest(aiohttp.ClientRequest):
    """A request that aiohttp sends with exactly the given header fields."""

    @classmethod
    def of(
        cls, request: Request, host: str, address: URL, session: aiohttp.ClientSession
    ) -> _WholeRequest:
        """Return an aiohttp request with these header fields, ready for sending."""
        method, body = request.method, request.body or None
        return cls(
            method.value,
            address,
            headers=encoded_headers(fields_to_send(request, host)),
            # Otherwise aiohttp would add a Content-Type to the body.
            skip_auto_headers=(
                None if body is None and method in _WITHOUT_BODY else AUTOMATIC_HEADERS
            ),
            data=body,
            loop=get_running_loop(),
            session=session,
        )

    def update_headers(self, headers: Any) -> None:
        """Set exactly the given header fields, without any that aiohttp would add."""
        self.headers = headers

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Do nothing, so that aiohttp adds no header fields of its own."""
        if skip_auto_headers is not None:
            super().update_auto_headers(skip_auto_headers)


def _divided_url(url: str) -> tuple[Origin, str, URL]:
    origin, host, target = locate(url)
    scheme = "https" if origin.secure else "http"
    return origin, host, URL(f"{scheme}://{origin}{target}", encoded=True)


_kept: Final = lru_cache(maxsize=256)(_divided_url)


def _address_of(url: str) -> tuple[Origin, str, URL]:
    """Return the origin and `Host` field of a URL, and the URL as a yarl object.

    URLs without a query are kept; a query may hold a secret.

    Raises:
        InvalidData: the URL is not valid; the message does not repeat it.
    """
    return _divided_url(url) if "?" in url else _kept(url)


@lru_cache(maxsize=4)
def is_original(function: Any) -> bool:
    """Return whether a session's function is aiohttp's own, rather than a test replacement."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename == aiohttp_client.__file__
