"""OAuth token requests, checked by a test server that follows the RFCs strictly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from moorage import Secret, VendorFailed
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.domain.http.requests import Request
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.http.transport import Tls
from moorage.domain.oauth.client import OAuthClient
from moorage.domain.oauth.grants import JwtBearer, TokenExchange
from moorage.domain.oauth.server import AuthorizationServer as Server
from moorage.domain.oauth.server import well_known
from moorage.domain.oauth.token_renewal import TokenQuestion
from moorage.domain.oauth.token_request import token_request
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.dpop import proof
from moorage.domain.signing.jwt import JwtSigning
from tests.domain.oauth.test_client import P256, RSA
from tests.support.authorization_certificates import TlsHarness
from tests.support.authorization_server import AuthorizationServer, Client

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from tests.support.authorization_values import Method

UNUSUAL_TEXT = "p:ä+s s%2B&=~*'"
PATIENT = Timeouts(total=30)


def public_key(pem: str) -> Any:
    """Return the public key of a private key in PEM."""
    return load_pem_private_key(pem.encode(), None).public_key()


def request_token(
    server: AuthorizationServer,
    client: OAuthClient,
    serial: str,
    *,
    nonce: str | None = None,
    tls: Tls | None = None,
) -> Response:
    """Send a token request for the client's grant."""
    context = SigningContext(server.now(), serial)
    parameters = TokenQuestion(client).parameters(context)
    request, url = token_request(client, parameters, context, nonce=nonce)
    with StdlibHttpClient(tls=tls) as http:
        return http.send(request, url, PATIENT)


def members(answer: Response) -> dict[str, Any]:
    """Return the members of a JSON response."""
    return json.loads(answer.body)  # type: ignore[no-any-return]  # an object


@pytest.mark.parametrize(
    "registered, options",
    [
        (
            {"id": UNUSUAL_TEXT, "secret": UNUSUAL_TEXT},
            {"client_id": UNUSUAL_TEXT, "secret": UNUSUAL_TEXT},
        ),
        (
            {"id": UNUSUAL_TEXT, "secret": UNUSUAL_TEXT, "method": "client_secret_post"},
            {
                "client_id": UNUSUAL_TEXT,
                "secret": UNUSUAL_TEXT,
                "authentication": "client_secret_post",
            },
        ),
        (
            {"secret": "s" * 32, "method": "client_secret_jwt"},
            {"secret": "s" * 32, "authentication": "client_secret_jwt"},
        ),
        (
            {"key": public_key(RSA), "method": "private_key_jwt"},
            {"secret": RSA, "authentication": "private_key_jwt"},
        ),
        (
            {"key": public_key(P256), "key_id": "k1", "method": "private_key_jwt"},
            {
                "secret": P256,
                "authentication": "private_key_jwt",
                "algorithm": "ES256",
                "key_id": "k1",
            },
        ),
    ],
    ids=["basic", "post", "shared secret", "RSA", "P-256"],
)
def test_each_client_authentication_method_works_twice(
    registered: dict[str, Any], options: dict[str, Any]
) -> None:
    """Each OAuth client authentication method works twice, with any characters in id and secret."""
    with AuthorizationServer(Client(**registered)) as server:
        fields: dict[str, Any] = {"client_id": "erp", "scope": "read"} | options
        client = OAuthClient(server=server.token_url, **fields)
        answers = [request_token(server, client, serial) for serial in ("one", "two")]

        assert [200, 200] == [answer.status for answer in answers]
        assert server.clients[0].method == server.requests[0].method


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_client_with_a_certificate_gets_a_bound_token(tmp_path: Path, method: Method) -> None:
    """An OAuth client with a registered certificate gets a token bound to that certificate."""
    harness = TlsHarness(tmp_path)
    harness_certificates = harness.client_certificate()
    registered_client = Client(method=method, thumbprint=harness_certificates.thumbprint)
    with AuthorizationServer(registered_client, tls=harness.server) as server:
        client = OAuthClient(server=server.token_url, client_id="erp", authentication=method)
        tls = Tls(
            authorities=harness.authority,
            certificate=harness_certificates.certificate,
            key=harness_certificates.key,
        )
        answer = request_token(server, client, "one", tls=tls)

        assert (200, "Bearer") == (answer.status, members(answer)["token_type"])


