"""The order in which connectors open: each one after those on which it depends."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def opening_order(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return connectors in their opening order; they are closed in reverse order.

    Dependencies that are not among the names are ignored. There must be no cycle.
    """
    inner_dependencies = {
        name: [dependency for dependency in needed_names if dependency in dependencies]
        for name, needed_names in dependencies.items()
    }
    return tuple(TopologicalSorter(inner_dependencies).static_order())


def cycle_of(dependencies: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a cycle of connectors that depend on each other; an empty tuple if there is none."""
    try:
        opening_order(dependencies)
    except CycleError as error:
        # In this error, each name is a dependency of the next one.
        chain: list[str] = error.args[1]
        return tuple(reversed(chain))
    return ()
