"""The installed kinds of platforms that steps can use: moorage's and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Final

import attrs

from moorage.adapters.steps.in_threads import AsyncPlatformInThreads
from moorage.errors import ConfigurationError
from moorage.ports.platform import PlatformKind
from moorage.wiring.installed_vendors import installed_entry_points, load_entry_point

if TYPE_CHECKING:
    from moorage.ports.platform import AsyncPlatform, Platform

GROUP: Final = "moorage.platforms"
"""The group of entry points of kinds of platforms."""

_BUILT_IN: Final = {
    "local": EntryPoint("local", "moorage.adapters.steps.local:LOCAL", GROUP),
    "docker": EntryPoint("docker", "moorage.adapters.steps.docker:DOCKER", GROUP),
    "kubernetes": EntryPoint("kubernetes", "moorage.adapters.steps.kubernetes:KUBERNETES", GROUP),
    "github": EntryPoint("github", "moorage.adapters.steps.github:GITHUB", GROUP),
    "gitlab": EntryPoint("gitlab", "moorage.adapters.steps.gitlab:GITLAB", GROUP),
    "ecs": EntryPoint("ecs", "moorage.adapters.steps.ecs:ECS", GROUP),
    "cloud-run": EntryPoint("cloud-run", "moorage.adapters.steps.cloud_run:CLOUD_RUN", GROUP),
    "azure-containers": EntryPoint(
        "azure-containers", "moorage.adapters.steps.azure_containers:AZURE_CONTAINERS", GROUP
    ),
    "ssh": EntryPoint("ssh", "moorage.adapters.steps.ssh:SSH", GROUP),
}
"""The kinds of moorage, which no other package replaces."""


def platform_kind_names() -> tuple[str, ...]:
    """Return the names of all kinds of platforms, in order."""
    return tuple(sorted({*_BUILT_IN, *installed_entry_points(GROUP)}))


def platform_kind(name: str, path: str = "type") -> PlatformKind:
    """Return the kind of platform with this name.

    Args:
        name: the name of the kind's entry point.
        path: the path of the name in the configuration, for the error.

    Raises:
        ConfigurationError: there is no such kind, or its entry point names another object.
    """
    point = _BUILT_IN.get(name) or installed_entry_points(GROUP).get(name)
    if point is None:
        raise ConfigurationError(
            f"There is no kind of platform named {name[:80]!r}.",
            path=path,
            remedy=f"Use one of: {', '.join(platform_kind_names())}; or install the package"
            " that provides the kind.",
        )
    kind = load_entry_point(point, path)
    if not isinstance(kind, PlatformKind):
        raise ConfigurationError(
            f"The entry point {name!r} of {GROUP} refers to {point.value}, which is not a"
            " PlatformKind.",
            path=path,
            remedy="Set the entry point to a moorage.PlatformKind.",
        )
    return kind


def made_platform_sync(name: str) -> Platform:
    """Return a platform of a kind with its default settings.

    Raises:
        ConfigurationError: there is no such kind, or it has no default settings.
    """
    kind = platform_kind(name)
    required_fields = [
        field.name for field in attrs.fields(kind.settings) if field.default is attrs.NOTHING
    ]
    if required_fields:
        raise ConfigurationError(
            f"Platforms of the kind {name!r} need the setting {required_fields[0]!r}.",
            path=required_fields[0],
            remedy=f"Register a factory for {name!r} that sets it.",
        )
    return kind.build(kind.settings())


def made_platform_async(name: str) -> AsyncPlatform:
    """Return a platform of a kind with its default settings, for an asynchronous program.

    Raises:
        ConfigurationError: there is no such kind, or it has no default settings.
    """
    return AsyncPlatformInThreads(made_platform_sync(name))
