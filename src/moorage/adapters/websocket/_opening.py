"""Opens a connection with the library `websockets`, and reads how it ended."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from socket import gaierror
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidStatus,
    WebSocketException,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from moorage.domain.connectors.websocket_failures import (
    Closure,
    OpeningFault,
    opening_error,
    refused_opening,
)
from moorage.domain.http.requests import Headers
from moorage.domain.resilience.vendor_hints import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.http11 import Request, Response

    from moorage.errors import ConnectorError

_WHOLE_OPCODES: Final = frozenset({Opcode.TEXT, Opcode.BINARY})
_DATA: Final = _WHOLE_OPCODES | {Opcode.CONT}


class DirectConnection(ClientConnection):
    """A connection that delivers each message on arrival, without a queue.

    Fragments wait in the library's queue for `recv`, and so do all messages after them until the
    fragments are taken. So messages keep their order.

    Attributes:
        receive: takes a message, or returns False to have it queued.
        queued: the number of whole messages in the queue.
    """

    receive: Callable[[str | bytes], bool] | None = None
    queued = 0

    def send_at_once(self, message: str | bytes) -> bool:
        """Send a whole message if this needs no waiting; otherwise return False.

        `send` of the library does the same inside a context manager, which costs more than the
        message. It also waits while too much is unsent, which callers of this method must not do,
        and reports a closed connection.
        """
        protocol = self.protocol
        if protocol.state is not State.OPEN or self.paused or self.transport.is_closing():
            return False
        if isinstance(message, str):
            try:
                data = message.encode()
            except UnicodeEncodeError:
                return False
            protocol.send_text(data)
        else:
            protocol.send_binary(message)
        self.send_data()
        return True

    def process_event(self, event: Request | Response | Frame) -> None:
        """Deliver a message; let the library handle all other events."""
        if type(event) is Frame and event.fin and event.opcode in _DATA:
            if not self.queued and event.opcode in _WHOLE_OPCODES and self._was_received(event):
                return
            self.queued += 1
        super().process_event(event)

    def _was_received(self, frame: Frame) -> bool:
        if self.receive is None:
            return False
        data = bytes(frame.data)
        if frame.opcode is not Opcode.TEXT:
            return self.receive(data)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return False
        return self.receive(text)


class _Connect(connect):
    """Opens a connection without following redirects, which would leak the credentials."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def open_connection(
    url: str, headers: list[tuple[str, str]], timeout: float, options: dict[str, Any]
) -> ClientConnection:
    """Open a WebSocket connection.

    Raises:
        ConnectorError: no connection could be opened within `timeout` seconds.
    """
    settings: dict[str, Any] = {"create_connection": DirectConnection, **options}
    try:
        async with asyncio.timeout(timeout):
            return await _Connect(url, additional_headers=headers, open_timeout=None, **settings)
    except (TimeoutError, OSError, WebSocketException) as error:
        failure = _failure(error)
    finally:
        del url, headers
    # The library's stack frames contain the headers.
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
    received_close, sent_close = error.rcvd, error.sent
    if received_close is not None and (sent_close is None or error.rcvd_then_sent):
        return Closure(received_close.code, received_close.reason)
    if sent_close is not None:
        return Closure(sent_close.code, sent_close.reason, by_client=True)
    return Closure()
