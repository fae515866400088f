"""Hubs with one account of a vendor of mail, synchronously or asynchronously."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.routes import Account
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, Lost, SandboxHttpClient

if TYPE_CHECKING:
    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandboxes.base import Sandbox


def hub(vendor: Vendor, *sandboxes: Sandbox, mode: str = "", **fields: Any) -> Any:
    """A hub of this mode with one account, at these sandboxes, in virtual time."""
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


def lost(sandbox: Sandbox) -> str:
    """Have the next message taken and the answer lost; the address to send it to."""
    sandbox.fail(Lost())
    return "ada@example.com"
