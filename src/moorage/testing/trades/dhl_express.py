"""DHL Express."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.shipping.dhl_express import DhlExpressSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = DhlExpressSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "username": sandbox.username,
            "credentials": sandbox.password,
            "account_number": sandbox.account_number,
        },
    )
