"""Azure Storage's Shared Key signatures, compared with Azure's documentation."""

from __future__ import annotations

import hmac
import traceback
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from moorage import Credentials
from moorage.domain.http.body import BodyStream
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.azure import AzureSharedKey
from moorage.domain.signing.context import SigningContext
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = Secret(b64encode(b"a key of sixty-four bytes").decode())
SIGNING = AzureSharedKey(account="myaccount")
BASE = "https://myaccount.blob.core.windows.net"
NOW = SigningContext(datetime(2015, 6, 26, 23, 39, 12, tzinfo=UTC), "nonce")
DATE = "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT"


def with_signature(request: Request, base: str = BASE) -> Request:
    """Return the request signed for Azure Storage."""
    return SIGNING.sign(request, join_url(base, request), KEY, NOW)


def expected_header(text: str) -> str:
    """Return the Authorization header for a string to sign."""
    digest = hmac.digest(b64decode(KEY.reveal()), text.encode(), "sha256")
    return f"SharedKey myaccount:{b64encode(digest).decode()}"


def lines(method: str, fields: Mapping[int, str], *rest: str) -> str:
    """Return the lines of the text that Azure signs for a request."""
    return "\n".join([method, *(fields.get(place, "") for place in range(1, 12)), *rest])


def test_example_request_in_azure_documentation_gets_documented_signature() -> None:
    """The example request in Azure's documentation gets the documented signature."""
    request = Request.get(
        "/mycontainer",
        query={"timeout": "20", "restype": "container", "comp": "metadata"},
        headers={"x-ms-version": "2015-02-21"},
    )
    text = lines(
        "GET",
        {},
        DATE,
        "x-ms-version:2015-02-21",
        "/myaccount/mycontainer",
        "comp:metadata",
        "restype:container",
        "timeout:20",
    )

    signed_request = with_signature(request)

    assert expected_header(text) == signed_request.headers["authorization"]
    assert "Fri, 26 Jun 2015 23:39:12 GMT" == signed_request.headers["x-ms-date"]


def test_standard_fields_are_in_order() -> None:
    """Azure signs standard headers in a fixed order, and the length only if there is a body."""
    headers = {
        "Content-Encoding": "gzip",
        "Content-Language": "de",
        "Content-MD5": "md5",
        "Content-Type": "a/b",
        "If-Modified-Since": "since",
        "If-Match": "match",
        "If-None-Match": "none",
        "If-Unmodified-Since": "until",
        "Range": "bytes=0-1",
        "User-Agent": "is not signed",
    }
    values = ["gzip", "de", "3", "md5", "a/b", "", "since", "match", "none", "until", "bytes=0-1"]
    text = lines("PUT", dict(enumerate(values, 1)), DATE, "/myaccount/c/b")

    signed_request = with_signature(Request.put("/c/b", headers=headers, body=b"abc"))

    assert expected_header(text) == signed_request.headers["authorization"]


@pytest.mark.parametrize("length, length_field", [(3, "3"), (0, ""), (None, "")])
def test_stream_length_is_signed(length: int | None, length_field: str) -> None:
    """For a streamed body, Azure signs only the length, if the length is known."""
    request = Request.put("/c/b", body=BodyStream.of(lambda: [b"abc"], length=length))

    text = lines("PUT", {3: length_field}, DATE, "/myaccount/c/b")
    assert expected_header(text) == with_signature(request).headers["authorization"]


def test_x_ms_fields_are_sorted_as_azure_sorts() -> None:
    """Azure's order of `x-ms` headers ignores dashes, and `_` precedes other characters."""
    headers = [
        ("x-ms-meta-a1", "3"),
        ("x-ms-meta-ab", "4"),
        ("X-Ms-Meta-A_b", " 2 "),
        ("x-ms-meta-a", "1"),
        ("x-ms-meta-ab", "5"),
    ]
    text = lines(
        "HEAD",
        {},
        DATE,
        "x-ms-meta-a:1",
        "x-ms-meta-a_b:2",
        "x-ms-meta-a1:3",
        "x-ms-meta-ab:4,5",
        "/myaccount/",
    )

    assert (
        expected_header(text)
        == with_signature(Request.head("/", headers=headers)).headers["authorization"]
    )


def test_path_and_query_are_signed() -> None:
    """Azure signs the path as sent, and query parameters decoded."""
    request = Request.get(
        "/c/a%20b+%C3%BC", query=[("Prefix", "a b+ü"), ("include", "tags"), ("include", "copy")]
    )
    text = lines(
        "GET", {}, DATE, "/myaccount/base/c/a%20b+%C3%BC", "include:copy,tags", "prefix:a b+ü"
    )

    signed_request = with_signature(request, "http://127.0.0.1:10000/base")

    assert expected_header(text) == signed_request.headers["authorization"]


def test_empty_query_parameter_is_signed_without_a_value() -> None:
    """Azure signs an empty query parameter with nothing after its name."""
    request = Request.get("/c", query=[("marker", ""), ("comp", "list")])
    text = lines("GET", {}, DATE, "/myaccount/c", "comp:list", "marker:")

    assert expected_header(text) == with_signature(request).headers["authorization"]


def test_signing_again_replaces_the_signature() -> None:
    """A request that is signed for Azure again gets a new signature and the new date."""
    first_request = with_signature(Request.get("/c", headers={"Date": "long ago"}))
    later_context = SigningContext(datetime(2015, 6, 27, tzinfo=UTC), "nonce")

    repeated_request = SIGNING.sign(first_request, f"{BASE}/c", KEY, later_context)

    assert ("Sat, 27 Jun 2015 00:00:00 GMT",) == repeated_request.headers.get_all("x-ms-date")
    assert 1 == len(repeated_request.headers.get_all("authorization"))
    assert "date" not in repeated_request.headers
    assert first_request.headers["authorization"] != repeated_request.headers["authorization"]


@pytest.mark.parametrize("key", ["", "no base64!", "YQ=", b"\xff\xfe"])
def test_keys_must_be_base64(key: str | bytes) -> None:
    """An Azure key that is not Base64 is refused and not shown."""
    assert "azure_shared_key" == Credentials.signed(SIGNING, KEY).method
    with pytest.raises(InvalidData, match="not a key of a storage account") as excinfo:
        Credentials.signed(SIGNING, key)
    assert "base64!" not in "".join(traceback.format_exception(excinfo.value))


@pytest.mark.parametrize("account", ["", "ab", "Acme", "a/b", "a b", "https://acme"])
def test_azure_account_that_is_not_plain_name_is_refused(account: str) -> None:
    """An Azure account that is not a plain name is refused."""
    with pytest.raises(InvalidData, match="not a valid name of a storage account"):
        AzureSharedKey(account=account)
