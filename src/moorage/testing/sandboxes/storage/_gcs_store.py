"""The Google Cloud Storage sandbox's objects, generations and uploads."""

from __future__ import annotations

import re
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.checksum import ChecksumAlgorithm, start_checksum
from moorage.errors import ConnectionFailed
from moorage.testing.sandboxes.storage._gcs_documents import base64, invalid
from moorage.testing.sandboxes.storage._s3_store import PIECE, Piece, Spool, StoredContent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.contracts.checksum import RunningChecksum

STEP: Final = 262_144
_RANGE: Final = re.compile(r"bytes (?:([0-9]+)-([0-9]+)|\*)/([0-9]+|\*)")
_HASHES: Final = re.compile("(md5|crc32c)=([A-Za-z0-9+/=]+)")


def _crc32c() -> RunningChecksum:
    checksum = start_checksum(ChecksumAlgorithm.CRC32C)
    assert checksum is not None  # noqa: S101 - it is made here
    return checksum


class Body:
    """An upload's received bytes on disk, with checksums."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._md5 = md5(usedforsecurity=False)
        self._crc32c = _crc32c()
        self.pieces: list[Piece] = []
        self.size = 0

    def take(self, data: Iterator[bytes]) -> None:
        """Append bytes."""
        spool = Spool(self._folder)
        for piece in data:
            spool.write(piece)
            self._md5.update(piece)
            self._crc32c.update(piece)
        spool.close()
        self.pieces.append(spool.piece())
        self.size += spool.size

    @property
    def sums(self) -> dict[str, str]:
        """The checksums of the bytes, by their names in Google's resources."""
        return {"md5Hash": base64(self._md5.digest()), "crc32c": base64(self._crc32c.digest())}


def part_of(spool: Spool, start: int = 0, upto: int | None = None) -> Iterator[bytes]:
    """Yield a range of the received bytes."""
    end = spool.size if upto is None else min(upto, spool.size)
    with spool.path.open("rb") as file:
        file.seek(start)
        remaining_size = max(0, end - start)
        while remaining_size and (data := file.read(min(PIECE, remaining_size))):
            remaining_size -= len(data)
            yield data


@attrs.frozen(kw_only=True)
class StoredObject:
    """A stored generation of an object."""

    resource: dict[str, Any]
    stored: StoredContent

    @property
    def generation(self) -> int:
        """The number of the object's generation."""
        return int(self.resource["generation"])


@attrs.define
class Session:
    """A resumable upload in progress."""

    resource: dict[str, Any]
    query: dict[str, str]
    body: Body
    made: StoredObject | None = None
    aborted: bool = False
    taken: int | None = None
    """The number of bytes of the next chunk that arrive before the connection breaks."""

    def take(self, spool: Spool, content_range: str) -> bool:
        """Append a chunk to the upload; return whether it was the last."""
        match = _RANGE.fullmatch(content_range)
        if match is None:
            raise invalid("Invalid Content-Range")
        first_byte, last_byte, total = match.groups()
        if first_byte is None:
            if spool.size:
                raise invalid("A status check has no body")
            return self._has_all_bytes(total)
        start, end = int(first_byte), int(last_byte) + 1
        if end - start != spool.size or start > self.body.size:
            raise invalid(f"The chunk does not begin at {self.body.size}, or is of another size")
        is_complete = total != "*" and int(total) == end
        if not is_complete and end % STEP:
            raise invalid("The size of the chunk is not a multiple of 256 KiB")
        upto = self.taken
        self.taken = None
        if upto is not None:
            upto = upto // STEP * STEP
        self.body.take(part_of(spool, self.body.size - start, upto))
        if upto is not None:
            raise ConnectionFailed("The connection was cut.", may_have_been_processed=True)
        return is_complete

    def _has_all_bytes(self, total: str) -> bool:
        if total != "*" and int(total) < self.body.size:
            raise invalid("The object is shorter than the received part")
        return total != "*" and int(total) == self.body.size

    def check(self, header: str | None) -> None:
        """Refuse an upload with checksums other than stated."""
        names = {"md5": "md5Hash", "crc32c": "crc32c"}
        stated_sums = {names[name]: value for name, value in _HASHES.findall(header or "")}
        initial = {
            name: value
            for name, value in self.resource.items()
            if name in stated_sums.keys() | names.values()
        }
        check_sums(self.body, {**initial, **stated_sums})


def check_sums(body: Body, stated: dict[str, str]) -> None:
    """Refuse bytes with checksums other than stated."""
    for name, value in stated.items():
        if value != body.sums[name]:
            raise invalid(
                f'Provided {name} "{value}" doesn\'t match calculated {name} "{body.sums[name]}".'
            )
