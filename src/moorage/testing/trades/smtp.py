"""SMTP."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from moorage.testing.sandboxes.email.smtp import SmtpSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    opened = ExitStack()
    server = opened.enter_context(SmtpSandbox())
    return Trade(
        options={
            "host": server.host,
            "port": server.port,
            "security": "none",
            "username": server.username,
            "credentials": server.password,
            "sender": "shop@acme.example",
        },
        close=opened.close,
    )
