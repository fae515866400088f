"""The Google Cloud Storage vendor against an independent emulator."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from moorage import Credentials
from moorage.contracts.routes import Account
from moorage.contracts.storage import ByteRange, PutOptions
from moorage.hub.hub import Hub
from moorage.testing import storage_conformance as kit
from moorage.testing.kits.checks import name_of
from moorage.vendors.storage.gcs import Gcs
from tests.storage.harnesses import QUICK, bytes_of
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.operations.storage import Storage
    from moorage.testing.kits.storage_conformance import Check

PART = 262_144
KNOWN = {
    "stored_bytes_come_back",
    "an_object_may_be_empty",
    "headers_and_metadata_are_kept",
    "a_missing_object_is_an_error",
    "a_deleted_object_is_gone",
    "large_objects_are_sent_in_parts",
    "a_failed_upload_leaves_nothing",
    "a_reference_is_enough",
}
"""What the emulator knows too: it has no conditions, no pages, and no end of an upload."""


class _EmulatorCredentials:
    """Credentials for the emulator, which accepts every token."""

    def get(self, service: str, tenant: str | None, /) -> Credentials:
        return Credentials.bearer("anybody")

    def refresh(self, service: str, tenant: str | None, stale: object, /) -> Credentials:
        return self.get(service, tenant)


def _is_open(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Yield the port of an emulator in its own process."""
    result = free_port()
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1"]
    command += [f"--port={result}", "--in-memory", "--default-bucket=sandbox-bucket"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end_time = time.monotonic() + 30
            while not _is_open(result) and time.monotonic() < end_time:
                time.sleep(0.05)
            yield result
        finally:
            process.kill()


@pytest.fixture
def files(port: int) -> Iterator[Storage]:
    """Return the storage operations of a hub over the emulator."""
    vendor = Gcs(bucket="sandbox-bucket", endpoint=f"http://127.0.0.1:{port}")
    account = Account("gcs", vendor, settings={"retry": QUICK, "circuit": None})
    with Hub([account], credentials=_EmulatorCredentials()) as hub:
        yield hub.storage()


@pytest.mark.parametrize(
    "check", [check for check in kit.CHECKS if name_of(check) in KNOWN], ids=name_of
)
def test_vendor_passes_storage_conformance_kit_against_emulator(
    check: Check, files: Storage
) -> None:
    """The vendor passes the storage conformance kit against the emulator."""
    check(lambda: kit.Subject(files, PART, Gcs.capabilities))


def test_range_download_returns_exactly_requested_bytes(files: Storage) -> None:
    """A range download returns exactly the requested bytes, and checksums match the emulator's."""
    data = bytes_of(3 * PART + 17)
    info = files.upload("a", data, PutOptions(content_type="a/b"), part_size=PART)
    assert all(checksum.fits(data) for checksum in info.checksums)
    assert ["crc32c", "md5"] == [checksum.algorithm for checksum in info.checksums]
    assert data[10:30] == files.download("a", range=ByteRange(10, 20)).read_all()
    assert data[-17:] == files.download("a", range=ByteRange(3 * PART)).read_all()


def test_interrupted_upload_continues_where_it_stopped(files: Storage, port: int) -> None:
    """An interrupted upload continues where it stopped."""
    data = bytes_of(4 * PART + 5)
    session = files.start_upload("resumed")
    line = HTTPConnection("127.0.0.1", port)
    path = (
        f"/upload/storage/v1/b/sandbox-bucket/o?uploadType=resumable&upload_id={quote(session.id)}"
    )
    line.request("PUT", path, data[:PART], {"Content-Range": f"bytes 0-{PART - 1}/*"})
    assert 308 == line.getresponse().status
    line.close()
    assert len(data) == files.upload("resumed", data, resume=session.ref).size
    assert data == files.download("resumed").read_all()


def test_copied_object_is_independent_of_its_source(files: Storage) -> None:
    """A copied object is independent of its source."""
    files.upload("source", b"bytes", PutOptions(metadata={"x": "1"}))
    info = files.copy("source", "copy")
    assert ("copy", 5, {"x": "1"}) == (info.key, info.size, info.metadata)
    files.delete("source")
    assert b"bytes" == files.download("copy").read_all()
