"""Reading an authorisation server's metadata document."""

from __future__ import annotations

import json

import pytest

from moorage import Response, VendorFailed
from moorage.domain.oauth.discovery import metadata_request, no_metadata_error, read_metadata

ISSUER = "https://login.example"
BODY = json.dumps({"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}).encode()


def test_metadata_of_an_issuer_is_read() -> None:
    """Metadata that an issuer serves about itself are read, including the token endpoint."""
    server = read_metadata(ISSUER, Response(200, body=BODY))

    assert server is not None
    assert f"{ISSUER}/token" == server.token_endpoint


@pytest.mark.parametrize(
    "response",
    [
        Response(404, body=BODY),
        Response(302, headers={"Location": "https://evil.example/"}, body=BODY),
        Response(503),
        Response(200, body=b"<html>Welcome</html>"),
    ],
)
def test_invalid_metadata_is_refused(response: Response) -> None:
    """A redirect, or a page that a site shows for any path, is not read as OAuth metadata."""
    assert read_metadata(ISSUER, response) is None


def test_another_issuers_metadata_are_refused() -> None:
    """OAuth metadata that name another issuer are refused."""
    with pytest.raises(VendorFailed, match="names another issuer"):
        read_metadata("https://other.example", Response(200, body=BODY))


@pytest.mark.parametrize(
    "statuses, later",
    [([404, 404], False), ([404, 503], True), ([429, 404], True), ([404, 500], True)],
)
def test_missing_metadata_error_lists_urls_and_statuses(
    statuses: list[int], *, later: bool
) -> None:
    """The error for missing metadata lists each URL with its status, and whether to retry."""
    error = no_metadata_error(["https://one.example", "https://two.example"], statuses)

    assert (
        "None of these places has metadata of the authorisation server: "
        f"https://one.example answers {statuses[0]}, https://two.example answers {statuses[1]}."
    ) == error.message
    assert (statuses[1], later) == (error.status, error.retryable)
    assert "or set the endpoints" in error.remedy


def test_error_has_the_last_answers_status() -> None:
    """The error for missing metadata has the status of the last URL."""
    error = no_metadata_error(
        ["https://one.example", "https://two.example", "https://x.example"], [1, 2, 3]
    )

    assert 3 == error.status


def test_oauth_metadata_are_requested_with_get_that_accepts_json() -> None:
    """OAuth metadata are requested with a GET that accepts JSON."""
    request = metadata_request()

    assert ("GET", "/") == (request.method, request.path)
    assert "application/json" == request.headers.get("accept")
