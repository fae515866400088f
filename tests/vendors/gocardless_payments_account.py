"""Helpers for tests of GoCardless payments: a hub connected to the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, Money
from moorage.contracts.routes import Account
from moorage.domain.resilience.retry import RetryPolicy
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.gocardless_payments import GoCardlessPaymentsSandbox
from moorage.vendors.payments.gocardless_payments import GoCardlessPayments

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent
    from moorage.operations.payments import Payments
    from tests.support.openapi import Json

EUROS = Money("149.90", "EUR")
PART = Money("50.00", "EUR")
MANDATE = "MD_SANDBOX"
SANDBOX_URL = "https://api-sandbox.gocardless.com"
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}
RETRIED = {"retry": RetryPolicy(base_delay=0), "volatile_keys": True}


def order(**fields: Any) -> Charge:
    """Return a charge for an invoice, to be collected under the sandbox's mandate."""
    values: dict[str, Any] = {"amount": EUROS, "source": MANDATE, "reference": "INV-2041"}
    return Charge(**values | fields)


class SandboxHub:
    """A hub with one account at a new GoCardless sandbox."""

    def __init__(self, *, retried: bool = False, **options: Any) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = GoCardlessPaymentsSandbox(now=lambda: self.time)
        values: dict[str, Any] = {
            "credentials": self.sandbox.access_token,
            "base_url": SANDBOX_URL,
            "return_url": "https://shop.example/back",
        }
        account = Account(
            "main",
            GoCardlessPayments(**values | options),
            settings=RETRIED if retried else SETTINGS,
            webhook_secrets=self.sandbox.webhook_secret,
        )
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.number = 0

    @property
    def payments(self) -> Payments:
        """Return the payment operations of the hub."""
        return self.hub.payments()

    def key(self) -> str:
        """Return a new idempotency key."""
        self.number += 1
        return f"k-{self.number}"

    def pay(self, **fields: Any) -> Payment:
        """Request a payment against a mandate."""
        return self.payments.charge(order(**fields), idempotency_key=self.key())

    def collect(self, **fields: Any) -> Payment:
        """Return a payment that the bank has collected."""
        ref = self.pay(**fields).ref
        self.sandbox.settle()
        return self.payments.get(ref)

    def sent_body(self, number: int = -1) -> Json:
        """Return the JSON body of one request to the sandbox, or of the last one by default."""
        return json.loads(self.sandbox.requests[number].body)

    def webhook_events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        verifier = self.hub.webhooks("main", replay_guard=False)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]
