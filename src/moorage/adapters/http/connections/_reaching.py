"""The error for an exception that ended the opening of a connection."""

from __future__ import annotations

import socket
import ssl

from moorage.adapters.http.connections._wire import TimeIsUp
from moorage.domain.connectors.unreachable import unreachable


def reaching_error(error: Exception) -> Exception:
    """Return the error for a connection that could not be opened; others are returned unchanged."""
    if isinstance(error, (TimeIsUp, TimeoutError)):
        return unreachable("slow")
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return unreachable("host")
    if isinstance(error, ssl.SSLError):
        return unreachable("TLS")
    if isinstance(error, ConnectionRefusedError):
        return unreachable("refused")
    return unreachable("") if isinstance(error, OSError) else error
