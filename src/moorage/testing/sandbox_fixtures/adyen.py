"""Adyen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture, action_url
from moorage.testing.sandboxes.payments.adyen import AdyenSandbox

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.payments import Payment


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = AdyenSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        return sandbox.buyer_returns(action_url(payment).rpartition("/")[2])

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "merchant_account": sandbox.merchant_account,
            "credentials": sandbox.api_key,
            "return_url": "https://erp.example/back",
            "multiple_captures": True,
            "volatile_keys": True,
        },
        vendor_values={"asks": '{"type": "ideal"}'},
        token="APPROVED",
        buyer=buyer,
    )
