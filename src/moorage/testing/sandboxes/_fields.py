"""Checks the fields of requests against a table of allowed fields.

A table maps the name of each field to its rule: a type, a frozenset of allowed words, a table of
further fields, or a list with the rule of its items. A field whose name ends in `!` is required.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Shape: TypeAlias = "type | tuple[type, ...] | frozenset[str] | Mapping[str, Shape] | list[Shape]"

NUMBER: Final = (int, float)

_Rule = TypeVar("_Rule")


def words(text: str) -> frozenset[str]:
    """Return the set of allowed words of a text field."""
    return frozenset(text.split())


def typed(rule: _Rule, names: str) -> dict[str, _Rule]:
    """Return a table that gives the same rule to each of these field names.

    Args:
        rule: the rule, such as `str`.
        names: the names of the fields, separated by spaces.
    """
    return dict.fromkeys(names.split(), rule)


def problems(shape: Any, value: object, at: str = "#") -> Iterator[tuple[str, str, str]]:
    """Check a value against a table; yield each problem as its path, field name and kind."""
    if is_object(shape):
        if not is_object(value):
            yield at, "object", "type"
            return
        yield from _object(shape, value, at)
    elif is_list(shape):
        if not is_list(value):
            yield at, "array", "type"
            return
        for number, element in enumerate(value):
            yield from problems(shape[0], element, f"{at}/{number}")
    elif isinstance(shape, frozenset):
        if not isinstance(value, str) or value not in shape:
            yield at, "value", "type"
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
        yield at, "value", "type"


def wrong_names(
    types: Mapping[str, type | tuple[type, ...]], fields: Mapping[str, Any]
) -> list[str]:
    """Return the names of unknown fields and fields of a wrong type."""
    return sorted(
        name
        for name, value in fields.items()
        if name not in types
        or not isinstance(value, types[name])
        or (isinstance(value, bool) and types[name] is int)
    )


def _object(
    shape: Mapping[str, Any], value: Mapping[str, Any], at: str
) -> Iterator[tuple[str, str, str]]:
    rules_by_name = {name.rstrip("!"): inner for name, inner in shape.items()}
    for name in shape:
        if name.endswith("!") and name[:-1] not in value:
            yield at, name[:-1], "missing"
    for name, inner in value.items():
        if name not in rules_by_name:
            yield at, name, "extraneous"
        else:
            yield from problems(rules_by_name[name], inner, f"{at}/{name}")
