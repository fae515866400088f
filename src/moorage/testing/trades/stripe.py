"""Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.payments import Payment


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = StripeSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        sandbox.authenticate(payment.ref.id)
        return {"payment_intent": payment.ref.id}

    return Trade(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
            "volatile_keys": True,
        },
        words={"asks": "pm_card_threeDSecure2Required"},
        token="pm_card_visa",
        buyer=buyer,
    )
