"""Vonage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.sms.vonage import VonageSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = VonageSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "api_key": sandbox.api_key,
            "credentials": sandbox.api_secret,
            "sender": "ACME",
        },
    )
