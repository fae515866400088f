"""The strictness of the authorization server in checking requests."""

from __future__ import annotations

import pytest

from tests.support.authorization_caller import Caller, basic
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.authorization_values import (
    ACCESS_TOKEN,
    CLIENT,
    EXCHANGE,
    JWT_TOKEN,
    REFRESH,
    REFRESH_TOKEN,
)


@pytest.mark.parametrize(
    "form, error",
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": [CLIENT, CLIENT]}, "invalid_request"),
        ({"grant_type": CLIENT, "scope": "admin"}, "invalid_scope"),
        ({"grant_type": CLIENT, "resource": "/relative"}, "invalid_target"),
        ({"grant_type": CLIENT, "resource": "https://vat.example/#top"}, "invalid_target"),
        ({"grant_type": REFRESH}, "invalid_request"),
        ({"grant_type": REFRESH, "refresh_token": "rt-1"}, "invalid_grant"),
    ],
)
def test_token_requests_are_read_strictly(form: dict[str, str | list[str]], error: str) -> None:
    """Missing, repeated and forbidden parameters of token requests are each refused."""
    with AuthorizationServer() as server:
        client_headers = {"Authorization": basic("erp", "s3cr3t")}
        reply = Caller(server).post(server.token_url, form, client_headers)

    assert (400, error) == reply.error
    assert [error] == [request.error for request in server.requests]


def test_a_token_request_is_a_posted_form() -> None:
    """A token request that is not a POST with a form in its body is refused."""
    client_headers = {"Authorization": basic("erp", "s3cr3t")}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    message = b"grant_type=client_credentials"
    with AuthorizationServer() as server:
        caller, url = Caller(server), server.token_url
        replies = [
            caller.send("POST", url, b"{}", client_headers | {"Content-Type": "application/json"}),
            caller.send("POST", url, message, client_headers),
            caller.send("POST", f"{url}?{message.decode()}", message, client_headers | form),
            caller.send("POST", url, message + b"%ff", client_headers | form),
        ]
        result = caller.send("GET", url, headers=client_headers)
        unmeasured = caller.send(
            "POST", url, None, client_headers | form | {"Transfer-Encoding": "chunked"}
        )

    assert [(400, "invalid_request")] * 4 == [reply.error for reply in replies]
    assert (405, "POST") == (result.status, result.headers["Allow"])
    assert 411 == unmeasured.status


def test_grant_type_for_which_client_is_not_registered_is_refused() -> None:
    """A grant type for which the client is not registered is refused."""
    client = Client(grants=frozenset({EXCHANGE}))
    with AuthorizationServer(client) as server:
        reply = Caller(server).token(CLIENT)

    assert (400, "unauthorized_client") == reply.error


# --- tokens for tokens -------------------------------------------------------


def test_tokens_are_exchanged() -> None:
    """A token exchange returns a token with the same subject and at most the same scope."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        access, refresh = server.seed(scope="read")
        fields = {"subject_token": access, "subject_token_type": ACCESS_TOKEN}
        plain_reply = caller.token(EXCHANGE, fields)
        jwt_exchange = {
            "subject_token": refresh,
            "subject_token_type": REFRESH_TOKEN,
            "actor_token": access,
            "actor_token_type": ACCESS_TOKEN,
            "requested_token_type": JWT_TOKEN,
        }
        jwt_reply = caller.token(EXCHANGE, jwt_exchange)
        places = {"audience": ["vat", "tax"], "resource": ["https://vat.example/"]}
        targets_reply = caller.token(EXCHANGE, {**fields, **places})

        assert (ACCESS_TOKEN, "read") == (
            plain_reply.members["issued_token_type"],
            plain_reply.members["scope"],
        )
        assert JWT_TOKEN == jwt_reply.members["issued_token_type"]
        opened_members = caller.open(targets_reply.members["access_token"]).members
        assert ("a person", ["https://vat.example/", "vat", "tax"]) == (
            opened_members["sub"],
            opened_members["targets"],
        )


def test_only_live_tokens_are_exchanged() -> None:
    """Expired access tokens and revoked refresh tokens cannot be exchanged."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        access, refresh = server.seed()
        server.expire_access_tokens()
        access_subject = {"subject_token": access, "subject_token_type": ACCESS_TOKEN}
        refresh_subject = {"subject_token": refresh, "subject_token_type": REFRESH_TOKEN}

        assert (400, "invalid_request") == caller.token(EXCHANGE, access_subject).error
        assert 200 == caller.token(EXCHANGE, refresh_subject).status
        server.revoke_all()
        assert (400, "invalid_request") == caller.token(EXCHANGE, refresh_subject).error


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"subject_token": ""}, "invalid_request"),
        ({"subject_token": "at-0"}, "invalid_request"),
        ({"subject_token_type": ""}, "invalid_request"),
        ({"subject_token_type": REFRESH_TOKEN}, "invalid_request"),
        ({"actor_token": "at-0", "actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"requested_token_type": REFRESH_TOKEN}, "invalid_request"),
        ({"scope": "write"}, "invalid_scope"),
        ({"audience": "somebody"}, "invalid_target"),
    ],
)
def test_exchanges_are_read_strictly(changes: dict[str, str], error: str) -> None:
    """A token exchange with an invalid, untyped or unavailable token is refused."""
    with AuthorizationServer() as server:
        server.authority.targets = frozenset({"vat"})
        access, _ = server.seed(scope="read")
        request = {"subject_token": access, "subject_token_type": ACCESS_TOKEN} | changes
        reply = Caller(server).token(EXCHANGE, request)

    assert (400, error) == reply.error
