"""The S3 sandbox refuses what S3 refuses."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from moorage.domain.http.requests import Request, Response, join_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.errors import ConnectionFailed
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxRequest
from moorage.testing.sandboxes.storage.s3 import S3Sandbox
from moorage.vendor_sdk import read_xml
from tests.storage.harnesses import over_socket, sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def s3_sandbox() -> Iterator[S3Sandbox]:
    """Yield an S3 sandbox whose clock shows noon."""
    with sandbox(now=lambda: NOON) as single_sandbox:
        yield single_sandbox


def request_signer(s3_sandbox: S3Sandbox, **options: Any) -> AwsSigV4:
    """Return a signer with the sandbox's key."""
    fields: dict[str, Any] = {
        "access_key_id": s3_sandbox.key.id,
        "region": s3_sandbox.region,
        "service": "s3",
    }
    return AwsSigV4(**{**fields, **options})


def arriving_request(
    s3_sandbox: S3Sandbox, request: Request, url: str, **other: str
) -> SandboxRequest:
    """Return a signed request as it arrives, with some headers changed after signing."""
    parts = urlsplit(url)
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    headers = request.with_headers(other).headers
    assert isinstance(request.body, bytes)
    return SandboxRequest(
        request.method, s3_sandbox.hosts[0], parts.path, query, headers, request.body
    )


def send_signed(
    s3_sandbox: S3Sandbox,
    request: Request,
    *,
    late: timedelta = timedelta(),
    secret: str | None = None,
    sign: dict[str, Any] | None = None,
    **other: str,
) -> Response:
    """Send a signed request to the sandbox."""
    url = join_url(f"https://{s3_sandbox.hosts[0]}", request)
    context = SigningContext(NOON + late, "nonce")
    key = Secret(secret or s3_sandbox.key.secret)
    signed_request = request_signer(s3_sandbox, **(sign or {})).sign(request, url, key, context)
    return s3_sandbox.answer(arriving_request(s3_sandbox, signed_request, url, **other))


def code(response: Response) -> str | None:
    """Return the error code of an error response."""
    return read_xml(response.body).text("Code")


def test_unsigned_requests_are_refused(s3_sandbox: S3Sandbox) -> None:
    """A request without a signature is refused."""
    request = Request.get("/a")
    assert "AccessDenied" == code(
        s3_sandbox.answer(arriving_request(s3_sandbox, request, "https://x/a"))
    )


@pytest.mark.parametrize(
    "how,expected",
    [
        ({"late": timedelta(minutes=16)}, "RequestTimeTooSkewed"),
        ({"secret": "wrong"}, "SignatureDoesNotMatch"),
        ({"sign": {"access_key_id": "AKIAOTHER"}}, "InvalidAccessKeyId"),
        ({"sign": {"region": "eu-west-1"}}, "AuthorizationHeaderMalformed"),
        ({"sign": {"session_token": "evil"}}, "InvalidToken"),
        ({"x-amz-date": "today"}, "AccessDenied"),
        ({"x-amz-acl": "public-read"}, "AccessDenied"),
    ],
    ids=["late", "secret", "key", "region", "token", "date", "unsigned header"],
)
def test_signature_of_another_request_is_refused(
    s3_sandbox: S3Sandbox, how: dict[str, Any], expected: str
) -> None:
    """A signature with another key, time, region or content than the request's is refused."""
    assert expected == code(send_signed(s3_sandbox, Request.get("/a"), **how))


