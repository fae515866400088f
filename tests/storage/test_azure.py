"""Azure Blob Storage: uploads, ranges, conditions, versions and copies."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.storage import ByteRange, PutOptions
from moorage.domain.http.requests import Response
from moorage.errors import (
    FileNotFound,
    InvalidData,
    InvalidRequest,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.fakes.clock import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import SandboxHttpClient
from tests.storage.azure_harness import DATA, account, azure, over_azure
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


# --- what is asked -----------------------------------------------------------


def test_azure_upload_sends_content_type_options_and_version(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """An upload to Azure sends content type, options and the API version."""
    options = PutOptions(
        content_type="application/pdf",
        cache_control="no-store",
        storage_class="Cool",
        tags={"a b": "c&d"},
        metadata={"invoice-no": "2041", "2nd": "Zoë", "gap": "a  b", "none": ""},
        if_none_match="*",
        encryption="acme-scope",
    )
    files.upload("in voices/1.pdf", b"%PDF", options)

    [request] = blob_sandbox.requests
    headers = {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() not in {"authorization", "x-ms-date"}
    }
    assert ("PUT", "/sandbox-container/in%20voices/1.pdf") == (request.method, request.path)
    assert {
        "content-md5": b64encode(md5(b"%PDF", usedforsecurity=False).digest()).decode(),
        "content-type": "application/octet-stream",
        "if-none-match": "*",
        "x-ms-access-tier": "Cool",
        "x-ms-blob-cache-control": "no-store",
        "x-ms-blob-content-type": "application/pdf",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-encryption-scope": "acme-scope",
        "x-ms-meta-_2nd": "=?UTF-8?B?Wm/Dqw==?=",
        "x-ms-meta-gap": "=?UTF-8?B?YSAgYg==?=",
        "x-ms-meta-invoice_no": "2041",
        "x-ms-meta-none": "=?UTF-8?B??=",
        "x-ms-tags": "a%20b=c%26d",
        "x-ms-version": "2025-01-05",
    }.items() <= headers.items()
    assert options.metadata == files.head("in voices/1.pdf").metadata


def test_azure_own_headers_in_extra_take_precedence(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """Azure's headers in `extra` take precedence; headers of other vendors are ignored."""
    vendor_headers = {"azure_blob": {"X-MS-Access-Tier": "Cold"}, "s3": {"x-amz-acl": "private"}}
    files.upload("a", b"x", PutOptions(storage_class="Hot", extra=vendor_headers))

    assert ("Cold",) == blob_sandbox.requests[0].headers.get_all("x-ms-access-tier")
    with pytest.raises(InvalidData) as excinfo:
        files.upload("a", b"x", PutOptions(extra={"azure_blob": {"x-ms-lease-id": 7}}))
    assert "extra.azure_blob.x-ms-lease-id" == excinfo.value.field


@pytest.mark.parametrize("key", ["a\\b", "a./b", "a.", "deep/er./x"])
def test_key_that_azure_would_change_is_refused(
    blob_sandbox: AzureBlobSandbox, files: Storage, key: str
) -> None:
    """A key that Azure would change is refused before anything is sent."""
    for info in (files.head, files.delete, files.download, files.start_upload):
        with pytest.raises(InvalidData) as excinfo:
            info(key)
        assert "key" == excinfo.value.field
    with pytest.raises(InvalidData):
        files.upload(key, b"x")
    assert [] == blob_sandbox.requests


