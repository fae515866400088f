"""What an answer of the token endpoint means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import OAuthCredentials, Response, Secret
from moorage.domain.oauth.token_answer import Granted, Refusal, Refused, read_token
from moorage.domain.signing.occasion import Occasion
from tests.domain.oauth.test_client import P256, client

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OCCASION = Occasion(NOON, "n-1")
CLIENT = client(scope="read write")
HELD = OAuthCredentials(access_token="old", refresh_token="keep", scope="read")


def answer(told: object, status: int = 200, **headers: str) -> Response:
    """An answer in JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        status, {"Content-Type": "application/json", **named}, json.dumps(told).encode()
    )


def read(told: object, status: int = 200, **headers: str) -> Granted | Refused:
    """What it means for who held something."""
    return read_token(answer(told, status, **headers), CLIENT, NOON, held=HELD)


def granted(**told: object) -> OAuthCredentials:
    """What is granted by an answer with a token in it."""
    found = read({"access_token": "new", **told})
    assert isinstance(found, Granted)
    return found.credentials


def test_a_whole_answer_is_read() -> None:
    """Token, refresh token, type, scope and end are what the server says."""
    found = read(
        {
            "access_token": "new",
            "refresh_token": "next",
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "write read",
            "id_token": "who",
            "unheard_of": {"x": 1},
        }
    )

    assert isinstance(found, Granted)
    assert (
        OAuthCredentials(
            access_token="new",
            refresh_token="next",
            expires_at=NOON + timedelta(hours=1),
            issued_at=NOON,
            scope="read write",
        )
        == found.credentials
    )
    assert Secret("who") == found.id_token


def test_an_answer_may_say_little() -> None:
    """What is not said is unknown, or as it was."""
    found = granted()

    assert "Bearer" == found.token_type
    assert found.expires_at is None
    assert NOON == found.issued_at
    assert Secret("keep") == found.refresh_token
    assert ("read",) == found.scope == granted(scope="").scope
    first = read_token(answer({"access_token": "new"}), CLIENT, NOON)
    assert isinstance(first, Granted)
    assert first.credentials.refresh_token is None
    assert ("read", "write") == first.credentials.scope
    assert first.id_token is None


@pytest.mark.parametrize("access", ["", "a\nb", None, 7, []], ids=repr)
def test_an_answer_without_a_token_is_lost(access: object) -> None:
    """Nobody knows what a server meant that says that all is well, and gives nothing."""
    found = read({"access_token": access})

    assert isinstance(found, Refused)
    assert (Refusal.LOST, "unreadable answer") == (found.why, found.code)


@pytest.mark.parametrize("empty", ["", " ", None, 7, [], False], ids=repr)
def test_no_refresh_token_keeps_the_old(empty: object) -> None:
    """A refresh token that is empty, or none at all, is no new one."""
    assert Secret("keep") == granted(refresh_token=empty).refresh_token


@pytest.mark.parametrize(
    "told, seconds",
    [
        (30, 30.0),
        (1, 1.0),
        ("3600", 3600.0),
        (" 60 ", 60.0),
        ("60.5", 60.5),
        (0.5, 0.5),
        (1e300, 10 * 365 * 86_400.0),
        (10**12, 10 * 365 * 86_400.0),
        ("999999999999", 10 * 365 * 86_400.0),
    ],
    ids=repr,
)
def test_a_life_is_read_as_it_comes(told: object, seconds: float) -> None:
    """Numbers and texts of numbers are seconds; nothing lives longer than ten years."""
    assert NOON + timedelta(seconds=seconds) == granted(expires_in=told).expires_at


@pytest.mark.parametrize(
    "told", [None, 0, -1, "", "soon", "-5", "1e5", "٣٦٠٠", True, [], {}, "9" * 400], ids=repr
)
def test_a_life_that_is_none_is_unknown(told: object) -> None:
    """What tells no time is neither "at once" nor "for ever"."""
    assert granted(expires_in=told).expires_at is None


