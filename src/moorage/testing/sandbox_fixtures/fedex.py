"""FedEx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.shipping.fedex import FedExSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = FedExSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "credentials": sandbox.client_secret,
            "account_number": sandbox.account_number,
        },
    )
