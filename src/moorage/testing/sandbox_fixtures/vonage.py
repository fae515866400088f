"""Vonage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.sms.vonage import VonageSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = VonageSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "api_key": sandbox.api_key,
            "credentials": sandbox.api_secret,
            "sender": "ACME",
        },
    )
