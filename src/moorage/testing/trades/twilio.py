"""Twilio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = TwilioSandbox()
    return Trade(
        sandbox=sandbox,
        words={"sender_pool": "MG0123456789"},
        options={
            "account_sid": sandbox.account_sid,
            "credentials": sandbox.auth_token,
            "sender": "+15005550006",
        },
    )
