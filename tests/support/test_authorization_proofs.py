"""Tokens that the authorization server binds to keys and certificates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from moorage.testing.fakes.clock import VirtualClock
from tests.support.authorization_caller import Caller, Reply, Signer, basic
from tests.support.authorization_certificates import TlsHarness
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.authorization_values import CLIENT

if TYPE_CHECKING:
    from pathlib import Path

INVALID_PROOF = (400, "invalid_dpop_proof")
START = datetime(2030, 1, 1, tzinfo=UTC)


def refusal_of(reply: Reply) -> tuple[int, str]:
    """Return the status of a refusal, and the start of its WWW-Authenticate challenge."""
    return reply.status, reply.headers["WWW-Authenticate"].partition(",")[0]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
def test_a_token_is_bound_to_a_key(algorithm: str) -> None:
    """A token requested with a proof is bound to the proof's key, and needs proofs later."""
    key = Signer(algorithm)
    with AuthorizationServer() as server:
        caller = Caller(server)
        proof = key.proof("POST", server.token_url, server.now())
        reply = caller.token(CLIENT, headers=proof)
        token = reply.members["access_token"]
        proof = key.proof("GET", server.resource_url, server.now(), token)
        opened_reply = caller.open(token, "DPoP", proof)

        assert ("DPoP", 200) == (reply.members["token_type"], opened_reply.status)
        assert {"jkt": key.thumbprint} == opened_reply.members["cnf"]
        assert [True] == [request.proven for request in server.requests]
        assert (401, 'DPoP error="invalid_dpop_proof"') == refusal_of(
            caller.open(token, "DPoP", proof)
        )


@pytest.mark.parametrize(
    "claims, header, why",
    [
        ({"htm": "GET"}, {}, "htm is another method"),
        ({"htm": "post"}, {}, "htm is another method"),
        ({"htm": None}, {}, "htm is another method"),
        ({"htu": "https://other.example/token"}, {}, "htu is another place"),
        ({"htu": "http://127.0.0.1:port/token"}, {}, "htu is no URL"),
        ({"htu": "http://["}, {}, "htu is no URL"),
        ({"htu": None}, {}, "htu is missing or no text"),
        ({"iat": int(START.timestamp()) - 61}, {}, "iat is too far from now"),
        ({"iat": int(START.timestamp()) + 61}, {}, "iat is too far from now"),
        ({"iat": str(int(START.timestamp()))}, {}, "iat is not a number"),
        ({"iat": float("nan")}, {}, "NaN is not JSON"),
        ({"iat": True}, {}, "iat is not a number"),
        ({"iat": None}, {}, "iat is not a number"),
        ({"jti": None}, {}, "jti is missing or no text"),
        ({"jti": 7}, {}, "jti is missing or no text"),
        ({}, {"typ": "JWT"}, "typ is not dpop+jwt"),
        ({}, {"alg": "none"}, "the algorithm does not fit the key"),
        ({}, {"alg": "RS256"}, "the algorithm does not fit the key"),
        ({}, {"jwk": None}, "jwk is not a JSON object"),
        ({}, {"jwk": "text"}, "jwk is not a JSON object"),
        ({}, {"jwk": {"kty": "oct", "k": "AAAA"}}, "jwk contains a private key"),
        ({}, {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}, "jwk describes no key"),
        (
            {},
            {"jwk": {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}},
            "jwk has a key type that this server does not support",
        ),
        ({}, {"jwk": {"kty": "RSA", "e": "AQAB", "n": "-_-_"}}, "jwk is too short a key"),
        ({}, {"jwk": Signer().jwk}, "the signature is wrong"),
        ({}, {"jwk": Signer("EdDSA").jwk | {"d": "AAAA"}}, "jwk contains a private key"),
    ],
)
def test_proofs_are_read_strictly(claims: dict[str, Any], header: dict[str, Any], why: str) -> None:
    """A proof is refused if it is for another request or time, or contains another key."""
    key = Signer()
    with AuthorizationServer(clock=VirtualClock(START)) as server:
        proof = key.proof("POST", server.token_url, START, header=header, **claims)
        reply = Caller(server).token(CLIENT, headers=proof)

    assert INVALID_PROOF == reply.error
    assert why == reply.members["error_description"]


