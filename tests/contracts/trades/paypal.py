"""PayPal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring.testing.sandbox.paypal import PayPalSandbox
from tests.contracts.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path

    from mooring.contracts.payments import Payment


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = PayPalSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        action = payment.next_action
        assert action is not None
        return sandbox.buyer(str(action.url))

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
