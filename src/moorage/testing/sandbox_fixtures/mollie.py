"""Mollie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture, action_url
from moorage.testing.sandboxes.payments.mollie import MollieSandbox

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.payments import Payment


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = MollieSandbox()
    sandbox.customers.add("ada-1")
    sandbox.mandates["mdt_ada"] = "ada-1"

    def buyer(payment: Payment) -> dict[str, str]:
        sandbox.visit(action_url(payment))
        return {}

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
            "return_url": "https://erp.example/back",
            "webhook_url": sandbox.webhook_url,
            "volatile_keys": True,
        },
        token="creditcard",
        buyer=buyer,
    )
