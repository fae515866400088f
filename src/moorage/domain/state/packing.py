"""Plain values as MessagePack, with extensions for types such as large integers.

An array is a tuple, a string a `str` and binary a `bytes`. Reading gives back equal values of the
same types, and each value has one encoding only, the shortest. Reading is total: bytes that are not
packed values always raise `ValueError`.
"""

from __future__ import annotations

import struct
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.http.response import Response
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

_Read: TypeAlias = "tuple[Any, int]"

_LIST: Final = 1
_INTEGER: Final = 2
_DECIMAL: Final = 3
_DATETIME: Final = 4
_DATE: Final = 5
_RESPONSE: Final = 6

_UNSIGNED_TAGS: Final = ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8))
_SIGNED_TAGS: Final = ((0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8))
_BINARY: Final = ((0xC4, 1), (0xC5, 2), (0xC6, 4))
_EXTENSION: Final = ((0xC7, 1), (0xC8, 2), (0xC9, 4))
_TEXT: Final = ((0xD9, 1), (0xDA, 2), (0xDB, 4))
_ARRAY: Final = ((0xDC, 2), (0xDD, 4))
_MAP: Final = ((0xDE, 2), (0xDF, 4))
_FEW: Final = 0x10
_FIXED_MAP, _FIXED_ARRAY, _FIXED_TEXT = 0x80, 0x90, 0xA0
_SHORT_TEXT: Final = 0x20
_NEGATIVE: Final = 0xE0
_FLOAT: Final = struct.Struct(">d")

