"""SendGrid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = SendGridSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        vendor_values={"template": "d-welcome"},
        options={
            "credentials": sandbox.api_key,
            "sender": "shop@acme.example",
        },
    )
