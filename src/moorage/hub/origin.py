"""The source of a hub's configuration, such as a file, from which a reload reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from moorage.contracts.hub_configuration import HubConfiguration

Source: TypeAlias = "Mapping[str, Any] | str | os.PathLike[str]"
"""The source of a configuration: a file, or a mapping with its content."""


class Origin:
    """The source of a hub's configuration, and the function that reads it.

    Its attributes do not show the mapping when printed, because it may contain secrets.
    """

    __slots__ = ("_source", "read")

    def __init__(self, source: Source, read: Callable[[Source], HubConfiguration]) -> None:
        def held_source() -> Source:
            return source

        self._source = held_source
        self.read = read

    @property
    def source(self) -> Source:
        """Return the configuration's file or mapping."""
        return self._source()
