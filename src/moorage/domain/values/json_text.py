"""The JSON that moorage writes and reads: compact, in UTF-8, without NaN."""

from __future__ import annotations

from json import JSONDecoder, detect_encoding, dumps
from typing import Any, Final, NoReturn, TypeGuard

from moorage.errors import InvalidData

LARGEST_PARSED: Final = 65_536
"""Bytes; a longer body is not parsed for a judgement or comparison, as that takes too long."""


def encode_json(value: object) -> bytes:
    """Encode a value as compact JSON in UTF-8."""
    try:
        text = dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidData(
            f"The value cannot be written as JSON ({type(error).__name__}).",
            field="json",
            remedy="Build the value only from dict, list, str, int, float, bool and None,"
            " without NaN. Write a Decimal as str.",
        ) from None


def decode_json(body: bytes) -> Any:
    """Decode a JSON body in any encoding that JSON allows.

    Raises:
        ValueError: the body is not JSON.
        RecursionError: the JSON is nested too deeply.
    """
    start = body[:2]
    if start[:1] in _OPENING_BRACKETS and start[1:] != b"\0":
        # In the usual case there is no byte order mark, no zero byte of a wider encoding and no
        # white space.
        text = body.decode("utf-8", "surrogatepass")
        value, end = _DECODER.raw_decode(text)
        if end == len(text) or not text[end:].strip(_WHITE_SPACE):
            return value
    return _DECODER.decode(body.decode(detect_encoding(body), "surrogatepass"))


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether a decoded JSON value is a list."""
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and infinity, which Python's JSON parser would accept."""
    raise ValueError(name)


_WHITE_SPACE: Final = " \t\n\r"
_OPENING_BRACKETS: Final = frozenset({b"{", b"["})
_DECODER: Final = JSONDecoder(parse_constant=refuse_constant)
