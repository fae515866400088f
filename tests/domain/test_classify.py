"""Classification of HTTP responses as a success or a particular error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.response import Response
from moorage.domain.resilience.classify import classify, is_success, vendor_code_and_message
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)


def answer(body: Any, status: int = 400) -> Response:
    """Return a JSON response."""
    return Response(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


@pytest.mark.parametrize("status", [200, 201, 204, 206, 299, 304])
def test_response_with_2xx_or_304_status_is_no_error(status: int) -> None:
    """A response with a 2xx or 304 status is not an error."""
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
        (404, VendorRejected, "does not exist"),
        (408, VendorFailed, "failed"),
        (409, VendorRejected, "conflicts"),
        (412, VendorRejected, "condition"),
        (418, VendorRejected, "refused"),
        (422, InvalidRequest, "request is wrong"),
        (425, VendorFailed, "failed"),
        (429, RateLimitExceeded, "rate limit"),
        (500, VendorFailed, "failed"),
        (503, VendorFailed, "failed"),
        (999, VendorFailed, "failed"),
    ],
)
def test_every_remaining_status_raises_one_error(
    status: int, kind: type[ConnectorError], message: str
) -> None:
    """Each other status raises one error, with the status and the response."""
    response = Response(status)
    error: Any = classify(response)

    assert kind.__name__ == type(error).__name__
    assert (status, response) == (error.status, error.response)
    assert message in error.message
    assert f"(HTTP {status})" in error.message
    assert not is_success(status)


def test_unmet_condition_says_to_read_the_object_again() -> None:
    """A 412 says that a condition was not met, and not that the request is wrong."""
    error = classify(Response(412))
    assert error is not None
    assert "Read the object again" in error.remedy


def test_429_is_the_vendors_limit() -> None:
    """A 429 becomes the vendor's retryable rate-limit error."""
    error = classify(Response(429))

    assert isinstance(error, RateLimitExceeded)
    assert (True, True) == (error.by_vendor, error.retryable)


def test_error_has_code_and_message_of_the_vendor() -> None:
    """An error has the vendor's code and message, separate from our own text."""
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
def test_vendor_code_and_message_are_found(
    body: Any, code: str | None, message: str | None
) -> None:
    """A vendor's code and message are found in the usual fields if they are strings."""
    assert (code, message) == vendor_code_and_message(answer(body))


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe"])
def test_unreadable_answer_has_no_code_or_message(body: bytes) -> None:
    """A response that is not JSON has neither a vendor's error code nor a message."""
    assert (None, None) == vendor_code_and_message(Response(500, {}, body))


class UndecodableBody(bytes):
    """A response body that raises an error if it is decoded as a whole."""

    def decode(self, *_: object, **__: object) -> str:
        """Raise an error, since every parser decodes the body first."""
        raise AssertionError


@pytest.mark.parametrize("size", [65_537, 23_000_000])
def test_very_long_answer_is_not_parsed(size: int) -> None:
    """A vendor's response of more than 64 KiB is not parsed for code and message."""
    body = UndecodableBody(b'{"message": "no", "more": "' + b"x" * size + b'"}')

    error = classify(Response(401, {"Content-Type": "application/json"}, body))

    assert error is not None
    assert "the credential is not accepted (HTTP 401)." == error.message


def test_message_is_found_in_64_kib() -> None:
    """A vendor's response of exactly 64 KiB is parsed for code and message."""
    body = b'{"message": "no", "more": ""}'
    body = body[:-2] + b"x" * (65_536 - len(body)) + body[-2:]

    assert (None, "no") == vendor_code_and_message(Response(401, {}, body))


def test_secret_or_card_number_that_vendor_echoes_is_masked_in_error() -> None:
    """A secret or card number that the vendor echoes is masked in the error."""
    fields = {"code": "token=hunter2", "message": "card 4242 4242 4242 4242, password=hunter2"}
    error = classify(answer(fields))

    assert isinstance(error, InvalidRequest)
    for text in (str(error), error.vendor_code, error.vendor_message):
        assert "hunter2" not in str(text)
        assert "4242 4242" not in str(text)


def test_long_vendor_message_is_cut() -> None:
    """A long vendor message is masked first and then cut, so it never shows a whole number."""
    _, message = vendor_code_and_message(answer({"message": "x" * 290 + " 4242 4242 4242 4242"}))

    assert f"{'x' * 290} 4242***42…" == message


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
def test_any_answer_becomes_an_error(body: Any) -> None:
    """Any response body becomes an error whose code and message are strings or None."""
    error: Any = classify(answer(body, 500))

    assert VendorFailed is type(error)
    assert {type(error.vendor_code), type(error.vendor_message)} <= {str, type(None)}


def test_api_key_in_a_response_is_not_in_the_error() -> None:
    """An API key that a vendor repeats in its response is not in the error's code or message."""
    key = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"

    assert (None, "bad key ***.") == vendor_code_and_message(
        answer({"code": key, "message": f"bad key {key}."})
    )


def test_error_without_a_vendor_message_has_our_own_sentence() -> None:
    """If the vendor sends no message, the error's sentence is our own text."""
    error = classify(Response(400))

    assert error is not None
    assert "the request is wrong (HTTP 400)." == error.message


def test_redirect_error_names_base_url() -> None:
    """The remedy for a redirect is to correct `base_url`."""
    error = classify(Response(301))

    assert error is not None
    assert "base_url" in error.remedy


def test_lone_surrogates_are_replaced() -> None:
    """A lone surrogate in the vendor's message is replaced."""
    response = Response(400, body=b'{"message": "a \\ud800 b"}')

    assert (None, "a ? b") == vendor_code_and_message(response)
