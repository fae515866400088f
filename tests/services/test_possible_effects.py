"""Every error says whether the vendor may have processed the call."""

from __future__ import annotations

import pytest

import moorage.errors
from moorage import (
    CircuitBreakerOpen,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    OutcomeUnknown,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)


def lost_answer() -> ConnectionFailed:
    """Return a new error that reports a lost response."""
    return ConnectionFailed("The answer was lost.")


def refused_connection() -> ConnectionFailed:
    """Return a new error that reports a refused connection."""
    return ConnectionFailed("Nobody listens.", may_have_been_processed=False)


@pytest.mark.parametrize(
    "error, expected",
    [
        (lost_answer(), True),
        (refused_connection(), False),
        (VendorFailed("The vendor failed."), True),
        (VendorRejected("The vendor refused."), False),
    ],
)
def test_error_of_a_call_says_whether_it_may_have_been_processed(
    error: ConnectorError, expected: bool
) -> None:
    """The error of a call says whether the vendor may have processed it, whatever its class."""

    def fail() -> None:
        raise error

    manager = ConnectorManager([Service("bank", retry=None)])
    with pytest.raises(ConnectorError) as excinfo:
        manager.run("bank", fail)
    assert excinfo.value.may_have_been_processed is expected


def test_earlier_attempt_counts() -> None:
    """If an earlier attempt's response was lost, the call may have been processed."""
    last_error = refused_connection()
    errors = [last_error, lost_answer()]

    def fail() -> None:
        raise errors.pop()

    policy = RetryPolicy(max_attempts=2, base_delay=0.001)
    manager = ConnectorManager([Service("bank", retry=policy)])
    with pytest.raises(ConnectionFailed) as excinfo:
        manager.run("bank", fail)
    assert ([], last_error) == (errors, excinfo.value)
    assert excinfo.value.may_have_been_processed


def test_only_errors_of_lost_answers_are_doubtful_on_their_own() -> None:
    """An error created outside a call is uncertain only if it could mean a lost response."""
    classes = [
        kind
        for kind in vars(moorage.errors).values()
        if isinstance(kind, type) and issubclass(kind, ConnectorError)
    ]
    doubtful = {kind for kind in classes if kind.may_have_been_processed}
    assert {OutcomeUnknown, VendorFailed} == doubtful
    assert not CircuitBreakerOpen("The circuit is open.").may_have_been_processed
