"""Storage on fsspec filesystems: whole files, errors, timeouts, connections and secrets."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from fsspec import register_implementation
from fsspec.implementations.local import LocalFileSystem

import moorage
from moorage.adapters.files.fsspec_connections import Connections
from moorage.adapters.files.fsspec_transport import AsyncFsspecTransport, FsspecTransport
from moorage.config import read_configuration
from moorage.contracts.routes import Account
from moorage.contracts.storage import ByteRange, PutOptions
from moorage.domain.resilience.retry import RetryPolicy
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    FileNotFound,
    InvalidRequest,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import AsyncHub, Hub
from moorage.vendors.storage.fsspec import Fsspec
from tests.adapters.forked import run_in_forked_child
from tests.storage.file_servers import PASSWORD, server
from tests.storage.harnesses import PART, bytes_of, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.operations.storage import Storage

ONCE = {"retry": RetryPolicy(max_attempts=1), "circuit": None}
KINDS = ("sftp", "ftp", "webdav")


class MisbehavingFilesystem(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A local filesystem on which chosen operations fail or never end."""

    protocol = "misbehaving"
    cachable = False
    failing: dict[str, BaseException] = {}  # noqa: RUF012 - set by tests
    stalled = Event()
    may_continue = Event()

    def _fail(self, operation: str) -> None:
        error = self.failing.get(operation)
        if error is not None:
            raise error
        if operation in self.failing:
            self.stalled.set()
            self.may_continue.wait(120)

    def info(self, path: str, **keywords: Any) -> Any:
        """Return the description of a file."""
        self._fail("info")
        return super().info(path, **keywords)

    def mkdir(self, path: str, create_parents: bool = True, **keywords: Any) -> None:  # noqa: FBT002 - the base's
        """Create a folder, or fail as if another process had just created it."""
        super().mkdir(path, create_parents, **keywords)
        self._fail("mkdir")

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("misbehaving://").rstrip("/")

    def mv(self, path1: str, path2: str, **keywords: Any) -> None:
        """Rename a file, or fail as configured."""
        if Path(path2).exists():
            self._fail("replace")
        self._fail("mv")
        Path(path1).replace(path2)

    def rm_file(self, path: str) -> None:
        """Delete a file, or fail as configured."""
        self._fail("rm_file")
        Path(path).unlink()


register_implementation("misbehaving", MisbehavingFilesystem, clobber=True)


@pytest.fixture
def failing_filesystem() -> Iterator[dict[str, Any]]:
    """Yield the operations that fail, each with its error; with None, an operation never ends."""
    MisbehavingFilesystem.stalled.clear()
    MisbehavingFilesystem.may_continue.clear()
    yield MisbehavingFilesystem.failing
    MisbehavingFilesystem.failing.clear()
    MisbehavingFilesystem.may_continue.set()


@pytest.fixture
def files(tmp_path: Path, failing_filesystem: dict[str, Any]) -> Iterator[Storage]:
    """Return the storage operations over the misbehaving filesystem."""
    vendor = Fsspec(url=f"misbehaving://{tmp_path}/files")
    with Hub([Account("files", vendor, settings=ONCE)]) as hub:
        yield hub.storage()


# --- whole files ------------------------------------------------------------


def test_failed_write_leaves_the_old_file(
    files: Storage, failing_filesystem: dict[str, Any], tmp_path: Path
) -> None:
    """If a write fails before its end, the old file stays, and no temporary file is left."""
    files.upload("a", b"old")
    failing_filesystem["mv"] = OSError(5, "canary")
    with pytest.raises(VendorFailed) as excinfo:
        files.upload("a", b"new")
    assert "canary" not in repr(excinfo.value)
    failing_filesystem.clear()
    assert b"old" == files.download("a").read_all()
    assert [] == list((tmp_path / "files" / ".moorage" / "coming").iterdir())


def test_outcome_of_a_broken_rename_is_open(
    files: Storage, failing_filesystem: dict[str, Any]
) -> None:
    """If the connection breaks during the final rename, the outcome is unknown."""
    failing_filesystem["mv"] = ConnectionResetError("canary")
    with pytest.raises(ConnectionFailed) as excinfo:
        files.upload("a", b"")
    assert excinfo.value.may_have_been_processed
    failing_filesystem.clear()
    failing_filesystem["info"] = ConnectionResetError("canary")
    with pytest.raises(ConnectionFailed) as excinfo:
        files.upload("a", b"")
    assert not excinfo.value.may_have_been_processed


