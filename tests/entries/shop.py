"""A shop that accepts payments in Stripe's sandbox, sync or async, with its own clock."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import AsyncHub, AsyncOutbox, AsyncWebhookInbox, Hub, Outbox, WebhookInbox
from moorage.adapters.entries.memory import (
    AsyncMemoryInbox,
    AsyncMemoryOutbox,
    MemoryInbox,
    MemoryOutbox,
)
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.contracts.payments import Charge, Money
from moorage.domain.resilience.retry import Jitter, RetryPolicy
from moorage.testing import SequentialIds, VirtualClock
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, Notice, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import Service

CHARGE = Charge(Money("149.90", "EUR"), "tok_visa", reference="INV-1")
RETRY = RetryPolicy(max_attempts=3, base_delay=10.0, max_delay=60.0, jitter=Jitter.NONE)


class Shop:
    """A synchronous or asynchronous hub with its inbox and outbox, over stores in memory.

    Args:
        is_async: True for the asynchronous classes.
        clock: the clock of the hub and the stores.
        cipher: the cipher that encrypts stored entries.
        subject: a function that returns the person that a webhook is about.
        of: the tenant that the account belongs to; None if it belongs to all tenants.
        audit: the audit trail of the hub.
        settings: settings of the account that replace the usual settings.
    """

    def __init__(
        self,
        *,
        is_async: bool = False,
        clock: VirtualClock | None = None,
        cipher: Any = None,
        subject: Callable[[Any], str | None] | None = None,
        of: str | None = None,
        audit: Any = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.stripe = StripeSandbox(now=lambda: self.clock.utc().timestamp())
        account = {
            "credentials": self.stripe.api_key,
            "webhook_secrets": [self.stripe.webhook_secret],
            "retry": {"max_attempts": 1},
            "volatile_keys": True,
            **settings,
        }
        toml: dict[str, Any] = {"payments": {"vendor": "stripe"}, "vendors": {"stripe": account}}
        if of is not None:
            toml = {"tenants": {of: toml}}
        self.log = MemoryIntegrationLogger()
        self.state = MemoryStorage(self.clock)
        self.received, self.sent = MemoryInbox(self.clock), MemoryOutbox(self.clock)
        common_options: dict[str, Any] = {"clock": self.clock}
        fields: dict[str, Any] = {"retry": RETRY, "lease": 60.0, "cipher": cipher}
        self.is_async, self._kept = is_async, fields
        self.hub: Any
        self.inbox: Any
        self.outbox: Any
        if is_async:
            self.hub = moorage.aopen(
                toml,
                http=AsyncSandboxHttpClient(self.stripe),
                log=AsyncMemoryIntegrationLogger(self.log),
                audit=audit,
                state=AsyncMemoryStorage(self.state),
                **common_options,
            )
            self.outbox = AsyncOutbox(
                AsyncMemoryOutbox(self.sent), ids=SequentialIds(), **common_options, **fields
            )
        else:
            self.hub = moorage.open(
                toml,
                http=SandboxHttpClient(self.stripe),
                log=self.log,
                audit=audit,
                state=self.state,
                **common_options,
            )
            self.outbox = Outbox(self.sent, ids=SequentialIds(), **common_options, **fields)
        self.inbox = self.inbox_over(self.received, subject=subject)

    def inbox_over(self, store: MemoryInbox, **options: Any) -> Any:
        """Return an inbox over another store, synchronous or asynchronous like the first."""
        fields = {**self._kept, **options}
        if self.is_async:
            return AsyncWebhookInbox(self.hub, AsyncMemoryInbox(store), **fields)
        return WebhookInbox(self.hub, store, **fields)

    def outbox_over(self, store: MemoryOutbox, **options: Any) -> Any:
        """Return an outbox over another store, synchronous or asynchronous like the first."""
        fields: dict[str, Any] = {"clock": self.clock, **self._kept, **options}
        if self.is_async:
            return AsyncOutbox(AsyncMemoryOutbox(store), **fields)
        return Outbox(store, **fields)

    def hub_with(self, *services: Service) -> Any:
        """Return a hub with further services, synchronous or asynchronous like the first."""
        if self.is_async:
            return AsyncHub([], services=services, http=AsyncSandboxHttpClient(self.stripe))
        return Hub([], services=services, http=SandboxHttpClient(self.stripe))

    def follow_links_with(self, follow: Callable[[str, Any], bool]) -> None:
        """Make the account's verifier follow confirmation links with this function."""

        class LinkFollowingVerifier:
            """The account's verifier, with the given function for following links."""

            only_hints = False

            def __init__(self, account: str, verifier: Any) -> None:
                self._account = account
                self.verify, self.averify = verifier.verify, verifier.averify

            def confirm(self, event: Any) -> bool:
                return follow(self._account, event)

            async def aconfirm(self, event: Any) -> bool:
                return follow(self._account, event)

        open_verifier = self.hub.webhooks
        self.hub.webhooks = lambda account, **options: LinkFollowingVerifier(
            account, open_verifier(account, **options)
        )

    def do(self, method: Any, /, *values: Any, **options: Any) -> Any:
        """Return the result of a synchronous or asynchronous method."""
        answer = method(*values, **options)
        return run_plain(answer) if inspect.iscoroutine(answer) else answer

    def advance_clock(self, seconds: float) -> None:
        """Advance the clock."""
        self.clock.advance(seconds)

    def time_after(self, seconds: float) -> Any:
        """Return the clock's time plus this many seconds."""
        return self.clock.utc() + timedelta(seconds=seconds)

    def webhook_of_payment(self, reference: str = "INV-1") -> Notice:
        """Make a payment, and return the webhook that reports it."""
        charge = Charge(Money("149.90", "EUR"), "tok_visa", reference=reference)
        self.do(self.hub.payments().charge, charge, idempotency_key=f"{reference}/paid")
        return self.stripe.sent[-1]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def shop(request: pytest.FixtureRequest) -> Shop:
    """Return a synchronous and an asynchronous shop."""
    return Shop(is_async=request.param)
