"""The URL at which a user consents, and the callback that returns the authorisation code."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from moorage import (
    AuthorizationRequired,
    AuthorizationServer,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    CredentialRefreshFailed,
    InvalidData,
    OAuthClient,
    PendingConsent,
    Secret,
    UnsupportedByVendor,
)
from moorage.domain.oauth.consent import (
    RANDOM_VALUES,
    begin_consent,
    exchange_parameters,
    no_token_error,
    read_callback,
)
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.dpop import proof
from tests.support import authorization_jwt as jose
from tests.support.proofs import proof_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ISSUER = "https://login.example"
CALLBACK_URL = "https://erp.example/callback"


def client_of(**changes: Any) -> OAuthClient:
    """Return a public OAuth client of a server that sends its issuer in callbacks."""
    metadata: dict[str, Any] = {
        "token_endpoint": f"{ISSUER}/token",
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "authorization_response_iss_parameter_supported": True,
    }
    return OAuthClient(server=AuthorizationServer(**(metadata | changes)), client_id="erp")


def begun_consent(
    client: OAuthClient | None = None, **options: Any
) -> tuple[dict[str, str], PendingConsent]:
    """Return the parameters of a new consent URL, and the pending consent."""
    numbers = count(1)
    url, pending = begin_consent(
        client or client_of(),
        options.pop("redirect_uri", CALLBACK_URL),
        now=NOW,
        lifetime=HOUR,
        draw=numbers.__next__,
        **options,
    )
    assert "+" not in url
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True)), pending


def test_consent_url_has_client_redirect_scope_and_challenge() -> None:
    """A consent URL asks for a code for client and redirect URI, with an S256 challenge."""
    parameters, pending = begun_consent(scope="read write")
    challenge = sha256(pending.code_verifier.reveal_bytes()).digest()

    assert {
        "response_type": "code",
        "client_id": "erp",
        "redirect_uri": CALLBACK_URL,
        "scope": "read write",
        "state": pending.state.reveal(),
        "code_challenge": urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    } == parameters
    assert ("read", "write") == pending.scope
    assert (CALLBACK_URL, "erp", ISSUER, NOW + HOUR) == (
        pending.redirect_uri,
        pending.client_id,
        pending.issuer,
        pending.expires_at,
    )


def test_random_texts_are_independent() -> None:
    """State, code verifier and nonce of a consent differ, and each has 256 random bits."""
    draws: list[int] = []

    def draw() -> int:
        draws.append(1 << 52)
        return len(draws)

    _, pending = begin_consent(
        client_of(), CALLBACK_URL, now=NOW, lifetime=HOUR, draw=draw, scope="openid"
    )
    assert pending.nonce is not None
    texts = {text.reveal() for text in (pending.state, pending.code_verifier, pending.nonce)}
    assert 3 == len(texts)
    assert {43} == {len(text) for text in texts}
    assert 3 * RANDOM_VALUES == len(draws)
    assert RANDOM_VALUES * 52 > 256


def test_client_scope_is_the_default() -> None:
    """A consent request without a scope uses the OAuth client's scope.

    An empty scope is not sent.
    """
    client = OAuthClient(server=client_of().server, client_id="erp", scope="read")

    assert "read" == begun_consent(client)[0]["scope"]
    assert "write" == begun_consent(client, scope=["write"])[0]["scope"]
    assert "scope" not in begun_consent(client, scope=())[0]


def test_only_a_scope_with_openid_has_a_nonce() -> None:
    """A consent URL has a nonce only if the scope contains openid."""
    parameters, pending = begun_consent(scope="openid email")

    assert pending.nonce is not None
    assert parameters["nonce"] == pending.nonce.reveal()
    assert begun_consent(scope="email")[1].nonce is None


def test_parameters_of_a_consent_override_those_of_the_client() -> None:
    """A consent request's own parameters override the client's.

    The endpoint's query string is kept.
    """
    client = OAuthClient(
        server=client_of(authorization_endpoint=f"{ISSUER}/authorize?style=plain").server,
        client_id="erp",
        parameters={"audience": "vat", "prompt": "login"},
    )
    parameters, _ = begun_consent(
        client, parameters={"prompt": "consent", "login_hint": "ann@example.org"}
    )

    assert "plain" == parameters["style"]
    assert ("vat", "consent", "ann@example.org") == (
        parameters["audience"],
        parameters["prompt"],
        parameters["login_hint"],
    )


def test_dpop_clients_send_the_key_thumbprint() -> None:
    """A client with a DPoP key sends the key's thumbprint in the consent URL (RFC 9449)."""
    key = proof_key()
    proving = OAuthClient(server=client_of().server, client_id="erp", dpop_key=key)
    proof_token = proof(Secret(key), "GET", ISSUER, SigningContext(NOW, "id-1")).reveal()

    assert (
        jose.thumbprint(jose.read_jwt(proof_token).header["jwk"])
        == begun_consent(proving)[0]["dpop_jkt"]
    )
    assert "dpop_jkt" not in begun_consent()[0]


