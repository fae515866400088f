"""Reading the responses of an OAuth token endpoint."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import AuthorizationServer, OAuthCredentials, Request, Response, Secret
from moorage.domain.auth.methods import authorise
from moorage.domain.oauth.token_answer import Granted, Refusal, Refused, read_token
from moorage.domain.oauth.token_renewal import renewal_error
from moorage.domain.signing.context import SigningContext
from tests.domain.oauth.test_client import P256, TOKENS, client

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXT = SigningContext(NOON, "n-1")
CLIENT = client(scope="read write")
UNREADABLE = "HTTP 200 without a readable JSON object"
HELD_TOKENS = OAuthCredentials(access_token="old", refresh_token="keep", scope="read")


def answer(members: object, status: int = 200, **headers: str) -> Response:
    """Return a JSON response of the token endpoint."""
    header_fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        status, {"Content-Type": "application/json", **header_fields}, json.dumps(members).encode()
    )


def read_answer(members: object, status: int = 200, **headers: str) -> Granted | Refused:
    """Return the result of a token response, for a client that already has credentials."""
    return read_token(answer(members, status, **headers), CLIENT, NOON, held=HELD_TOKENS)


def granted_credentials(**members: object) -> OAuthCredentials:
    """Return the credentials that a token response with these members grants."""
    result = read_answer({"access_token": "new", **members})
    assert isinstance(result, Granted)
    return result.credentials


def test_fields_with_the_servers_own_names() -> None:
    """A token and its lifetime are read from the response fields that `own_names` configures."""
    names = {"access_token": "access", "expires_in": "access_expires"}
    server = AuthorizationServer(token_endpoint=TOKENS, own_names=names)
    own_client = client(server=server)
    result = read_token(answer({"access": "new", "access_expires": 60}), own_client, NOON)

    assert isinstance(result, Granted)
    assert "new" == result.credentials.access_token.reveal()
    assert NOON + timedelta(seconds=60) == result.credentials.expires_at
    renewed = read_token(answer({"access_token": "new"}), own_client, NOON)
    assert isinstance(renewed, Refused)


def test_token_goes_into_the_header_of_its_service() -> None:
    """A client with a `token_header` sends its token in that header, without a scheme."""
    own_client = client(token_header="x-access-token")
    result = read_token(answer({"access_token": "new"}), own_client, NOON)

    assert isinstance(result, Granted)
    headers = authorise(Request.get("/"), result.credentials).headers
    assert ("new", None) == (headers.get("x-access-token"), headers.get("authorization"))


def test_token_response_has_all_its_fields() -> None:
    """A token response contains token, refresh token, type, scope and expiry."""
    result = read_answer(
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

    assert isinstance(result, Granted)
    assert (
        OAuthCredentials(
            access_token="new",
            refresh_token="next",
            expires_at=NOON + timedelta(hours=1),
            issued_at=NOON,
            scope="read write",
        )
        == result.credentials
    )
    assert Secret("who") == result.id_token


def test_missing_members_keep_their_values() -> None:
    """Missing members of a token response are unknown, or keep their previous values."""
    credentials = granted_credentials()

    assert "Bearer" == credentials.token_type
    assert credentials.expires_at is None
    assert NOON == credentials.issued_at
    assert Secret("keep") == credentials.refresh_token
    assert ("read",) == credentials.scope == granted_credentials(scope="").scope
    first = read_token(answer({"access_token": "new"}), CLIENT, NOON)
    assert isinstance(first, Granted)
    assert first.credentials.refresh_token is None
    assert ("read", "write") == first.credentials.scope
    assert first.id_token is None


@pytest.mark.parametrize("access", ["", "a\nb", None, 7, []], ids=repr)
def test_an_answer_without_a_token_is_lost(access: object) -> None:
    """A successful token response without a token counts as lost."""
    result = read_answer({"access_token": access})

    assert isinstance(result, Refused)
    assert (Refusal.LOST, "unreadable answer") == (result.why, result.code)


@pytest.mark.parametrize("empty", ["", " ", None, 7, [], False], ids=repr)
def test_missing_refresh_token_keeps_the_old(empty: object) -> None:
    """If a token response has no refresh token, the old refresh token is kept."""
    assert Secret("keep") == granted_credentials(refresh_token=empty).refresh_token


@pytest.mark.parametrize(
    "lifetime, seconds",
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
def test_lifetime_is_a_number_or_text(lifetime: object, seconds: float) -> None:
    """A token's lifetime may be a number or a numeric text, and is at most ten years."""
    assert NOON + timedelta(seconds=seconds) == granted_credentials(expires_in=lifetime).expires_at