def test_dpop_token_opens_the_resource() -> None:
    """A DPoP proof with the demanded nonce binds a token.

    A new proof gives access to the resource.
    """
    with AuthorizationServer(nonces=True) as server:
        client = OAuthClient(
            server=server.token_url, client_id="erp", secret="s3cr3t", dpop_key=P256
        )
        challenge = request_token(server, client, "one")
        answer = request_token(server, client, "two", nonce=challenge.headers.get("DPoP-Nonce"))
        assert ["use_dpop_nonce", None] == [request.error for request in server.requests]
        assert "DPoP" == members(answer)["token_type"]

        token = Secret(members(answer)["access_token"])
        key, url = Secret(P256), f"{server.resource_url}?page=2"
        statuses, nonce = [], None
        with StdlibHttpClient() as http:
            for serial in ("three", "four"):
                context = SigningContext(server.now(), serial)
                proof_token = proof(key, "GET", url, context, token=token, nonce=nonce).reveal()
                headers = {"Authorization": f"DPoP {token.reveal()}", "DPoP": proof_token}
                response = http.send(Request.get("/", headers=headers), url, PATIENT)
                statuses.append(response.status)
                nonce = response.headers.get("DPoP-Nonce")

        assert [401, 200] == statuses


def test_jwt_bearer_grant_is_accepted() -> None:
    """A JWT-bearer grant is accepted from a client with a name and secret."""
    with AuthorizationServer() as server:
        server.trust("robot@example", public_key(RSA))
        signing = JwtSigning(
            algorithm="RS256", issuer="robot@example", subject="alice", audience=server.token_url
        )
        grant = JwtBearer(signing, Secret(RSA))
        client = OAuthClient(server=server.token_url, client_id="erp", secret="s3cr3t", grant=grant)

        assert [200, 200] == [
            request_token(server, client, serial).status for serial in ("one", "two")
        ]


def test_jwt_client_with_jwt_grant() -> None:
    """A client that signs both its authentication and its grant sends two different JWTs."""
    with AuthorizationServer(Client(method="private_key_jwt", key=public_key(RSA))) as server:
        server.trust("erp", public_key(RSA))
        signing = JwtSigning(
            algorithm="RS256", issuer="erp", subject="alice", audience=server.token_url
        )
        client = OAuthClient(
            server=server.token_url,
            client_id="erp",
            secret=RSA,
            authentication="private_key_jwt",
            grant=JwtBearer(signing, Secret(RSA)),
        )

        assert 200 == request_token(server, client, "one").status


def test_token_is_exchanged_for_one_with_another_audience() -> None:
    """A token can be exchanged for a token with another audience."""
    with AuthorizationServer() as server:
        access, _ = server.seed(scope="read")
        client = OAuthClient(
            server=server.token_url,
            client_id="erp",
            secret="s3cr3t",
            grant=TokenExchange(subject=Secret(access), actor=Secret(access)),
            parameters={"audience": "vat", "resource": "https://vat.example/"},
        )
        answer = request_token(server, client, "one")

        assert (200, "read") == (answer.status, members(answer)["scope"])


@pytest.mark.parametrize("path", ["", "/tenant"])
def test_server_metadata_are_read_from_both_urls(path: str) -> None:
    """OAuth metadata is read from both well-known URLs, but refused if the issuer differs."""
    with AuthorizationServer(issuer_path=path) as server, StdlibHttpClient() as http:

        def discovered_servers() -> list[Server]:
            responses = [
                http.send(Request.get("/"), url, PATIENT) for url in well_known(server.issuer)
            ]
            return [
                Server.from_metadata(server.issuer, members(response)) for response in responses
            ]

        assert [(server.token_url, server.device_url, server.revoke_url)] * 2 == [
            (
                item.token_endpoint,
                item.device_authorization_endpoint,
                item.revocation_endpoint,
            )
            for item in discovered_servers()
        ]
        server.claimed_issuer = "https://evil.example"
        with pytest.raises(VendorFailed):
            discovered_servers()
