"""Amazon SES."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.email.amazon_ses import AmazonSesSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = AmazonSesSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "region": sandbox.region,
            "access_key_id": sandbox.access_key_id,
            "credentials": sandbox.secret_access_key,
            "sender": "shop@acme.example",
        },
    )
