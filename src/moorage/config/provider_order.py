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
    """The names of providers, each after those whose secrets it needs.

    Providers that need each other cannot be opened: one problem is noted for each circle of them,
    and they and whoever needs them are left out.

    Args:
        tables: the tables of the providers, as they are written.
        report: is told of every circle.
    """
    needs = {
        name: {other: path for path, other in _needed(table, under(_SECRETS, key(name)))}
        for name, table in tables.items()
        if isinstance(name, str)
    }
    known = {name: {one for one in others if one in needs} for name, others in needs.items()}
    while True:
        try:
            return tuple(TopologicalSorter(known).static_order())
        except CycleError as error:
            # Each name in it is needed by the one after it, and the last is the first again.
            circle: list[str] = error.args[1][::-1]
        _note(circle, needs, report)
        known = _without(circle, known)


def _note(circle: list[str], needs: Mapping[str, Mapping[str, str]], report: Report) -> None:
    first, second = circle[0], circle[1]
    way = " needs ".join(f"{_SECRETS}.{key(name)}" for name in circle)
    report.add(
        needs[first][second],
        f"providers of secrets need each other: {way}.",
        "Give one of them its secret from secret://env/NAME or secret://file/path.",
    )


def _without(circle: list[str], known: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The rest without these, and without everybody who needs one of them."""
    gone = set(circle)
    while True:
        more = {name for name, others in known.items() if name not in gone and others & gone}
        if not more:
            return {name: others for name, others in known.items() if name not in gone}
        gone |= more


def _needed(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The path of every reference to a secret, and the provider that it names."""
    if is_object(value):
        for name, one in value.items():
            yield from _needed(one, under(path, key(name)))
    elif is_list(value):
        for place, one in enumerate(value):
            yield from _needed(one, f"{path}[{place}]")
    elif isinstance(value, str) and (found := _PROVIDER.match(value)) is not None:
        yield path, found[1]
