"""Adyen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring.testing.sandbox.adyen import AdyenSandbox
from tests.contracts.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = AdyenSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "merchant_account": sandbox.merchant_account,
            "credentials": sandbox.api_key,
            "return_url": "https://erp.example/back",
            "volatile_keys": True,
        },
        token="APPROVED",
    )
