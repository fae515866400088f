"""Uploads and downloads of storage, independent of the vendor."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account, Route
from moorage.contracts.signed import PostOptions, check_expiry
from moorage.contracts.storage import (
    ByteRange,
    Checksum,
    ChecksumAlgorithm,
    GetOptions,
    Part,
    PutOptions,
    UrlOptions,
    check_prefix,
    part_size,
)
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    DeadlineExceeded,
    InvalidData,
    UnsupportedByVendor,
)
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.storage.s3 import S3Sandbox, error_xml
from tests.storage.harnesses import (
    PART,
    async_over_s3,
    bytes_of,
    folder,
    over_s3,
    pieces,
    s3,
    s3_account,
    sandbox,
)
from tests.storage.volume import VENDORS, measure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from moorage.operations.storage import Storage

DATA = bytes_of(3 * PART + 100)


@pytest.fixture
def files() -> Iterator[Storage]:
    """Return the storage operations of a hub."""
    with sandbox() as new_sandbox, over_s3(new_sandbox) as hub:
        yield hub.storage()


class _File(BytesIO):
    """A file that returns few bytes per read."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1_000))


@pytest.mark.parametrize(
    "source",
    [
        lambda: bytearray(DATA),
        lambda: memoryview(DATA),
        lambda: _File(DATA),
        lambda: lambda: _File(DATA),
        lambda: lambda: DATA,
        lambda: [DATA[:10], b"", DATA[10:]],
        lambda: pieces(DATA, 1),
    ],
    ids=["bytearray", "view", "file", "opener", "opened-bytes", "list", "single"],
)
def test_bytes_files_paths_iterables_and_functions_can_be_uploaded(
    files: Storage, source: Callable[[], Any]
) -> None:
    """Bytes, files, paths, iterables and functions can be uploaded."""
    assert len(DATA) == files.upload("a", source(), part_size=PART).size
    assert DATA == files.download("a").read_all()


_CANNOT = "The source must yield bytes, but it is {}.", "Pass bytes, a binary file, an iterator"
_GIVES = "The source must yield bytes, but it yielded {}.", "Open the file in binary mode"


@pytest.mark.parametrize(
    "source, kind, words",
    [
        (lambda: 7, "an int", _CANNOT),
        (lambda: "text", "a str", _CANNOT),
        (lambda: lambda: "text", "a str", _CANNOT),
        (lambda: StringIO("text"), "a str", _GIVES),
        (lambda: iter(["text"]), "a str", _GIVES),
        (lambda: iter([b"a", None, b"b"]), "a NoneType", _GIVES),
        (lambda: None, "a NoneType", _CANNOT),
    ],
    ids=["number", "text", "opened-text", "text-file", "texts", "gap", "nothing"],
)
def test_invalid_sources_are_refused(
    files: Storage, source: Callable[[], Any], kind: str, words: tuple[str, str]
) -> None:
    """A source of a type that provides no bytes is refused, and the error names the type."""
    result, remedy = words
    with pytest.raises(InvalidData) as excinfo:
        files.upload("a", source())
    assert (result.format(kind), "source") == (excinfo.value.message, excinfo.value.field)
    assert excinfo.value.remedy.startswith(remedy)
    assert not files.exists("a")


def test_asynchronous_source_is_refused_by_the_synchronous_api(files: Storage) -> None:
    """The synchronous API refuses an asynchronous source with an error."""

    async def source() -> AsyncIterator[bytes]:
        yield b"never read"

    with pytest.raises(ConfigurationError):
        files.upload("a", source())


def test_upload_that_takes_too_long_leaves_no_parts() -> None:
    """An upload that exceeds its timeout deletes the parts that it has sent."""
    clock = VirtualClock()

    def slow_source() -> Iterator[bytes]:
        for number in range(6):
            if number == 4:
                clock.advance(11)
            yield bytes_of(PART)

    with sandbox(now=clock.utc) as new_sandbox:
        http, sleeper = SandboxHttpClient(new_sandbox), VirtualSleeper(clock)
        with Hub([s3_account(new_sandbox)], http=http, clock=clock, sleeper=sleeper) as hub:
            files = hub.storage()
            with pytest.raises(DeadlineExceeded):
                files.upload("a", slow_source(), part_size=PART, at_once=1, timeout=10)

            assert [] == files.list_stale_uploads()