def test_old_file_is_deleted_if_rename_cannot_replace_it(
    files: Storage, failing_filesystem: dict[str, Any]
) -> None:
    """On a filesystem that cannot rename over a file, the old file is deleted first."""
    files.upload("a", b"old")
    failing_filesystem["replace"] = FileExistsError()
    files.upload("a", b"new")
    assert b"new" == files.download("a").read_all()


def test_folder_that_another_process_has_just_created_is_used(
    files: Storage, failing_filesystem: dict[str, Any]
) -> None:
    """If another process has just created the folder, it is used; other failures are errors."""
    failing_filesystem["mkdir"] = FileExistsError()
    files.upload("in/a", b"bytes")
    assert b"bytes" == files.download("in/a").read_all()


def test_folder_that_the_system_forbids_raises_an_error(files: Storage, tmp_path: Path) -> None:
    """A folder that the system forbids to create raises an error."""
    (tmp_path / "files").symlink_to(tmp_path / "missing")
    with pytest.raises(ConnectorError):
        files.upload("a", b"")


def test_folders_are_not_files(files: Storage) -> None:
    """A key below a file or equal to a folder is refused, and a folder does not count as a file."""
    files.upload("a/b", b"")
    for key in ("a", "a/b/c"):
        with pytest.raises(InvalidRequest):
            files.upload(key, b"")
    with pytest.raises(FileNotFound):
        files.head("a")
    files.delete("a")
    assert files.exists("a/b")


def test_file_of_another_program_is_listed_without_old_metadata(
    files: Storage, tmp_path: Path
) -> None:
    """A file that another program wrote is listed without the metadata of an earlier file."""
    files.upload("a", b"ours", PutOptions(content_type="text/plain"))
    root = tmp_path / "files"
    (root / "a").write_bytes(b"of others")
    (root / "link").symlink_to(root / "a")
    assert "application/octet-stream" == files.head("a").content_type
    assert b"of others" == files.download("a").read_all()
    assert ["a"] == [item.key for item in files.list().objects]
    (metadata,) = (root / ".moorage" / "said").rglob("*.json")
    metadata.write_text("{")
    assert "application/octet-stream" == files.head("a").content_type


def test_download_of_a_changing_file_fails(tmp_path: Path) -> None:
    """If a file changes during a download, the download fails instead of mixing two versions."""
    transport = FsspecTransport(Fsspec(url=f"file://{tmp_path}"))
    transport.put("a", b"first", {}, (None, None))
    file = transport.open("a")
    assert b"irs" == transport.read(file, 1, 3)
    transport.put("a", b"other bytes", {}, (None, None))
    with pytest.raises(VendorRejected, match="changed") as excinfo:
        transport.read(file, 0, 5)
    assert 412 == excinfo.value.status
    transport.close()


def test_damaged_upload_part_is_detected_when_upload_is_completed(
    files: Storage, tmp_path: Path
) -> None:
    """A damaged upload part is detected when the upload is completed."""
    upload = files.start_upload("a")
    data = bytes_of(2 * PART + 1)

    def yield_broken_part() -> Iterator[bytes]:
        yield data[: 2 * PART]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.upload("a", yield_broken_part, resume=upload.ref, part_size=PART)
    (first,) = (tmp_path / "files" / ".moorage" / "uploads" / upload.id).glob("00001.*")
    first.write_bytes(b"x" * PART)
    with pytest.raises(ConnectorError):
        files.upload("a", data, resume=upload.ref, part_size=PART)
    assert not files.exists("a")


def test_part_that_is_uploaded_again_replaces_first(tmp_path: Path) -> None:
    """A part that is uploaded again replaces the first; unknown uploads are refused."""
    transport = FsspecTransport(Fsspec(url=f"file://{tmp_path}"))
    id_ = transport.start("a", {})
    transport.put_part(id_, "a", 1, b"first")
    digest = transport.put_part(id_, "a", 1, b"second")
    assert [(1, 6, digest)] == transport.parts(id_, "a")
    with pytest.raises(VendorRejected, match="part 2"):
        transport.complete(id_, "a", [(2, digest)], (None, None))
    for other in ("b", "../x"):
        with pytest.raises(VendorRejected, match="does not exist"):
            transport.parts(other, "a")
    transport.close()


def test_upload_succeeds_even_if_its_parts_cannot_be_removed(
    files: Storage, failing_filesystem: dict[str, Any]
) -> None:
    """A completed upload succeeds even if its parts cannot be removed."""
    data = bytes_of(PART + 1)
    failing_filesystem["rm_file"] = OSError(5, "")
    assert len(data) == files.upload("a", data, part_size=PART).size


