"""Files in a local folder: names, integrity and atomic writes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.files._errors import mapping_errors
from moorage.adapters.files.local_files import LocalFolder
from moorage.adapters.files.whole_files import WholeFile
from moorage.contracts.routes import Account
from moorage.contracts.storage import PutOptions
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    FileNotFound,
    InvalidData,
    InvalidRequest,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.vendors.storage.local_files import LocalFiles
from tests.parts import interrupted
from tests.storage.harnesses import PART, bytes_of, folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.operations.storage import Storage

DATA = bytes_of(2 * PART + 100)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of the files."""
    return tmp_path / "files"


@pytest.fixture
def files(root: Path) -> Iterator[Storage]:
    """Return the storage operations of the hub."""
    with Hub([Account("files", folder(root))]) as hub:
        yield hub.storage()


@pytest.mark.parametrize(
    "key",
    ["\ud800", "a//b", "a/", "a\\b", ".moorage/lock", ".Moorage/x", "x" * 256, "a/" + "ü" * 128],
    ids=["surrogate", "empty", "folder", "backslash", "own", "own-large", "long", "long-bytes"],
)
def test_invalid_keys_are_refused(files: Storage, root: Path, key: str) -> None:
    """A key that is not a valid name for a user's file is refused."""
    for verb in (files.head, files.download, files.delete, files.start_upload):
        with pytest.raises(InvalidData):
            verb(key)
    with pytest.raises(InvalidData):
        files.upload(key, b"")
    assert not root.exists()


@pytest.mark.parametrize("key", ["link", "way/file"])
def test_no_symbolic_link_leads_out_of_folder(
    files: Storage, root: Path, tmp_path: Path, key: str
) -> None:
    """No file outside the folder can be read or written through a symbolic link."""
    files.upload("a", b"")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    (root / "link").symlink_to(outside / "file")
    (root / "way").symlink_to(outside)
    for verb in (files.head, files.download, files.delete):
        with pytest.raises(InvalidData, match="symbolic link"):
            verb(key)
    with pytest.raises(InvalidData, match="symbolic link"):
        files.upload(key, b"evil")
    with pytest.raises(InvalidData, match="symbolic link"):
        files.copy("a", key)
    assert b"secret" == (outside / "file").read_bytes()
    assert ["a"] == [item.key for item in files.list().objects]


def test_file_path_follows_from_the_key(files: Storage, root: Path) -> None:
    """An object's path follows from its key; after its deletion no file of it is left."""
    files.upload("in/a.txt", b"bytes")
    assert b"bytes" == (root / "in" / "a.txt").read_bytes()
    assert [] == list((root / ".moorage" / "coming").iterdir())
    files.delete("in/a.txt")
    assert not (root / "in").exists()
    assert [] == [path for path in (root / ".moorage" / "said").rglob("*") if path.is_file()]


def test_overwritten_file_is_read_without_earlier_metadata(files: Storage, root: Path) -> None:
    """A file that another program overwrote is read, without the earlier metadata and checksum."""
    files.upload("a", b"ours", PutOptions(content_type="text/plain", metadata={"x": "y"}))
    (root / "b").write_bytes(b"theirs")
    (root / "a").write_bytes(b"changed")
    assert (b"theirs", b"changed") == (
        files.download("b").read_all(),
        files.download("a").read_all(),
    )
    head = files.head("a")
    assert ("application/octet-stream", {}, ()) == (
        head.content_type,
        head.metadata,
        head.checksums,
    )


def test_list_of_a_missing_folder_is_empty(files: Storage) -> None:
    """The list of a folder that does not exist yet is empty."""
    assert () == files.list().objects


def test_broken_metadata_is_ignored(files: Storage, root: Path) -> None:
    """An unreadable metadata file is ignored."""
    files.upload("a", b"ours", PutOptions(content_type="text/plain"))
    (message,) = (path for path in (root / ".moorage" / "said").rglob("*.json"))
    message.write_text("{")
    assert "application/octet-stream" == files.head("a").content_type


