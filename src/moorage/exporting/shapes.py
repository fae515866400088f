"""JSON Schemas derived from example values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable


def shape_of(values: Iterable[Any]) -> dict[str, Any]:
    """Return the narrowest JSON Schema that matches all of these values."""
    examples = list(values)
    kinds = sorted({_type_name(example) for example in examples})
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
    objects = [example for example in examples if is_object(example)]
    if objects:
        names = dict.fromkeys(name for example in objects for name in example)
        schema["properties"] = {
            name: shape_of(example[name] for example in objects if name in example)
            for name in names
        }
        required_names = [name for name in names if all(name in example for example in objects)]
        if required_names:
            schema["required"] = required_names
    items = [item for example in examples if is_list(example) for item in example]
    if items:
        schema["items"] = shape_of(items)
    return schema


def _type_name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if is_list(value):
        return "array"
    return "object" if is_object(value) else "string"
