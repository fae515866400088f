"""Encodes the parts of Kafka's protocol that an in-memory broker needs."""

from __future__ import annotations

import struct
from typing import Final, Self

_POLYNOMIAL: Final = 0x82F63B78
_CONTROL: Final = 0x20
_TRANSACTIONAL: Final = 0x10


class Reader:
    """Reads the fields of a request.

    Attributes:
        is_flexible: whether the request is of a version with compact fields and tags.
    """

    def __init__(self, data: bytes) -> None:
        self.is_flexible = False
        self._data = data
        self._at = 0

    def _number(self, form: str) -> int:
        (number,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(number)

    def i8(self) -> int:
        """Read a number of one byte."""
        return self._number(">b")

    def i16(self) -> int:
        """Read a number of two bytes."""
        return self._number(">h")

    def i32(self) -> int:
        """Read a number of four bytes."""
        return self._number(">i")

    def i64(self) -> int:
        """Read a number of eight bytes."""
        return self._number(">q")

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._number(">B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def _take(self, size: int) -> bytes:
        taken_bytes = self._data[self._at : self._at + size]
        self._at += size
        return taken_bytes

    def count(self) -> int:
        """Read the number of items in a compact array."""
        return self._varint() - 1

    def text(self) -> str | None:
        """Read a string, which may be null."""
        size = self._varint() - 1 if self.is_flexible else self.i16()
        return None if size < 0 else self._take(size).decode()

    def bytes(self) -> bytes:
        """Read bytes."""
        return self._take(max(0, self.i32()))

    def tags(self) -> None:
        """Skip the tagged fields, which only flexible versions of a request have."""
        if self.is_flexible:
            for _ in range(self._varint()):
                self._varint()
                self._take(self._varint())


class Writer:
    """Writes the fields of a response.

    Attributes:
        data: what was written.
        is_flexible: whether the response is of a version with compact fields and tags.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_flexible = False

    def _number(self, form: str, number: int) -> Self:
        self.data += struct.pack(form, number)
        return self

    def i8(self, number: int) -> Self:
        """Write a number of one byte."""
        return self._number(">b", number)

    def i16(self, number: int) -> Self:
        """Write a number of two bytes."""
        return self._number(">h", number)

    def i32(self, number: int) -> Self:
        """Write a number of four bytes."""
        return self._number(">i", number)

    def i64(self, number: int) -> Self:
        """Write a number of eight bytes."""
        return self._number(">q", number)

    def _varint(self, number: int) -> Self:
        while number >= 0x80:
            self.data.append(number & 0x7F | 0x80)
            number >>= 7
        self.data.append(number)
        return self

    def count(self, number: int) -> Self:
        """Write the number of items in a compact array."""
        return self._varint(number + 1)

    def text(self, text: str | None) -> Self:
        """Write a string, which may be null."""
        content = None if text is None else text.encode()
        size = -1 if content is None else len(content)
        if self.is_flexible:
            self._varint(size + 1)
        else:
            self.i16(size)
        self.data += content or b""
        return self

    def bytes(self, content: bytes) -> Self:
        """Write bytes."""
        self.i32(len(content))
        self.data += content
        return self

    def tags(self) -> Self:
        """Write an empty list of tagged fields, if the version is flexible."""
        return self._varint(0) if self.is_flexible else self


def record_count(batch: bytes) -> int:
    """Return the number of offsets in a record batch."""
    (last,) = struct.unpack_from(">i", batch, 23)
    return int(last) + 1


def rebase_batch(batch: bytes, offset: int) -> bytes:
    """Return a record batch with another base offset."""
    return struct.pack(">q", offset) + batch[8:]


def control_batch(producer: int, epoch: int, *, is_commit: bool) -> bytes:
    """Return the control batch that marks the end of a transaction."""
    key = struct.pack(">hh", 0, int(is_commit))
    value = struct.pack(">hi", 0, 1)
    body = b"\0\0\0" + _zigzag(len(key)) + key + _zigzag(len(value)) + value + b"\0"
    record = _zigzag(len(body)) + body
    content = (
        struct.pack(">hiqqqhi", _CONTROL | _TRANSACTIONAL, 0, 0, 0, producer, epoch, -1)
        + struct.pack(">i", 1)
        + record
    )
    after_length = struct.pack(">ibI", 0, 2, _crc32c(content)) + content
    return struct.pack(">qi", 0, len(after_length)) + after_length


def _zigzag(number: int) -> bytes:
    return bytes(Writer()._varint(number << 1).data)  # noqa: SLF001 - of this module


def _crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value ^ 0xFFFFFFFF
