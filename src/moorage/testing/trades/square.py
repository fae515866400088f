"""Square."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.payments.square import SquareSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = SquareSandbox()
    sandbox.customers.add("ada-1")
    return Trade(
        sandbox=sandbox,
        options={
            "credentials": sandbox.access_token,
            "location_id": sandbox.location_id,
            "volatile_keys": True,
        },
        token="cnon:card-nonce-ok",
    )
