"""Uploads to Google Cloud Storage in chunks: failures, and resumed uploads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.storage import PutOptions
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidRequest,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, SandboxRequest
from moorage.testing.sandboxes.storage.gcs import GcsSandbox
from tests.storage.gcs_answers import DATA, STEP, refusal, spans, usual_answers
from tests.storage.gcs_harnesses import gcs, over_gcs, over_socket
from tests.storage.harnesses import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.operations.storage import Storage
    from moorage.testing.sandboxes.storage._s3_documents import Reply
    from moorage.testing.sandboxes.storage._s3_store import Spool


@pytest.fixture
def files(gcs_sandbox: GcsSandbox) -> Iterator[Storage]:
    """Return the storage operations of a hub over the sandbox."""
    with over_gcs(gcs_sandbox) as hub:
        yield hub.storage()


def test_chunks_have_length_that_google_requires(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """Whatever the part size, chunks have a length that Google allows, and none is sent twice."""
    info = files.upload("a", DATA, part_size=100_000)
    assert len(DATA) == info.size
    whole_size = len(DATA)
    assert [
        f"0-{STEP - 1}/*",
        f"{STEP}-{2 * STEP - 1}/*",
        f"{2 * STEP}-{whole_size - 1}/{whole_size}",
    ] == spans(gcs_sandbox)


def test_object_that_is_whole_number_of_chunks_long_ends_with_full_chunk(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """An object that is a whole number of chunks long ends with a full chunk."""
    files.upload("a", DATA[: 2 * STEP], part_size=STEP)
    assert [f"0-{STEP - 1}/*", f"{STEP}-{2 * STEP - 1}/{2 * STEP}"] == spans(gcs_sandbox)
    assert DATA[: 2 * STEP] == files.download("a").read_all()


def test_after_cut_chunk_upload_continues_from_byte_that_google_has_stored(
    gcs_sandbox: GcsSandbox,
) -> None:
    """After a cut chunk the upload continues from the byte that Google has stored."""
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


def test_chunk_that_did_not_arrive_is_sent_again(gcs_sandbox: GcsSandbox) -> None:
    """A chunk that did not arrive is sent again, also over a socket."""
    with over_socket(gcs_sandbox) as hub:
        gcs_sandbox.cut("PUT", 1_000)
        gcs_sandbox.cut("PUT", 100_000)
        info = hub.storage().upload("a", DATA, part_size=STEP)
        assert len(DATA) == info.size
        assert DATA == hub.storage().download("a").read_all()


def test_upload_whose_last_response_was_lost_is_complete(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """An upload whose last response was lost is found to be complete."""
    gcs_sandbox.fail(*usual_answers(4), Lost())
    info = files.upload("a", DATA, part_size=STEP)
    assert (len(DATA), DATA) == (info.size, files.download("a").read_all())
    assert "*/*" == spans(gcs_sandbox)[-1]


@pytest.mark.parametrize(
    "answer", [refusal(503, "backendError"), refusal(429, "rateLimitExceeded")]
)
def test_chunk_that_was_not_stored_is_sent_again(
    gcs_sandbox: GcsSandbox, files: Storage, answer: Response
) -> None:
    """After a status query, a chunk that Google did not store is sent again."""
    gcs_sandbox.fail(*usual_answers(1), answer)
    files.upload("a", DATA, part_size=STEP)
    assert [f"0-{STEP - 1}/*", "*/*", f"0-{STEP - 1}/*"] == spans(gcs_sandbox)[:3]


class _RecordingClock:
    """A clock whose sleep returns at once and records its duration."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def sleep(self, seconds: float, /) -> None:
        self.taken.append(seconds)


def test_upload_fails_if_its_chunks_make_no_progress(gcs_sandbox: GcsSandbox) -> None:
    """If chunks make no progress the upload fails after pauses, and is removed."""
    account = Account("gcs", gcs(gcs_sandbox), settings={"retry": QUICK, "circuit": None})
    naps = _RecordingClock()
    with Hub([account], http=SandboxHttpClient(gcs_sandbox), sleeper=naps) as hub:
        cut_connections: list[Any] = [ConnectionFailed("cut", may_have_been_processed=True), None]
        gcs_sandbox.fail(*usual_answers(1), *cut_connections * 4)
        with pytest.raises(ConnectionFailed, match="cut"):
            hub.storage().upload("a", DATA, part_size=STEP)
        assert [1.0, 2.0] == naps.taken
        assert all(session.aborted for session in gcs_sandbox.sessions.values())
        full_response = Response(308, {"Range": f"bytes=0-{STEP - 1}"})
        gcs_sandbox.fail(*usual_answers(1), *[full_response] * 5)
        with pytest.raises(VendorFailed, match="no longer accepts bytes"):
            hub.storage().upload("a", DATA, part_size=STEP)
        assert not hub.storage().exists("a")


class _HeaderIgnoringSandbox(GcsSandbox):
    """A sandbox that ignores the header with which a client requests 200 instead of 308."""

    def handle(self, request: SandboxRequest, spool: Spool) -> Reply:
        headers = request.headers.without("x-guploader-no-308")
        return super().handle(attrs.evolve(request, headers=headers), spool)


