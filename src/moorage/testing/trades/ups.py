"""UPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.shipping.ups import UpsSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = UpsSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "account_number": sandbox.account_number,
        },
    )
