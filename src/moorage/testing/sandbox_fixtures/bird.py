"""Bird."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.sms.bird import BirdSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = BirdSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "region": sandbox.region,
            "credentials": sandbox.api_key,
            "sender": "ACME",
        },
    )
