"""Looks up a vendor's sandbox, with an account that has all capabilities.

Another package adds a vendor with a function like `fixture` in the modules of sandboxes,
registered as an entry point with the vendor's name in the group `moorage.sandbox_fixtures`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from moorage.contracts.catalog import CONTRACTS
from moorage.errors import ConfigurationError
from moorage.testing import sandboxes
from moorage.wiring.installed_vendors import installed_entry_points, load_entry_point

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

GROUP: Final = "moorage.sandbox_fixtures"


def fixture_of(vendor: str, folder: Path) -> SandboxFixture:
    """Return a vendor's sandbox with an account.

    Args:
        vendor: name of the vendor.
        folder: folder for files of the sandbox.

    Raises:
        ConfigurationError: no package provides a fixture for this vendor.
    """
    make = _maker(vendor)
    if make is None:
        raise ConfigurationError(
            f"There is no sandbox account for {vendor!r}.",
            path=f"vendors.{vendor}",
            remedy=f"Have its package name a function under {vendor!r} in the group {GROUP!r}.",
        )
    return make(folder)


def _maker(vendor: str) -> Callable[[Path], SandboxFixture] | None:
    make: Callable[[Path], SandboxFixture] | None
    if (point := installed_entry_points(GROUP).get(vendor)) is not None:
        make = load_entry_point(point, f"vendors.{vendor}")
        return make
    for contract in CONTRACTS if vendor.isidentifier() else ():
        module = f"{sandboxes.__name__}.{contract}.{vendor}"
        if find_spec(module) is not None:
            make = getattr(import_module(module), "fixture", None)
            return make
    return None
