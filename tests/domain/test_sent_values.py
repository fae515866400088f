"""Masking of the credentials that an attempt sent, in the errors of that attempt."""

from __future__ import annotations

import pickle
from contextlib import suppress
from io import BytesIO

import pytest

from moorage import BodyStream, ConfigurationError, Credentials, Request, Response, VendorFailed
from moorage.domain.auth.sent_values import LARGEST_BODY, SentCredentials, new_recent_credentials
from moorage.domain.secrets.sensitive import MASK

SECRET = "kX9vQ2pL7wZ4mN8tR3-canary"
OTHER = "q7Jd-second-F5sV1hB9-canary"


def test_credential_is_masked_without_a_request() -> None:
    """If an attempt sent no HTTP request, only its credential is masked."""
    assert f"no {MASK}" == SentCredentials(Credentials.bearer(SECRET)).text(f"no {SECRET}")
    assert SECRET == SentCredentials(None).text(SECRET)


def test_repr_shows_no_sent_value() -> None:
    """The record of an attempt's credentials shows no value when printed or pickled."""
    sent_request = SentCredentials(Credentials.bearer(SECRET))
    sent_request.text("used once")

    assert SECRET not in repr(sent_request)
    with suppress(Exception):
        assert SECRET.encode() not in pickle.dumps(sent_request)
    assert SECRET not in repr([getattr(sent_request, name) for name in SentCredentials.__slots__])


@pytest.mark.parametrize(
    "request_",
    [
        Request.post("/", body=BodyStream.of(BytesIO(OTHER.encode()))),
        Request.post("/", body=b"token=" + OTHER.encode() + b" " * LARGEST_BODY),
        Request.post("/", body=f"<a><name>{OTHER}</name></a>".encode()),
        Request.get("/").with_header("Authorization", "Basic no-base64-at-all"),
        Request.post("/", json={"flag": True, "token": True, "name": [OTHER]}),
    ],
    ids=str,
)
def test_ordinary_values_are_not_masked(request_: Request) -> None:
    """Sent values with ordinary names, streamed values and very long values are not masked."""
    sent_request = SentCredentials(Credentials.bearer(SECRET), request_, "https://x.example/")

    assert f"{MASK} {OTHER}" == sent_request.text(f"{SECRET} {OTHER}")


def test_configuration_errors_quote_no_vendor_and_stay_unmasked() -> None:
    """Configuration errors are not masked, even if one is the cause of another error."""
    sent_request = SentCredentials(Credentials.bearer(SECRET))
    own_error, foreign_error = ConfigurationError(SECRET), VendorFailed(SECRET)
    own_error.__cause__, foreign_error.__cause__ = foreign_error, own_error
    sent_request.error(own_error)

    assert (SECRET, MASK) == (own_error.message, foreign_error.message)


def test_masked_response_has_the_same_headers_in_order() -> None:
    """A masked response has the same headers in the same order."""
    sent_request = SentCredentials(Credentials.bearer(SECRET))
    answer = Response(500, [("X-A", f"é{SECRET}é"), ("X-B", "b")], b"no")

    assert (("X-A", f"é{MASK}é"), ("X-B", "b")) == sent_request.response(answer).headers.pairs
    plain_response = Response(500, {"X-B": "b"}, b"no")
    assert plain_response == sent_request.response(plain_response)


def test_record_of_sent_credentials_keeps_only_its_last_sixteen_entries() -> None:
    """The record of sent credentials keeps only its last sixteen entries."""
    entries = new_recent_credentials()
    entries.extend(SentCredentials(None) for _ in range(99))

    assert 16 == len(entries)


def test_cassette_recorder_gets_the_secrets_of_an_attempt() -> None:
    """A cassette recorder gets an attempt's secrets, and values to mask as whole words only."""
    taught: list[set[bytes]] = []
    request = Request.post("/", json={"token": OTHER})
    request = request.with_header("Content-Type", "application/json")
    sent_request = SentCredentials(Credentials.bearer(SECRET), request, "https://x.example/", None)
    sent_request.report_secrets(lambda secrets, words: taught.extend([{*secrets}, {*words}]))

    assert [{SECRET.encode()}, {OTHER.encode()}] == taught
