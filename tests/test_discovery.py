"""Finding a server by its issuer, on both faces and against a real one."""

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
from tests.support.authorization_faults import failing, hanging, huge, redirecting
from tests.support.authorization_server import AuthorizationServer
from tests.test_parity import asked, hued

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import AuthorizationServer as Found

OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def later(issuer: str, **options: Any) -> Found:
    """`adiscover` as a plain function."""
    return asyncio.run(adiscover(issuer, **options))


BOTH = pytest.mark.parametrize("find", [discover, later], ids=["plain", "awaited"])


@BOTH
@pytest.mark.parametrize("path", ["", "/tenant"])
def test_a_server_is_found(find: Callable[..., Found], path: str) -> None:
    """The issuer is enough to know every endpoint, also where it has a path."""
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
def test_openids_place_is_the_second(find: Callable[..., Found]) -> None:
    """Where OAuth's place has nothing, OpenID's is asked."""
    with AuthorizationServer() as server:
        server.order(failing(404), path=OAUTH)

        assert server.token_url == find(server.issuer).token_endpoint


@BOTH
def test_no_redirect_is_followed(find: Callable[..., Found]) -> None:
    """Who sends us elsewhere is not believed there either."""
    with AuthorizationServer() as other, AuthorizationServer() as server:
        server.order(redirecting(other.metadata_url), path=OAUTH)
        server.order(redirecting(other.metadata_url, status=307), path=OPENID)
        with pytest.raises(VendorFailed, match=r"answers 302.*answers 307") as raised:
            find(server.issuer)

        assert 0 == other.connections
    assert not raised.value.retryable


@BOTH
def test_a_liar_is_refused(find: Callable[..., Found]) -> None:
    """Who says it is another issuer is refused at once (RFC 8414, section 3.3)."""
    with AuthorizationServer() as server:
        server.claimed_issuer = "https://login.example"
        with pytest.raises(VendorFailed, match="name another issuer"):
            find(server.issuer)


@BOTH
def test_what_is_read_has_a_bound(find: Callable[..., Found]) -> None:
    """A description without end is cut off."""
    with AuthorizationServer() as server:
        server.order(huge(4 * LARGEST), path=OAUTH)
        with pytest.raises(VendorFailed, match=f"more than {LARGEST} bytes") as raised:
            find(server.issuer)
    assert raised.value.remedy.startswith("Check its URL")


@BOTH
def test_who_hangs_is_not_waited_for(find: Callable[..., Found]) -> None:
    """One question has its bound."""
    with AuthorizationServer() as server:
        server.order(hanging(2), path=OAUTH)
        with pytest.raises(AttemptTimeout):
            find(server.issuer, timeout=0.2)
        server.release()


@BOTH
def test_a_server_that_is_away(find: Callable[..., Found]) -> None:
    """Who cannot be reached is not asked at the second place."""
    with AuthorizationServer() as server:
        issuer = server.issuer
    with pytest.raises(ConnectionFailed):
        find(issuer)


@BOTH
@pytest.mark.parametrize("issuer", ["http://login.example", "ftp://login.example", "login.example"])
def test_only_https(find: Callable[..., Found], issuer: str) -> None:
    """Nothing is asked without TLS, but on this machine."""
    with pytest.raises(ConfigurationError, match="issuer"):
        find(issuer)


def test_a_given_client_is_used() -> None:
    """A host's own HTTP client sends the requests, and stays open."""
    fields = {"issuer": "https://login.example", "token_endpoint": "https://login.example/token"}
    vendor = FakeVendor()
    vendor.respond(404)
    vendor.respond_json(fields)
    vendor.respond_json(fields)
    plain, awaited = ScriptedHttpClient(vendor), AsyncScriptedHttpClient(vendor)

    assert "https://login.example" == discover("https://login.example", http=plain).issuer
    assert "https://login.example" == later("https://login.example", http=awaited).issuer
    assert [OAUTH, OPENID, OAUTH] == [request.path for request in vendor.requests]
    plain.close()


def test_both_faces_are_alike() -> None:
    """Both take the same, and say the same of it."""
    assert asked(discover) == asked(adiscover)
    mine, its = (str(item.__doc__).partition("Args:")[2] for item in (discover, adiscover))
    assert hued(mine) == hued(its)
