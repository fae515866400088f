"""What each vendor needs to serve the afternoon of `towns.py`: a module for each, of its name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mooring.contracts.payments import Payment
    from mooring.testing.sandbox.base import Sandbox


def _nothing() -> None:
    pass


def _no_buyer(_: Payment) -> Mapping[str, str]:
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
    words: Mapping[str, Any] = attrs.field(factory=dict)
    token: str = ""
    buyer: Callable[[Payment], Mapping[str, str]] = _no_buyer
    fetch: Callable[[str], bytes] | None = None
    close: Callable[[], None] = _nothing


def trade_of(vendor: str, folder: Path) -> Trade:
    """The vendor of this name, at work."""
    make: Callable[[Path], Trade] = import_module(f"{__name__}.{vendor}").trade
    return make(folder)
