"""Files and folders by which programs read and write objects in a file storage.

Laws:

1. A written file is stored as a whole when it is closed. The file is not stored after an exception
   in its `with` block or while closing it, nor if it is garbage-collected without being closed.
2. If the vendor states ETags, all bytes that a file reads belong to one version of its object.
3. Memory contains one piece of a file that is read, or a limited part of a file that is written;
   for a text also the current line.
4. The line ends of a text are not converted; a line ends with a line feed.
5. After an error or a cancellation, a file does not look as if it had ended: the next read
   downloads the rest of the object again. An asynchronous read that failed has consumed nothing.
"""

from __future__ import annotations

import io
from codecs import getincrementaldecoder, getincrementalencoder
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.contracts.storage import ByteRange
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from _typeshed import ReadableBuffer, WriteableBuffer

    from moorage.contracts.storage import ListPage, ObjectInfo, PutOptions
    from moorage.operations._storage import AsyncDownload, Download
    from moorage.operations.storage import AsyncStorage, Storage

_MEMORY_BYTES: Final = 8 * 1024 * 1024
"""The bytes of a file being written that are held in memory; further ones go to the disk."""


PIECE: Final = 64 * 1024
"""The bytes that a synchronous file reads ahead."""


class StoredFolder(NamedTuple):
    """A folder of stored objects.

    Attributes:
        prefix: the common beginning of the keys, which ends with a slash or is empty.
        folders: the prefixes of its subfolders.
        objects: the objects directly in the folder.
    """

    prefix: str
    folders: tuple[str, ...]
    objects: tuple[ObjectInfo, ...]


def folder_of(prefix: str, pages: list[ListPage]) -> StoredFolder:
    """Return a folder from the pages of its listing."""
    return StoredFolder(
        prefix,
        tuple(dict.fromkeys(folder for page in pages for folder in page.prefixes)),
        tuple(item for page in pages for item in page.objects),
    )


def folder_prefix(prefix: str) -> str:
    """Return the prefix of a folder, with a slash at its end.

    Raises:
        InvalidData: the prefix is not a string.
    """
    if not isinstance(prefix, str):
        raise InvalidData(
            "The prefix of a folder must be a string.",
            field="prefix",
            remedy="Pass the name of a folder, such as 'invoices/', or '' for all objects.",
        )
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def mode_error(mode: object) -> InvalidData:
    """Return the error for an unknown file mode."""
    return InvalidData(
        f"{mode!r} is not a mode of a stored file.",
        field="mode",
        remedy="Pass 'rb' or 'r' to read bytes or text, and 'wb' or 'w' to write bytes or text.",
    )


def encoding_of(mode: object, encoding: object) -> str | None:
    """Return the encoding of a file with this mode; None for a file of bytes.

    Raises:
        InvalidData: the mode or the encoding is unknown, or the mode allows no encoding.
    """
    if mode not in {"rb", "wb", "r", "w"}:
        raise mode_error(mode)
    if mode in {"rb", "wb"}:
        if encoding is None:
            return None
        raise InvalidData(
            "A binary file has no encoding.",
            field="encoding",
            remedy="Omit the encoding, or open a text file with 'r' or 'w'.",
        )
    text_encoding = "utf-8" if encoding is None else encoding
    try:
        "".encode(text_encoding)  # type: ignore[arg-type]  # a mistake of the caller is caught
    except (LookupError, TypeError, ValueError):
        raise InvalidData(
            f"{str(text_encoding)[:40]!r} is not a text encoding.",
            field="encoding",
            remedy="Pass an encoding that Python supports, such as 'utf-8' or 'cp1252'.",
        ) from None
    return str(text_encoding)


def pages_of(
    storage: Storage, prefix: str, *, delimiter: str | None, timeout: float | None
) -> Iterator[ListPage]:
    """Yield all pages of a listing."""
    cursor = None
    while True:
        page = storage.list(prefix, delimiter=delimiter, cursor=cursor, timeout=timeout)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


async def async_pages_of(
    storage: AsyncStorage, prefix: str, *, delimiter: str | None, timeout: float | None
) -> AsyncIterator[ListPage]:
    """Yield all pages of an asynchronous listing."""
    cursor = None
    while True:
        page = await storage.list(prefix, delimiter=delimiter, cursor=cursor, timeout=timeout)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


class _ReadPosition:
    """The position in an object from which a file reads next.

    Args:
        info: the properties of the object.
    """

    def __init__(self, info: ObjectInfo) -> None:
        self.info = info
        self.position = 0
        self.rest = b""

    @property
    def range(self) -> ByteRange | None:
        """The range of bytes from the position to the end; None for the whole object."""
        return ByteRange(self.position) if self.position else None

    @property
    def is_over(self) -> bool:
        """True if the position is certainly at or after the end of the object."""
        return self.info.size is not None and self.position >= self.info.size

    def taken(self, piece: bytes, size: int) -> bytes:
        """Return the first bytes of a piece, and store the others for the next read."""
        part = piece if size < 0 else piece[:size]
        self.rest = piece[len(part) :]
        self.position += len(part)
        return part

    def moved(self, offset: int, whence: int) -> bool:
        """Change the position; return whether the position has changed.

        Raises:
            OSError: the new position is before the beginning, or relative to an unknown end.
        """
        size = self.info.size
        if whence == io.SEEK_END and size is None:
            raise io.UnsupportedOperation("The vendor does not state the size of the object.")
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: size or 0}.get(whence)
        if start is None or start + offset < 0:
            raise OSError("The position of a file cannot be negative.")
        old_position, self.position = self.position, start + offset
        return self.position != old_position


