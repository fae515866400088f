"""Google Cloud Storage: failures, and features that other vendors lack."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.storage import ByteRange, PutOptions
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    FileNotFound,
    InvalidData,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Lost
from tests.storage.gcs_answers import DATA, STEP, refusal
from tests.storage.gcs_harnesses import bucket, over_gcs, over_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.operations.storage import Storage
    from moorage.testing.sandboxes.storage.gcs import GcsSandbox

KMS = "projects/p/locations/l/keyRings/r/cryptoKeys/k"


@pytest.fixture
def files(gcs_sandbox: GcsSandbox) -> Iterator[Storage]:
    """Return the storage operations of a hub over the sandbox."""
    with over_gcs(gcs_sandbox) as hub:
        yield hub.storage()


def test_object_options_are_sent(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """Every upload option is sent in Google's format."""
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


def test_conditional_upload_whose_response_was_lost_does_not_conflict_with_itself(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """A conditional upload whose response was lost does not conflict with itself."""
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
    """An ETag that is not a generation number is refused."""
    requests_before = len(gcs_sandbox.requests)
    with pytest.raises(InvalidData, match="not an ETag"):
        files.upload("a", b"x", PutOptions(if_match=etag))
    with pytest.raises(InvalidData, match="not an ETag"):
        files.download("a", if_none_match=etag)
    assert requests_before == len(gcs_sandbox.requests)


def test_time_conditions_of_downloads_are_respected(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """An object that was not modified since the given time is not sent."""
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


def test_every_generation_can_be_read_and_deleted_in_versioned_bucket() -> None:
    """In a versioned bucket, every generation can be read and deleted."""
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


def test_copy_that_needs_several_requests_is_completed_as_one_operation() -> None:
    """A copy that needs several requests is completed as one operation."""
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
def test_copy_without_progress_fails(
    gcs_sandbox: GcsSandbox, files: Storage, fields: dict[str, Any]
) -> None:
    """A copy whose responses show neither progress nor a result fails."""
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
def test_each_failure_of_google_raises_its_own_error_class(
    files: Storage, key: str, kind: type[ConnectorError]
) -> None:
    """Each failure of Google raises its own error class, for one object and in a batch."""
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


def test_missing_bucket_raises_another_error_than_missing_object(gcs_sandbox: GcsSandbox) -> None:
    """A missing bucket raises another error than a missing object."""
    with over_gcs(gcs_sandbox, bucket="my-other-bucket") as hub:
        files = hub.storage()
        for operation in (lambda: files.exists("a"), lambda: files.delete("a"), files.list):
            with pytest.raises(VendorRejected) as excinfo:
                operation()
            assert VendorRejected is type(excinfo.value)
            assert "bucket" in excinfo.value.remedy


def test_length_of_decompressed_object_is_unknown(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """If HTTP decompresses an object, its length is unknown and its checksum not compared."""
    files.upload("a", b"packed", PutOptions(content_encoding="gzip"))
    download = files.download("a")
    assert (None, "gzip") == (download.length, download.info.content_encoding)
    headers = {
        "X-Goog-Generation": "1",
        "X-Goog-Stored-Content-Encoding": "gzip",
        "X-Goog-Hash": "md5=AAAAAAAAAAAAAAAAAAAAAA==",
    }
    gcs_sandbox.fail(Response(200, headers, b"unpacked"))
    assert b"unpacked" == files.download("a").read_all()


def test_wrong_checksum_fails_the_download_at_its_end(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """A wrong checksum fails the download at its end, resumed or not."""
    files.upload("a", b"good")
    gcs_sandbox.objects["a"][0].stored.pieces[0].path.write_bytes(b"evil")
    with pytest.raises(VendorFailed, match="checksum"):
        files.download("a").read_all()
    headers = {"X-Goog-Generation": "1", "X-Goog-Hash": "crc32c=AAAAAA==", "Content-Length": "4"}
    gcs_sandbox.fail(Response(200, headers, b"evil"))
    with pytest.raises(VendorFailed, match="checksum"):
        files.download("a").read_all()


@pytest.mark.parametrize(
    "content_type", ["text/html", "application/json", "application/octet-stream", "text/plain"]
)
@pytest.mark.parametrize("body", [b"", b"Please sign in."])
def test_download_without_a_generation_is_refused(
    gcs_sandbox: GcsSandbox, files: Storage, body: bytes, content_type: str
) -> None:
    """A Google download without a generation is refused, since it came from a proxy."""
    files.upload("a", b"good")
    gcs_sandbox.fail(Response(200, {"Content-Type": content_type}, body))
    with pytest.raises(VendorFailed, match="ETag"):
        files.download("a").read_all()


def test_emulator_may_leave_the_generation_out(gcs_sandbox: GcsSandbox) -> None:
    """At a custom endpoint, only an HTML response needs a generation."""
    with over_socket(gcs_sandbox) as hub:
        hub.storage().upload("a", b"good")
        gcs_sandbox.fail(Response(200, {"Content-Type": "text/plain"}, b"good"))
        assert b"good" == hub.storage().download("a").read_all()


def test_after_cut_connection_download_continues_at_same_byte_and_generation(
    gcs_sandbox: GcsSandbox,
) -> None:
    """After a cut connection a download continues at the same byte and generation."""
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
    """If an object was replaced, an interrupted download of it fails."""
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
    """A partial response without a range is refused."""
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
    """A successful response without the expected fields counts as Google's failure."""
    gcs_sandbox.fail(*[Response(200, body=body)] * 2)
    with pytest.raises(VendorFailed, match="The answer"):
        files.upload("a", b"x")
    with pytest.raises(VendorFailed, match="The answer"):
        files.head("a")


def test_malformed_list_entries_are_skipped(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """Malformed entries of a list are skipped, and a malformed list raises an error."""
    items = [7, None, {"size": 1}, {"name": "a", "size": "x", "metadata": [1], "md5Hash": "?"}]
    kind = "storage#objects"
    odd_page = {"kind": kind, "items": items, "prefixes": "a/", "nextPageToken": 5, "new": {}}
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
    for body in (b"[]", b"{}", b'{"kind": "storage#objects", "items": {}}'):
        gcs_sandbox.fail(Response(200, body=body))
        with pytest.raises(VendorFailed):
            files.list()
