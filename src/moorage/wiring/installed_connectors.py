"""The installed kinds of connectors: those of moorage, and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Final

import attrs

from moorage.errors import ConfigurationError
from moorage.ports.connector import ConnectorKind
from moorage.wiring.installed_vendors import installed_entry_points, load_entry_point

GROUP: Final = "moorage.connectors"
"""The group of entry points of kinds of connectors."""

OWN_SETTINGS: Final = frozenset({"kind", "enabled", "version", "depends_on"})
"""The settings that every connector has, whatever its kind."""


_BUILT_IN: Final = {"sql": EntryPoint("sql", "moorage.adapters.sql.kind:SQL", GROUP)}
"""The kinds of moorage, which no other package replaces."""


def connector_kind_names() -> tuple[str, ...]:
    """Return the names of all kinds of connectors, in order."""
    return tuple(sorted({*_BUILT_IN, *installed_entry_points(GROUP)}))


def connector_kind(name: str, path: str = "kind") -> ConnectorKind:
    """Return the kind of connector with this name.

    Args:
        name: the name of the kind's entry point.
        path: the path of the name in the configuration, for the error.

    Raises:
        ConfigurationError: there is no such kind, or its entry point names another object.
    """
    point = _BUILT_IN.get(name) or installed_entry_points(GROUP).get(name)
    if point is None:
        names = ", ".join(connector_kind_names()) or "none is installed"
        raise ConfigurationError(
            f"There is no kind of connector named {name[:80]!r}.",
            path=path,
            remedy=f"Use one of: {names}; or install the package that provides the kind.",
        )
    kind = load_entry_point(point, path)
    if not isinstance(kind, ConnectorKind):
        raise ConfigurationError(
            f"The entry point {name!r} of {GROUP} refers to {point.value}, which is not a"
            " ConnectorKind.",
            path=path,
            remedy="Set the entry point to a moorage.ConnectorKind.",
        )
    reserved_names = sorted(OWN_SETTINGS & set(attrs.fields_dict(kind.settings)))
    if reserved_names:
        raise ConfigurationError(
            f"The settings of the kind {name!r} have a field {reserved_names[0]!r}, but every"
            " connector already has this setting.",
            path=path,
            remedy="Rename the field of the settings.",
        )
    return kind
