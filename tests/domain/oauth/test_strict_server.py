"""What a client says at the token endpoint, read by a server as strict as its RFCs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from moorage import Secret, VendorFailed
from moorage.adapters.stdlib_http import StdlibHttpClient
from moorage.domain.http import Request
from moorage.domain.oauth.client import OAuthClient
from moorage.domain.oauth.dpop import proof
from moorage.domain.oauth.grants import JwtBearer, TokenExchange
from moorage.domain.oauth.question import Question
from moorage.domain.oauth.server import AuthorizationServer as Server
from moorage.domain.oauth.server import well_known
from moorage.domain.oauth.token_request import token_request
from moorage.domain.signing.jwt import JwtSigning
from moorage.domain.signing.occasion import Occasion
from moorage.domain.timeouts import Timeouts
from moorage.domain.transport import Tls
from tests.domain.oauth.test_client import P256, RSA
from tests.support.authorization_papers import TlsLab
from tests.support.authorization_server import AuthorizationServer, Client

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http import Response
    from tests.support.authorization_values import Method

ODD = "p:ä+s s%2B&=~*'"
PATIENT = Timeouts(total=30)


def public(pem: str) -> Any:
    """What the server verifies with."""
    return load_pem_private_key(pem.encode(), None).public_key()


def ask(
    server: AuthorizationServer,
    client: OAuthClient,
    serial: str,
    *,
    nonce: str | None = None,
    tls: Tls | None = None,
) -> Response:
    """Ask for a token as the client's grant has it."""
    occasion = Occasion(server.now(), serial)
    told = Question(client).parameters(occasion)
    request, url = token_request(client, told, occasion, nonce=nonce)
    with StdlibHttpClient(tls=tls) as http:
        return http.send(request, url, PATIENT)


def members(answer: Response) -> dict[str, Any]:
    """What an answer says."""
    return json.loads(answer.body)  # type: ignore[no-any-return]  # an object


@pytest.mark.parametrize(
    "registered, given",
    [
        ({"id": ODD, "secret": ODD}, {"client_id": ODD, "secret": ODD}),
        (
            {"id": ODD, "secret": ODD, "method": "client_secret_post"},
            {"client_id": ODD, "secret": ODD, "authentication": "client_secret_post"},
        ),
        (
            {"secret": "s" * 32, "method": "client_secret_jwt"},
            {"secret": "s" * 32, "authentication": "client_secret_jwt"},
        ),
        (
            {"key": public(RSA), "method": "private_key_jwt"},
            {"secret": RSA, "authentication": "private_key_jwt"},
        ),
        (
            {"key": public(P256), "key_id": "k1", "method": "private_key_jwt"},
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
def test_a_client_is_known(registered: dict[str, Any], given: dict[str, Any]) -> None:
    """Each way to say who one is is taken, with anything in id and secret, twice in a row."""
    with AuthorizationServer(Client(**registered)) as server:
        told: dict[str, Any] = {"client_id": "erp", "scope": "read"} | given
        client = OAuthClient(server=server.token_url, **told)
        answers = [ask(server, client, serial) for serial in ("one", "two")]

        assert [200, 200] == [one.status for one in answers]
        assert server.clients[0].method == server.requests[0].method


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_a_certificate_is_shown(tmp_path: Path, method: Method) -> None:
    """A client that is known by its certificate says its name, and gets a token bound to that."""
    lab = TlsLab(tmp_path)
    ours = lab.papers()
    registered = Client(method=method, thumbprint=ours.thumbprint)
    with AuthorizationServer(registered, tls=lab.server) as server:
        client = OAuthClient(server=server.token_url, client_id="erp", authentication=method)
        tls = Tls(authorities=lab.authority, certificate=ours.certificate, key=ours.key)
        answer = ask(server, client, "one", tls=tls)

        assert (200, "Bearer") == (answer.status, members(answer)["token_type"])


def test_possession_is_proven() -> None:
    """A proof with the nonce that was asked for binds a token; another one opens the resource."""
    with AuthorizationServer(nonces=True) as server:
        client = OAuthClient(
            server=server.token_url, client_id="erp", secret="s3cr3t", dpop_key=P256
        )
        asked = ask(server, client, "one")
        answer = ask(server, client, "two", nonce=asked.headers.get("DPoP-Nonce"))
        assert ["use_dpop_nonce", None] == [one.error for one in server.requests]
        assert "DPoP" == members(answer)["token_type"]

        token = Secret(members(answer)["access_token"])
        key, url = Secret(P256), f"{server.resource_url}?page=2"
        statuses, nonce = [], None
        with StdlibHttpClient() as http:
            for serial in ("three", "four"):
                occasion = Occasion(server.now(), serial)
                shown = proof(key, "GET", url, occasion, token=token, nonce=nonce).reveal()
                headers = {"Authorization": f"DPoP {token.reveal()}", "DPoP": shown}
                opened = http.send(Request.get("/", headers=headers), url, PATIENT)
                statuses.append(opened.status)
                nonce = opened.headers.get("DPoP-Nonce")

        assert [401, 200] == statuses


def test_somebody_vouches() -> None:
    """An assertion of our own making is taken for a grant, with a client's name and secret."""
    with AuthorizationServer() as server:
        server.trust("robot@example", public(RSA))
        signing = JwtSigning(
            algorithm="RS256", issuer="robot@example", subject="alice", audience=server.token_url
        )
        grant = JwtBearer(signing, Secret(RSA))
        client = OAuthClient(server=server.token_url, client_id="erp", secret="s3cr3t", grant=grant)

        assert [200, 200] == [ask(server, client, serial).status for serial in ("one", "two")]


def test_who_vouches_may_be_the_client_itself() -> None:
    """A client that signs who it is, and vouches in its own name, makes two different tokens."""
    with AuthorizationServer(Client(method="private_key_jwt", key=public(RSA))) as server:
        server.trust("erp", public(RSA))
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

        assert 200 == ask(server, client, "one").status


def test_tokens_are_exchanged() -> None:
    """A token is exchanged for one that is for somebody else."""
    with AuthorizationServer() as server:
        access, _ = server.seed(scope="read")
        client = OAuthClient(
            server=server.token_url,
            client_id="erp",
            secret="s3cr3t",
            grant=TokenExchange(subject=Secret(access), actor=Secret(access)),
            parameters={"audience": "vat", "resource": "https://vat.example/"},
        )
        answer = ask(server, client, "one")

        assert (200, "read") == (answer.status, members(answer)["scope"])


@pytest.mark.parametrize("path", ["", "/tenant"])
def test_the_server_describes_itself(path: str) -> None:
    """Its metadata are read from both places where they may be, unless it says it is another."""
    with AuthorizationServer(issuer_path=path) as server, StdlibHttpClient() as http:

        def discovered() -> list[Server]:
            found = [http.send(Request.get("/"), url, PATIENT) for url in well_known(server.issuer)]
            return [Server.from_metadata(server.issuer, members(one)) for one in found]

        assert [(server.token_url, server.device_url, server.revoke_url)] * 2 == [
            (
                one.token_endpoint,
                one.device_authorization_endpoint,
                one.revocation_endpoint,
            )
            for one in discovered()
        ]
        server.claimed_issuer = "https://evil.example"
        with pytest.raises(VendorFailed):
            discovered()
