"""The differences between the pipelines of two configurations.

Laws:

1. Each name of either configuration is in exactly one of the four groups.
2. A pipeline counts as changed only if a value that it is made of differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class PipelineChanges(NamedTuple):
    """The names of the changed and of the unchanged pipelines of two configurations.

    Attributes:
        added: the pipelines that only the new configuration has.
        removed: the pipelines that only the old configuration has.
        changed: the pipelines that are made of other values in the new configuration.
        unchanged: the others.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


def changes(old: Mapping[str, object], new: Mapping[str, object]) -> PipelineChanges:
    """Return the differences between the pipelines of two configurations.

    Args:
        old: the values that each pipeline of the old configuration is made of, by its name.
        new: the same for the new configuration.
    """
    common_names = [name for name in new if name in old]
    return PipelineChanges(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(name for name in common_names if old[name] != new[name]),
        unchanged=tuple(name for name in common_names if old[name] == new[name]),
    )
