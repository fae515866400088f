"""Helpers for tests of Braintree: a hub connected to the sandbox, and payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, Money
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.braintree import BraintreeSandbox
from moorage.vendors.payments.braintree import Braintree

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent
    from moorage.operations.payments import Payments

EUROS = Money("149.90", "EUR")
PART = Money("50.00", "EUR")
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


def order(**fields: Any) -> Charge:
    """Return a charge for an invoice, to be paid with the sandbox's payment nonce."""
    values: dict[str, Any] = {"amount": EUROS, "source": "fake-valid-nonce", "reference": "INV-1"}
    return Charge(**values | fields)


class SandboxHub:
    """A hub with one account at a new Braintree sandbox."""

    def __init__(self, *, retried: bool = False, **options: Any) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = BraintreeSandbox(now=lambda: self.time)
        values: dict[str, Any] = {
            "public_key": self.sandbox.public_key,
            "credentials": self.sandbox.private_key,
            "currency": "EUR",
        }
        account = Account(
            "main",
            Braintree(**values | options),
            settings={"volatile_keys": True} if retried else SETTINGS,
            webhook_secrets=self.sandbox.private_key,
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
        """Charge a payment method, and return the payment."""
        return self.payments.charge(order(**fields), idempotency_key=self.key())

    def hold(self, **fields: Any) -> Payment:
        """Authorise a payment without capturing it, and return the payment."""
        return self.payments.authorize(order(**fields), idempotency_key=self.key())

    def settled(self, **fields: Any) -> Payment:
        """Charge a payment method, let the sandbox settle the payment, and return it."""
        payment = self.pay(**fields)
        self.sandbox.settle()
        return payment

    def sent(self, name: str) -> list[Any]:
        """Return the variables of each sent request of the GraphQL operation `name`."""
        bodies = [request.json() for request in self.sandbox.requests]
        return [body["variables"] for body in bodies if f" {name}(" in body["query"][:40]]

    def webhook_events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        verifier = self.hub.webhooks("main", replay_guard=False)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]
