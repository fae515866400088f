"""PayPal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture, action_url
from moorage.testing.sandboxes.payments.paypal import PayPalSandbox

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.payments import Payment


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = PayPalSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        return sandbox.buyer(action_url(payment))

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "sandbox": True,
            "return_url": "https://erp.example/back",
            "volatile_keys": True,
        },
        token="card:visa-1",
        vendor_values={"asks": "paypal"},
        buyer=buyer,
    )
