"""Where a person is sent for consent, and what may come back with them."""

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
from moorage.domain.oauth.consent import DRAWS, begin, exchanging, no_token, read_callback
from moorage.domain.oauth.dpop import proof
from moorage.domain.signing.occasion import Occasion
from tests.support import authorization_jwt as jose
from tests.support.proofs import proof_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ISSUER = "https://login.example"
BACK = "https://erp.example/callback"


def client_of(**changes: Any) -> OAuthClient:
    """A public client of a server that names itself."""
    told: dict[str, Any] = {
        "token_endpoint": f"{ISSUER}/token",
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "authorization_response_iss_parameter_supported": True,
    }
    return OAuthClient(server=AuthorizationServer(**(told | changes)), client_id="erp")


def begun(client: OAuthClient | None = None, **given: Any) -> tuple[dict[str, str], PendingConsent]:
    """What the URL says, and what is remembered."""
    numbers = count(1)
    url, pending = begin(
        client or client_of(),
        given.pop("redirect_uri", BACK),
        now=NOW,
        lifetime=HOUR,
        draw=numbers.__next__,
        **given,
    )
    assert "+" not in url
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True)), pending


def test_the_url_says_who_asks_for_what() -> None:
    """A code is asked for, by this client, for this place, with a challenge by S256."""
    said, pending = begun(scope="read write")
    challenge = sha256(pending.code_verifier.reveal_bytes()).digest()

    assert {
        "response_type": "code",
        "client_id": "erp",
        "redirect_uri": BACK,
        "scope": "read write",
        "state": pending.state.reveal(),
        "code_challenge": urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    } == said
    assert ("read", "write") == pending.scope
    assert (BACK, "erp", ISSUER, NOW + HOUR) == (
        pending.redirect_uri,
        pending.client_id,
        pending.issuer,
        pending.expires_at,
    )


def test_every_text_is_drawn_anew() -> None:
    """State, verifier and nonce have nothing in common, and 256 bits each."""
    draws: list[int] = []

    def draw() -> int:
        draws.append(1 << 52)
        return len(draws)

    _, pending = begin(client_of(), BACK, now=NOW, lifetime=HOUR, draw=draw, scope="openid")
    assert pending.nonce is not None
    texts = {one.reveal() for one in (pending.state, pending.code_verifier, pending.nonce)}
    assert 3 == len(texts)
    assert {43} == {len(one) for one in texts}
    assert 3 * DRAWS == len(draws)
    assert DRAWS * 52 > 256


def test_the_clients_own_scope_is_usual() -> None:
    """What is not asked for by the call is what the client asks for, or nothing."""
    client = OAuthClient(server=client_of().server, client_id="erp", scope="read")

    assert "read" == begun(client)[0]["scope"]
    assert "write" == begun(client, scope=["write"])[0]["scope"]
    assert "scope" not in begun(client, scope=())[0]


def test_openid_has_a_nonce() -> None:
    """Where an id_token is asked for it must name a nonce; elsewhere there is none."""
    said, pending = begun(scope="openid email")

    assert pending.nonce is not None
    assert said["nonce"] == pending.nonce.reveal()
    assert begun(scope="email")[1].nonce is None


def test_other_parameters_go_along() -> None:
    """The client's own are said, and those of the call instead of or besides them."""
    client = OAuthClient(
        server=client_of(authorization_endpoint=f"{ISSUER}/authorize?style=plain").server,
        client_id="erp",
        parameters={"audience": "vat", "prompt": "login"},
    )
    said, _ = begun(client, parameters={"prompt": "consent", "login_hint": "ann@example.org"})

    assert "plain" == said["style"]
    assert ("vat", "consent", "ann@example.org") == (
        said["audience"],
        said["prompt"],
        said["login_hint"],
    )


