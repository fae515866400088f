"""The error for a server to which no connection could be opened."""

from __future__ import annotations

from typing import Final

from moorage.errors import AttemptTimeout, ConnectionFailed


def unreachable_error(reason: str) -> ConnectionFailed:
    """Return the error for a connection to a server that could not be opened.

    Args:
        reason: "host", "TLS", "refused", "slow", or anything else.
    """
    text, remedy, retryable = _CONNECT_PROBLEMS.get(reason, _CONNECT_PROBLEMS[""])
    kind = AttemptTimeout if reason == "slow" else ConnectionFailed
    return kind(text, may_have_been_processed=False, remedy=remedy, retryable=retryable)


_CONNECT_PROBLEMS: Final[dict[str, tuple[str, str, bool]]] = {
    "host": (
        "The host name of the server could not be resolved.",
        "Correct the host in the URL, or check the DNS server.",
        False,
    ),
    "TLS": (
        "No trusted connection to the server could be opened: TLS failed.",
        (
            "Check that the server offers TLS, that its certificate is valid for the host, and"
            " that `authorities` contains its issuer."
        ),
        False,
    ),
    "refused": (
        "Nothing accepts connections at the address of the server.",
        "Start the server, or correct the host and the port in the URL.",
        True,
    ),
    "slow": (
        "The connection to the server could not be opened in time.",
        "Check the address and the firewalls, or raise `connect_timeout`.",
        True,
    ),
    "": (
        "The server closed the connection while it was being opened.",
        (
            "Check that the right server listens at this address, and that the scheme of the URL"
            " matches it."
        ),
        True,
    ),
}
