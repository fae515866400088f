"""A local server with a thread per connection, to which subclasses add a protocol."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from threading import Lock, Thread
from typing import Self


class TcpServer:
    """A server that runs during its `with` block, or between `start` and `stop`.

    Args:
        tls: speaks TLS with this context.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.lock = Lock()
        self._tls = tls
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()

    @property
    def port(self) -> int:
        """The port of the server; 0 before it is started."""
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    def start(self) -> Self:
        """Start the server, and return it."""
        self._listener = listener = socket.create_server(("127.0.0.1", 0))
        Thread(
            target=self._accept, args=(listener,), name="moorage-testing-server", daemon=True
        ).start()
        return self

    def stop(self) -> None:
        """Accept no more connections, and close the open ones."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Close all connections; clients may connect again."""
        with self.lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _answer_requests(self, connection: socket.socket) -> None:
        """Respond to the requests on one connection until the connection ends."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                if self._tls is not None:
                    try:
                        connection = self._tls.wrap_socket(
                            connection, server_side=True, do_handshake_on_connect=False
                        )
                    except OSError:  # the client has reset the connection
                        connection.close()
                        continue
                with self.lock:
                    self._connections.add(connection)
                Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            # Bytes that are not a request end the connection.
            with suppress(OSError, ValueError, LookupError):
                if isinstance(connection, ssl.SSLSocket):
                    connection.do_handshake()
                self._answer_requests(connection)
            with self.lock:
                self._connections.discard(connection)