def test_a_code_is_bound_to_the_key_of_proofs() -> None:
    """Who makes proofs says so beforehand, by the thumbprint of the key (RFC 9449, section 10)."""
    key = proof_key()
    proving = OAuthClient(server=client_of().server, client_id="erp", dpop_key=key)
    shown = proof(Secret(key), "GET", ISSUER, Occasion(NOW, "id-1")).reveal()

    assert jose.thumbprint(jose.read(shown).header["jwk"]) == begun(proving)[0]["dpop_jkt"]
    assert "dpop_jkt" not in begun()[0]


@pytest.mark.parametrize("name", ["state", "code_challenge", "scope", "dpop_jkt", "response_type"])
def test_what_comes_by_itself_is_refused(name: str) -> None:
    """Nobody weakens a consent by a parameter."""
    with pytest.raises(ConfigurationError, match=name):
        begun(parameters={name: "x"})


@pytest.mark.parametrize(
    "uri", [BACK, "http://127.0.0.1:49152/callback", "http://[::1]:1/", "com.example.erp:/callback"]
)
def test_where_people_may_come_back_to(uri: str) -> None:
    """HTTPS, this machine, and an app's own scheme (RFC 8252)."""
    assert uri == begun(redirect_uri=uri)[0]["redirect_uri"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://erp.example/callback",
        "javascript:alert(1)",
        "/callback",
        "",
        f"{BACK}#here",
        f"{BACK}?a=b#here",
        "com.example.erp:/callback#here",
        7,
    ],
)
def test_where_they_may_not(uri: Any) -> None:
    """A code is sent to no place where somebody else may read it."""
    with pytest.raises(ConfigurationError, match="redirect_uri"):
        begun(redirect_uri=uri)


def test_a_server_without_s256_is_refused() -> None:
    """A server that says it takes no S256 is not asked."""
    with pytest.raises(UnsupportedByVendor, match="does not support PKCE") as refused:
        begun(client_of(code_challenge_methods_supported=["plain"]))
    assert "a server that supports PKCE" in refused.value.remedy
    said, _ = begun(client_of(code_challenge_methods_supported=["plain", "S256"]))
    assert "S256" == said["code_challenge_method"]


def test_a_server_without_an_endpoint_is_refused() -> None:
    """The endpoint must be known."""
    with pytest.raises(ConfigurationError, match="authorization_endpoint"):
        begun(client_of(authorization_endpoint=None))


# --- what comes back ---------------------------------------------------------


def back(pending: PendingConsent, **changes: str | None) -> str:
    """The query with which a person comes back."""
    told: dict[str, str | None] = {"code": "c0de", "state": pending.state.reveal(), "iss": ISSUER}
    pairs = (told | changes).items()
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs if value is not None)


def read(callback: Any, pending: PendingConsent, client: OAuthClient | None = None) -> Any:
    """What is made of it."""
    return read_callback(callback, pending, client or client_of(), NOW)


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "?{}",
        f"{BACK}?{{}}",
        f"{BACK}?{{}}#_=_",
        "/callback?{}",
        "/callback?{}&at=/a?b=c",
        "com.example:/cb?{}",
    ],
)
def test_a_code_is_read(form: str) -> None:
    """The code is found in a URL, in a path, and in a query alone."""
    _, pending = begun()

    assert Secret("c0de") == read(form.format(back(pending)), pending)


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
def test_what_is_not_of_this_consent(changes: dict[str, str | None], field: str) -> None:
    """A state, an issuer or a code that is wrong or missing is refused, errors included."""
    _, pending = begun()
    refused = read(back(pending, **changes), pending)

    assert isinstance(refused, InvalidData)
    assert field == refused.field
    assert "begin again" in refused.remedy


@pytest.mark.parametrize("twice", ["code=other", "state=other", "iss=x", "error=x&error=x", "a&a"])
def test_nothing_may_come_twice(twice: str) -> None:
    """A parameter that came twice is refused whatever it is (RFC 6749, section 3.1)."""
    _, pending = begun()
    refused = read(f"{back(pending)}&{twice}", pending)

    assert isinstance(refused, InvalidData)
    assert "twice" in refused.message


