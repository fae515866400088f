"""The test authorization server: its tokens, their expiry, and its counters."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest

from moorage.domain.http.requests import Request
from moorage.domain.http.timeouts import Timeouts
from moorage.testing.fakes.clock import VirtualClock
from tests.support.authorization_caller import Caller, basic
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.authorization_values import CLIENT, REFRESH
from tests.support.http_clients import CLIENTS, DrivenClient

INVALID_GRANT = (400, "invalid_grant")


def test_client_credentials_bring_no_refresh_token() -> None:
    """Client credentials give an access token for the resource, but no refresh token."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        reply = caller.token(CLIENT, {"scope": "read"})
        opened_reply = caller.open(reply.members["access_token"])

    assert 200 == reply.status
    assert {"access_token", "token_type", "expires_in", "scope"} == reply.members.keys()
    assert ("Bearer", 3600, "read") == tuple(
        reply.members[name] for name in ("token_type", "expires_in", "scope")
    )
    assert ("no-store", "application/json") == (
        reply.headers["Cache-Control"],
        reply.headers["Content-Type"],
    )
    assert (200, "erp", "read") == (
        opened_reply.status,
        opened_reply.members["sub"],
        opened_reply.members["scope"],
    )


def test_refresh_gives_new_refresh_token() -> None:
    """A refresh gives a new refresh token, and the earlier access token stays valid."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        access, refresh = server.seed()
        reply = caller.refresh(refresh)
        repeated_reply = caller.refresh(reply.members["refresh_token"])

        assert [200, 200] == [reply.status, repeated_reply.status]
        assert 200 == caller.open(access).status
        assert 200 == caller.open(repeated_reply.members["access_token"]).status
        assert (2, 0, 1) == (server.rotations, server.reused_token_count, server.live_families)
        assert [1, 2] == [request.refresh_number for request in server.requests]


def test_reused_refresh_token_revokes_the_tokens_of_its_grant() -> None:
    """Reusing a refresh token revokes all tokens of its grant, and no others."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        other_tokens = server.seed()
        access, refresh = server.seed()
        newer_members = caller.refresh(refresh).members

        assert INVALID_GRANT == caller.refresh(refresh).error
        assert INVALID_GRANT == caller.refresh(newer_members["refresh_token"]).error
        assert INVALID_GRANT == caller.refresh(refresh).error
        assert [401, 401] == [
            caller.open(item).status for item in (access, newer_members["access_token"])
        ]
        assert (1, 1) == (server.reused_token_count, server.live_families)
        assert [200, 200] == [
            caller.open(other_tokens.access_token).status,
            caller.refresh(other_tokens.refresh_token).status,
        ]


def test_used_refresh_token_works_as_often_as_grace_setting_allows() -> None:
    """A used refresh token works again as often as the grace setting allows, then is refused."""
    with AuthorizationServer(grace=2) as server:
        caller = Caller(server)
        _, refresh = server.seed()
        replies = [caller.refresh(refresh) for _ in range(3)]

        assert [200, 200, 200] == [reply.status for reply in replies]
        assert 3 == len({reply.members["refresh_token"] for reply in replies})
        assert 200 == caller.refresh(replies[0].members["refresh_token"]).status
        assert INVALID_GRANT == caller.refresh(refresh).error
        assert 1 == server.reused_token_count


def test_server_without_rotation_keeps_refresh_tokens() -> None:
    """If the server does not rotate refresh tokens, they stay valid, and no new ones are issued."""
    with AuthorizationServer(rotating=False) as server:
        caller = Caller(server)
        _, refresh = server.seed()
        replies = [caller.refresh(refresh) for _ in range(3)]

    assert [200, 200, 200] == [reply.status for reply in replies]
    assert not any("refresh_token" in reply.members for reply in replies)
    assert (0, 0) == (server.rotations, server.reused_token_count)


def test_usable_refresh_tokens() -> None:
    """A refresh token is usable until it is used, revoked or expired."""
    with AuthorizationServer(refresh_lifetime=60) as server:
        caller = Caller(server)
        _, first = server.seed()
        second = caller.refresh(first).members["refresh_token"]
        access, other_refresh = server.seed()

        assert [False, True, True, False] == [
            server.usable(item) for item in (first, second, other_refresh, "rt-unknown")
        ]
        assert (0, 2) == (server.reused_token_count, server.live_families)
        caller.refresh(first)
        assert [False, True] == [server.usable(item) for item in (second, other_refresh)]
        server.advance(60)
        assert not server.usable(other_refresh)
        assert {"s3cr3t", first, second, access, other_refresh} <= server.secrets
        assert "*/*" == server.requests[0].headers["accept"]


