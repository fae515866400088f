"""Responses that are unreadable, or report neither success nor failure."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import HttpMethod, InvalidData, PaymentDeclined, Request, Response, VendorFailed
from moorage.domain.resilience.classify import (
    as_unreadable,
    classify,
    is_json_as_promised,
    is_success,
    unreadable_answer_error,
)
from moorage.errors import VendorRejected

JSON = {"Content-Type": "application/json"}
ACCEPT = {"Accept": "application/json, application/problem+json"}


@pytest.mark.parametrize(
    "sent, headers, body, stored",
    [
        ({}, JSON, b'{"id": 1}', True),
        ({}, JSON, b'{"id": 1', False),
        ({}, {"Content-Type": "application/hal+json"}, b"<html>", False),
        ({}, {"Content-Type": "application/json; charset=latin-1"}, b'"\xe9"', False),
        ({}, JSON, b"", True),
        ({}, {"Content-Type": "text/html"}, b"<html>", True),
        (ACCEPT, {"Content-Type": "text/html"}, b"<html>", False),
        (ACCEPT, {"Content-Type": "text/html"}, b"{}", True),
        ({"Accept": "application/json, text/csv"}, {}, b"a,b", True),
        ({}, JSON, b'{"order": {"id": 1}', False),
        ({}, JSON, b'[{"id": 1}, ]]', False),
        ({}, JSON, b'{"text": "}"}\n', True),
        ({}, JSON, '{"name": "\xe9"}'.encode(), True),
        ({}, JSON, b'{"name": "\xe9"}', False),
        ({}, JSON, '{"name": "\xe9"}'.encode("utf-16"), True),
        ({}, JSON, b"-1", True),
        ({}, JSON, b"no", False),
    ],
)
def test_body_must_be_json_if_response_or_request_says_so(
    sent: dict[str, str], headers: dict[str, str], body: bytes, stored: bool
) -> None:
    """A body must be JSON if the response declares JSON or the request accepts only JSON."""
    request = Request.post("/orders", headers=sent)

    assert stored == is_json_as_promised(request, Response(200, headers, body))


class UndecodableBody(bytes):
    """A body that raises an error if it is decoded as a whole."""

    def decode(self, *_: object, **__: object) -> str:
        """Raise an error, since every parser decodes the body first."""
        raise AssertionError


@pytest.mark.parametrize("body", [b'{"ids": [1, 2]}', b'[{"id": NaN}]'])
def test_body_that_closes_its_brackets_is_not_parsed(body: bytes) -> None:
    """A body that closes all its brackets passes without being parsed."""
    response = Response(200, JSON, UndecodableBody(body))

    assert is_json_as_promised(Request.post("/orders"), response)


@pytest.mark.parametrize(
    "first, last, stored",
    [
        (b"{", b"}", True),
        (b"\xef\xbb\xbf\r\n[", b"]\n", True),
        (b'"', b'"', True),
        ("\ufeff{".encode("utf-16-le"), "}".encode("utf-16-le"), True),
        ("{".encode("utf-32-be"), "}".encode("utf-32-be"), True),
        (b"{", b"", False),
        (b"[", b"}", False),
        (b"<html>", b"</html>", False),
        (b" " * 5_000 + b"{", b"}", False),
    ],
)
def test_only_both_ends_of_a_long_answer_are_read(first: bytes, last: bytes, stored: bool) -> None:
    """Of a long JSON response, only the first and last bytes are checked."""
    body = UndecodableBody(first + b"x" * 65_536 + last)

    assert stored == is_json_as_promised(Request.post("/orders"), Response(200, JSON, body))


@pytest.mark.parametrize("raised", [InvalidData("no"), KeyError("secret")])
def test_parser_errors_become_vendor_failed(raised: Exception) -> None:
    """An exception of a response parser becomes VendorFailed, without its text."""
    response = Response(200, JSON, b"{}")

    error = as_unreadable(raised, response)

    assert isinstance(error, VendorFailed)
    assert (200, response, False) == (error.status, error.response, error.retryable)
    assert "secret" not in str(error)


def test_connector_errors_of_a_parser_pass_through() -> None:
    """A connector error that a response parser raises is kept unchanged."""
    declined_error = PaymentDeclined("no")

    assert declined_error is as_unreadable(declined_error, Response(200))


def test_error_names_the_missing_field() -> None:
    """The error for an incomplete response names the missing field."""
    assert "has no id" in str(unreadable_answer_error(Response(200), "id"))


@pytest.mark.parametrize("status", [100, 101, 102, 103, 199])
def test_interim_response_is_not_a_success(status: int) -> None:
    """An interim (1xx) response is not a success, and is classified as VendorFailed."""
    assert not is_success(status)
    assert VendorFailed is type(classify(Response(status)))


@pytest.mark.parametrize(
    "status, kind",
    [
        (300, VendorFailed),
        (301, VendorRejected),
        (302, VendorFailed),
        (303, VendorFailed),
        (304, VendorFailed),
        (307, VendorRejected),
        (308, VendorRejected),
    ],
)
def test_only_301_307_and_308_prove_that_a_redirected_write_was_not_done(
    status: int, kind: type[Any]
) -> None:
    """A redirect proves that a write was not done only if its status is 301, 307 or 308."""
    assert kind is type(classify(Response(status), safe=HttpMethod.POST.safe))


def test_a_redirected_read_is_refused() -> None:
    """A redirected read raises VendorRejected, but a 304 does not."""
    assert VendorRejected is type(classify(Response(302)))
    assert classify(Response(304)) is None
