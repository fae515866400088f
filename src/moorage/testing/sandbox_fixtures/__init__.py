"""Sandbox fixtures: for each vendor, a sandbox with an account that can do all the vendor can.

Another package adds a vendor by a function like those of the modules here, under the entry point of
the vendor's name in the group `moorage.trades`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from moorage.contracts.vendor import no_options
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.testing.sandboxes.base import Sandbox

GROUP: Final = "moorage.trades"


def _nothing() -> None:
    pass


def _no_buyer(_: Payment) -> NoReturn:
    raise AssertionError("This vendor asks nothing of a buyer.")


@attrs.frozen(kw_only=True)
class SandboxFixture:
    """A vendor's sandbox on this machine, with an account there.

    Attributes:
        options: options of the account, as in a configuration.
        sandbox: the sandbox; None if the vendor needs none or is not reached by HTTP.
        vendor_values: values that only this vendor knows: `template`, `sender_pool`,
            `storage_class`, `encryption`, `asks` (a means of payment that asks the buyer to do
            something first) and `parcel` (fields of a shipment that it accepts).
        token: a means of payment that succeeds.
        buyer: does what a payment asks of the buyer; returns the fields that the buyer brings back.
        fetch: returns the digest of the file at a signed URL, as a browser would get it.
        close: closes what was opened.
    """

    options: Mapping[str, Any]
    sandbox: Sandbox | None = None
    vendor_values: Mapping[str, Any] = attrs.field(factory=no_options)
    token: str = ""
    buyer: Callable[[Payment], Mapping[str, str]] = _no_buyer
    fetch: Callable[[str], bytes] | None = None
    close: Callable[[], None] = _nothing


def action_url(payment: Payment) -> str:
    """Return the URL where a buyer completes a payment's action."""
    return "" if payment.next_action is None else str(payment.next_action.url)


def fixture_of(vendor: str, folder: Path) -> SandboxFixture:
    """Return the sandbox fixture of a vendor.

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
    make: Callable[[Path], SandboxFixture]
    for point in entry_points(group=GROUP, name=vendor):
        make = point.load()
        return make
    module = f"{__name__}.{vendor}"
    if vendor.isidentifier() and find_spec(module) is not None:
        make = import_module(module).fixture
        return make
    return None