@pytest.mark.parametrize("name", ["state", "code_challenge", "scope", "dpop_jkt", "response_type"])
def test_reserved_parameters_are_refused(name: str) -> None:
    """A caller cannot override the OAuth parameters that protect a consent."""
    with pytest.raises(ConfigurationError, match=name):
        begun_consent(parameters={name: "x"})


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK_URL,
        "http://127.0.0.1:49152/callback",
        "http://[::1]:1/",
        "com.example.erp:/callback",
    ],
)
def test_allowed_redirect_uris(uri: str) -> None:
    """Redirect URIs may use HTTPS, localhost, or an app's own scheme (RFC 8252)."""
    assert uri == begun_consent(redirect_uri=uri)[0]["redirect_uri"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://erp.example/callback",
        "javascript:alert(1)",
        "/callback",
        "",
        f"{CALLBACK_URL}#here",
        f"{CALLBACK_URL}?a=b#here",
        "com.example.erp:/callback#here",
        7,
    ],
)
def test_unsafe_redirect_uris_are_refused(uri: Any) -> None:
    """A redirect URI at which other parties could read the authorisation code is refused."""
    with pytest.raises(ConfigurationError, match="redirect_uri"):
        begun_consent(redirect_uri=uri)


def test_a_server_without_s256_is_refused() -> None:
    """A consent is not begun at a server whose metadata exclude S256."""
    with pytest.raises(UnsupportedByVendor, match="does not support PKCE") as excinfo:
        begun_consent(client_of(code_challenge_methods_supported=["plain"]))
    assert "a server that supports PKCE" in excinfo.value.remedy
    parameters, _ = begun_consent(client_of(code_challenge_methods_supported=["plain", "S256"]))
    assert "S256" == parameters["code_challenge_method"]


def test_a_server_without_an_endpoint_is_refused() -> None:
    """A consent is not begun at a server without an authorisation endpoint."""
    with pytest.raises(ConfigurationError, match="authorization_endpoint"):
        begun_consent(client_of(authorization_endpoint=None))


# --- the callback ------------------------------------------------------------


def callback_query(pending: PendingConsent, **changes: str | None) -> str:
    """Return the query string of a consent's callback."""
    parameters: dict[str, str | None] = {
        "code": "c0de",
        "state": pending.state.reveal(),
        "iss": ISSUER,
    }
    pairs = (parameters | changes).items()
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs if value is not None)


def read_result(callback: Any, pending: PendingConsent, client: OAuthClient | None = None) -> Any:
    """Return the result of reading a consent's callback."""
    return read_callback(callback, pending, client or client_of(), NOW)


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "?{}",
        f"{CALLBACK_URL}?{{}}",
        f"{CALLBACK_URL}?{{}}#_=_",
        "/callback?{}",
        "/callback?{}&at=/a?b=c",
        "com.example:/cb?{}",
    ],
)
def test_authorisation_code_is_read_from_a_callback(form: str) -> None:
    """The authorisation code is found in a callback URL, in a path, or in a query alone."""
    _, pending = begun_consent()

    assert Secret("c0de") == read_result(form.format(callback_query(pending)), pending)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"state": "other"}, "state"),
        ({"state": None}, "state"),
        ({"state": ""}, "state"),
        ({"state": None, "error": "access_denied"}, "state"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": None, "error": "access_denied"}, "iss"),
        ({"code": None}, "code"),
        ({"code": ""}, "code"),
    ],
)
def test_callback_must_match_the_pending_consent(
    changes: dict[str, str | None], field: str
) -> None:
    """A consent callback with a wrong or missing state, issuer or code is refused."""
    _, pending = begun_consent()
    refusal = read_result(callback_query(pending, **changes), pending)

    assert isinstance(refusal, InvalidData)
    assert field == refusal.field
    assert "begin again" in refusal.remedy


@pytest.mark.parametrize(
    "repeated_parameter", ["code=other", "state=other", "iss=x", "error=x&error=x", "a&a"]
)
def test_repeated_parameters_are_refused(repeated_parameter: str) -> None:
    """A callback parameter that occurs twice is refused (RFC 6749, section 3.1)."""
    _, pending = begun_consent()
    refusal = read_result(f"{callback_query(pending)}&{repeated_parameter}", pending)

    assert isinstance(refusal, InvalidData)
    assert "twice" in refusal.message


@pytest.mark.parametrize("callback", [None, b"state=x", "a=%ff", "x" * 20_000, "&".join("a" * 500)])
def test_unreadable_callbacks_are_refused(callback: Any) -> None:
    """A consent callback that cannot be parsed, or is too long, is refused."""
    refusal = read_result(callback, begun_consent()[1])

    assert isinstance(refusal, InvalidData)
    assert "callback" == refusal.field


