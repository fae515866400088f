"""Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring.testing.sandbox.stripe import StripeSandbox
from tests.contracts.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = StripeSandbox()
    return Trade(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
            "volatile_keys": True,
        },
        token="pm_card_visa",
    )
