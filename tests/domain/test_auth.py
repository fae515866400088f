"""Credentials on requests: they are checked early, never shown, and placed as configured."""

from __future__ import annotations

import hmac
import json
import traceback
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.webhook_secrets import generate_webhook_secret
from moorage.domain.auth.methods import (
    AuthMethod,
    Credentials,
    OAuthCredentials,
    authorise,
    sign,
    signs,
)
from moorage.domain.http.requests import Request
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.hmac_signing import HmacSigning
from moorage.domain.signing.jwt import JwtSigning
from moorage.domain.signing.message import MessageSignature
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.domain.webhooks.sending import WebhookSigner
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = Request.get("/x", query={"a": "1", "api_key": "old"}, headers={"Authorization": "old"})
UNSHOWN = ("username", "access_key_id", "key_id", "claims")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HIDDEN_SECRET = "h1dden"
AWS = AwsSigV4(access_key_id="A", region="r", service="s3")
JWT = JwtSigning(algorithm="HS256", claims={"a": HIDDEN_SECRET})
MESSAGE = MessageSignature(components=["@method"], key_id=HIDDEN_SECRET, algorithm="hmac-sha256")
HMAC = HmacSigning(signs="{body}", headers={"X-Signature": "{signature}"})
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]))
keys = st.from_regex(r"[!-~]([ -~]*[!-~])?", fullmatch=True)

EVERY = [
    Credentials.basic(HIDDEN_SECRET, HIDDEN_SECRET),
    Credentials.digest(HIDDEN_SECRET, HIDDEN_SECRET),
    Credentials.bearer(HIDDEN_SECRET),
    Credentials.api_key(HIDDEN_SECRET),
    Credentials.api_key(HIDDEN_SECRET, query="appid"),
    Credentials(method=AuthMethod.OAUTH2, secret=HIDDEN_SECRET),
    Credentials.signed(
        AwsSigV4(access_key_id=HIDDEN_SECRET, region="r", service="s3"), HIDDEN_SECRET
    ),
    Credentials.signed(HMAC, HIDDEN_SECRET),
    OAuthCredentials(access_token=HIDDEN_SECRET, refresh_token=HIDDEN_SECRET),
]


def test_request_without_credentials_is_unchanged() -> None:
    """Without credentials, or with mTLS, the request is sent unchanged."""
    for credentials in (Credentials.none(), Credentials.mtls()):
        assert REQUEST is authorise(REQUEST, credentials)
        assert not signs(credentials)
        assert REQUEST is sign(
            REQUEST, "https://v.example/x", credentials, SigningContext(NOON, "")
        )
    assert not signs(OAuthCredentials(access_token="t"))
    bearer = Credentials.bearer("t")
    assert REQUEST is sign(REQUEST, "https://v.example/x", bearer, SigningContext(NOON, ""))


def test_signing_key_adds_only_a_signature() -> None:
    """A signing key adds only the signature to a request, after all other headers."""
    credentials = Credentials.signed(HMAC, HIDDEN_SECRET)
    assert signs(credentials)
    assert REQUEST is authorise(REQUEST, credentials)
    sent_request = sign(REQUEST, "https://v.example/x", credentials, SigningContext(NOON, ""))
    digest = hmac.digest(HIDDEN_SECRET.encode(), b"", "sha256").hex()
    assert digest == sent_request.headers["x-signature"]
    assert HIDDEN_SECRET not in repr((sent_request.headers.pairs, sent_request.query))


@pytest.mark.parametrize("change", [str, lambda secret: secret.removeprefix("whsec_").rstrip("=")])
def test_webhooks_are_signed_when_they_are_sent(change: Callable[[str], str]) -> None:
    """Webhook credentials sign each attempt with that attempt's time, as `WebhookSigner` does."""
    secret = generate_webhook_secret()
    webhook = Request.post("/hook", json={"type": "a"}, headers={"webhook-id": "msg_1"})
    credentials = Credentials.webhook(change(secret))
    for time in (NOON, NOON + timedelta(hours=9)):
        context = SigningContext(time, "")
        sent_request = sign(webhook, "https://s.example/hook", credentials, context)
        assert isinstance(webhook.body, bytes)
        expected_headers = WebhookSigner(secret).sign(webhook.body, id="msg_1", at=time)
        assert expected_headers.items() <= sent_request.headers.items()


