"""The errors that show that the called service is not healthy."""

from __future__ import annotations

import errno
from typing import Final

from moorage.domain.resilience.circuit import Outcome
from moorage.domain.resilience.interruptions import is_interruption
from moorage.errors import (
    AuthenticationFailed,
    BulkheadFull,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    CredentialNotFound,
    CredentialRefreshFailed,
    DeadlineExceeded,
    DestinationRefused,
    HostKeyRefused,
    InvalidData,
    LocalFailure,
    OutcomeUnknown,
    RateLimitExceeded,
    RetryBudgetExhausted,
    StorageUnavailable,
    TransactionConflict,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)

SICK = (ConnectionFailed, VendorFailed, OutcomeUnknown)
"""Errors of a service that was unreachable, failed, or did not respond."""

REFUSED = (VendorRejected, AuthenticationFailed)
"""Errors of a service that responded with a refusal."""

_HEALTHY_ERRORS: Final = (*REFUSED, TransactionConflict)
"""Errors of a healthy service; a conflict between transactions is no outage of the database."""

UNASKED = (
    BulkheadFull,
    CircuitBreakerOpen,
    CredentialNotFound,
    CredentialRefreshFailed,
    DestinationRefused,
    HostKeyRefused,
    RetryBudgetExhausted,
    UnsupportedByVendor,
)
"""Errors of calls that moorage held back, so that the service was not called."""

BUGS: Final = (
    AssertionError,
    AttributeError,
    ImportError,
    NameError,
    NotImplementedError,
    RecursionError,
    TypeError,
)
"""Errors of the program itself, which a retry would only repeat."""

_INTERNAL_ERRORS: Final = (
    ConfigurationError,
    CredentialNotFound,
    InvalidData,
    LocalFailure,
    MemoryError,
    StorageUnavailable,
    UnsupportedByVendor,
    *BUGS,
)

_EXHAUSTED: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}
)


def is_exhaustion(error: BaseException) -> bool:
    """Return whether an error means that this machine lacks memory, files or sockets."""
    return isinstance(error, OSError) and error.errno in _EXHAUSTED


def is_internal(error: Exception) -> bool:
    """Return whether an error comes from this program or machine, and not from the service."""
    return isinstance(error, _INTERNAL_ERRORS) or is_exhaustion(error)


def health(error: Exception) -> Outcome:
    """Return the outcome that a circuit counts for a call that ended with `error`.

    A service is healthy if it refuses a request (4xx, or its own limit), or if its answer only
    differs from the description of the API. Errors of this program and
    its machine, and interruptions, do not concern the service; any other foreign exception counts
    as a failure.
    """
    if isinstance(error, UNASKED) or is_internal(error):
        return Outcome.NEUTRAL
    if isinstance(error, _HEALTHY_ERRORS):
        return Outcome.GOOD
    if isinstance(error, VendorFailed) and error.is_well_formed:
        return Outcome.GOOD
    if isinstance(error, SICK):
        return Outcome.FAILED
    if not isinstance(error, ConnectorError):
        return Outcome.NEUTRAL if is_interruption(error) else Outcome.FAILED
    is_limited = isinstance(error, RateLimitExceeded) and error.by_vendor
    return Outcome.GOOD if is_limited else Outcome.NEUTRAL


def may_have_acted(error: Exception) -> bool:
    """Return whether the service may have processed the call although it ended in `error`.

    An error response proves that nothing was done. An error of an unknown kind proves nothing.
    """
    if isinstance(error, (ConnectionFailed, DeadlineExceeded, VendorFailed)):
        return error.may_have_been_processed
    return not isinstance(error, (*REFUSED, *UNASKED, RateLimitExceeded))
