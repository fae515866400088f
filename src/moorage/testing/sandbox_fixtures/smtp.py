"""SMTP."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.email.smtp import SmtpSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    opened = ExitStack()
    server = opened.enter_context(SmtpSandbox())
    return SandboxFixture(
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