def test_range_from_the_end_requests_the_size_first(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """Azure cannot read a range from the end, so the blob's size is requested first."""
    etag = files.upload("a", DATA).etag
    blob_sandbox.requests.clear()

    assert DATA[-7:] == files.download("a", range=ByteRange(-7)).read_all()
    head, get = blob_sandbox.requests
    assert ("HEAD", "GET") == (head.method, get.method)
    assert f"bytes={len(DATA) - 7}-" == get.headers["x-ms-range"]
    assert f'"{etag}"' == get.headers["if-match"]
    files.download("a", range=ByteRange(-7), if_none_match="other").read_all()
    assert "if-match" not in blob_sandbox.requests[-1].headers
    files.download("a", range=ByteRange(-7), if_match="*").read_all()
    assert "*" == blob_sandbox.requests[-1].headers["if-match"]
    files.upload("empty", b"")
    with pytest.raises(InvalidRequest) as excinfo:
        files.download("empty", range=ByteRange(-7))
    assert 416 == excinfo.value.status


def test_changed_size_is_not_read(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """If a blob changes between the size request and the download, the download fails."""
    files.upload("a", DATA)
    blob_sandbox.fail(
        Response(200, {"ETag": '"0x8D0"', "Content-Length": "50"}),
    )
    with pytest.raises(VendorRejected) as excinfo:
        files.download("a", range=ByteRange(-7))
    assert 412 == excinfo.value.status


def test_time_conditions_of_downloads_are_respected(files: Storage) -> None:
    """A blob that was not modified since the given time is not sent."""
    files.upload("a", b"x")
    future_time = datetime.now(UTC) + timedelta(minutes=1)
    past_time = future_time - timedelta(hours=1)

    assert not files.download("a", if_modified_since=future_time).modified
    assert files.download("a", if_modified_since=past_time).modified
    assert files.download("a", if_unmodified_since=future_time).modified
    with pytest.raises(VendorRejected) as excinfo:
        files.download("a", if_unmodified_since=past_time)
    assert 412 == excinfo.value.status


def test_earlier_versions_of_blob_can_be_read_and_deleted(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """Earlier versions of a blob can be read and deleted."""
    first = files.upload("a", b"first")
    second = files.upload("a", b"second!")

    assert first.version != second.version
    assert 5 == files.head("a", version=first.version).size
    assert b"first" == files.download("a", version=first.version).read_all()
    assert b"st" == files.download("a", version=first.version, range=ByteRange(-2)).read_all()
    files.delete("a", version=first.version)
    files.delete("a", version=first.version)
    with pytest.raises(FileNotFound):
        files.head("a", version=first.version)
    files.delete("a")
    assert not files.exists("a")
    assert 7 == files.head("a", version=second.version).size
    assert {"a"} == {key for key, _ in blob_sandbox.versions}


# --- copies ------------------------------------------------------------------


def test_copies_keep_unset_options(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """A copy uses the given options, and keeps the source's values for the others."""
    put = files.upload("a", b"bytes", PutOptions(content_type="a/b", metadata={"x": "1"}))
    options = PutOptions(metadata={"y": "2"}, tags={"t": "1"}, storage_class="Cool")
    copied_info = files.copy("a", "b", options)

    assert ({"y": "2"}, "Cool") == (copied_info.metadata, copied_info.storage_class)
    assert put.checksums == copied_info.checksums
    assert "application/octet-stream" == copied_info.content_type
    assert "1" == blob_sandbox.blobs["b"].headers["x-ms-tag-count"]
    with pytest.raises(VendorRejected) as excinfo:
        files.copy("a", "b", PutOptions(if_none_match="*"))
    assert 412 == excinfo.value.status
    files.upload("c", DATA, part_size=PART)
    assert () == files.copy("c", "d", PutOptions(content_type="x/y")).checksums


def test_slow_server_side_copy_is_waited_for() -> None:
    """A slow server-side copy is waited for, up to a limit."""
    clock = VirtualClock()
    ports: dict[str, Any] = {"clock": clock, "sleeper": VirtualSleeper(clock)}
    with (
        azure(now=clock.utc) as sandbox,
        Hub([account(sandbox)], http=SandboxHttpClient(sandbox), **ports) as hub,
    ):
        hub.storage().upload("a", b"bytes")
        sandbox.looks = 3
        assert 5 == hub.storage().copy("a", "b").size
        sandbox.looks = 1_000
        with pytest.raises(VendorFailed, match="pending"):
            hub.storage().copy("a", "c")


def test_failed_server_side_copy_raises_an_error(files: Storage) -> None:
    """A failed server-side copy raises an error."""
    files.upload("magic/uncopied", b"bytes")
    with pytest.raises(VendorFailed, match="failed"):
        files.copy("magic/uncopied", "d")


def test_copy_with_encryption_is_refused(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """A copy with other encryption settings is refused before anything is sent."""
    with pytest.raises(UnsupportedByVendor):
        files.copy("a", "b", PutOptions(encryption="acme-scope"))
    assert [] == blob_sandbox.requests
