"""A small HTTP server for the operations page, for use on this machine."""

from __future__ import annotations

import socket
from contextlib import suppress
from socketserver import ThreadingMixIn
from threading import Condition
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.dashboard.wsgi import DashboardApp

_CLIENT_TIMEOUT: Final = 10.0


_LONGEST_ARRIVAL: Final = 1.0
"""The seconds for which a server that closes waits for the requests of accepted connections."""


class _Handler(WSGIRequestHandler):
    """A request handler without a log, because the first URL contains a token."""

    timeout = _CLIENT_TIMEOUT

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""


class Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each connection.

    `server_close` waits for the answers in progress, and up to a second for requests that have not
    arrived yet.

    Args:
        host: the address to listen on.
        port: the port; 0 for any free port.
        app: the application; it may be set later.

    Raises:
        ConfigurationError: the port is not available.
    """

    daemon_threads = False  # the stores must stay open while a connection is being answered

    def __init__(self, host: str, port: int, app: DashboardApp | None = None) -> None:
        self._connections = set[socket.socket]()
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

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own."""
        with self._has_changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that was answered."""
        super().shutdown_request(request)
        with self._has_changed:
            self._connections.discard(request)
            self._has_changed.notify_all()

    def server_close(self) -> None:
        """Close the server, and wait for the answers in progress."""
        with self._has_changed:
            self._has_changed.wait_for(lambda: not self._connections, _LONGEST_ARRIVAL)
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed its connection."""
