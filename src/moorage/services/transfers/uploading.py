"""Uploads in parts: the source is read once, and several workers send the parts.

Memory holds only the parts that are being sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from moorage.contracts.checksum import start_checksum
from moorage.domain.http.body import Readable
from moorage.domain.values.text import with_article
from moorage.errors import DeadlineExceeded, InvalidData

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Sequence

    from moorage.contracts.checksum import Checksum
    from moorage.contracts.storage import Part, StorageVendor, Upload
    from moorage.contracts.wire import Wire
    from moorage.services.core.core import Core

Content: TypeAlias = (
    "bytes | bytearray | memoryview | Readable | Iterable[bytes] | AsyncIterable[bytes]"
)
UploadSource: TypeAlias = "Content | Callable[[], Content]"

_END: Final = object()
_UNBOUNDED_QUEUE: Final = 1_000_000
_DAY_SECONDS: Final = 86_400.0


class Pieces:
    """The parts into which the content of an upload is divided.

    Args:
        core: awaits the source if it is asynchronous.
        source: bytes, an open binary file, an iterator, or a function that opens one of these.
        size: number of bytes of each part except the last.
        length: expected number of all bytes, if known.
        checksum: expected checksum of all bytes, if known.
    """

    def __init__(
        self,
        core: Core,
        source: UploadSource,
        size: int,
        *,
        length: int | None,
        checksum: Checksum | None,
    ) -> None:
        self._core = core
        self._source = source
        self._opened: Any = None
        self._ours = False
        self._size = size
        self._length = length
        self._expected = checksum
        self._running = None if checksum is None else start_checksum(checksum.algorithm)
        if checksum is not None and (self._running is None or checksum.parts is not None):
            raise InvalidData(
                f"moorage cannot verify this {checksum.algorithm} checksum: Python cannot"
                " compute it, or it is a checksum of the upload's parts.",
                field="checksum",
                remedy="Pass a checksum of all bytes, computed with crc32, crc32c, md5, sha1"
                " or sha256.",
            )
        self._left = b""
        self._begun: deque[bytes] = deque()
        self._read = 0
        self._ended = False

    def return_parts(self, *parts: bytes) -> None:
        """Put these parts of the upload back at the front of the queue, to send them again."""
        self._begun.extend(parts)

    async def next(self) -> bytes:
        """Read the next part of the upload; return b"" at the end.

        Raises:
            InvalidData: the source does not have the expected length or checksum.
        """
        if self._begun:
            return self._begun.popleft()
        if self._ended:
            return b""
        if self._opened is None:
            self._opened = await self._open()
        part = await self._gather_bytes()
        self._read += len(part)
        if self._running is not None:
            self._running.update(part)
        if len(part) < self._size:
            self._ended = True
            self._check()
        return part

    def close(self) -> None:
        """Close the upload's source, unless the caller opened it."""
        if self._ours and hasattr(self._opened, "close"):
            self._opened.close()

    async def _open(self) -> Any:
        source: Any = self._source
        self._ours = is_opener(source)
        return _bytes_reader(await self._core.settle(source()) if self._ours else source)

    async def _gather_bytes(self) -> bytes:
        """Read the bytes of one part, or fewer at the end of the source."""
        pieces, size = [self._left], len(self._left)
        self._left = b""
        while size < self._size:
            piece = await self._read_piece(self._size - size)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        whole_bytes = pieces[1] if len(pieces) == 2 and not pieces[0] else b"".join(pieces)
        if size > self._size:
            self._left = whole_bytes[self._size :]
            whole_bytes = whole_bytes[: self._size]
        return whole_bytes

    async def _read_piece(self, size: int) -> bytes:
        """Read up to `size` bytes from the source; return b"" at the end."""
        source = self._opened
        while True:
            if isinstance(source, Readable):
                return _check_chunk(await self._core.settle(source.read(size)))
            if hasattr(source, "__anext__"):
                piece = await self._core.settle(anext(source, _END))
            else:
                piece = next(source, _END)
            if piece is _END:
                return b""
            if piece := _check_chunk(piece):
                return piece

    def _check(self) -> None:
        if self._length not in {None, self._read}:
            raise InvalidData(
                f"The source has {self._read} bytes, but its `length` is {self._length}.",
                field="length",
                remedy="Pass the actual length of the source, or leave `length` out.",
            )
        if self._running is not None and self._expected is not None:
            digest = self._running.digest().hex()
            if digest != self._expected.value:
                raise InvalidData(
                    "The source's checksum differs from the `checksum` argument. Nothing was"
                    " stored.",
                    field="checksum",
                    remedy="Find out whether the source or the checksum is wrong.",
                )