class ObjectReader(io.RawIOBase):
    """A stored object as a readable file with random access.

    A read downloads from the current position, and starts a new download after `seek`.

    Args:
        storage: the storage of the object.
        key: the key of the object.
        info: the properties of the object.
        timeout: seconds for each download, reading included.
    """

    def __init__(self, storage: Storage, key: str, info: ObjectInfo, timeout: float | None) -> None:
        self._storage = storage
        self._key = key
        self._timeout = timeout
        self._reading = _ReadPosition(info)
        self._download: Download | None = None

    def readable(self) -> bool:
        """Return True, because the file can be read."""
        return True

    def seekable(self) -> bool:
        """Return True, because the position can be changed."""
        return True

    def tell(self) -> int:
        """Return the current position."""
        return self._reading.position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to another position, and return it."""
        if self._reading.moved(offset, whence):
            self._end()
        return self._reading.position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read the next bytes into a buffer, and return their number; 0 at the end."""
        reading = self._reading
        target = memoryview(buffer).cast("B")
        if reading.is_over or not target:
            return 0
        piece = reading.rest or self._next_piece()
        part = reading.taken(piece, len(target))
        target[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """End the download."""
        self._end()
        super().close()

    def _next_piece(self) -> bytes:
        if self._download is None:
            reading = self._reading
            self._download = self._storage.download(
                self._key, range=reading.range, if_match=reading.info.etag, timeout=self._timeout
            )
        try:
            return self._download.read()
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self._reading.rest = b""
        download, self._download = self._download, None
        if download is not None:
            download.settle()


class ObjectWriter(io.BufferedIOBase):
    """A writable file, which is stored as an object when it is closed.

    Args:
        storage: the storage of the object.
        key: the key of the object.
        options: the options for storing it.
        timeout: seconds for storing it.
    """

    def __init__(
        self, storage: Storage, key: str, options: PutOptions, timeout: float | None
    ) -> None:
        self._storage = storage
        self._key = key
        self._options = options
        self._timeout = timeout
        self._file = SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - closed below

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the current position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to another position, and return it."""
        return self._file.seek(offset, whence)

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes, and return their number."""
        return self._file.write(data)

    def discard(self) -> None:
        """Close the file without storing it."""
        self._file.close()
        super().close()

    def close(self) -> None:
        """Store the file as an object, unless it is closed already."""
        if self.closed:
            return
        try:
            size = self._file.seek(0, io.SEEK_END)
            self._file.seek(0)
            self._storage.upload(
                self._key, self._file, self._options, length=size, timeout=self._timeout
            )
        finally:
            self.discard()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        # The base class would close the file, and thereby store it.
        self.discard()


class TextObjectReader(io.TextIOWrapper):
    """A stored object as a readable text file. Its line ends are not changed.

    Args:
        file: the bytes of the object.
        encoding: the encoding of the text.
    """

    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        super().__init__(file, encoding=encoding, newline="\n")


class TextObjectWriter(io.TextIOWrapper):
    """A writable text file, which is stored as an object when it is closed.

    Args:
        file: the file for the encoded text.
        encoding: the encoding of the text.
    """

    def __init__(self, file: ObjectWriter, encoding: str) -> None:
        nameless_file: Any = file
        super().__init__(nameless_file, encoding=encoding, newline="\n")
        self._file = file
        self._encoder = getincrementalencoder(encoding)()
        self._is_empty = True

    def write(self, text: str, /) -> int:
        """Write a text, and return the number of its characters."""
        count = super().write(text)
        self._encoder.encode(text)
        self._is_empty = False
        return count

    def _final_bytes(self) -> bytes:
        """Return the encoder's final bytes; empty if no text was written."""
        return b"" if self._is_empty else self._encoder.encode("", final=True)

    def discard(self) -> None:
        """Close the file without storing it."""
        self._file.discard()

    def close(self) -> None:
        """Store the file as an object, unless it is closed already."""
        if self.closed:
            return
        try:
            self.flush()
            # The base class omits the final bytes of some encodings.
            self._file.write(self._final_bytes())
        except BaseException:
            self.discard()
            raise
        super().close()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        # The base class would close the file, and thereby store it.
        self.discard()


class AsyncObjectReader:
    """A stored object as an asynchronous readable file with random access.

    Args:
        storage: the storage of the object.
        key: the key of the object.
        info: the properties of the object.
        timeout: seconds for each download, reading included.
    """

    def __init__(
        self, storage: AsyncStorage, key: str, info: ObjectInfo, timeout: float | None
    ) -> None:
        self._storage = storage
        self._key = key
        self._timeout = timeout
        self._reading = _ReadPosition(info)
        self._download: AsyncDownload | None = None

    def tell(self) -> int:
        """Return the current position."""
        return self._reading.position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to another position, and return it."""
        if self._reading.moved(offset, whence):
            self.close()
        return self._reading.position

    async def read(self, size: int = -1, /) -> bytes:
        """Read a number of bytes, by default all; fewer only at the end."""
        parts: list[bytes] = []
        bytes_left, start = size, self._reading.position
        try:
            while bytes_left and not self._reading.is_over:
                piece = self._reading.rest or await self._next_piece()
                if not piece:
                    break
                parts.append(self._reading.taken(piece, bytes_left))
                bytes_left -= len(parts[-1]) if size >= 0 else 0
        except BaseException:
            self.close()
            self._reading.position = start
            raise
        return b"".join(parts)

    def close(self) -> None:
        """End the download."""
        self._reading.rest = b""
        download, self._download = self._download, None
        if download is not None:
            download.settle()

    async def _next_piece(self) -> bytes:
        if self._download is None:
            reading = self._reading
            self._download = await self._storage.download(
                self._key, range=reading.range, if_match=reading.info.etag, timeout=self._timeout
            )
        return await self._download.read()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncObjectWriter:
    """An asynchronous writable file, which is stored as an object when it is closed.

    Args:
        storage: the storage of the object.
        key: the key of the object.
        options: the options for storing it.
        timeout: seconds for storing it.
    """

    def __init__(
        self, storage: AsyncStorage, key: str, options: PutOptions, timeout: float | None
    ) -> None:
        self._storage = storage
        self._key = key
        self._options = options
        self._timeout = timeout
        self._file = SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - closed below

    @property
    def closed(self) -> bool:
        """True once the file is stored or discarded."""
        return self._file.closed

    async def write(self, data: bytes, /) -> int:
        """Write bytes, and return their number."""
        return await to_thread(self._file.write, data)

    def discard(self) -> None:
        """Close the file without storing it."""
        self._file.close()

    async def aclose(self) -> None:
        """Store the file as an object, unless it is closed already."""
        if self._file.closed:
            return
        try:
            size = self._file.tell()
            self._file.seek(0)
            await self._storage.upload(
                self._key, self._file, self._options, length=size, timeout=self._timeout
            )
        finally:
            self.discard()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
        await self.aclose()


class AsyncTextReader:
    """A stored object as an asynchronous readable text file; iterate over it to get its lines.

    Args:
        file: the bytes of the object.
        encoding: the encoding of the text.
    """

    def __init__(self, file: AsyncObjectReader, encoding: str) -> None:
        self._file = file
        self._decoder = getincrementaldecoder(encoding)()
        self._text = ""
        self._position = 0
        self._is_over = False

    async def read(self, size: int = -1, /) -> str:
        """Read a number of characters, by default all; fewer only at the end."""
        parts: list[str] = []
        characters_left = size
        while characters_left and await self._has_text(parts):
            end = len(self._text) if size < 0 else self._position + characters_left
            parts.append(self._take_text(end))
            characters_left -= len(parts[-1]) if size >= 0 else 0
        return "".join(parts)

    async def readline(self) -> str:
        """Read the rest of the line, with its line feed; "" at the end."""
        parts: list[str] = []
        while await self._has_text(parts):
            end = self._text.find("\n", self._position) + 1
            parts.append(self._take_text(end or len(self._text)))
            if end:
                break
        return "".join(parts)

    def close(self) -> None:
        """End the download."""
        self._file.close()

    async def _has_text(self, taken: list[str]) -> bool:
        """If no text is left, read and decode the next chunk; return False at the end.

        If that fails, the next read begins with the text that was taken before.
        """
        while self._position >= len(self._text) and not self._is_over:
            try:
                piece = await self._file.read(PIECE)
            except BaseException:
                self._text, self._position = "".join(taken), 0
                raise
            self._is_over = not piece
            self._text, self._position = self._decoder.decode(piece, not piece), 0
        return self._position < len(self._text)

    def _take_text(self, end: int) -> str:
        part = self._text[self._position : end]
        self._position += len(part)
        return part

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncTextWriter:
    """An asynchronous writable text file, which is stored as an object when it is closed.

    Args:
        file: the file for the encoded text.
        encoding: the encoding of the text.
    """

    def __init__(self, file: AsyncObjectWriter, encoding: str) -> None:
        self._file = file
        self._encoder = getincrementalencoder(encoding)()
        self._is_empty = True

    async def write(self, text: str, /) -> int:
        """Write a text, and return the number of its characters."""
        await self._file.write(self._encoder.encode(text))
        self._is_empty = False
        return len(text)

    def discard(self) -> None:
        """Close the file without storing it."""
        self._file.discard()

    async def aclose(self) -> None:
        """Store the file as an object, unless it is closed already."""
        if not self._file.closed and not self._is_empty:
            # Some encodings hold back bytes until the end of the text.
            await self._file.write(self._encoder.encode("", final=True))
        await self._file.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
        await self.aclose()