def test_cancelled_upload_deletes_its_parts() -> None:
    """A cancelled upload deletes the parts that it has sent."""

    async def flow() -> None:
        reached = asyncio.Event()

        async def stuck_source() -> AsyncIterator[bytes]:
            for piece in (DATA[:PART], DATA[:PART], DATA[:PART]):
                yield piece
            reached.set()
            await asyncio.Event().wait()

        with sandbox() as new_sandbox:
            async with async_over_s3(new_sandbox) as hub:
                upload = hub.storage().upload("a", stuck_source(), part_size=PART, at_once=1)
                task = asyncio.ensure_future(upload)
                await reached.wait()
                assert 1 == len(new_sandbox.uploads)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert {} == new_sandbox.uploads

    asyncio.run(flow())


def test_interrupted_upload_deletes_its_parts(files: Storage) -> None:
    """An upload that the user interrupts deletes the parts that it has sent."""

    def interrupted_source() -> Iterator[bytes]:
        yield DATA[: 3 * PART]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.upload("a", interrupted_source(), part_size=PART, at_once=1)

    assert [] == files.list_stale_uploads()


class _AwaitedFile:
    """A file with an asynchronous `read`, which records that it was closed."""

    def __init__(self) -> None:
        self._file = BytesIO(DATA)
        self.closed = False

    async def read(self, size: int) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self.closed = True


class _IterableOnly:
    """An asynchronous iterable that is not an iterator."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._all()

    async def _all(self) -> AsyncIterator[bytes]:
        for piece in pieces(DATA, 5_000):
            yield piece


def test_asynchronous_files_and_iterables_can_be_uploaded() -> None:
    """Asynchronous files and iterables can be uploaded; files that the upload opens are closed."""
    file = _AwaitedFile()

    async def open_file() -> _AwaitedFile:
        return file

    async def flow() -> None:
        with sandbox() as new_sandbox:
            async with async_over_s3(new_sandbox) as hub:
                for source in (open_file, _IterableOnly()):
                    await hub.storage().upload("a", source, part_size=PART)  # type: ignore[arg-type]  # whatever can be awaited
                    async with await hub.storage().download("a") as download:
                        assert DATA == await download.read_all()

    asyncio.run(flow())
    assert file.closed


def test_file_appears_only_once_its_download_is_complete(tmp_path: Path) -> None:
    """In sync and async mode, a file appears under its name only once its download is complete."""
    target = tmp_path / "a"

    async def flow(server: S3Sandbox) -> None:
        async with async_over_s3(server) as hub:
            info = await hub.storage().download_to(target, "a", range=ByteRange(1, 3))
            assert len(DATA) == info.size

    with sandbox() as new_sandbox, over_s3(new_sandbox) as hub:
        hub.storage().upload("a", DATA)
        asyncio.run(flow(new_sandbox))
        assert DATA[1:4] == target.read_bytes()
        hub.storage().download_to(target, "a")
        assert DATA == target.read_bytes()


def test_download_of_unchanged_object_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    """In sync and async mode, a file stays as it is if the condition finds no newer object."""
    target = tmp_path / "a"

    async def flow(server: S3Sandbox, etag: str) -> None:
        async with async_over_s3(server) as hub:
            assert etag == (await hub.storage().download_to(target, "a", if_none_match=etag)).etag

    with sandbox() as new_sandbox, over_s3(new_sandbox) as hub:
        hub.storage().upload("a", DATA)
        etag = hub.storage().download_to(target, "a").etag
        assert etag is not None
        assert etag == hub.storage().download_to(target, "a", if_none_match=etag).etag
        assert DATA == target.read_bytes()
        asyncio.run(flow(new_sandbox, etag))
        assert DATA == target.read_bytes()


def test_download_has_attributes_for_range_length_and_reference(files: Storage) -> None:
    """A download has attributes for its range, length and reference."""
    files.upload("a", b"0123456789")
    with files.download("a", range=ByteRange(2, 5)) as download:
        assert ("a", 10, 2, 5, True) == (
            download.info.key,
            download.info.size,
            download.start,
            download.length,
            download.modified,
        )
    assert b"" == download.read()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ByteRange(-1, 2),
        lambda: ByteRange(0, 0),
        lambda: ByteRange(1.5),  # type: ignore[arg-type]  # refused
        lambda: PutOptions(if_none_match="etag"),
        lambda: PutOptions(metadata={"Bad": "x"}),
        lambda: PutOptions(metadata={"x": "a\nb"}),
        lambda: PutOptions(metadata={"x": " a"}),
        lambda: PutOptions(content_type="a/b\r\nX: y"),
        lambda: PutOptions(content_disposition="a\nb"),
        lambda: PutOptions(cache_control=7),  # type: ignore[arg-type]  # refused
        lambda: UrlOptions(method="POST"),
        lambda: UrlOptions(content_disposition="a\r\nSet-Cookie: b"),
        lambda: UrlOptions(content_type="a\0"),
        lambda: PostOptions(smallest=5, largest=4),
        lambda: PostOptions(smallest=-1),
        lambda: PostOptions(largest=1.5),  # type: ignore[arg-type]  # refused
        lambda: PostOptions(content_type="a\n"),
        lambda: check_expiry(0),
        lambda: check_expiry(timedelta(days=8)),
        lambda: check_expiry(True),
        lambda: check_expiry("60"),  # type: ignore[arg-type]  # refused
        lambda: check_prefix("a\0"),
        lambda: part_size(None, 0),
    ],
)
def test_invalid_values_are_refused(make: Callable[[], object]) -> None:
    """An option with an impossible value is refused when the options are created."""
    with pytest.raises(InvalidData):
        make()


def test_part_size_grows_with_the_size_of_the_object() -> None:
    """For a large object the part size grows, so that the vendor's maximum of parts suffices."""
    eight = 8 * 1024 * 1024
    assert [eight, eight, 7, 2 * eight] == [
        part_size(None),
        part_size(10_000 * eight),
        part_size(100, 7),
        part_size(10_000 * eight + 1),
    ]


