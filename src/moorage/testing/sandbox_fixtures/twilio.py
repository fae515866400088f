"""Twilio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = TwilioSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        vendor_values={"sender_pool": "MG0123456789"},
        options={
            "account_sid": sandbox.account_sid,
            "credentials": sandbox.auth_token,
            "sender": "+15005550006",
        },
    )
