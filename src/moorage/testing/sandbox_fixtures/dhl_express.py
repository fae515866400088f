"""DHL Express."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.shipping.dhl_express import DhlExpressSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = DhlExpressSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "username": sandbox.username,
            "credentials": sandbox.password,
            "account_number": sandbox.account_number,
        },
    )
