"""Plivo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.sms.plivo import PlivoSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = PlivoSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "auth_id": sandbox.auth_id,
            "credentials": sandbox.auth_token,
            "sender": "+15005550006",
        },
    )
