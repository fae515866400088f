"""Opening a connection with the library `websockets`, and reading how it ended."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from socket import gaierror
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidStatus,
    WebSocketException,
)

from moorage.domain.connectors.websocket_failures import (
    Closure,
    OpeningFault,
    opening_error,
    refused_opening,
)
from moorage.domain.http.requests import Headers
from moorage.domain.resilience.vendor_hints import retry_after

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from moorage.errors import ConnectorError


class _Connect(connect):
    """Opens a connection without following redirects, which would pass on the credentials."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def open_connection(
    url: str, headers: list[tuple[str, str]], timeout: float, options: dict[str, Any]
) -> ClientConnection:
    """Open a WebSocket connection.

    Raises:
        ConnectorError: no connection could be opened within `timeout` seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _Connect(url, additional_headers=headers, open_timeout=None, **options)
    except (TimeoutError, OSError, WebSocketException) as error:
        failure = _failure(error)
    finally:
        del url, headers
    # The frames of the library hold the headers.
    raise failure


def _failure(error: Exception) -> ConnectorError:
    if isinstance(error, InvalidStatus):
        response = error.response
        pause = retry_after(Headers(list(response.headers.raw_items())), datetime.now(UTC))
        return refused_opening(response.status_code, pause)
    return opening_error(_fault(error))


def _fault(error: Exception) -> OpeningFault:
    if isinstance(error, TimeoutError):
        return OpeningFault.TIMEOUT
    if isinstance(error, gaierror):
        return OpeningFault.HOST
    if isinstance(error, ssl.SSLError):
        return OpeningFault.TLS
    is_cut = isinstance(error, InvalidMessage) and isinstance(error.__cause__, EOFError)
    return OpeningFault.REFUSED if is_cut or isinstance(error, OSError) else OpeningFault.PROTOCOL


def closure_of(error: ConnectionClosed) -> Closure:
    """Return the code and reason with which a WebSocket connection ended."""
    received, sent = error.rcvd, error.sent
    if received is not None and (sent is None or error.rcvd_then_sent):
        return Closure(received.code, received.reason)
    if sent is not None:
        return Closure(sent.code, sent.reason, by_client=True)
    return Closure()
