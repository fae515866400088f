"""A server that sends bytes without end, and never reads."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

MOST = 64_000_000
"""The bytes after which the server gives up: a client that is still there has no bound."""


@contextmanager
def flooding_server(piece: bytes) -> Generator[tuple[int, list[int]]]:
    """Yield the port of a server that floods one client, and the list of sizes sent so far."""
    sent_sizes: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                while sum(sent_sizes) < MOST:
                    sent_sizes.append(connection.send(piece))

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield listener.getsockname()[1], sent_sizes
        server.join()
