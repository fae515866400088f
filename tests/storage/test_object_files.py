"""Stored objects used as files and folders, at HTTP vendors and in a local folder."""

from __future__ import annotations

import asyncio
import gc
import io
import zipfile
from array import array
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.storage import ByteRange, ObjectInfo, PutOptions
from moorage.errors import (
    ConfigurationError,
    ConnectionFailed,
    FileNotFound,
    InvalidData,
    VendorRejected,
)
from moorage.hub.hub import AsyncHub, Hub
from moorage.operations import _object_files
from moorage.vendors.storage.azure_blob import AzureBlob
from moorage.vendors.storage.gcs import Gcs
from moorage.vendors.storage.local_files import LocalFiles
from moorage.vendors.storage.s3 import S3
from tests.storage.harnesses import PART, async_over_s3, bytes_of, folder, over_s3, sandbox

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer

    from moorage.operations.storage import Storage

DATA = bytes_of(3 * PART + 100)
KEYS = ["a.txt", "in/1.pdf", "in/2.txt", "in/x/3.pdf", "in/x/y/4.pdf", "out/5.pdf"]


@contextmanager
def local_files(root: Path) -> Generator[Storage]:
    """Return the storage operations of a local folder."""
    with Hub([Account("files", folder(root))]) as hub:
        yield hub.storage()


