"""An account at the sandbox of each vendor that can do all that the vendor says it can.

One's own is a function as in the modules here, under the entry point of the vendor's name in the
group `moorage.trades`.
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
    raise AssertionError("Nothing was to be asked of a buyer.")


@attrs.frozen(kw_only=True)
class Trade:
    """A vendor on this machine, with an account there.

    Attributes:
        options: the account, as a configuration has it.
        sandbox: the vendor, unless it needs none or is reached otherwise than by HTTP.
        words: what else only the vendor knows the names of: `template`, `sender_pool`,
            `storage_class`, `encryption`, `asks` (what a buyer pays with who has to do something
            first), `parcel` (fields of a shipment that it takes).
        token: what a buyer pays with there.
        buyer: what a buyer comes back with who had to do something for a payment, and did it.
        fetch: the digest of what a browser gets that follows a signed URL.
        close: ends what was opened.
    """

    options: Mapping[str, Any]
    sandbox: Sandbox | None = None
    words: Mapping[str, Any] = attrs.field(factory=no_options)
    token: str = ""
    buyer: Callable[[Payment], Mapping[str, str]] = _no_buyer
    fetch: Callable[[str], bytes] | None = None
    close: Callable[[], None] = _nothing


def action_url(payment: Payment) -> str:
    """Return the URL where a buyer completes a payment's action."""
    return "" if payment.next_action is None else str(payment.next_action.url)


def trade_of(vendor: str, folder: Path) -> Trade:
    """The vendor of this name, at work.

    Args:
        vendor: its name.
        folder: where it may keep things.

    Raises:
        ConfigurationError: nobody has said how to make an account at it here.
    """
    make = _maker(vendor)
    if make is None:
        raise ConfigurationError(
            f"There is no sandbox account for {vendor!r}.",
            path=f"vendors.{vendor}",
            remedy=f"Have its package name a function under {vendor!r} in the group {GROUP!r}.",
        )
    return make(folder)


def _maker(vendor: str) -> Callable[[Path], Trade] | None:
    found: Callable[[Path], Trade]
    for point in entry_points(group=GROUP, name=vendor):
        found = point.load()
        return found
    own = f"{__name__}.{vendor}"
    if vendor.isidentifier() and find_spec(own) is not None:
        found = import_module(own).trade
        return found
    return None
