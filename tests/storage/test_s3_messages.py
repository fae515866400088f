"""S3: requests and responses, tested without sending any requests."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.ref import Ref
from moorage.contracts.signed import UrlOptions
from moorage.contracts.storage import Part, PutOptions
from moorage.domain.http.requests import Headers, Request, Response
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    FileNotFound,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.storage.s3 import error_xml
from moorage.vendor_sdk import NotXmlError, read_xml
from moorage.vendors.storage import _common as storage
from moorage.vendors.storage import _s3_answers as answers
from moorage.vendors.storage import _s3_requests as requests
from moorage.vendors.storage.s3 import S3

if TYPE_CHECKING:
    from collections.abc import Callable

GET = Request.get("/a")


@pytest.mark.parametrize(
    "code,status,kind",
    [
        ("NoSuchKey", 404, FileNotFound),
        ("NoSuchVersion", 404, FileNotFound),
        ("NoSuchBucket", 404, VendorRejected),
        ("NoSuchUpload", 404, VendorRejected),
        ("AccessDenied", 403, AuthenticationFailed),
        ("SignatureDoesNotMatch", 403, AuthenticationFailed),
        ("InvalidAccessKeyId", 403, AuthenticationFailed),
        ("ExpiredToken", 400, AuthenticationFailed),
        ("RequestTimeTooSkewed", 403, AuthenticationFailed),
        ("SlowDown", 503, RateLimitExceeded),
        ("InternalError", 500, VendorFailed),
        ("InternalError", 200, VendorFailed),
        ("ServiceUnavailable", 503, VendorFailed),
        ("SomethingNew", 500, VendorFailed),
        ("BadDigest", 400, VendorFailed),
        ("RequestTimeout", 400, VendorFailed),
        ("XAmzContentChecksumMismatch", 400, VendorFailed),
        ("XAmzContentSHA256Mismatch", 400, VendorFailed),
        ("IllegalLocationConstraintException", 400, InvalidRequest),
        ("PermanentRedirect", 301, InvalidRequest),
        ("AuthorizationHeaderMalformed", 400, InvalidRequest),
        ("PreconditionFailed", 412, VendorRejected),
        ("InvalidRange", 416, InvalidRequest),
        ("EntityTooSmall", 400, InvalidRequest),
        ("SomethingNew", 409, VendorRejected),
    ],
)
def test_s3_error_code_decides_error_class(
    code: str, status: int, kind: type[ConnectorError]
) -> None:
    """S3's error code decides the error class, not the status, and the error contains the code."""
    error = answers.classify(GET, Response(status, body=error_xml(code, "So it is.")))
    assert kind is type(error)
    assert (code, "So it is.", status) == (
        getattr(error, "vendor_code", None),
        getattr(error, "vendor_message", None),
        getattr(error, "status", None),
    )


@pytest.mark.parametrize(
    "status,code",
    [
        (404, "NoSuchKey"),
        (301, "PermanentRedirect"),
        (412, "PreconditionFailed"),
        (503, "SlowDown"),
    ],
)
def test_response_to_head_has_no_body(status: int, code: str) -> None:
    """The response to HEAD has no body, so its status decides the error code."""
    error = answers.classify(Request.head("/a"), Response(status))
    assert code == getattr(error, "vendor_code", None)


@pytest.mark.parametrize(
    "request_,response",
    [
        (GET, Response(200, body=b"<Fine/>")),
        (GET, Response(503, body=b"<html>")),
        (GET, Response(502, body=b"<html></html>")),
        (GET, Response(500, body=b"<Error><Message>no code</Message></Error>")),
        (Request.head("/a"), Response(403)),
    ],
    ids=["fine", "no XML", "no error", "no code", "forbidden"],
)
def test_error_without_a_code_uses_the_status(request_: Request, response: Response) -> None:
    """If S3 sends no error code, the status decides."""
    assert answers.classify(request_, response) is None


