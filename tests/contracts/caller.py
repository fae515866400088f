"""Helpers for tests: synchronous and asynchronous hubs behind one asynchronous interface."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from moorage import Account, AsyncHub, Hub, Route
from moorage.testing import AsyncVirtualSleeper, RecordingObserver, VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from tests.contracts.external_sms_vendor import PigeonServer, TextMessageVendor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.ports.state import StateStorage

MODES = pytest.mark.parametrize("hub_class", [Hub, AsyncHub], ids=["sync", "async"])


class PigeonHubs:
    """Two servers of a fictional SMS vendor, an account at each, and the events of calls."""

    def __init__(self, *, keys: bool = True) -> None:
        self.one, self.two = PigeonServer("one.example"), PigeonServer("two.example")
        self.clock = VirtualClock()
        self.told = RecordingObserver()
        self.accounts = [
            Account("one", TextMessageVendor(loft="one.example", keys=keys)),
            Account("two", TextMessageVendor(loft="two.example", keys=keys)),
        ]

    def hub(
        self,
        kind: type[Any],
        *,
        route: Sequence[str] = ("one", "two"),
        state: StateStorage | None = None,
        accounts: Sequence[Account] | None = None,
        **more: Any,
    ) -> Any:
        """Return a synchronous or asynchronous hub that sends text messages by this route."""
        is_plain = kind is Hub
        client = SandboxHttpClient if is_plain else AsyncSandboxHttpClient
        sleeper: Any = VirtualSleeper(self.clock)
        if not is_plain:
            sleeper = AsyncVirtualSleeper(self.clock, autojump=True)
        return kind(
            self.accounts if accounts is None else accounts,
            [Route("sms", route)],
            http=client(self.one, self.two),
            clock=self.clock,
            sleeper=sleeper,
            observers=[self.told],
            state=state,
            **more,
        )


async def result_of(value: Any) -> Any:
    """Return the result of a call, awaited if it is awaitable."""
    return await value if inspect.isawaitable(value) else value