def test_file_whose_bytes_changed_on_disk_fails_at_end_of_its_download(
    files: Storage, root: Path
) -> None:
    """If a file's bytes changed on the disk, its download fails at the end."""
    files.upload("a", b"good")
    result = (root / "a").stat()
    with (root / "a").open("r+b") as file:
        file.write(b"evil")
    os.utime(root / "a", ns=(result.st_atime_ns, result.st_mtime_ns))
    with pytest.raises(VendorFailed, match="checksum"):
        files.download("a").read_all()


def test_file_that_is_truncated_during_download_raises_error(files: Storage, root: Path) -> None:
    """A file that is truncated during a download raises an error."""
    files.upload("a", DATA * 500)
    download = files.download("a")
    assert download.read()
    os.truncate(root / "a", 10)
    with pytest.raises(ConnectorError):
        download.read_all()


def test_open_download_survives_a_replacement(files: Storage) -> None:
    """If a file is replaced, a download in progress goes on with the old file."""
    files.upload("a", DATA * 500)
    with files.download("a") as download:
        first = download.read()
        files.upload("a", b"other")
        assert DATA * 500 == first + download.read_all()


@pytest.mark.parametrize("key", ["a/b", "folder"], ids=["below a file", "a folder"])
def test_keys_that_collide_with_files_or_folders_are_refused(files: Storage, key: str) -> None:
    """A key that names a folder or lies below a file can be neither uploaded nor read."""
    files.upload("a", b"")
    files.upload("folder/x", b"")
    with pytest.raises(InvalidRequest, match="at the path of"):
        files.upload(key, b"")
    assert not files.exists(key)
    files.delete(key)
    assert (True, True) == (files.exists("a"), files.exists("folder/x"))
    with pytest.raises(VendorRejected) as excinfo:
        files.upload(key, b"", PutOptions(if_match="*"))
    assert 412 == excinfo.value.status


def test_damaged_part_fails_completion_of_upload(files: Storage, root: Path) -> None:
    """If a part is damaged, the upload cannot be completed; sending the part again replaces it."""
    start_upload = files.start_upload("a")
    with pytest.raises(RuntimeError, match="broke"):
        files.upload("a", _breaking_stream(DATA[::-1]), part_size=PART, resume=start_upload.ref)
    with pytest.raises(RuntimeError, match="broke"):
        files.upload("a", _breaking_stream(DATA), part_size=PART, resume=start_upload.ref)
    home_directory = root / ".moorage" / "uploads" / start_upload.id
    names = sorted(path.name for path in home_directory.iterdir())
    assert ["00001", "00002", "said"] == [name.partition(".")[0] for name in names]
    (home_directory / names[0]).write_bytes(b"x" * PART)
    with pytest.raises(VendorRejected) as excinfo:
        files.upload("a", DATA, part_size=PART, resume=start_upload.ref)
    assert "BadDigest" == excinfo.value.vendor_code
    assert not files.exists("a")


def _breaking_stream(data: bytes) -> Iterator[bytes]:
    yield data[: 2 * PART]
    raise RuntimeError("the source broke")


def test_upload_has_its_own_id_and_one_key(files: Storage, root: Path) -> None:
    """An upload has its own id and one key; lists of uploads skip unreadable uploads."""
    start_upload = files.start_upload("a")
    assert [] == files.list_stale_uploads("b")
    for id_, key in (("../../a", "a"), ("0" * 32, "a"), (start_upload.id, "b")):
        ref = f"local_files:files:{key}?upload={id_.replace('/', '%2F')}"
        with pytest.raises(VendorRejected) as excinfo:
            files.upload(key, b"", resume=ref)
        assert "NoSuchUpload" == excinfo.value.vendor_code
        files.abort_upload(ref)
    (root / ".moorage" / "uploads" / ("1" * 32)).mkdir()
    assert [start_upload.ref] == [upload.ref for upload in files.list_stale_uploads()]


