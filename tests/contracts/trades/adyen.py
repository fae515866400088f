"""Adyen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring.testing.sandbox.adyen import AdyenSandbox
from tests.contracts.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path

    from mooring.contracts.payments import Payment


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = AdyenSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        action = payment.next_action
        assert action is not None
        return sandbox.buyer_returns(str(action.url).rpartition("/")[2])

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