# --- servers ----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_password_is_refused_and_does_not_appear_in_error(kind: str, tmp_path: Path) -> None:
    """A wrong password is refused and does not appear in the error."""
    with server(kind, tmp_path, password="canary-wrong") as vendor:
        hub = Hub([Account("files", vendor, settings=ONCE)])
        with hub, pytest.raises(AuthenticationFailed) as excinfo:
            hub.storage().upload("a", b"")
        assert "canary" not in repr(vendor) + repr(excinfo.value) + repr(excinfo.value.__context__)


@pytest.mark.untraced
@pytest.mark.parametrize("kind", KINDS)
def test_large_file_is_read_back_from_server_unchanged(kind: str, tmp_path: Path) -> None:
    """A large file is read back from a server unchanged, as a whole and in part."""
    data = bytes_of(9_000_000)
    with server(kind, tmp_path) as vendor, Hub([Account("files", vendor)]) as hub:
        files = hub.storage()
        files.upload("large", data, part_size=4_000_000)
        assert data == files.download("large").read_all()
        part = files.download("large", range=ByteRange(5_000_000, 10)).read_all()
        assert data[5_000_000:5_000_010] == part


def test_error_says_that_nothing_was_processed_if_server_cannot_be_reached() -> None:
    """If a server cannot be reached, the error says that nothing was processed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    vendor = Fsspec(url=f"ftp://127.0.0.1:{port}/")
    hub = Hub([Account("files", vendor, settings=ONCE)])
    with hub, pytest.raises(ConnectionFailed) as excinfo:
        hub.storage().upload("a", b"")
    assert not excinfo.value.may_have_been_processed


class _QuietHandler(SimpleHTTPRequestHandler):
    """An HTTP server of a folder that does not support ranges, and does not log."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's
        pass


def test_files_over_http_can_be_read_but_not_written(tmp_path: Path) -> None:
    """Over HTTP, files can be read and listed, whole or in part, but not written."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.txt").write_bytes(b"bytes")
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(tmp_path)))
    thread = Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    vendor = Fsspec(url=f"http://127.0.0.1:{web.server_port}")
    try:
        with Hub([Account("files", vendor, settings=ONCE)]) as hub:
            files = hub.storage()
            assert b"bytes" == files.download("in/a b.txt").read_all()
            assert b"yt" == files.download("in/a b.txt", range=ByteRange(1, 2)).read_all()
            with pytest.raises(FileNotFound):
                files.head("none")
            with pytest.raises(UnsupportedByVendor):
                files.upload("b", b"")
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


# --- time limits ------------------------------------------------------------


def _may_have_happened(error: ConnectorError) -> bool:
    assert isinstance(error, (ConnectionFailed, DeadlineExceeded))
    return error.may_have_been_processed


def test_operation_beyond_its_timeout_fails(
    files: Storage, failing_filesystem: dict[str, Any]
) -> None:
    """An operation beyond its timeout fails, and the error says what may have happened."""
    files.upload("a", b"")
    failing_filesystem["info"] = None
    with pytest.raises(ConnectorError) as excinfo:
        files.head("a", timeout=0.2)
    assert not _may_have_happened(excinfo.value)
    assert MisbehavingFilesystem.stalled.is_set()
    failing_filesystem.clear()
    failing_filesystem["mv"] = None
    with pytest.raises(ConnectorError) as excinfo:
        files.upload("b", b"", timeout=0.2)
    assert _may_have_happened(excinfo.value)


def test_connection_that_opens_after_its_timeout_is_closed(
    failing_filesystem: dict[str, Any],
) -> None:
    """A connection that opens after its timeout is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        vendor = Fsspec(url=f"ftp://127.0.0.1:{listener.getsockname()[1]}/")
        with Hub([Account("files", vendor, settings=ONCE)]) as hub:
            with pytest.raises(ConnectorError):
                hub.storage().head("a", timeout=0.2)
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"220 hello\r\n")
                assert peer.recv(100).startswith(b"USER")
                peer.sendall(b"230 come in\r\n")
                assert b"" == peer.recv(100)


