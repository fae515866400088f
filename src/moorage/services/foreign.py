"""Errors that are not ours, made ours where a port let one through: named, but never quoted.

What such an error says may hold a secret (a URL, a header, a connection string). So only its class
is told, and where in the adapter it was raised; it is not kept as a cause either.
"""

from __future__ import annotations

from moorage.domain.frames import named
from moorage.domain.health import is_internal
from moorage.errors import (
    ConnectionFailed,
    CredentialNotFound,
    CredentialRefreshFailed,
    LocalFailure,
    StorageUnavailable,
)


def http_broke(error: Exception) -> ConnectionFailed:
    """What an HTTP client raised: nothing is known of the request."""
    kind = LocalFailure if is_internal(error) else ConnectionFailed
    return kind(
        f"the HTTP client raised {named(error)}.",
        remedy="Check that the HTTP client works; its adapter must raise moorage's errors only.",
        may_have_been_processed=True,
    )


def store_broke(error: Exception) -> StorageUnavailable:
    """What a store raised: nothing is known of the command."""
    return StorageUnavailable(
        f"the store of the shared state raised {named(error)}.",
        remedy="Check that the store is up; its adapter must raise StorageUnavailable only.",
    )


def tenants_broke(error: Exception) -> StorageUnavailable:
    """What whoever knows the tenants raised."""
    return StorageUnavailable(
        f"whoever knows the tenants raised {named(error)}.",
        remedy="Check that it can be reached; its adapter must raise StorageUnavailable only.",
    )


def cache_broke(error: Exception) -> StorageUnavailable:
    """What a cache raised: nothing is known of what it keeps."""
    return StorageUnavailable(
        f"the cache raised {named(error)}.",
        remedy="Check that the cache is up; its adapter must raise StorageUnavailable only.",
    )


def no_credentials(error: Exception) -> CredentialNotFound:
    """What a credential provider raised when it was asked."""
    return CredentialNotFound(
        f"the credential provider raised {named(error)}.",
        remedy="Check that its store is up; the provider must raise CredentialNotFound only.",
    )


def not_refreshed(error: Exception) -> CredentialRefreshFailed:
    """What a credential provider raised when it was to renew a credential."""
    return CredentialRefreshFailed(
        f"the credential provider raised {named(error)}.",
        remedy="Check that renewing works; the provider must raise CredentialRefreshFailed only.",
    )
