"""Discovery of an authorisation server by its issuer, in sync and async mode and over HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AttemptTimeout, ConfigurationError, ConnectionFailed, VendorFailed
from moorage.domain.oauth.discovery import LARGEST
from moorage.hub.discovery import adiscover, discover
from moorage.testing import (
    AsyncScriptedHttpClient,
    FakeVendor,
    ScriptedHttpClient,
)
from tests.support.authorization_faults import failing_answer, huge_answer, late_answer, redirect_to
from tests.support.authorization_server import AuthorizationServer
from tests.test_parity import parameters_of, without_mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import AuthorizationServer as Found

OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def discover_async(issuer: str, **options: Any) -> Found:
    """Run `adiscover` synchronously."""
    return asyncio.run(adiscover(issuer, **options))


BOTH = pytest.mark.parametrize("find", [discover, discover_async], ids=["sync", "async"])


@BOTH
@pytest.mark.parametrize("path", ["", "/tenant"])
def test_server_is_found(find: Callable[..., Found], path: str) -> None:
    """One request finds all endpoints of the issuer's server, even if its URL has a path."""
    with AuthorizationServer(issuer_path=path) as server:
        result = find(server.issuer)

        assert server.issuer == result.issuer
        assert server.token_url == result.token_endpoint
        assert server.authorize_url == result.authorization_endpoint
        assert server.device_url == result.device_authorization_endpoint
        assert server.revoke_url == result.revocation_endpoint
        assert result.authorization_response_iss_parameter_supported
        assert 1 == server.connections


@BOTH
def test_openid_metadata_is_tried_second(find: Callable[..., Found]) -> None:
    """If OAuth metadata is missing, OpenID metadata is requested."""
    with AuthorizationServer() as server:
        server.order(failing_answer(404), path=OAUTH)

        assert server.token_url == find(server.issuer).token_endpoint


@BOTH
def test_no_redirect_is_followed(find: Callable[..., Found]) -> None:
    """A redirect of a metadata request is not followed."""
    with AuthorizationServer() as other_server, AuthorizationServer() as server:
        server.order(redirect_to(other_server.metadata_url), path=OAUTH)
        server.order(redirect_to(other_server.metadata_url, status=307), path=OPENID)
        with pytest.raises(VendorFailed, match=r"answers 302.*answers 307") as excinfo:
            find(server.issuer)

        assert 0 == other_server.connections
    assert not excinfo.value.retryable


@BOTH
def test_wrong_issuer_is_refused(find: Callable[..., Found]) -> None:
    """Metadata with another issuer is refused (RFC 8414, section 3.3)."""
    with AuthorizationServer() as server:
        server.claimed_issuer = "https://login.example"
        with pytest.raises(VendorFailed, match="names another issuer"):
            find(server.issuer)


@BOTH
def test_metadata_size_is_limited(find: Callable[..., Found]) -> None:
    """Metadata beyond the size limit is refused."""
    with AuthorizationServer() as server:
        server.order(huge_answer(4 * LARGEST), path=OAUTH)
        with pytest.raises(VendorFailed, match=f"more than {LARGEST} bytes") as excinfo:
            find(server.issuer)
    assert excinfo.value.remedy.startswith("Check the server's URL")


@BOTH
def test_discovery_times_out(find: Callable[..., Found]) -> None:
    """The discovery of a server that does not respond ends at the timeout."""
    with AuthorizationServer() as server:
        server.order(late_answer(2), path=OAUTH)
        with pytest.raises(AttemptTimeout):
            find(server.issuer, timeout=0.2)
        server.release()


@BOTH
def test_no_second_metadata_url_is_tried_if_connection_fails(find: Callable[..., Found]) -> None:
    """If the connection fails, no second metadata URL is tried."""
    with AuthorizationServer() as server:
        issuer = server.issuer
    with pytest.raises(ConnectionFailed):
        find(issuer)


@BOTH
@pytest.mark.parametrize("issuer", ["http://login.example", "ftp://login.example", "login.example"])
def test_issuer_url_without_tls_is_refused(find: Callable[..., Found], issuer: str) -> None:
    """An issuer URL without TLS is refused, except on this machine."""
    with pytest.raises(ConfigurationError, match="issuer"):
        find(issuer)


def test_given_client_is_used() -> None:
    """An HTTP client passed by the caller sends the requests, and stays open."""
    fields = {"issuer": "https://login.example", "token_endpoint": "https://login.example/token"}
    vendor = FakeVendor()
    vendor.respond(404)
    vendor.respond_json(fields)
    vendor.respond_json(fields)
    plain_client, async_client = ScriptedHttpClient(vendor), AsyncScriptedHttpClient(vendor)

    assert "https://login.example" == discover("https://login.example", http=plain_client).issuer
    assert (
        "https://login.example" == discover_async("https://login.example", http=async_client).issuer
    )
    assert [OAUTH, OPENID, OAUTH] == [request.path for request in vendor.requests]
    plain_client.close()


def test_both_modes_have_the_same_parameters() -> None:
    """`discover` and `adiscover` have the same parameters and documentation."""
    assert parameters_of(discover) == parameters_of(adiscover)
    sync_arguments, async_arguments = (
        str(item.__doc__).partition("Args:")[2] for item in (discover, adiscover)
    )
    assert without_mode(sync_arguments) == without_mode(async_arguments)