def test_cancelled_asynchronous_operation_ends_at_once(
    tmp_path: Path, failing_filesystem: dict[str, Any]
) -> None:
    """A cancelled asynchronous operation ends at once."""
    failing_filesystem["info"] = None

    async def flow() -> None:
        vendor = Fsspec(url=f"misbehaving://{tmp_path}/files")
        async with AsyncHub([Account("files", vendor, settings=ONCE)]) as hub:
            with pytest.raises(ConnectorError):
                await hub.storage().head("a", timeout=0.2)
            task = asyncio.ensure_future(hub.storage().head("a"))
            await asyncio.to_thread(MisbehavingFilesystem.stalled.wait, 120)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(flow())


# --- threads ----------------------------------------------------------------


def _fsspec_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "moorage-fsspec"}


def _open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_successive_operations_share_a_thread(tmp_path: Path) -> None:
    """Ten thousand operations need only one thread at most, which ends with its transport."""
    earlier_threads = _fsspec_threads()
    transport = FsspecTransport(Fsspec(url=f"memory://{tmp_path}"))
    transport.put("a", b"bytes", {}, (None, None))
    descriptors = _open_files()
    for _ in range(10_000):
        transport.within(60.0).head("a")
    (thread,) = _fsspec_threads() - earlier_threads
    assert descriptors == _open_files()
    transport.close()
    thread.join(60)
    assert not thread.is_alive()


def test_operation_that_hangs_delays_no_other(
    tmp_path: Path, failing_filesystem: dict[str, Any]
) -> None:
    """If the library hangs, its thread is abandoned, and later operations use another one."""
    earlier_threads = _fsspec_threads()
    transport = FsspecTransport(Fsspec(url=f"misbehaving://{tmp_path}"))
    transport.put("a", b"bytes", {}, (None, None))
    failing_filesystem["info"] = None
    for _ in range(2):
        with pytest.raises(AttemptTimeout):
            transport.within(0.05).head("a")
    failing_filesystem.clear()
    for _ in range(10):
        assert 5 == transport.within(60.0).head("a").size
    hanging = _fsspec_threads() - earlier_threads
    assert 3 == len(hanging)
    transport.close()
    MisbehavingFilesystem.may_continue.set()
    for thread in hanging:
        thread.join(60)
        assert not thread.is_alive()


def test_operation_that_was_given_up_changes_nothing(
    tmp_path: Path, failing_filesystem: dict[str, Any]
) -> None:
    """An operation whose caller was told that nothing happened changes nothing later either."""
    earlier_threads = _fsspec_threads()
    transport = FsspecTransport(Fsspec(url=f"misbehaving://{tmp_path}"))
    transport.put("a", b"old", {}, (None, None))
    failing_filesystem["info"] = None
    changes: tuple[tuple[Any, ...], ...] = (("put", "a", b"", {}, (None, None)), ("delete", "a"))
    for verb, *arguments in changes:
        with pytest.raises(AttemptTimeout) as excinfo:
            getattr(transport.within(0.05), verb)(*arguments)
        assert not excinfo.value.may_have_been_processed
    failing_filesystem.clear()
    transport.close()
    MisbehavingFilesystem.may_continue.set()
    for thread in _fsspec_threads() - earlier_threads:
        thread.join(60)
        assert not thread.is_alive()

    assert b"old" == (tmp_path / "a").read_bytes()


def test_forked_process_reads_and_writes_without_threads_of_its_parent(tmp_path: Path) -> None:
    """A forked process reads and writes without the threads of its parent."""
    transport = FsspecTransport(Fsspec(url=f"file://{tmp_path}"))
    transport.put("a", b"bytes", {}, (None, None))

    def size_in_child() -> int:
        size: int = transport.within(60.0).head("a").size
        return size

    assert 5 == run_in_forked_child(size_in_child) == size_in_child()
    transport.close()


def test_worker_thread_continues_after_its_event_loop_has_ended(
    tmp_path: Path, failing_filesystem: dict[str, Any]
) -> None:
    """If a worker thread's event loop has ended, it goes on with another loop's operations."""
    transport = AsyncFsspecTransport(Fsspec(url=f"misbehaving://{tmp_path}"))
    earlier_threads = _fsspec_threads()

    async def leave_operation() -> None:
        failing_filesystem["info"] = None
        task = asyncio.ensure_future(transport.head("a"))
        await asyncio.to_thread(MisbehavingFilesystem.stalled.wait, 120)
        task.cancel()

    async def put() -> None:
        await transport.put("a", b"", {}, (None, None))
        await transport.aclose()

    run(leave_operation())
    failing_filesystem.clear()
    MisbehavingFilesystem.may_continue.set()
    run(put())
    for thread in _fsspec_threads() - earlier_threads:
        thread.join(60)
        assert not thread.is_alive()


