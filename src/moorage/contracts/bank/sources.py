"""Reads a bank's file in pieces, from bytes or from an open file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, runtime_checkable

from moorage.contracts.validators import check_whole
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST: Final = 64 * 1024 * 1024
"""The size in bytes up to which files are read, unless the caller allows more."""

_PIECE_BYTES: Final = 1024 * 1024


@runtime_checkable
class ReadableFile(Protocol):
    """A file that was opened for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; empty bytes mean the end of the file."""
        ...


BankFile: TypeAlias = "bytes | ReadableFile"
"""A bank's file: its bytes, or a file that was opened for reading bytes."""


def pieces(source: BankFile, largest: int) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces.

    Raises:
        InvalidData: the file is longer than `largest`, or the source is not a file.
    """
    check_whole(largest, "largest")
    size = 0
    for piece in _from_bytes(source) if isinstance(source, bytes) else _from_file(source):
        size += len(piece)
        if size > largest:
            raise InvalidData(
                f"The bank's file is larger than {largest} bytes.",
                field="source",
                remedy="Pass a larger `largest`; reading the file takes several times its size in"
                " memory.",
            )
        yield piece


def _from_bytes(source: bytes) -> Iterator[bytes]:
    for start in range(0, len(source), _PIECE_BYTES):
        yield source[start : start + _PIECE_BYTES]


def _from_file(source: object) -> Iterator[bytes]:
    if not isinstance(source, ReadableFile):
        raise InvalidData(
            f"The source must be bytes or an open file, not {with_article(type(source).__name__)}.",
            field="source",
            remedy="Give the file's bytes, or open it with open(path, 'rb').",
        )
    while piece := source.read(_PIECE_BYTES):
        if not isinstance(piece, bytes):
            raise InvalidData(
                "The bank's file was opened in text mode.",
                field="source",
                remedy="Open the file with open(path, 'rb'), since it names its own encoding.",
            )
        yield piece
