"""The vendors that are installed: those of moorage, and those of other packages."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.effects import check_vendor
from moorage.contracts.vendor import Vendor
from moorage.errors import ConfigurationError
from moorage.wiring.built_in_vendors import BUILT_IN, GROUP

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint

    from moorage.domain.webhooks.scheme import WebhookScheme
    from moorage.wiring.built_in_vendors import BuiltInVendor

SCHEMES: Final = "moorage.webhook_schemes"
FUNCTIONS: Final = "moorage.functions"
"""The groups of entry points of webhook schemes, and of functions of services."""


def installed_entry_points(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group, by name."""
    return _entry_points(group, tuple(sys.path))


@lru_cache(maxsize=16)
def _entry_points(group: str, _: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Return the entry points of a group, found by a slow search through all packages."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=group)}


def load_entry_point(point: EntryPoint | BuiltInVendor, path: str) -> Any:
    """Import the object that an entry point names.

    Args:
        point: the entry point.
        path: the path of the setting that needs it, for the error.

    Raises:
        ConfigurationError: the object cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:  # noqa: BLE001 - the code of another package may raise anything
        problem = (
            f"The entry point {point.name!r} of {point.group} refers to {point.value}, which"
            f" cannot be imported ({type(error).__name__})."
        )
    raise ConfigurationError(
        problem,
        path=path,
        remedy="Install the packages that it needs, or correct the package that declares it.",
    )


def vendor_names() -> tuple[str, ...]:
    """The names of all vendors, in order."""
    return tuple(sorted({*BUILT_IN, *installed_entry_points(GROUP)}))


def vendor_class(name: str, path: str = "vendor") -> type[Vendor]:
    """Return the class of the vendor with this name.

    Args:
        name: the name of the vendor's entry point.
        path: the path of the name in the configuration, for the error.
    """
    point: EntryPoint | BuiltInVendor | None = None
    if isinstance(name, str):
        point = BUILT_IN.get(name) or installed_entry_points(GROUP).get(name)
    if point is None:
        from difflib import get_close_matches

        close_names = get_close_matches(str(name), vendor_names(), n=1)
        hint = (
            f"Did you mean {close_names[0]!r}?"
            if close_names
            else f"Use one of: {_joined_names()}."
        )
        raise ConfigurationError(f"No vendor is named {name!r}.", path=path, remedy=hint)
    vendor_type = load_entry_point(point, path)
    if not (isinstance(vendor_type, type) and issubclass(vendor_type, Vendor)):
        raise ConfigurationError(
            f"The entry point {name!r} refers to {point.value}, which is not a vendor class.",
            path=path,
            remedy="Set the entry point to a subclass of moorage.contracts.vendor.Vendor.",
        )
    try:
        check_vendor(vendor_type)
    except ConfigurationError as error:
        error.path = path
        raise
    return vendor_type


def webhook_scheme(name: str) -> WebhookScheme:
    """Return the webhook scheme with this name, built in or from another package.

    Raises:
        ConfigurationError: there is no such scheme, or its entry point names another object.
    """
    from moorage.domain.webhooks.presets import PRESETS, preset
    from moorage.domain.webhooks.scheme import WebhookScheme

    point = None if name in PRESETS else installed_entry_points(SCHEMES).get(name)
    if point is None:
        return preset(name)
    scheme = load_entry_point(point, "scheme")
    if isinstance(scheme, WebhookScheme):
        return scheme
    raise ConfigurationError(
        f"The entry point {name!r} of {SCHEMES} refers to {point.value}, which is not a"
        " WebhookScheme.",
        path="scheme",
        remedy="Set the entry point to a moorage.WebhookScheme.",
    )


def function(name: str) -> Callable[..., Any]:
    """Return the function with this name that another package provides.

    Raises:
        ConfigurationError: there is no such function, or its entry point names another object.
    """
    point = installed_entry_points(FUNCTIONS).get(name)
    if point is None:
        names = ", ".join(sorted(installed_entry_points(FUNCTIONS))) or "none is installed"
        raise ConfigurationError(
            f"The group {FUNCTIONS} has no entry point named {name[:80]!r}.",
            path="",
            remedy=f"Use one of: {names}; or declare the entry point in your package.",
        )
    loaded_function = load_entry_point(point, "")
    if callable(loaded_function):
        return loaded_function  # type: ignore[no-any-return]  # anybody's function
    raise ConfigurationError(
        f"The entry point {name!r} of {FUNCTIONS} refers to {point.value}, which is not a"
        " function.",
        path="",
        remedy="Set the entry point to a function.",
    )


def names_with_capabilities(kind: str, needs: frozenset[str]) -> tuple[str, ...]:
    """Return the names of the vendors of a kind that have all of these capabilities."""
    classes = ((name, vendor_class(name)) for name in vendor_names())
    return tuple(
        name for name, vendor in classes if kind in vendor.kinds and needs <= vendor.capabilities
    )


def _joined_names() -> str:
    return ", ".join(vendor_names()) or "none is installed"
