"""Helpers for tests of email vendors: an example email, and hubs with one account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.email import EmailMessage
from moorage.contracts.routes import Account
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, Lost, SandboxHttpClient

if TYPE_CHECKING:
    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandboxes.base import Sandbox


def hub(vendor: Vendor, *sandboxes: Sandbox, mode: str = "", **fields: Any) -> Any:
    """Return a sync or async hub with one account at the vendor's sandbox, in virtual time."""
    clock = VirtualClock()
    accounts = [Account("mail", vendor, settings={"circuit": None})]
    if mode:
        return AsyncHub(
            accounts,
            http=AsyncSandboxHttpClient(*sandboxes),
            clock=clock,
            sleeper=AsyncVirtualSleeper(clock, autojump=True),
            **fields,
        )
    return Hub(
        accounts,
        http=SandboxHttpClient(*sandboxes),
        clock=clock,
        sleeper=VirtualSleeper(clock),
        **fields,
    )


def mail(**changes: Any) -> EmailMessage:
    """Return an email to one recipient, with the given fields changed."""
    default_fields: dict[str, Any] = {
        "from_": "Shop <shop@example.com>",
        "to": "ada@example.com",
        "subject": "Hi",
        "text": "Hello.",
    }
    return EmailMessage(**{**default_fields, **changes})


def lose_next_response(sandbox: Sandbox) -> str:
    """Make the sandbox lose its response to the next email; return the email's recipient."""
    sandbox.fail(Lost())
    return "ada@example.com"
