"""Schemes as plain tables, such as TOML and JSON give: read, and written.

A table has the fields of a scheme by their names. Texts stay texts; where several may stand, one or
a list of them; pairs are a table. What is wrong is refused with the path to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from moorage.domain.webhooks.template import Template, nearest
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Made = TypeVar("Made")

_SEVERAL: Final = frozenset({"signature", "signs", "older"})
_PAIRS: Final = frozenset({"requires", "types"})
_FLAGS: Final = frozenset({"repeats", "each_signed", "hints"})
_NUMBERS: Final = frozenset({"tolerance"})


def made_from(kind: type[Made], table: Any, path: str) -> Made:
    """The scheme that this table describes.

    Raises:
        ConfigurationError: it describes none; `path` leads to what is wrong.
    """
    fields = {field.name: field for field in attrs.fields(cast("Any", kind)) if field.init}
    values: dict[str, Any] = {}
    for key, value in _items(table, path):
        field = fields.get(key)
        if field is None:
            raise ConfigurationError(
                f"a scheme has no {key!r}.",
                path=_at(path, key),
                remedy=f"{nearest(key, fields)}Use {', '.join(fields)}.",
            )
        if value is not None:
            values[key] = _read(key, value, field.converter, _at(path, key))
    for field in fields.values():
        if field.default is attrs.NOTHING and field.name not in values:
            raise ConfigurationError(
                f"the scheme has no {field.name}.",
                path=_at(path, field.name),
                remedy="Give every scheme at least a name and where its signature stands.",
            )
    return _converted(lambda given: kind(**given), values, path)


def _items(table: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(table, Mapping):
        pairs = cast("Mapping[object, Any]", table)
        return [(str(key), value) for key, value in pairs.items()]
    raise ConfigurationError(
        f"{type(table).__name__} is no table.",
        path=path,
        remedy="Give names with their values, as a table of TOML or an object of JSON.",
    )


def _read(key: str, value: Any, convert: Any, path: str) -> Any:
    if key in _PAIRS:
        pairs = _items(value, path)
        return tuple(_pair(name, one, convert, _at(path, name)) for name, one in pairs)
    if key in _SEVERAL and isinstance(value, (list, tuple)):
        listed = enumerate(cast("Iterable[object]", value))
        return tuple(_one(one, convert, f"{path}[{number}]") for number, one in listed)
    if key in _NUMBERS:
        return _converted(convert, value, path)
    if key in _FLAGS:
        if isinstance(value, bool):
            return value
        raise _wrong(value, "true or false", path)
    text = _text(value, path)
    return text if convert is None else _converted(convert, text, path)


def _pair(name: str, value: object, convert: Any, path: str) -> Any:
    return _converted(convert, [(name, _text(value, path))], path)[0]


def _one(value: object, convert: Any, path: str) -> Any:
    return _converted(convert, _text(value, path), path)[0]


def _text(value: object, path: str) -> str:
    if isinstance(value, str):
        return value
    raise _wrong(value, "a text", path)


def _wrong(value: object, wanted: str, path: str) -> ConfigurationError:
    return ConfigurationError(
        f"{type(value).__name__} stands where {wanted} belongs.",
        path=path,
        remedy=f"Write {wanted} there.",
    )


def _converted(convert: Callable[[Any], Made], value: object, path: str) -> Made:
    """What is made of it, or the refusal with the path to where it stands."""
    try:
        return convert(value)
    except ConnectorError as error:
        wrong = ConfigurationError(error.message, path=path, remedy=error.remedy)
    raise wrong


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if key.replace("_", "a").isalnum() else f'{path}."{key[:80]}"'


def written(scheme: Any) -> dict[str, Any]:
    """The table of a scheme: what differs from the defaults, in the order of the fields."""
    kind = cast("Any", type(scheme))
    return {
        field.name: _plain(field.name, value)
        for field in attrs.fields(kind)
        if field.init and (value := getattr(scheme, field.name)) != field.default
    }


def _plain(key: str, value: Any) -> Any:
    if key in _PAIRS:
        return {_plain("", name): one for name, one in value}
    if isinstance(value, tuple):
        several = [_plain("", one) for one in cast("Iterable[object]", value)]
        return several[0] if len(several) == 1 else several
    if isinstance(value, Template):
        return value.text
    if isinstance(value, StrEnum):
        return value.value
    return int(value) if isinstance(value, float) and value.is_integer() else value
