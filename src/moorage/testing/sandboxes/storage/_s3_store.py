"""The objects of the S3 sandbox, with bodies on disk and metadata in memory."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

PIECE: Final = 262_144


@attrs.frozen
class Piece:
    """A file on disk with a part of an object's bytes."""

    path: Path
    size: int


class Spool:
    """A received body, stored on disk.

    Attributes:
        is_stored: True if an object or part has the body, so that the file must stay.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / uuid4().hex
        self.size = 0
        self.is_stored = False
        self._file = self.path.open("wb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._crc32 = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)
        self.size += len(data)
        self._md5.update(data)
        self._sha1.update(data)
        self._sha256.update(data)
        self._crc32 = zlib.crc32(data, self._crc32)

    def close(self) -> None:
        """Finish writing the received body."""
        self._file.close()

    def drop(self) -> None:
        """Delete the received body."""
        self.close()
        self.path.unlink(missing_ok=True)

    def piece(self) -> Piece:
        """Return the body as a piece of an object, which keeps the file."""
        self.is_stored = True
        return Piece(self.path, self.size)

    @property
    def digests(self) -> dict[str, bytes]:
        """The checksums of the body, by algorithm."""
        return {
            "md5": self._md5.digest(),
            "sha1": self._sha1.digest(),
            "sha256": self._sha256.digest(),
            "crc32": self._crc32.to_bytes(4, "big"),
        }

    def content(self) -> bytes:
        """Return the whole body as bytes."""
        return self.path.read_bytes()


@attrs.frozen(kw_only=True)
class StoredContent:
    """An object stored in the sandbox."""

    pieces: tuple[Piece, ...]
    etag: str
    checksum: tuple[str, str] | None
    composite: bool = False
    headers: dict[str, str]
    modified: datetime
    version: str | None = None

    @property
    def version_header(self) -> dict[str, str]:
        """The response header with the object's version, if any."""
        return {} if self.version is None else {"x-amz-version-id": self.version}

    @property
    def size(self) -> int:
        """The object's size in bytes."""
        return sum(piece.size for piece in self.pieces)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """Yield a range's bytes in chunks."""
        for piece in self.pieces:
            if start < piece.size and length:
                with piece.path.open("rb") as file:
                    file.seek(start)
                    remaining_size = min(piece.size - start, length)
                    length -= remaining_size
                    while remaining_size and (data := file.read(min(PIECE, remaining_size))):
                        remaining_size -= len(data)
                        yield data
            start = max(0, start - piece.size)


@attrs.frozen(kw_only=True)
class StoredPart:
    """A stored part of a multipart upload."""

    piece: Piece
    md5: bytes
    checksum: bytes | None
    modified: datetime

    @property
    def etag(self) -> str:
        """The part's ETag, computed like S3."""
        return self.md5.hex()


@attrs.frozen(kw_only=True)
class StoredUpload:
    """A multipart upload in progress."""

    key: str
    algorithm: str | None
    headers: dict[str, str]
    begun: datetime
    parts: dict[int, StoredPart] = attrs.field(factory=dict)


def join_checksums(
    parts: list[StoredPart], algorithm: str | None
) -> tuple[str, tuple[str, str] | None]:
    """Return the ETag and checksum of an object made from parts."""
    whole_hash = hashlib.md5(b"".join(part.md5 for part in parts), usedforsecurity=False)
    etag = f"{whole_hash.hexdigest()}-{len(parts)}"
    if algorithm is None:
        return etag, None
    digests = b"".join(part.checksum or b"" for part in parts)
    checksum = digest(algorithm, digests)
    return etag, (algorithm, f"{b64encode(checksum).decode()}-{len(parts)}")


def digest(algorithm: str, data: bytes) -> bytes:
    """Return the checksum of some bytes."""
    if algorithm == "crc32":
        return zlib.crc32(data).to_bytes(4, "big")
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()
