"""Token revocation: which token is sent, and the server's possible responses."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    OAuthCredentials,
    Response,
    Secret,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.oauth.revocation import (
    not_revoked_error,
    read_revocation,
    revocation_parameters,
    token_to_revoke,
)
from moorage.domain.oauth.token_answer import Refused

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_refresh_token_is_revoked_first() -> None:
    """Revocation sends the refresh token if there is one, otherwise the access token."""
    both_tokens = OAuthCredentials(access_token="at", refresh_token="rt")

    assert (Secret("rt"), "refresh_token") == token_to_revoke(both_tokens)
    assert (Secret("at"), "access_token") == token_to_revoke(OAuthCredentials(access_token="at"))
    assert {"token": "rt", "token_type_hint": "refresh_token"} == dict(
        revocation_parameters(*token_to_revoke(both_tokens))
    )


def read_outcome(status: int, body: bytes = b"", **headers: str) -> Refused | bool:
    """Return the outcome of a response to a token revocation."""
    header_fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_revocation(
        Response(status, headers=header_fields, body=body), NOW, [Secret("rt-1")]
    )


@pytest.mark.parametrize("body", [b"", b"{}", b"OK", b"[]"])
def test_success_ignores_the_body(body: bytes) -> None:
    """A revocation with a success status succeeded, whatever its body."""
    assert read_outcome(200, body) is True


@pytest.mark.parametrize(
    "status, error, kind, remedy",
    [
        (400, "unsupported_token_type", UnsupportedByVendor, "Let the token expire"),
        (200, "unsupported_token_type", UnsupportedByVendor, "Let the token expire"),
        (400, "invalid_client", AuthenticationFailed, "Correct the client's id"),
        (401, None, AuthenticationFailed, "Correct the client's id"),
        (400, "invalid_request", VendorRejected, "Correct the client's settings or the endpoint"),
        (302, None, VendorRejected, "Correct the client's settings or the endpoint"),
        (404, None, VendorRejected, "Correct the client's settings or the endpoint"),
        (503, None, VendorFailed, "Try again later."),
        (429, None, VendorFailed, "Try again later."),
    ],
)
def test_error_for_a_failed_revocation_has_a_remedy(
    status: int, error: str | None, kind: type[Exception], remedy: str
) -> None:
    """The error for a failed revocation has a remedy, and states whether a retry makes sense."""
    body = b"" if error is None else json.dumps({"error": error}).encode()
    answer = read_outcome(status, body, Retry_After="30")
    assert isinstance(answer, Refused)
    raised_error, wait = not_revoked_error(answer)

    assert kind is type(raised_error)
    assert (kind is VendorFailed) == raised_error.retryable
    assert (30.0 if kind is VendorFailed else None) == wait
    assert (error or f"HTTP {status}") in raised_error.message
    assert raised_error.remedy.startswith(remedy)
    assert kind is not VendorFailed or remedy == raised_error.remedy
    expected_code = None if kind is UnsupportedByVendor else answer.code
    assert expected_code == getattr(raised_error, "vendor_code", None)


def test_retry_date_is_converted_to_a_wait() -> None:
    """If a refused revocation names a retry time, the wait lasts until that time."""
    answer = read_outcome(503, Retry_After="Tue, 01 Jan 2030 00:00:45 GMT")
    assert isinstance(answer, Refused)

    assert 45.0 == not_revoked_error(answer)[1]


def test_connection_errors_pass_through() -> None:
    """A connection error during a revocation is returned unchanged."""
    error = ConnectionFailed("away.")

    assert (error, None) == not_revoked_error(error)


def test_token_in_the_response_to_a_revocation_is_masked() -> None:
    """A revoked token that the server repeats in its response is masked."""
    body = json.dumps({"error": "invalid_request", "error_description": "no rt-1 here"}).encode()
    answer = read_outcome(400, body)
    assert isinstance(answer, Refused)

    assert "rt-1" not in str(not_revoked_error(answer)[0])
