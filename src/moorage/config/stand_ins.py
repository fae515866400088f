"""Mistakes in a table that its wrong values have nothing to do with.

A value that cannot be read, such as that of an unset environment variable, could be anything of its
kind. Each of several values stands in for it, and what is wrong with all of them is wrong whatever
it is.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import WRONG, Report, is_below
from moorage.config.shapes import Either, Many, OneOf
from moorage.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.config.shapes import Shape, Table

    Read = Callable[[Shape, Any, str, Report], Any]

_MOST: Final = 256
"""The most combinations of values that are tried."""

_VALUES: Final = (
    *(True, False, 1, 0, 0.001, 1_000, 10**9),
    *("localhost", "host.invalid", "https://host.invalid", "one@host.invalid", "/path", "12:00"),
)
"""What is tried where a shape has no choices of its own."""


def stand_ins(table: Table, fields: Mapping[str, Any], read: Read) -> tuple[dict[str, Any], ...]:
    """The table with each combination of values in place of those that are wrong.

    Args:
        table: describes the fields.
        fields: those that were read.
        read: reads a value as its shape says.

    Returns:
        Nothing if no field is wrong itself, or its possible values are not known, or too many.
    """
    wrong = [name for name, one in fields.items() if one is WRONG]
    choices = [_choices(table, name, read) for name in wrong]
    if not wrong or prod(map(len, choices)) > _MOST:
        return ()
    return tuple({**fields, **dict(zip(wrong, found, strict=True))} for found in product(*choices))


def _choices(table: Table, name: str, read: Read) -> list[Any]:
    """Values that a field would take."""
    shape, found = table.fields[name].shape, list[Any]()
    for raw in (*_named(shape), *_VALUES):
        trial = Report()
        value = read(shape, raw, name, trial)
        trial.check_fields(table.kinds, {name: value}, "")
        if not trial.problems and value not in found:
            found.append(value)
    return found


def _named(shape: Shape) -> tuple[str | int, ...]:
    """The choices that a shape names."""
    if isinstance(shape, OneOf):
        return shape.choices
    if isinstance(shape, Many):
        return _named(shape.of)
    if isinstance(shape, Either):
        return tuple(choice for one in shape.shapes for choice in _named(one))
    return ()


def note_common(report: Report, path: str, tries: Iterable[Callable[[Report], object]]) -> bool:
    """Note the problems that all tries have, and tell whether there are any.

    What is said of the whole table, or of a field that is wrong, may be due to a value that stands
    in for another, and is left out.

    Args:
        report: where they are noted.
        path: where the table stands.
        tries: make something of the table, each with other values, and report what is wrong.
    """
    found = list[dict[tuple[str, str], Problem]]()
    for attempt in tries:
        trial = report.trial()
        attempt(trial)
        found.append({(one.path, one.found): one for one in trial.problems})
    if not found:
        return False
    unsure = [one.path for one in report.problems if one.path != path and is_below(one.path, path)]
    common = [
        one
        for name, one in found[0].items()
        if all(name in other for other in found[1:])
        and one.path != path
        and not any(is_below(one.path, place) for place in unsure)
    ]
    for one in common:
        report.note(one)
    return bool(common)
