"""The errors for MongoDB's failures."""

from __future__ import annotations

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    InvalidRequest,
    TransactionConflict,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.connectors.mongodb_failures import (
    MongoFault,
    MongoPhase,
    mongodb_error,
    not_replicated_error,
    partly_refused_error,
    unreachable_error,
)

TRANSIENT, UNKNOWN = "TransientTransactionError", "UnknownTransactionCommitResult"


@pytest.mark.parametrize(
    "code, kind, whole, part",
    [
        (18, AuthenticationFailed, None, None),
        (13, AuthenticationFailed, None, None),
        (112, TransactionConflict, False, True),
        (50, AttemptTimeout, True, True),
        (10107, ConnectionFailed, False, True),
        (91, ConnectionFailed, True, True),
        (6, ConnectionFailed, True, True),
        (14031, VendorFailed, None, None),
        (11000, VendorRejected, None, None),
        (121, VendorRejected, None, None),
        (40573, InvalidRequest, None, None),
        (286, VendorRejected, None, None),
        (2, InvalidRequest, None, None),
        (4711, VendorRejected, None, None),
        (None, VendorRejected, None, None),
    ],
)
def test_error_code_decides_if_a_change_may_have_been_made(
    code: int | None, kind: type[ConnectorError], whole: bool | None, part: bool | None
) -> None:
    """Each MongoDB error code raises an error that states whether a change may have been made."""
    for is_whole, expected in ((True, whole), (False, part)):
        error = mongodb_error(MongoFault(code=code, is_whole=is_whole), MongoPhase.SENT)
        usual_kind = ConnectionFailed if kind is TransactionConflict and not is_whole else kind
        assert usual_kind is type(error)
        is_uncertain = kind is VendorFailed if expected is None else expected
        assert is_uncertain is error.may_have_been_processed
        assert error.remedy


def test_transient_error_rolls_the_transaction_back() -> None:
    """After a transient MongoDB error the transaction is rolled back.

    After an unknown commit it may have taken effect.
    """
    conflict = mongodb_error(MongoFault(code=50, labels=frozenset({TRANSIENT})), MongoPhase.SENT)
    assert isinstance(conflict, TransactionConflict)
    unknown = mongodb_error(MongoFault(code=64, labels=frozenset({UNKNOWN})), MongoPhase.SENT)
    assert isinstance(unknown, AttemptTimeout)
    assert unknown.may_have_been_processed


@pytest.mark.parametrize(
    "words, message, retryable",
    [
        (
            "db: [Errno -2] Name or service not known",
            "host name of the server could not be resolved",
            False,
        ),
        ("SSL handshake failed: db: timed out", "TLS failed", False),
        ("[Errno 111] Connect call failed", "Nothing accepts connections", True),
        ("timed out", "No server accepted a connection", True),
    ],
)
def test_servers_that_cannot_be_reached(words: str, message: str, retryable: bool) -> None:
    """The error for unreachable MongoDB servers has the driver's reason; nothing was sent."""
    error = unreachable_error(words)
    assert message in error.message
    assert (False, retryable) == (error.may_have_been_processed, error.retryable)
    assert unreachable_error(words, MongoPhase.SENT).may_have_been_processed


def test_mongodb_write_that_too_few_servers_confirmed_may_have_been_made() -> None:
    """A MongoDB write that too few servers confirmed may have been made."""
    assert AttemptTimeout is type(not_replicated_error(in_time=False))
    assert not_replicated_error(in_time=True).may_have_been_processed
    assert "0 documents were changed before" in partly_refused_error(0, None).message
