"""Adyen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.payments.adyen import AdyenSandbox
from moorage.testing.trades import Trade, action_url

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.payments import Payment


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = AdyenSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        return sandbox.buyer_returns(action_url(payment).rpartition("/")[2])

    return Trade(
        sandbox=sandbox,
        options={
            "merchant_account": sandbox.merchant_account,
            "credentials": sandbox.api_key,
            "return_url": "https://erp.example/back",
            "multiple_captures": True,
            "volatile_keys": True,
        },
        words={"asks": '{"type": "ideal"}'},
        token="APPROVED",
        buyer=buyer,
    )
