"""Google Cloud Storage: failures, and features that only it has."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from moorage import Credentials
from moorage.contracts.routes import Account
from moorage.contracts.storage import ByteRange, PutOptions, SignedPost
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Response
from moorage.domain.signing.jwt import JwtSigning
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    FileNotFound,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, SandboxRequest
from moorage.testing.sandboxes.storage._gcs_documents import error_document
from moorage.testing.sandboxes.storage.gcs import GcsSandbox
from tests.storage.gcs_labs import bucket, gcs, gcs_account, over_gcs, over_socket
from tests.storage.labs import QUICK, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.operations.storage import Storage
    from moorage.testing.sandboxes.storage._s3_documents import Reply
    from moorage.testing.sandboxes.storage._s3_store import Spool

STEP = 262_144
KMS = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
DATA = bytes_of(3 * STEP + 100)


@pytest.fixture
def gcs_sandbox() -> Iterator[GcsSandbox]:
    """A bucket."""
    with bucket() as sandbox:
        yield sandbox


@pytest.fixture
def files(gcs_sandbox: GcsSandbox) -> Iterator[Storage]:
    """Return the storage operations of the hub."""
    with over_gcs(gcs_sandbox) as hub:
        yield hub.storage()


def spans(gcs_sandbox: GcsSandbox) -> list[str]:
    """Which bytes each chunk had, or which question it was."""
    reports = (
        request.headers.get("content-range")
        for request in gcs_sandbox.requests
        if request.method == "PUT"
    )
    return [span.removeprefix("bytes ") for span in reports if span is not None]


def _usual_answers(count: int) -> list[Any]:
    """Answer this number of requests normally."""
    return [None] * count


def refusal(status: int, reason: str = "other", message: str = "No.") -> Response:
    """As Google refuses."""
    return Response(
        status, {"Content-Type": "application/json"}, error_document(status, reason, message)
    )


# --- from the first byte to the last -----------------------------------------


def test_chunks(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """Chunks have the length that Google requires, for any parts, and none is sent twice."""
    info = files.upload("a", DATA, part_size=100_000)
    assert len(DATA) == info.size
    whole_size = len(DATA)
    assert [
        f"0-{STEP - 1}/*",
        f"{STEP}-{2 * STEP - 1}/*",
        f"{2 * STEP}-{whole_size - 1}/{whole_size}",
    ] == spans(gcs_sandbox)


def test_whole_chunks(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An object that fills its last chunk ends with that chunk."""
    files.upload("a", DATA[: 2 * STEP], part_size=STEP)
    assert [f"0-{STEP - 1}/*", f"{STEP}-{2 * STEP - 1}/{2 * STEP}"] == spans(gcs_sandbox)
    assert DATA[: 2 * STEP] == files.download("a").read_all()


def test_cut_chunk(gcs_sandbox: GcsSandbox) -> None:
    """A chunk that is cut off goes on from where Google has it."""
    with over_gcs(gcs_sandbox) as hub:
        files = hub.storage()
        start_upload = files.start_upload("a")
        gcs_sandbox.break_chunk(STEP + 5)
        files.upload("a", DATA, part_size=3 * STEP, resume=start_upload.ref)
        assert DATA == files.download("a").read_all()
    whole_size = len(DATA)
    assert [
        "*/*",
        f"0-{3 * STEP - 1}/*",
        "*/*",
        f"{STEP}-{3 * STEP - 1}/*",
        f"{3 * STEP}-{whole_size - 1}/{whole_size}",
    ] == spans(gcs_sandbox)


def test_cut_connection(gcs_sandbox: GcsSandbox) -> None:
    """A chunk that did not arrive is sent again, also over a socket."""
    with over_socket(gcs_sandbox) as hub:
        gcs_sandbox.cut("PUT", 1_000)
        gcs_sandbox.cut("PUT", 100_000)
        info = hub.storage().upload("a", DATA, part_size=STEP)
        assert len(DATA) == info.size
        assert DATA == hub.storage().download("a").read_all()


