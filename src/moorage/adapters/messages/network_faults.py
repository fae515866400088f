"""Interprets network failures during the opening of a broker connection."""

from __future__ import annotations

import socket
import ssl

from moorage.domain.messages.publish_failures import PublishFault


def network_fault(error: BaseException) -> PublishFault | None:
    """Return the fault for a network exception of Python; None for other exceptions."""
    if isinstance(error, socket.gaierror):
        return PublishFault.HOST
    if isinstance(error, ssl.SSLError):
        return PublishFault.TLS
    if isinstance(error, ConnectionRefusedError):
        return PublishFault.REFUSED
    if isinstance(error, TimeoutError):
        return PublishFault.SLOW_CONNECT
    return None