def test_tampered_requests_are_refused(s3_sandbox: S3Sandbox) -> None:
    """A signed request whose body or headers were changed afterwards is refused."""
    request = Request.put("/a", body=b"x", headers={"Content-Type": "a/b"})
    url = join_url(f"https://{s3_sandbox.hosts[0]}", request)
    key = Secret(s3_sandbox.key.secret)
    signed_request = request_signer(s3_sandbox).sign(
        request, url, key, SigningContext(NOON, "nonce")
    )
    fine = s3_sandbox.answer(arriving_request(s3_sandbox, signed_request, url))
    assert 200 == fine.status
    other_request = arriving_request(s3_sandbox, signed_request.evolve(body=b"y"), url)
    assert "XAmzContentSHA256Mismatch" == code(s3_sandbox.answer(other_request))
    bare_request = signed_request.with_only_headers(signed_request.headers.without("content-type"))
    assert "SignatureDoesNotMatch" == code(
        s3_sandbox.answer(arriving_request(s3_sandbox, bare_request, url))
    )
    no_hash = signed_request.headers.get("authorization", "").replace(";x-amz-content-sha256", "")
    bare_request = signed_request.with_only_headers(
        signed_request.headers.without("x-amz-content-sha256")
    )
    assert "InvalidRequest" == code(
        s3_sandbox.answer(arriving_request(s3_sandbox, bare_request, url, authorization=no_hash))
    )


@pytest.mark.parametrize(
    "change,delay,expected",
    [
        ("", 0, None),
        ("", 61, "AccessDenied"),
        ("", -1_000, "AccessDenied"),
        ("X-Amz-Expires=60>X-Amz-Expires=6000", 0, "SignatureDoesNotMatch"),
        ("X-Amz-Expires=60>X-Amz-Expires=0", 0, "AuthorizationQueryParametersError"),
        ("AKIASANDBOX>AKIAOTHER", 0, "InvalidAccessKeyId"),
        ("X-Amz-Algorithm>X-Amz-Security-Token=evil&X-Amz-Algorithm", 0, "InvalidToken"),
    ],
)
def test_signed_url_is_valid_only_unchanged_and_until_its_expiry(
    change: str, delay: int, expected: str | None
) -> None:
    """A signed URL is valid only unchanged and until its expiry."""
    time = [NOON]
    with sandbox(now=lambda: time[0]) as new_sandbox:
        assert 200 == send_signed(new_sandbox, Request.put("/a", body=b"x")).status
        request = Request.get("/a")
        url = join_url(f"https://{new_sandbox.hosts[0]}", request)
        presigned_url = request_signer(new_sandbox).presign(
            request, url, Secret(new_sandbox.key.secret), NOON, expires=60
        )
        if change:
            old_part, new_part = change.split(">")
            presigned_url = presigned_url.replace(old_part, new_part)
        time[0] += timedelta(seconds=delay)
        response = new_sandbox.answer(arriving_request(new_sandbox, request, presigned_url))
        assert expected == (None if response.status == 200 else code(response))


DIGEST = b64encode(md5(b"x", usedforsecurity=False).digest()).decode()
UPLOAD = {"uploadId": "upload-1"}