def test_url_in_proof_has_no_query() -> None:
    """The URL in a proof must have no query, even if the request's URL has one."""
    key = Signer()
    with AuthorizationServer() as server:
        caller, now = Caller(server), server.now()
        reply = caller.token(CLIENT, headers=key.proof("POST", server.token_url, now))
        token = reply.members["access_token"]
        text = f"{server.resource_url}?page=2"
        statuses = [
            caller.send(
                "GET",
                text,
                headers={"Authorization": f"DPoP {token}"} | key.proof("GET", place, now, token),
            ).status
            for place in (server.resource_url, text, f"{server.resource_url}#top")
        ]
        uppercase_proof = key.proof("POST", server.token_url.replace("http", "HTTP"), now)
        assert 200 == caller.token(CLIENT, headers=uppercase_proof).status

    assert [200, 401, 401] == statuses


def test_request_with_two_proofs_is_refused() -> None:
    """A request with two proofs, or with a proof that is not a JWT, is refused."""
    key = Signer()
    with AuthorizationServer() as server:
        url, now = server.token_url, server.now()
        both_proofs = [key.proof("POST", url, now)["DPoP"] for _ in range(2)]
        connection = HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]))
        connection.putrequest("POST", "/token")
        common_headers = _basic(Client()) | {"Content-Type": "application/x-www-form-urlencoded"}
        for name, text in [
            *common_headers.items(),
            ("DPoP", both_proofs[0]),
            ("DPoP", both_proofs[1]),
        ]:
            connection.putheader(name, text)
        body = b"grant_type=client_credentials"
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        assert (400, "invalid_dpop_proof") == (answer.status, json.loads(answer.read())["error"])
        connection.close()
        assert INVALID_PROOF == Caller(server).token(CLIENT, headers={"DPoP": "e30"}).error


def test_proofs_are_used_once() -> None:
    """A proof that was used before is refused."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        proof = Signer().proof("POST", server.token_url, server.now())

        assert 200 == caller.token(CLIENT, headers=proof).status
        assert INVALID_PROOF == caller.token(CLIENT, headers=proof).error


def test_a_bound_token_needs_its_key() -> None:
    """A bound token is refused as a bearer token, without a proof, or with another key's proof."""
    key, other_key = Signer(), Signer()
    with AuthorizationServer() as server:
        caller, url, now = Caller(server), server.resource_url, server.now()
        reply = caller.token(CLIENT, headers=key.proof("POST", server.token_url, now))
        token = reply.members["access_token"]
        unbound_token, _ = server.seed()

        wrong_token = '401 DPoP error="invalid_token"'
        wrong_proof = '401 DPoP error="invalid_dpop_proof"'
        replies = [
            caller.open(token, "Bearer", key.proof("GET", url, now, token)),
            caller.open(token, "DPoP", other_key.proof("GET", url, now, token)),
            caller.open(unbound_token, "DPoP", key.proof("GET", url, now, unbound_token)),
            caller.open(token, "DPoP"),
            caller.open(token, "DPoP", key.proof("GET", url, now)),
            caller.open(token, "DPoP", key.proof("GET", url, now, unbound_token)),
            caller.open(token, "DPoP", key.proof("GET", server.token_url, now, token)),
        ]
        assert [wrong_token] * 3 + [wrong_proof] * 4 == [
            f"{status} {challenge}" for status, challenge in map(refusal_of, replies)
        ]
        assert (401, 'Bearer error="invalid_token"') == refusal_of(caller.open(token))


