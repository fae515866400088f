"""Classification of all exceptions of httpx2 and aiohttp as errors of moorage."""

from __future__ import annotations

import asyncio
import ssl
from math import inf
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx2
import pytest
from aiohttp import http_exceptions
from urllib3 import PoolManager

from moorage.adapters.http.borrowed import _aiohttp_exchange, _httpx2_exchanges
from moorage.adapters.http.borrowed._library_exchange import (
    ExceptionMeaning,
    LibraryExchange,
    OutgoingRequest,
    Pieces,
    reason_for,
    seconds_left,
)
from moorage.adapters.http.borrowed._urllib3_wire import Connections
from moorage.adapters.http.connections._threads import run
from moorage.adapters.http.connections._wire import Origin
from moorage.adapters.http.messages._http1 import NotHttp
from moorage.domain.http.requests import Timeouts
from moorage.testing.fakes.http_server import Behaviour, VendorServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

OUTGOING = OutgoingRequest(
    Origin("vendor.example", 443, secure=True),
    memoryview(b"GET / HTTP/1.1\r\nHost: vendor.example\r\n\r\n"),
    Pieces(b"", None, inf),
    Timeouts(),
    inf,
)

HTTPX2 = {
    "CloseError": ExceptionMeaning.CUT_OFF,
    "ConnectError": ExceptionMeaning.NOT_REACHED,
    "ConnectTimeout": ExceptionMeaning.NOT_REACHED_IN_TIME,
    "CookieConflict": ExceptionMeaning.CUT_OFF,
    "DecodingError": ExceptionMeaning.CUT_OFF,
    "HTTPError": ExceptionMeaning.CUT_OFF,
    "HTTPStatusError": ExceptionMeaning.CUT_OFF,
    "InvalidURL": ExceptionMeaning.NOT_REACHED,
    "LocalProtocolError": ExceptionMeaning.CUT_OFF,
    "NetworkError": ExceptionMeaning.CUT_OFF,
    "PoolTimeout": ExceptionMeaning.NO_CONNECTION,
    "ProtocolError": ExceptionMeaning.CUT_OFF,
    "ProxyError": ExceptionMeaning.NOT_REACHED,
    "ReadError": ExceptionMeaning.CUT_OFF,
    "ReadTimeout": ExceptionMeaning.NO_RESPONSE_IN_TIME,
    "RemoteProtocolError": ExceptionMeaning.NOT_HTTP,
    "RequestError": ExceptionMeaning.CUT_OFF,
    "RequestNotRead": ExceptionMeaning.CUT_OFF,
    "ResponseNotRead": ExceptionMeaning.CUT_OFF,
    "StreamClosed": ExceptionMeaning.CUT_OFF,
    "StreamConsumed": ExceptionMeaning.CUT_OFF,
    "StreamError": ExceptionMeaning.CUT_OFF,
    "TimeoutException": ExceptionMeaning.NO_RESPONSE_IN_TIME,
    "TooManyRedirects": ExceptionMeaning.CUT_OFF,
    "TransportError": ExceptionMeaning.CUT_OFF,
    "UnsupportedProtocol": ExceptionMeaning.NOT_REACHED,
    "WriteError": ExceptionMeaning.CUT_OFF,
    "WriteTimeout": ExceptionMeaning.NOT_TAKEN_IN_TIME,
}
AIOHTTP = {
    "ClientConnectionError": ExceptionMeaning.CUT_OFF,
    "ClientConnectionResetError": ExceptionMeaning.CUT_OFF,
    "ClientConnectorCertificateError": ExceptionMeaning.NOT_REACHED,
    "ClientConnectorDNSError": ExceptionMeaning.NOT_REACHED,
    "ClientConnectorError": ExceptionMeaning.NOT_REACHED,
    "ClientConnectorSSLError": ExceptionMeaning.NOT_REACHED,
    "ClientError": ExceptionMeaning.CUT_OFF,
    "ClientHttpProxyError": ExceptionMeaning.NOT_REACHED,
    "ClientOSError": ExceptionMeaning.CUT_OFF,
    "ClientPayloadError": ExceptionMeaning.CUT_OFF,
    "ClientProxyConnectionError": ExceptionMeaning.NOT_REACHED,
    "ClientResponseError": ExceptionMeaning.NOT_HTTP,
    "ClientSSLError": ExceptionMeaning.NOT_REACHED,
    "ConnectionTimeoutError": ExceptionMeaning.NOT_REACHED_IN_TIME,
    "ContentTypeError": ExceptionMeaning.NOT_HTTP,
    "InvalidURL": ExceptionMeaning.NOT_REACHED,
    "InvalidUrlClientError": ExceptionMeaning.NOT_REACHED,
    "InvalidUrlRedirectClientError": ExceptionMeaning.NOT_REACHED,
    "NonHttpUrlClientError": ExceptionMeaning.NOT_REACHED,
    "NonHttpUrlRedirectClientError": ExceptionMeaning.NOT_REACHED,
    "RedirectClientError": ExceptionMeaning.CUT_OFF,
    "ServerConnectionError": ExceptionMeaning.CUT_OFF,
    "ServerDisconnectedError": ExceptionMeaning.CUT_OFF,
    "ServerFingerprintMismatch": ExceptionMeaning.NOT_REACHED,
    "ServerTimeoutError": ExceptionMeaning.NO_RESPONSE_IN_TIME,
    "SocketTimeoutError": ExceptionMeaning.NO_RESPONSE_IN_TIME,
    "TooManyRedirects": ExceptionMeaning.NOT_HTTP,
    "WSServerHandshakeError": ExceptionMeaning.NOT_HTTP,
}
LATER: frozenset[str] = frozenset(
    {"EofStream", "SSEError", "UploadAbortedError", "WSMessageTypeError"}
)
"""Of what we do not use, or not in every release: they mean what their bases do."""


