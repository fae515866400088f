"""Finds the problems of a table that do not depend on the values of its unreadable secrets.

A value that cannot be read, such as an unset environment variable, could be any valid value of its
setting. Several trial values are used in its place, and a problem that occurs with all of them is
reported.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import REPORTED, Report, is_below, paths_around
from moorage.config.shapes import AnyOf, ListOf, OneOf
from moorage.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from moorage.config.shapes import Shape, Table

    Read = Callable[[Shape, Any, str, Report], Any]

_MAX_COMBINATIONS: Final = 256
"""The maximum number of combinations of values that are tried."""

_TRIAL_VALUES: Final = (
    *(True, False, 1, 0, 0.001, 1_000, 10**9),
    *("localhost", "host.invalid", "https://host.invalid", "one@host.invalid", "/path", "12:00"),
)
"""The values that are tried for a shape without choices."""


def trial_values(
    table: Table, fields: Mapping[str, Any], mistaken_names: Collection[str], read: Read
) -> tuple[dict[str, Any], ...]:
    """Return variants of the table with all combinations of trial values for its wrong fields.

    Args:
        table: describes the fields.
        fields: the fields after reading.
        mistaken_names: the names of fields whose value is refused, or whose name was probably
            misspelled.
        read: reads a value by its shape.

    Returns:
        An empty tuple if the possible values are unknown or too many.
    """
    wrong_names = sorted(
        {name for name, value in fields.items() if value is REPORTED}.union(mistaken_names)
    )
    choices = [_choices(table, name, read) for name in wrong_names]
    if prod(map(len, choices)) > _MAX_COMBINATIONS:
        return ()
    return tuple(
        {**fields, **dict(zip(wrong_names, values, strict=True))} for values in product(*choices)
    )


def _choices(table: Table, name: str, read: Read) -> list[Any]:
    """Return the trial values for a field of a table, all of which are valid."""
    shape, choices = table.fields[name].shape, list[Any]()
    for raw_value in (*_named_choices(shape), *_TRIAL_VALUES):
        trial_report = Report()
        value = read(shape, raw_value, name, trial_report)
        trial_report.check_fields(table.kinds, {name: value}, "")
        if not trial_report.problems and value not in choices:
            choices.append(value)
    return choices


def _named_choices(shape: Shape) -> tuple[str | int, ...]:
    """Return the choices that the shape of a setting lists."""
    if isinstance(shape, OneOf):
        return shape.choices
    if isinstance(shape, ListOf):
        return _named_choices(shape.of)
    if isinstance(shape, AnyOf):
        return tuple(
            choice for inner_shape in shape.shapes for choice in _named_choices(inner_shape)
        )
    return ()


def report_common_problems(
    report: Report, path: str, attempts: Iterable[Callable[[Report], object]]
) -> bool:
    """Report the problems that all variants share; return whether there are any.

    Problems of the whole table, or of a field with a trial value, are omitted, because the trial
    value may cause them.

    Args:
        report: collects the problems.
        path: the path of the table.
        attempts: functions that each use the table with other trial values, and report its
            problems.
    """
    problems_by_try = list[dict[tuple[str, str], Problem]]()
    for attempt in attempts:
        trial_report = report.trial()
        attempt(trial_report)
        problems_by_try.append(
            {(problem.path, problem.found): problem for problem in trial_report.problems}
        )
    if not problems_by_try:
        return False
    common_problems = [
        problem
        for identity, problem in problems_by_try[0].items()
        if all(identity in problems_by_identity for problems_by_identity in problems_by_try[1:])
        and problem.path != path
        and not any(
            report.has_problem_at(outer_path)
            for outer_path in paths_around(problem.path)
            if outer_path != path and is_below(outer_path, path)
        )
    ]
    for problem in common_problems:
        report.add_problem(problem)
    return bool(common_problems)
