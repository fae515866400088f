"""ShipEngine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.shipping.shipengine import ShipEngineSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = ShipEngineSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
        },
    )