@pytest.mark.parametrize(
    "since,until,outcome",
    [(-1, None, b"x"), (1, None, b""), (None, 1, b"x"), (None, -1, None)],
    ids=["changed", "not changed", "as it was", "not as it was"],
)
def test_time_conditions_of_downloads_are_respected(
    files: Storage, since: int | None, until: int | None, outcome: bytes | None
) -> None:
    """A file that was not modified since the given time is not sent."""
    files.upload("a", b"x")
    put = files.head("a").last_modified
    assert put is not None
    moments = [None if hours is None else put + timedelta(hours=hours) for hours in (since, until)]
    time_conditions: dict[str, Any] = {
        "if_modified_since": moments[0],
        "if_unmodified_since": moments[1],
    }
    if outcome is None:
        with pytest.raises(VendorRejected):
            files.download("a", **time_conditions)
    else:
        assert outcome == files.download("a", **time_conditions).read_all()


def test_special_files_are_ignored(files: Storage, root: Path) -> None:
    """Files and folders are listed in key order; pipes and other special files are ignored."""
    for key in ("b", "a/x", "a.b"):
        files.upload(key, b"")
    (root / "empty").mkdir()
    os.mkfifo(root / "pipe")
    page = files.list(delimiter="/")
    assert (["a.b", "b"], ("a/",)) == ([item.key for item in page.objects], page.prefixes)
    with pytest.raises(FileNotFound):
        files.download("pipe")
    with pytest.raises(InvalidRequest, match="cursor"):
        files.list(cursor="?")


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\\b", b".MOORAGE/a"])
def test_foreign_file_names_are_not_listed(files: Storage, root: Path, name: bytes) -> None:
    """A file whose name cannot be a key is not listed."""
    files.upload("b", b"")
    other_path = root / os.fsdecode(name)
    other_path.parent.mkdir(exist_ok=True)
    other_path.touch()
    assert ["b"] == [item.key for item in files.list().objects]


