"""A reader of protobuf messages of known structure that needs no generated classes.

It serves the few messages of gRPC itself: health, reflection, and the details of an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_FIXED_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT: Final = 10


def message_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and value of each protobuf field: an integer, or the raw bytes.

    Raises:
        ValueError: the bytes are not a protobuf message.
    """
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(message, position)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError("A field has an unknown type.")
        end = position + size
        if end > len(message):
            raise ValueError("The message ends within a field.")
        yield number, message[position:end]
        position = end


def bytes_of(message: bytes, number: int) -> list[bytes]:
    """Return the values of a repeated protobuf field of bytes, text or messages."""
    return [
        value
        for field, value in message_fields(message)
        if field == number and isinstance(value, bytes)
    ]


def number_of(message: bytes, number: int) -> int:
    """Return the last value of an integer or enumeration field; 0 if it is absent."""
    result = 0
    for field, value in message_fields(message):
        if field == number and isinstance(value, int):
            result = value
    return result - (1 << 64) if result >> 63 else result


def text_field(number: int, text: str) -> bytes:
    """Return the bytes of a protobuf field that contains a string."""
    value = text.encode()
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(value)) + value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & ((1 << 64) - 1), position + place + 1
    raise ValueError("The message ends within a number.")


def _as_varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
