"""The order in which providers of secrets are opened, as some need secrets of others."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import key, under
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.config.problems import Report

_SECRETS: Final = "secrets"
_PROVIDER: Final = re.compile(r"secret://([A-Za-z0-9_-]+)/")


def in_order(tables: Mapping[Any, Any], report: Report) -> tuple[str, ...]:
    """Return the names of providers, each after those whose secrets it needs.

    Providers that need each other cannot be opened: each such cycle is reported, and its members
    and the providers that need them are left out.

    Args:
        tables: the tables of the providers, as in the source.
        report: collects a problem for every cycle.
    """
    needed_values = {
        name: {
            other_text: path
            for path, other_text in _needed_names(table, under(_SECRETS, key(name)))
        }
        for name, table in tables.items()
        if isinstance(name, str)
    }
    dependencies = {
        name: {other for other in other_values if other in needed_values}
        for name, other_values in needed_values.items()
    }
    while True:
        try:
            return tuple(TopologicalSorter(dependencies).static_order())
        except CycleError as error:
            # Each name in the error is needed by the next; the last repeats the first.
            cycle: list[str] = error.args[1][::-1]
        _report_cycle(cycle, needed_values, report)
        dependencies = _without_cycles(cycle, dependencies)


def _report_cycle(cycle: list[str], needs: Mapping[str, Mapping[str, str]], report: Report) -> None:
    first, second = cycle[0], cycle[1]
    chain = " needs ".join(f"{_SECRETS}.{key(name)}" for name in cycle)
    report.add(
        needs[first][second],
        f"Providers of secrets need each other: {chain}.",
        "Take the secret of one of them from secret://env/NAME or secret://file/path.",
    )


def _without_cycles(cycle: list[str], dependencies: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the dependencies without a cycle and the providers that need its members."""
    removed = set(cycle)
    while True:
        dependents = {
            name
            for name, others in dependencies.items()
            if name not in removed and others & removed
        }
        if not dependents:
            return {name: others for name, others in dependencies.items() if name not in removed}
        removed |= dependents


def _needed_names(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path of every reference to a secret, and the provider that it names."""
    if is_object(value):
        for name, entry in value.items():
            yield from _needed_names(entry, under(path, key(name)))
    elif is_list(value):
        for position, entry in enumerate(value):
            yield from _needed_names(entry, f"{path}[{position}]")
    elif isinstance(value, str) and (match := _PROVIDER.match(value)) is not None:
        yield path, match[1]
