"""The moorage errors that replace unexpected exceptions from an application's own adapters.

A foreign exception may contain a secret, such as a URL, a header or a connection string. So only
its class and the line of the adapter that raised it are reported, and it is not kept as the cause
of moorage's error.
"""

from __future__ import annotations

from moorage.domain.resilience.health import is_internal
from moorage.domain.secrets.frames import error_name
from moorage.domain.values.text import with_article
from moorage.errors import (
    ConnectionFailed,
    CredentialNotFound,
    CredentialRefreshFailed,
    LocalFailure,
    StorageUnavailable,
)


def http_failure(error: Exception) -> ConnectionFailed:
    """Return the error for an exception of an HTTP client; the request may have been processed."""
    kind = LocalFailure if is_internal(error) else ConnectionFailed
    return kind(
        f"The HTTP client raised {error_name(error)}.",
        remedy="Check that the HTTP client works. Its adapter may raise only moorage's errors.",
        may_have_been_processed=True,
    )


def wrong_answer_error(answer: object, expected: str) -> ConnectionFailed:
    """Return the error for an HTTP client that returned something else than `expected`.

    The request may have been processed.
    """
    return ConnectionFailed(
        f"The HTTP client returned {with_article(type(answer).__name__)} instead of {expected}.",
        remedy="Correct the HTTP client. The reference of its port describes what it must return.",
        may_have_been_processed=True,
    )


def unusable_head_error(status: object, headers: object) -> ConnectionFailed:
    """Return the error for an HTTP client's response with an invalid status or headers."""
    types = f"{type(status).__name__} and {type(headers).__name__}"
    return ConnectionFailed(
        f"The HTTP client returned a response with a status and headers of the types {types}.",
        remedy="Correct the HTTP client: the status must be an int, and the headers must be a"
        " Headers.",
        may_have_been_processed=True,
    )


def store_failure(error: Exception) -> StorageUnavailable:
    """Return the error for an exception of a store; the command may have been carried out."""
    return StorageUnavailable(
        f"The shared state's store raised {error_name(error)}.",
        remedy="Check that the store is available. Its adapter may raise only StorageUnavailable.",
    )


def wrong_store_answer_error(command: object, answer: object) -> StorageUnavailable:
    """Return the error for a store that replied to a command with a value of a wrong type."""
    return StorageUnavailable(
        f"The shared state's store returned {with_article(type(answer).__name__)} for the"
        f" command {type(command).__name__}.",
        remedy="Correct the store: `execute` must return the result of the command's `apply`.",
    )


def audit_failure(error: Exception) -> StorageUnavailable:
    """Return the error for an exception of an audit trail, which may have recorded the act."""
    return StorageUnavailable(
        f"The audit trail raised {error_name(error)}.",
        remedy="Check that the audit trail is available. Its adapter may raise only"
        " StorageUnavailable.",
    )


def tenants_failure(error: Exception) -> StorageUnavailable:
    """Return the error for an exception of the source of tenants' configurations."""
    return StorageUnavailable(
        f"The tenant provider raised {error_name(error)}.",
        remedy="Check that the tenant provider is available. Its adapter may raise only"
        " StorageUnavailable.",
    )


def cache_failure(error: Exception) -> StorageUnavailable:
    """Return the error for an exception of a cache, after which the cached response is unknown."""
    return StorageUnavailable(
        f"The cache raised {error_name(error)}.",
        remedy="Check that the cache is available. Its adapter may raise only StorageUnavailable.",
    )


def credential_read_failure(error: Exception) -> CredentialNotFound:
    """Return the error for a credential provider's exception while it read credentials."""
    return CredentialNotFound(
        f"The credential provider raised {error_name(error)}.",
        remedy="Check that the provider's store is available. The provider may raise only"
        " CredentialNotFound.",
    )


def negotiator_failure(error: Exception) -> CredentialNotFound:
    """Return the error for an exception of a negotiator of Kerberos or NTLM tokens."""
    return CredentialNotFound(
        f"The negotiator raised {error_name(error)}.",
        remedy="Check that the negotiator has an identity. It may raise only CredentialNotFound.",
    )


def refresh_failure(error: Exception) -> CredentialRefreshFailed:
    """Return the error for a credential provider's exception while it renewed credentials."""
    return CredentialRefreshFailed(
        f"The credential provider raised {error_name(error)}.",
        remedy="Check that the provider can renew credentials. It may raise only"
        " CredentialRefreshFailed.",
    )


def credential_store_failure(error: Exception) -> StorageUnavailable:
    """Return the error to raise if a credential provider fails to store credentials."""
    return StorageUnavailable(
        f"The credential provider raised {error_name(error)}.",
        remedy="Check that the provider can write to its store. It may raise only"
        " StorageUnavailable.",
    )