def test_308_is_progress_for_uploads_only() -> None:
    """Status 308 means progress only in an upload."""
    server = _HeaderIgnoringSandbox()
    with over_gcs(server) as hub:
        files = hub.storage()
        files.upload("a", DATA, part_size=STEP)
        assert DATA == files.download("a").read_all()
        server.fail(*usual_answers(1), Response(301))
        with pytest.raises(VendorRejected) as excinfo:
            files.upload("a", DATA, part_size=STEP)
        assert 301 == excinfo.value.status
    server.close()


def test_lost_bytes_cannot_be_sent_again(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """If Google loses bytes that it had stored, the upload fails."""
    less_response = Response(200, {"X-HTTP-Status-Code-Override": "308"})
    gcs_sandbox.fail(*usual_answers(2), less_response)
    with pytest.raises(VendorFailed, match="now has 0"):
        files.upload("a", DATA, part_size=STEP)


def test_premature_completion_of_an_upload_is_an_error(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """A response that claims an upload is complete before all bytes were sent is an error."""
    gcs_sandbox.fail(*usual_answers(1), Response(200, body=b'{"generation": "1"}'))
    with pytest.raises(VendorFailed, match="Range"):
        files.upload("a", DATA, part_size=STEP)


@pytest.mark.parametrize("range_", ["bytes=1-5", "bytes=0-x", ""])
def test_invalid_progress_range_is_refused(
    gcs_sandbox: GcsSandbox, files: Storage, range_: str
) -> None:
    """An invalid progress range in a response stops the upload."""
    fields = {"X-HTTP-Status-Code-Override": "308", "Range": range_}
    gcs_sandbox.fail(*usual_answers(1), Response(200, fields))
    with pytest.raises(VendorFailed, match="Range"):
        files.upload("a", DATA, part_size=STEP)


@pytest.mark.parametrize(
    "wrong",
    [{"size": "5"}, {"md5Hash": "AAAAAAAAAAAAAAAAAAAAAA=="}],
    ids=["size", "md5"],
)
def test_object_stored_with_wrong_size_or_checksum_is_deleted(
    gcs_sandbox: GcsSandbox, files: Storage, wrong: dict[str, str]
) -> None:
    """If an object is stored with a wrong size or checksum, this generation of it is deleted."""
    previous_info = files.upload("a", b"before")
    fields = {"generation": "77", "size": str(len(DATA)), **wrong}
    gcs_sandbox.fail(*usual_answers(4), Response(200, body=json.dumps(fields).encode()))
    with pytest.raises(VendorFailed, match="stored different bytes"):
        files.upload("a", DATA, part_size=STEP)
    [deleted_request] = [
        request
        for request in gcs_sandbox.requests
        if request.method == "DELETE" and "/o/a" in request.path
    ]
    assert ("generation", "77") in deleted_request.query
    assert previous_info.version == files.head("a").version


def test_upload_from_a_changed_source_creates_no_object(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """If the source's bytes differ from those sent before, the upload creates no object."""
    start_upload = files.start_upload("a")
    gcs_sandbox.break_chunk(2 * STEP)
    gcs_sandbox.fail(*usual_answers(2), *[refusal(403, "forbidden")])
    with pytest.raises(AuthenticationFailed):
        files.upload("a", DATA, part_size=3 * STEP, resume=start_upload.ref)
    with pytest.raises(InvalidRequest, match="md5Hash"):
        files.upload("a", DATA[::-1], part_size=3 * STEP, resume=start_upload.ref)
    assert not files.exists("a")


def test_complete_or_aborted_upload_cannot_be_resumed(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """A complete or aborted upload cannot be resumed."""
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


def test_error_of_failed_abort_is_raised(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """If aborting an upload fails, its error is raised."""
    start_upload = files.start_upload("a")
    gcs_sandbox.fail(refusal(403, "forbidden"), refusal(412, "conditionNotMet"))
    with pytest.raises(AuthenticationFailed):
        files.abort_upload(start_upload.ref)
    with pytest.raises(VendorRejected):
        files.abort_upload(start_upload.ref)


def test_abort_sends_one_request(gcs_sandbox: GcsSandbox, files: Storage) -> None:
    """An abort sends one request."""
    upload = files.start_upload("a")
    requests_before = len(gcs_sandbox.requests)
    files.abort_upload(upload.ref)
    assert ["DELETE"] == [request.method for request in gcs_sandbox.requests[requests_before:]]


def test_upload_without_a_session_url_raises_an_error(
    gcs_sandbox: GcsSandbox, files: Storage
) -> None:
    """If the response that starts an upload has no session URL, an error is raised."""
    places = ("https://x/?upload=1", "http://[x", "?upload_id=")
    gcs_sandbox.fail(Response(200), *(Response(200, {"Location": place}) for place in places))
    for _ in range(4):
        with pytest.raises(VendorFailed, match="Location"):
            files.start_upload("a")


def test_stale_uploads_are_unsupported(files: Storage) -> None:
    """Listing stale uploads is refused as unsupported, and sends no request."""
    with pytest.raises(UnsupportedByVendor):
        files.list_stale_uploads()
    with pytest.raises(UnsupportedByVendor):
        files.upload("a", b"", PutOptions(tags={"a": "b"}))
