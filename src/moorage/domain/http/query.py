"""Query parameters and form fields: ordered pairs of text, and their percent-encoding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import quote

from moorage.domain.values.text import is_encodable
from moorage.errors import InvalidData

Scalar: TypeAlias = str | int | bool | None
Value: TypeAlias = Scalar | Sequence[Scalar]
PairsInput: TypeAlias = Mapping[str, Value] | Iterable[tuple[str, Value]]
Pairs: TypeAlias = tuple[tuple[str, str], ...]


def as_pairs(written: PairsInput | None, field: str) -> Pairs:
    """Return query parameters or form fields as pairs of text.

    None is dropped, a list becomes one pair per item, and booleans become `true` and `false`.
    """
    if not written:
        return ()
    # The type annotation does not bind users: the value may be anything.
    parameters = cast("Any", written)
    if isinstance(written, Mapping):
        parameters = parameters.items()
    pairs: list[tuple[str, str]] = []
    try:
        for name, value in parameters:
            key = _text(name, field)
            values = value if _is_list(value) else (value,)
            pairs.extend(
                (key, _text(item, f"{field}.{key}")) for item in values if item is not None
            )
    except (TypeError, ValueError):
        raise InvalidData(
            f"{field} cannot be converted to pairs of a name and a value.",
            field=field,
            remedy="Pass a mapping, or pairs of a name and a value.",
        ) from None
    return tuple(pairs)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _text(value: object, field: str) -> str:
    if isinstance(value, str):
        if value.isascii() or is_encodable(value):
            return str.__str__(value)
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif isinstance(value, int):
        return f"{value:d}"
    raise InvalidData(
        f"A parameter in {field} is of type {type(value).__name__} or not valid Unicode.",
        field=field,
        remedy="Pass the value as str, int, bool, None, or a list of these.",
    )


def encode_pairs(pairs: Pairs) -> str:
    """Percent-encode pairs, except for RFC 3986's unreserved characters; a space is `%20`."""
    return "&".join(f"{_quoted_text(name)}={_quoted_text(value)}" for name, value in pairs)


def _quoted_text(text: str) -> str:
    return text if text.isascii() and text.isalnum() else quote(text, safe="")
