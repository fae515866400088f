"""UPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.shipping.ups import UpsSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = UpsSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "account_number": sandbox.account_number,
        },
    )
