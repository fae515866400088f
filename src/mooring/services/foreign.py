"""Errors that are not ours, made ours where a port let one through: named, but never quoted.

What such an error says may hold a secret (a URL, a header, a connection string). So only its class
is told, and where in the adapter it was raised; it is not kept as a cause either.
"""

from __future__ import annotations

from mooring.errors import (
    ConnectionFailed,
    CredentialNotFound,
    CredentialRefreshFailed,
    StorageUnavailable,
)


def http_broke(error: Exception) -> ConnectionFailed:
    """What an HTTP client raised: nothing is known of the request."""
    return ConnectionFailed(
        f"the HTTP client raised {_named(error)}.",
        remedy="Check that the HTTP client works; its adapter must raise mooring's errors only.",
    )


def store_broke(error: Exception) -> StorageUnavailable:
    """What a store raised: nothing is known of the command."""
    return StorageUnavailable(
        f"the store of the shared state raised {_named(error)}.",
        remedy="Check that the store is up; its adapter must raise StorageUnavailable only.",
    )


def no_credentials(error: Exception) -> CredentialNotFound:
    """What a credential provider raised when it was asked."""
    return CredentialNotFound(
        f"the credential provider raised {_named(error)}.",
        remedy="Check that its store is up; the provider must raise CredentialNotFound only.",
    )


def not_refreshed(error: Exception) -> CredentialRefreshFailed:
    """What a credential provider raised when it was to renew a credential."""
    return CredentialRefreshFailed(
        f"the credential provider raised {_named(error)}.",
        remedy="Check that renewing works; the provider must raise CredentialRefreshFailed only.",
    )


def _named(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} in {trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno}"
