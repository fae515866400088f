"""Ports for servers that run as separate programs."""

from __future__ import annotations

import contextlib
import secrets
import socket


def free_port() -> int:
    """Return a free port that the system does not use for outgoing connections.

    So it lies below the ports that the system gives, and so does the one 10,000 above it, which a
    Redis cluster talks on.
    """
    while True:
        port = 10_240 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError):
            for item in (port, port + 10_000):
                socket.create_server(("127.0.0.1", item)).close()
            return port
