"""Azure's responses: errors and unusual values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.storage import ByteRange, PutOptions
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    FileNotFound,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from tests.storage.azure_harness import DATA, azure, azure_refusal, over_azure, usual_answers
from tests.storage.harnesses import PART

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.operations.storage import Storage
    from moorage.testing.sandboxes.storage.azure_blob import AzureBlobSandbox


@pytest.fixture
def blob_sandbox() -> Iterator[AzureBlobSandbox]:
    """Yield a sandbox with a container."""
    with azure() as sandbox:
        yield sandbox


@pytest.fixture
def files(blob_sandbox: AzureBlobSandbox) -> Iterator[Storage]:
    """Return the storage operations of a hub over the sandbox."""
    with over_azure(blob_sandbox) as hub:
        yield hub.storage()


# --- why it refuses ----------------------------------------------------------


@pytest.mark.parametrize(
    "answer, kind, code",
    [
        (azure_refusal("ServerBusy", 503), RateLimitExceeded, "ServerBusy"),
        (azure_refusal("InternalError", 500), VendorFailed, "InternalError"),
        (azure_refusal("OperationTimedOut", 500), VendorFailed, "OperationTimedOut"),
        (azure_refusal("NewFailure", 500), VendorFailed, "NewFailure"),
        (azure_refusal("AuthenticationFailed", 403), AuthenticationFailed, "AuthenticationFailed"),
        (azure_refusal("AccountIsDisabled", 403), AuthenticationFailed, "AccountIsDisabled"),
        (
            azure_refusal("KeyBasedAuthenticationNotPermitted", 409),
            AuthenticationFailed,
            "KeyBasedAuthenticationNotPermitted",
        ),
        (azure_refusal("BlobNotFound", 404), FileNotFound, "BlobNotFound"),
        (azure_refusal("CannotVerifyCopySource", 404), FileNotFound, "CannotVerifyCopySource"),
        (azure_refusal("CannotVerifyCopySource", 500), VendorFailed, "CannotVerifyCopySource"),
        (azure_refusal("ContainerNotFound", 404), VendorRejected, "ContainerNotFound"),
        (azure_refusal("LeaseIdMissing", 412), VendorRejected, "LeaseIdMissing"),
        (azure_refusal("NewRefusal", 409), VendorRejected, "NewRefusal"),
        (azure_refusal("InvalidHeaderValue", 400), InvalidRequest, "InvalidHeaderValue"),
        (Response(409, {"x-ms-error-code": "BlobArchived"}), VendorRejected, "BlobArchived"),
        (Response(403, {"x-ms-error-code": "New"}, b"<html/>"), VendorRejected, "New"),
        (Response(503, {"x-ms-error-code": "ServerBusy"}, b"<x"), RateLimitExceeded, "ServerBusy"),
        (Response(503, {}, b"<html>busy</html>"), VendorFailed, None),
        (Response(404, {}, b"<Error/>"), VendorRejected, None),
        (Response(403, {}, b"\xff" * 100), AuthenticationFailed, None),
    ],
)
def test_azure_error_code_or_status_decides_the_error_class(
    blob_sandbox: AzureBlobSandbox,
    files: Storage,
    answer: Response,
    kind: type[Any],
    code: str | None,
) -> None:
    """Azure's error code, or else the HTTP status, decides the error class."""
    blob_sandbox.fail(*[answer] * 3)
    with pytest.raises(kind) as excinfo:
        files.download("a")

    assert kind is type(excinfo.value)
    assert code == excinfo.value.vendor_code
    assert answer.status == excinfo.value.status


@pytest.mark.parametrize(
    "code, words",
    [
        ("BlobArchived", "rehydrate the blob"),
        ("BlobBeingRehydrated", "until the blob is back from the archive"),
        ("ContainerBeingDeleted", "until Azure has deleted the container"),
        ("ContainerNotFound", "create the container"),
        ("InvalidBlockList", "Start the upload again"),
        ("SnapshotsPresent", "delete the blob's snapshots"),
    ],
)
def test_azure_error_code_decides_the_remedy(
    blob_sandbox: AzureBlobSandbox, files: Storage, code: str, words: str
) -> None:
    """The error tells what to do about a refusal that a program can end."""
    blob_sandbox.fail(azure_refusal(code, 409))
    with pytest.raises(VendorRejected, match=words):
        files.download("a")


