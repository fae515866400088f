"""Sends requests with aiohttp, and interprets its exceptions."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

import aiohttp
import attrs
from aiohttp import http_exceptions
from multidict import CIMultiDict
from yarl import URL

from moorage.adapters.http.borrowed._library_exchange import (
    ExceptionMeaning,
    LoopLibraryExchange,
)
from moorage.adapters.http.connections._wire import below_total
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from moorage.adapters.http.borrowed._library_exchange import OutgoingRequest

MEANINGS: Final[dict[type[BaseException], ExceptionMeaning]] = {
    aiohttp.ConnectionTimeoutError: ExceptionMeaning.NOT_REACHED_IN_TIME,
    aiohttp.ServerTimeoutError: ExceptionMeaning.NO_RESPONSE_IN_TIME,
    aiohttp.ClientConnectorError: ExceptionMeaning.NOT_REACHED,
    aiohttp.ClientHttpProxyError: ExceptionMeaning.NOT_REACHED,
    aiohttp.ServerFingerprintMismatch: ExceptionMeaning.NOT_REACHED,
    aiohttp.InvalidURL: ExceptionMeaning.NOT_REACHED,
    aiohttp.NonHttpUrlClientError: ExceptionMeaning.NOT_REACHED,
    aiohttp.ClientResponseError: ExceptionMeaning.NOT_HTTP,
    http_exceptions.HttpProcessingError: ExceptionMeaning.NOT_HTTP,
    Exception: ExceptionMeaning.CUT_OFF,
}
"""The meaning of an exception, by the first of its classes that is listed here."""

LOOP_ITERATIONS: Final = 2  # until the event loop has noticed closed connections
AUTOMATIC_HEADERS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class _DoNotRetry(Exception):
    """Wraps an exception, so that aiohttp does not repeat the request."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@attrs.frozen
class AuthenticatedProxy:
    """A proxy URL, with the header fields for authentication at the proxy."""

    url: URL
    introduction: tuple[tuple[str, str], ...] = attrs.field(repr=False)


def meaning_of(error: Exception) -> ExceptionMeaning:
    """Return the kind of failure that an aiohttp exception stands for, by its class."""
    return next(MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS)


