"""An authorisation server's metadata and endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import AuthorizationServer
from moorage.domain.oauth.server import checked_url, well_known
from moorage.errors import ConfigurationError, VendorFailed

ISSUER = "https://login.example"
CLEAR = "is not HTTPS"
NOWHERE = "is not a URL with a host and without a user name"
METADATA: dict[str, Any] = {
    "issuer": ISSUER,
    "token_endpoint": "https://login.example/token",
    "authorization_endpoint": "https://login.example/authorize?style=plain",
    "revocation_endpoint": "https://login.example/revoke",
    "code_challenge_methods_supported": ["S256", "plain"],
    "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.login.example/token"},
    "authorization_response_iss_parameter_supported": True,
    "jwks_uri": "https://login.example/keys",
}


def test_metadata_are_read() -> None:
    """OAuth metadata is read into fields of the same names; unknown members are ignored."""
    server = AuthorizationServer.from_metadata(ISSUER, METADATA)

    assert ISSUER == server.issuer
    assert "https://login.example/token" == server.at("token_endpoint")
    assert "https://login.example/authorize?style=plain" == server.authorization_endpoint
    assert ("S256", "plain") == server.code_challenge_methods_supported
    assert ("private_key_jwt",) == server.token_endpoint_auth_methods_supported
    assert server.authorization_response_iss_parameter_supported
    assert server.device_authorization_endpoint is None


def test_mtls_endpoints_are_for_certificates() -> None:
    """A server's mTLS endpoint aliases are used only by clients with a certificate."""
    server = AuthorizationServer.from_metadata(ISSUER, METADATA)

    assert "https://mtls.login.example/token" == server.at("token_endpoint", with_certificate=True)
    assert "https://login.example/revoke" == server.at("revocation_endpoint", with_certificate=True)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        "text",
        {},
        {"issuer": ISSUER},
        {**METADATA, "issuer": "https://login.example/"},
        {**METADATA, "issuer": "https://evil.example"},
        {**METADATA, "token_endpoint": "http://login.example/token"},
        {**METADATA, "token_endpoint": 7},
        {**METADATA, "revocation_endpoint": "ftp://login.example"},
        {**METADATA, "mtls_endpoint_aliases": {"token_endpoint": "http://login.example"}},
        {**METADATA, "mtls_endpoint_aliases": 5},
        {**METADATA, "code_challenge_methods_supported": 5},
    ],
    ids=repr,
)
def test_foreign_or_unsafe_metadata_are_refused(metadata: object) -> None:
    """OAuth metadata is refused completely if its issuer is wrong or an endpoint is unsafe."""
    with pytest.raises(VendorFailed, match=r"metadata") as excinfo:
        AuthorizationServer.from_metadata(ISSUER, metadata)
    assert "issuer exactly" in excinfo.value.remedy or "AuthorizationServer" in excinfo.value.remedy
    assert excinfo.value.__context__ is None or excinfo.value.__suppress_context__


def test_missing_endpoint_is_named() -> None:
    """The error for a missing OAuth endpoint names the endpoint."""
    server = AuthorizationServer(token_endpoint="https://login.example/token")

    with pytest.raises(ConfigurationError, match="device_authorization_endpoint") as excinfo:
        server.at("device_authorization_endpoint")
    assert "device_authorization_endpoint" == excinfo.value.path


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example/token",
        "https://login.example:8443/token?tenant=1",
        "http://localhost:8080/token",
        "http://127.0.0.1/token",
        "http://[::1]:9/token",
        "HTTPS://login.example",
    ],
)
def test_http_is_for_localhost_only(url: str) -> None:
    """An authorisation server must use HTTPS, except on localhost."""
    assert url == checked_url(url, "token_endpoint")


@pytest.mark.parametrize(
    "url, problem",
    [
        ("http://login.example/token", CLEAR),
        ("http://localhost.example/token", CLEAR),
        ("http://127.0.0.1.example/token", CLEAR),
        ("https://user:hunter2@login.example/token", NOWHERE),
        ("ftp://login.example/token", NOWHERE),
        ("login.example/token", NOWHERE),
        ("https://login.example/to ken", NOWHERE),
        ("", NOWHERE),
        (None, NOWHERE),
        (7, NOWHERE),
        (b"https://login.example", NOWHERE),
    ],
    ids=repr,
)
def test_unsafe_urls_are_refused(url: object, problem: str) -> None:
    """The URL of an authorisation server must use HTTPS; otherwise the error names the setting."""
    with pytest.raises(ConfigurationError) as excinfo:
        checked_url(url, "token_endpoint")
    assert "token_endpoint" == excinfo.value.path
    assert f"The URL given for token_endpoint {problem}." == excinfo.value.message
    assert "hunter2" not in str(excinfo.value)


def test_a_client_needs_only_a_token_endpoint() -> None:
    """An authorisation server needs only a token endpoint; an unsafe issuer is refused."""
    AuthorizationServer(token_endpoint="https://login.example/token")
    with pytest.raises(ConfigurationError) as excinfo:
        AuthorizationServer(
            token_endpoint="https://login.example/token", issuer="http://login.example"
        )
    assert "issuer" == excinfo.value.path


@pytest.mark.parametrize(
    "issuer, expected",
    [
        (
            "https://login.example",
            (
                "https://login.example/.well-known/oauth-authorization-server",
                "https://login.example/.well-known/openid-configuration",
            ),
        ),
        (
            "https://login.example:8443/tenant/one/",
            (
                "https://login.example:8443/.well-known/oauth-authorization-server/tenant/one",
                "https://login.example:8443/tenant/one/.well-known/openid-configuration",
            ),
        ),
        (
            "https://login.example/X/",
            (
                "https://login.example/.well-known/oauth-authorization-server/X",
                "https://login.example/X/.well-known/openid-configuration",
            ),
        ),
    ],
)
def test_oauth_puts_its_well_known_path_before_issuer_path(
    issuer: str, expected: tuple[str, str]
) -> None:
    """OAuth puts its well-known path before the path of the issuer.

    OpenID puts it after the path.
    """
    assert expected == well_known(issuer)


def test_http_issuer_is_refused() -> None:
    """OAuth metadata are not requested from an issuer over HTTP."""
    with pytest.raises(ConfigurationError):
        well_known("http://login.example")