@given(printable.filter(lambda text: ":" not in text), printable)
def test_basic_is_user_and_password_in_utf8(username: str, password: str) -> None:
    """Any user name and password can be decoded from the Basic header."""
    authorization = authorise(REQUEST, Credentials.basic(username, password)).headers[
        "authorization"
    ]
    scheme, _, encoded_text = authorization.partition(" ")
    assert "Basic" == scheme
    assert [username, password] == b64decode(encoded_text).decode().split(":", 1)


@given(keys)
def test_bearer_tokens_replace_the_header(token: str) -> None:
    """A bearer token, fixed or from OAuth, replaces the request's Authorization header."""
    for credentials in (
        Credentials.bearer(token),
        Credentials(method="oauth2", secret=token),
        OAuthCredentials(access_token=token, token_type="bearer"),
    ):
        assert (("Authorization", f"Bearer {token}"),) == authorise(
            REQUEST, credentials
        ).headers.pairs


def test_token_type_other_than_bearer_is_sent_as_named() -> None:
    """A token type other than bearer is sent as the authorisation server named it."""
    credentials = OAuthCredentials(access_token="t", token_type="Zoho-oauthtoken")
    assert "Zoho-oauthtoken t" == authorise(REQUEST, credentials).headers["authorization"]


@given(keys)
def test_api_key_is_sent_in_named_header_or_query_parameter(key: str) -> None:
    """An API key is sent in the named header or query parameter, and replaces any value there."""
    assert key == authorise(REQUEST, Credentials.api_key(key)).headers["x-api-key"]
    assert key == authorise(REQUEST, Credentials.api_key(key, header="K")).headers["k"]
    sent_request = authorise(REQUEST, Credentials.api_key(key, query="api_key"))
    assert (("a", "1"), ("api_key", key)) == sent_request.query
    assert sent_request == authorise(REQUEST, Credentials(method="api_key_query", secret=key))
    assert REQUEST.headers == sent_request.headers


@pytest.mark.parametrize(
    "beginning, key, path",
    [
        ("/bot{key}", "12:aB-_c", "/bot12:aB-_c/getMe"),
        ("/v1/{key}", "a/b?c", "/v1/a%2Fb%3Fc/getMe"),
        ("/{key}", "key", "/key/getMe"),
    ],
)
def test_api_key_is_sent_in_the_path(beginning: str, key: str, path: str) -> None:
    """An API key in the path is percent-encoded, and precedes the request's own path."""
    credentials = Credentials.api_key(key, path=beginning)
    request = Request.post("/getMe", query={"a": "1"}, json={})

    sent_request = authorise(request, credentials)

    assert path == sent_request.path
    assert request == sent_request.evolve(path="/getMe")
    assert path == authorise(Request.get("getMe"), credentials).path


def test_api_key_is_in_the_path_of_relative_urls_only() -> None:
    """A request with an absolute URL is refused if the API key has to be sent in the path."""
    with pytest.raises(InvalidData, match="absolute URL"):
        authorise(Request.get("https://x.example/a"), Credentials.api_key("k", path="/{key}"))


@pytest.mark.parametrize(
    "body, sent_body",
    [
        (b"{}", b'{"key":"a\\"b"}'),
        (b" { } ", b'{"key":"a\\"b"}'),
        (b'{"to":1}', b'{"to":1,"key":"a\\"b"}'),
        (b'{\n  "key": "another"\n}\n', b'{\n  "key": "another","key":"a\\"b"}'),
    ],
)
def test_api_key_is_the_last_field_of_the_body(body: bytes, sent_body: bytes) -> None:
    """An API key in the body is its last field, so that no earlier one can replace it."""
    request = Request.post("/send", body=body)

    sent_request = authorise(request, Credentials.api_key('a"b', body="key"))

    assert sent_body == sent_request.body
    assert 'a"b' == json.loads(sent_body)["key"]
    assert request == sent_request.evolve(body=body)


@pytest.mark.parametrize("body", [b"", b"[]", b"a=b", b"{", iter([b"{", b"}"])])
def test_api_key_in_the_body_needs_an_object(body: Any) -> None:
    """A request whose body is not a JSON object is refused if the API key belongs in the body."""
    with pytest.raises(InvalidData, match="JSON object"):
        authorise(Request.post("/send", body=body), Credentials.api_key("k", body="key"))


