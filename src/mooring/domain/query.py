"""Query parameters and form fields: ordered pairs of text, and their percent-encoding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias
from urllib.parse import quote

from mooring.errors import InvalidData

Scalar: TypeAlias = str | int | bool | None
Value: TypeAlias = Scalar | list[str] | list[int] | list[Scalar] | tuple[Scalar, ...]
PairsInput: TypeAlias = Mapping[str, Value] | Iterable[tuple[str, Value]]
Pairs: TypeAlias = tuple[tuple[str, str], ...]


def as_pairs(given: PairsInput | None, field: str) -> Pairs:
    """Return parameters as pairs of text.

    None is dropped, a list repeats its name, and booleans are `true` and `false`.
    """
    if not given:
        return ()
    pairs: list[tuple[str, str]] = []
    try:
        for name, value in given.items() if isinstance(given, Mapping) else given:
            known = _text(name, field)
            values = value if isinstance(value, (list, tuple)) else (value,)
            pairs.extend(
                (known, _text(one, f"{field}.{known}")) for one in values if one is not None
            )
    except (TypeError, ValueError):
        raise InvalidData(
            f"{field} cannot be made of this {type(given).__name__}.",
            field=field,
            remedy="Give a mapping, or pairs of name and value.",
        ) from None
    return tuple(pairs)


def _text(value: object, field: str) -> str:
    if isinstance(value, str):
        if value.isascii() or _encodes(value):
            return str.__str__(value)
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif isinstance(value, int):
        return f"{value:d}"
    raise InvalidData(
        f"A parameter in {field} is of type {type(value).__name__} or not valid Unicode.",
        field=field,
        remedy="Write the value as str, int, bool, None, or a list of these.",
    )


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode_pairs(pairs: Pairs) -> str:
    """Percent-encode everything but RFC 3986's unreserved characters; a space is `%20`."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)


def _quoted(text: str) -> str:
    return text if text.isascii() and text.isalnum() else quote(text, safe="")