def test_stored_part_is_verified() -> None:
    """A stored part is verified by its checksum, or by an ETag that is its MD5."""
    md5 = Checksum.of("md5", b"abc").value
    sha = Checksum.of("sha256", b"abc")
    assert Part(number=1, size=3, etag=md5).holds(b"abc")
    assert not Part(number=1, size=3, etag=md5).holds(b"abd")
    assert not Part(number=1, size=4, etag=md5).holds(b"abc")
    assert Part(number=1, size=3, etag="opaque", checksum=sha).holds(b"abc")
    assert not Part(number=1, size=3, etag=md5, checksum=sha).holds(b"abd")


@pytest.mark.parametrize(
    "checksum",
    [Checksum(ChecksumAlgorithm.CRC64NVME, "00"), Checksum(ChecksumAlgorithm.MD5, "00", 3)],
    ids=["not made here", "of parts"],
)
def test_checksum_that_cannot_be_verified_is_refused(files: Storage, checksum: Checksum) -> None:
    """A checksum that cannot be verified during the upload is refused."""
    with pytest.raises(InvalidData, match="moorage cannot verify this") as excinfo:
        files.upload("a", b"", PutOptions(checksum=checksum))
    assert "checksum" == excinfo.value.field
    assert excinfo.value.remedy.startswith("Pass a checksum of all bytes, computed")


def test_source_that_differs_from_its_description_fails_the_upload(files: Storage) -> None:
    """If a source has another length or checksum than announced, the upload fails."""
    assert 3 == files.upload("a", iter([b"ab", b"c"]), length=3).size
    with pytest.raises(
        InvalidData, match=r"(^|\s)The source has 3 bytes, but its `length` is 4"
    ) as excinfo:
        files.upload("a", iter([b"ab", b"c"]), length=4)
    assert ("length", True) == (excinfo.value.field, "actual length" in excinfo.value.remedy)
    other_options = PutOptions(checksum=Checksum.of("sha256", b"other"))
    with pytest.raises(
        InvalidData, match="The source's checksum differs from the `checksum`"
    ) as excinfo:
        files.upload("a", b"abc", other_options)
    assert ("checksum", True) == (excinfo.value.field, "Find out" in excinfo.value.remedy)