def test_lost_last_answer(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An upload whose last response was lost is reported as complete."""
    gcs_sandbox.fail(*_usual_answers(4), Lost())
    info = files.upload("a", DATA, part_size=STEP)
    assert (len(DATA), DATA) == (info.size, files.download("a").read_all())
    assert "*/*" == spans(gcs_sandbox)[-1]


@pytest.mark.parametrize(
    "answer", [refusal(503, "backendError"), refusal(429, "rateLimitExceeded")]
)
def test_chunk_that_was_not_taken(
    gcs_sandbox: GcsSandbox, files: Storage, answer: Response
) -> None:
    """A chunk that Google did not store is sent again after a query."""
    gcs_sandbox.fail(*_usual_answers(1), answer)
    files.upload("a", DATA, part_size=STEP)
    assert [f"0-{STEP - 1}/*", "*/*", f"0-{STEP - 1}/*"] == spans(gcs_sandbox)[:3]


class _Naps:
    """Sleeps no longer than it takes to say how long."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def sleep(self, seconds: float, /) -> None:
        self.taken.append(seconds)


def test_chunk_that_never_arrives(gcs_sandbox: GcsSandbox) -> None:
    """A chunk without progress fails after pauses, and leaves no upload."""
    account = Account("gcs", gcs(gcs_sandbox), settings={"retry": QUICK, "circuit": None})
    naps = _Naps()
    with Hub([account], http=SandboxHttpClient(gcs_sandbox), sleeper=naps) as hub:
        cut_connections: list[Any] = [ConnectionFailed("cut", may_have_been_processed=True), None]
        gcs_sandbox.fail(*_usual_answers(1), *cut_connections * 4)
        with pytest.raises(ConnectionFailed, match="cut"):
            hub.storage().upload("a", DATA, part_size=STEP)
        assert [1.0, 2.0] == naps.taken
        assert all(session.aborted for session in gcs_sandbox.sessions.values())
        full_response = Response(308, {"Range": f"bytes=0-{STEP - 1}"})
        gcs_sandbox.fail(*_usual_answers(1), *[full_response] * 5)
        with pytest.raises(VendorFailed, match="no more bytes"):
            hub.storage().upload("a", DATA, part_size=STEP)
        assert not hub.storage().exists("a")


class _Blunt(GcsSandbox):
    """A server without support for the header that requests a 200."""

    def handle(self, request: SandboxRequest, spool: Spool) -> Reply:
        headers = request.headers.without("x-guploader-no-308")
        return super().handle(attrs.evolve(request, headers=headers), spool)


def test_308_is_progress_for_uploads_only() -> None:
    """A 308 means progress in an upload, and nothing else."""
    blunt = _Blunt()
    with over_gcs(blunt) as hub:
        files = hub.storage()
        files.upload("a", DATA, part_size=STEP)
        assert DATA == files.download("a").read_all()
        blunt.fail(*_usual_answers(1), Response(301))
        with pytest.raises(VendorRejected) as excinfo:
            files.upload("a", DATA, part_size=STEP)
        assert 301 == excinfo.value.status
    blunt.close()


def test_lost_bytes_cannot_be_sent_again(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """If stored bytes disappear, the upload fails."""
    less_response = Response(200, {"X-HTTP-Status-Code-Override": "308"})
    gcs_sandbox.fail(*_usual_answers(2), less_response)
    with pytest.raises(VendorFailed, match="now has 0"):
        files.upload("a", DATA, part_size=STEP)


def test_object_that_comes_too_early(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An object that is complete before it is sent is none."""
    gcs_sandbox.fail(*_usual_answers(1), Response(200, body=b'{"generation": "1"}'))
    with pytest.raises(VendorFailed, match="Range"):
        files.upload("a", DATA, part_size=STEP)


@pytest.mark.parametrize("range_", ["bytes=1-5", "bytes=0-x", ""])
def test_invalid_progress_range_is_refused(
    gcs_sandbox: GcsSandbox, files: Storage, range_: str
) -> None:
    """An upload does not continue from an invalid range."""
    fields = {"X-HTTP-Status-Code-Override": "308", "Range": range_}
    gcs_sandbox.fail(*_usual_answers(1), Response(200, fields))
    with pytest.raises(VendorFailed, match="Range"):
        files.upload("a", DATA, part_size=STEP)


@pytest.mark.parametrize(
    "wrong",
    [{"size": "5"}, {"md5Hash": "AAAAAAAAAAAAAAAAAAAAAA=="}],
    ids=["size", "md5"],
)
def test_corrupt_object(gcs_sandbox: GcsSandbox, files: Storage, wrong: dict[str, str]) -> None:
    """An object stored with a wrong size or checksum is deleted, by its generation."""
    previous_info = files.upload("a", b"before")
    fields = {"generation": "77", "size": str(len(DATA)), **wrong}
    gcs_sandbox.fail(*_usual_answers(4), Response(200, body=json.dumps(fields).encode()))
    with pytest.raises(VendorFailed, match="stored other bytes"):
        files.upload("a", DATA, part_size=STEP)
    [deleted_request] = [
        request
        for request in gcs_sandbox.requests
        if request.method == "DELETE" and "/o/a" in request.path
    ]
    assert ("generation", "77") in deleted_request.query
    assert previous_info.version == files.head("a").version


def test_changed_source(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """Bytes that were sent before and are others now make no object."""
    start_upload = files.start_upload("a")
    gcs_sandbox.break_chunk(2 * STEP)
    gcs_sandbox.fail(*_usual_answers(2), *[refusal(403, "forbidden")])
    with pytest.raises(AuthenticationFailed):
        files.upload("a", DATA, part_size=3 * STEP, resume=start_upload.ref)
    with pytest.raises(InvalidRequest, match="md5Hash"):
        files.upload("a", DATA[::-1], part_size=3 * STEP, resume=start_upload.ref)
    assert not files.exists("a")


def test_resumed_when_complete_or_gone(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """A complete or aborted upload is not resumed."""
    start_upload = files.start_upload("a")
    files.upload("a", b"", resume=start_upload.ref)
    assert 0 == files.head("a").size
    with pytest.raises(VendorRejected, match="complete"):
        files.upload("a", b"", resume=start_upload.ref)
    other_upload = files.start_upload("b")
    files.abort_upload(other_upload.ref)
    for _ in range(2):
        with pytest.raises(VendorRejected):
            files.upload("b", b"", resume=other_upload.ref)
        gcs_sandbox.sessions.clear()
        files.abort_upload(other_upload.ref)


def test_failed_abort(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """A failed abort raises its error."""
    start_upload = files.start_upload("a")
    gcs_sandbox.fail(refusal(403, "forbidden"), refusal(412, "conditionNotMet"))
    with pytest.raises(AuthenticationFailed):
        files.abort_upload(start_upload.ref)
    with pytest.raises(VendorRejected):
        files.abort_upload(start_upload.ref)


def test_upload_without_a_session_url(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An upload without a session URL has not begun."""
    places = ("https://x/?upload=1", "http://[x", "?upload_id=")
    gcs_sandbox.fail(Response(200), *(Response(200, {"Location": place}) for place in places))
    for _ in range(4):
        with pytest.raises(VendorFailed, match="Location"):
            files.start_upload("a")


def test_stale_uploads_are_unsupported(files: Storage) -> None:
    """Listing stale uploads is unsupported, and sends no request."""
    with pytest.raises(UnsupportedByVendor):
        files.list_stale_uploads()
    with pytest.raises(UnsupportedByVendor):
        files.upload("a", b"", PutOptions(tags={"a": "b"}))


# --- objects -----------------------------------------------------------------


def test_object_options_are_sent(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """Every option of an object is sent in Google's form."""
    options = PutOptions(
        content_type="application/pdf",
        content_encoding="identity",
        visibility="public",
        storage_class="NEARLINE",
        encryption=KMS,
        extra={"gcs": {"customTime": "2031-05-06T00:00:00Z", "temporaryHold": True}},
    )
    info = files.upload("a", b"%PDF", options)
    assert "NEARLINE" == info.storage_class
    assert ("2031-05-06T00:00:00Z", True) == (info.raw["customTime"], info.raw["temporaryHold"])
    query = dict(gcs_sandbox.requests[-1].query)
    assert ("publicRead", options.encryption) == (query["predefinedAcl"], query["kmsKeyName"])
    files.upload("b", DATA, options, part_size=STEP)
    start = next(
        request for request in gcs_sandbox.requests if ("uploadType", "resumable") in request.query
    )
    assert "publicRead" == dict(start.query)["predefinedAcl"]
    files.copy("a", "c", PutOptions(visibility="private", encryption=KMS))
    query = dict(gcs_sandbox.requests[-1].query)
    assert ("private", KMS) == (query["destinationPredefinedAcl"], query["destinationKmsKeyName"])


def test_lost_condition(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """A conditional put whose response was lost does not conflict with itself."""
    gcs_sandbox.fail(Lost())
    assert 4 == files.upload("a", b"mine", PutOptions(if_none_match="*")).size
    broken_response, no = refusal(500, "backendError"), refusal(412, "conditionNotMet")
    gcs_sandbox.fail(broken_response, no)
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", b"other", PutOptions(if_none_match="*"))
    assert 412 == excinfo.value.status
    gcs_sandbox.fail(broken_response, no)
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("none", b"x", PutOptions(if_match="5"))
    assert 412 == excinfo.value.status


@pytest.mark.parametrize("etag", ["0", "CKih16GjycICEAE=", "", "1" * 20])
def test_foreign_etags_are_refused(gcs_sandbox: GcsSandbox, files: Storage, etag: str) -> None:
    """An ETag that is no generation is refused."""
    requests_before = len(gcs_sandbox.requests)
    with pytest.raises(InvalidData, match="not an ETag"):
        files.upload("a", b"x", PutOptions(if_match=etag))
    with pytest.raises(InvalidData, match="not an ETag"):
        files.download("a", if_none_match=etag)
    assert requests_before == len(gcs_sandbox.requests)


def test_conditions_by_time(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An object unchanged since the given time is not sent, and a changed one is."""
    etag = files.upload("a", b"bytes").etag
    now = datetime.now(UTC)
    later_moment, earlier_moment = now + timedelta(minutes=1), now - timedelta(minutes=1)
    same_download = files.download("a", if_modified_since=later_moment)
    assert (False, b"") == (same_download.modified, same_download.read_all())
    assert b"bytes" == files.download("a", if_modified_since=earlier_moment).read_all()
    assert b"bytes" == files.download("a", if_unmodified_since=later_moment).read_all()
    assert not files.download("a", if_none_match=etag, if_modified_since=earlier_moment).modified
    with pytest.raises(VendorRejected) as excinfo:
        files.download("a", if_unmodified_since=earlier_moment)
    assert 412 == excinfo.value.status
    assert b"bytes" == files.download("a", if_match="*").read_all()


def test_versions() -> None:
    """Every generation can be read and deleted, where the bucket keeps them."""
    with bucket(versioned=True) as sandbox, over_gcs(sandbox) as hub:
        files = hub.storage()
        first = files.upload("a", b"first").version
        second = files.upload("a", b"second").version
        assert b"first" == files.download("a", version=first).read_all()
        assert (5, 6) == (files.head("a", version=first).size, files.head("a").size)
        files.delete("a")
        assert not files.exists("a")
        assert b"second" == files.download("a", version=second).read_all()
        for _ in range(2):
            files.delete("a", version=first)
        for verb in (files.head, files.download):
            with pytest.raises(FileNotFound):
                verb("a", version=first)


def test_long_copies() -> None:
    """A copy that takes several requests is one."""
    with bucket(rewritten=STEP) as sandbox, over_gcs(sandbox) as hub:
        files = hub.storage()
        files.upload("a", DATA)
        assert len(DATA) == files.copy("a", "b").size
        assert DATA == files.download("b").read_all()
        copies = [request for request in sandbox.requests if "rewriteTo" in request.path]
        assert 4 == len(copies)


@pytest.mark.parametrize(
    "fields",
    [
        {"done": False},
        {"done": False, "rewriteToken": "x", "totalBytesRewritten": "0"},
        {"done": True, "resource": []},
        {"done": True, "resource": {"name": "b"}},
        {"done": "maybe", "rewriteToken": 5},
    ],
)
def test_copies_without_end(
    gcs_sandbox: GcsSandbox, files: Storage, fields: dict[str, Any]
) -> None:
    """A copy without progress or result fails."""
    answer = Response(200, body=json.dumps(fields).encode())
    gcs_sandbox.fail(answer, answer, answer)
    with pytest.raises(VendorFailed, match="The answer"):
        files.copy("a", "b")


@pytest.mark.parametrize(
    "key,kind",
    [
        ("magic/rate-limit", RateLimitExceeded),
        ("magic/forbidden", AuthenticationFailed),
        ("magic/backend-error", VendorFailed),
        ("magic/held", VendorRejected),
    ],
)
def test_magic(files: Storage, key: str, kind: type[ConnectorError]) -> None:
    """Every failure has its type, of one object and in a batch."""
    for info in (
        lambda: files.upload(key, b""),
        lambda: files.start_upload(key),
        lambda: files.head(key),
        lambda: files.download(key),
        lambda: files.copy("a", key),
    ):
        with pytest.raises(kind) as excinfo:
            info()
        assert kind is type(excinfo.value)
    results = files.delete_many(["a", key, "b"])
    assert [None, kind, None] == [result.error and type(result.error) for result in results]


def test_missing_bucket(gcs_sandbox: GcsSandbox) -> None:
    """A missing bucket is not reported as a missing object."""
    with over_gcs(gcs_sandbox, bucket="my-other-bucket") as hub:
        files = hub.storage()
        for doing in (lambda: files.exists("a"), lambda: files.delete("a"), files.list):
            with pytest.raises(VendorRejected) as excinfo:
                doing()
            assert VendorRejected is type(excinfo.value)
            assert "bucket" in excinfo.value.remedy


def test_compressed_object(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An object decompressed on its way has no length, and no checksum is compared."""
    files.upload("a", b"packed", PutOptions(content_encoding="gzip"))
    download = files.download("a")
    assert (None, "gzip") == (download.length, download.info.content_encoding)
    headers = {
        "X-Goog-Stored-Content-Encoding": "gzip",
        "X-Goog-Hash": "md5=AAAAAAAAAAAAAAAAAAAAAA==",
    }
    gcs_sandbox.fail(Response(200, headers, b"unpacked"))
    assert b"unpacked" == files.download("a").read_all()


def test_damaged_object(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """A wrong checksum fails at the end of the download, resumed or not."""
    files.upload("a", b"good")
    gcs_sandbox.objects["a"][0].stored.pieces[0].path.write_bytes(b"evil")
    with pytest.raises(VendorFailed, match="checksum"):
        files.download("a").read_all()
    headers = {"X-Goog-Generation": "1", "X-Goog-Hash": "crc32c=AAAAAA==", "Content-Length": "4"}
    gcs_sandbox.fail(Response(200, headers, b"evil"))
    with pytest.raises(VendorFailed, match="checksum"):
        files.download("a").read_all()


def test_cut_answer(gcs_sandbox: GcsSandbox) -> None:
    """A download whose connection breaks continues at the same byte and generation."""
    with over_socket(gcs_sandbox) as hub:
        files = hub.storage()
        version = files.upload("a", DATA).version
        for cut_after in (1, 5_000):
            gcs_sandbox.cut("GET", cut_after)
        assert DATA == files.download("a").read_all()
        gets = [request for request in gcs_sandbox.requests if request.method == "GET"]
        last = len(DATA) - 1
        assert [None, f"bytes=1-{last}", f"bytes=5001-{last}"] == [
            get.headers.get("range") for get in gets
        ]
        assert ("ifGenerationMatch", version) in gets[-1].query


def test_replaced_object_is_not_resumed(gcs_sandbox: GcsSandbox) -> None:
    """A download of a replaced object does not continue with other bytes."""
    with over_socket(gcs_sandbox) as hub:
        files = hub.storage()
        files.upload("a", DATA)
        gcs_sandbox.cut("GET", 1_000)
        download = files.download("a")
        files.upload("a", DATA[::-1])
        with pytest.raises(VendorRejected) as excinfo:
            download.read_all()
        assert 412 == excinfo.value.status


def test_partial_answer_without_a_range_is_refused(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """A partial answer must say which bytes it has."""
    gcs_sandbox.fail(Response(206, body=b"abc"))
    with pytest.raises(VendorFailed, match="Content-Range"):
        files.download("a", range=ByteRange(1))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'"text"', b"{}", b'{"generation": []}', b"\xff" * 5_000],
)
def test_malformed_success_is_a_failure(
    gcs_sandbox: GcsSandbox, files: Storage, body: bytes
) -> None:
    """A success without the expected fields is a failure."""
    gcs_sandbox.fail(*[Response(200, body=body)] * 2)
    with pytest.raises(VendorFailed, match="The answer"):
        files.upload("a", b"x")
    with pytest.raises(VendorFailed, match="The answer"):
        files.head("a")


def test_malformed_list_entries(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """Malformed entries of a list are left out, and a malformed list fails."""
    items = [7, None, {"size": 1}, {"name": "a", "size": "x", "metadata": [1], "md5Hash": "?"}]
    odd_page = {"items": items, "prefixes": "a/", "nextPageToken": 5, "new": {}}
    gcs_sandbox.fail(Response(200, body=json.dumps(odd_page).encode()))
    page = files.list()
    assert (["a"], (), "5") == (
        [item.key for item in page.objects],
        page.prefixes,
        page.next_cursor,
    )
    assert (None, (), {}) == (
        page.objects[0].size,
        page.objects[0].checksums,
        page.objects[0].metadata,
    )
    gcs_sandbox.fail(Response(200, body=b"[]"))
    with pytest.raises(VendorFailed):
        files.list()


# --- for others --------------------------------------------------------------


def _post(gcs_sandbox: GcsSandbox, signed: SignedPost, data: bytes, **other: str) -> int:
    parts = [
        f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {**signed.fields, **other}.items()
    ]
    head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = b"".join(parts) + head + data + b"\r\n--xx--\r\n"
    headers = Headers({"Content-Type": "multipart/form-data; boundary=xx"})
    url = urlsplit(signed.url)
    return gcs_sandbox.answer(
        SandboxRequest("POST", url.netloc, url.path, (), headers, body)
    ).status


def test_signed_form(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """A browser puts an object with a signed form, and only such a one."""
    key = "in/ä b.pdf"
    signed_form = files.signed_post(key, largest=10, content_type="application/pdf")
    assert (204, b"%PDF") == (
        _post(gcs_sandbox, signed_form, b"%PDF"),
        files.download(key).read_all(),
    )
    assert "application/pdf" == files.head(key).content_type
    assert b64decode(signed_form.fields["policy"]).isascii()
    assert 400 == _post(gcs_sandbox, signed_form, b"much too long")
    assert 403 == _post(gcs_sandbox, signed_form, b"x", key="in/other.pdf")
    assert 403 == _post(gcs_sandbox, signed_form, b"x", acl="public-read")
    assert 403 == _post(gcs_sandbox, signed_form, b"x", **{"x-goog-signature": "00"})
    assert 403 == _post(gcs_sandbox, signed_form, b"x", **{"x-goog-signature": "no hex"})
    assert 403 == _post(gcs_sandbox, signed_form, b"x", **{"x-goog-credential": "me"})
    assert 400 == _post(gcs_sandbox, signed_form, b"x", **{"x-goog-algorithm": "none"})
    assert "policy" not in repr(signed_form)
    assert 204 == _post(gcs_sandbox, files.signed_post("b", largest=1), b"x")


class _Provider:
    def __init__(self, result: Credentials) -> None:
        self._found = result

    def get(self, service: str, tenant: str | None, /) -> Credentials:
        return self._found

    def refresh(self, service: str, tenant: str | None, stale: object, /) -> Credentials:
        return self._found


def test_credentials_of_a_provider(gcs_sandbox: GcsSandbox) -> None:
    """Credentials of the provider sign URLs, if they are a service account's."""
    key = json.loads(gcs_sandbox.key_file())
    signing = JwtSigning(algorithm="RS256", issuer=key["client_email"])
    credentials = Credentials.signed(signing, key["private_key"])
    for result in (credentials, Credentials.bearer("token")):
        account = gcs_account(gcs_sandbox, credentials=None)
        with Hub(
            [account], http=SandboxHttpClient(gcs_sandbox), credentials=_Provider(result)
        ) as hub:
            files = hub.storage()
            with pytest.raises(AuthenticationFailed):
                files.upload("a", b"x")
            if result is credentials:
                url = files.signed_url("a", "DELETE").url
                assert key["client_email"] == dict(parse_qsl(url))["X-Goog-Credential"][:35]
            else:
                with pytest.raises(ConfigurationError, match="cannot sign"):
                    files.signed_url("a")


# --- who we are --------------------------------------------------------------


def test_tokens(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """One token serves all requests until it is refused."""
    files.upload("a", b"x")
    files.head("a")
    assert 1 == gcs_sandbox.tokens.grants
    gcs_sandbox.tokens.forget()
    assert b"x" == files.download("a").read_all()
    assert 2 == gcs_sandbox.tokens.grants
    [request, _] = gcs_sandbox.tokens.requests
    assert {"grant_type", "assertion"} == set(dict(request.form))


def test_refused_key(gcs_sandbox: GcsSandbox) -> None:
    """A refused key is reported without its content."""
    other_sandbox = GcsSandbox(email="other@sandbox.iam.gserviceaccount.com")
    with (
        over_gcs(gcs_sandbox, credentials=other_sandbox.key_file()) as hub,
        pytest.raises(ConnectorError) as excinfo,
    ):
        hub.storage().head("a")
    other_sandbox.close()
    assert "PRIVATE" not in repr(excinfo.value)
    vendor = gcs(gcs_sandbox)
    assert "PRIVATE" not in repr(vendor)
    assert "PRIVATE" not in repr(vendor.clients())


def test_upload_ids_are_not_shown(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An upload's id, which allows writing to it, is not shown."""
    start_upload = files.start_upload("a")
    assert start_upload.id not in repr(attrs.evolve(start_upload, ref=files.upload("b", b"").ref))
    redaction = gcs(gcs_sandbox).services()[""].redaction
    place = f"https://x/o?uploadType=resumable&upload_id={start_upload.id}"
    assert start_upload.id not in redaction.query(place)
    assert start_upload.id not in repr(redaction.headers(Headers({"Location": place})).pairs)


GOOD = {"client_email": "a@b", "private_key": "PEM"}


@pytest.mark.parametrize(
    "options",
    [
        {"bucket": "No"},
        {"bucket": 5},
        {"credentials": "no json"},
        {"credentials": "[]"},
        {"credentials": "{}"},
        {"credentials": json.dumps(GOOD)},
        {"credentials": json.dumps({**GOOD, "private_key": 5})},
        {"credentials": json.dumps({**GOOD, "client_email": ["a@b"]})},
        {"credentials": json.dumps({"client_email": "a@b"})},
    ],
)
def test_invalid_options_are_refused(gcs_sandbox: GcsSandbox, options: dict[str, Any]) -> None:
    """An invalid bucket or key is refused at once."""
    with pytest.raises(ConfigurationError):
        gcs(gcs_sandbox, **options)