@pytest.mark.parametrize(
    "request_,expected",
    [
        (Request("PATCH", "/a"), "MethodNotAllowed"),
        (Request.get("/"), "NotImplemented"),
        (Request.get("/a", headers={"x-amz-new": "1"}), "NotImplemented"),
        (Request.put("/a", headers={"Transfer-Encoding": "chunked"}), "MissingContentLength"),
        (Request.put("/a", body=b"y", headers={"Content-MD5": DIGEST}), "BadDigest"),
        (Request.put("/a", headers={"x-amz-checksum-sha256": "AA=="}), "BadDigest"),
        (
            Request.put(
                "/a",
                headers={
                    "x-amz-checksum-sha256": "AA==",
                    "x-amz-checksum-crc32": "AAAAAA==",
                },
            ),
            "InvalidRequest",
        ),
        (Request.put("/b", headers={"x-amz-copy-source": "/other/a"}), "NoSuchBucket"),
        (Request.put("/a", headers={"x-amz-copy-source": "/sandbox-bucket/a"}), "InvalidRequest"),
        (Request.post("/", query={"delete": ""}, body=b"<Delete/>"), "InvalidRequest"),
        (
            Request.post(
                "/",
                query={"delete": ""},
                body=b"x",
                headers={"Content-MD5": DIGEST},
            ),
            "MalformedXML",
        ),
        (Request.get("/", query={"list-type": "2", "continuation-token": "?"}), "InvalidArgument"),
        (Request.get("/a", headers={"Range": "bytes=9-"}), "InvalidRange"),
        (
            Request.post("/a", query={"uploads": ""}, headers={"x-amz-checksum-algorithm": "NEW"}),
            "InvalidRequest",
        ),
        (Request.put("/u", query={**UPLOAD, "partNumber": "0"}), "InvalidArgument"),
        (Request.put("/u", query={**UPLOAD, "partNumber": "1"}), "InvalidRequest"),
        (Request.put("/a", query={**UPLOAD, "partNumber": "1"}), "NoSuchUpload"),
        (Request.post("/u", query=UPLOAD, body=b"<a/>"), "MalformedXML"),
    ],
)
def test_sandbox_refuses_invalid_requests(
    s3_sandbox: S3Sandbox, request_: Request, expected: str
) -> None:
    """The sandbox refuses what S3 would refuse."""
    send_signed(s3_sandbox, Request.put("/a", body=b"x"))
    begin = Request.post("/u", query={"uploads": ""})
    send_signed(s3_sandbox, begin.with_header("x-amz-checksum-algorithm", "SHA256"))
    assert expected == code(send_signed(s3_sandbox, request_))


def test_request_that_deletes_no_keys_is_refused(s3_sandbox: S3Sandbox) -> None:
    """A request that deletes no keys is refused."""
    body = b"<Delete/>"
    digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
    request = Request.post("/", query={"delete": ""}, body=body, headers={"Content-MD5": digest})
    assert "MalformedXML" == code(send_signed(s3_sandbox, request))


def _part_xml(number: int, etag: str, checksum: str | None = None) -> str:
    text = "" if checksum is None else f"<ChecksumCRC32>{checksum}</ChecksumCRC32>"
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{text}</Part>"


@pytest.mark.parametrize(
    "parts,headers,expected",
    [
        ([_part_xml(2, "E", "S"), _part_xml(1, "E", "S")], {}, "InvalidPartOrder"),
        ([_part_xml(1, "other", "S")], {}, "InvalidPart"),
        ([_part_xml(3, "E", "S")], {}, "InvalidPart"),
        ([_part_xml(1, "E")], {}, "InvalidRequest"),
        ([_part_xml(1, "E", "AAAA")], {}, "InvalidPart"),
        ([_part_xml(1, "E", "S"), _part_xml(2, "E", "S")], {}, "EntityTooSmall"),
        ([_part_xml(1, "E", "S")], {"x-amz-mp-object-size": "9"}, "InvalidRequest"),
        ([_part_xml(1, "E", "S")], {"x-amz-mp-object-size": "1"}, None),
    ],
    ids=["order", "etag", "missing", "no checksum", "checksum", "small", "size", "fine"],
)
def test_upload_is_completed_only_with_its_parts_in_order(
    s3_sandbox: S3Sandbox, parts: list[str], headers: dict[str, str], expected: str | None
) -> None:
    """An upload is completed only with its parts in order, unchanged and large enough."""
    begin = Request.post("/u", query={"uploads": ""})
    send_signed(s3_sandbox, begin.with_header("x-amz-checksum-algorithm", "CRC32"))
    for number in (1, 2):
        request = Request.put("/u", query={**UPLOAD, "partNumber": str(number)}, body=b"x")
        put = send_signed(s3_sandbox, request.with_header("x-amz-checksum-crc32", "jNwWgw=="))
        assert (200, b"") == (put.status, put.body)
    etag = md5(b"x", usedforsecurity=False).hexdigest()
    body = f"<C>{''.join(parts)}</C>".replace(">E<", f">{etag}<").replace(">S<", ">jNwWgw==<")
    response = send_signed(
        s3_sandbox, Request.post("/u", query=UPLOAD, body=body.encode(), headers=headers)
    )
    assert expected == (None if response.status == 200 else code(response))


