"""The vendors that moorage itself contains, which are found without searching other packages.

`importlib.metadata` reads the metadata of every package, which takes as long as half of a hub's
start. The generated table `vendor_classes` repeats the entry points of `pyproject.toml`, which
other programs read.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, NamedTuple

from moorage.wiring.vendor_classes import VENDOR_CLASSES

GROUP: Final = "moorage.vendors"
"""The group of entry points of vendors."""


class BuiltInVendor(NamedTuple):
    """An entry point of moorage, with the attributes of `importlib.metadata.EntryPoint`."""

    name: str
    value: str
    group: str = GROUP

    def load(self) -> Any:
        """Import the vendor's class."""
        module, _, attribute = self.value.partition(":")
        return getattr(import_module(module), attribute)


BUILT_IN: Final = {
    name: BuiltInVendor(name, f"moorage.vendors.{place}") for name, place in VENDOR_CLASSES.items()
}
"""The vendors of moorage by name; no other package replaces one."""