def test_error_has_only_first_line_of_azure_message(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """An Azure error has only the first line of the message; ids and times are in the headers."""
    blob_sandbox.fail(azure_refusal("ContainerNotFound", 404, "There is no container."))
    with pytest.raises(VendorRejected) as excinfo:
        files.download("a")

    assert "There is no container." == excinfo.value.vendor_message
    assert "Correct the container's name" in str(excinfo.value)
    blob_sandbox.fail(Response(404))
    with pytest.raises(FileNotFound):
        files.head("a")


@pytest.mark.parametrize(
    "key, kind",
    [
        ("magic/server-busy", RateLimitExceeded),
        ("magic/denied", AuthenticationFailed),
        ("magic/internal-error", VendorFailed),
        ("magic/archived", VendorRejected),
        ("magic/snapshots", VendorRejected),
    ],
)
def test_some_keys_of_azure_sandbox_always_fail(files: Storage, key: str, kind: type[Any]) -> None:
    """Some keys of the Azure sandbox always fail, for tests."""
    for download in (files.download, files.head, files.delete):
        with pytest.raises(kind):
            download(key)


def test_deleting_several_blobs_returns_result_for_each_of_them(files: Storage) -> None:
    """Deleting several blobs returns a result for each of them."""
    files.upload("a", b"x")
    results = files.delete_many(["a", "magic/snapshots", "gone", "bad."])

    assert [True, False, True, False] == [result.ok for result in results]
    assert "SnapshotsPresent" == getattr(results[1].error, "vendor_code", None)
    assert isinstance(results[3].error, InvalidData)


# --- odd answers -------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"<x", b"{}", b"<Other/>", b"<html><body>OK</body></html>", b"\x00" * 1_000]
)
def test_invalid_lists_are_refused(
    blob_sandbox: AzureBlobSandbox, files: Storage, body: bytes
) -> None:
    """A successful response without a valid list counts as Azure's failure."""
    start_upload = files.start_upload("a")
    blob_sandbox.fail(*[Response(200, body=body)] * 2)
    with pytest.raises(VendorFailed):
        files.list()
    with pytest.raises(VendorFailed):
        files.upload("a", DATA, resume=start_upload.ref, part_size=PART)


def test_missing_fields_in_list_are_none(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """Missing fields in a list are None, and entries without a name are skipped."""
    blob_elements = (
        "<Blob/><Blob><Name>a</Name></Blob><Blob><Name></Name></Blob>"
        '<Blob><Name Encoded="true">b%EF%BF%BE</Name><VersionId>v1</VersionId>'
        "<Properties><Content-Length>many</Content-Length><Content-MD5>!</Content-MD5>"
        "<Etag>0x8D</Etag><AccessTier>New</AccessTier></Properties></Blob>"
        "<BlobPrefix/><BlobPrefix><Name>c/</Name></BlobPrefix><New/>"
    )
    body = f"<EnumerationResults><Blobs>{blob_elements}</Blobs><NextMarker/></EnumerationResults>"
    blob_sandbox.fail(
        Response(200, body=body.encode()), Response(200, body=b"<EnumerationResults/>")
    )
    page, empty = files.list(), files.list()

    assert ["a", "b\ufffe"] == [item.key for item in page.objects]
    assert (None, None, None, ()) == (
        page.objects[0].size,
        page.objects[0].etag,
        page.objects[0].last_modified,
        page.objects[1].checksums,
    )
    assert ("0x8D", "v1", "New") == (
        page.objects[1].etag,
        page.objects[1].version,
        page.objects[1].storage_class,
    )
    assert (("c/",), None) == (page.prefixes, page.next_cursor)
    assert ((), ()) == (empty.objects, empty.prefixes)


def test_lists_have_every_field(files: Storage) -> None:
    """A list has every field of a blob that Azure returns."""
    put = files.upload("a", b"x", PutOptions(content_type="a/b", cache_control="no-store"))
    [result] = files.list().objects

    assert (put.etag, put.checksums, 1) == (result.etag, result.checksums, result.size)
    assert ("a/b", "no-store", "Hot") == (
        result.content_type,
        result.cache_control,
        result.storage_class,
    )
    assert result.last_modified is not None


def test_wrong_ranges_are_refused(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """If Azure returns another range than was requested, the response is refused."""
    files.upload("a", DATA)
    for headers in ({}, {"Content-Range": "bytes 1000-999/1000"}):
        blob_sandbox.fail(Response(206, headers, b"other"))
        with pytest.raises(VendorFailed):
            files.download("a", range=ByteRange(1_000))


def test_upload_response_without_an_etag_is_a_failure(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """A successful upload response without an ETag counts as Azure's failure."""
    blob_sandbox.fail(*usual_answers(4), Response(201))
    with pytest.raises(VendorFailed):
        files.upload("a", DATA, part_size=PART, at_once=1)


def test_metadata_written_by_other_tools_is_read_in_lower_case(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """Metadata written by other tools is read in lower case, without invalid values."""
    blob_sandbox.fail(
        Response(
            200,
            {
                "ETag": '"1"',
                "x-ms-meta-Foo_Bar": "=?UTF-8?B?!!?=",
                "X-Ms-Meta-_2": "=?UTF-8?B?/w==?=",
            },
        )
    )
    result = files.head("a")

    assert {"foo-bar": "=?UTF-8?B?!!?=", "2": "=?UTF-8?B?/w==?="} == result.metadata


def test_compressed_blob_keeps_its_content_encoding(files: Storage) -> None:
    """A compressed blob keeps its content encoding."""
    put = files.upload("a", b"x", PutOptions(content_encoding="gzip"))

    assert "gzip" == put.content_encoding == files.head("a").content_encoding


def test_reference_of_an_uploaded_file_names_vendor_account_and_key(files: Storage) -> None:
    """The reference of an uploaded file names its vendor, account and key."""
    assert "azure_blob:azure:a" == str(files.upload("a", b"x").ref)
