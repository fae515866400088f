"""The source of a hub's configuration, such as a file, from which a reload reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.hub_configuration import HubConfiguration

Source: TypeAlias = "Mapping[str, Any] | str | os.PathLike[str]"
"""The source of a configuration: a file, or a mapping with its content."""


class Origin:
    """The source of a hub's configuration, and the function that reads it.

    Its attributes do not show the mapping when printed, because it may contain secrets. The path of
    a file is absolute, so that a process that changes its working directory reads the same file.
    """

    __slots__ = ("_source", "read")

    def __init__(self, source: Source, read: Callable[[Source], HubConfiguration]) -> None:
        held_value = _with_absolute_path(source)

        def held_source() -> Source:
            return held_value

        self._source = held_source
        self.read = read

    @property
    def source(self) -> Source:
        """Return the configuration's file or mapping."""
        return self._source()


def _with_absolute_path(source: Source) -> Source:
    path = os.fspath(source) if isinstance(source, os.PathLike) else source
    return Path(path).absolute() if isinstance(path, str) and path else source