@pytest.mark.parametrize("callback", [None, b"state=x", "a=%ff", "x" * 20_000, "&".join("a" * 500)])
def test_what_is_no_query(callback: Any) -> None:
    """What cannot be read, or is too much, is refused."""
    refused = read(callback, begun()[1])

    assert isinstance(refused, InvalidData)
    assert "callback" == refused.field


def test_how_much_is_read() -> None:
    """A query may be long and have many parameters, and no more than that."""
    _, pending = begun()
    query = f"{back(pending)}&x="
    many = "&".join([back(pending), *(f"x{number}=" for number in range(97))])

    assert Secret("c0de") == read(query.ljust(16_384, "x"), pending)
    assert "callback" == read(query.ljust(16_385, "x"), pending).field
    assert Secret("c0de") == read(many, pending)
    assert "callback" == read(f"{many}&y=", pending).field


def test_a_server_may_not_name_itself() -> None:
    """Where the server did not promise its name it may be missing, but not be another's."""
    client = client_of(authorization_response_iss_parameter_supported=False)
    _, pending = begun(client)

    assert Secret("c0de") == read(back(pending, iss=None), pending, client)
    assert isinstance(read(back(pending, iss="https://evil.example"), pending, client), InvalidData)


def test_a_server_whose_name_is_not_known() -> None:
    """Where no issuer is known there is nothing to compare."""
    client = client_of(issuer=None)
    _, pending = begun(client)

    assert Secret("c0de") == read(back(pending, iss="https://any.example"), pending, client)


def test_a_consent_belongs_to_its_client() -> None:
    """What one client began at one server is finished by no other and at no other."""
    _, pending = begun()
    other = OAuthClient(server=client_of().server, client_id="other")
    elsewhere = client_of(issuer="https://other.example")

    for client in (other, elsewhere):
        refused = read(back(pending), pending, client)
        assert isinstance(refused, InvalidData)
        assert "pending" == refused.field


def test_who_comes_too_late_begins_again() -> None:
    """A consent is pending for a while, not for ever."""
    _, pending = begun()
    early, late = NOW + HOUR - timedelta(seconds=1), NOW + HOUR

    assert Secret("c0de") == read_callback(back(pending), pending, client_of(), early)
    refused = read_callback(back(pending), pending, client_of(), late)
    assert isinstance(refused, AuthorizationRequired)
    assert "The person returned after the consent had expired." == refused.message
    assert "Have the person begin again." == refused.remedy


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
def test_errors_are_typed(error: str, kind: type[ConnectorError], *, later: bool) -> None:
    """What the server says instead of a code tells what to do."""
    _, pending = begun()
    refused = read(back(pending, code=None, error=error, error_description="so"), pending)

    assert kind is type(refused)
    assert f"{error}: so" in refused.message
    assert later == refused.retryable
    assert (kind is AuthorizationRequired) == ("begin again" in refused.remedy)


def test_a_refusal_shows_no_secret() -> None:
    """What an error repeats of ours is masked, and what is no error's name is not shown."""
    _, pending = begun()
    said = f"<b>{pending.state.reveal()}</b>"
    refused = read(back(pending, code=None, error="<x>", error_description=said), pending)

    assert pending.state.reveal() not in str(refused)
    assert "HTTP 400" in refused.message


def test_a_code_is_shown_with_its_verifier() -> None:
    """The request says the code, what proves that it is ours, and where it was sent to."""
    _, pending = begun()

    assert {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": BACK,
        "code_verifier": pending.code_verifier.reveal(),
    } == dict(exchanging(Secret("c0de"), pending))


def test_who_cannot_be_reached_is_asked_later() -> None:
    """A server that is away is no refusal of consent."""
    error, wait = no_token(ConnectionFailed("away."))

    assert CredentialRefreshFailed is type(error)
    assert (True, None) == (error.retryable, wait)