@pytest.fixture(params=["s3", "local"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Return the storage operations of S3 in memory, or those of a local folder."""
    with ExitStack() as scope:
        if request.param == "local":
            yield scope.enter_context(local_files(tmp_path / "files"))
        else:
            storage_sandbox = scope.enter_context(sandbox())
            yield scope.enter_context(over_s3(storage_sandbox)).storage()


def fill(files: Storage) -> None:
    """Store one object for each key."""
    for key in KEYS:
        files.upload(key, key.encode())


def test_walk_visits_each_folder(files: Storage) -> None:
    """Walking a storage yields each folder before its subfolders, with its objects in order."""
    fill(files)
    seen_values = [
        (prefix, folders, tuple(item.key for item in objects))
        for prefix, folders, objects in files.walk()
    ]
    assert [
        ("", ("in/", "out/"), ("a.txt",)),
        ("in/", ("in/x/",), ("in/1.pdf", "in/2.txt")),
        ("in/x/", ("in/x/y/",), ("in/x/3.pdf",)),
        ("in/x/y/", (), ("in/x/y/4.pdf",)),
        ("out/", (), ("out/5.pdf",)),
    ] == seen_values
    assert ["in/x/", "in/x/y/"] == [item.prefix for item in files.walk("in/x")]
    assert [("none/", (), ())] == [*files.walk("none")]
    with pytest.raises(InvalidData, match="must be a string"):
        next(files.walk(7))  # type: ignore[arg-type] # a mistake of a caller


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("in/*.pdf", ["in/1.pdf"]),
        ("in/**/*.pdf", ["in/1.pdf", "in/x/3.pdf", "in/x/y/4.pdf"]),
        ("*/[15].pdf", ["in/1.pdf", "out/5.pdf"]),
        ("a.txt", ["a.txt"]),
        ("none*", []),
    ],
)
def test_glob_finds_matching_keys(files: Storage, pattern: str, expected: list[str]) -> None:
    """A glob pattern finds the matching objects, in the order of their keys."""
    fill(files)
    assert expected == [item.key for item in files.glob(pattern)]


def test_pages_of_long_folders_are_joined() -> None:
    """Folders and matches are complete even if the vendor lists them in several pages."""
    with sandbox() as storage_sandbox, over_s3(storage_sandbox) as hub:
        files = hub.storage()
        for number in range(1_100):
            files.upload(f"in/{number:04}", b"x")
        [only_folder] = files.walk("in/")
        assert 1_100 == len(only_folder.objects)
        assert 110 == len([*files.glob("in/???7")])

        async def count() -> int:
            async with async_over_s3(storage_sandbox) as async_hub:
                return len([item async for item in async_hub.storage().glob("in/???7")])

        assert 110 == asyncio.run(count())


def test_file_is_read_from_any_position(files: Storage) -> None:
    """An object opened as a file can be read in order, from any position, and as an archive."""
    files.upload("data", DATA)
    with files.open("data") as file:
        assert (True, True) == (file.seekable(), file.readable())
        assert DATA[:10] == file.read(10)
        assert PART + 5 == file.seek(PART + 5)
        assert DATA[PART + 5 : PART + 9] == file.read(4)
        assert len(DATA) - 3 == file.seek(-3, io.SEEK_END)
        assert (DATA[-3:], b"") == (file.read(), file.read())
        file.seek(0)
        assert DATA == file.read()
        file.seek(len(DATA) + 10)
        assert b"" == file.read()
    assert file.closed
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr("one.txt", "1")
        entries.writestr("two.txt", "2" * 100_000)
    files.upload("archive.zip", archive.getvalue())
    with files.open("archive.zip") as file, zipfile.ZipFile(file) as zip_file:
        assert b"1" == zip_file.read("one.txt")


def test_seeking_to_current_position_keeps_download(files: Storage) -> None:
    """Seeking to the current position keeps the download; impossible positions are refused."""
    files.upload("data", DATA)
    with _object_files.ObjectReader(files, "data", files.head("data"), None) as file:
        assert DATA[:7] == file.read(7)
        assert (7, 7) == (file.seek(0, io.SEEK_CUR), file.tell())
        assert b"" == file.read(0)
        numbers = array("H", [0])
        assert 2 == file.readinto(numbers)
        assert DATA[7:9] == numbers.tobytes()
        for offset, whence in ((-1, io.SEEK_SET), (-10, io.SEEK_CUR), (0, 9)):
            with pytest.raises(OSError, match="negative"):
                file.seek(offset, whence)
    with files.open("data") as file:
        pass
    files.upload("empty", b"")
    with files.open("empty") as file:
        assert b"" == file.read()


def test_reader_without_a_size_ends_with_the_download(files: Storage) -> None:
    """If a vendor states no size, a file can be read, but not be seeked relative to its end."""
    files.upload("data", b"data")
    unsized = attrs.evolve(files.head("data"), size=None)
    with _object_files.ObjectReader(files, "data", unsized, None) as file:
        with pytest.raises(io.UnsupportedOperation, match="does not state the size"):
            file.seek(0, io.SEEK_END)
        assert b"data" == file.read()


def test_file_of_a_changed_object_is_refused(files: Storage) -> None:
    """If an object changes while it is read as a file, reading fails."""
    data = bytes_of(3 * _object_files.PIECE)
    files.upload("data", data)
    with files.open("data") as file:
        assert data[:4] == file.read(4)
        files.upload("data", data[::-1])
        file.seek(2 * _object_files.PIECE)
        with pytest.raises(VendorRejected):
            file.read(1)


def test_file_is_stored_when_it_is_closed(files: Storage) -> None:
    """A written file is invisible until it is closed, and then has its bytes and options."""
    with files.open("new", "wb", PutOptions(content_type="text/csv")) as file:
        assert file.writable()
        assert 3 == file.write(b"a,b")
        assert (3, False) == (file.tell(), files.exists("new"))
        file.write(DATA)
        assert (file.seekable(), 1) == (True, file.seek(1))
        file.write(b";")
    file.close()
    assert b"a;b" + DATA == files.download("new").read_all()
    assert "text/csv" == files.head("new").content_type


def test_file_is_not_stored_after_an_exception(files: Storage) -> None:
    """If a file's `with` block raises an error, or if it is never closed, it is not stored."""
    file = files.open("new", "wb")

    def write_and_fail() -> None:
        with file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert file.closed
    files.open("forgotten", "wb").write(b"half")
    gc.collect()
    assert [] == [item.key for item in files.glob("*")]


def test_text_is_read_back_as_written(files: Storage) -> None:
    """A text is read back as written, in its encoding and line by line."""
    with files.open("text", "w", encoding="utf-16") as writer:
        assert 6 == writer.write("ä€😀\r\nb")
        assert not files.exists("text")
        writer.write("c\nd")
    writer.close()
    assert "ä€😀\r\nbc\nd".encode("utf-16") == files.download("text").read_all()
    with files.open("text", "r", encoding="utf-16") as reader:
        assert ["ä€😀\r\n", "bc\n", "d"] == list(reader)
    with files.open("text", "w") as writer:
        writer.write("ü")
    assert "ü".encode() == files.download("text").read_all()


def test_text_is_not_stored_after_an_exception(files: Storage) -> None:
    """A text file is not stored if its block fails, it cannot be encoded, or it is never closed."""
    file = files.open("new", "w", encoding="ascii")

    def write_and_fail() -> None:
        with file:
            file.write("half")
            file.write("ü")

    with pytest.raises(UnicodeEncodeError):
        write_and_fail()
    assert file.closed
    files.open("forgotten", "w").write("half")
    gc.collect()
    assert [] == [item.key for item in files.glob("*")]


def test_nothing_is_stored_if_closing_cannot_write_text_completely(files: Storage) -> None:
    """If a text cannot be written completely when its file is closed, nothing is stored."""

    class FullDisk(_object_files.ObjectWriter):
        def write(self, data: ReadableBuffer, /) -> int:
            raise OSError(28, "No space left on device")

    text = _object_files.TextObjectWriter(FullDisk(files, "new", PutOptions(), None), "utf-8")
    text.write("half")
    with pytest.raises(OSError, match="No space"):
        text.close()
    assert not files.exists("new")


@pytest.mark.parametrize(
    "text, encoding",
    [("か", "shift_jis_2004"), ("か", "iso2022_jp"), ("ü", "idna"), ("", "utf-16")],
)
def test_stored_text_includes_bytes_that_its_encoding_holds_back(
    files: Storage, tmp_path: Path, text: str, encoding: str
) -> None:
    """A text is stored with the bytes that its encoder holds back; an empty text has no bytes."""
    with files.open("text", "w", encoding=encoding) as writer:
        if text:
            writer.write(text)

    async def stored_content() -> bytes:
        async with AsyncHub([Account("files", folder(tmp_path / "others"))]) as hub:
            async with await hub.storage().open("text", "w", encoding=encoding) as writer:
                if text:
                    await writer.write(text)
            return await (await hub.storage().download("text")).read_all()

    expected = text.encode(encoding) if text else b""
    assert expected == files.download("text").read_all()
    assert expected == asyncio.run(stored_content())


def test_asynchronous_text_behaves_like_synchronous_text() -> None:
    """An asynchronous text file behaves like a synchronous one."""
    line = "ä€😀" * _object_files.PIECE + "\n"

    async def use_files(hub: AsyncHub) -> None:
        files = hub.storage()
        async with await files.open("text", "w", encoding="utf-16") as writer:
            assert len(line) == await writer.write(line)
            await writer.write("b\r\nc")
        await writer.aclose()
        content = await (await files.download("text")).read_all()
        assert (line + "b\r\nc").encode("utf-16") == content
        async with await files.open("text", "r", encoding="utf-16") as reader:
            assert [line, "b\r\n", "c"] == [item async for item in reader]
            assert "" == await reader.read(1)
        async with await files.open("text", "r", encoding="utf-16") as reader:
            assert ("", "ä€") == (await reader.read(0), await reader.read(2))
            assert line[2:] + "b\r\nc" == await reader.read()
        await files.upload("torn", "€".encode()[:2])
        async with await files.open("torn", "r") as reader:
            with pytest.raises(UnicodeDecodeError):
                await reader.read()
        writer = await files.open("half", "w", encoding="ascii")

        async def write_and_fail() -> None:
            async with writer:
                await writer.write("ü")

        with pytest.raises(UnicodeEncodeError):
            await write_and_fail()
        assert not await files.exists("half")

    async def main() -> None:
        with sandbox() as storage_sandbox:
            async with async_over_s3(storage_sandbox) as hub:
                await use_files(hub)

    asyncio.run(main())


def test_after_move_object_has_only_new_key(files: Storage) -> None:
    """After a move the object has only the new key; a refused move changes nothing."""
    info = files.upload("a", b"bytes", PutOptions(metadata={"x": "1"}))
    moved = files.move(info.ref, "in/b")
    assert ("in/b", {"x": "1"}) == (moved.key, files.head("in/b").metadata)
    assert (False, b"bytes") == (files.exists("a"), files.download("in/b").read_all())
    with pytest.raises(InvalidData, match="already has this key"):
        files.move("in/b", "in/b")
    with pytest.raises(FileNotFound):
        files.move("a", "c")
    files.upload("c", b"other")
    with pytest.raises(VendorRejected):
        files.move("in/b", "c", PutOptions(if_none_match="*"))
    assert (b"bytes", b"other") == (
        files.download("in/b").read_all(),
        files.download("c").read_all(),
    )


@pytest.mark.parametrize(
    "vendor, expected",
    [
        (S3(bucket="acme"), "https://acme.s3.us-east-1.amazonaws.com"),
        (Gcs(bucket="acme"), "https://storage.googleapis.com/acme"),
        (
            AzureBlob(account="acme", container="files"),
            "https://acme.blob.core.windows.net/files",
        ),
        (LocalFiles(root="unused", url="https://erp.example/files"), "https://erp.example/files"),
    ],
)
def test_public_url_names_the_object(vendor: Any, expected: str) -> None:
    """An object's public URL contains its key, with every special character encoded."""
    with Hub([Account("files", vendor)]) as hub:
        url = hub.storage().public_url("in/a b#ü?%.txt")
    assert f"{expected}/in/a%20b%23%C3%BC%3F%25.txt" == url


def test_public_url_needs_the_folders_url() -> None:
    """Files in a folder have public URLs only if the configuration has a base URL."""
    with (
        Hub([Account("files", LocalFiles(root="unused"))]) as hub,
        pytest.raises(ConfigurationError, match="`url` is not set"),
    ):
        hub.storage().public_url("a")


def test_mistakes_are_refused_before_anything_is_sent(files: Storage) -> None:
    """A wrong mode, a wrong key or a missing object raises a moorage error."""
    with pytest.raises(InvalidData, match="not a mode"):
        files.open("new", "a")  # type: ignore[call-overload] # a mistake of a caller
    with pytest.raises(InvalidData, match="binary file has no encoding"):
        files.open("new", "wb", encoding="utf-8")  # type: ignore[call-overload] # a mistake of a caller
    for encoding in ("klingon", "hex", 7):
        with pytest.raises(InvalidData, match="not a text encoding"):
            files.open("new", "w", encoding=encoding)  # type: ignore[call-overload] # a mistake of a caller
    with pytest.raises(InvalidData, match="begins with a slash"):
        files.open("/new", "wb")
    with pytest.raises(FileNotFound):
        files.open("none")


def test_asynchronous_operations_have_the_same_results() -> None:
    """Asynchronous file and folder operations have the same results as synchronous ones."""

    async def use_files(hub: AsyncHub) -> None:
        files = hub.storage()
        for key in KEYS:
            await files.upload(key, key.encode())
        folders = [item.prefix async for item in files.walk("in")]
        assert ["in/", "in/x/", "in/x/y/"] == folders
        assert ["in/1.pdf"] == [item.key async for item in files.glob("in/*.pdf")]
        assert 4 == len([item async for item in files.glob("**/*.pdf")])
        await files.upload("data", DATA)
        async with await files.open("data") as file:
            assert (1, 0) == (file.seek(1), file.seek(0))
            assert DATA[:10] == await file.read(10)
            assert (PART, PART) == (file.seek(PART), file.tell())
            assert DATA[PART : 2 * PART] == await file.read(PART)
            file.seek(0, io.SEEK_CUR)
            assert DATA[2 * PART :] == await file.read()
            assert b"" == await file.read(1)
            file.seek(-1, io.SEEK_END)
            assert DATA[-1:] == await file.read()
        async with await files.open("new", "wb", PutOptions(content_type="text/csv")) as writer:
            assert len(DATA) == await writer.write(DATA)
            assert not await files.exists("new")
        await writer.aclose()
        assert DATA == await (await files.download("new")).read_all()
        writer = await files.open("half", "wb")

        async def write_and_fail() -> None:
            async with writer:
                await writer.write(b"half")
                raise KeyError

        with pytest.raises(KeyError):
            await write_and_fail()
        assert not await files.exists("half")
        with pytest.raises(InvalidData, match="not a mode"):
            await files.open("new", "a")  # type: ignore[call-overload] # a mistake of a caller

    async def main() -> None:
        with sandbox() as storage_sandbox:
            async with async_over_s3(storage_sandbox) as hub:
                await use_files(hub)

    asyncio.run(main())


def test_asynchronous_file_without_a_size_ends_with_its_bytes() -> None:
    """If a vendor states no size, reading an asynchronous file ends when its bytes end."""

    async def main() -> None:
        with sandbox() as storage_sandbox:
            async with async_over_s3(storage_sandbox) as hub:
                files = hub.storage()
                info = await files.upload("data", DATA)
                unsized = attrs.evolve(info, size=None)
                file: Any = _object_files.AsyncObjectReader(files, "data", unsized, None)
                async with file:
                    assert DATA == await file.read(len(DATA) + 1)

    asyncio.run(main())


class _InterruptedDownload:
    """A download that raises an error instead of its end, and has ended after that."""

    def __init__(self, data: bytes, error: Exception | None) -> None:
        self._data = io.BytesIO(data)
        self._error = error

    def read(self) -> bytes:
        """Return the next bytes, or raise the error."""
        piece = self._data.read(5)
        if not piece and self._error is not None:
            error, self._error = self._error, None
            raise error
        return piece

    def settle(self) -> None:
        """Drop the remaining bytes."""
        self._data = io.BytesIO()


class _AsyncInterruptedDownload(_InterruptedDownload):
    async def read(self) -> bytes:  # type: ignore[override] # the asynchronous form
        """Return the next bytes, or raise the error."""
        return super().read()


class _InterruptedStorage:
    """A storage of one text, whose first download breaks after a number of bytes."""

    def __init__(self, text: str, breaks_after: int) -> None:
        self._data = text.encode()
        self._breaks_after: int | None = breaks_after
        self.info = ObjectInfo(ref=Ref("some", "main", "a"), key="a", size=len(self._data))

    def download(self, key: str, **options: Any) -> _InterruptedDownload:
        """Return a download of the rest of the object."""
        return _InterruptedDownload(*self._rest(options["range"]))

    def _rest(self, requested_range: ByteRange | None) -> tuple[bytes, Exception | None]:
        end, self._breaks_after = self._breaks_after, None
        error = None if end is None else ConnectionFailed("The line was cut.")
        return self._data[0 if requested_range is None else requested_range.start : end], error


class _AsyncInterruptedStorage(_InterruptedStorage):
    def file(self) -> Any:
        """Return the object as an asynchronous file."""
        storage: Any = self
        return _object_files.AsyncObjectReader(storage, "a", self.info, None)

    async def download(  # type: ignore[override] # the asynchronous form
        self, key: str, **options: Any
    ) -> _InterruptedDownload:
        """Return a download of the rest of the object."""
        return _AsyncInterruptedDownload(*self._rest(options["range"]))


def test_file_has_not_ended_after_an_error() -> None:
    """After an error, the next read continues with a new download at the same position."""
    storage: Any = _InterruptedStorage("first, second", 7)
    with _object_files.ObjectReader(storage, "a", storage.info, None) as file:
        assert (b"first", b", ") == (file.read(5), file.read(5))
        with pytest.raises(ConnectionFailed):
            file.read(5)
        assert (7, b"second") == (file.tell(), file.read())


@pytest.mark.parametrize("size", [-1, 9])
def test_asynchronous_file_has_not_ended_after_an_error(size: int) -> None:
    """An asynchronous read that failed has consumed nothing, and succeeds when it is repeated."""

    async def main() -> None:
        file = _AsyncInterruptedStorage("first, second", 7).file()
        with pytest.raises(ConnectionFailed):
            await file.read(size)
        first_part = await file.read(size)

        assert b"first, se" == first_part[:9]
        assert b"first, second" == first_part + await file.read()

    asyncio.run(main())


def test_asynchronous_text_has_not_ended_after_an_error() -> None:
    """If the rest of a line cannot be read, the next read begins with the line's beginning."""
    line = "ä" * (_object_files.PIECE // 2) + "\n"

    async def main() -> None:
        for size in (-1, len(line)):
            storage = _AsyncInterruptedStorage(f"{line}end", _object_files.PIECE)
            reader = _object_files.AsyncTextReader(storage.file(), "utf-8")
            with pytest.raises(ConnectionFailed):
                await reader.read(size)
            assert f"{line}end" == await reader.read(size) + await reader.read()
        storage = _AsyncInterruptedStorage(f"{line}end", _object_files.PIECE)
        reader = _object_files.AsyncTextReader(storage.file(), "utf-8")
        with pytest.raises(ConnectionFailed):
            await reader.readline()
        assert [line, "end"] == [item async for item in reader]

    asyncio.run(main())
