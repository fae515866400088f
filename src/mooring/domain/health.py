"""What an error says about the health of the service that was called."""

from __future__ import annotations

from mooring.domain.circuit import Outcome
from mooring.errors import (
    BulkheadFull,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    OutcomeUnknown,
    RateLimitExceeded,
    RetryBudgetExhausted,
    StorageUnavailable,
    VendorFailed,
)

SICK = (ConnectionFailed, VendorFailed, OutcomeUnknown)
"""The service could not be reached, broke, or did not answer."""

SILENT = (
    BulkheadFull,
    CircuitBreakerOpen,
    ConfigurationError,
    DeadlineExceeded,
    RetryBudgetExhausted,
    StorageUnavailable,
)
"""We held the call back ourselves: the service was not heard."""


def health(error: Exception) -> Outcome:
    """How a circuit counts a call that ended with `error`.

    A service that refuses a request (4xx, or a limit of its own) is alive and well. An error that
    is not ours counts as a failure.
    """
    if isinstance(error, SICK):
        return Outcome.FAILED
    if isinstance(error, SILENT) or (isinstance(error, RateLimitExceeded) and not error.by_vendor):
        return Outcome.NEUTRAL
    return Outcome.GOOD if isinstance(error, ConnectorError) else Outcome.FAILED


def may_have_acted(error: Exception) -> bool:
    """Whether the service may have done what it was asked although the call ended in `error`.

    A refusal is an answer: nothing was done. An error that is not ours proves nothing.
    """
    if isinstance(error, (ConnectionFailed, DeadlineExceeded)):
        return error.may_have_been_processed
    return isinstance(error, (VendorFailed, OutcomeUnknown)) or not isinstance(
        error, ConnectorError
    )
