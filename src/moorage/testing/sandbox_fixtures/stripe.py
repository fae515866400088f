"""Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.payments.stripe import StripeSandbox

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.payments import Payment


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = StripeSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        sandbox.authenticate(payment.ref.id)
        return {"payment_intent": payment.ref.id}

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
            "volatile_keys": True,
        },
        vendor_values={"asks": "pm_card_threeDSecure2Required"},
        token="pm_card_visa",
        buyer=buyer,
    )
