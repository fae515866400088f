"""Plivo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.sms.plivo import PlivoSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = PlivoSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "auth_id": sandbox.auth_id,
            "credentials": sandbox.auth_token,
            "sender": "+15005550006",
        },
    )