def test_request_for_another_bucket_is_refused_as_missing(s3_sandbox: S3Sandbox) -> None:
    """A request for another bucket, in the path or host name, is refused as missing."""
    request = Request.get("/other/a")
    other_request = SandboxRequest(
        "GET", "s3.us-east-1.amazonaws.com", "/other/a", (), request.headers, b""
    )
    assert "NoSuchBucket" == code(s3_sandbox.answer(other_request))


def test_expired_or_foreign_form_is_refused(s3_sandbox: S3Sandbox) -> None:
    """A signed form is refused after its expiry or with another session token."""
    custom = request_signer(s3_sandbox, session_token="evil")
    for signs, now, expected in (
        (custom, NOON, "InvalidToken"),
        (request_signer(s3_sandbox), NOON - timedelta(hours=2), "AccessDenied"),
    ):
        conditions = [{"key": "a"}, {"bucket": s3_sandbox.bucket}]
        fields = signs.sign_form(conditions, Secret(s3_sandbox.key.secret), now, expires=60)
        body = b"".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in [("key", "a"), *fields]
        )
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        request = Request.post("/", headers=kind, body=body + b"--x--\r\n")
        assert expected == code(
            s3_sandbox.answer(arriving_request(s3_sandbox, request, "https://x/"))
        )


def test_planned_faults_work_over_a_socket() -> None:
    """Planned faults, such as a lost response or a failed connection, also work over a socket."""
    with sandbox() as new_sandbox, over_socket(new_sandbox) as hub:
        new_sandbox.fail(Lost())
        assert 1 == hub.storage().upload("a", b"x").size
        new_sandbox.fail(ConnectionFailed("cut"))
        assert 1 == hub.storage().head("a").size
        assert ["PUT", "PUT", "HEAD", "HEAD"] == [
            request.method for request in new_sandbox.requests
        ]


def test_tags_are_counted(s3_sandbox: S3Sandbox) -> None:
    """A HEAD response states how many tags an object has, but does not contain the tags."""
    send_signed(s3_sandbox, Request.put("/a", headers={"x-amz-tagging": "a=b&c=d"}))
    result = send_signed(s3_sandbox, Request.head("/a"))
    assert ("2", None) == (result.header("x-amz-tagging-count"), result.header("x-amz-tagging"))


def test_closing_removes_the_objects() -> None:
    """Closing the sandbox deletes its objects; closing it twice is harmless."""
    new_sandbox = S3Sandbox()
    new_sandbox.close()
    new_sandbox.close()
    assert not new_sandbox.folder.exists()


def test_sandbox_alters_a_response_after_its_effect(s3_sandbox: S3Sandbox) -> None:
    """A sandbox of storage alters a response after the request had its effect."""
    s3_sandbox.fail(AlteredAnswer(lambda response: response.evolve(status=599)))

    assert 599 == send_signed(s3_sandbox, Request.put("/a.txt", body=b"hello")).status
    assert b"hello" == send_signed(s3_sandbox, Request.get("/a.txt")).body


def test_bodies_that_no_object_has_are_removed(s3_sandbox: S3Sandbox) -> None:
    """The sandbox keeps a file for each object, and none for reads, refusals and faults."""
    s3_sandbox.fail(Response(503), ConnectionFailed("Gone."))
    send_signed(s3_sandbox, Request.put("/a.txt", body=b"hello"))
    with pytest.raises(ConnectionFailed):
        send_signed(s3_sandbox, Request.put("/a.txt", body=b"hello"))
    send_signed(s3_sandbox, Request.put("/a.txt", body=b"hello"), secret="wrong")
    send_signed(s3_sandbox, Request.put("/a.txt", body=b"hello"))
    send_signed(s3_sandbox, Request.get("/a.txt"))

    assert [b"hello"] == [path.read_bytes() for path in s3_sandbox.folder.iterdir()]