@pytest.mark.parametrize("credentials", EVERY)
def test_repr_and_pickle_hide_secrets(credentials: Credentials | OAuthCredentials) -> None:
    """The repr of credentials shows no secret or user name, and they cannot be pickled."""
    assert HIDDEN_SECRET not in repr(credentials)
    assert HIDDEN_SECRET not in repr(
        attrs.asdict(credentials, filter=attrs.filters.exclude(*UNSHOWN))
    )
    assert HIDDEN_SECRET not in repr(authorise(Request.get("/x"), credentials))
    assert hash(credentials) == hash(attrs.evolve(credentials))
    assert credentials == attrs.evolve(credentials)


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: Credentials.basic("a:b", HIDDEN_SECRET), "username"),
        (lambda: Credentials.basic("a\n", HIDDEN_SECRET), "username"),
        (lambda: Credentials.basic("a", HIDDEN_SECRET + "\n"), "secret"),
        (lambda: Credentials.bearer(HIDDEN_SECRET + "\n"), "secret"),
        (lambda: Credentials.bearer(" " + HIDDEN_SECRET), "secret"),
        (lambda: Credentials.bearer(HIDDEN_SECRET + "ü"), "secret"),
        (lambda: Credentials.bearer(""), "secret"),
        (lambda: Credentials.api_key(HIDDEN_SECRET + "\r\nHost: x"), "secret"),
        (lambda: Credentials.api_key(HIDDEN_SECRET, header="a b"), "headers"),
        (lambda: Credentials.api_key(HIDDEN_SECRET, header=""), "headers"),
        (lambda: Credentials.api_key(HIDDEN_SECRET, header="a", query="b"), "query"),
        (lambda: Credentials.api_key(HIDDEN_SECRET, path="/{key}", query="b"), "path"),
        (lambda: Credentials.api_key(HIDDEN_SECRET, path="/{key}", body="b"), "body"),
        (lambda: Credentials.api_key(HIDDEN_SECRET, path="/bot"), "name"),
        (lambda: Credentials.api_key(HIDDEN_SECRET, path="{key}"), "name"),
        (lambda: Credentials.api_key(HIDDEN_SECRET, path="/{key}/a?b"), "name"),
        (lambda: Credentials(method="api_key_query", secret=HIDDEN_SECRET, name=None), "name"),
        (lambda: Credentials(method="bearer", secret=HIDDEN_SECRET, name="a"), "name"),
        (lambda: Credentials(method="bearer"), "secret"),
        (lambda: Credentials(secret=HIDDEN_SECRET), "secret"),
        (lambda: Credentials(secret=""), "secret"),
        (lambda: Credentials(method="basic", secret=HIDDEN_SECRET), "username"),
        (lambda: Credentials(method="bearer", secret=HIDDEN_SECRET, username="a"), "username"),
        (lambda: Credentials(method="password", secret=HIDDEN_SECRET), "method"),
        (lambda: Credentials(method="digest", secret=HIDDEN_SECRET), "username"),
        (lambda: Credentials.digest(f"{HIDDEN_SECRET}:a", HIDDEN_SECRET), "username"),
        (lambda: Credentials.digest("a", HIDDEN_SECRET + "\n"), "secret"),
        (lambda: Credentials(method="negotiate", secret=HIDDEN_SECRET), "secret"),
        (lambda: Credentials(method="mtls", secret=HIDDEN_SECRET), "secret"),
        (lambda: Credentials(method="hmac", secret=HIDDEN_SECRET), "signing"),
        (lambda: Credentials(method="aws_sigv4", secret=HIDDEN_SECRET, signing=HMAC), "signing"),
        (lambda: Credentials(method="bearer", secret=HIDDEN_SECRET, signing=HMAC), "signing"),
        (lambda: Credentials(signing=HMAC), "signing"),
        (lambda: Credentials(method="hmac", signing=HMAC), "secret"),
        (lambda: Credentials.signed(HMAC, ""), "secret"),
        (lambda: Credentials.webhook("whsec_" + "QUFB" * 7), "secret"),
        (lambda: Credentials.webhook("whsec_" + "AAAA" * 8), "secret"),
        (lambda: Credentials.webhook("whsec_" + "Ä" * 40), "secret"),
        (lambda: Credentials.webhook("whsk_" + "QUFB" * 16), "secret"),
        (lambda: Credentials.signed(attrs.evolve(JWT, algorithm="RS256"), HIDDEN_SECRET), "secret"),
        (
            lambda: Credentials.signed(attrs.evolve(MESSAGE, algorithm="ed25519"), HIDDEN_SECRET),
            "secret",
        ),
        (lambda: Credentials.signed(AWS, HIDDEN_SECRET + "\n"), "secret"),
        (lambda: OAuthCredentials(access_token=HIDDEN_SECRET + "\n"), "access_token"),
        (lambda: OAuthCredentials(access_token=HIDDEN_SECRET, token_type="a b"), "token_type"),
        (lambda: Credentials.bearer(Secret(HIDDEN_SECRET.encode() + b"\xff")), "secret"),
        (lambda: Credentials.bearer(5), "secret"),  # type: ignore[arg-type]  # what is tried
    ],
)
def test_unsendable_credentials_are_refused(make: Any, field: str) -> None:
    """Credentials that no request can carry are refused when created, and not shown."""
    with pytest.raises(InvalidData) as excinfo:
        make()
    assert field == excinfo.value.field
    assert HIDDEN_SECRET not in str(excinfo.value)
    frames = [frame for frame, _ in traceback.walk_tb(excinfo.value.__traceback__)]
    own_types = [frame for frame in frames if frame.f_code.co_filename.endswith("domain/auth.py")]
    assert HIDDEN_SECRET not in repr([frame.f_locals for frame in own_types])


