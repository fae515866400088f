"""Sender-constrained tokens (DPoP and mutual TLS) against a strict server over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import (
    AuthenticationFailed,
    BodyStream,
    Consent,
    CredentialRefreshFailed,
    OAuthCredentials,
    Request,
    Secret,
    Tls,
    VendorRejected,
)
from moorage.domain.oauth.server import AuthorizationServer as Place
from moorage.testing.fakes.http_server import VendorServer
from tests.oauth.erp import Erp, client_of_server, in_sync_and_async
from tests.support.authorization_certificates import TlsHarness
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.proofs import new_key, proof_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOUND = Client(dpop=True)


# --- tokens bound to a key -----------------------------------------------------------


@in_sync_and_async
async def test_bound_token_is_sent_with_a_new_proof_each_time(erp: Erp) -> None:
    """With a DPoP-bound token, every request has a valid proof, and no proof is sent twice."""
    with AuthorizationServer(BOUND) as server:
        erp.use_client(server, client_of_server(server, dpop_key=proof_key()))
        answers = [await erp.call() for _ in range(3)]
        server.expire_access_tokens()
        answers.append(await erp.call())
        posted_response = await erp.call(Request.post("/resource", json={}))

        assert [200] * 5 == [answer.status for answer in (*answers, posted_response)]
        assert all("jkt" in answer.json()["cnf"] for answer in answers)
        assert (5, 1) == (server.accepted, server.refused)
        assert 2 == len(server.requests)
        assert all(request.proven for request in server.requests)


@in_sync_and_async
async def test_server_that_requires_dpop_nonces_costs_one_extra_request(erp: Erp) -> None:
    """A server that requires DPoP nonces costs one extra request; its responses renew them."""
    with AuthorizationServer(BOUND, nonces=True) as server:
        erp.use_client(server, client_of_server(server, dpop_key=proof_key()))
        for _ in range(3):
            assert 200 == (await erp.call()).status
            server.renew_nonces()
        assert ["use_dpop_nonce", None, None, None] == [
            resource.error for resource in server.resources
        ]
        server.renew_nonces(abruptly=True)
        assert 200 == (await erp.call()).status

        assert ["use_dpop_nonce", None] == [resource.error for resource in server.resources[4:]]
        assert ["use_dpop_nonce", None] == [request.error for request in server.requests]
        assert (1, 0) == (erp.count_events("TokenRenewed"), erp.count_events("CredentialRefreshed"))


@in_sync_and_async
async def test_request_with_one_time_body_fails_on_nonce_demand(erp: Erp) -> None:
    """A request with a one-time body fails if a nonce is demanded; the next call sends one."""

    def one_time_body() -> Iterator[bytes]:
        yield b"{}"

    with AuthorizationServer(BOUND, nonces=True) as server:
        erp.use_client(server, client_of_server(server, dpop_key=proof_key()))
        body = BodyStream.of(one_time_body(), length=2)
        with pytest.raises(AuthenticationFailed) as excinfo:
            await erp.call(Request.post("/resource", body=body))
        body = BodyStream.of(one_time_body(), length=2)

        assert 200 == (await erp.call(Request.post("/resource", body=body))).status
        assert (True, 1) == (excinfo.value.retryable, len(server.requests) - 1)


@pytest.mark.parametrize("skew", [-3600, 3600])
@in_sync_and_async
async def test_proof_refused_for_its_time_causes_no_renewal(erp: Erp, skew: float) -> None:
    """If the server refuses a DPoP proof for its time, the client requests no new token."""
    with AuthorizationServer(BOUND, access_lifetime=86_400) as server:
        erp.use_client(server, client_of_server(server, dpop_key=proof_key()))
        await erp.call()
        server.advance(skew)
        with pytest.raises(AuthenticationFailed, match="clock") as excinfo:
            await erp.call()

        assert 401 == excinfo.value.status
        assert (2, 1) == (len(server.resources), len(server.requests))


@in_sync_and_async
async def test_proof_with_another_key_is_refused(erp: Erp) -> None:
    """A DPoP-bound token that is used with another key's proof is refused and renewed."""
    with AuthorizationServer(BOUND) as server:
        erp.use_client(server, client_of_server(server, dpop_key=proof_key()))
        await erp.call()
        result = await erp.settle(erp.tokens.get("vat", None))
        stolen_credentials = OAuthCredentials(access_token=result.access_token, dpop_key=new_key())
        await erp.settle(erp.tokens.rotate("vat", None, stolen_credentials))

        assert 200 == (await erp.call()).status
        assert [None, "invalid_token", None] == [resource.error for resource in server.resources]
        assert 2 == len(server.requests)


@in_sync_and_async
async def test_refresh_token_is_sent_with_a_proof(erp: Erp) -> None:
    """A user's refresh token is sent with a DPoP proof, and the new token is DPoP-bound too."""
    with AuthorizationServer(BOUND, nonces=True) as server:
        value = server.seed()
        erp.use_client(server, client_of_server(server, dpop_key=proof_key(), grant=Consent()))
        first = OAuthCredentials(access_token="at-none", refresh_token=value.refresh_token)
        await erp.settle(erp.tokens.rotate("vat", None, first))

        assert "jkt" in (await erp.call()).json()["cnf"]
        assert (1, 0) == (server.rotations, server.reused_token_count)