def test_no_partial_file_is_left_if_disk_is_full(tmp_path: Path) -> None:
    """If the disk is full, no partial file is left."""
    code = (
        "import resource, sys; from moorage.adapters.files.whole_files import WholeFile;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "file = WholeFile(sys.argv[1]).__enter__(); file.write(b'a' * 1200);"
        "file.__exit__(None, None, None)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)
    assert [] == list(tmp_path.iterdir())


@interrupted.UNTIDY
def test_interrupted_writing_leaves_no_partial_file(tmp_path: Path) -> None:
    """If Ctrl-C interrupts a write at any point, the file has the old content or the new."""
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def write() -> None:
        with WholeFile(target) as file:
            file.write(b"new")
            file.keep()

    point = 1
    while interrupted.interrupt_at(point, write):
        assert ["a"] == [path.name for path in tmp_path.iterdir()]
        assert target.read_bytes() in {b"old", b"new"}
        target.write_bytes(b"old")
        point += 1
    assert b"new" == target.read_bytes()


def test_signed_url_allows_only_its_operation(root: Path) -> None:
    """A signed URL allows only its operation, until it expires."""
    vendor = folder(root)
    with Hub([Account("files", vendor)]) as hub:
        signed_url = hub.storage().signed_url("a b", "PUT", expires=60, content_type="a/b")
        plain_url = hub.storage().signed_url("a b", "DELETE")
    assert ("PUT", {"Content-Type": "a/b"}, {}) == (
        signed_url.method,
        signed_url.headers,
        plain_url.headers,
    )
    now = signed_url.expires_at - timedelta(seconds=59)
    grant = vendor.allowed("PUT", signed_url.url.removeprefix("https://erp.example"), now=now)
    assert ("a b", "PUT", "a/b", None) == (
        grant.key,
        grant.method,
        grant.content_type,
        grant.content_disposition,
    )
    evil = signed_url.url.replace("PUT", "GET")
    for method, url, check_time in (
        ("GET", signed_url.url, now),
        ("GET", evil, now),
        ("PUT", signed_url.url.replace("a%20b", "a%20c"), now),
        ("PUT", signed_url.url.replace("signature=", "signature=0"), now),
        ("PUT", signed_url.url.partition("&signature")[0], now),
        ("PUT", signed_url.url, signed_url.expires_at),
        ("PUT", "https://erp.example/files/a%20b", now),
        ("PUT", "//[a", now),
        ("PUT", signed_url.url.replace("signature=", "signature=\udc80"), now),
    ):
        with pytest.raises(AuthenticationFailed):
            vendor.allowed(method, url, now=check_time)


def test_signing_needs_a_key_and_a_url(root: Path) -> None:
    """Signing URLs requires a signing key and a base URL."""
    vendor = LocalFiles(root=root)
    with Hub([Account("files", vendor)]) as hub, pytest.raises(ConfigurationError):
        hub.storage().signed_url("a")
    with pytest.raises(ConfigurationError):
        vendor.allowed("GET", "/a", now=NOON)


@pytest.mark.parametrize(
    "error,kind,retryable",
    [
        (FileNotFoundError(errno.ENOENT, "gone"), FileNotFound, False),
        (PermissionError(errno.EACCES, "denied"), AuthenticationFailed, False),
        (NotADirectoryError(errno.ENOTDIR, "no"), InvalidRequest, False),
        (OSError(errno.ENOSPC, "full"), VendorFailed, False),
        (OSError(errno.EIO, "broken"), VendorFailed, True),
        (OSError("odd"), VendorFailed, True),
    ],
    ids=["missing", "denied", "folder", "full", "broken", "odd"],
)
def test_operating_system_error_is_converted_to_moorage_error(
    error: OSError, kind: type[ConnectorError], retryable: bool
) -> None:
    """An operating-system error is converted to a moorage error that does not show the path."""

    @mapping_errors
    def raise_system_error() -> None:
        error.filename = "/secret/path"
        raise error

    with pytest.raises(kind) as excinfo:
        raise_system_error()
    assert retryable == excinfo.value.retryable
    assert "secret" not in str(excinfo.value)


def test_failed_deletion_does_not_stop_the_batch(files: Storage, root: Path) -> None:
    """In a batch, a failed deletion does not stop the other deletions."""
    files.upload("a", b"")
    files.upload("b", b"")
    (root / "link").symlink_to(root / "a")
    assert [True, False, True] == [file.ok for file in files.delete_many(["a", "link", "b"])]


def test_download_to_file_that_fails_leaves_existing_file_unchanged(
    files: Storage, tmp_path: Path
) -> None:
    """If a download to a file fails, the existing file stays unchanged."""
    target = tmp_path / "target"
    files.upload("a", b"new")
    files.download_to(target, "a")
    assert b"new" == target.read_bytes()
    with pytest.raises(FileNotFound):
        files.download_to(target, "missing")
    with WholeFile(target) as file:
        file.write(b"half")
    assert b"new" == target.read_bytes()
    assert ["files", "target"] == sorted(path.name for path in tmp_path.iterdir())


def test_processes_share_a_folder(root: Path) -> None:
    """Processes that share a folder see each other's files, and their conditional writes work."""
    single_folder, second_folder = LocalFolder(folder(root)), LocalFolder(folder(root))
    put = single_folder.put("a", b"x", {"content_type": "a/b"}, (None, "*"))
    assert put == second_folder.head("a")
    with pytest.raises(VendorRejected):
        second_folder.put("a", b"y", {}, (None, "*"))
    json.dumps(dict(put.metadata))


def test_part_that_is_uploaded_twice_at_the_same_time_exists(root: Path) -> None:
    """If two clients upload one part at the same time, one of both contents stays."""
    clients = [LocalFolder(folder(root)) for _ in range(2)]
    upload = clients[0].start("a", {})
    with ThreadPoolExecutor(2) as executor:
        for number in range(1, 101):
            futures = [
                executor.submit(client.put_part, upload, "a", number, bytes([place]))
                for place, client in enumerate(clients)
            ]
            digests = {future.result() for future in futures}
            *_, last_part = clients[0].parts(upload, "a")
            assert number == last_part[0]
            assert last_part[2] in digests
    assert 100 == len(clients[0].parts(upload, "a"))


def test_key_with_a_surrogate_is_refused(root: Path) -> None:
    """A key that has no encoding in UTF-8 is refused like other keys that no file can have."""
    with pytest.raises(InvalidData, match="surrogate code point"):
        LocalFolder(folder(root)).open("\ud800")


def test_refused_download_closes_its_file(files: Storage) -> None:
    """A refused download closes its file."""
    files.upload("a", b"x")
    with pytest.raises(VendorRejected):
        files.download("a", if_match="other")