def test_wrong_region_error_names_the_right_one() -> None:
    """The error for a wrong region names the right one."""
    result = error_xml("AuthorizationHeaderMalformed", "No", Region="eu-west-3")
    error = answers.classify(GET, Response(400, body=result))
    assert error is not None
    assert "region = 'eu-west-3'" in error.remedy
    redirect = Response(301, {"x-amz-bucket-region": "eu-west-3"}, error_xml("PermanentRedirect"))
    error = answers.classify(GET, redirect)
    assert error is not None
    assert "region = 'eu-west-3'" in error.remedy
    error = answers.classify(GET, Response(301, body=error_xml("PermanentRedirect")))
    assert error is not None
    assert "to the region of the bucket" in error.remedy


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no XML",
        b"<a>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<?xml version="1.0"?><!DOCTYPE a><a/>',
        b"<a>&undefined;</a>",
        b'<?xml version="1.0" encoding="none"?><a/>',
        b'<?xml version="1.0" encoding="big5"?><a/>',
        b"<a>" * 30 + b"</a>" * 30,
        b"<a>" + b" " * (16 * 1024 * 1024) + b"</a>",
    ],
    ids=[
        "empty",
        "text",
        "open",
        "entity",
        "file",
        "DTD",
        "undefined",
        "encoding",
        "wide",
        "deep",
        "long",
    ],
)
def test_unsafe_xml_is_refused(body: bytes) -> None:
    """A response that is not XML, or has a DTD, is refused without being parsed."""
    with pytest.raises(NotXmlError):
        read_xml(body)


def test_xml_is_read() -> None:
    """XML is read without namespaces, and may begin with white space."""
    result = read_xml(
        b' \n<?xml version="1.0"?><a xmlns="urn:x"><b>1 &amp; 2</b><c/><d><e>3</e></d></a>'
    )
    assert ("a", "1 & 2", None, None) == (
        result.name,
        result.text("b"),
        result.text("c"),
        result.text("none"),
    )
    assert {"b": "1 & 2", "c": "", "d": {"e": "3"}} == result.as_dict()


@pytest.mark.parametrize("body", [b"<html/>", b"nothing"], ids=["other", "none"])
def test_successful_response_without_its_required_content_is_failure_of_s3(body: bytes) -> None:
    """A successful response without its required content is a failure of S3."""
    with pytest.raises(VendorFailed, match="The answer"):
        storage.root(Response(200, body=body), "ListBucketResult")


@pytest.mark.parametrize(
    "sent,read",
    [
        ("plain", "plain"),
        ("=?UTF-8?B?Wm/Dqw==?=", "Zoë"),
        ("=?UTF-8?B?A?=", "=?UTF-8?B?A?="),
        ("=?UTF-8?B?/w==?=", "=?UTF-8?B?/w==?="),
    ],
    ids=["plain", "encoded", "no base64", "no UTF-8"],
)
def test_metadata_is_read_as_it_was_written(sent: str, read: str) -> None:
    """Metadata is read as it was written, and undecodable values stay unchanged."""
    wire = _RefBuilder()
    result = answers.info(wire, "a", Headers({"X-Amz-Meta-Buyer": sent}))  # type: ignore[arg-type]  # all it needs
    assert {"buyer": read} == result.metadata


class _RefBuilder:
    def ref(self, id: str, /, **_: object) -> str:
        return id


def test_invalid_headers_are_none() -> None:
    """An invalid length, range or checksum is read as None."""
    fields = Headers(
        {"Content-Length": "many", "Content-Range": "bytes */7", "x-amz-checksum-sha256": "?"}
    )
    result = answers.info(_RefBuilder(), "a", fields)  # type: ignore[arg-type]  # all it needs
    assert (None, ()) == (result.size, result.checksums)
    assert storage.content_range(fields) is None
    assert (2, 3, None) == storage.content_range(Headers({"Content-Range": "bytes 2-4/*"}))


def test_listed_part_without_an_etag_is_skipped() -> None:
    """A listed part without an ETag is skipped."""
    body = (
        b"<ListPartsResult><IsTruncated>false</IsTruncated>"
        b"<Part><PartNumber>1</PartNumber><Size>2</Size></Part>"
        b'<Part><PartNumber>2</PartNumber><Size>2</Size><ETag>"e"</ETag></Part></ListPartsResult>'
    )
    results, next_marker = answers.parts(Response(200, body=body))
    assert ([2], None) == ([part.number for part in results], next_marker)


def test_unanswered_deletion_may_have_failed() -> None:
    """A key that a deletion's response does not mention may not have been deleted."""
    body = (
        b"<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>c</Key></Error></DeleteResult>"
    )
    a, b, c = answers.deletion_results(Response(200, body=body), ["a", "b", "c"])
    assert (True, False, False) == (a.ok, b.ok, c.ok)
    assert isinstance(b.error, VendorFailed)


NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def test_documents_in_requests_have_the_elements_of_s3() -> None:
    """A deletion, a new bucket and a completed upload are sent as S3's XML documents."""
    part = Part(number=1, size=3, etag="e1")
    documents: list[Any] = [
        requests.delete_many(["a<b", "c"]).body,
        requests.create_bucket("files", "eu-west-3").body,
        requests.create_bucket("files", "us-east-1").body,
        requests.complete("a", "u1", [part], PutOptions()).body,
    ]

    assert [
        (
            f'<Delete xmlns="{NAMESPACE}"><Object><Key>a&lt;b</Key></Object>'
            "<Object><Key>c</Key></Object></Delete>"
        ),
        (
            f'<CreateBucketConfiguration xmlns="{NAMESPACE}">'
            "<LocationConstraint>eu-west-3</LocationConstraint></CreateBucketConfiguration>"
        ),
        "",
        (
            f'<CompleteMultipartUpload xmlns="{NAMESPACE}">'
            '<Part><PartNumber>1</PartNumber><ETag>"e1"</ETag></Part></CompleteMultipartUpload>'
        ),
    ] == [document.decode() for document in documents]


@pytest.mark.parametrize("name", ["ListPartsResult", "ListPartsResponse"])
def test_list_of_parts_has_either_name(name: str) -> None:
    """S3 calls a list of parts a result; some servers call it a response."""
    part = "<Part><PartNumber>1</PartNumber><Size>3</Size><ETag>&quot;e1&quot;</ETag></Part>"
    parts, marker = answers.parts(Response(200, body=f"<{name}>{part}</{name}>".encode()))

    assert [(1, 3, "e1")] == [(item.number, item.size, item.etag) for item in parts]
    assert None is marker


def test_every_upload_option_is_sent_as_header() -> None:
    """Every upload option is sent as a header; S3's own headers take precedence."""
    options = PutOptions(
        content_type="a/b",
        content_encoding="gzip",
        content_disposition="inline",
        content_language="de",
        cache_control="no-store",
        metadata={"x": "y"},
        visibility="public",
        storage_class="STANDARD_IA",
        encryption="AES256",
        tags={"a b": "c&d"},
        extra={"s3": {"Content-type": "c/d", "x-amz-website-redirect-location": "/"}, "b": {}},
    )
    expected = {
        "Content-Encoding": "gzip",
        "Content-Disposition": "inline",
        "Content-Language": "de",
        "Cache-Control": "no-store",
        "x-amz-acl": "public-read",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-tagging": "a%20b=c%26d",
        "x-amz-meta-x": "y",
        "Content-type": "c/d",
        "x-amz-website-redirect-location": "/",
    }
    assert expected == requests.object_headers(options)
    with pytest.raises(InvalidData, match="is not a str"):
        requests.object_headers(PutOptions(extra={"s3": {"x": 1}}))


ANSWER_HEADERS: Final = {
    "response-content-type": "a/b",
    "response-content-disposition": "inline",
}


@pytest.mark.parametrize(
    "method, query, headers",
    [
        ("GET", ANSWER_HEADERS, {}),
        ("HEAD", ANSWER_HEADERS, {}),
        ("PUT", {}, {"Content-Type": "a/b"}),
        ("DELETE", {}, {}),
    ],
)
def test_signed_download_sets_headers_of_its_response(
    method: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    """A signed download sets headers of its response; a signed upload has its content type."""
    request = requests.shared(
        "a", UrlOptions(method=method, content_type="a/b", content_disposition="inline")
    )
    assert (method, query, headers) == (
        request.method,
        dict(request.query),
        dict(request.headers),
    )


@pytest.mark.parametrize(
    "method, code", [("PUT", "PreconditionFailed"), ("GET", "NoSuchKey"), ("HEAD", "NoSuchKey")]
)
def test_replacing_a_missing_object_fails_its_condition(method: str, code: str) -> None:
    """Replacing a missing object raises a failed condition; reading it raises "not found"."""
    request = Request(method, "/a", headers={"If-Match": '"1"'})
    body = b"" if method == "HEAD" else error_xml("NoSuchKey", "No.")
    error = answers.classify(request, Response(404, body=body))
    assert isinstance(error, VendorRejected)
    assert code == error.vendor_code


def test_page_of_list_states_each_object_properties() -> None:
    """A page of a list states each object's properties."""
    wire: Any = SimpleNamespace(ref=lambda id_: Ref("s3", "files", id_))
    body = (
        b"<ListBucketResult><Contents><Key>a</Key><Size>3</Size><ETag>&quot;5&quot;</ETag>"
        b"<LastModified>2031-05-06T07:08:09.000Z</LastModified>"
        b"<StorageClass>GLACIER</StorageClass></Contents></ListBucketResult>"
    )
    (info,) = answers.page(wire, Response(200, body=body)).objects
    assert ("a", 3, "5", "GLACIER") == (info.key, info.size, info.etag, info.storage_class)
    assert datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC) == info.last_modified