def is_opener(source: object) -> bool:
    """Return whether an upload's source is a function that opens the content each time."""
    return callable(source) and not isinstance(source, (Readable, Iterator))


def _bytes_reader(opened: Any) -> Any:
    """Return a reader or an iterator of the bytes of an opened source."""
    if _is_bytes(opened):
        return _SlicedBody(memoryview(opened))
    if isinstance(opened, Readable):
        return opened
    if hasattr(opened, "__aiter__"):
        return aiter(opened)
    if hasattr(opened, "__iter__") and not isinstance(opened, str):
        return iter(opened)
    raise InvalidData(
        f"The source must yield bytes, but it is {with_article(type(opened).__name__)}.",
        field="source",
        remedy="Pass bytes, a binary file, an iterator of bytes, or a function that opens one.",
    )


class _SlicedBody:
    """Bytes in memory that can be read piece by piece, like a file."""

    def __init__(self, data: memoryview) -> None:
        self._data = (data if data.c_contiguous else memoryview(data.tobytes())).cast("B")
        self._at = 0

    def read(self, size: int, /) -> bytes:
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return bytes(piece)


def _is_bytes(value: object) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def _check_chunk(piece: Any) -> bytes:
    if _is_bytes(piece):
        return bytes(piece)
    raise InvalidData(
        f"The source must yield bytes, but it yielded {with_article(type(piece).__name__)}.",
        field="source",
        remedy="Open the file in binary mode, or encode the text as bytes.",
    )


class UploadSession:
    """Sends the parts of one upload with several workers, which read the source by turns.

    Args:
        core: the ports.
        vendor, wire: target of the parts.
        upload: upload that the parts belong to.
        pieces: source of the parts.
        uploaded_parts: parts that the vendor already has; equal parts are not sent again.
    """

    def __init__(
        self,
        core: Core,
        vendor: StorageVendor,
        wire: Wire,
        upload: Upload,
        pieces: Pieces,
        *,
        uploaded_parts: Sequence[Part] = (),
    ) -> None:
        self._core = core
        self._vendor = vendor
        self._wire = wire
        self._upload = upload
        self._pieces = pieces
        self._known = {part.number: part for part in uploaded_parts}
        self._name = f"upload {core.new_id()}"
        self._sent: dict[int, Part] = {}
        self._number = 0
        self._over = False
        self._error: Exception | None = None

    async def all(self, at_once: int) -> list[Part]:
        """Send the remaining parts of the upload; return all uploaded parts in order."""
        await self._core.run_all([self._send_parts] * at_once, at_once=at_once)
        if self._error is not None:
            raise self._error
        return [part for _, part in sorted(self._sent.items())]

    async def _send_parts(self) -> None:
        try:
            while await self._send_next_part():
                pass
        except Exception as error:  # noqa: BLE001 - raised by `all`, which waits for all workers
            self._error = self._error or error

    async def _send_next_part(self) -> bool:
        """Send the next part of the upload; return False if no part is left."""
        # No other frame refers to the part, so its memory is free before the next part is read.
        number, data = await self._next_part()
        if not data:
            return False
        part = self._known.get(number)
        if part is None or not part.holds(data):
            part = await self._vendor.put_part(self._wire, self._upload, number, data)
        self._sent[number] = part
        return True

    async def _next_part(self) -> tuple[int, bytes]:
        core, lock_holder = self._core, object()
        is_taken = await core.acquire(
            self._name, lock_holder, slots=1, queue=_UNBOUNDED_QUEUE, timeout=_DAY_SECONDS
        )
        try:
            return await self._next_piece_bytes() if is_taken else _raise_stalled_source()
        finally:
            core.release(self._name, lock_holder)

    async def _next_piece_bytes(self) -> tuple[int, bytes]:
        if self._over or self._error is not None:
            return 0, b""
        self._over = True
        data = await self._pieces.next()
        self._over = not data
        self._number += 1
        return self._number, data


def _raise_stalled_source() -> NoReturn:
    raise DeadlineExceeded("The source yielded no bytes for a day.")
