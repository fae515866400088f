"""The errors for failures of a WebSocket connection."""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

OVERSIZED: Final = 1009
_LOSS_CODES: Final = frozenset({1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014})
"""WebSocket close codes after which the same request may succeed on another connection."""

_LONGEST_REASON: Final = 123
"""The maximum number of bytes in a WebSocket's close reason (RFC 6455, section 5.5)."""


class OpeningFault(Enum):
    """The reason that a WebSocket connection could not be opened."""

    HOST = "host"
    REFUSED = "refused"
    TLS = "tls"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"


@attrs.frozen
class Closure:
    """The end of a WebSocket connection: the code, the reason, and which side ended it.

    Attributes:
        code: the server's code, or the client's code if the client ended the connection; 1006
            if the
            connection broke off.
        reason: the reason that the server gave.
        by_client: True if the client ended the connection, because of a message that breaks the
            protocol or a limit.
    """

    code: int = 1006
    reason: str = ""
    by_client: bool = False


_FAULTS: Final[dict[OpeningFault, tuple[str, str, bool]]] = {
    OpeningFault.HOST: (
        "The host name of the WebSocket server could not be resolved.",
        "Correct the host in the URL, or check the DNS server.",
        False,
    ),
    OpeningFault.REFUSED: (
        "The WebSocket server cannot be reached.",
        "Start the server, or correct the host and the port.",
        True,
    ),
    OpeningFault.TLS: (
        "No trusted connection to the WebSocket server could be opened: TLS failed.",
        (
            "Check that the server offers TLS, that its certificate is valid for the host, and"
            " that `authorities` contains its issuer."
        ),
        False,
    ),
    OpeningFault.PROTOCOL: (
        "The server did not answer like a WebSocket server.",
        "Correct the path of the URL, and check the proxies in front of the server.",
        False,
    ),
}


def opening_error(fault: OpeningFault) -> ConnectionFailed:
    """Return the error for a WebSocket connection that could not be opened."""
    if fault is OpeningFault.TIMEOUT:
        return AttemptTimeout(
            "The WebSocket server did not accept a connection in time.",
            may_have_been_processed=False,
            remedy="Check the address and the network, or raise `connect_timeout`.",
        )
    message, remedy, retryable = _FAULTS[fault]
    return ConnectionFailed(
        message, may_have_been_processed=False, remedy=remedy, retryable=retryable
    )


def refused_opening(status: int, retry_after: float | None) -> ConnectorError:
    """Return the error for a WebSocket server whose HTTP response has a status other than 101.

    Args:
        status: the status of HTTP.
        retry_after: the seconds after which the server asks to try again; None if it does not.
    """
    error: ConnectorError
    if status in {401, 403}:
        error = AuthenticationFailed(
            f"The WebSocket server refused the credential (HTTP {status}).",
            status=status,
            remedy="Correct the connector's credential, and check its permissions.",
        )
    elif status == 429:
        error = RateLimitExceeded(
            "The WebSocket server accepts no more connections for now (HTTP 429).",
            status=status,
            by_vendor=True,
        )
    elif status >= 500:
        error = ConnectionFailed(
            f"The WebSocket server failed while the connection was being opened (HTTP {status}).",
            may_have_been_processed=False,
            remedy="Try again later. If the error persists, check the server's log.",
        )
    else:
        error = VendorRejected(
            f"The server refused to open a WebSocket (HTTP {status}).",
            status=status,
            remedy="Correct the path of the URL; redirects are not followed.",
        )
    error.vendor_retry_after = retry_after
    return error


def closing_error(closure: Closure, *, was_sent: bool) -> ConnectorError:
    """Return the error of a request or subscription whose WebSocket connection ended.

    Args:
        closure: the end of the connection.
        was_sent: True if the server may have processed the request.
    """
    if closure.by_client and closure.code == OVERSIZED:
        return _closure_error(
            closure,
            "The server sent a message larger than `max_message_bytes`.",
            "Raise `max_message_bytes`, or request less data at once.",
        )
    if closure.by_client and closure.code not in _LOSS_CODES:
        return _closure_error(
            closure,
            "The server sent a message that violates the protocol or that the codec cannot read.",
            "Check that the codec matches the server, and inform the vendor.",
        )
    if not was_sent or closure.code in _LOSS_CODES:
        return ConnectionFailed(
            f"The WebSocket connection was lost (code {closure.code}).",
            may_have_been_processed=was_sent,
            remedy="Check that the server is running, and check the network and the proxies"
            " in front of it.",
        )
    return _closure_error(
        closure,
        f"The server closed the WebSocket connection with the code {closure.code}.",
        "Look up the code in the vendor's documentation. Before you repeat the request, find"
        " out whether the vendor processed it.",
    )


def reply_timeout(*, was_sent: bool) -> AttemptTimeout:
    """Return the error for a WebSocket request that got no reply before the deadline."""
    return AttemptTimeout(
        "The WebSocket server did not reply in time."
        if was_sent
        else "The request could not be sent in time.",
        may_have_been_processed=was_sent,
        remedy="Check the load of the server, or raise the timeout of the call.",
    )


def _closure_error(closure: Closure, message: str, remedy: str) -> VendorFailed:
    return VendorFailed(
        message,
        vendor_code=str(closure.code),
        vendor_message=closure.reason[:_LONGEST_REASON] or None,
        retryable=False,
        remedy=remedy,
    )
