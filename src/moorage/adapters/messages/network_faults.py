"""Interprets network failures that occur while a connection to a broker is opened."""

from __future__ import annotations

import socket
import ssl

from moorage.domain.messages.publish_failures import PublishFault


def network_fault(error: BaseException) -> PublishFault | None:
    """Return the fault for an exception of Python's network modules; None for others."""
    if isinstance(error, socket.gaierror):
        return PublishFault.HOST
    if isinstance(error, ssl.SSLError):
        return PublishFault.TLS
    if isinstance(error, ConnectionRefusedError):
        return PublishFault.REFUSED
    if isinstance(error, TimeoutError):
        return PublishFault.SLOW_CONNECT
    return None
