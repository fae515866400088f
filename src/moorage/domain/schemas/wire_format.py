"""The wire format of Confluent: the id of a schema before a record's data.

A record begins with a zero byte and the id in four bytes, most significant first. In Protobuf, the
position of the message in its file follows: the number of the message, and the number of each
nested message on the path to it.

Laws:

1. `read_frame` returns the id and the data that `add_frame` has joined.
2. Reading any bytes returns a frame or raises `InvalidData`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.schemas.schema import LARGEST_ID
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER_LENGTH: Final = 5
_MAX_DEPTH: Final = 32
"""The maximum number of message indexes."""

_LARGEST_INDEX: Final = 2**16


class Frame(NamedTuple):
    """A record in Confluent's wire format: the schema's id, and the data after it.

    Attributes:
        id: the id of the schema.
        data: the bytes after the id.
    """

    id: int
    data: bytes


def add_frame(id: int, data: bytes) -> bytes:
    """Return data with a header that contains the schema's id."""
    return b"\0" + id.to_bytes(4, "big") + data


def read_frame(payload: bytes) -> Frame:
    """Return the schema's id and the data of a record in Confluent's wire format.

    Raises:
        InvalidData: the record is not framed.
    """
    if len(payload) < _HEADER_LENGTH or payload[0] != 0:
        raise _invalid_error("does not begin with a zero byte and the id of a schema")
    id = int.from_bytes(payload[1:_HEADER_LENGTH], "big")
    if not 0 < id <= LARGEST_ID:
        raise _invalid_error("has an invalid schema id")
    return Frame(id, payload[_HEADER_LENGTH:])


def with_indexes(indexes: Sequence[int], data: bytes) -> bytes:
    """Return a Protobuf message's data, preceded by the message's position in its file."""
    if list(indexes) == [0]:
        return b"\0" + data
    return b"".join(map(_varint, (len(indexes), *indexes))) + data


def without_indexes(data: bytes) -> tuple[tuple[int, ...], bytes]:
    """Return the position of a Protobuf message in its file, and its data.

    Raises:
        InvalidData: the place cannot be read.
    """
    count, position = _number(data, 0)
    if count == 0:
        return (0,), data[position:]
    if not 0 < count <= _MAX_DEPTH:
        raise _invalid_error("has an invalid number of message indexes")
    indexes: list[int] = []
    for _ in range(count):
        index, position = _number(data, position)
        if not 0 <= index <= _LARGEST_INDEX:
            raise _invalid_error("has an invalid message index")
        indexes.append(index)
    return tuple(indexes), data[position:]


def _varint(value: int) -> bytes:
    """Return a number of zero or more as a zigzag varint."""
    encoded = value << 1
    result = bytearray()
    while encoded > 0x7F:
        result.append(encoded & 0x7F | 0x80)
        encoded >>= 7
    result.append(encoded)
    return bytes(result)


def _number(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[position : position + 5]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position + place + 1
    raise _invalid_error("ends within its message indexes")


def _invalid_error(problem: str) -> InvalidData:
    return InvalidData(
        f"The payload of a record {problem}.",
        field="payload",
        remedy="Correct the producer, or decode the records as plain data with a named subject.",
    )
