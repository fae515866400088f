"""Requests to an OAuth token endpoint."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from moorage import AuthorizationServer, HttpMethod, OAuthCredentials, Request, Secret
from moorage.domain.oauth.grants import JwtBearer, RefreshToken
from moorage.domain.oauth.token_renewal import TokenQuestion
from moorage.domain.oauth.token_request import token_request, wanted_scope
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.jwt import JwtSigning
from tests.domain.oauth.test_client import P256, RSA, TOKENS, client

NOON = SigningContext(datetime(2026, 3, 1, 12, tzinfo=UTC), "n-1")
ASKED_FIELDS = (("grant_type", "client_credentials"),)


def form_of(request: Request) -> dict[str, str]:
    """Return the form that a request sends, after checking that no name occurs twice."""
    body = request.body
    assert isinstance(body, bytes)
    pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def part(token: str, number: int) -> Any:
    """Return the header or the claims of a JWT."""
    text = token.split(".")[number]
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_own_names_renames_parameters_of_token_request() -> None:
    """`own_names` renames the parameters of a token request; an empty name omits the parameter."""
    names = {"client_id": "secret_id", "client_secret": "secret_key", "grant_type": ""}
    server = AuthorizationServer(token_endpoint=TOKENS, own_names=names)
    asking_client = client(
        server=server, client_id="i", secret="s", authentication="client_secret_post"
    )
    request, _ = token_request(asking_client, ASKED_FIELDS, NOON)

    assert {"secret_id": "i", "secret_key": "s"} == form_of(request)


def test_refresh_token_of_a_grant_is_sent() -> None:
    """The refresh-token grant sends its token in every request, and its repr hides the token."""
    grant = RefreshToken("canary")
    requesting_client = client(secret="s", authentication="client_secret_post", grant=grant)
    forms = [
        form_of(token_request(requesting_client, grant.parameters(NOON, None), NOON)[0])
        for _ in range(2)
    ]

    assert {"grant_type": "refresh_token", "refresh_token": "canary"}.items() <= forms[0].items()
    assert forms[0] == forms[1]
    assert "canary" not in f"{requesting_client!r}"


def test_basic_is_form_encoded_first() -> None:
    """Client id and secret are encoded before they are joined, so they may contain a colon."""
    request, url = token_request(client(client_id="a:b é", secret="c:d+e %"), ASKED_FIELDS, NOON)

    assert TOKENS == url
    assert (HttpMethod.POST, "/") == (request.method, request.path)
    kind, _, value = (request.headers.get("Authorization") or "").partition(" ")
    assert "Basic" == kind
    assert b"a%3Ab+%C3%A9:c%3Ad%2Be+%25" == b64decode(value)
    assert dict(ASKED_FIELDS) == form_of(request)
    assert "application/json" == request.headers.get("Accept")
    assert "application/x-www-form-urlencoded" == request.headers.get("Content-Type")


@pytest.mark.parametrize(
    "options, expected",
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
def test_form_authentication_sends_no_header(
    options: dict[str, Any], expected: dict[str, str]
) -> None:
    """Without Basic, the client id is sent in the form of the token request, and in no header."""
    request, _ = token_request(client(**options), ASKED_FIELDS, NOON)

    assert dict(ASKED_FIELDS) | expected == form_of(request)
    assert request.headers.get("Authorization") is None


def test_assertion_grant_needs_no_client_id() -> None:
    """A JWT-bearer request without a client secret sends no client id."""
    grant = JwtBearer(JwtSigning(algorithm="RS256", issuer="robot@example"), Secret(RSA))
    single_request, _ = token_request(client(grant=grant), ASKED_FIELDS, NOON)
    request, _ = token_request(
        client(grant=grant, secret="s", authentication="client_secret_post"), ASKED_FIELDS, NOON
    )

    assert dict(ASKED_FIELDS) == form_of(single_request)
    assert {"client_id": "erp", "client_secret": "s"}.items() <= form_of(request).items()


def test_client_parameters_are_sent() -> None:
    """An OAuth client's extra parameters are part of every token request."""
    oauth_client = client(parameters={"audience": "https://api.example", "resource": "a b"})
    request, _ = token_request(oauth_client, ASKED_FIELDS, NOON)

    assert {"audience": "https://api.example", "resource": "a b"}.items() <= form_of(
        request
    ).items()


@pytest.mark.parametrize(
    "options, algorithm",
    [
        ({"secret": "shared", "authentication": "client_secret_jwt"}, "HS256"),
        ({"secret": RSA, "authentication": "private_key_jwt", "key_id": "k1"}, "RS256"),
        ({"secret": P256, "authentication": "private_key_jwt", "algorithm": "ES256"}, "ES256"),
    ],
    ids=["shared", "RSA", "P-256"],
)
def test_client_assertion_claims(options: dict[str, Any], algorithm: str) -> None:
    """A client assertion names client, audience and time, and has a unique id."""
    request, _ = token_request(client(**options), ASKED_FIELDS, NOON)
    form = form_of(request)

    assert "erp" == form["client_id"]
    assert "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" == form["client_assertion_type"]
    header, claims = part(form["client_assertion"], 0), part(form["client_assertion"], 1)
    assert (algorithm, options.get("key_id")) == (header["alg"], header.get("kid"))
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


def test_dpop_clients_send_a_proof() -> None:
    """A client with a DPoP key sends a proof with its token request, with its nonce if any."""
    oauth_client = client(dpop_key=P256)
    first, _ = token_request(oauth_client, ASKED_FIELDS, NOON)
    second, _ = token_request(oauth_client, ASKED_FIELDS, NOON, nonce="show-me")

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


def test_other_endpoints_use_the_same_authentication() -> None:
    """Requests to other OAuth endpoints have the same client authentication, and no DPoP proof."""
    server = AuthorizationServer(
        token_endpoint=TOKENS, revocation_endpoint="https://login.example/revoke"
    )
    oauth_client = client(server=server, secret="s", dpop_key=P256)
    request, url = token_request(
        oauth_client, (("token", "t"),), NOON, endpoint="revocation_endpoint"
    )

    assert "https://login.example/revoke" == url
    assert {"token": "t"} == form_of(request)
    assert (request.headers.get("Authorization") or "").startswith("Basic ")
    assert request.headers.get("DPoP") is None


def test_token_request_scope_is_space_separated() -> None:
    """The scope of a token request is space-separated, and omitted if it is empty."""
    assert (("scope", "b a"),) == wanted_scope(client(scope=["b", "a"]))
    assert () == wanted_scope(client())


def test_request_repr_shows_no_secret() -> None:
    """The repr of a token request contains neither a secret nor an assertion."""
    request, _ = token_request(client(secret="hunter2"), ASKED_FIELDS, NOON)

    assert "hunter2" not in repr(request)
    assert "Basic" not in repr(request)


def test_hidden_secrets_of_a_renewal() -> None:
    """A renewal lists its values to mask: client secret, refresh token and subject token."""
    credentials = OAuthCredentials(access_token="a", refresh_token="r")
    question = TokenQuestion(client(secret="s"), credentials, Secret("t"))

    assert ["s", "r", "t"] == [secret.reveal() for secret in question.hidden()]
    assert [] == TokenQuestion(client()).hidden()
