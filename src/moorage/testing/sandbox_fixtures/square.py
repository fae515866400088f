"""Square."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.payments.square import SquareSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = SquareSandbox()
    sandbox.customers.add("ada-1")
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.access_token,
            "location_id": sandbox.location_id,
            "volatile_keys": True,
        },
        token="cnon:card-nonce-ok",
    )
