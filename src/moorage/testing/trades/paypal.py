"""PayPal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.payments.paypal import PayPalSandbox
from moorage.testing.trades import Trade, action_url

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.payments import Payment


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = PayPalSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        return sandbox.buyer(action_url(payment))

    return Trade(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "sandbox": True,
            "return_url": "https://erp.example/back",
            "volatile_keys": True,
        },
        token="card:visa-1",
        words={"asks": "paypal"},
        buyer=buyer,
    )
