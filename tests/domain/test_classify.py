"""What an answer means: success, or which error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.classify import classify, is_success, vendor_words
from moorage.domain.response import Response
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)


def answer(body: Any, status: int = 400) -> Response:
    """An answer in JSON."""
    return Response(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


@pytest.mark.parametrize("status", [200, 201, 204, 206, 299, 304])
def test_successes(status: int) -> None:
    """What was asked for is no error, and neither is that nothing has changed."""
    assert is_success(status)
    assert classify(Response(status)) is None


@pytest.mark.parametrize(
    "status, kind, message",
    [
        (300, VendorRejected, "redirects"),
        (301, VendorRejected, "redirects"),
        (308, VendorRejected, "redirects"),
        (400, InvalidRequest, "request is wrong"),
        (401, AuthenticationFailed, "not accepted"),
        (402, VendorRejected, "refused"),
        (403, AuthenticationFailed, "does not allow"),
        (404, VendorRejected, "no such thing"),
        (408, VendorFailed, "failed"),
        (409, VendorRejected, "conflicts"),
        (418, VendorRejected, "refused"),
        (422, InvalidRequest, "request is wrong"),
        (425, VendorFailed, "failed"),
        (429, RateLimitExceeded, "rate limit"),
        (500, VendorFailed, "failed"),
        (503, VendorFailed, "failed"),
        (999, VendorFailed, "failed"),
    ],
)
def test_failures(status: int, kind: type[ConnectorError], message: str) -> None:
    """Every other status is one error, with the status and the answer it was made from."""
    response = Response(status)
    error: Any = classify(response)

    assert kind.__name__ == type(error).__name__
    assert (status, response) == (error.status, error.response)
    assert message in error.message
    assert f"(HTTP {status})" in error.message
    assert not is_success(status)


def test_a_vendors_limit_says_whose_it_is() -> None:
    """A 429 is the vendor's limit, and worth coming back for."""
    error = classify(Response(429))

    assert isinstance(error, RateLimitExceeded)
    assert (True, True) == (error.by_vendor, error.retryable)


def test_the_vendors_words_are_in_the_message() -> None:
    """What the vendor says is told, and kept apart from our own words."""
    error = classify(answer({"code": "E7", "message": "the amount is missing"}))

    assert isinstance(error, InvalidRequest)
    assert ("E7", "the amount is missing") == (error.vendor_code, error.vendor_message)
    assert "the request is wrong (HTTP 400): the amount is missing" == error.message


@pytest.mark.parametrize(
    "body, code, message",
    [
        ({"code": "E1", "message": "m"}, "E1", "m"),
        ({"error_code": 42, "error_message": "m"}, "42", "m"),
        ({"type": "about:blank", "title": "t", "detail": "d"}, "about:blank", "d"),
        ({"title": "t"}, None, "t"),
        ({"error": {"code": "E1", "message": "m"}}, "E1", "m"),
        ({"error": {"type": "card_error"}}, "card_error", None),
        ({"error": "invalid_grant", "error_description": "d"}, "invalid_grant", "d"),
        ({"error": "broken", "message": "m"}, "broken", "m"),
        ({"error": True, "message": "m", "code": 7}, "7", "m"),
        ({"error": None, "message": "m"}, None, "m"),
        ({"code": {"nested": 1}, "type": "t"}, "t", None),
        ({"code": "", "error_code": "E2"}, "E2", None),
        ({"code": False, "message": ["m"]}, None, None),
        ({"code": 0}, "0", None),
        ({"code": "no such plan", "type": "t"}, "t", "no such plan"),
        ({"code": "no such plan", "message": "m"}, None, "m"),
        ({"error": "It broke."}, None, "It broke."),
        ({"code": "x" * 65}, None, "x" * 65),
        ({"code": "a.b:c/d-e_1"}, "a.b:c/d-e_1", None),
        ({}, None, None),
        ([{"code": "E1"}], None, None),
        ("oops", None, None),
        (None, None, None),
    ],
)
def test_finds_the_vendors_words(body: Any, code: str | None, message: str | None) -> None:
    """Code and message are found where they usually are; what is no text is none."""
    assert (code, message) == vendor_words(answer(body))


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe"])
def test_what_is_no_json_says_nothing(body: bytes) -> None:
    """An answer that cannot be read has no words."""
    assert (None, None) == vendor_words(Response(500, {}, body))


class Unread(bytes):
    """A body that must not be read as a whole."""

    def decode(self, *_: object, **__: object) -> str:
        """Refuse to be decoded, which every parser begins with."""
        raise AssertionError


@pytest.mark.parametrize("size", [65_537, 23_000_000])
def test_a_long_answer_is_not_parsed_for_its_words(size: int) -> None:
    """Of an answer of more than 64 KiB no words are looked for, whatever it costs to parse."""
    body = Unread(b'{"message": "no", "more": "' + b"x" * size + b'"}')

    error = classify(Response(401, {"Content-Type": "application/json"}, body))

    assert error is not None
    assert "the credential is not accepted (HTTP 401)." == error.message


def test_words_are_found_in_an_answer_of_64_kib() -> None:
    """An answer as long as is kept of a failure still says what it says."""
    body = b'{"message": "no", "more": ""}'
    body = body[:-2] + b"x" * (65_536 - len(body)) + body[-2:]

    assert (None, "no") == vendor_words(Response(401, {}, body))


def test_words_are_redacted() -> None:
    """A vendor that echoes a secret or a card number does not get it into an error."""
    said = {"code": "token=hunter2", "message": "card 4242 4242 4242 4242, password=hunter2"}
    error = classify(answer(said))

    assert isinstance(error, InvalidRequest)
    for text in (str(error), error.vendor_code, error.vendor_message):
        assert "hunter2" not in str(text)
        assert "4242 4242" not in str(text)


def test_words_are_cut() -> None:
    """A vendor that says a lot is quoted in part, and nothing secret is halved into view."""
    _, message = vendor_words(answer({"message": "x" * 295 + " 4242 4242 4242 4242"}))

    assert message is not None
    assert len(message) <= 301
    assert "4242" not in message


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["error", "code", "message", "type", "detail"]), inner
            )
        ),
    )
)
def test_no_answer_is_too_strange(body: Any) -> None:
    """Whatever a vendor answers, it is an error with texts or none."""
    error: Any = classify(answer(body, 500))

    assert VendorFailed is type(error)
    assert {type(error.vendor_code), type(error.vendor_message)} <= {str, type(None)}


def test_keys_are_no_codes() -> None:
    """A key that a vendor echoes is neither its code nor its message."""
    key = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"

    assert (None, "bad key ***.") == vendor_words(
        answer({"code": key, "message": f"bad key {key}."})
    )


def test_a_vendor_that_says_nothing_is_not_quoted() -> None:
    """Without words of the vendor's the sentence ends with our own."""
    error = classify(Response(400))

    assert error is not None
    assert "the request is wrong (HTTP 400)." == error.message


def test_a_redirect_is_followed_by_whoever_configures() -> None:
    """A redirect says where to correct the address."""
    error = classify(Response(301))

    assert error is not None
    assert "base_url" in error.remedy


def test_half_a_character_is_no_trouble() -> None:
    """What JSON can write and UTF-8 cannot is replaced in the vendor's words."""
    response = Response(400, body=b'{"message": "a \\ud800 b"}')

    assert (None, "a ? b") == vendor_words(response)
