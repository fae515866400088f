"""Conversion of webhook schemes from and to plain tables, as in TOML or JSON.

A table has the fields of a scheme by their names. A string stays a string; a field with several
values accepts a string or a list; pairs are a table. An invalid value is refused with the path to
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from moorage.domain.values.text import with_article
from moorage.domain.webhooks.template import Template, nearest_hint
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Made = TypeVar("Made")

_LIST_SETTINGS: Final = frozenset({"signature", "signs", "weaker_headers"})
_PAIRS: Final = frozenset({"requires", "types"})
_FLAGS: Final = frozenset({"repeats", "each_signed", "only_hints"})
_NUMBERS: Final = frozenset({"tolerance"})


def made_from(kind: type[Made], table: Any, path: str) -> Made:
    """Return the object that a plain table describes.

    Raises:
        ConfigurationError: the table is not a scheme; `path` names the wrong value.
    """
    fields = {field.name: field for field in attrs.fields(cast("Any", kind)) if field.init}
    values: dict[str, Any] = {}
    for key, value in _items(table, path):
        field = fields.get(key)
        if field is None:
            raise ConfigurationError(
                f"A scheme has no field {key!r}.",
                path=_path_of_key(path, key),
                remedy=f"{nearest_hint(key, fields)}Use {', '.join(fields)}.",
            )
        if value is not None:
            values[key] = _read_value(key, value, field.converter, _path_of_key(path, key))
    for field in fields.values():
        if field.default is attrs.NOTHING and field.name not in values:
            raise ConfigurationError(
                f"The scheme has no {field.name}.",
                path=_path_of_key(path, field.name),
                remedy="Add at least a name and the place of the signature to every scheme.",
            )
    return _convert_setting(lambda fields: kind(**fields), values, path)


def _items(table: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(table, Mapping):
        pairs = cast("Mapping[object, Any]", table)
        return [(str(key), value) for key, value in pairs.items()]
    raise ConfigurationError(
        f"The value is {with_article(type(table).__name__)}, not a table.",
        path=path,
        remedy="Write names with their values, as a TOML table or a JSON object.",
    )


def _read_value(key: str, value: Any, convert: Any, path: str) -> Any:
    if key in _PAIRS:
        pairs = _items(value, path)
        return tuple(_pair(name, item, convert, _path_of_key(path, name)) for name, item in pairs)
    if key in _LIST_SETTINGS and isinstance(value, (list, tuple)):
        numbered_items = enumerate(cast("Iterable[object]", value))
        return tuple(
            _single_value(item, convert, f"{path}[{number}]") for number, item in numbered_items
        )
    if key in _NUMBERS:
        return _convert_setting(convert, value, path)
    if key in _FLAGS:
        if isinstance(value, bool):
            return value
        raise _table_error(value, "true or false", path)
    text = _text(value, path)
    return text if convert is None else _convert_setting(convert, text, path)


def _pair(name: str, value: object, convert: Any, path: str) -> Any:
    return _convert_setting(convert, [(name, _text(value, path))], path)[0]


def _single_value(value: object, convert: Any, path: str) -> Any:
    return _convert_setting(convert, _text(value, path), path)[0]


def _text(value: object, path: str) -> str:
    if isinstance(value, str):
        return value
    raise _table_error(value, "a string", path)


def _table_error(value: object, expected: str, path: str) -> ConfigurationError:
    return ConfigurationError(
        f"The value is {with_article(type(value).__name__)}, not {expected}.",
        path=path,
        remedy=f"Use {expected}.",
    )


def _convert_setting(convert: Callable[[Any], Made], value: object, path: str) -> Made:
    """Convert a setting; an error contains the setting's path."""
    try:
        return convert(value)
    except ConnectorError as error:
        wrong_error = ConfigurationError(error.message, path=path, remedy=error.remedy)
    raise wrong_error


def _path_of_key(path: str, key: str) -> str:
    return f"{path}.{key}" if key.replace("_", "a").isalnum() else f'{path}."{key[:80]}"'


def scheme_table(scheme: Any) -> dict[str, Any]:
    """Return a scheme as a plain table, without the fields that have default values."""
    kind = cast("Any", type(scheme))
    return {
        field.name: _plain_value(field.name, value)
        for field in attrs.fields(kind)
        if field.init and (value := getattr(scheme, field.name)) != field.default
    }


def _plain_value(key: str, value: Any) -> Any:
    if key in _PAIRS:
        return {_plain_value("", name): item for name, item in value}
    if isinstance(value, tuple):
        plain_items = [_plain_value("", item) for item in cast("Iterable[object]", value)]
        return plain_items[0] if len(plain_items) == 1 else plain_items
    if isinstance(value, Template):
        return value.text
    if isinstance(value, StrEnum):
        return value.value
    return int(value) if isinstance(value, float) and value.is_integer() else value
