"""Google Cloud Storage: requests and errors, tested without sending any requests."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import md5
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from moorage.contracts.ref import Ref
from moorage.contracts.signed import UrlOptions
from moorage.contracts.storage import ByteRange, GetOptions, PutOptions
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request, Response
from moorage.domain.secrets.secret import Secret
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    FileNotFound,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes._google import key_file, pair
from moorage.testing.sandboxes.storage._gcs_documents import error_document
from moorage.vendors.storage import _gcs_answers as answers
from moorage.vendors.storage import _gcs_requests as requests
from moorage.vendors.storage._gcs_session import Chunks
from moorage.vendors.storage._gcs_signing import signer_of
from tests.storage.harnesses import run

if TYPE_CHECKING:
    from moorage.vendors.storage._gcs_signing import Signer

OBJECT = Request.get("/storage/v1/b/x/o/a")
LIST = Request.get("/storage/v1/b/x/o")


@pytest.mark.parametrize(
    "status,reason,kind",
    [
        (400, "invalid", InvalidRequest),
        (401, "authError", AuthenticationFailed),
        (403, "forbidden", AuthenticationFailed),
        (403, "rateLimitExceeded", RateLimitExceeded),
        (403, "userRateLimitExceeded", RateLimitExceeded),
        (403, "retentionPolicyNotMet", VendorRejected),
        (404, "notFound", FileNotFound),
        (408, "uploadBrokenConnection", VendorFailed),
        (409, "conflict", VendorRejected),
        (410, "gone", VendorRejected),
        (412, "conditionNotMet", VendorRejected),
        (416, "requestedRangeNotSatisfiable", InvalidRequest),
        (429, "somethingNew", RateLimitExceeded),
        (499, "clientClosed", VendorRejected),
        (500, "internalError", VendorFailed),
        (503, "backendError", VendorFailed),
    ],
)
def test_each_refusal_has_its_error_class(
    status: int, reason: str, kind: type[ConnectorError]
) -> None:
    """Each error response has its error class, and keeps Google's reason code."""
    error = answers.classify(OBJECT, Response(status, body=error_document(status, reason, "Why.")))
    assert error is not None
    assert (kind, status, reason, "Why.") == (
        type(error),
        error.status,  # type: ignore[attr-defined]  # each has it
        error.vendor_code,  # type: ignore[attr-defined]  # each has it
        error.vendor_message,  # type: ignore[attr-defined]  # each has it
    )


def test_missing_bucket_object_and_upload_have_different_errors() -> None:
    """A missing object, bucket and upload each have their own error."""
    no_bucket = Response(
        404, body=error_document(404, "notFound", "The specified bucket does not exist.")
    )
    no_object_response = Response(
        404, body=error_document(404, "notFound", "No such object: my-bucket/a")
    )
    upload = Request.put("/upload/storage/v1/b/x/o")
    assert VendorRejected is type(answers.classify(OBJECT, no_bucket))
    assert FileNotFound is type(answers.classify(OBJECT, no_object_response))
    assert VendorRejected is type(answers.classify(LIST, no_object_response))
    assert VendorRejected is type(answers.classify(upload, Response(404)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"[]",
        b'{"error": "access_denied"}',
        b'{"error": {"errors": {}}}',
        b'{"error": {"errors": [5], "message": ["x"]}}',
        b'{"error": {"errors": [{"reason": "ya29.secret token"}]}}',
        b"\xff" * 10_000,
    ],
)
def test_refusal_in_unknown_format_is_classified_by_http_status(body: bytes) -> None:
    """An error in an unknown format is classified by HTTP status, without a reason code."""
    error = answers.classify(OBJECT, Response(403, body=body))
    assert isinstance(error, AuthenticationFailed)
    assert error.vendor_code is None


@pytest.mark.parametrize("status", [200, 204, 304, 308])
def test_successes_are_no_errors(status: int) -> None:
    """Success responses and upload progress responses are not errors."""
    assert answers.classify(OBJECT, Response(status)) is None


