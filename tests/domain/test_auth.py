"""Credentials: checked early, shown never, put where the service looks for them."""

from __future__ import annotations

import traceback
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.domain.auth import AuthMethod, Credentials, OAuthCredentials, authorise
from mooring.domain.http import Request
from mooring.domain.secret import Secret
from mooring.errors import InvalidData

# ruff: noqa: ANN401 - what the types forbid is tried too

REQUEST = Request.get("/x", query={"a": "1", "api_key": "old"}, headers={"Authorization": "old"})
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HIDDEN = "h1dden"
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]))
keys = st.from_regex(r"[!-~]([ -~]*[!-~])?", fullmatch=True)

EVERY = [
    Credentials.basic(HIDDEN, HIDDEN),
    Credentials.bearer(HIDDEN),
    Credentials.api_key(HIDDEN),
    Credentials.api_key(HIDDEN, query="appid"),
    Credentials(method=AuthMethod.OAUTH2, secret=HIDDEN),
    OAuthCredentials(access_token=HIDDEN, refresh_token=HIDDEN),
]


def test_none_says_nothing() -> None:
    """Without credentials the request is sent as it is."""
    assert REQUEST is authorise(REQUEST, Credentials.none())


@given(printable.filter(lambda text: ":" not in text), printable)
def test_basic_is_user_and_password_in_utf8(username: str, password: str) -> None:
    """Whatever user and password are, the service can take them apart again."""
    sent = authorise(REQUEST, Credentials.basic(username, password)).headers["authorization"]
    scheme, _, encoded = sent.partition(" ")
    assert "Basic" == scheme
    assert [username, password] == b64decode(encoded).decode().split(":", 1)


@given(keys)
def test_tokens_are_borne(token: str) -> None:
    """A token of either kind replaces what the request had."""
    for credentials in (
        Credentials.bearer(token),
        Credentials(method="oauth2", secret=token),
        OAuthCredentials(access_token=token, token_type="bearer"),
    ):
        assert (("Authorization", f"Bearer {token}"),) == authorise(
            REQUEST, credentials
        ).headers.pairs


def test_another_scheme_is_kept() -> None:
    """A token type other than bearer is sent as the authorisation server named it."""
    credentials = OAuthCredentials(access_token="t", token_type="Zoho-oauthtoken")
    assert "Zoho-oauthtoken t" == authorise(REQUEST, credentials).headers["authorization"]


@given(keys)
def test_api_keys_go_where_they_are_looked_for(key: str) -> None:
    """A key goes into the header or parameter named, and replaces what was there."""
    assert key == authorise(REQUEST, Credentials.api_key(key)).headers["x-api-key"]
    assert key == authorise(REQUEST, Credentials.api_key(key, header="K")).headers["k"]
    sent = authorise(REQUEST, Credentials.api_key(key, query="api_key"))
    assert (("a", "1"), ("api_key", key)) == sent.query
    assert sent == authorise(REQUEST, Credentials(method="api_key_query", secret=key))
    assert REQUEST.headers == sent.headers


@pytest.mark.parametrize("credentials", EVERY)
def test_nothing_shows(credentials: Credentials | OAuthCredentials) -> None:
    """No secret, and no user name, which may be one, is in the repr; none can be pickled."""
    assert HIDDEN not in repr(credentials)
    assert HIDDEN not in repr(attrs.asdict(credentials, filter=attrs.filters.exclude("username")))
    assert HIDDEN not in repr(authorise(Request.get("/x"), credentials))
    assert hash(credentials) == hash(attrs.evolve(credentials))
    assert credentials == attrs.evolve(credentials)


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: Credentials.basic("a:b", HIDDEN), "username"),
        (lambda: Credentials.basic("a\n", HIDDEN), "username"),
        (lambda: Credentials.basic("a", HIDDEN + "\n"), "secret"),
        (lambda: Credentials.bearer(HIDDEN + "\n"), "secret"),
        (lambda: Credentials.bearer(" " + HIDDEN), "secret"),
        (lambda: Credentials.bearer(HIDDEN + "ü"), "secret"),
        (lambda: Credentials.bearer(""), "secret"),
        (lambda: Credentials.api_key(HIDDEN + "\r\nHost: x"), "secret"),
        (lambda: Credentials.api_key(HIDDEN, header="a b"), "headers"),
        (lambda: Credentials.api_key(HIDDEN, header=""), "headers"),
        (lambda: Credentials.api_key(HIDDEN, header="a", query="b"), "query"),
        (lambda: Credentials(method="api_key_query", secret=HIDDEN, name=None), "name"),
        (lambda: Credentials(method="bearer", secret=HIDDEN, name="a"), "name"),
        (lambda: Credentials(method="bearer"), "secret"),
        (lambda: Credentials(secret=HIDDEN), "secret"),
        (lambda: Credentials(secret=""), "secret"),
        (lambda: Credentials(method="basic", secret=HIDDEN), "username"),
        (lambda: Credentials(method="bearer", secret=HIDDEN, username="a"), "username"),
        (lambda: Credentials(method="digest", secret=HIDDEN), "method"),
        (lambda: OAuthCredentials(access_token=HIDDEN + "\n"), "access_token"),
        (lambda: OAuthCredentials(access_token=HIDDEN, token_type="a b"), "token_type"),
        (lambda: Credentials.bearer(Secret(HIDDEN.encode() + b"\xff")), "secret"),
        (lambda: Credentials.bearer(5), "secret"),  # type: ignore[arg-type]  # what is tried
    ],
)
def test_what_could_not_be_sent_is_refused_at_once(make: Any, field: str) -> None:
    """Credentials that no request can carry are refused when they are made, and not shown."""
    with pytest.raises(InvalidData) as caught:
        make()
    assert field == caught.value.field
    assert HIDDEN not in str(caught.value)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    ours = [frame for frame in frames if frame.f_code.co_filename.endswith("domain/auth.py")]
    assert HIDDEN not in repr([frame.f_locals for frame in ours])


def test_times_are_aware() -> None:
    """A time of expiry is kept in UTC, and refused without a time zone."""
    east = NOON.astimezone(timezone(timedelta(hours=2)))
    for credentials in (
        Credentials.bearer("t", expires_at=east),
        OAuthCredentials(access_token="t", expires_at=east),
    ):
        assert NOON == credentials.expires_at
        assert credentials.expires_at is not None
        assert UTC is credentials.expires_at.tzinfo
    with pytest.raises(InvalidData) as caught:
        Credentials.bearer("t", expires_at=NOON.replace(tzinfo=None))
    assert "expires_at" == caught.value.field


@pytest.mark.parametrize("scope", ["b a  a", ["b", "a"], {"a", "b"}, ("a", "b")])
def test_scope_has_one_order(scope: Any) -> None:
    """However the scope is written, the same grants are equal."""
    assert ("a", "b") == OAuthCredentials(access_token="t", scope=scope).scope
