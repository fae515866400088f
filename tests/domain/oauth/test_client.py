"""An OAuth client's settings: valid combinations, and those that are refused."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from moorage import (
    AuthorizationServer,
    ClientAuthentication,
    ClientCredentials,
    Consent,
    JwtBearer,
    JwtSigning,
    OAuthClient,
    Secret,
    TokenExchange,
)
from moorage.domain.oauth.grants import ACCESS_TOKEN
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.jwt import JwtAlgorithm
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

TOKENS = "https://login.example/token"
NOON = SigningContext(datetime(2026, 3, 1, 12, tzinfo=UTC), "n-1")


def pem(key: PrivateKeyTypes) -> str:
    """Return a private key as PEM text."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


P256 = pem(ec.generate_private_key(ec.SECP256R1()))
RSA = pem(rsa.generate_private_key(65537, 2048))


def case_name(case: object) -> str:
    """Return a short name for a test case."""
    return repr(case)[:40]


def client(**options: Any) -> OAuthClient:
    """Return an OAuth client with these options."""
    fields: dict[str, Any] = {"server": TOKENS, "client_id": "erp", **options}
    return OAuthClient(**fields)


@pytest.mark.parametrize("header", ["", "a b", "x:", "content-length"])
def test_header_that_cannot_carry_a_token_is_refused(header: str) -> None:
    """A header name that no request can carry is refused before a token is requested."""
    with pytest.raises(ConfigurationError) as excinfo:
        client(token_header=header)
    assert "token_header" == excinfo.value.path


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, ClientAuthentication.NONE),
        ({"secret": "s"}, ClientAuthentication.BASIC),
        ({"secret": "s", "authentication": "client_secret_post"}, ClientAuthentication.POST),
        ({"authentication": "tls_client_auth"}, ClientAuthentication.TLS),
    ],
    ids=case_name,
)
def test_authentication_follows_from_the_secret(
    options: dict[str, Any], expected: ClientAuthentication
) -> None:
    """By default an OAuth client sends its secret with Basic; without a secret, it sends its id."""
    assert expected is client(**options).authentication