def test_refresh_tokens_of_a_public_client_are_bound_to_a_key() -> None:
    """Refresh tokens of a public client need proofs of one key; a confidential client's do not."""
    key, other_key = Signer(), Signer()
    public, erp = Client(id="public", method="none"), Client()
    with AuthorizationServer(public, erp) as server:
        url, now = server.device_url, server.now()

        def proof(signer: Signer) -> dict[str, str]:
            return signer.proof("POST", server.token_url, now)

        renewals = []
        for client in (public, erp):
            caller = Caller(server, client)
            client_headers = {} if client is public else _basic(client)
            response = caller.post(url, {"client_id": client.id}, client_headers).members
            server.decide(response["user_code"])
            grant = "urn:ietf:params:oauth:grant-type:device_code"
            fields = {"device_code": response["device_code"]}
            renewals.append(caller.token(grant, fields, proof(key)).members["refresh_token"])

        caller = Caller(server, public)
        assert (400, "invalid_grant") == caller.refresh(renewals[0]).error
        assert (400, "invalid_grant") == caller.refresh(renewals[0], proof(other_key)).error
        assert "DPoP" == caller.refresh(renewals[0], proof(key)).members["token_type"]
        caller = Caller(server, erp)
        second = caller.refresh(renewals[1], proof(other_key)).members
        assert "DPoP" == second["token_type"]
        assert "Bearer" == caller.refresh(second["refresh_token"]).members["token_type"]


def test_tokens_issued_by_a_test_may_be_bound(tmp_path: Path) -> None:
    """Tokens that a test issues may be bound to a key or a certificate."""
    key, harness = Signer(), TlsHarness(tmp_path)
    own_certificates, public = harness.client_certificate(), Client(method="none")
    with AuthorizationServer(public, tls=harness.server) as server:
        unknown_caller, caller = (
            Caller(server, tls=harness.stranger),
            Caller(server, tls=own_certificates.trusting),
        )
        access, refresh = server.seed(jkt=key.thumbprint)
        proof = key.proof("GET", server.resource_url, server.now(), access)
        assert 200 == unknown_caller.open(access, "DPoP", proof).status
        assert (400, "invalid_grant") == unknown_caller.refresh(refresh).error
        proof = key.proof("POST", server.token_url, server.now())
        assert 200 == unknown_caller.refresh(refresh, proof).status

        access, refresh = server.seed(x5t=own_certificates.thumbprint)
        assert [401, 200] == [item.open(access).status for item in (unknown_caller, caller)]
        assert (400, "invalid_grant") == unknown_caller.refresh(refresh).error
        assert 200 == caller.refresh(refresh).status


def test_client_may_be_required_to_send_proofs() -> None:
    """A client that is registered for bound tokens gets no token without a proof."""
    with AuthorizationServer(Client(dpop=True)) as server:
        caller = Caller(server)
        proof = Signer().proof("POST", server.token_url, server.now())

        assert INVALID_PROOF == caller.token(CLIENT).error
        assert 200 == caller.token(CLIENT, headers=proof).status


# --- nonces ------------------------------------------------------------------


def test_response_to_proof_without_nonce_contains_nonce() -> None:
    """A proof without the endpoint's nonce is refused, and the response contains the nonce."""
    key = Signer()
    with AuthorizationServer(nonces=True) as server:
        caller, url, now = Caller(server), server.token_url, server.now()
        request = caller.token(CLIENT, headers=key.proof("POST", url, now))
        server_nonce = request.headers["DPoP-Nonce"]
        reply = caller.token(CLIENT, headers=key.proof("POST", url, now, nonce=server_nonce))
        token = reply.members["access_token"]

        def open_with(nonce: str | None) -> Reply:
            proof = key.proof("GET", server.resource_url, now, token, nonce=nonce)
            return caller.open(token, "DPoP", proof)

        target = open_with(None)
        resource_nonce = target.headers["DPoP-Nonce"]
        assert (400, "use_dpop_nonce") == request.error
        assert (401, 'DPoP error="use_dpop_nonce"') == refusal_of(target)
        assert (200, server_nonce) == (reply.status, reply.headers["DPoP-Nonce"])
        assert server_nonce != resource_nonce
        assert [401, 200] == [open_with(item).status for item in (server_nonce, resource_nonce)]
        assert [server_nonce] == reply.headers.get_all("DPoP-Nonce")
        assert 200 == caller.token(CLIENT).status