def exceptions_of(library: ModuleType) -> dict[str, type[Exception]]:
    """Return the public exception classes of a library, by name."""
    library_names = {name: getattr(library, name) for name in dir(library)}
    return {
        name: kind
        for name, kind in library_names.items()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and "WebSocket" not in name
    }


def without_constructor(kind: type[Exception]) -> Exception:
    """Return an exception that was made without calling its constructor."""
    return kind.__new__(kind)


def sync_exchange() -> LibraryExchange:
    """Return one exchange of an HTTP request and response through httpx2."""
    return _httpx2_exchanges.SyncHttpx2Exchange(
        OUTGOING, httpx2.MockTransport(_refuse_any_call), allow_unverified=False
    )


def async_exchange() -> LibraryExchange:
    """Return one exchange of an HTTP request and response through aiohttp."""
    session: Any = None
    return _aiohttp_exchange.AiohttpExchange(OUTGOING, session, set(), None)


def _refuse_any_call(request: httpx2.Request) -> httpx2.Response:
    raise AssertionError


@pytest.mark.parametrize(
    "library, fields, exchange",
    [(httpx2, HTTPX2, sync_exchange), (aiohttp, AIOHTTP, async_exchange)],
)
def test_each_exception_has_a_meaning(
    library: ModuleType,
    fields: dict[str, ExceptionMeaning],
    exchange: Callable[[], LibraryExchange],
) -> None:
    """Each public exception class of httpx2 and aiohttp is classified as listed."""
    existing_classes = exceptions_of(library)

    assert set() == set(existing_classes) - set(fields) - LATER
    assert fields == {
        name: exchange().meaning(without_constructor(existing_classes[name])) for name in fields
    }


@pytest.mark.parametrize(
    "error, meaning",
    [
        (http_exceptions.BadStatusLine(""), ExceptionMeaning.NOT_HTTP),
        (http_exceptions.TransferEncodingError(""), ExceptionMeaning.NOT_HTTP),
        (asyncio.IncompleteReadError(b"", 1), ExceptionMeaning.CUT_OFF),
        (UnicodeError(), ExceptionMeaning.CUT_OFF),
    ],
    ids=repr,
)
def test_wrapped_exceptions_have_a_meaning(error: Exception, meaning: ExceptionMeaning) -> None:
    """Exceptions of other libraries that aiohttp lets through are classified too."""
    assert meaning is async_exchange().meaning(error)


def test_reason_is_the_systems_message() -> None:
    """An error's reason is the operating system's message, or else the exception's class name."""
    lower_error = ssl.SSLCertVerificationError(1, "…")
    lower_error.verify_message = "certificate has expired"
    upper_error = aiohttp.ClientOSError(
        9, "Can not write to http://vendor.example/?token=sk-live-42"
    )
    upper_error.__cause__ = lower_error

    assert "certificate has expired" == reason_for(upper_error)
    assert "Broken pipe" == reason_for(BrokenPipeError(32, "Broken pipe"))
    assert "ClientOSError" == reason_for(aiohttp.ClientOSError(9, "http://vendor.example/?token=x"))
    assert "OSError" == reason_for(OSError("http://vendor.example/?token=x"))


def test_timeouts_of_steps_are_positive() -> None:
    """The timeout of each step is positive and does not exceed the remaining total."""
    assert seconds_left(None, inf) is None
    assert 3.0 == seconds_left(3.0, inf)
    assert 0 < (seconds_left(3.0, -inf) or 0) < 0.01
    assert 0 < (seconds_left(None, 0.0) or 0) < 0.01


def test_exchange_has_the_interface_of_a_wire() -> None:
    """An exchange object has the attributes that the pool reads to check an idle connection."""
    exchange = sync_exchange()

    assert (1, None, True) == (exchange.written, exchange.read_available(), exchange.stale())


def test_urllib3_staleness_check_does_not_wait() -> None:
    """The check of whether a urllib3 connection is stale does not wait."""
    with VendorServer() as vendor, PoolManager() as manager:
        vendor.queue(Behaviour(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", then="close"))
        host, port = vendor.address
        pool = manager.connection_from_host(host, port, "http")
        origin = Origin(host, port, secure=False)
        wire = Connections(allow_unverified=False).take(pool, origin, inf, None)
        assert not wire.stale()
        assert wire.read_available() is None
        run(wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", inf))
        vendor.wait_for_closed()
        assert (wire.read_available() or b"").startswith(b"HTTP/1.1 200")
        assert b"" == wire.read_available()
        wire.close()
        wire.close()


def test_line_break_in_a_field_is_refused() -> None:
    """A response with a line break in a header's value is refused as invalid HTTP."""
    with pytest.raises(NotHttp, match="malformed header field"):
        sync_exchange().encode_head(200, b"OK", [(b"A", b"x\r\nB: y")])