def test_callback_size_limits() -> None:
    """A callback query may have up to 16 KiB and a hundred parameters."""
    _, pending = begun_consent()
    query = f"{callback_query(pending)}&x="
    many_parameters = "&".join([callback_query(pending), *(f"x{number}=" for number in range(97))])

    assert Secret("c0de") == read_result(query.ljust(16_384, "x"), pending)
    assert "callback" == read_result(query.ljust(16_385, "x"), pending).field
    assert Secret("c0de") == read_result(many_parameters, pending)
    assert "callback" == read_result(f"{many_parameters}&y=", pending).field


def test_issuer_may_be_missing_if_not_promised() -> None:
    """A callback may lack `iss` unless the server promises to send it.

    A wrong issuer is refused.
    """
    client = client_of(authorization_response_iss_parameter_supported=False)
    _, pending = begun_consent(client)

    assert Secret("c0de") == read_result(callback_query(pending, iss=None), pending, client)
    assert isinstance(
        read_result(callback_query(pending, iss="https://evil.example"), pending, client),
        InvalidData,
    )


def test_issuer_is_not_compared_if_unknown() -> None:
    """If no issuer is configured, a consent callback may have any `iss` parameter."""
    client = client_of(issuer=None)
    _, pending = begun_consent(client)

    assert Secret("c0de") == read_result(
        callback_query(pending, iss="https://any.example"), pending, client
    )


def test_pending_consent_cannot_be_finished_by_another_client() -> None:
    """A pending consent cannot be finished by another client or at another server."""
    _, pending = begun_consent()
    other_client = OAuthClient(server=client_of().server, client_id="other")
    client_of_another_server = client_of(issuer="https://other.example")

    for client in (other_client, client_of_another_server):
        refusal = read_result(callback_query(pending), pending, client)
        assert isinstance(refusal, InvalidData)
        assert "pending" == refusal.field


def test_pending_consent_expires() -> None:
    """A callback after the consent's lifetime is refused, and the user must begin again."""
    _, pending = begun_consent()
    before_expiry, expiry = NOW + HOUR - timedelta(seconds=1), NOW + HOUR

    assert Secret("c0de") == read_callback(
        callback_query(pending), pending, client_of(), before_expiry
    )
    refused_secret = read_callback(callback_query(pending), pending, client_of(), expiry)
    assert isinstance(refused_secret, AuthorizationRequired)
    assert "The person returned after the consent had expired." == refused_secret.message
    assert "Ask the person to begin again." == refused_secret.remedy


@pytest.mark.parametrize(
    "error, kind, later",
    [
        ("access_denied", AuthorizationRequired, False),
        ("login_required", AuthorizationRequired, False),
        ("consent_required", AuthorizationRequired, False),
        ("account_selection_required", AuthorizationRequired, False),
        ("temporarily_unavailable", CredentialRefreshFailed, True),
        ("server_error", CredentialRefreshFailed, True),
        ("invalid_scope", CredentialRefreshFailed, False),
        ("unauthorized_client", CredentialRefreshFailed, False),
    ],
)
def test_error_code_in_a_callback_decides_the_exception_type(
    error: str, kind: type[ConnectorError], *, later: bool
) -> None:
    """The server's error code in a callback decides exception type, retryability and remedy."""
    _, pending = begun_consent()
    refusal = read_result(
        callback_query(pending, code=None, error=error, error_description="so"), pending
    )

    assert kind is type(refusal)
    assert f"{error}: so" in refusal.message
    assert later == refusal.retryable
    assert (kind is AuthorizationRequired) == ("begin again" in refusal.remedy)


def test_error_for_a_refused_consent_masks_secrets() -> None:
    """The error for a refused consent masks our secrets, and quotes only valid OAuth codes."""
    _, pending = begun_consent()
    description = f"<b>{pending.state.reveal()}</b>"
    refusal = read_result(
        callback_query(pending, code=None, error="<x>", error_description=description), pending
    )

    assert pending.state.reveal() not in str(refusal)
    assert "HTTP 400" in refusal.message


def test_token_request_has_the_code_and_its_verifier() -> None:
    """A token request for a code contains code, code verifier and redirect URI."""
    _, pending = begun_consent()

    assert {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": CALLBACK_URL,
        "code_verifier": pending.code_verifier.reveal(),
    } == dict(exchange_parameters(Secret("c0de"), pending))


def test_unreachable_server_is_retryable() -> None:
    """An unreachable token endpoint is a retryable failure, not a denial of consent."""
    error, wait = no_token_error(ConnectionFailed("away."))

    assert CredentialRefreshFailed is type(error)
    assert (True, None) == (error.retryable, wait)
