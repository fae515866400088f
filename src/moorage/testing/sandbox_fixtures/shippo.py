"""Shippo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = ShippoSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.token,
        },
    )
