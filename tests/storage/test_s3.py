"""S3: failures, and features that other vendors lack."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from moorage import Credentials
from moorage.contracts.checksum import Checksum
from moorage.contracts.routes import Account
from moorage.contracts.storage import ByteRange, PutOptions, SignedPost
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request, Response
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    FileNotFound,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, SandboxRequest
from moorage.testing.sandboxes.storage.s3 import S3Sandbox, error_xml
from tests.storage.harnesses import PART, QUICK, bytes_of, over_s3, over_socket, s3, sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.operations.storage import Storage

DATA = bytes_of(3 * PART + 100)


@pytest.fixture
def s3_sandbox() -> Iterator[S3Sandbox]:
    """Yield an S3 sandbox with a bucket."""
    with sandbox() as single_sandbox:
        yield single_sandbox


@pytest.fixture
def files(s3_sandbox: S3Sandbox) -> Iterator[Storage]:
    """Return the storage operations of a hub over the sandbox."""
    with over_s3(s3_sandbox) as hub:
        yield hub.storage()


def test_upload_whose_last_response_was_lost_is_found_to_be_complete(
    s3_sandbox: S3Sandbox, files: Storage
) -> None:
    """An upload whose last response was lost is found to be complete."""
    start_upload = files.start_upload("a")
    s3_sandbox.fail(*usual_answers(5), Lost())
    info = files.upload("a", DATA, part_size=PART, resume=start_upload.ref, at_once=1)
    assert len(DATA) == info.size
    assert DATA == files.download("a").read_all()


def usual_answers(count: int) -> list[Any]:
    """Return a script that makes the sandbox handle the given number of requests normally."""
    return [None] * count


@pytest.mark.parametrize("checksum", ["sha256", None])
def test_etag_shows_that_an_upload_without_checksums_is_complete(
    s3_sandbox: S3Sandbox, checksum: str | None
) -> None:
    """Without checksums, the ETag shows that an upload whose response was lost is complete."""
    with over_s3(s3_sandbox, checksum=checksum) as hub:
        s3_sandbox.fail(*usual_answers(5), Lost())
        info = hub.storage().upload("a", DATA, part_size=PART, at_once=1)
        assert len(DATA) == info.size


def test_conditional_upload_whose_response_was_lost_does_not_conflict_with_itself(
    s3_sandbox: S3Sandbox, files: Storage
) -> None:
    """A conditional upload whose response was lost does not conflict with itself."""
    s3_sandbox.fail(Lost())
    info = files.upload("a", b"mine", PutOptions(if_none_match="*"))
    assert 4 == info.size
    s3_sandbox.fail(Lost(), Response(412, body=error_xml("PreconditionFailed")))
    with pytest.raises(VendorRejected):
        files.upload("b", b"mine", PutOptions(if_match="0"))
    s3_sandbox.fail(error_500(), Response(412, body=error_xml("PreconditionFailed")))
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", b"other", PutOptions(if_none_match="*"))
    assert 412 == excinfo.value.status


def test_equal_object_of_somebody_else_breaks_condition_of_upload_in_parts(
    s3_sandbox: S3Sandbox, files: Storage
) -> None:
    """A conditional upload in parts fails if the object existed before, even with equal bytes."""
    options = PutOptions(if_none_match="*")
    files.upload("a", DATA, options, part_size=PART)
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", DATA, options, part_size=PART)
    assert 412 == excinfo.value.status
    s3_sandbox.fail(*usual_answers(5), Lost(), Response(412, body=error_xml("PreconditionFailed")))
    assert len(DATA) == files.upload("b", DATA, options, part_size=PART, at_once=1).size


def error_500() -> Response:
    """Return a server error, after which the client repeats its request."""
    return Response(500, body=error_xml("InternalError"))


def test_aborted_upload_cannot_be_resumed(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """If an upload was aborted, another object with its key does not make it look complete."""
    files.upload("a", b"another's")
    start_upload = files.start_upload("a")
    lost_response = Response(404, body=error_xml("NoSuchUpload"))
    s3_sandbox.fail(*usual_answers(1), *usual_answers(4), lost_response)
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", DATA, part_size=PART, resume=start_upload.ref, at_once=1)
    assert "NoSuchUpload" == excinfo.value.vendor_code
    s3_sandbox.fail(
        *usual_answers(1), Response(412, body=error_xml("PreconditionFailed")), Response(404)
    )
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", DATA, part_size=PART, resume=start_upload.ref, at_once=1)
    assert 412 == excinfo.value.status


def test_etag_that_is_not_an_md5_proves_nothing(s3_sandbox: S3Sandbox) -> None:
    """An ETag that is not an MD5 does not prove that an upload with a lost response is complete."""
    with over_s3(s3_sandbox, checksum=None) as hub:
        files = hub.storage()
        part = Response(200, {"ETag": '"opaque"'})
        lost_response = Response(404, body=error_xml("NoSuchUpload"))
        files.upload("a", b"another's")
        s3_sandbox.fail(*usual_answers(1), part, part, lost_response)
        with pytest.raises(VendorRejected, match="NoSuchUpload"):
            files.upload("a", DATA[: PART + 1], part_size=PART, at_once=1)


def test_error_inside_a_successful_response_is_raised(
    s3_sandbox: S3Sandbox, files: Storage
) -> None:
    """An error inside a response with status 200 is raised, and retried if that may help."""
    s3_sandbox.fail(*usual_answers(5), Response(200, body=b" " + error_xml("InternalError")))
    info = files.upload("a", DATA, part_size=PART, at_once=1)
    assert len(DATA) == info.size
    s3_sandbox.fail(Response(200, body=error_xml("AccessDenied")))
    with pytest.raises(AuthenticationFailed):
        files.copy("a", "b")


@pytest.mark.parametrize(
    "before,answer",
    [
        (0, Response(200, body=b"<InitiateMultipartUploadResult/>")),
        (1, Response(200)),
        (5, Response(200, body=b"<CompleteMultipartUploadResult/>")),
    ],
    ids=["begin", "part", "complete"],
)
def test_successful_response_without_required_content_fails(
    s3_sandbox: S3Sandbox, files: Storage, before: int, answer: Response
) -> None:
    """If a successful response lacks required content, the call fails and leaves no data at S3."""
    s3_sandbox.fail(*usual_answers(before), answer)
    with pytest.raises(VendorFailed):
        files.upload("a", DATA, part_size=PART, at_once=1)
    assert {} == s3_sandbox.uploads


def test_upload_error_is_raised_even_if_aborting_fails_too(
    s3_sandbox: S3Sandbox, files: Storage
) -> None:
    """If aborting fails too, the error of the upload is raised."""
    no = Response(403, body=error_xml("AccessDenied"))
    s3_sandbox.fail(*usual_answers(1), no, no)
    with pytest.raises(AuthenticationFailed):
        files.upload("a", DATA, part_size=PART, at_once=1)
    start_upload = files.start_upload("b")
    s3_sandbox.fail(no)
    with pytest.raises(AuthenticationFailed):
        files.abort_upload(start_upload.ref)
    s3_sandbox.fail(Response(409, body=error_xml("OperationUnknown")))
    with pytest.raises(VendorRejected):
        files.abort_upload(start_upload.ref)


def test_abort_sends_one_request(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """An abort sends one request."""
    upload = files.start_upload("a")
    requests_before = len(s3_sandbox.requests)
    files.abort_upload(upload.ref)
    assert ["DELETE"] == [request.method for request in s3_sandbox.requests[requests_before:]]


def test_parts_below_s3_minimum_size_are_refused(files: Storage) -> None:
    """Parts below S3's minimum size are refused, and no data is left at S3."""
    with pytest.raises(InvalidRequest) as excinfo:
        files.upload("a", DATA, part_size=PART // 2)
    assert "EntityTooSmall" == excinfo.value.vendor_code
    assert [] == files.list_stale_uploads()


def test_vendor_rejected_has_s3_error_code_if_s3_refuses_to_complete_upload(
    s3_sandbox: S3Sandbox, files: Storage
) -> None:
    """If S3 refuses to complete an upload, VendorRejected has S3's error code."""
    s3_sandbox.fail(*usual_answers(5), Response(409, body=error_xml("ConditionalRequestConflict")))
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", DATA, part_size=PART, at_once=1)
    assert "ConditionalRequestConflict" == excinfo.value.vendor_code


def test_partial_answer_without_a_range_is_refused(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """A partial response without a range is refused."""
    s3_sandbox.fail(Response(206, body=b"abc"))
    with pytest.raises(VendorFailed, match="Content-Range"):
        files.download("a", range=ByteRange(1))


def test_excess_bytes_are_refused(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """Bytes beyond the announced range raise an error."""
    headers = Headers({"Content-Range": "bytes 1-2/9", "ETag": '"a"'})
    s3_sandbox.fail(Response(206, headers, b"abcdef"))
    with pytest.raises(VendorFailed, match="more bytes"):
        files.download("a", range=ByteRange(1)).read_all()


@pytest.mark.parametrize("marker", ["", "<NextKeyMarker>a</NextKeyMarker>"], ids=["none", "same"])
def test_repeating_list_of_uploads_raises_an_error(
    s3_sandbox: S3Sandbox, files: Storage, marker: str
) -> None:
    """A list of uploads that repeats its own position raises an error."""
    text = f"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>{marker}"
    page = Response(200, body=f"{text}</ListMultipartUploadsResult>".encode())
    s3_sandbox.fail(page, page)
    with pytest.raises(VendorFailed, match="NextKeyMarker"):
        files.list_stale_uploads()


def test_repeating_list_of_parts_raises_an_error(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """A list of parts that repeats its own position raises an error."""
    upload = files.start_upload("a")
    text = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>5</NextPartNumberMarker>"
    page = Response(200, body=f"<ListPartsResult>{text}</ListPartsResult>".encode())
    s3_sandbox.fail(page, page)
    with pytest.raises(VendorFailed, match="NextPartNumberMarker"):
        files.upload("a", DATA, resume=upload.ref)


def test_only_affected_part_is_sent_again_if_connection_breaks_during_upload(
    s3_sandbox: S3Sandbox,
) -> None:
    """If the connection breaks during an upload, only the affected part is sent again."""
    with over_socket(s3_sandbox) as hub:
        s3_sandbox.cut("PUT", 1_000)
        info = hub.storage().upload("a", DATA, part_size=PART)
        assert len(DATA) == info.size
        assert DATA == hub.storage().download("a").read_all()
        assert 4 == sum(request.method == "PUT" for request in s3_sandbox.requests)


def test_after_cut_connection_download_continues_where_it_stopped(s3_sandbox: S3Sandbox) -> None:
    """After a cut connection a download continues where it stopped."""
    with over_socket(s3_sandbox) as hub:
        files = hub.storage()
        files.upload("a", DATA)
        for cut_after in (1, 5_000, 9_000):
            s3_sandbox.cut("GET", cut_after)
        assert DATA == files.download("a").read_all()
        ranges = [
            request.headers.get("range")
            for request in s3_sandbox.requests
            if request.method == "GET"
        ]
        last = len(DATA) - 1
        assert [None, f"bytes=1-{last}", f"bytes=5001-{last}"] == ranges[:3]


def test_after_cut_connection_range_download_continues_where_it_stopped(
    s3_sandbox: S3Sandbox,
) -> None:
    """After a cut connection a range download continues where it stopped."""
    with over_socket(s3_sandbox) as hub:
        files = hub.storage()
        files.upload("a", DATA)
        s3_sandbox.cut("GET", 100)
        assert DATA[10:1_010] == files.download("a", range=ByteRange(10, 1_000)).read_all()


def test_download_without_progress_fails(s3_sandbox: S3Sandbox) -> None:
    """A download that breaks off repeatedly without any progress fails."""
    with over_socket(s3_sandbox) as hub:
        files = hub.storage()
        files.upload("a", DATA)
        download = files.download("a")
        for _ in range(5):
            s3_sandbox.cut("GET", 0)
        download.settle()
        download = files.download("a")
        with pytest.raises(ConnectionFailed):
            download.read_all()
        assert b"" == download.read()


def test_replaced_object_is_not_resumed(s3_sandbox: S3Sandbox) -> None:
    """If an object was replaced, an interrupted download of it fails."""
    with over_socket(s3_sandbox) as hub:
        files = hub.storage()
        files.upload("a", DATA)
        s3_sandbox.cut("GET", 1_000)
        download = files.download("a")
        files.upload("a", DATA[::-1])
        with pytest.raises(VendorRejected) as excinfo:
            download.read_all()
        assert 412 == excinfo.value.status
        assert b"" == download.read()


def test_download_refuses_an_unrequested_range(s3_sandbox: S3Sandbox) -> None:
    """A response with another range than the requested one is refused."""
    with over_socket(s3_sandbox) as hub:
        files = hub.storage()
        files.upload("a", DATA)
        s3_sandbox.cut("GET", 1_000)
        download = files.download("a")
        other_range = f"bytes 0-{len(DATA) - 1}/{len(DATA)}"
        s3_sandbox.fail(Response(206, {"ETag": '"x"', "Content-Range": other_range}, DATA))
        with pytest.raises(VendorFailed, match="a different byte range"):
            download.read_all()


def test_wrong_checksum_fails_download_at_its_end(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """A wrong checksum fails the download at its end."""
    files.upload("a", b"good")
    s3_sandbox.objects["a"].pieces[0].path.write_bytes(b"evil")
    download = files.download("a")
    assert b"evil" == download.read()
    with pytest.raises(VendorFailed, match="checksum"):
        download.read()


def test_length_of_decompressed_object_is_unknown(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """If HTTP decompresses an object, its length is unknown."""
    files.upload("a", b"", PutOptions(content_encoding="gzip"))
    assert files.download("a").length is None
    assert "gzip" == files.head("a").content_encoding


def test_forbidden_object_is_not_missing(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """A 403 response raises an error about permission, not about a missing object."""
    s3_sandbox.may_list = False
    with pytest.raises(AuthenticationFailed):
        files.exists("a")
    with pytest.raises(AuthenticationFailed):
        files.download("a")
    with pytest.raises(AuthenticationFailed):
        files.list()


@pytest.mark.parametrize(
    "key,kind",
    [
        ("magic/slow-down", RateLimitExceeded),
        ("magic/access-denied", AuthenticationFailed),
        ("magic/internal-error", VendorFailed),
        ("magic/wrong-region", InvalidRequest),
    ],
)
def test_each_failure_of_s3_raises_its_own_error_class(
    files: Storage, key: str, kind: type[Exception]
) -> None:
    """Each failure of S3 raises its own error class, for one object and in a batch."""
    with pytest.raises(kind):
        files.upload(key, b"")
    with pytest.raises(kind):
        files.head(key)
    assert isinstance(files.delete_many([key])[0].error, kind)


def test_overwritten_and_deleted_objects_can_be_read_by_version() -> None:
    """In a versioned bucket, overwritten and deleted objects can be read by version."""
    with sandbox(versioned=True) as new_sandbox, over_s3(new_sandbox) as hub:
        files = hub.storage()
        info = files.upload("a", b"one")
        second_upload = files.upload("a", b"two")
        copied_info = files.copy("a", "b")
        parts = files.upload("c", bytes_of(3 * PART), part_size=PART)

        assert b"one" == files.download("a", version=info.version).read_all()
        assert second_upload.version == files.head("a").version
        assert copied_info.version is not None
        assert parts.version == files.head("c").version
        files.delete("a", version=info.version)
        with pytest.raises(FileNotFound):
            files.head("a", version=info.version)
        assert b"two" == files.download("a").read_all()
        third_upload = files.upload("a", b"three")
        files.delete("a", version=third_upload.version)
        assert b"two" == files.download("a").read_all()
        files.delete("a")
        assert not files.exists("a")
        assert b"two" == files.download("a", version=second_upload.version).read_all()
        files.delete("a", version=second_upload.version)
        files.upload("a", b"four")
        files.delete("a", version=files.head("a").version)
        assert not files.exists("a")


def test_missing_version_raises_same_error_as_missing_object(files: Storage) -> None:
    """A missing version raises the same error as a missing object."""
    files.upload("a", b"")
    for verb in (files.head, files.download):
        with pytest.raises(FileNotFound):
            verb("a", version="7")
    assert "a" == files.head("a", version="null").key
    files.delete("a", version="null")
    assert not files.exists("a")


def test_signed_form_lets_browser_upload_object_that_it_describes(
    s3_sandbox: S3Sandbox, files: Storage
) -> None:
    """A signed form lets a browser upload the object that it describes, and no other."""
    signed_form = files.signed_post("in/a.pdf", largest=10, content_type="application/pdf")
    assert (204, b"%PDF") == (
        _post(s3_sandbox, signed_form, b"%PDF"),
        files.download("in/a.pdf").read_all(),
    )
    assert "application/pdf" == files.head("in/a.pdf").content_type
    assert 400 == _post(s3_sandbox, signed_form, b"much too long")
    assert 403 == _post(s3_sandbox, signed_form, b"x", key="in/other.pdf")
    assert 403 == _post(s3_sandbox, signed_form, b"x", acl="public-read")
    assert 403 == _post(s3_sandbox, signed_form, b"x", **{"x-amz-signature": "0" * 64})
    assert "policy" not in repr(signed_form)
    files.signed_post("b", largest=1)


def _post(s3_sandbox: S3Sandbox, signed: SignedPost, data: bytes, **other: str) -> int:
    parts = [
        f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {**signed.fields, **other}.items()
    ]
    file = (
        b'--xx\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n%b\r\n--xx--\r\n'
    )
    body = b"".join(parts) + file % data
    request = Request.post("/", headers={"Content-Type": "multipart/form-data; boundary=xx"})
    url = urlsplit(signed.url)
    return s3_sandbox.answer(
        SandboxRequest("POST", url.netloc, url.path, (), request.headers, body)
    ).status


def test_session_token_is_sent_with_requests_urls_and_forms() -> None:
    """The session token of temporary credentials is sent with requests, URLs and forms."""
    with sandbox(token="session-token") as new_sandbox, over_s3(new_sandbox) as hub:
        files = hub.storage()
        files.upload("a", b"x")
        url = files.signed_url("a").url
        assert "X-Amz-Security-Token=session-token" in url
        signed_form = files.signed_post("b", largest=1)
        assert 204 == _post(new_sandbox, signed_form, b"x")
    assert re.search("session-token", repr(signed_form)) is None


class _Provider:
    def __init__(self, result: Credentials) -> None:
        self._found = result

    def get(self, service: str, tenant: str | None, /) -> Credentials:
        return self._found

    def refresh(self, service: str, tenant: str | None, stale: object, /) -> Credentials:
        return self._found


def test_provider_may_supply_all_s3_credentials(s3_sandbox: S3Sandbox) -> None:
    """The credential provider can supply all S3 credentials, and they can also sign URLs."""
    signing = AwsSigV4(access_key_id=s3_sandbox.key.id, region=s3_sandbox.region, service="s3")
    good_credentials = Credentials.signed(signing, s3_sandbox.key.secret)
    vendor = s3(s3_sandbox, access_key_id=None, credentials=None, session_token=None)
    client = SandboxHttpClient(s3_sandbox)
    for result, can_sign in ((good_credentials, True), (Credentials.bearer("token"), False)):
        with Hub(
            [Account("s3", vendor, settings={"retry": QUICK})],
            http=client,
            credentials=_Provider(result),
        ) as hub:
            if can_sign:
                hub.storage().upload("a", b"x")
                assert hub.storage().signed_url("a").url
            else:
                with pytest.raises(ConfigurationError, match="cannot sign"):
                    hub.storage().signed_url("a")


def test_all_pages_of_uploads_and_parts_are_read(s3_sandbox: S3Sandbox, files: Storage) -> None:
    """Long lists of upload parts and of uploads are read over all their pages."""
    s3_sandbox.page = 1
    start_uploads = [files.start_upload(f"k {number}") for number in range(3)]
    results = [upload.ref for upload in files.list_stale_uploads("k ")]
    assert [item.ref for item in start_uploads] == results
    stored_bytes = DATA[: 2 * PART]
    with pytest.raises(RuntimeError, match="broke"):
        files.upload(
            "k 0", _breaking_stream(stored_bytes), part_size=PART, resume=start_uploads[0].ref
        )
    requests_before = len(s3_sandbox.requests)
    files.upload("k 0", DATA, part_size=PART, resume=start_uploads[0].ref)
    assert DATA == files.download("k 0").read_all()
    puts = [request for request in s3_sandbox.requests[requests_before:] if request.method == "PUT"]
    assert 2 == len(puts)


def _breaking_stream(data: bytes) -> Iterator[bytes]:
    yield data
    raise RuntimeError("the source broke")


def test_resumed_upload_without_checksums_compares_etags(s3_sandbox: S3Sandbox) -> None:
    """If S3 stores no checksums, a resumed upload recognises a stored part by its ETag."""
    with over_s3(s3_sandbox, checksum=None) as hub:
        files = hub.storage()
        start_upload = files.start_upload("a")
        with pytest.raises(RuntimeError, match="broke"):
            files.upload(
                "a", _breaking_stream(DATA[: 2 * PART]), part_size=PART, resume=start_upload.ref
            )
        requests_before = len(s3_sandbox.requests)
        files.upload("a", DATA, part_size=PART, resume=start_upload.ref)
        assert 2 == sum(
            request.method == "PUT" for request in s3_sandbox.requests[requests_before:]
        )
        assert DATA == files.download("a").read_all()


def test_time_conditions_of_downloads_are_respected(files: Storage) -> None:
    """Time conditions of downloads are evaluated by S3 itself."""
    files.upload("a", b"x")
    put = files.head("a").last_modified
    assert put is not None
    hour = timedelta(hours=1)
    assert b"x" == files.download("a", if_unmodified_since=put + hour).read_all()
    assert b"x" == files.download("a", if_modified_since=put - hour).read_all()
    assert not files.download("a", if_modified_since=put + hour).modified
    with pytest.raises(VendorRejected) as excinfo:
        files.download("a", if_unmodified_since=put - hour)
    assert 412 == excinfo.value.status


def test_checksum_of_whole_object_is_verified_before_anything_is_stored(files: Storage) -> None:
    """A checksum of the whole object is verified before anything is stored."""
    options = PutOptions(checksum=Checksum.of("md5", DATA))
    assert len(DATA) == files.upload("a", DATA, options, part_size=PART).size


def test_whole_answer_to_a_range_is_refused() -> None:
    """If S3 answers a range request with the whole object, the response is refused."""
    with sandbox() as new_sandbox, over_s3(new_sandbox) as hub:
        new_sandbox.fail(Response(200, {"Content-Length": "10", "ETag": '"x"'}, b"0123456789"))

        with pytest.raises(VendorFailed, match="Content-Range"):
            hub.storage().download("a", range=ByteRange(4, 2))
