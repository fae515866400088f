"""A digest of an idempotent function's arguments, for comparison with later calls."""

from __future__ import annotations

import json
import marshal
from typing import Any, Final, cast

from moorage.domain.values.fingerprints import LONGEST_KEPT, Fingerprint, new_sha256
from moorage.domain.values.frozen_values import as_dict, has_fields
from moorage.domain.values.plain import is_plain
from moorage.errors import InvalidData

_FORMAT: Final = 2
"""The last `marshal` format in which equal values always have equal bytes."""


class _UnknownError(TypeError):
    """Raised for a value in a payload that cannot be compared; the message contains its type."""


def payload_fingerprint(payload: object) -> bytes:
    """Return a digest of a payload, in which 1, 1.0, "1" and True all differ.

    Mappings are compared without regard to the order of their keys.
    """
    try:
        text = json.dumps(_plain_value(payload))
    except (TypeError, ValueError, RecursionError) as error:
        # For a value that cannot be compared, the error names its type; other errors might quote
        # the value.
        note = f": it holds a {error.args[0]}" if type(error) is _UnknownError else ""
        raise InvalidData(
            f"A payload of type {type(payload).__name__} cannot be compared with a later"
            f" one{note}.",
            field="payload",
            remedy="Pass `payload=` as bytes, or as a value that JSON can represent.",
        ) from None
    digest = new_sha256()
    digest.update(text.encode())
    return digest.digest()


def compared_payload(payload: object) -> bytes | Fingerprint:
    """Return the fingerprint of a payload. Its digest is computed only when needed.

    Raises:
        InvalidData: the payload contains a value that cannot be compared.
    """
    if is_plain(payload):
        content = marshal.dumps(cast("Any", payload), _FORMAT)
        if len(content) <= LONGEST_KEPT:
            return Fingerprint(content, _digest_of)
    return payload_fingerprint(payload)


def _digest_of(content: bytes) -> bytes:
    return payload_fingerprint(marshal.loads(content))  # noqa: S302 - we have written it


def _plain_value(value: object) -> object:
    """Return a value in JSON's types; values of different types give different results."""
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return [
            "map",
            *sorted(([_key(name), _plain_value(item)] for name, item in items), key=_first_of_pair),
        ]
    if isinstance(value, (list, tuple)):
        return ["list", *map(_plain_value, cast("list[object]", value))]
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, float)):
        return [type(value).__name__, repr(value)]
    return [_type_name(type(value)), _canonical_value(value)]


def _type_name(kind: type) -> str:
    """Return a type's name, which stays the same if a class of moorage moves."""
    package = kind.__module__
    if package.startswith("moorage."):
        package = "moorage"
    return f"{package}.{kind.__qualname__}"


def _key(name: object) -> str:
    if not isinstance(name, str):
        raise _UnknownError(f"key of type {type(name).__name__}")
    return name


def _first_of_pair(pair: list[object]) -> str:
    return str(pair[0])


def _canonical_value(value: object) -> object:
    """Return a decimal, a date, an enumeration or an attrs value as canonical text."""
    from datetime import date, time  # noqa: PLC0415 - with decimals and enums, only where met
    from decimal import Decimal  # noqa: PLC0415 - with decimals and enums, only where met
    from enum import Enum  # noqa: PLC0415 - with decimals and enums, only where met
    from uuid import UUID  # noqa: PLC0415 - with decimals and enums, only where met

    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, Enum):
        return _plain_value(value.value)
    if not has_fields(type(value)):
        raise _UnknownError(type(value).__name__)
    return _plain_value(as_dict(value))
