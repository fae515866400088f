"""The order in which connectors are opened: each after those that it depends on."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def opening_order(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the names, each after those that it depends on; they are closed in reverse.

    Dependencies that are not among the names are ignored. There must be no cycle.
    """
    inner_dependencies = {
        name: [dependency for dependency in needed if dependency in dependencies]
        for name, needed in dependencies.items()
    }
    return tuple(TopologicalSorter(inner_dependencies).static_order())


def cycle_of(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a chain of names that depend on each other, the first one again at its end.

    Return an empty chain if there is none.
    """
    try:
        opening_order(dependencies)
    except CycleError as error:
        # Each name in the error is needed by the next one.
        chain: list[str] = error.args[1]
        return tuple(reversed(chain))
    return ()