_DECODING_ERRORS: Final = (
    ArithmeticError,
    ConnectorError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""Errors that reading arbitrary bytes may raise."""


def pack_values(values: tuple[Any, ...]) -> bytes:
    """Encode several values as bytes.

    Raises:
        InvalidData: a value has a type that cannot be packed.
    """
    try:
        return b"".join(map(_pack_fields, values))
    except RecursionError:
        raise InvalidData(
            "A value is nested too deeply to be stored.",
            field="value",
            remedy="Store a less deeply nested value.",
        ) from None


def unpack_values(packed: bytes) -> tuple[Any, ...]:
    """Decode the values in bytes that `pack_values` returned.

    Raises:
        ValueError: the bytes are not packed values.
    """
    try:
        return tuple(_all_values(packed))
    except _DECODING_ERRORS:
        raise ValueError("these bytes are not values") from None


# --- writing --------------------------------------------------------------------


def _pack_fields(value: object) -> bytes:
    pack = _PACKERS.get(type(value))
    if pack is not None:
        return pack(value)
    if isinstance(value, tuple):
        return _tuple(value)  # pyright: ignore[reportUnknownArgumentType]  # a tuple of anything
    raise InvalidData(
        f"A value of type {type(value).__name__} cannot be stored.",
        field="value",
        remedy="Store None, numbers, text, bytes, dates, or lists, tuples and dicts of these."
        " Alternatively, pass functions that encode and decode the value.",
    )


def _sized_header(codes: tuple[tuple[int, int], ...], number: int) -> bytes:
    """Return the shortest MessagePack header for a value of this size."""
    for code, width in codes:
        if number < 1 << 8 * width:
            return bytes((code,)) + number.to_bytes(width, "big")
    raise InvalidData(
        "A value is too long to be stored.", field="value", remedy="Store a shorter value."
    )


def _extension(kind: int, content: bytes) -> bytes:
    return _sized_header(_EXTENSION, len(content)) + bytes((kind,)) + content


def _int(value: int) -> bytes:
    if -0x20 <= value < 0x80:
        return bytes((value & 0xFF,))
    if -(1 << 63) <= value < 1 << 64:
        if value > 0:
            return _sized_header(_UNSIGNED_TAGS, value)
        code, width = next(sized for sized in _SIGNED_TAGS if value >= -1 << 8 * sized[1] - 1)
        return bytes((code,)) + value.to_bytes(width, "big", signed=True)
    return _extension(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _text(value: str) -> bytes:
    # Python allows a lone surrogate in a str; Unicode does not.
    text = value.encode("utf-8", "surrogatepass")
    size = len(text)
    return (
        bytes((_FIXED_TEXT | size,)) if size < _SHORT_TEXT else _sized_header(_TEXT, size)
    ) + text


def _bytes(value: bytes) -> bytes:
    return _sized_header(_BINARY, len(value)) + value


def _tuple(value: tuple[object, ...]) -> bytes:
    size = len(value)
    head = bytes((_FIXED_ARRAY | size,)) if size < _FEW else _sized_header(_ARRAY, size)
    return head + b"".join(map(_pack_fields, value))


def _dict(value: dict[Any, Any]) -> bytes:
    size = len(value)
    head = bytes((_FIXED_MAP | size,)) if size < _FEW else _sized_header(_MAP, size)
    return head + b"".join(_pack_fields(item) for pair in value.items() for item in pair)


def _list(value: list[Any]) -> bytes:
    return _extension(_LIST, b"".join(map(_pack_fields, value)))


def _response(value: Response) -> bytes:
    fields = (value.status, value.headers.pairs, value.body, value.reason, value.url, value.elapsed)
    return _extension(_RESPONSE, b"".join(map(_pack_fields, fields)))


_PACKERS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: b"\xc0",
    bool: lambda value: b"\xc3" if value else b"\xc2",
    int: _int,
    float: lambda value: b"\xcb" + _FLOAT.pack(value),
    str: _text,
    bytes: _bytes,
    tuple: _tuple,
    list: _list,
    dict: _dict,
    Decimal: lambda value: _extension(_DECIMAL, str(value).encode()),
    datetime: lambda value: _extension(_DATETIME, value.isoformat().encode()),
    date: lambda value: _extension(_DATE, value.isoformat().encode()),
    Response: _response,
}


# --- reading --------------------------------------------------------------------


def _all_values(packed: bytes) -> list[Any]:
    values: list[Any] = []
    at, end = 0, len(packed)
    while at < end:
        value, at = _read_field(packed, at)
        values.append(value)
    return values


def _read_field(packed: bytes, at: int) -> _Read:
    code = packed[at]
    at += 1
    if code < _FIXED_MAP:
        return code, at
    if code >= _NEGATIVE:
        return code - 0x100, at
    if code < _FIXED_ARRAY:
        return _read_dict(packed, at, code & 0x0F)
    if code < _FIXED_TEXT:
        return _read_tuple(packed, at, code & 0x0F)
    if code < _CONSTANTS:
        return _read_text(packed, at, code & 0x1F)
    if code in _CONSTANT:
        return _CONSTANT[code], at
    read_number, width = _SIZED_READERS[code]
    number = int.from_bytes(
        _take_bytes(packed, at, width), "big", signed=read_number is _read_signed
    )
    return read_number(packed, at + width, number)


def _take_bytes(packed: bytes, at: int, size: int) -> bytes:
    cut_bytes = packed[at : at + size]
    if len(cut_bytes) < size:
        raise ValueError("cut off")
    return cut_bytes


def _read_unsigned(_: bytes, at: int, number: int) -> _Read:
    return number, at


def _read_signed(_: bytes, at: int, number: int) -> _Read:
    return number, at


def _read_float(packed: bytes, at: int, _: int) -> _Read:
    return _FLOAT.unpack_from(packed, at)[0], at + 8


def _read_text(packed: bytes, at: int, size: int) -> _Read:
    return _take_bytes(packed, at, size).decode("utf-8", "surrogatepass"), at + size


def _read_bytes(packed: bytes, at: int, size: int) -> _Read:
    return _take_bytes(packed, at, size), at + size


def _read_tuple(packed: bytes, at: int, size: int) -> _Read:
    items: list[Any] = []
    for _ in range(size):
        item, at = _read_field(packed, at)
        items.append(item)
    return tuple(items), at


def _read_dict(packed: bytes, at: int, size: int) -> _Read:
    items, at = _read_tuple(packed, at, 2 * size)
    return dict(zip(items[::2], items[1::2], strict=True)), at


def _read_extension(packed: bytes, at: int, size: int) -> _Read:
    kind = packed[at]
    return _EXTENSIONS[kind](_take_bytes(packed, at + 1, size)), at + 1 + size


def _read_response(content: bytes) -> Response:
    status, headers, body, reason, url, elapsed_seconds = _all_values(content)
    return Response(status, headers, body, reason=reason, url=url, elapsed=elapsed_seconds)


_CONSTANTS: Final = 0xC0
_CONSTANT: Final = {0xC0: None, 0xC2: False, 0xC3: True}

_SIZED_READERS: Final[dict[int, tuple[Callable[[bytes, int, int], _Read], int]]] = {
    code: (read_number, width)
    for read_number, codes in (
        (_read_unsigned, _UNSIGNED_TAGS),
        (_read_signed, _SIGNED_TAGS),
        (_read_float, ((0xCB, 0),)),
        (_read_text, _TEXT),
        (_read_bytes, _BINARY),
        (_read_tuple, _ARRAY),
        (_read_dict, _MAP),
        (_read_extension, _EXTENSION),
    )
    for code, width in codes
}

_EXTENSIONS: Final[dict[int, Callable[[bytes], Any]]] = {
    _LIST: _all_values,
    _INTEGER: lambda content: int.from_bytes(content, "big", signed=True),
    _DECIMAL: lambda content: Decimal(content.decode()),
    _DATETIME: lambda content: datetime.fromisoformat(content.decode()),
    _DATE: lambda content: date.fromisoformat(content.decode()),
    _RESPONSE: _read_response,
}