@pytest.mark.parametrize(
    "told, expected",
    [("bearer", "bearer"), ("BEARER", "BEARER"), ("", "Bearer"), (None, "Bearer"), (3, "Bearer")],
    ids=repr,
)
def test_a_type_is_kept_as_it_is_written(told: object, expected: str) -> None:
    """The type may come in any case, or not at all."""
    assert expected == granted(token_type=told).token_type


@pytest.mark.parametrize("kind", ["DPoP", "dpop"])
def test_a_bound_token_has_its_key(kind: str) -> None:
    """A token that is bound to the client's key carries it along, and no other does."""
    bound = client(dpop_key=P256)
    for told, expected in ((kind, Secret(P256)), ("Bearer", None)):
        found = read_token(answer({"access_token": "a", "token_type": told}), bound, NOON)
        assert isinstance(found, Granted)
        assert expected == found.credentials.dpop_key


@pytest.mark.parametrize("options", ["", "; charset=utf-8", "; charset=utf-8; profile=x"])
def test_a_form_is_an_answer_too(options: str) -> None:
    """Some servers answer in the notation in which they were asked."""
    body = urlencode({"access_token": "a+b", "expires_in": "60", "scope": "x"}).encode()
    found = read_token(
        Response(200, {"Content-Type": f"application/x-www-form-urlencoded{options}"}, body),
        CLIENT,
        NOON,
    )

    assert isinstance(found, Granted)
    assert Secret("a+b") == found.credentials.access_token
    assert NOON + timedelta(minutes=1) == found.credentials.expires_at


@pytest.mark.parametrize(
    "told, status, expected",
    [
        ({"error": "invalid_grant"}, 400, Refusal.GONE),
        ({"error": "invalid_grant"}, 200, Refusal.GONE),
        ({"error": "invalid_grant", "access_token": "a"}, 200, Refusal.GONE),
        ({"error": "access_denied"}, 400, Refusal.GONE),
        ({"error": "consent_required"}, 400, Refusal.GONE),
        ({"error": "interaction_required"}, 400, Refusal.GONE),
        ({"error": "login_required"}, 400, Refusal.GONE),
        ({"error": "expired_token"}, 400, Refusal.GONE),
        ({"error": "authorization_pending"}, 400, Refusal.PENDING),
        ({"error": "slow_down"}, 400, Refusal.LATER),
        ({"error": "temporarily_unavailable"}, 400, Refusal.LATER),
        ({"error": "server_error"}, 400, Refusal.LATER),
        ({"error": "invalid_client"}, 401, Refusal.WRONG),
        ({"error": "unauthorized_client"}, 400, Refusal.WRONG),
        ({"error": "invalid_scope"}, 400, Refusal.WRONG),
        ({"error": "use_dpop_nonce"}, 400, Refusal.WRONG),
        ({"error": {"code": "odd"}}, 400, Refusal.WRONG),
        ({"error": None}, 200, Refusal.WRONG),
        ({}, 500, Refusal.LATER),
        ({}, 503, Refusal.LATER),
        ({}, 429, Refusal.LATER),
        ({}, 408, Refusal.LATER),
        ({}, 425, Refusal.LATER),
        ([], 502, Refusal.LATER),
        ({}, 302, Refusal.WRONG),
        ({}, 404, Refusal.WRONG),
        ({}, 200, Refusal.LOST),
        ([], 200, Refusal.LOST),
        ("text", 200, Refusal.LOST),
        ({"access_token": ""}, 200, Refusal.LOST),
        ({"access_token": None}, 200, Refusal.LOST),
        ({"access_token": 7}, 200, Refusal.LOST),
        ({"access_token": "a\nb"}, 200, Refusal.LOST),
        ({"access_token": "a", "token_type": "no type"}, 200, Refusal.LOST),
    ],
    ids=repr,
)
def test_a_refusal_says_what_to_do(told: object, status: int, expected: Refusal) -> None:
    """The code says more than the status; a 200 that grants nothing legible has lost it."""
    found = read(told, status)

    assert isinstance(found, Refused)
    assert expected is found.why