@in_sync_and_async
async def test_redirects_are_not_followed(erp: Erp) -> None:
    """A redirect of a DPoP request is not followed; the target gets no token and no connection."""
    with (
        AuthorizationServer(BOUND) as server,
        VendorServer() as local_server,
        VendorServer() as stored_server,
    ):
        local_server.respond(307, {"Location": f"{stored_server.url}/resource"})
        erp.use_client(
            server, client_of_server(server, dpop_key=proof_key()), base_url=local_server.url
        )
        with pytest.raises(VendorRejected) as excinfo:
            await erp.call()

        assert (307, 1, 0) == (
            excinfo.value.status,
            len(local_server.requests),
            stored_server.connections,
        )
        assert "DPoP" in local_server.requests[0].headers


# --- tokens bound to a certificate ---------------------------------------------------


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
@in_sync_and_async
async def test_client_certificate_binds_access_token(erp: Erp, tmp_path: Path, method: str) -> None:
    """With mutual TLS, the certificate authenticates the client and binds its access token."""
    harness = TlsHarness(tmp_path)
    own_certificates = harness.client_certificate()
    registered_client = Client(method="tls_client_auth", subject=own_certificates.subject)
    if method.startswith("self_signed"):
        registered_client = Client(method="tls_client_auth", thumbprint=own_certificates.thumbprint)
    tls = Tls(
        authorities=harness.authority,
        certificate=own_certificates.certificate,
        key=own_certificates.key,
    )
    with AuthorizationServer(registered_client, tls=harness.server) as server:
        place = Place(
            token_endpoint="https://127.0.0.1:9/token",
            mtls_endpoint_aliases={"token_endpoint": server.token_url},
        )
        erp.use_client(
            server, client_of_server(server, server=place, authentication=method), tls=tls
        )
        first = await erp.call()
        server.expire_access_tokens()
        second = await erp.call()

        assert (
            {"x5t#S256": own_certificates.thumbprint} == first.json()["cnf"] == second.json()["cnf"]
        )
        assert ["tls_client_auth"] * 2 == [request.method for request in server.requests]
        assert ["erp"] * 2 == [request.params["client_id"] for request in server.requests]
        assert "client_secret" not in server.requests[0].params
        assert "authorization" not in server.requests[0].headers


@in_sync_and_async
async def test_a_bound_token_without_its_certificate_is_refused(erp: Erp, tmp_path: Path) -> None:
    """A certificate-bound token is refused without its certificate, or with another one."""
    harness = TlsHarness(tmp_path)
    own_certificates, other_certificates = (
        harness.client_certificate(),
        harness.client_certificate(),
    )
    own_tls = Tls(
        authorities=harness.authority,
        certificate=own_certificates.certificate,
        key=own_certificates.key,
    )
    key = Secret(other_certificates.key.read_bytes())
    wrong_tls_settings = (
        Tls(authorities=harness.authority),
        Tls(authorities=harness.authority, certificate=other_certificates.certificate, key=key),
    )
    registered_client = Client(method="tls_client_auth", thumbprint=own_certificates.thumbprint)
    with AuthorizationServer(registered_client, tls=harness.server) as server:
        for shown_tls in wrong_tls_settings:
            erp.use_client(server, client_of_server(server), tls=own_tls, at_the_resource=shown_tls)
            with pytest.raises(AuthenticationFailed) as excinfo:
                await erp.call()
            assert 401 == excinfo.value.status
        assert (0, {"invalid_token"}) == (
            server.accepted,
            {resource.error for resource in server.resources},
        )


@in_sync_and_async
async def test_missing_certificate_gets_no_token(erp: Erp, tmp_path: Path) -> None:
    """A mutual TLS client without its certificate gets `invalid_client`, and does not retry."""
    harness = TlsHarness(tmp_path)
    own_certificates = harness.client_certificate()
    registered_client = Client(method="tls_client_auth", thumbprint=own_certificates.thumbprint)
    with AuthorizationServer(registered_client, tls=harness.server) as server:
        erp.use_client(server, client_of_server(server), tls=Tls(authorities=harness.authority))
        with pytest.raises(CredentialRefreshFailed, match="invalid_client"):
            await erp.call()

        assert (1, ()) == (len(server.requests), server.resources)


@in_sync_and_async
async def test_token_may_be_bound_to_key_and_certificate(erp: Erp, tmp_path: Path) -> None:
    """One token can be bound to both a DPoP key and a certificate."""
    harness = TlsHarness(tmp_path)
    own_certificates = harness.client_certificate()
    tls = Tls(
        authorities=harness.authority,
        certificate=own_certificates.certificate,
        key=own_certificates.key,
    )
    registered_client = Client(
        method="tls_client_auth", subject=own_certificates.subject, dpop=True
    )
    with AuthorizationServer(registered_client, tls=harness.server, nonces=True) as server:
        erp.use_client(server, client_of_server(server, dpop_key=proof_key()), tls=tls)

        assert {"jkt", "x5t#S256"} == (await erp.call()).json()["cnf"].keys()
