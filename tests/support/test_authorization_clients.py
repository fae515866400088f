"""Client authentication at the authorisation server, and the assertions that it accepts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any

import pytest

from moorage.testing.fakes.clock import VirtualClock
from tests.support.authorization_caller import (
    Caller,
    Reply,
    Signer,
    basic,
    claims_of,
    hs256,
    raw_basic,
)
from tests.support.authorization_jwt import decode, encode
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.authorization_values import ASSERTION, CLIENT, CLIENT_ASSERTION

ODD_ID = "erp:1/ü +%"
ODD_SECRET = "p:ä+s s%2B&=~*'"
INVALID_CLIENT = (401, "invalid_client")
INVALID_REQUEST = (400, "invalid_request")
START = datetime(2030, 1, 1, tzinfo=UTC)


def request_token(server: AuthorizationServer, shown: str | None = None, **form: str) -> Reply:
    """Request a token with the given Authorization header and form."""
    headers = {} if shown is None else {"Authorization": shown}
    return Caller(server).post(server.token_url, {"grant_type": CLIENT} | form, headers)


def test_basic_is_form_encoded() -> None:
    """Basic authentication accepts any id and secret, form-encoded as RFC 6749 requires."""
    with AuthorizationServer(Client(id=ODD_ID, secret=ODD_SECRET)) as server:
        replies = [
            request_token(server, basic(ODD_ID, ODD_SECRET)),
            request_token(server, basic(ODD_ID, ODD_SECRET).replace("Basic", "basic")),
            request_token(server, basic(ODD_ID, ODD_SECRET), client_id=ODD_ID),
        ]

    assert [200] * 3 == [reply.status for reply in replies]
    assert [(ODD_ID, "client_secret_basic")] * 3 == [
        (request.client, request.method) for request in server.requests
    ]


@pytest.mark.parametrize(
    "secret, sent",
    [
        ("a:b", "erp:a:b"),
        ("a+b", "erp:a+b"),
        ("a%2Bb", "erp:a%2Bb"),
        ("100%", "erp:100%"),
        ("a b", "erp:a b"),
        ("ä", "erp:ä"),
        ("s3cr3t", "erp:s3cr3t "),
        ("s3cr3t", "erp"),
        ("s3cr3t", "erp:S3cr3t"),
        ("s3cr3t", "other:s3cr3t"),
    ],
)
def test_basic_that_is_not_encoded_is_refused(secret: str, sent: str) -> None:
    """A Basic header without the form encoding is refused."""
    with AuthorizationServer(Client(secret=secret)) as server:
        reply = request_token(server, raw_basic(sent))

    assert INVALID_CLIENT == reply.error
    assert reply.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert [None] == [request.client for request in server.requests]


def test_invalid_authorization_headers_are_refused() -> None:
    """A scheme other than Basic, or invalid Base64, is refused."""
    with AuthorizationServer() as server:
        replies = [
            request_token(server, authorization)
            for authorization in ("Bearer abc", "Basic !", "Basic ä", "Basic w7w=")
        ]

    assert [INVALID_CLIENT] * 4 == [reply.error for reply in replies]


def test_two_authorization_headers_are_refused() -> None:
    """A request with two Authorization headers is refused by both token endpoint and resource."""
    with AuthorizationServer() as server:
        address = HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]))
        statuses = []
        for place, authorization in (
            ("/token", basic("erp", "s3cr3t")),
            ("/resource", "Bearer at"),
        ):
            address.putrequest("POST", place)
            address.putheader("Content-Type", "application/x-www-form-urlencoded")
            for text in (authorization, authorization):
                address.putheader("Authorization", text)
            address.putheader("Content-Length", "29")
            address.endheaders(b"grant_type=client_credentials")
            answer = address.getresponse()
            statuses.append((answer.status, json.loads(answer.read())["error"]))
        address.close()

    assert [INVALID_REQUEST] * 2 == statuses


def test_a_secret_may_be_posted() -> None:
    """A client registered for `client_secret_post` sends its id and secret in the form."""
    with AuthorizationServer(
        Client(id=ODD_ID, secret=ODD_SECRET, method="client_secret_post")
    ) as server:
        good_reply = Caller(server).token(CLIENT)
        wrong_reply = request_token(server, client_id=ODD_ID, client_secret="another")
        nameless_reply = request_token(server, client_secret=ODD_SECRET)

    assert 200 == good_reply.status
    assert [INVALID_CLIENT, INVALID_REQUEST] == [wrong_reply.error, nameless_reply.error]


def test_clients_must_use_their_method() -> None:
    """A client that uses another authentication method than registered is refused."""
    with AuthorizationServer(
        Client(id="basic"),
        Client(id="post", method="client_secret_post"),
        Client(id="public", method="none"),
    ) as server:
        replies = [
            request_token(server, client_id="basic", client_secret="s3cr3t"),
            request_token(server, basic("post", "s3cr3t")),
            request_token(server, basic("public", "s3cr3t")),
            request_token(server, client_id="public", client_secret="s3cr3t"),
            request_token(server, client_id="basic"),
            request_token(server),
        ]

    assert [INVALID_CLIENT] * 6 == [reply.error for reply in replies]


def test_two_authentication_methods_are_refused() -> None:
    """A request with two authentication methods or two client ids is refused."""
    with AuthorizationServer() as server:
        authorization = basic("erp", "s3cr3t")
        assertion = {"client_assertion_type": CLIENT_ASSERTION, "client_assertion": "a.b.c"}
        replies = [
            request_token(server, authorization, client_secret="s3cr3t"),
            request_token(server, authorization, **assertion),
            request_token(server, client_id="erp", client_secret="s3cr3t", **assertion),
            request_token(server, authorization, client_id="other"),
            request_token(server, client_id="erp", client_assertion_type=CLIENT_ASSERTION),
            request_token(server, client_assertion="a.b.c"),
            request_token(server, client_assertion="a.b.c", client_assertion_type="saml"),
        ]

    assert [INVALID_REQUEST] * 7 == [reply.error for reply in replies]


def test_client_without_secret_may_refresh_tokens() -> None:
    """A client without a secret may refresh tokens, but gets no client-credentials token."""
    with AuthorizationServer(Client(method="none")) as server:
        caller = Caller(server)

        assert (400, "unauthorized_client") == caller.token(CLIENT).error
        assert 200 == caller.refresh(server.seed().refresh_token).status


# --- assertions --------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
def test_private_key_jwt(algorithm: str) -> None:
    """A client assertion may name the token endpoint or the issuer as its audience."""
    signer = Signer(algorithm)
    client = Client(method="private_key_jwt", key=signer.public, key_id="k1")
    with AuthorizationServer(client, issuer_path="/tenant") as server:
        caller = Caller(server)
        for audience in (server.token_url, server.issuer, ["https://other.example", server.issuer]):
            claims = claims_of("erp", server.issuer, server.now(), aud=audience)
            reply = caller.token(CLIENT, {"client_assertion": signer.jwt(claims, kid="k1")})
            assert 200 == reply.status
        claims = claims_of("erp", server.issuer, server.now())
        fields = {"client_assertion": signer.jwt(claims, kid="k1"), "client_id": "erp"}
        assert 200 == caller.token(CLIENT, fields).status
        assert INVALID_CLIENT == caller.token(CLIENT, fields).error

    assert "private_key_jwt" == server.requests[0].method


def test_a_shared_secret_may_sign() -> None:
    """A client may sign its assertion with its secret if it is registered for this method."""
    with AuthorizationServer(Client(method="client_secret_jwt")) as server:
        caller = Caller(server)
        claims = claims_of("erp", server.token_url, server.now())
        good_reply = caller.token(CLIENT, {"client_assertion": hs256(b"s3cr3t", claims)})
        claims = claims_of("erp", server.token_url, server.now())
        wrong_reply = caller.token(CLIENT, {"client_assertion": hs256(b"another", claims)})
        claims = claims_of("erp", server.token_url, server.now())
        foreign_reply = caller.token(CLIENT, {"client_assertion": Signer().jwt(claims)})

    assert 200 == good_reply.status
    assert [INVALID_CLIENT] * 2 == [wrong_reply.error, foreign_reply.error]


@pytest.mark.parametrize(
    "claims, header, why",
    [
        ({"iss": "other"}, {}, "iss, sub and client_id are not the same"),
        ({"sub": "other"}, {}, "iss, sub and client_id are not the same"),
        ({"sub": None}, {}, "sub is missing or no text"),
        ({"iss": "other", "sub": "other"}, {}, "there is no such client"),
        ({"aud": "https://other.example/token"}, {}, "aud is not this server"),
        ({"aud": None}, {}, "aud is not this server"),
        ({"exp": None}, {}, "exp is not a number"),
        ({"exp": 1893456000}, {}, "the assertion has expired"),
        ({"exp": 1893456000 + 3601}, {}, "the lifetime of the assertion is too long"),
        ({"exp": "1893456060"}, {}, "exp is not a number"),
        ({"nbf": 1893456030}, {}, "nbf is in the future"),
        ({"iat": 1893456030}, {}, "iat is in the future"),
        ({"jti": None}, {}, "jti is missing or no text"),
        ({"jti": ""}, {}, "jti is missing or no text"),
        ({"exp": float("nan")}, {}, "NaN is not JSON"),
        ({}, {"kid": "k2"}, "kid names another key"),
        ({}, {"kid": ["k1"]}, "kid names another key"),
        ({}, {"alg": "none"}, "the algorithm does not fit the key"),
        ({}, {"alg": "HS256"}, "the algorithm does not fit the key"),
        ({}, {"alg": "RS256"}, "the algorithm does not fit the key"),
        ({}, {"crit": ["exp"]}, "the token requires an extension, but this server supports none"),
    ],
)
def test_assertions_are_read_strictly(
    claims: dict[str, Any], header: dict[str, Any], why: str
) -> None:
    """A foreign, expired or wrongly signed client assertion is refused."""
    signer = Signer()
    client = Client(method="private_key_jwt", key=signer.public, key_id="k1")
    with AuthorizationServer(client, clock=VirtualClock(START)) as server:
        message = claims_of("erp", server.token_url, START, **claims)
        reply = Caller(server).token(
            CLIENT, {"client_assertion": signer.jwt(message, **{"kid": "k1"} | header)}
        )

    assert INVALID_CLIENT == reply.error
    assert why == reply.members["error_description"]


@pytest.mark.parametrize(
    "text, why",
    [
        ("a.b", "a token in compact form must have three parts"),
        ("e30.e30.e30.e30", "a token in compact form must have three parts"),
        ("!.e30.e30", "a part of the token is not base64url"),
        ("e30=.e30.e30", "a part of the token is not base64url"),
        ("A.e30.e30", "a part of the token is not base64url"),
        ("e31.e30.AA", "a base64url text has extra bits at its end"),
        ("AAAA.e30.e30", "a part of the token is not JSON"),
        ("W10.e30.e30", "a part of the token is not a JSON object"),
        ("e30.eyJhIjoxLCJhIjoyfQ.", "a member comes twice"),
        ("e30.e30.", "sub is missing or no text"),
    ],
)
def test_malformed_assertions_are_refused(text: str, why: str) -> None:
    """A malformed client assertion is refused with an ordinary error."""
    client = Client(method="private_key_jwt", key=Signer().public)
    with AuthorizationServer(client) as server:
        reply = Caller(server).token(CLIENT, {"client_assertion": text})

    assert INVALID_CLIENT == reply.error
    assert why == reply.members["error_description"]


@pytest.mark.parametrize("cut", [1, 64])
def test_truncated_signature_is_refused(cut: int) -> None:
    """An assertion with a truncated signature is refused."""
    signer = Signer()
    client = Client(method="private_key_jwt", key=signer.public)
    with AuthorizationServer(client) as server:
        text = signer.jwt(claims_of("erp", server.token_url, server.now()))
        head, _, signature = text.rpartition(".")
        short_signature = encode(decode(signature)[: 64 - cut])
        reply = Caller(server).token(CLIENT, {"client_assertion": f"{head}.{short_signature}"})

    assert "the signature is wrong" == reply.members["error_description"]


def test_foreign_signature_is_refused() -> None:
    """An assertion signed with another key is refused, and its `jti` stays unused."""
    signer = Signer()
    client = Client(method="private_key_jwt", key=signer.public)
    with AuthorizationServer(client) as server:
        caller = Caller(server)
        claims = claims_of("erp", server.token_url, server.now())
        forged_reply = caller.token(CLIENT, {"client_assertion": Signer().jwt(claims)})
        genuine_reply = caller.token(CLIENT, {"client_assertion": signer.jwt(claims)})

    assert (INVALID_CLIENT, 200) == (forged_reply.error, genuine_reply.status)


# --- assertions for a grant --------------------------------------------------


def test_trusted_issuers_assertion_is_exchanged_for_a_token() -> None:
    """A trusted issuer's assertion is exchanged once for a token about the assertion's subject."""
    signer = Signer("RS256")
    with AuthorizationServer() as server:
        server.trust("robot@example", signer.public)
        caller = Caller(server)
        url, now = server.token_url, server.now()
        fields = {"assertion": signer.jwt(claims_of("robot@example", url, now, sub="alice"))}
        first = caller.token(ASSERTION, fields)
        repeated_reply = caller.token(ASSERTION, fields)
        claims = claims_of("robot@example", url, now)
        anonymous_form = {"grant_type": ASSERTION, "assertion": signer.jwt(claims)}
        nameless_reply = caller.post(url, anonymous_form)

        assert "alice" == caller.open(first.members["access_token"]).members["sub"]
        assert "refresh_token" not in first.members
        assert (400, "invalid_grant") == repeated_reply.error
        assert 200 == nameless_reply.status
        assert ["erp", "erp", ""] == [request.client for request in server.requests]


def test_an_assertion_for_a_grant_is_read_strictly() -> None:
    """A grant assertion that is missing, untrusted, misdirected or expired is refused."""
    signer = Signer()
    with AuthorizationServer() as server:
        server.trust("robot", signer.public)
        caller = Caller(server)
        url, now = server.token_url, server.now()
        bad_claims = [
            claims_of("stranger", url, now),
            claims_of("robot", "https://other.example", now),
            claims_of("robot", url, now, exp=int(now.timestamp()) - 1),
            claims_of("robot", url, now, jti=None),
        ]
        replies = [caller.token(ASSERTION, {"assertion": signer.jwt(item)}) for item in bad_claims]
        forged_assertion = Signer().jwt(claims_of("robot", url, now))
        replies.append(caller.token(ASSERTION, {"assertion": forged_assertion}))

        assert [(400, "invalid_grant")] * 5 == [reply.error for reply in replies]
        assert INVALID_REQUEST == caller.token(ASSERTION).error
        assert INVALID_CLIENT == caller.post(url, {"grant_type": ASSERTION}).error