def test_what_is_no_json_is_lost() -> None:
    """A success that cannot be read may have granted something."""
    for body in (b"", b"<html>", b"\xff", b"{" * 100_000):
        found = read_token(Response(200, {}, body), CLIENT, NOON)
        assert isinstance(found, Refused)
        assert (Refusal.LOST, "HTTP 200") == (found.why, found.code)


def test_a_nonce_is_asked_for() -> None:
    """Who wants to see a nonce sends it along."""
    found = read({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="show-me")

    assert isinstance(found, Refused)
    assert (Refusal.NONCE, "show-me") == (found.why, found.nonce)
    assert "show-me" not in repr(found)


@pytest.mark.parametrize(
    "told, code, words",
    [
        ({"error": "invalid_scope"}, "invalid_scope", "invalid_scope"),
        (
            {"error": "invalid_scope", "error_description": "no such scope"},
            "invalid_scope",
            "invalid_scope: no such scope",
        ),
        (
            {"error": "invalid_scope", "error_description": "half a \ud800"},
            "invalid_scope",
            "invalid_scope: half a ?",
        ),
        ({"error": "not a code!"}, "HTTP 400", "HTTP 400"),
        ({"error": "x" * 65}, "HTTP 400", "HTTP 400"),
        ({"error": 7}, "HTTP 400", "HTTP 400"),
    ],
    ids=repr,
)
def test_a_refusal_is_quoted(told: object, code: str, words: str) -> None:
    """OAuth's code and description are shown; what is no code is told by its status."""
    found = read(told, 400)

    assert isinstance(found, Refused)
    assert (code, words) == (found.code, found.words)


def test_when_to_come_back_is_read() -> None:
    """A pause that the server asks for is told in seconds, by its own clock if it says it."""
    found = read({}, 503, Retry_After="17")
    dated = read(
        {},
        429,
        Retry_After="Sun, 01 Mar 2026 09:01:00 GMT",
        Date="Sun, 01 Mar 2026 09:00:00 GMT",
    )

    undated = read({}, 429, Retry_After=format_datetime(NOON + timedelta(seconds=30), usegmt=True))

    assert isinstance(found, Refused)
    assert isinstance(dated, Refused)
    assert isinstance(undated, Refused)
    assert (17.0, 60.0, 30.0) == (found.wait, dated.wait, undated.wait)


def test_a_server_that_repeats_a_secret_is_not_quoted() -> None:
    """What was sent is masked in what the server says of it."""
    found = read_token(
        answer({"error": "invalid_grant", "error_description": "token r-77 is spent"}, 400),
        CLIENT,
        NOON,
        hidden=[Secret("r-77")],
    )

    assert isinstance(found, Refused)
    assert "r-77" not in repr(found)
    assert "is spent" in found.words


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(lambda told: json.dumps(told).encode()),
        st.dictionaries(
            st.sampled_from(
                ["access_token", "error", "expires_in", "scope", "token_type", "refresh_token"]
            ),
            st.none() | st.text() | st.integers() | st.floats() | st.lists(st.text()),
        ).map(lambda told: json.dumps(told).encode()),
    ),
    st.integers(200, 599),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "", "x" * 99]),
)
def test_whatever_comes_has_a_meaning(body: bytes, status: int, kind: str) -> None:
    """No bytes, status or type make reading fail."""
    found: Any = read_token(
        Response(status, {"Content-Type": kind}, body), CLIENT, NOON, held=HELD, hidden=[]
    )
    assert isinstance(found, (Granted, Refused))


class Unread(bytes):
    """A body that must not be read as a whole."""

    def decode(self, *_: object, **__: object) -> str:
        """Refuse to be decoded, which every parser begins with."""
        raise AssertionError


@pytest.mark.parametrize(
    "status, why", [(200, Refusal.LOST), (400, Refusal.WRONG), (503, Refusal.LATER)]
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_an_answer_beyond_measure_is_not_parsed(kind: str, status: int, why: Refusal) -> None:
    """No token is a megabyte long, so such an answer is judged by its status alone."""
    body = Unread(b'{"access_token": "' + b"x" * 1_048_576 + b'"}')

    found = read_token(Response(status, {"Content-Type": kind}, body), CLIENT, NOON)

    assert isinstance(found, Refused)
    assert why is found.why