def test_object_options_precede_its_bytes_in_upload_with_one_request() -> None:
    """In an upload with one request, the object's options precede its bytes."""
    data = b"\r\n--b\n\0"
    options = PutOptions(content_type="a/b", metadata={"x": "\u00fc"})
    request = requests.put("bucket", "a/b", data, options, "edge")
    assert isinstance(request.body, bytes)
    parts = request.body.split(b"\r\n--edge")
    fields = json.loads(parts[0].partition(b"\r\n\r\n")[2])
    assert {
        "name": "a/b",
        "contentType": "a/b",
        "metadata": {"x": "\u00fc"},
        "md5Hash": b64encode(md5(data, usedforsecurity=False).digest()).decode(),
    } == fields
    assert b"\r\nContent-Type: a/b\r\n\r\n" + data == parts[1]
    assert b"--\r\n" == parts[2]
    assert ("multipart/related; boundary=edge", True) == (
        request.headers.get("content-type"),
        request.repeatable,
    )


def test_chunks_are_sent_once() -> None:
    """A chunk with an unknown outcome is not sent again, but queried; queries may be repeated."""
    chunk = requests.chunk("b", "id", 0, b"x", total=1, md5="sum")
    assert ("bytes 0-0/1", "md5=sum", False) == (
        chunk.headers.get("content-range"),
        chunk.headers.get("x-goog-hash"),
        chunk.repeatable,
    )
    end = requests.chunk("b", "id", 5, b"", total=5, md5=None)
    assert "bytes */5" == end.headers.get("content-range")
    asking_request = requests.progress("b", "id")
    assert ("bytes */*", True) == (
        asking_request.headers.get("content-range"),
        asking_request.repeatable,
    )


def test_uploads_ask_for_plain_statuses() -> None:
    """Each upload request asks for 200 instead of 308, with the documented header name."""
    chunk = requests.chunk("b", "id", 0, b"x", total=1, md5=None)
    for request in (chunk, requests.progress("b", "id")):
        assert "yes" == request.headers.get("X-GUploader-No-308")


def test_download_request_states_generation_range_and_conditions() -> None:
    """A download request has the generation, range and both conditions under Google's names."""
    options = GetOptions(if_match="5", if_none_match="6", version="7", range=ByteRange(2, 4))
    request = requests.get("b", "a/b", options)
    assert "/storage/v1/b/b/o/a%2Fb" == request.path
    assert {
        "alt": "media",
        "generation": "7",
        "ifGenerationMatch": "5",
        "ifGenerationNotMatch": "6",
    } == dict(request.query)
    assert "bytes=2-5" == request.headers.get("range")


@pytest.mark.parametrize("field", ["if_match", "if_none_match"])
def test_error_names_the_option_of_a_foreign_etag(field: str) -> None:
    """The error for another vendor's ETag names the option that contains it."""
    options: dict[str, Any] = {field: '"0af1"'}
    with pytest.raises(InvalidData) as excinfo:
        requests.get("b", "a", GetOptions(**options))
    assert field == excinfo.value.field


STORED_HEADERS = Headers(
    [
        ("X-Goog-Generation", "7"),
        ("X-Goog-Hash", "crc32c=n03x6A=="),
        ("X-Goog-Hash", "md5=Ojk9c3dhfxgoKVVHYwFbHQ=="),
        ("X-Goog-Stored-Content-Length", "20"),
        ("Content-Length", "9"),
        ("X-Goog-Storage-Class", "NEARLINE"),
        ("Content-Type", "text/plain"),
        ("Content-Language", "de"),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("X-Goog-Meta-Invoice", "7"),
        ("X-Goog-Meta-Last", "8"),
    ]
)


@pytest.mark.parametrize(
    "packing, expected",
    [
        ((), None),
        ((("Content-Encoding", "gzip"),), "gzip"),
        ((("X-Goog-Stored-Content-Encoding", "gzip"),), "gzip"),
        ((("X-Goog-Stored-Content-Encoding", "identity"), ("Content-Encoding", "gzip")), None),
    ],
)
def test_download_properties_are_read_from_headers(
    packing: tuple[tuple[str, str], ...], expected: str | None
) -> None:
    """A download's properties are read from its headers."""
    wire: Any = SimpleNamespace(ref=lambda id_: Ref("gcs", "files", id_))
    headers = Headers([*packing, *STORED_HEADERS.pairs])
    info = answers.opened(wire, "a/b", headers)
    assert expected == info.content_encoding
    assert Ref("gcs", "files", "a/b") == info.ref
    assert ("a/b", 20, "7", "7", "NEARLINE") == (
        info.key,
        info.size,
        info.etag,
        info.version,
        info.storage_class,
    )
    assert ["n03x6A==", "Ojk9c3dhfxgoKVVHYwFbHQ=="] == [sum_.base64 for sum_ in info.checksums]
    assert ("text/plain", "de") == (info.content_type, info.content_language)
    assert datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC) == info.last_modified
    assert {"invoice": "7", "last": "8"} == info.metadata


