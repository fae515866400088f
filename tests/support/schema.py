"""Checks a value against a JSON Schema with the keywords that the tests use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json: TypeAlias = Any
"""Whatever JSON can be."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "string": str,
}
_SILENT = {
    *("$schema", "$defs", "title", "description", "default", "if", "then", "else"),
    *("format", "kinds"),
}


def fits(root: Json, schema: Json, value: Json) -> bool:
    """Return whether a value matches a schema of `root`; unknown keywords are an error."""
    keywords = {word for word in schema if not word.startswith("x-")}
    known_keywords = _WORDS.keys() | _SILENT
    assert keywords <= known_keywords, keywords - known_keywords
    if "if" in schema:
        branch = "then" if fits(root, schema["if"], value) else "else"
        if not fits(root, schema.get(branch, {}), value):
            return False
    return all(_WORDS[word](root, schema, value) for word in schema if word in _WORDS)


def _is(kind: str, value: Json) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_one_of(kinds: str | list[str], value: Json) -> bool:
    return any(_is(kind, value) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _ref(root: Json, schema: Json, value: Json) -> bool:
    result = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        result = result[part]
    return fits(root, result, value)


def _properties(root: Json, schema: Json, value: Json) -> bool:
    if not isinstance(value, dict):
        return True
    property_schemas = schema["properties"]
    return all(
        fits(root, property_schemas[name], item)
        for name, item in value.items()
        if name in property_schemas
    )


def _additional(root: Json, schema: Json, value: Json) -> bool:
    if not isinstance(value, dict):
        return True
    additional_schema = schema["additionalProperties"]
    additional_values = [
        item for name, item in value.items() if name not in schema.get("properties", {})
    ]
    return (
        not additional_values
        if additional_schema is False
        else all(
            fits(root, additional_schema, additional_value)
            for additional_value in additional_values
        )
    )


def _items(root: Json, schema: Json, value: Json) -> bool:
    return not isinstance(value, list) or all(fits(root, schema["items"], item) for item in value)


def _const(_: Json, schema: Json, value: Json) -> bool:
    return bool(schema["const"] == value)


def _enum(_: Json, schema: Json, value: Json) -> bool:
    return any(type(item) is type(value) and item == value for item in schema["enum"])


def _pattern(_: Json, schema: Json, value: Json) -> bool:
    return not isinstance(value, str) or re.search(schema["pattern"], value) is not None


def _check_required(_: Json, schema: Json, value: Json) -> bool:
    return not isinstance(value, dict) or set(schema["required"]) <= value.keys()


_WORDS: Mapping[str, Callable[[Json, Json, Json], bool]] = {
    "$ref": _ref,
    "additionalProperties": _additional,
    "allOf": lambda root, schema, value: all(fits(root, item, value) for item in schema["allOf"]),
    "anyOf": lambda root, schema, value: any(fits(root, item, value) for item in schema["anyOf"]),
    "const": _const,
    "enum": _enum,
    "items": _items,
    "oneOf": lambda root, schema, value: (
        sum(fits(root, item, value) for item in schema["oneOf"]) == 1
    ),
    "pattern": _pattern,
    "properties": _properties,
    "required": _check_required,
    "type": lambda _, schema, value: _is_one_of(schema["type"], value),
}
