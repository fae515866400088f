"""Derives the table of a configuration from a class: its fields, types and descriptions."""

from __future__ import annotations

import inspect
import re
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from moorage.config.shapes import (
    AnyOf,
    AnyValue,
    Field,
    Flag,
    ListOf,
    NamedTable,
    Number,
    OneOf,
    SecretText,
    Shape,
    Table,
    Text,
    TimeOfDay,
)
from moorage.domain.values.frozen_values import NOTHING, fields_of
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import attrs

_SHAPES_BY_TYPE: Final[Mapping[str, Shape]] = {
    "str": Text(),
    "bool": Flag(),
    "int": Number(whole=True),
    "float": Number(),
    "Fraction": Number(),
    "Decimal": AnyOf((Number(), Text())),
    "Secret": SecretText(),
    "EmailAddress": Text(),
    "time": TimeOfDay(),
    "dict[str, str]": NamedTable(Text()),
    "dict[str, Any]": NamedTable(AnyValue()),
    "dict[str, Secret]": NamedTable(SecretText()),
}
"""The shapes of simple types."""

_COLLECTION: Final = late_pattern(r"(?:tuple\[([\w.]+), \.\.\.\]|frozenset\[([\w.]+)\])")
_MODULE: Final = late_pattern(r"\b[a-z_]\w*\.(?=[A-Z])")
_DESCRIPTION: Final = late_pattern(r"([\w]+(?:, \w+)*): (.*)", re.DOTALL)
_NONE: Final = "None"


def table_of(
    kind: type[Any],
    *,
    name: str | None = None,
    without: Iterable[str] = (),
    make: Callable[..., Any] | None = None,
    shapes: Mapping[str, Shape] | None = None,
) -> Table:
    """Return the table that an attrs class describes.

    Args:
        kind: the class.
        name: the name in messages and pages; the name of the class by default.
        without: fields that a file cannot set.
        make: creates the value, if the class itself does not.
        shapes: the shapes of fields whose types do not determine them.
    """
    descriptions = field_descriptions(kind)
    excluded_names, explicit_shapes = frozenset(without), shapes or {}
    fields = {
        field.name: _field(
            kind, field, descriptions.get(field.name, ""), explicit_shapes.get(field.name)
        )
        for field in fields_of(kind)
        if field.init and field.name not in excluded_names
    }
    return Table(name or kind.__name__, summary(kind), fields, make or kind, (kind,))


def summary(kind: type[Any]) -> str:
    """Return the first paragraph of a class's docstring."""
    text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
    return text.partition("\n\n")[0].replace("\n", " ")


def field_descriptions(kind: type[Any]) -> dict[str, str]:
    """Return the descriptions of fields in the docstring of a class."""
    text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
    lines = text.partition("\nAttributes:\n")[2].split("\n")
    descriptions: dict[str, str] = {}
    block = "\n".join(line[4:] for line in lines)
    for paragraph in re.split(r"\n(?=\S)", block.strip()):
        match = _DESCRIPTION.fullmatch(paragraph)
        if match is not None:
            description = re.sub(r"\s*\n\s*", " ", match[2]).strip()
            descriptions.update(dict.fromkeys(match[1].split(", "), description))
    return descriptions


def shape_of(kind: type[Any], written: object) -> Shape:
    """Return the shape of a field's accepted values, from its type annotation."""
    parts = [part for part in _parts(written) if part != _NONE]
    shapes = tuple(dict.fromkeys(_single_shape(kind, part) for part in parts))
    if len(shapes) == 1:
        return shapes[0]
    return AnyValue() if AnyValue() in shapes or not shapes else AnyOf(shapes)


def _field(
    kind: type[Any], field: attrs.Attribute[Any], about: str, explicit_shape: Shape | None
) -> Field:
    choices: tuple[str | int, ...] | None = field.metadata.get("choices")
    shape = OneOf(choices) if choices else explicit_shape or shape_of(kind, field.type)
    is_required = field.default is NOTHING
    default: object = field.default
    if isinstance(default, Enum):
        default = default.value
    return Field(
        shape,
        about,
        required=is_required,
        nullable=_NONE in _parts(field.type),
        default=default if not is_required and isinstance(default, (str, int, float)) else None,
    )


def _parts(written: object) -> list[str]:
    text = written if isinstance(written, str) else getattr(written, "__name__", str(written))
    return [part.strip() for part in text.split(" | ")]


def _single_shape(kind: type[Any], written: str) -> Shape:
    collection = _COLLECTION.fullmatch(written)
    if collection is not None:
        return ListOf(_single_shape(kind, collection[1] or collection[2]))
    shape = _SHAPES_BY_TYPE.get(_MODULE.sub("", written))  # `sdk.Secret` is a `Secret`
    if shape is not None:
        return shape
    named_type: object = sys.modules[kind.__module__]
    for name in written.split("."):
        named_type = getattr(named_type, name, None)
    if isinstance(named_type, type) and issubclass(named_type, Enum):
        return OneOf(tuple(member.value for member in named_type))
    return AnyValue()