def test_nonces_are_renewed() -> None:
    """A response has the next nonce; the previous one stays valid, unless the test revokes it."""
    key = Signer()
    with AuthorizationServer(nonces=True) as server:
        caller = Caller(server)

        def request_token(nonce: str | None) -> Reply:
            proof = key.proof("POST", server.token_url, server.now(), nonce=nonce)
            return caller.token(CLIENT, headers=proof)

        first = request_token(None).headers["DPoP-Nonce"]
        server.renew_nonces()
        reply = request_token(first)
        second = reply.headers["DPoP-Nonce"]
        assert (200, True) == (reply.status, first != second)
        server.renew_nonces()
        assert (400, "use_dpop_nonce") == request_token(first).error
        third = request_token(second).headers["DPoP-Nonce"]
        server.renew_nonces(abruptly=True)
        reply = request_token(third)
        assert (400, "use_dpop_nonce") == reply.error
        assert 200 == request_token(reply.headers["DPoP-Nonce"]).status


# --- certificates ------------------------------------------------------------


@pytest.mark.parametrize("known_by", ["subject", "thumbprint"])
def test_client_is_authenticated_by_its_certificate(tmp_path: Path, known_by: str) -> None:
    """A client is authenticated by its certificate, and its tokens are bound to it."""
    harness = TlsHarness(tmp_path)
    own_certificates, other_certificates = (
        harness.client_certificate(),
        harness.client_certificate(),
    )
    fields = {known_by: getattr(own_certificates, known_by)}
    client = Client(method="tls_client_auth", **fields)
    with AuthorizationServer(client, tls=harness.server) as server:
        caller = Caller(server, tls=own_certificates.trusting)
        reply = caller.token(CLIENT)
        token = reply.members["access_token"]
        opened_reply = caller.open(token)
        unknown_caller = Caller(server, tls=harness.stranger)
        other_caller = Caller(server, tls=other_certificates.trusting)

        assert [200, 200] == [reply.status, opened_reply.status]
        assert {"x5t#S256": own_certificates.thumbprint} == opened_reply.members["cnf"]
        assert (401, "invalid_client") == unknown_caller.token(CLIENT).error
        assert [(401, 'Bearer error="invalid_token"')] * 2 == [
            refusal_of(item.open(token)) for item in (unknown_caller, other_caller)
        ]
        # Both certificates have the same name, and differ only by their thumbprints.
        assert (200 if known_by == "subject" else 401) == other_caller.token(CLIENT).status
        assert "tls_client_auth" == server.requests[0].method


def test_unregistered_certificate_is_refused(tmp_path: Path) -> None:
    """A client without a registered certificate is refused."""
    harness = TlsHarness(tmp_path)
    own_certificates = harness.client_certificate()
    unknown_client = Client(id="nobody", method="tls_client_auth")
    named_client = Client(
        id="named", method="self_signed_tls_client_auth", subject=own_certificates.subject
    )
    shown_client = Client(
        id="shown", method="self_signed_tls_client_auth", thumbprint=own_certificates.thumbprint
    )
    with AuthorizationServer(
        unknown_client, named_client, shown_client, tls=harness.server
    ) as server:
        replies = [
            Caller(server, client, tls=own_certificates.trusting).token(CLIENT)
            for client in server.clients
        ]

    assert [401, 401, 200] == [reply.status for reply in replies]


def test_proofs_go_through_tls(tmp_path: Path) -> None:
    """A server with TLS accepts proofs for https URLs."""
    harness = TlsHarness(tmp_path)
    with AuthorizationServer(tls=harness.server) as server:
        caller = Caller(server, tls=harness.stranger)
        proof = Signer().proof("POST", server.token_url, server.now())
        plain_text = server.token_url.replace("https", "http")

        assert 200 == caller.token(CLIENT, headers=proof).status
        wrong_proof = Signer().proof("POST", plain_text, server.now())
        assert INVALID_PROOF == caller.token(CLIENT, headers=wrong_proof).error
        metadata = caller.send("GET", server.metadata_url).members
        assert metadata["tls_client_certificate_bound_access_tokens"]


def _basic(client: Client) -> dict[str, str]:
    return {"Authorization": basic(client.id, client.secret)}
