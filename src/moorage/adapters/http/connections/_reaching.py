"""The error for a failure to open a connection."""

from __future__ import annotations

import socket
import ssl

from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.domain.connectors.unreachable import unreachable_error


def connection_opening_error(error: Exception) -> Exception:
    """Convert an exception from opening a connection to an error; return other ones unchanged."""
    if isinstance(error, (DeadlinePassed, TimeoutError)):
        return unreachable_error("slow")
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return unreachable_error("host")
    if isinstance(error, ssl.SSLError):
        return unreachable_error("TLS")
    if isinstance(error, ConnectionRefusedError):
        return unreachable_error("refused")
    return unreachable_error("") if isinstance(error, OSError) else error
