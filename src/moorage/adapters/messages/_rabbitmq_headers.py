"""Content headers of AMQP messages, without the properties that the client library cannot decode.

The library closes the connection at a property that it cannot decode, such as a time that is no
date of Python. RabbitMQ would deliver the same message again, over each new connection.
"""

from __future__ import annotations

from functools import lru_cache
from struct import error as StructError  # noqa: N812 - a class
from typing import Final

from pamqp import decode

_TEXT, _TABLE, _OCTET, _TIME = range(4)
_KINDS: Final = (
    *(_TEXT, _TEXT, _TABLE, _OCTET, _OCTET, _TEXT, _TEXT),
    *(_TEXT, _TEXT, _TIME, _TEXT, _TEXT, _TEXT, _TEXT),
)
"""The kinds of a message's properties, in their order; the flag of the first is the highest bit."""

_PROPERTIES: Final = tuple((1 << (15 - number), kind) for number, kind in enumerate(_KINDS))
_FLAGS: Final = slice(12, 14)
_BEGIN: Final = 14
_LATEST_TIME: Final = 253_402_300_799_000
"""The end of the year 9999 in milliseconds; the library reads large numbers as milliseconds."""

_UNREADABLE_ERRORS: Final = (
    ValueError,
    OverflowError,
    OSError,
    LookupError,
    TypeError,
    StructError,
)


def readable_header(content: bytes) -> bytes:
    """Return the content of a header frame, with its end, without unreadable properties.

    The result has the same length: zeros follow the last property.
    """
    flags = int.from_bytes(content[_FLAGS])
    readable_flags = flags
    position = _BEGIN
    values: list[bytes] = []
    for flag, kind in _flagged_properties(flags):
        end = position + _size(content, position, kind)
        value = content[position:end]
        if _is_readable(value, kind):
            values.append(value)
        else:
            readable_flags &= ~flag
        position = end
    if readable_flags == flags or position >= len(content):
        return content
    head = content[: _FLAGS.start] + readable_flags.to_bytes(2) + b"".join(values)
    return head.ljust(len(content) - 1, b"\0") + content[-1:]


# Most messages of a queue have the same properties.
@lru_cache(maxsize=64)
def _flagged_properties(flags: int) -> tuple[tuple[int, int], ...]:
    """Return the flag and the kind of each property that a message has."""
    return tuple(item for item in _PROPERTIES if flags & item[0])


def _size(content: bytes, position: int, kind: int) -> int:
    """Return the number of bytes of a property, including those of its length."""
    if kind == _TEXT:
        return 1 + int.from_bytes(content[position : position + 1])
    if kind == _TABLE:
        return 4 + int.from_bytes(content[position : position + 4])
    return 1 if kind == _OCTET else 8


def _is_readable(value: bytes, kind: int) -> bool:
    """Return whether the client library can decode a property."""
    if kind == _TIME:
        return int.from_bytes(value) <= _LATEST_TIME
    if kind == _OCTET or (value.isascii() and (kind == _TEXT or b"T" not in value)):
        # Only times (type T) and texts that are not UTF-8 cannot be decoded.
        return True
    try:
        if kind == _TEXT:
            decode.short_str(value)
        else:
            decode.field_table(value)
    except _UNREADABLE_ERRORS:
        return False
    return True