def test_expiry_of_a_credential_needs_a_time_zone() -> None:
    """A credential's expiry is stored in UTC; a time without a time zone is refused."""
    east = NOON.astimezone(timezone(timedelta(hours=2)))
    for credentials in (
        Credentials.bearer("t", expires_at=east),
        Credentials.basic("u", "p", expires_at=east),
        Credentials.api_key("k", expires_at=east),
        Credentials.api_key("k", query="q", expires_at=east),
        Credentials.signed(HMAC, "k", expires_at=east),
        OAuthCredentials(access_token="t", expires_at=east),
    ):
        assert NOON == credentials.expires_at
        assert credentials.expires_at is not None
        assert UTC is credentials.expires_at.tzinfo
    with pytest.raises(InvalidData) as excinfo:
        Credentials.bearer("t", expires_at=NOON.replace(tzinfo=None))
    assert "expires_at" == excinfo.value.field


@pytest.mark.parametrize("scope", ["b a  a", ["b", "a"], {"a", "b"}, ("a", "b")])
def test_order_of_scope_names_does_not_matter(scope: Any) -> None:
    """Scopes with the same names are equal, regardless of their order."""
    assert ("a", "b") == OAuthCredentials(access_token="t", scope=scope).scope


def test_query_key_has_any_name() -> None:
    """An API key can be sent in a query parameter of any name."""
    sent_request = authorise(Request.get("/x"), Credentials.api_key("k", query="sesame"))
    assert (("sesame", "k"),) == sent_request.query


def test_long_token_type_is_shown_shortened() -> None:
    """The error for an invalid token type shows its first eighty letters."""
    with pytest.raises(InvalidData) as excinfo:
        OAuthCredentials(access_token="t", token_type="?" * 200)
    assert f"'{'?' * 80}' is not a token type." == excinfo.value.message


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"method": "bearer"}, "bearer needs a secret."),
        ({"secret": "s"}, "none takes no secret."),
        ({"method": "hmac", "secret": "s"}, "hmac needs its own signing."),
        ({"method": "bearer", "secret": "s", "signing": HMAC}, "bearer takes no signing."),
        ({"method": "api_key_query", "secret": "s", "name": None}, "api_key_query needs a name."),
        ({"method": "bearer", "secret": "s", "name": "n"}, "bearer takes no name."),
        ({"method": "basic", "secret": "s"}, "basic needs a user name."),
        ({"method": "bearer", "secret": "s", "username": "u"}, "bearer takes no user name."),
    ],
)
def test_error_names_missing_and_superfluous_fields(options: Any, reason: str) -> None:
    """The error for credentials distinguishes missing fields from fields of other methods."""
    with pytest.raises(InvalidData) as excinfo:
        Credentials(**options)
    assert f"The method {reason}" == excinfo.value.message