@pytest.mark.parametrize(
    "lifetime", [None, 0, -1, "", "soon", "-5", "1e5", "٣٦٠٠", True, [], {}, "9" * 400], ids=repr
)
def test_invalid_lifetime_is_unknown(lifetime: object) -> None:
    """An invalid token lifetime means that the expiry is unknown, neither "now" nor "never"."""
    assert granted_credentials(expires_in=lifetime).expires_at is None


@pytest.mark.parametrize(
    "kind, expected",
    [("bearer", "bearer"), ("BEARER", "BEARER"), ("", "Bearer"), (None, "Bearer"), (3, "Bearer")],
    ids=repr,
)
def test_token_type_default_and_case(kind: object, expected: str) -> None:
    """The type in a token response may be missing or in any case."""
    assert expected == granted_credentials(token_type=kind).token_type


@pytest.mark.parametrize(
    "lifetime, problem",
    [
        ("Infinity", UNREADABLE),
        ("-Infinity", UNREADABLE),
        ("NaN", UNREADABLE),
        ("1e400", "expires_in is not a finite number"),
    ],
)
def test_token_with_an_endless_lifetime_is_refused(lifetime: str, problem: str) -> None:
    """A token whose lifetime is not a finite number is not used."""
    body = f'{{"access_token": "new", "expires_in": {lifetime}}}'
    response = Response(200, {"Content-Type": "application/json"}, body.encode())
    result = read_token(response, CLIENT, NOON, held=HELD_TOKENS)

    assert isinstance(result, Refused)
    assert (Refusal.LOST, problem) == (result.why, result.code)
    error, _ = renewal_error("bank", result)
    assert f"The authorisation server's response has no usable token ({problem})." == error.message


@pytest.mark.parametrize("kind", ["DPoP", "dpop"])
def test_only_a_dpop_token_carries_the_key_of_the_client(kind: str) -> None:
    """Only a token of type DPoP carries the client's key."""
    bound_client = client(dpop_key=P256)
    for token_type, expected in ((kind, Secret(P256)), ("Bearer", None)):
        result = read_token(
            answer({"access_token": "a", "token_type": token_type}), bound_client, NOON
        )
        assert isinstance(result, Granted)
        assert expected == result.credentials.dpop_key


@pytest.mark.parametrize("options", ["", "; charset=utf-8", "; charset=utf-8; profile=x"])
def test_form_encoded_answers_are_read(options: str) -> None:
    """A form-encoded token response is read like a JSON response."""
    body = urlencode({"access_token": "a+b", "expires_in": "60", "scope": "x"}).encode()
    result = read_token(
        Response(200, {"Content-Type": f"application/x-www-form-urlencoded{options}"}, body),
        CLIENT,
        NOON,
    )

    assert isinstance(result, Granted)
    assert Secret("a+b") == result.credentials.access_token
    assert NOON + timedelta(minutes=1) == result.credentials.expires_at


