"""The errors for failures of an SQL database."""

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
from moorage.domain.connectors.sql_failures import (
    SqlFault,
    SqlPhase,
    server_time_limit,
    sql_error,
)

SECRET = "password 'hunter2'"


@pytest.mark.parametrize(
    "system, code, kind, retryable",
    [
        ("postgresql", "28P01", AuthenticationFailed, False),
        ("postgresql", "3D000", VendorRejected, False),
        ("postgresql", "23505", VendorRejected, False),
        ("postgresql", "40001", TransactionConflict, True),
        ("postgresql", "40P01", TransactionConflict, True),
        ("postgresql", "55P03", AttemptTimeout, True),
        ("postgresql", "57014", AttemptTimeout, True),
        ("postgresql", "25006", ConnectionFailed, True),
        ("postgresql", "53300", ConnectionFailed, True),
        ("postgresql", "57P03", ConnectionFailed, True),
        ("postgresql", "53100", VendorFailed, True),
        ("postgresql", "42501", AuthenticationFailed, False),
        ("postgresql", "42P01", InvalidRequest, False),
        ("postgresql", "22003", InvalidRequest, False),
        ("postgresql", "P0001", VendorRejected, False),
        ("mysql", "1045", AuthenticationFailed, False),
        ("mysql", "1049", VendorRejected, False),
        ("mysql", "1062", VendorRejected, False),
        ("mysql", "1213", TransactionConflict, True),
        ("mysql", "1205", AttemptTimeout, True),
        ("mysql", "1969", AttemptTimeout, True),
        ("mysql", "1317", ConnectionFailed, True),
        ("mysql", "1040", ConnectionFailed, True),
        ("mysql", "1290", ConnectionFailed, True),
        ("mysql", "1064", InvalidRequest, False),
        ("mysql", "1644", VendorRejected, False),
        ("sqlite", "SQLITE_CONSTRAINT_UNIQUE", VendorRejected, False),
        ("sqlite", "SQLITE_BUSY", TransactionConflict, True),
        ("sqlite", "SQLITE_INTERRUPT", AttemptTimeout, True),
        ("sqlite", "SQLITE_READONLY", ConnectionFailed, True),
        ("sqlite", "SQLITE_FULL", VendorFailed, True),
        ("sqlite", "SQLITE_ERROR", InvalidRequest, False),
    ],
)
def test_reported_failure_certainly_changed_nothing(
    system: str, code: str, kind: type[ConnectorError], retryable: bool
) -> None:
    """A failure that the SQL server itself reports proves that nothing was changed."""
    error = sql_error(SqlFault(system, code, SECRET), SqlPhase.SENT)

    assert (kind, retryable) == (type(error), error.retryable)
    assert not error.may_have_been_processed
    assert "hunter2" not in repr(error)


@pytest.mark.parametrize(
    "system, code",
    [
        ("postgresql", "57P01"),
        ("postgresql", "08006"),
        ("postgresql", "25P03"),
        ("postgresql", None),
        ("mysql", "2013"),
        ("mysql", "1927"),
        ("mysql", "0"),
    ],
)
@pytest.mark.parametrize("phase", SqlPhase)
def test_lost_connection_leaves_outcome_of_sent_sql_unknown(
    system: str, code: str | None, phase: SqlPhase
) -> None:
    """After a lost connection, only SQL that was sent and needs no COMMIT may have taken effect."""
    error = sql_error(SqlFault(system, code), phase)

    assert isinstance(error, ConnectionFailed)
    assert (phase is SqlPhase.SENT) is error.may_have_been_processed


@pytest.mark.parametrize(
    "system, code, words, kind, sentence",
    [
        ("postgresql", None, "password authentication failed for", AuthenticationFailed, "passw"),
        ("postgresql", None, "no password supplied", AuthenticationFailed, "password"),
        (
            "postgresql",
            None,
            'database "x" does not exist',
            VendorRejected,
            "not have this database",
        ),
        ("postgresql", None, "failed to resolve host", ConnectionFailed, "host"),
        ("postgresql", None, "certificate verify failed", ConnectionFailed, "TLS"),
        ("postgresql", None, "server does not support ssl", ConnectionFailed, "TLS"),
        ("postgresql", None, "connection refused", ConnectionFailed, "Nothing accepts"),
        ("postgresql", None, "sorry, too many clients already", ConnectionFailed, "no more"),
        ("postgresql", None, "connection timeout expired", ConnectionFailed, "in time"),
        ("mysql", "2003", "name or service not known", ConnectionFailed, "host"),
        ("mysql", "2003", "connection refused", ConnectionFailed, "Nothing accepts"),
        ("mysql", "2003", "timed out", ConnectionFailed, "in time"),
        ("mysql", "2013", "certificate verify failed", ConnectionFailed, "TLS"),
        ("mysql", "1045", "access denied", AuthenticationFailed, "password"),
    ],
)
def test_failure_to_connect_names_its_cause(
    system: str, code: str | None, words: str, kind: type[ConnectorError], sentence: str
) -> None:
    """A failure to connect to an SQL database is classified by its cause.

    The error says that nothing was sent.
    """
    error = sql_error(SqlFault(system, code, f"{words} {SECRET}"), SqlPhase.CONNECTING)

    assert kind is type(error)
    assert sentence in error.message
    assert not getattr(error, "may_have_been_processed", False)
    assert "hunter2" not in str(error)


def test_error_names_the_violated_constraint() -> None:
    """The SQL error for a violated constraint names the constraint."""
    error = sql_error(SqlFault("postgresql", "23505", SECRET, "orders_pkey"), SqlPhase.SENT)

    assert "(orders_pkey)" in error.message


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0, 7.25, 29.98, 30.0, 3600.0])
def test_server_ends_a_statement_before_the_attempt(seconds: float) -> None:
    """The SQL server's time limit ends 10 to 50 ms before the attempt's."""
    assert 0.0099 <= seconds - server_time_limit(seconds) <= 0.0501


def test_sql_calls_whose_admission_took_up_to_25_ms_share_server_time_limit() -> None:
    """SQL calls whose admission took up to 25 ms all use the same time limit on the server."""
    assert {server_time_limit(30.0)} == {server_time_limit(30.0 - ms / 1000) for ms in range(25)}


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.001, 0.02, 0.09])
def test_time_limit_of_the_server_is_at_least_a_millisecond(seconds: float) -> None:
    """The SQL server's time limit is at least one millisecond, since zero would mean none."""
    assert 0.001 <= server_time_limit(seconds) <= max(0.001, seconds)