@pytest.mark.parametrize(
    "options, path",
    [
        ({"authentication": "client_secret_basic"}, "secret"),
        ({"authentication": "private_key_jwt"}, "secret"),
        ({"secret": "s", "authentication": "none"}, "secret"),
        ({"secret": "s", "authentication": "tls_client_auth"}, "secret"),
        ({"secret": "s", "authentication": "self_signed_tls_client_auth"}, "secret"),
        ({"secret": "no key", "authentication": "private_key_jwt"}, "secret"),
        ({"secret": P256, "authentication": "private_key_jwt"}, "secret"),
        ({"secret": "", "authentication": "client_secret_jwt"}, "secret"),
        ({"dpop_key": RSA}, "secret"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\nb"}, "client_id"),
        ({"client_id": "x" * 256}, "client_id"),
        ({"client_id": 7}, "client_id"),
        ({"server": "http://login.example/token"}, "token_endpoint"),
        ({"parameters": {"grant_type": "password"}}, "parameters.grant_type"),
        ({"parameters": {"client_assertion": "x"}}, "parameters.client_assertion"),
    ],
    ids=case_name,
)
def test_impossible_settings_are_refused(options: dict[str, Any], path: str) -> None:
    """An impossible OAuth client setting is refused; the error contains the field's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        client(**options)
    assert path == excinfo.value.path


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"authentication": "client_secret_basic"}, "client_secret_basic needs a secret."),
        ({"secret": "s", "authentication": "none"}, "none takes no secret."),
    ],
)
def test_error_for_oauth_client_says_whether_secret_is_missing_or_superfluous(
    options: dict[str, Any], problem: str
) -> None:
    """The error for an OAuth client states whether a secret is missing or superfluous."""
    with pytest.raises(ConfigurationError) as excinfo:
        client(**options)
    assert f"The authentication {problem}" == excinfo.value.message


@pytest.mark.parametrize(
    "options",
    [
        {"authentication": "password"},
        {"secret": P256, "authentication": "private_key_jwt", "algorithm": "none"},
    ],
    ids=case_name,
)
def test_unknown_methods_are_refused(options: dict[str, Any]) -> None:
    """An unknown OAuth authentication or signing method is refused with a list of known methods."""
    with pytest.raises(InvalidData, match=r"Use one of"):
        client(**options)


def test_grant_given_as_a_string_is_refused() -> None:
    """An OAuth grant given as a plain string is refused."""
    with pytest.raises(InvalidData):
        client(grant="client_credentials")


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"secret": "s", "authentication": "client_secret_jwt"}, JwtAlgorithm.HS256),
        ({"secret": RSA, "authentication": "private_key_jwt"}, JwtAlgorithm.RS256),
        (
            {"secret": P256, "authentication": "private_key_jwt", "algorithm": "ES256"},
            JwtAlgorithm.ES256,
        ),
    ],
    ids=["shared", "RSA", "P-256"],
)
def test_signing_algorithm_follows_from_the_key(
    options: dict[str, Any], expected: JwtAlgorithm
) -> None:
    """By default an OAuth client signs with HS256 by a shared secret, or RS256 by a private key."""
    oauth_client = client(**options)

    assert oauth_client.uses_assertions
    assert expected is oauth_client.assertion_algorithm


def test_client_id_of_255_characters_is_valid() -> None:
    """An OAuth client id of 255 characters is valid."""
    assert "x" * 255 == client(client_id="x" * 255).client_id


def test_scope_may_be_a_list_or_a_string() -> None:
    """A scope may be a list or a space-separated string, and keeps its order."""
    assert ("b", "a") == client(scope="b a").scope == client(scope=["b", "a"]).scope


def test_repr_of_a_client_shows_no_key() -> None:
    """An OAuth client's repr shows no key, not even its grant's; a client cannot be pickled."""
    grant = JwtBearer(JwtSigning(algorithm="HS256"), "key-of-grant")
    oauth_client = client(
        secret="hunter2", grant=grant, dpop_key=P256, parameters={"assertion_key": "tell-tale"}
    )

    for canary in ("hunter2", "key-of-grant", "PRIVATE", "tell-tale"):
        assert canary not in repr(oauth_client)
    with pytest.raises(InvalidData):
        pickle.dumps(oauth_client)


def test_certificate_clients_use_the_mtls_endpoints() -> None:
    """A client that authenticates by certificate uses the server's mTLS endpoint aliases."""
    server = AuthorizationServer(
        token_endpoint=TOKENS, mtls_endpoint_aliases={"token_endpoint": "https://mtls.example/t"}
    )

    assert TOKENS == client(server=server).at("token_endpoint")
    for way in ("tls_client_auth", "self_signed_tls_client_auth"):
        endpoint = client(server=server, authentication=way).at("token_endpoint")
        assert "https://mtls.example/t" == endpoint


def test_grants_send_their_registered_type() -> None:
    """Each OAuth grant sends its registered grant type and its own parameters."""
    grant_parameters = ClientCredentials().parameters(NOON, None)
    assert (("grant_type", "client_credentials"),) == grant_parameters

    bearer = JwtBearer(JwtSigning(algorithm="HS256", issuer="me"), "key")
    kind, assertion = bearer.parameters(NOON, None)
    assert ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer") == kind
    assert "assertion" == assertion[0]
    # The grant's assertion has an id that no other token in the request has.
    context = NOON._replace(nonce="n-1-grant")
    assert bearer.signing.token(bearer.key, context).reveal() == assertion[1]

    exchange = TokenExchange(
        subject=Secret("theirs"),
        actor="ours",
        requested_token_type="urn:ietf:params:oauth:token-type:jwt",
    )
    assert (
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "theirs"),
        ("subject_token_type", ACCESS_TOKEN),
        ("actor_token", "ours"),
        ("actor_token_type", ACCESS_TOKEN),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:jwt"),
    ) == exchange.parameters(NOON, None)


def test_exchange_sends_the_named_services_current_token() -> None:
    """A token exchange whose subject names a service sends that service's current token."""
    exchange = TokenExchange(subject="crm")

    assert ("subject_token", "fresh") in exchange.parameters(NOON, Secret("fresh"))
    assert "subject_token" not in dict(exchange.parameters(NOON, None))


@pytest.mark.parametrize("subject", ["", None, 7, Secret("")], ids=repr)
def test_exchange_without_subject_token_or_service_is_refused(subject: Any) -> None:
    """A token exchange without a subject token or a service is refused."""
    with pytest.raises(InvalidData) as excinfo:
        TokenExchange(subject=subject)
    assert "subject" == excinfo.value.field


def test_a_grant_that_cannot_sign_is_refused() -> None:
    """A JWT-bearer grant whose key does not suit its algorithm is refused."""
    with pytest.raises(InvalidData):
        JwtBearer(JwtSigning(algorithm="ES256", lifetime=timedelta(minutes=1)), "no key")


def test_only_consent_needs_a_person() -> None:
    """Every OAuth grant but consent can be requested without a user."""
    assert [False, True, True, True] == [
        kind.alone for kind in (Consent, ClientCredentials, JwtBearer, TokenExchange)
    ]
