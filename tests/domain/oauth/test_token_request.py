"""What a client says at the token endpoint."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from moorage import AuthorizationServer, HttpMethod, OAuthCredentials, Request, Secret
from moorage.domain.oauth.grants import JwtBearer
from moorage.domain.oauth.question import Question
from moorage.domain.oauth.token_request import token_request, wanted_scope
from moorage.domain.signing.jwt import JwtSigning
from moorage.domain.signing.occasion import Occasion
from tests.domain.oauth.test_client import P256, RSA, TOKENS, client

NOON = Occasion(datetime(2026, 3, 1, 12, tzinfo=UTC), "n-1")
ASKED = (("grant_type", "client_credentials"),)


def form_of(request: Request) -> dict[str, str]:
    """The form that a request sends; no name twice."""
    body = request.body
    assert isinstance(body, bytes)
    pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def part(token: str, number: int) -> Any:
    """The header or the claims of a JWT."""
    text = token.split(".")[number]
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_basic_is_form_encoded_first() -> None:
    """Id and secret are encoded before they are joined, so that a colon in either is not lost."""
    request, url = token_request(client(client_id="a:b é", secret="c:d+e %"), ASKED, NOON)

    assert TOKENS == url
    assert (HttpMethod.POST, "/") == (request.method, request.path)
    kind, _, value = (request.headers.get("Authorization") or "").partition(" ")
    assert "Basic" == kind
    assert b"a%3Ab+%C3%A9:c%3Ad%2Be+%25" == b64decode(value)
    assert dict(ASKED) == form_of(request)
    assert "application/json" == request.headers.get("Accept")
    assert "application/x-www-form-urlencoded" == request.headers.get("Content-Type")


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, {"client_id": "erp"}),
        (
            {"secret": "s+1", "authentication": "client_secret_post"},
            {"client_id": "erp", "client_secret": "s+1"},
        ),
        ({"authentication": "tls_client_auth"}, {"client_id": "erp"}),
    ],
    ids=repr,
)
def test_who_asks_is_said_in_one_way(given: dict[str, Any], expected: dict[str, str]) -> None:
    """Without Basic the form says who asks, and there is no header that does too."""
    request, _ = token_request(client(**given), ASKED, NOON)

    assert dict(ASKED) | expected == form_of(request)
    assert request.headers.get("Authorization") is None


def test_who_is_vouched_for_is_not_named_again() -> None:
    """Where an assertion is the grant, and there is no secret, it says all there is to say."""
    grant = JwtBearer(JwtSigning(algorithm="RS256", issuer="robot@example"), Secret(RSA))
    alone, _ = token_request(client(grant=grant), ASKED, NOON)
    both, _ = token_request(
        client(grant=grant, secret="s", authentication="client_secret_post"), ASKED, NOON
    )

    assert dict(ASKED) == form_of(alone)
    assert {"client_id": "erp", "client_secret": "s"}.items() <= form_of(both).items()


def test_parameters_come_along() -> None:
    """What else a server wants to know is said every time."""
    made = client(parameters={"audience": "https://api.example", "resource": "a b"})
    request, _ = token_request(made, ASKED, NOON)

    assert {"audience": "https://api.example", "resource": "a b"}.items() <= form_of(
        request
    ).items()


@pytest.mark.parametrize(
    "given, algorithm",
    [
        ({"secret": "shared", "authentication": "client_secret_jwt"}, "HS256"),
        ({"secret": RSA, "authentication": "private_key_jwt", "key_id": "k1"}, "RS256"),
        ({"secret": P256, "authentication": "private_key_jwt", "algorithm": "ES256"}, "ES256"),
    ],
    ids=["shared", "RSA", "P-256"],
)
def test_an_assertion_vouches_for_the_client(given: dict[str, Any], algorithm: str) -> None:
    """An assertion names client, audience and time, and its number is this request's alone."""
    request, _ = token_request(client(**given), ASKED, NOON)
    form = form_of(request)

    assert "erp" == form["client_id"]
    assert "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" == form["client_assertion_type"]
    header, claims = part(form["client_assertion"], 0), part(form["client_assertion"], 1)
    assert (algorithm, given.get("key_id")) == (header["alg"], header.get("kid"))
    now = int(NOON.now.timestamp())
    assert {
        "iss": "erp",
        "sub": "erp",
        "aud": TOKENS,
        "iat": now,
        "exp": now + 60,
        "jti": "n-1",
    } == claims
    assert "client_secret" not in form
    assert request.headers.get("Authorization") is None


def test_a_proof_comes_along_where_tokens_are_bound() -> None:
    """A client with a key proves that it has it, with the nonce that the server wants to see."""
    made = client(dpop_key=P256)
    first, _ = token_request(made, ASKED, NOON)
    second, _ = token_request(made, ASKED, NOON, nonce="show-me")

    for request, nonce in ((first, None), (second, "show-me")):
        proof = request.headers.get("DPoP") or ""
        assert "dpop+jwt" == part(proof, 0)["typ"]
        claims = part(proof, 1)
        assert ("POST", TOKENS, "n-1", nonce) == (
            claims["htm"],
            claims["htu"],
            claims["jti"],
            claims.get("nonce"),
        )


def test_other_endpoints_are_asked_alike() -> None:
    """A client says who it is at other endpoints in the same way, and proves nothing there."""
    server = AuthorizationServer(
        token_endpoint=TOKENS, revocation_endpoint="https://login.example/revoke"
    )
    made = client(server=server, secret="s", dpop_key=P256)
    request, url = token_request(made, (("token", "t"),), NOON, endpoint="revocation_endpoint")

    assert "https://login.example/revoke" == url
    assert {"token": "t"} == form_of(request)
    assert (request.headers.get("Authorization") or "").startswith("Basic ")
    assert request.headers.get("DPoP") is None


def test_the_scope_is_asked_for() -> None:
    """What is wanted is said in OAuth's notation, and nothing is said where nothing is wanted."""
    assert (("scope", "b a"),) == wanted_scope(client(scope=["b", "a"]))
    assert () == wanted_scope(client())


def test_what_is_asked_shows_nothing() -> None:
    """A request's repr has neither secret nor assertion in it."""
    request, _ = token_request(client(secret="hunter2"), ASKED, NOON)

    assert "hunter2" not in repr(request)
    assert "Basic" not in repr(request)


def test_what_must_stay_hidden_is_known() -> None:
    """The client's secret, the refresh token and the subject may not be repeated to anybody."""
    held = OAuthCredentials(access_token="a", refresh_token="r")
    question = Question(client(secret="s"), held, Secret("t"))

    assert ["s", "r", "t"] == [one.reveal() for one in question.hidden()]
    assert [] == Question(client()).hidden()