def test_refused_refresh_does_not_use_up_the_token() -> None:
    """If a refresh is refused for its scope or target, the refresh token is not used up."""
    with AuthorizationServer() as server:
        server.authority.targets = frozenset({"https://vat.example/"})
        caller = Caller(server)
        _, refresh = server.seed(scope="read")

        fields = {"refresh_token": refresh}
        wide_reply = caller.token(REFRESH, fields | {"scope": "read write"})
        far_reply = caller.token(REFRESH, fields | {"resource": "https://other.example/"})
        good_reply = caller.token(REFRESH, fields | {"resource": "https://vat.example/"})
        assert (400, "invalid_scope") == wide_reply.error
        assert (400, "invalid_target") == far_reply.error
        assert "read" == good_reply.members["scope"]
        opened_reply = caller.open(good_reply.members["access_token"])
        assert ["https://vat.example/"] == opened_reply.members["targets"]


def test_refreshing_with_narrower_scope_affects_only_that_access_token() -> None:
    """A refresh with a narrower scope affects only the access token that it returns."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        _, refresh = server.seed(scope="read write")
        narrow_members = caller.token(REFRESH, {"refresh_token": refresh, "scope": "read"}).members
        whole_members = caller.refresh(narrow_members["refresh_token"]).members

    assert ("read", "read write") == (narrow_members["scope"], whole_members["scope"])


def test_refresh_token_of_another_client_is_refused() -> None:
    """Another client's refresh token is refused and not used up."""
    client, other_client = Client(id="one"), Client(id="other")
    with AuthorizationServer(client, other_client) as server:
        _, refresh = server.seed(client)

        assert INVALID_GRANT == Caller(server, other_client).refresh(refresh).error
        assert 200 == Caller(server, client).refresh(refresh).status


def test_tokens_expire_by_the_servers_clock() -> None:
    """Tokens expire by the server's clock, which a test can advance."""
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    with AuthorizationServer(clock=clock, access_lifetime=60, refresh_lifetime=300) as server:
        caller = Caller(server)
        access, refresh = server.seed()
        clock.advance(59)
        assert 200 == caller.open(access).status
        server.advance(1)
        expired_reply = caller.open(access)
        assert 401 == expired_reply.status
        assert 'Bearer error="invalid_token"' in expired_reply.headers["WWW-Authenticate"]
        clock.advance(240)
        assert INVALID_GRANT == caller.refresh(refresh).error
        assert (1, 1, 0) == (server.accepted, server.refused, server.reused_token_count)
        assert datetime(2030, 1, 1, 0, 5, tzinfo=UTC) == server.requests[0].at