@pytest.mark.parametrize(
    "members, status, expected",
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
def test_token_error_is_classified_by_code_and_then_by_status(
    members: object, status: int, expected: Refusal
) -> None:
    """A token endpoint's error is classified by its code, then by its status.

    An unreadable 200 counts as a lost response.
    """
    result = read_answer(members, status)

    assert isinstance(result, Refused)
    assert expected is result.why


def test_unreadable_success_is_lost() -> None:
    """An unreadable successful token response counts as lost, since a token may exist."""
    for body in (b"", b"<html>", b"\xff", b"{" * 100_000):
        result = read_token(Response(200, {}, body), CLIENT, NOON)
        assert isinstance(result, Refused)
        assert (Refusal.LOST, UNREADABLE) == (result.why, result.code)


def test_token_error_carries_the_demanded_nonce() -> None:
    """A token error that demands a DPoP nonce carries that nonce."""
    result = read_answer({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="show-me")

    assert isinstance(result, Refused)
    assert (Refusal.NONCE, "show-me") == (result.why, result.nonce)
    assert "show-me" not in repr(result)


@pytest.mark.parametrize(
    "members, code, words",
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
def test_token_error_has_the_oauth_code_and_description(
    members: object, code: str, words: str
) -> None:
    """A token error has the OAuth code and description.

    If the code is invalid, the HTTP status replaces it.
    """
    result = read_answer(members, 400)

    assert isinstance(result, Refused)
    assert (code, words) == (result.code, result.words)


def test_retry_after_is_read() -> None:
    """`Retry-After` of a token error is converted to seconds, with a date by the server's clock."""
    result = read_answer({}, 503, Retry_After="17")
    dated = read_answer(
        {},
        429,
        Retry_After="Sun, 01 Mar 2026 09:01:00 GMT",
        Date="Sun, 01 Mar 2026 09:00:00 GMT",
    )

    undated = read_answer(
        {}, 429, Retry_After=format_datetime(NOON + timedelta(seconds=30), usegmt=True)
    )

    assert isinstance(result, Refused)
    assert isinstance(dated, Refused)
    assert isinstance(undated, Refused)
    assert (17.0, 60.0, 30.0) == (result.wait, dated.wait, undated.wait)


def test_secrets_in_the_description_are_masked() -> None:
    """A sent secret that a token error repeats in its description is masked."""
    result = read_token(
        answer({"error": "invalid_grant", "error_description": "token r-77 is spent"}, 400),
        CLIENT,
        NOON,
        hidden=[Secret("r-77")],
    )

    assert isinstance(result, Refused)
    assert "r-77" not in repr(result)
    assert "is spent" in result.words


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(lambda report: json.dumps(report).encode()),
        st.dictionaries(
            st.sampled_from(
                ["access_token", "error", "expires_in", "scope", "token_type", "refresh_token"]
            ),
            st.none() | st.text() | st.integers() | st.floats() | st.lists(st.text()),
        ).map(lambda report: json.dumps(report).encode()),
    ),
    st.integers(200, 599),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "", "x" * 99]),
)
def test_no_token_response_makes_reading_fail(body: bytes, status: int, kind: str) -> None:
    """No body, status or content type of a token response makes reading fail."""
    result: Any = read_token(
        Response(status, {"Content-Type": kind}, body), CLIENT, NOON, held=HELD_TOKENS, hidden=[]
    )
    assert isinstance(result, (Granted, Refused))


class UndecodableBody(bytes):
    """A body that raises an error if it is decoded as a whole."""

    def decode(self, *_: object, **__: object) -> str:
        """Raise an error, since every parser decodes the body first."""
        raise AssertionError


@pytest.mark.parametrize(
    "status, reason", [(200, Refusal.LOST), (400, Refusal.WRONG), (503, Refusal.LATER)]
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_oversized_answers_are_not_parsed(kind: str, status: int, reason: Refusal) -> None:
    """Of a token response of a megabyte only the status is used."""
    body = UndecodableBody(b'{"access_token": "' + b"x" * 1_048_576 + b'"}')

    result = read_token(Response(status, {"Content-Type": kind}, body), CLIENT, NOON)

    assert isinstance(result, Refused)
    assert reason is result.why
