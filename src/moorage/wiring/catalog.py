"""The vendors that are installed: our own, and those of other packages."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from moorage.contracts.effects import check_vendor
from moorage.contracts.vendor import Vendor
from moorage.errors import ConfigurationError

GROUP: Final = "moorage.vendors"
KINDS: Final = ("email", "sms", "payments", "storage", "shipping")


def _installed() -> dict[str, EntryPoint]:
    return _found(tuple(sys.path))


@lru_cache(maxsize=1)
def _found(_: tuple[str, ...]) -> dict[str, EntryPoint]:
    """What these places hold; to look through all packages takes milliseconds."""
    return {point.name: point for point in entry_points(group=GROUP)}


def vendor_names() -> tuple[str, ...]:
    """The names of all vendors, in order."""
    return tuple(sorted(_installed()))


def vendor_class(name: str, path: str = "vendor") -> type[Vendor]:
    """The vendor of a name.

    Args:
        name: what the entry point is called.
        path: where the name stands in the configuration, for the error to name.
    """
    point = _installed().get(name) if isinstance(name, str) else None
    if point is None:
        from difflib import get_close_matches

        near = get_close_matches(str(name), vendor_names(), n=1)
        known = f"Did you mean {near[0]!r}?" if near else f"Use one of: {_listed()}."
        raise ConfigurationError(f"No vendor is named {name!r}.", path=path, remedy=known)
    found = point.load()
    if not (isinstance(found, type) and issubclass(found, Vendor)):
        raise ConfigurationError(
            f"The entry point {name!r} leads to {point.value}, which is no vendor.",
            path=path,
            remedy="Have it name a subclass of moorage.contracts.vendor.Vendor.",
        )
    try:
        check_vendor(found)
    except ConfigurationError as error:
        error.path = path
        raise
    return found


def able(kind: str, needs: frozenset[str]) -> tuple[str, ...]:
    """The vendors of a kind that have all of these capabilities."""
    classes = ((name, vendor_class(name)) for name in vendor_names())
    return tuple(name for name, one in classes if kind in one.kinds and needs <= one.capabilities)


def _listed() -> str:
    return ", ".join(vendor_names()) or "none is installed"
