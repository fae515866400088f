"""Uploads to Azure in blocks: resuming, restarting, and lost responses."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from moorage.contracts.checksum import Checksum
from moorage.contracts.ref import Ref
from moorage.contracts.storage import PutOptions
from moorage.domain.http.requests import Response
from moorage.errors import ConnectionFailed, InvalidData, InvalidRequest, VendorRejected
from moorage.testing.sandboxes.base import Lost
from tests.storage.azure_harness import (
    DATA,
    azure,
    azure_refusal,
    over_azure,
    over_azure_socket,
    usual_answers,
)
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


# --- blocks ------------------------------------------------------------------


def test_every_block_has_its_checksum(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """Each block has its MD5 in its name and as a checksum; the block list has a checksum too."""
    options = PutOptions(checksum=Checksum.of("md5", DATA), encryption="acme-scope")
    info = files.upload("a", DATA, options, part_size=PART, at_once=1)

    *blocks, commit = blob_sandbox.requests
    assert 4 == len(blocks)
    assert all("content-md5" in request.headers for request in blob_sandbox.requests)
    assert {"acme-scope"} == {
        request.headers["x-ms-encryption-scope"] for request in blob_sandbox.requests
    }
    assert options.checksum is not None
    assert options.checksum.base64 == commit.headers["x-ms-blob-content-md5"]
    assert (options.checksum,) == files.head("a").checksums
    assert len(DATA) == info.size
    files.upload("a", DATA, PutOptions(checksum=Checksum.of("sha256", DATA)), part_size=PART)
    assert () == files.head("a").checksums


def test_damaged_block_is_sent_again(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """A block that arrives damaged at Azure is sent again."""
    blob_sandbox.fail(azure_refusal("Md5Mismatch", 400))
    files.upload("a", DATA, part_size=PART, at_once=1)

    assert DATA == files.download("a").read_all()


def test_upload_or_download_continues_where_it_stopped_if_connection_is_cut(
    blob_sandbox: AzureBlobSandbox,
) -> None:
    """If the connection is cut, an upload or download continues where it stopped."""
    with over_azure_socket(blob_sandbox) as hub:
        blob_sandbox.cut("PUT", 1_000)
        hub.storage().upload("a", DATA, part_size=PART)
        blob_sandbox.cut("GET", 5_000)
        assert DATA == hub.storage().download("a").read_all()


def test_resumed_upload_sends_missing_blocks(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """A resumed upload sends only the missing blocks."""
    start_upload = files.start_upload("a", PutOptions(content_type="x/y", metadata={"a": "Zoë"}))
    assert [] == blob_sandbox.requests
    blob_sandbox.fail(*usual_answers(3), *[ConnectionFailed("down")] * 3)
    with pytest.raises(ConnectionFailed):
        files.upload("a", DATA, resume=start_upload.ref, part_size=PART, at_once=1)
    other_bytes = b"!" + DATA[1:]
    blob_sandbox.requests.clear()
    info = files.upload(
        "a", lambda: BytesIO(other_bytes), resume=str(start_upload.ref), part_size=PART
    )

    assert ["GET", "PUT", "PUT", "PUT", "PUT"] == [
        request.method for request in blob_sandbox.requests
    ]
    assert other_bytes == files.download("a").read_all()
    assert ("x/y", {"a": "Zoë"}) == (info.content_type, info.metadata)
    assert ("x/y", {"a": "Zoë"}) == (files.head("a").content_type, files.head("a").metadata)
    with pytest.raises(VendorRejected, match="complete"):
        files.upload("a", other_bytes, resume=start_upload.ref, part_size=PART)


def test_expired_blocks_restart_the_upload(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """An upload whose blocks have expired at Azure starts again."""
    start_upload = files.start_upload("a")
    blob_sandbox.fail(*usual_answers(3), *[ConnectionFailed("down")] * 3)
    with pytest.raises(ConnectionFailed):
        files.upload("a", DATA, resume=start_upload.ref, part_size=PART, at_once=1)
    blob_sandbox.lapse()
    files.upload("a", b"another's")
    files.upload("a", DATA, resume=start_upload.ref, part_size=PART)

    assert DATA == files.download("a").read_all()


def test_concurrent_uploads_are_independent(blob_sandbox: AzureBlobSandbox, files: Storage) -> None:
    """Two uploads of one key have separate blocks; the one that ends later fails."""
    upload, second_upload = files.start_upload("a"), files.start_upload("a")
    blob_sandbox.fail(*usual_answers(5), *[ConnectionFailed("down")] * 3)
    with pytest.raises(ConnectionFailed):
        files.upload("a", DATA, resume=upload.ref, part_size=PART, at_once=1)
    files.upload("a", DATA[:PART] + b"two", resume=second_upload.ref, part_size=PART)

    assert DATA[:PART] + b"two" == files.download("a").read_all()
    blob_sandbox.fail(*usual_answers(5), azure_refusal("InvalidBlockList", 400))
    with pytest.raises(InvalidRequest, match="Start the upload again"):
        files.upload("a", DATA, resume=upload.ref, part_size=PART, at_once=1)


@pytest.mark.parametrize(
    "upload",
    ["evil", "0" * 20 + ".e30x", "0" * 20 + ".W10=", "0" * 20 + ".eyJhIjoxfQ==", "0" * 20 + ".Ww"],
)
def test_invalid_upload_reference_is_refused_before_anything_is_sent(
    blob_sandbox: AzureBlobSandbox, files: Storage, upload: str
) -> None:
    """An invalid upload reference is refused before anything is sent."""
    ref = Ref("azure_blob", "azure", "a", {"upload": upload})
    with pytest.raises(InvalidData, match="does not identify an upload"):
        files.upload("a", DATA, resume=ref)
    assert [] == blob_sandbox.requests


def test_blocks_of_other_programs_are_ignored(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """Blocks of other programs and invalid blocks are ignored when an upload is resumed."""
    start_upload = files.start_upload("a")
    block = "<Block><Name>{}</Name><Size>4096</Size></Block>"
    names = ["AAAA", "%%%", "w7w=", b64encode(b"0" * 32 + b".00001." + b"f" * 20).decode()]
    block_elements = "".join(block.format(name) for name in names)
    body = f"<BlockList><UncommittedBlocks>{block_elements}<Block/></UncommittedBlocks></BlockList>"
    blob_sandbox.fail(Response(200, body=body.encode()))
    files.upload("a", DATA, resume=start_upload.ref, part_size=PART, at_once=1)

    assert ["GET", *["PUT"] * 5] == [request.method for request in blob_sandbox.requests]


# --- lost answers ------------------------------------------------------------


def test_upload_whose_last_response_was_lost_is_found_to_be_complete(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """An upload whose last response was lost is found to be complete."""
    blob_sandbox.fail(*usual_answers(4), Lost())
    info = files.upload("a", DATA, PutOptions(if_none_match="*"), part_size=PART, at_once=1)

    assert len(DATA) == info.size
    assert DATA == files.download("a").read_all()
    blob_sandbox.fail(*usual_answers(4), Lost())
    assert len(DATA) == files.upload("a", DATA, part_size=PART, at_once=1).size


def test_concurrent_put_breaks_the_condition(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """A blob from another writer is not mistaken for the uploaded one."""
    files.upload("a", b"another's")
    stored_options = PutOptions(if_none_match="*")
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", DATA, stored_options, part_size=PART)
    assert ("BlobAlreadyExists", 412) == (excinfo.value.vendor_code, excinfo.value.status)
    blob_sandbox.fail(
        *usual_answers(4), azure_refusal("ConditionNotMet", 412), azure_refusal("BlobNotFound", 404)
    )
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("b", DATA, PutOptions(if_match="0x8D0"), part_size=PART, at_once=1)
    assert 412 == excinfo.value.status


def test_conditional_upload_whose_response_was_lost_does_not_conflict_with_itself(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """A conditional upload whose response was lost does not conflict with itself."""
    blob_sandbox.fail(Lost())
    assert 4 == files.upload("a", b"mine", PutOptions(if_none_match="*")).size
    blob_sandbox.fail(Lost(), None, Response(404))
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("b", b"mine", PutOptions(if_none_match="*"))
    assert 412 == excinfo.value.status
    blob_sandbox.fail(azure_refusal("InternalError", 500))
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", b"other", PutOptions(if_none_match="*"))
    assert 412 == excinfo.value.status


def test_blob_that_is_already_gone_when_deletion_is_retried_counts_as_deleted(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """If a deletion is retried and the blob is already gone, the blob counts as deleted."""
    files.upload("a", b"x")
    blob_sandbox.fail(Lost())
    files.delete("a")

    assert {} == blob_sandbox.blobs
