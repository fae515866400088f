"""The table that a class describes: its fields, their types, and what its docstring says."""

from __future__ import annotations

import inspect
import re
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.config.shapes import (
    Anything,
    Either,
    Field,
    Flag,
    Many,
    Number,
    OneOf,
    SecretText,
    Shape,
    Table,
    Text,
    TimeOfDay,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_KNOWN: Final[Mapping[str, Shape]] = {
    "str": Text(),
    "bool": Flag(),
    "int": Number(whole=True),
    "float": Number(),
    "Fraction": Number(),
    "Decimal": Either((Number(), Text())),
    "Secret": SecretText(),
    "EmailAddress": Text(),
    "time": TimeOfDay(),
}
"""Types that are written as they are."""

_SEVERAL: Final = re.compile(r"(?:tuple\[(\w+), \.\.\.\]|frozenset\[(\w+)\])")
_ITEM: Final = re.compile(r"([\w]+(?:, \w+)*): (.*)", re.DOTALL)
_NONE: Final = "None"


def table_of(
    kind: type[Any],
    *,
    name: str | None = None,
    without: Iterable[str] = (),
    make: Callable[..., Any] | None = None,
    shapes: Mapping[str, Shape] | None = None,
) -> Table:
    """The table that a class made by attrs describes.

    Args:
        kind: the class.
        name: what messages and pages call it; the name of the class if left out.
        without: fields that no file can say.
        make: makes the value, if it is not the class that does.
        shapes: of fields whose types do not tell.
    """
    told = about_fields(kind)
    left_out, given = frozenset(without), shapes or {}
    fields = {
        field.name: _field(kind, field, told.get(field.name, ""), given.get(field.name))
        for field in attrs.fields(kind)
        if field.init and field.name not in left_out
    }
    return Table(name or kind.__name__, summary(kind), fields, make or kind, (kind,))


def summary(kind: type[Any]) -> str:
    """What a class is, in the first sentence of its docstring."""
    text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
    return text.partition("\n\n")[0].replace("\n", " ")


def about_fields(kind: type[Any]) -> dict[str, str]:
    """What the docstring of a class says of each field."""
    text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
    lines = text.partition("\nAttributes:\n")[2].split("\n")
    told: dict[str, str] = {}
    block = "\n".join(line[4:] for line in lines)
    for item in re.split(r"\n(?=\S)", block.strip()):
        known = _ITEM.fullmatch(item)
        if known is not None:
            about = re.sub(r"\s*\n\s*", " ", known[2]).strip()
            told.update(dict.fromkeys(known[1].split(", "), about))
    return told


def shape_of(kind: type[Any], written: object) -> Shape:
    """What the type of a field says, as it is written in its class."""
    parts = [one for one in _parts(written) if one != _NONE]
    shapes = tuple(dict.fromkeys(_one(kind, part) for part in parts))
    if len(shapes) == 1:
        return shapes[0]
    return Anything() if Anything() in shapes or not shapes else Either(shapes)


def _field(kind: type[Any], field: attrs.Attribute[Any], about: str, given: Shape | None) -> Field:
    choices: tuple[str | int, ...] | None = field.metadata.get("choices")
    shape = OneOf(choices) if choices else given or shape_of(kind, field.type)
    required = field.default is attrs.NOTHING
    default: object = field.default
    if isinstance(default, Enum):
        default = default.value
    return Field(
        shape,
        about,
        required=required,
        nullable=_NONE in _parts(field.type),
        default=default if not required and isinstance(default, (str, int, float)) else None,
    )


def _parts(written: object) -> list[str]:
    text = written if isinstance(written, str) else getattr(written, "__name__", str(written))
    return [part.strip() for part in text.split(" | ")]


def _one(kind: type[Any], written: str) -> Shape:
    several = _SEVERAL.fullmatch(written)
    if several is not None:
        return Many(_one(kind, several[1] or several[2]))
    known = _KNOWN.get(written)
    if known is not None:
        return known
    found: object = getattr(sys.modules[kind.__module__], written, None)
    if isinstance(found, type) and issubclass(found, Enum):
        return OneOf(tuple(one.value for one in found))
    return Anything()
