"""FedEx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.shipping.fedex import FedExSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = FedExSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "credentials": sandbox.client_secret,
            "account_number": sandbox.account_number,
        },
    )
