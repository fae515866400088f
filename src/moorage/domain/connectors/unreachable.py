"""The error for a server to which no connection could be opened."""

from __future__ import annotations

from typing import Final

from moorage.errors import AttemptTimeout, ConnectionFailed


def unreachable_error(reason: str) -> ConnectionFailed:
    """Return the error for a connection to a server that could not be opened.

    Args:
        reason: "host", "TLS", "refused", "slow", or anything else.
    """
    text, remedy, retryable = _CONNECTING.get(reason, _CONNECTING[""])
    kind = AttemptTimeout if reason == "slow" else ConnectionFailed
    return kind(text, may_have_been_processed=False, remedy=remedy, retryable=retryable)


_CONNECTING: Final[dict[str, tuple[str, str, bool]]] = {
    "host": (
        "The host of the server is unknown.",
        "Correct the host in the URL, or the name server.",
        False,
    ),
    "TLS": (
        "No trusted connection to the server could be made: TLS failed.",
        "Check that the server offers TLS, the name in its certificate, and the authorities.",
        False,
    ),
    "refused": (
        "Nothing accepts connections at the address of the server.",
        "Start the server, or correct host and port in the URL.",
        True,
    ),
    "slow": (
        "No connection to the server could be opened in time.",
        "Check the address and firewalls, or raise `connect_timeout`.",
        True,
    ),
    "": (
        "The server ended the connection while it was opened.",
        "Check that the right server listens there, and that the scheme of the URL fits it.",
        True,
    ),
}