class _Pieces:
    def __init__(self, *sizes: int) -> None:
        self._left = [bytes(size) for size in sizes]

    async def next(self) -> bytes:
        return self._left.pop(0) if self._left else b""


@pytest.mark.parametrize(
    "sizes,expected",
    [
        ((), [0]),
        ((5,), [5]),
        ((requests.STEP,), [requests.STEP]),
        ((requests.STEP, 1), [requests.STEP, 1]),
        ((requests.STEP - 1, 3), [requests.STEP + 2]),
        ((requests.STEP + 1, 1, 1), [requests.STEP, 3]),
        ((3 * requests.STEP + 7,) * 2, [3 * requests.STEP, 3 * requests.STEP + 14]),
    ],
)
def test_chunk_lengths_are_multiples_of_googles_unit(
    sizes: tuple[int, ...], expected: list[int]
) -> None:
    """Each chunk except the last is a multiple of Google's unit, and no byte is missing."""

    async def flow() -> list[int]:
        chunks, results = Chunks(_Pieces(*sizes)), []
        while not chunks.over:
            results.append(len(await chunks.next()))
        return results

    assert expected == run(flow())


def _account() -> Signer:
    email = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com"
    return signer_of(Secret(key_file(email, "https://oauth2.googleapis.com/token")))


@pytest.mark.parametrize(
    "path,options,digest",
    [
        (
            "/test-bucket/test-object",
            UrlOptions(expires=10),
            "00e2fb794ea93d7adb703edaebdd509821fcc7d4f1a79ac5c8d2b394df109320",
        ),
        (
            "/test-bucket/test-object",
            UrlOptions(method="PUT", expires=10),
            "78742860705da91404222d5d66ff89850292471199c3c2808d116ad12e6177b4",
        ),
        (
            "/test-bucket2/test-object2",
            UrlOptions(expires=10),
            "a139afbf35ac30e9864f63197f79609731ab1b0ca166e2a456dba156fcd3f9ce",
        ),
    ],
)
def test_signatures_match_googles_own_tests(path: str, options: UrlOptions, digest: str) -> None:
    """Signed URLs match the test data of Google's own clients."""
    now = datetime(2019, 2, 1, 9, tzinfo=UTC)
    url = _account().url("https://storage.googleapis.com", path, options, now)
    signature = bytes.fromhex(dict(parse_qsl(urlsplit(url).query))["X-Goog-Signature"])
    scope = "20190201/auto/storage/goog4_request"
    text = f"GOOG4-RSA-SHA256\n20190201T090000Z\n{scope}\n{digest}".encode()
    pair().public_key().verify(signature, text, PKCS1v15(), SHA256())


def test_signed_download_sets_headers_of_the_answer() -> None:
    """A signed download states the content type and file name that the response will have."""
    options = UrlOptions(content_type="a/b", content_disposition="attachment")
    url = _account().url("https://storage.googleapis.com", "/b/o", options, datetime.now(UTC))
    query = dict(parse_qsl(urlsplit(url).query))
    assert ("a/b", "attachment") == (
        query["response-content-type"],
        query["response-content-disposition"],
    )


def test_signed_put_has_its_content_type() -> None:
    """The content type of a signed PUT is part of its signature."""
    put = UrlOptions(method="PUT", content_type="a/b", content_disposition="attachment")
    url = _account().url("https://storage.googleapis.com", "/b/o", put, datetime.now(UTC))
    query = dict(parse_qsl(urlsplit(url).query))
    assert "content-type;host" == query["X-Goog-SignedHeaders"]
    assert not [name for name in query if name.startswith("response-")]
