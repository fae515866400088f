"""Bird."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.sms.bird import BirdSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = BirdSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "region": sandbox.region,
            "credentials": sandbox.api_key,
            "sender": "ACME",
        },
    )
