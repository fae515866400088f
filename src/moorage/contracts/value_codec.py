"""Encoding of contract values as bytes, so that a store can keep them.

Laws:

1. A decoded value equals the encoded one: plain values, times with their named zones, tuples,
   lists, tables and sets of these, and every value and enumeration of the contracts, with `Money`,
   `Ref` and `Request`.
2. Values are identified by the names of their classes and fields, not by modules. A field that
   was added later gets its default.
3. Secrets and one-time streams are refused.
4. Bytes that are not an encoded value raise `InvalidData`. Decoding calls only the classes of
   the contracts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from moorage.contracts import ref, undo
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.domain.http import requests
from moorage.domain.http.headers import Headers
from moorage.domain.http.response import Response
from moorage.domain.secrets.secret import Secret
from moorage.domain.state.packing import pack_values, unpack_values
from moorage.domain.values.money import Money
from moorage.domain.values.text import with_article
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PLAIN_TYPES: Final = frozenset(
    {type(None), bool, int, float, str, bytes, Decimal, datetime, date, Response}
)
_TUPLE, _LIST, _DICT, _SET, _SPAN, _HEADERS, _MONEY, _WORD, _VALUE, _ZONED = range(10)

_SHARED_MODULES: Final = (ref, requests, undo)
"""Modules whose classes can be encoded, beside those of the contracts."""


def pack(value: object) -> bytes:
    """Encode a value as bytes.

    Raises:
        InvalidData: it contains something that cannot be stored, such as a secret or a stream.
    """
    try:
        return pack_values((_lower_value(value, "value"),))
    except RecursionError:
        _raise_invalid(
            "values that are nested too deeply", "value", "Store a value with fewer levels."
        )


def unpack(packed: bytes) -> Any:
    """Decode the bytes that `pack` made.

    Raises:
        InvalidData: the bytes are malformed, or of a class that this release does not know.
    """
    try:
        (plain_value,) = unpack_values(packed)
        return _raise_value(plain_value)
    except (ConnectorError, LookupError, RecursionError, TypeError, ValueError):
        raise InvalidData(
            "The stored bytes are not an encoded value, or are of a newer release.",
            field="packed",
            remedy="Give bytes that `pack` returned, and upgrade every process that shares the"
            " store.",
        ) from None


@cache
def kinds() -> dict[str, type]:
    """Every class whose values can be encoded, by its name."""
    modules = list(_SHARED_MODULES)
    for kind in CONTRACTS:
        declaration = contract(kind)
        modules += (sys.modules[declaration.__module__], *declaration.values)
    return {
        kind.__name__: kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and _is_stored(kind)
    }


def _is_stored(kind: type) -> bool:
    return attrs.has(kind) or issubclass(kind, Enum)


def _lower_value(value: Any, path: str) -> object:
    """A value converted to types that `pack_values` can encode; containers get type labels."""
    name: str = type(value).__name__
    zone = getattr(value.tzinfo, "key", None) if type(value) is datetime else None
    if zone is not None:
        return _ZONED, value.replace(tzinfo=None), zone, value.fold
    if type(value) in _PLAIN_TYPES:
        return value
    if kinds().get(name) is type(value):
        return _packed_by_name(value, name, path)
    lower_type = next(
        (lower_type for type_, lower_type in _ENCODERS if isinstance(value, type_)), None
    )
    if lower_type is None:
        _refuse_kind(value, path)
    return lower_type(value, path)


def _packed_by_name(value: Any, name: str, path: str) -> tuple[object, ...]:
    if isinstance(value, Enum):
        return _WORD, name, value.value
    fields = [
        part
        for field in attrs.fields(value.__class__)
        for part in (field.alias, _lower_value(getattr(value, field.name), f"{path}.{field.name}"))
    ]
    return (_VALUE, name, *fields)


def _items(values: Iterable[Any], path: str) -> list[object]:
    return [_lower_value(value, f"{path}[{number}]") for number, value in enumerate(values)]


def _pairs(table: Mapping[Any, Any], path: str) -> list[object]:
    return [_lower_value(item, f"{path}[…]") for pair in table.items() for item in pair]


_ENCODERS: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any, str], object]], ...]] = (
    (tuple, lambda value, path: (_TUPLE, *_items(value, path))),
    (list, lambda value, path: (_LIST, *_items(value, path))),
    (Headers, lambda value, _: (_HEADERS, *value.pairs)),
    (Mapping, lambda value, path: (_DICT, *_pairs(value, path))),
    ((frozenset, set), lambda value, path: (_SET, *sorted(_items(value, path), key=repr))),
    (timedelta, lambda value, _: (_SPAN, value.days, value.seconds, value.microseconds)),
    (Money, lambda value, _: (_MONEY, value.minor, value.currency)),
    # Frameworks have subclasses of str and bytes, for example for safe HTML.
    (str, lambda value, _: str.__str__(value)),
    ((bytes, bytearray, memoryview), lambda value, _: bytes(value)),
)
"""The encoding of each type; the first that matches is used."""


def _refuse_kind(value: object, path: str) -> NoReturn:
    if isinstance(value, Secret):
        _raise_invalid(
            "a secret",
            path,
            "Leave the secret out, since the call uses the credentials of the account.",
        )
    _raise_invalid(
        with_article(type(value).__name__),
        path,
        "Give plain values and objects of moorage's contracts; give a file as bytes or a path.",
    )


def _raise_invalid(content: str, path: str, remedy: str) -> NoReturn:
    raise InvalidData(
        f"The value to store contains {content}.", field=path, remedy=remedy
    ) from None


def _raise_value(lowered_value: Any) -> Any:
    return (
        _RAISERS_BY_CODE[lowered_value[0]](*lowered_value[1:])
        if type(lowered_value) is tuple
        else lowered_value
    )


def _dict(*parts: Any) -> dict[Any, Any]:
    items = list(map(_raise_value, parts))
    return dict(zip(items[::2], items[1::2], strict=True))


def _zoned_time(local: datetime, zone: str, fold: int) -> datetime:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few values have a named time zone

    return local.replace(tzinfo=ZoneInfo(zone), fold=fold)


def _value(name: str, *parts: Any) -> Any:
    return kinds()[name](**dict(zip(parts[::2], map(_raise_value, parts[1::2]), strict=True)))


_RAISERS_BY_CODE: Final[dict[int, Callable[..., Any]]] = {
    _TUPLE: lambda *items: tuple(map(_raise_value, items)),
    _LIST: lambda *items: list(map(_raise_value, items)),
    _DICT: _dict,
    _SET: lambda *items: frozenset(map(_raise_value, items)),
    _SPAN: timedelta,
    _HEADERS: lambda *pairs: Headers(pairs),
    _MONEY: Money.from_minor,
    _WORD: lambda *named: kinds()[named[0]](named[1]),
    _VALUE: _value,
    _ZONED: _zoned_time,
}
"""The decoder of each type, applied to the encoded content."""
