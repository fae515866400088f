"""Postmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = PostmarkSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "credentials": sandbox.token,
            "sender": "shop@acme.example",
        },
    )
