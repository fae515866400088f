"""Amazon SES."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.email.amazon_ses import AmazonSesSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = AmazonSesSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "region": sandbox.region,
            "access_key_id": sandbox.access_key_id,
            "credentials": sandbox.secret_access_key,
            "sender": "shop@acme.example",
        },
    )