def test_exit_in_an_operation_is_raised_in_its_caller(
    tmp_path: Path, failing_filesystem: dict[str, Any]
) -> None:
    """A BaseException such as SystemExit reaches the caller, and the transport can be closed."""
    transport = FsspecTransport(Fsspec(url=f"misbehaving://{tmp_path}"))
    failing_filesystem["info"] = SystemExit("No.")
    with pytest.raises(SystemExit, match="No"):
        transport.within(60.0).head("a")
    transport.close()


# --- connections ------------------------------------------------------------


def test_connections_are_kept_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limited number of idle connections is reused in each process, and closed at the end."""
    connections = Connections(Fsspec(url=f"file://{tmp_path}"))
    taken_connections = [connections.take() for _ in range(9)]
    for connection in taken_connections:
        connections.give_back(connection)
    assert connections.take() is taken_connections[7]
    monkeypatch.setattr("moorage.adapters.files.fsspec_connections.os.getpid", lambda: -1)
    assert connections.take() not in taken_connections
    connections.close()
    connections.give_back(taken_connections[0])
    assert connections.take() is not taken_connections[0]


def test_asynchronous_transport_closes(tmp_path: Path) -> None:
    """The asynchronous transport closes its connections."""

    async def flow() -> bytes:
        transport = AsyncFsspecTransport(Fsspec(url=f"file://{tmp_path}"))
        await transport.put("a", b"bytes", {}, (None, None))
        content: bytes = await transport.read(await transport.open("a"), 0, 5)
        await transport.aclose()
        return content

    assert b"bytes" == run(flow())


# --- configuration ----------------------------------------------------------


@pytest.mark.parametrize(
    "options, path",
    [
        ({"url": "files"}, "url"),
        ({"url": "simplecache::sftp://host/a"}, "url"),
        ({"url": "sftp://erp:canary@host/a"}, "url"),
        ({"url": "sftp://[canary/a"}, "url"),
        ({"url": "ftp://host/a", "options": {"password": "canary"}}, "options.password"),
        (
            {"url": "https://host/a", "options": {"headers": {"Authorization": "canary"}}},
            "options.headers.Authorization",
        ),
    ],
)
def test_url_without_known_filesystem_is_refused(options: dict[str, Any], path: str) -> None:
    """An unknown filesystem or a misplaced secret in a URL is refused without showing it."""
    with pytest.raises(ConfigurationError) as excinfo:
        Hub([Account("files", Fsspec(**options))])
    assert path == excinfo.value.path
    assert "canary" not in repr(excinfo.value)
    assert "canary" not in repr(Fsspec(**options))


@pytest.mark.parametrize(
    "options, path, words",
    [
        ({"url": "nothing://a"}, "options", "does not accept"),
        ({"url": "sftp://127.0.0.1/a", "options": {"nothing": 1}}, "options", "does not accept"),
        ({"url": "smb://host/a"}, "url", "not installed"),
    ],
)
def test_unknown_protocol_or_wrong_option_is_refused_with_a_remedy(
    options: dict[str, Any], path: str, words: str
) -> None:
    """An unknown protocol, a wrong option or a missing package is refused with a remedy."""
    hub = Hub([Account("files", Fsspec(**options), settings=ONCE)])
    with hub, pytest.raises(ConfigurationError, match=words) as excinfo:
        hub.storage().head("a")
    assert path == excinfo.value.path


def test_configured_account_gets_its_password_from_a_reference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An account in a configuration gets its password from a secret reference."""
    monkeypatch.setenv("FILES_PASSWORD", PASSWORD)
    with server("ftp", tmp_path) as vendor:
        table = {
            "kind": "fsspec",
            "url": vendor.url,
            "options": {"timeout": 10},
            "secrets": {"password": "secret://env/FILES_PASSWORD"},
        }
        configuration = {"storage": {"vendor": "outgoing"}, "vendors": {"outgoing": table}}
        assert PASSWORD not in json.dumps(configuration)
        offer = read_configuration(configuration)
        assert PASSWORD not in repr(offer)
        with moorage.open(configuration) as hub:
            hub.storage().upload("a", b"bytes")
            assert b"bytes" == hub.storage().download("a").read_all()


def test_conditional_write_is_refused(files: Storage) -> None:
    """The library fsspec has no conditional writes, so they are refused before anything is sent."""
    with pytest.raises(UnsupportedByVendor):
        files.upload("a", b"", PutOptions(if_none_match="*"))