class AiohttpExchange(LoopLibraryExchange):
    """A request and its response through an `aiohttp.ClientSession`.

    Args:
        outgoing: the request to send.
        session: our own session, on the connector of the host's session or ours.
        closing_tasks: the tasks that finish exchanges, later including this one.
        proxy: the proxy, if there is one.
    """

    def __init__(
        self,
        outgoing: OutgoingRequest,
        session: aiohttp.ClientSession,
        closing_tasks: set[asyncio.Task[None]],
        proxy: AuthenticatedProxy | None,
    ) -> None:
        super().__init__(outgoing)
        self.closing_tasks = closing_tasks
        self._session = session
        self._proxy = proxy
        self._response: aiohttp.ClientResponse | None = None
        self._writing = False

    def meaning(self, error: Exception) -> ExceptionMeaning:
        """Return the kind of failure that an aiohttp exception stands for, by its class."""
        return meaning_of(error)

    async def send_request(self) -> bytes:
        """Send the request, and store the head of the response."""
        method, target, fields = self.outgoing.parts()
        origin, timeouts = self.outgoing.origin, self.outgoing.timeouts
        self.connect_within(timeouts.connect)
        scheme = "https" if origin.secure else "http"
        for _ in range(LOOP_ITERATIONS):
            await asyncio.sleep(0)
        try:
            response = await self._session.request(
                method,
                URL(f"{scheme}://{origin}{target}", encoded=True),
                headers=encoded_headers(self._fields(fields)),
                data=self._data(),
                allow_redirects=False,
                timeout=client_timeout(
                    below_total(timeouts.connect, timeouts.total),
                    below_total(timeouts.read, timeouts.total),
                ),
                middlewares=(self._send_once,),
                proxy=self._proxy.url if self._proxy else None,
                proxy_headers=dict(self._proxy.introduction) if self._proxy else None,
            )
        except _DoNotRetry as final_failure:
            error = final_failure.error
        else:
            self._response = response
            self.parsed_head = response.status, *reason_and_fields(response)
            self.note_framing(
                response.status,
                chunked="Transfer-Encoding" in response.headers,
                length=response.headers.get("Content-Length", ""),
            )
            return b""
        raise error

    def is_buffered(self) -> bool:
        """Return whether the whole response has arrived, so that a read does not wait."""
        if self._response is None:
            return False
        content = self._response.content
        return content.is_eof() and content.exception() is None

    async def next_piece(self) -> bytes:
        """Return the next piece of the response's body."""
        assert self._response is not None  # noqa: S101 - the request has been sent
        content = self._response.content
        if content.at_eof() and content.exception() is None:
            return b""
        return await content.readany()

    def proxy_status(self, error: Exception) -> int | None:
        """Return the status with which the proxy refused to connect, if the error shows it."""
        return error.status if isinstance(error, aiohttp.ClientHttpProxyError) else None

    async def finish(self) -> None:
        """Give the connection back to aiohttp."""
        if self._response is not None:
            if self._body_complete:
                self._response.release()
            else:
                self._response.close()

    async def _send_once(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request with `send`, and keep aiohttp from repeating it."""
        if isinstance(request, ReportingRequest):  # pragma: no branch - every request is one
            request.exchange = self
        try:
            return await send(request)
        except Exception as error:  # noqa: BLE001 - no error may lead to a retry
            raise _DoNotRetry(error) from None

    def _fields(self, fields: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
        """Return the header fields, including the proxy's if no TLS tunnel carries them."""
        decoded_fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in fields]
        if self._proxy is None or self.outgoing.origin.secure:
            return decoded_fields
        return [*decoded_fields, *self._proxy.introduction]

    def _data(self) -> bytes | AsyncIterator[bytes] | None:
        whole_body = self.outgoing.pieces.whole
        return self._timed_pieces() if whole_body is None else whole_body or None

    async def _timed_pieces(self) -> AsyncIterator[bytes]:
        """Yield the pieces of a body, with a timeout for the write of each piece."""
        write_timeout = self.outgoing.timeouts.write
        while piece := await self.outgoing.pieces.next():
            if write_timeout is not None:
                self._writing = True
                self.bound(min(self.outgoing.until, monotonic() + write_timeout))
            yield piece
            self._writing = False
            self.bound(self.outgoing.until)


class ReportingRequest(aiohttp.ClientRequest):
    """A request that notifies its exchange when aiohttp sends the request."""

    exchange: AiohttpExchange

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Send the request over a connection, unless the connection is closed."""
        transport = conn.transport
        if transport is not None and not transport.is_closing():
            self.exchange.connected()
        return await super().send(conn)


def reason_and_fields(response: aiohttp.ClientResponse) -> tuple[str, list[tuple[str, str]]]:
    """Return the reason phrase and header fields of a response, decoded as Latin-1."""
    reason = response.reason or ""
    if not reason.isascii():
        reason = reason.encode("utf-8", "surrogateescape").decode("latin-1")
    return reason, [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers
    ]


@lru_cache(maxsize=64)
def client_timeout(connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    """Return the timeouts for aiohttp, without the total timeout, which `run_until` applies."""
    return aiohttp.ClientTimeout(connect=connect, sock_read=read, ceil_threshold=inf)


def encoded_headers(fields: list[tuple[str, str]]) -> CIMultiDict[str]:
    """Return header fields for aiohttp, which encodes them as UTF-8."""
    names = {name.lower() for name, value in fields if value.isascii()}
    if len(names) == len(fields) and "transfer-encoding" not in names:
        return CIMultiDict(fields)
    checked_headers: CIMultiDict[str] = CIMultiDict()
    spellings: dict[str, str] = {}  # aiohttp would drop the first of two spellings of a name
    for name, value in fields:
        if not value.isascii():
            raise InvalidData(
                f"The library aiohttp cannot send the header {name!r}, because its value is"
                " not ASCII.",
                field=f"headers.{name}",
                remedy="Percent-encode the value, or use another HTTP client.",
            )
        lower_name = name.lower()
        if lower_name != "transfer-encoding":
            checked_headers.add(spellings.setdefault(lower_name, name), value)
    return checked_headers
