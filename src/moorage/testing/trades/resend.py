"""Resend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = ResendSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
            "sender": "shop@acme.example",
        },
    )
