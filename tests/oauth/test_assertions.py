"""Clients that authenticate by signed assertions, and assertion grants, over real sockets."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from moorage import ClientCredentials, Consent, CredentialRefreshFailed, JwtBearer, OAuthCredentials
from moorage.domain.oauth.server import AuthorizationServer as Place
from moorage.domain.signing.jwt import JwtAlgorithm, JwtSigning
from tests.oauth.erp import Erp, client_of_server, in_sync_and_async
from tests.support import authorization_faults as faults
from tests.support import authorization_jwt as jose
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.proofs import pem

if TYPE_CHECKING:
    from collections.abc import Mapping

# Excluded from coverage runs, because other tests cover these lines.
pytestmark = pytest.mark.untraced

SHARED = "a secret that both sides know"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def registered_client(algorithm: str, **options: Any) -> Client:
    """Return a registered client that signs its assertions with this algorithm."""
    if algorithm == "HS256":
        return Client(method="client_secret_jwt", secret=SHARED, **options)
    return Client(method="private_key_jwt", key=KEYS[algorithm].public_key(), **options)


def signing_options(algorithm: str) -> dict[str, Any]:
    """Return the client's options for signing with this algorithm."""
    secret = SHARED if algorithm == "HS256" else pem(KEYS[algorithm])
    return {"secret": secret, "algorithm": algorithm}


def assertions(server: AuthorizationServer, name: str = "client_assertion") -> list[jose.Jwt]:
    """Return the assertions that the token endpoint received."""
    return [jose.read_jwt(request.params[name]) for request in server.requests]


def assertion_ids(shown: list[jose.Jwt]) -> set[Any]:
    """Return the `jti` of each assertion."""
    return {proof.claims["jti"] for proof in shown}


def test_every_algorithm_is_tried() -> None:
    """The assertion tests cover every signing algorithm."""
    assert set(JwtAlgorithm) == {"HS256", *KEYS}


@pytest.mark.parametrize("key_id", [None, "2026-03"])
@pytest.mark.parametrize("algorithm", [*JwtAlgorithm])
@in_sync_and_async
async def test_each_token_request_carries_new_assertion(
    erp: Erp, algorithm: str, key_id: str | None
) -> None:
    """Each token request carries a new assertion, and the server refuses a repeated one."""
    with AuthorizationServer(registered_client(algorithm, key_id=key_id)) as server:
        client = client_of_server(server, key_id=key_id, **signing_options(algorithm))
        erp.use_client(server, client)
        for _ in range(3):
            assert 200 == (await erp.call()).status
            server.expire_access_tokens()

        shown_proofs = assertions(server)
        assert [200] * 3 == [request.status for request in server.requests]
        assert [(algorithm, "JWT", key_id)] * 3 == [_head(proof.header) for proof in shown_proofs]
        assert [("erp", "erp", server.token_url, 60)] * 3 == [
            _summary(proof.claims) for proof in shown_proofs
        ]
        assert 3 == len(assertion_ids(shown_proofs))
        message = server.requests[0]
        assert {"client_secret", "authorization"}.isdisjoint({*message.params, *message.headers})


def _head(header: Mapping[str, Any]) -> tuple[Any, ...]:
    return header["alg"], header["typ"], header.get("kid")


def _summary(claims: Mapping[str, Any]) -> tuple[Any, ...]:
    assert {"iss", "sub", "aud", "iat", "exp", "jti"} == claims.keys()
    return claims["iss"], claims["sub"], claims["aud"], claims["exp"] - claims["iat"]


@pytest.mark.parametrize("algorithm", [*JwtAlgorithm])
@in_sync_and_async
async def test_token_request_that_is_retried_after_failure_carries_new_assertion(
    erp: Erp, algorithm: str
) -> None:
    """A token request that is retried after a failure carries a new assertion."""
    with AuthorizationServer(registered_client(algorithm)) as server:
        server.order(faults.failing_answer(503, processed=True))
        erp.use_client(server, client_of_server(server, **signing_options(algorithm)))

        assert 200 == (await erp.call()).status
        assert [503, 200] == [request.status for request in server.requests]
        assert 2 == len(assertion_ids(assertions(server)))


@in_sync_and_async
async def test_request_after_nonce_demand_has_new_assertion(erp: Erp) -> None:
    """If the server asks for a DPoP nonce, the repeated token request has a new assertion."""
    with AuthorizationServer(registered_client("ES256", dpop=True), nonces=True) as server:
        erp.use_client(
            server,
            client_of_server(server, dpop_key=pem(KEYS["ES256"]), **signing_options("ES256")),
        )

        assert 200 == (await erp.call()).status
        assert ["use_dpop_nonce", None] == [request.error for request in server.requests]
        assert 2 == len(assertion_ids(assertions(server)))


@in_sync_and_async
async def test_refresh_request_has_client_assertion(erp: Erp) -> None:
    """A client also authenticates by assertion when it uses a refresh token."""
    with AuthorizationServer(registered_client("RS256")) as server:
        value = server.seed()
        erp.use_client(
            server, client_of_server(server, grant=Consent(), **signing_options("RS256"))
        )
        first = OAuthCredentials(access_token="at-none", refresh_token=value.refresh_token)
        await erp.settle(erp.tokens.rotate("vat", None, first))

        assert 200 == (await erp.call()).status
        assert (1, 0) == (server.rotations, server.reused_token_count)
        assert "private_key_jwt" == server.requests[0].method