def test_unfinished_uploads_without_a_marker_are_refused() -> None:
    """A truncated list of uploads must say where its next page begins."""
    wire: Any = SimpleNamespace(ref=lambda id_, **_: Ref("s3", "files", id_))
    body = (
        b"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>"
    )
    with pytest.raises(VendorFailed, match="NextKeyMarker"):
        answers.uploads(wire, Response(200, body=body))


@pytest.mark.parametrize(
    "etag,written", [("a-1", '"a-1"'), ('"a"', '"a"'), ('W/"a"', 'W/"a"'), ("*", "*")]
)
def test_etag_is_sent_with_one_pair_of_quotes(etag: str, written: str) -> None:
    """An ETag is sent with one pair of quotes, whether it was given with quotes or not."""
    assert written == storage.quoted_etag(etag)


def _bucket(options: dict[str, Any]) -> S3:
    fields: dict[str, Any] = {"bucket": "a-bucket", **options}
    return S3(**fields)


@pytest.mark.parametrize(
    "options,url",
    [
        ({}, "https://a-bucket.s3.us-east-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "https://a-bucket.s3.cn-north-1.amazonaws.com.cn"),
        ({"bucket": "a.b.c"}, "https://s3.us-east-1.amazonaws.com/a.b.c"),
        ({"endpoint": "http://minio:9000/"}, "http://minio:9000/a-bucket"),
        (
            {"endpoint": "https://r2.example", "path_style": False},
            "https://a-bucket.r2.example",
        ),
    ],
    ids=["host", "china", "dots", "endpoint", "endpoint-host"],
)
def test_bucket_is_in_the_host_name_or_the_path(options: dict[str, Any], url: str) -> None:
    """The bucket is in the host name or the path, depending on the vendor's options."""
    assert url == _bucket(options).base_url


@pytest.mark.parametrize(
    "options",
    [
        {"bucket": "A_B"},
        {"bucket": 7},
        {"bucket": "abc", "checksum": "crc32c"},
        {"bucket": "abc", "access_key_id": "AKIA"},
    ],
    ids=["name", "number", "checksum", "half"],
)
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    """Contradictory S3 options are refused when the vendor is created."""
    with pytest.raises(ConfigurationError):
        S3(**options)


def _crc32_of(text: str | None) -> Checksum | None:
    return Checksum.from_base64(ChecksumAlgorithm.CRC32, text)


def test_checksum_in_s3_format_is_parsed() -> None:
    """A checksum in S3's format is parsed, with the number of parts of a composite one."""
    checksum = Checksum.of("crc32", b"123456789")
    assert ("cbf43926", "y/Q5Jg==") == (checksum.value, checksum.base64)
    assert (checksum, attrs.evolve(checksum, parts=3)) == (
        _crc32_of("y/Q5Jg=="),
        _crc32_of("y/Q5Jg==-3"),
    )
    odd_checksums = (None, "", "?", "y/Q5Jg==-x", "y/Q5Jg==-\u00b2", "y/Q5Jg==-" + "9" * 5_000)
    assert [None] * 6 == [_crc32_of(text) for text in odd_checksums]
    assert (True, False) == (checksum.fits(b"123456789"), checksum.fits(b"other"))
    assert not attrs.evolve(checksum, parts=1).fits(b"123456789")
    assert not Checksum(ChecksumAlgorithm.CRC64NVME, "00").fits(b"")
    for algorithm, value in (("md5", "d41d8cd98f00b204e9800998ecf8427e"), ("crc32", "00000000")):
        assert value == Checksum.of(algorithm, b"").value
    assert 40 == len(Checksum.of("sha1", b"").value)


@pytest.mark.parametrize(
    "make",
    [lambda: Checksum.of("crc64nvme", b""), lambda: Checksum(ChecksumAlgorithm.MD5, "xyz")],
    ids=["not made here", "no hex"],
)
def test_invalid_checksums_are_refused(make: Callable[[], object]) -> None:
    """An invalid or unsupported checksum is refused."""
    with pytest.raises(InvalidData):
        make()