def test_access_tokens_can_be_expired() -> None:
    """A test can expire all access tokens issued so far; tokens issued later are valid."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        access, refresh = server.seed()
        server.expire_access_tokens()
        newer_access = caller.refresh(refresh).members["access_token"]

        assert [401, 200] == [caller.open(access).status, caller.open(newer_access).status]
        server.revoke_all()
        assert 401 == caller.open(newer_access).status
        assert 0 == server.live_families


# --- revocation, metadata, resource ------------------------------------------


def test_tokens_are_revoked() -> None:
    """Revoking a refresh token revokes its family; revoking an unknown token is not an error."""
    client, other_client = Client(id="one"), Client(id="other")
    with AuthorizationServer(client, other_client) as server:
        caller = Caller(server, client)
        client_headers = {"Authorization": basic("one", "s3cr3t")}

        def revoke(token: str, **others: str) -> int:
            return caller.post(server.revoke_url, {"token": token} | others, client_headers).status

        access, refresh = server.seed(client)
        second = caller.refresh(refresh).members
        assert 200 == revoke(access, token_type_hint="refresh_token")
        assert [401, 200] == [
            caller.open(access).status,
            caller.open(second["access_token"]).status,
        ]
        assert 200 == revoke(second["refresh_token"])
        assert 401 == caller.open(second["access_token"]).status
        assert INVALID_GRANT == caller.refresh(second["refresh_token"]).error
        assert [200, 400] == [revoke("at-unknown"), revoke("")]
        assert 400 == revoke(server.seed(other_client).refresh_token)
        assert 1 == server.live_families
        assert 401 == caller.post(server.revoke_url, {"token": access}).status


def test_metadata_is_at_paths_of_rfc_8414_and_openid() -> None:
    """The metadata is at the paths of RFC 8414 and OpenID, also if the issuer has a path."""
    with (
        AuthorizationServer(issuer_path="/tenant") as server,
        AuthorizationServer() as plain_server,
    ):
        caller = Caller(server)
        results = [
            caller.send("GET", f"{server.url}{path}")
            for path in (
                "/.well-known/oauth-authorization-server/tenant",
                "/tenant/.well-known/openid-configuration",
                "/.well-known/openid-configuration/tenant",
            )
        ]
        missing_reply = caller.send("GET", f"{server.url}/.well-known/oauth-authorization-server")
        metadata_reply = caller.send(
            "GET", f"{plain_server.url}/.well-known/oauth-authorization-server"
        )

        assert server.metadata_url == f"{server.url}/.well-known/oauth-authorization-server/tenant"
        assert [f"{server.url}/tenant"] * 3 == [result.members["issuer"] for result in results]
        assert server.token_url == results[0].members["token_endpoint"]
        assert (404, plain_server.issuer) == (
            missing_reply.status,
            metadata_reply.members["issuer"],
        )
        plain_server.claimed_issuer = "https://evil.example"
        metadata = caller.send("GET", plain_server.metadata_url)
        assert plain_server.claimed_issuer == metadata.members["issuer"]
        plain_server.authority.more_metadata["token_endpoint"] = "http://evil.example/token"
        changed_reply = caller.send("GET", plain_server.metadata_url)
        assert "http://evil.example/token" == changed_reply.members["token_endpoint"]


def test_the_resource_is_strict() -> None:
    """The resource accepts tokens in the Authorization header only, and explains refusals."""
    with AuthorizationServer() as server:
        caller, url = Caller(server), server.resource_url
        access, _ = server.seed(scope="read")
        unknown_caller = caller.send("GET", url)
        assert (401, 'Bearer realm="resource"') == (
            unknown_caller.status,
            unknown_caller.headers["WWW-Authenticate"],
        )
        assert 400 == caller.send("GET", f"{url}?access_token={access}").status
        assert 400 == caller.post(url, {"access_token": access}).status
        assert [401, 401] == [caller.open(access, kind).status for kind in ("DPoP", "Basic")]
        assert 200 == caller.open(access, "bEaReR").status
        posted_reply = caller.send("POST", url, b"{}", {"Authorization": f"Bearer {access}"})
        assert 200 == posted_reply.status
        server.authority.needed_scope = "write"
        denied_reply = caller.open(access)
        assert 403 == denied_reply.status
        assert 'error="insufficient_scope"' in denied_reply.headers["WWW-Authenticate"]
        assert [None, 1] == [resource.access_number for resource in server.resources][
            :: len(server.resources) - 1
        ]
        assert (2, 3) == (server.accepted, server.refused)
        assert 404 == caller.send("GET", f"{server.url}/nothing").status


# --- many callers ------------------------------------------------------------


def test_several_requests_use_one_connection_until_server_closes_it() -> None:
    """Several requests use one connection until the server closes it."""
    with AuthorizationServer() as server:
        connection = HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]))
        for _ in range(3):
            connection.request("GET", "/resource")
            connection.getresponse().read()
        assert (1, 3) == (server.connections, server.refused)
        server.hang_up()
        connection.request("GET", "/resource")
        with pytest.raises(OSError, match=r"(?i)closed|reset|pipe"):
            connection.getresponse()
        connection.close()


@pytest.mark.parametrize("name", CLIENTS)
def test_clients_of_moorage_can_use_the_server(name: str) -> None:
    """HTTP clients of moorage in sync and async mode can refresh tokens and read the resource."""
    timeouts = Timeouts(total=30)
    with AuthorizationServer() as server:
        driver = DrivenClient(name)
        _, refresh = server.seed()
        form = {"grant_type": REFRESH, "refresh_token": refresh}
        result = Request.post("/", form=form, headers={"Authorization": basic("erp", "s3cr3t")})
        token = json.loads(driver.send(result, server.token_url, timeouts).body)["access_token"]
        result = Request.get("/", headers={"Authorization": f"Bearer {token}"})
        assert 200 == driver.send(result, server.resource_url, timeouts).status
        closing = driver.client.close()
        if driver.is_async:
            asyncio.run(closing)

        assert (1, 1) == (server.rotations, server.accepted)


def test_one_of_several_threads_with_one_refresh_token_succeeds() -> None:
    """If threads use one refresh token at once, one succeeds, and the reuse ends the family."""
    with AuthorizationServer() as server:
        _, refresh = server.seed()
        with ThreadPoolExecutor(8) as pool:
            replies = [*pool.map(Caller(server).refresh, [refresh] * 8)]

    assert [200, *[400] * 7] == sorted(reply.status for reply in replies)
    assert (8, 1, 1, 0) == (
        len(server.requests),
        server.rotations,
        server.reused_token_count,
        server.live_families,
    )
    assert [*range(1, 9)] == [request.number for request in server.requests]
    assert 1 <= server.most_at_once <= 8


def test_processes_are_counted() -> None:
    """Requests of other processes are counted once these processes have ended."""
    program = (
        "import sys, urllib.request\n"
        "for _ in range(3):\n"
        "    body = b'grant_type=client_credentials&client_id=erp&client_secret=s3cr3t'\n"
        "    urllib.request.urlopen(sys.argv[1], body).read()\n"
    )
    with AuthorizationServer(Client(method="client_secret_post")) as server:
        command = [sys.executable, "-c", program, server.token_url]
        processes = [subprocess.Popen(command) for _ in range(2)]
        assert [0, 0] == [item.wait() for item in processes]
        assert 6 == len(server.requests)

    assert [(CLIENT, "erp", "client_secret_post", 200)] * 6 == [
        (request.grant, request.client, request.method, request.status)
        for request in server.requests
    ]
