"""A small HTTP server for the operations page, for use on this machine."""

from __future__ import annotations

import socket
from contextlib import suppress
from socketserver import ThreadingMixIn
from threading import Condition
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from moorage.dashboard.request_stream import RequestStream
from moorage.dashboard.web import LARGEST_BODY
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.dashboard.wsgi import DashboardApp

_LONGEST_ARRIVAL: Final = 1.0
"""The seconds for which a server that closes waits for the requests of accepted connections."""

_LARGEST_REQUEST: Final = 4 * LARGEST_BODY
"""Bytes of a request, with its headers, which are as large as the body at most."""

_MOST_CONNECTIONS: Final = 64
_BUSY: Final = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class _Handler(WSGIRequestHandler):
    """A request handler without a log, because the first URL contains a token."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - the server is always a Server

    def setup(self) -> None:
        """Read the request from the stream of its connection."""
        super().setup()
        self.rfile.close()
        self.rfile = self.server.stream_of(self.connection).buffered()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""


class Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each connection.

    A request must arrive within ten seconds. If there are too many connections, the server drops
    the oldest whose request has not arrived yet; if all have, it refuses the new one with 503.

    `server_close` waits for the answers in progress, and up to a second for requests that have not
    arrived yet.

    Args:
        host: the address to listen on.
        port: the port; 0 for any free port.
        app: the application; it may be set later.
        most: the number of connections at the same time.

    Raises:
        ConfigurationError: the port is not available.
    """

    daemon_threads = False  # the stores must stay open while a connection is being answered

    def __init__(
        self,
        host: str,
        port: int,
        app: DashboardApp | None = None,
        *,
        most: int = _MOST_CONNECTIONS,
    ) -> None:
        self._streams = dict[socket.socket, RequestStream]()
        self._most = most
        self._has_changed = Condition()
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError):
            raise ConfigurationError(
                f"The port {port} of {host} is not available.",
                path="--port",
                remedy="Pass another port, or 0 for any free port.",
            ) from None
        if app is not None:
            self.set_app(app)

    def server_bind(self) -> None:
        """Bind without looking up this machine's name."""
        super(WSGIServer, self).server_bind()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # the address is a host and a port
        self.setup_environ()

    def stream_of(self, connection: socket.socket) -> RequestStream:
        """Return the stream that reads the request from a connection."""
        return self._streams[connection]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own."""
        with self._has_changed:
            has_room = self._make_room()
            if has_room:
                self._streams[request] = RequestStream(request, _LARGEST_REQUEST)
        if has_room:
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def _make_room(self) -> bool:
        """If there are too many connections, drop the oldest one whose client is still sending."""
        streams = [stream for stream in self._streams.values() if not stream.is_cut]
        if len(streams) < self._most:
            return True
        oldest = next((stream for stream in streams if stream.waits), None)
        if oldest is None:
            return False
        oldest.cut()
        return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that was answered."""
        super().shutdown_request(request)
        with self._has_changed:
            self._streams.pop(request, None)
            self._has_changed.notify_all()

    def server_close(self) -> None:
        """Close the server, and wait for the answers in progress."""
        with self._has_changed:
            self._has_changed.wait_for(lambda: not self._streams, _LONGEST_ARRIVAL)
            for stream in self._streams.values():
                stream.cut()
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed its connection."""