def test_upload_can_be_resumed_only_under_its_own_key_and_with_its_own_reference(
    files: Storage,
) -> None:
    """An upload can be resumed only under its own key and with its own reference."""
    start_upload = files.start_upload("a")
    with pytest.raises(InvalidData, match="a different object key"):
        files.upload("b", b"", resume=start_upload.ref)
    info = files.upload("x", b"")
    with pytest.raises(InvalidData, match="not the reference of an upload"):
        files.abort_upload(info.ref)
    assert [start_upload.ref] == [
        upload.ref for upload in files.list_stale_uploads(older_than=-_HOUR)
    ]
    assert [] == files.list_stale_uploads(older_than=_HOUR)


_HOUR = timedelta(hours=1)


def test_resumed_upload_uses_the_size_of_the_stored_parts(files: Storage) -> None:
    """A resumed upload without a part size uses the stored parts' size, if that is larger."""
    start_upload = files.start_upload("a")
    assert len(DATA) == files.upload("a", DATA, resume=start_upload.ref).size


def test_failed_request_of_a_batch_deletion_fails_only_its_keys() -> None:
    """If one request of a batch deletion fails, only its keys are reported as failed."""
    keys = [f"k{number}" for number in range(1_001)]
    with sandbox() as new_sandbox, over_s3(new_sandbox) as hub:
        new_sandbox.fail(Response(403, body=error_xml("AccessDenied")))
        results = hub.storage().delete_many(keys, at_once=1)
        assert [False] * 1_000 + [True] == [result.ok for result in results]
        assert isinstance(results[0].error, AuthenticationFailed)
        assert [] == hub.storage().delete_many([])


def test_upload_fails_over_if_its_source_can_be_read_again(tmp_path: Path) -> None:
    """If an account fails, another gets the upload, provided that the source can be read again."""
    failing_account = Account(
        "down", s3(S3Sandbox(), endpoint="http://127.0.0.1:1"), settings=_ONCE
    )
    accounts = [failing_account, Account("files", folder(tmp_path))]
    with Hub(accounts, [Route("storage", ["down", "files"])]) as hub:
        files = hub.storage()
        assert "files" == files.upload("a", lambda: BytesIO(DATA)).ref.account
        assert "files" == files.upload("b", DATA).ref.account
        with pytest.raises(InvalidData, match="read") as excinfo:
            files.upload("c", BytesIO(DATA))
        assert ("source", True) == (excinfo.value.field, "opens the source" in excinfo.value.remedy)
        assert not files.exists(Ref("local_files", "files", "c"))


_ONCE = {"retry": None, "circuit": None}


def test_unsupported_options_are_refused(tmp_path: Path) -> None:
    """An unsupported option is refused, and the error lists the vendors that support it."""
    with Hub([Account("files", folder(tmp_path))]) as hub:
        files = hub.storage()
        with pytest.raises(UnsupportedByVendor) as excinfo:
            files.signed_post("a", largest=1)
        assert (("signed_post",), True) == (
            excinfo.value.capabilities,
            "s3" in excinfo.value.supported_by,
        )
        for info in (
            lambda: files.upload("a", b"", PutOptions(tags={"a": "b"})),
            lambda: files.download("a", version="1"),
            lambda: files.head("a", version="1"),
            lambda: files.delete("a", version="1"),
        ):
            with pytest.raises(UnsupportedByVendor):
                info()
    assert (
        frozenset({"range", "conditional_get", "versions"})
        == GetOptions(range=ByteRange(1), if_match="a", version="1").needs
    )


class _NoLocks:
    """Locks that no upload can acquire."""

    def acquire(self, name: str, holder: object, /, **_: Any) -> bool:
        return not name.startswith("upload ")

    def release(self, name: str, holder: object, /) -> None:
        pass


def test_wait_for_a_source_is_bounded() -> None:
    """Waiting for a slot to read the source ends at the timeout."""
    with (
        sandbox() as new_sandbox,
        Hub(
            [s3_account(new_sandbox)], http=SandboxHttpClient(new_sandbox), locks=_NoLocks()
        ) as hub,
        pytest.raises(DeadlineExceeded, match="a day"),
    ):
        hub.storage().upload("a", DATA, part_size=PART)


@pytest.mark.untraced
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of a process")
@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_large_objects_are_uploaded_and_downloaded_with_limited_memory(vendor: str) -> None:
    """Large objects are uploaded and downloaded with limited memory."""
    is_whole, up, failing_peak, *_ = measure(64, vendor)
    assert "True" == is_whole
    assert 64 * 1024 * 1024 > max(int(up), int(failing_peak))
