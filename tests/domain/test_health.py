"""The effect of an error on a service's measured health."""

from __future__ import annotations

import errno

import pytest

from moorage import errors
from moorage.domain.resilience.circuit import Outcome
from moorage.domain.resilience.health import health, is_internal, may_have_acted
from moorage.errors import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    CredentialNotFound,
    DeadlineExceeded,
    InvalidData,
    LocalFailure,
    RateLimitExceeded,
    StorageUnavailable,
)

KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ConnectorError) and not name.startswith("_")
}
FAILED = {"ConnectionFailed", "AttemptTimeout", "VendorFailed", "OutcomeUnknown"}
GOOD = {
    "TransactionConflict",
    "VendorRejected",
    "InvalidRequest",
    "PaymentDeclined",
    "FileNotFound",
    "AlreadyExists",
    "ChangedMeanwhile",
    "ChangesExpired",
    "ConsentRequired",
    "DeviceGone",
    "MessageUnroutable",
    "SchemaIncompatible",
    "SchemaNotFound",
    "TopicNotFound",
    "AuthenticationFailed",
}
NOTHING_DONE = GOOD | {
    "AuthorizationRequired",
    "BulkheadFull",
    "PoolExhausted",
    "CircuitBreakerOpen",
    "CredentialNotFound",
    "CredentialRefreshFailed",
    "DeadlineExceeded",
    "DestinationRefused",
    "HostKeyRefused",
    "LocalFailure",
    "RateLimitExceeded",
    "RetryBudgetExhausted",
    "UnsupportedByVendor",
}


@pytest.mark.parametrize("name", KINDS)
def test_each_error_is_good_bad_or_neutral_for_health(name: str) -> None:
    """For a service's health, failures are bad, rejections good, and our own limits neutral."""
    expected = Outcome.NEUTRAL
    if name in FAILED:
        expected = Outcome.FAILED
    elif name in GOOD:
        expected = Outcome.GOOD

    assert expected is health(KINDS[name]("x"))


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), KeyError("id"), ValueError("?")])
def test_a_foreign_error_is_a_failure(error: Exception) -> None:
    """For a service's health, an exception of the caller's own function is a failure."""
    assert Outcome.FAILED is health(error)
    assert may_have_acted(error)
    assert not is_internal(error)


class MisspeltAttribute(AttributeError):
    """An application's own exception class."""


@pytest.mark.parametrize(
    "error",
    [
        TypeError(),
        MisspeltAttribute(),
        NameError(),
        AssertionError(),
        RecursionError(),
        MemoryError(),
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"),
        ConfigurationError("x"),
        CredentialNotFound("x"),
        InvalidData("x"),
        LocalFailure("x"),
        StorageUnavailable("x"),
    ],
    ids=repr,
)
def test_internal_errors_are_neutral(error: Exception) -> None:
    """For a service's health, a bug or wrong configuration is not a failure of the vendor."""
    assert Outcome.NEUTRAL is health(error)
    assert is_internal(error)


def test_vendor_limit_counts_as_good() -> None:
    """For a service's health, a vendor's 429 is good, and moorage's own rate limit neutral."""
    assert Outcome.GOOD is health(RateLimitExceeded("x", by_vendor=True))
    assert Outcome.NEUTRAL is health(RateLimitExceeded("x"))


@pytest.mark.parametrize("name", KINDS)
def test_only_listed_errors_prove_no_effect(name: str) -> None:
    """Only the listed error classes prove that the vendor did not act on the request."""
    assert (name not in NOTHING_DONE) == may_have_acted(KINDS[name]("x"))


@pytest.mark.parametrize("kind", [ConnectionFailed, AttemptTimeout, DeadlineExceeded])
@pytest.mark.parametrize("processed", [True, False])
def test_some_errors_state_if_the_request_may_have_been_processed(
    kind: type[ConnectionFailed], processed: bool
) -> None:
    """A connection or deadline error states whether the request may have been processed."""
    assert processed == may_have_acted(kind("x", may_have_been_processed=processed))
