"""The reaction to a failure in a pipeline: a retry, a dead letter, or the pipeline's end."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from moorage.errors import ConnectorError, InvalidData, VendorRejected

if TYPE_CHECKING:
    from moorage.domain.resilience.retry import RetryPolicy


class Verdict(Enum):
    """The reaction of a pipeline to one failure, such as a retry."""

    RETRY = "retry"
    """Process the same records again later, as they may succeed then."""

    DEAD_LETTER = "dead_letter"
    """The record is at fault: it becomes a dead letter, and the pipeline continues."""

    STOP = "stop"
    """The program or the configuration is at fault: every further record would fail as well."""


class FailureConsequence(Enum):
    """The reaction of a pipeline to a failure that remains after all retries."""

    STOP = "stop"
    """The pipeline stops; the record is delivered again when the pipeline runs again."""

    DEAD_LETTER = "dead_letter"
    """The record becomes a dead letter, and the pipeline continues."""

    RETRY = "retry"
    """The pipeline keeps retrying, with the longest pause between attempts."""


_RECORD_AT_FAULT: Final = (
    ArithmeticError,
    AttributeError,
    InvalidData,
    LookupError,
    TypeError,
    ValueError,
    VendorRejected,
)
"""Errors about a record with an unexpected value. A programming mistake may raise some of these
errors too, for each record; a pipeline stops after many dead letters in a row.
"""


def verdict(error: Exception, policy: RetryPolicy) -> Verdict:
    """Return the pipeline's reaction to an error of its transform or its sink.

    An error about a value, or an error response of the vendor, is the record's fault. Errors that
    the policy retries are temporary. Other errors, such as a wrong password, belong to neither
    group.
    """
    if _is_about_value(error):
        return Verdict.DEAD_LETTER
    return Verdict.RETRY if policy.retries(error) else Verdict.STOP


def source_verdict(error: Exception, policy: RetryPolicy) -> Verdict:
    """Return a pipeline's reaction to an error of its source: a retry or the pipeline's end."""
    return Verdict.RETRY if policy.retries(error) and not _is_about_value(error) else Verdict.STOP


def _is_about_value(error: Exception) -> bool:
    is_temporary = isinstance(error, ConnectorError) and error.retryable
    return isinstance(error, _RECORD_AT_FAULT) and not is_temporary
