"""What an error says about the health of the service that was called."""

from __future__ import annotations

from moorage.domain.circuit import Outcome
from moorage.errors import (
    AuthenticationFailed,
    BulkheadFull,
    CircuitBreakerOpen,
    ConnectionFailed,
    ConnectorError,
    CredentialNotFound,
    CredentialRefreshFailed,
    DeadlineExceeded,
    DestinationRefused,
    OutcomeUnknown,
    RateLimitExceeded,
    RetryBudgetExhausted,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)

SICK = (ConnectionFailed, VendorFailed, OutcomeUnknown)
"""The service could not be reached, broke, or did not answer."""

REFUSED = (VendorRejected, AuthenticationFailed)
"""The service answered, and the answer was no."""

UNASKED = (
    BulkheadFull,
    CircuitBreakerOpen,
    CredentialNotFound,
    CredentialRefreshFailed,
    DestinationRefused,
    RetryBudgetExhausted,
    UnsupportedByVendor,
)
"""We held the call back ourselves: the service was not asked."""


def health(error: Exception) -> Outcome:
    """How a circuit counts a call that ended with `error`.

    A service that refuses a request (4xx, or a limit of its own) is alive and well. Of our own
    errors the others tell nothing of it; an error that is not ours counts as a failure.
    """
    if isinstance(error, UNASKED):
        return Outcome.NEUTRAL
    if isinstance(error, SICK) or not isinstance(error, ConnectorError):
        return Outcome.FAILED
    limited = isinstance(error, RateLimitExceeded) and error.by_vendor
    return Outcome.GOOD if limited or isinstance(error, REFUSED) else Outcome.NEUTRAL


def may_have_acted(error: Exception) -> bool:
    """Whether the service may have done what it was asked although the call ended in `error`.

    A refusal is an answer: nothing was done. What is not known to prove that proves nothing.
    """
    if isinstance(error, (ConnectionFailed, DeadlineExceeded)):
        return error.may_have_been_processed
    return not isinstance(error, (*REFUSED, *UNASKED, RateLimitExceeded))
