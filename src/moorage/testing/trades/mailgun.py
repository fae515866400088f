"""Mailgun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.email.mailgun import MailgunSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = MailgunSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "domain": sandbox.domain,
            "credentials": sandbox.api_key,
            "sender": "shop@acme.example",
        },
    )