@in_sync_and_async
async def test_assertion_for_another_audience_is_refused(erp: Erp) -> None:
    """The server refuses a client assertion whose audience is another endpoint."""
    with AuthorizationServer(registered_client("ES256")) as server:
        other_endpoint = f"{server.url}/elsewhere"
        place = Place(token_endpoint=other_endpoint)
        erp.use_client(server, client_of_server(server, server=place, **signing_options("ES256")))

        with pytest.raises(CredentialRefreshFailed):
            await erp.call()
        assert () == server.resources


@pytest.mark.parametrize("options", [{"key_id": "old"}, {}])
@in_sync_and_async
async def test_assertion_with_unknown_key_is_refused(erp: Erp, options: dict[str, str]) -> None:
    """A client that signs with an unregistered key or an unknown key ID gets no token."""
    with AuthorizationServer(registered_client("ES256", key_id="new")) as server:
        other_signing = {
            "secret": pem(ec.generate_private_key(ec.SECP256R1())),
            "algorithm": "ES256",
        }
        erp.use_client(
            server,
            client_of_server(
                server, **(signing_options("ES256") if options else other_signing), **options
            ),
        )

        with pytest.raises(CredentialRefreshFailed, match="invalid_client"):
            await erp.call()
        assert 1 == len(server.requests)


@pytest.mark.parametrize("skew", [-600, 600])
@in_sync_and_async
async def test_assertion_of_a_skewed_clock_is_refused(erp: Erp, skew: float) -> None:
    """An assertion with a wrong time is refused with `invalid_client`, and not retried."""
    with AuthorizationServer(registered_client("ES256")) as server:
        server.advance(skew)
        erp.use_client(server, client_of_server(server, **signing_options("ES256")))

        with pytest.raises(CredentialRefreshFailed, match="invalid_client: ") as excinfo:
            await erp.call()
        assert (1, False) == (len(server.requests), excinfo.value.retryable)


# --- assertion grants ------------------------------------------------------------------


def assertion_grant(server: AuthorizationServer, algorithm: str, **options: Any) -> JwtBearer:
    """Return a JWT bearer grant whose assertion has the user `ann` as its subject."""
    assertion_options: dict[str, Any] = {
        "issuer": "hr",
        "subject": "ann",
        "audience": server.token_url,
    }
    assertion_options |= options
    server.trust(assertion_options["issuer"], KEYS[algorithm].public_key())
    signing = JwtSigning(
        algorithm=JwtAlgorithm(algorithm), lifetime=timedelta(minutes=2), **assertion_options
    )
    return JwtBearer(signing, pem(KEYS[algorithm]))


@pytest.mark.parametrize("algorithm", [*KEYS])
@in_sync_and_async
async def test_each_jwt_bearer_token_request_carries_new_assertion(
    erp: Erp, algorithm: str
) -> None:
    """Each JWT bearer token request carries a new assertion, whether the last one failed or not."""
    with AuthorizationServer() as server:
        server.order(faults.failing_answer(503, processed=True))
        grant = assertion_grant(server, algorithm, key_id="k", claims={"reason": "payroll"})
        erp.use_client(server, client_of_server(server, grant=grant))
        first = await erp.call()
        server.expire_access_tokens()
        second = await erp.call()

        shown_proofs = assertions(server, "assertion")
        assert ["ann", "ann"] == [item.json()["sub"] for item in (first, second)]
        assert [503, 200, 200] == [request.status for request in server.requests]
        assert 3 == len(assertion_ids(shown_proofs))
        assert {("hr", "ann", server.token_url, "payroll", 120)} == {
            (
                *(proof.claims[name] for name in ("iss", "sub", "aud", "reason")),
                proof.claims["exp"] - proof.claims["iat"],
            )
            for proof in shown_proofs
        }
        assert {"k"} == {proof.header["kid"] for proof in shown_proofs}


@pytest.mark.parametrize("issuer", ["hr", "erp"])
@in_sync_and_async
async def test_client_and_grant_have_separate_assertions(erp: Erp, issuer: str) -> None:
    """Client and grant each send their own assertion, even if both have the same issuer."""
    with AuthorizationServer(registered_client("RS256")) as server:
        grant = assertion_grant(server, "ES256", issuer=issuer)
        erp.use_client(server, client_of_server(server, grant=grant, **signing_options("RS256")))
        for _ in range(2):
            assert "ann" == (await erp.call()).json()["sub"]
            server.expire_access_tokens()

        assert [2, 2] == [
            len(assertion_ids(assertions(server, name)))
            for name in ("assertion", "client_assertion")
        ]


@in_sync_and_async
async def test_untrusted_grant_needs_no_consent(erp: Erp) -> None:
    """If the server refuses a grant that needs no user, the error does not request consent."""
    with AuthorizationServer() as server:
        grant = assertion_grant(server, "ES256")
        server.trust("hr", KEYS["RS256"].public_key())
        erp.use_client(server, client_of_server(server, grant=grant))

        with pytest.raises(CredentialRefreshFailed, match="invalid_grant"):
            await erp.call()
        assert 0 == erp.count_events("ConsentNeeded")


def test_default_grant_is_client_credentials() -> None:
    """The OAuth client that these tests use gets client-credentials tokens by default."""
    with AuthorizationServer() as server:
        assert isinstance(client_of_server(server).grant, ClientCredentials)
