"""Helpers for tests of Square: a hub with an account at the sandbox, and payments."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, Customer, Money, advance
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.square import SquareSandbox
from moorage.vendors.payments.square import Square

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent, Refund
    from moorage.operations.payments import Payments
    from tests.support.openapi import Json

EUROS = Money("149.90", "EUR")
PART = Money("100.00", "EUR")
CUSTOMER = Customer(id="CUSTOMER0SANDBOX")
SETTINGS: dict[str, Any] = {"retry": None, "circuit": None, "volatile_keys": True}


def ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference to a Square object, such as a payment, in the test account."""
    return Ref("square", "main", id, {name: value for name, value in related.items() if value})


def order(source: str = "cnon:card-nonce-ok", **fields: Any) -> Charge:
    """Return a charge for an invoice."""
    options: dict[str, Any] = {"amount": EUROS, "reference": "INV-2041", **fields}
    return Charge(source=source, **options)


class SandboxHub:
    """A hub with one account at a new Square sandbox."""

    def __init__(self, **settings: Any) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = SquareSandbox(now=lambda: self.time)
        vendor = Square(credentials=self.sandbox.access_token, location_id=self.sandbox.location_id)
        account = Account("main", vendor, settings={**SETTINGS, **settings})
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self._numbers = count(1)

    @property
    def payments(self) -> Payments:
        """Return the payment operations of the hub."""
        return self.hub.payments()

    def key(self) -> str:
        """Return a new idempotency key."""
        return f"k-{next(self._numbers)}"

    def pay(self, source: str = "cnon:card-nonce-ok", **fields: Any) -> Payment:
        """Make a payment that is captured at once."""
        return self.payments.charge(order(source, **fields), idempotency_key=self.key())

    def hold(self) -> Payment:
        """Make a payment that is only authorised."""
        return self.payments.authorize(order(), idempotency_key=self.key())

    def refund(self, payment: Payment, amount: Money | None = None, **fields: Any) -> Refund:
        """Refund a payment."""
        return self.payments.refund(payment.ref, amount, idempotency_key=self.key(), **fields)

    def sent_body(self) -> Json:
        """Return the JSON body of the last request to the sandbox."""
        return json.loads(self.sandbox.requests[-1].body)

    def webhook_events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        verifier = self.hub.webhooks("main", secrets=self.sandbox.signature_key, replay_guard=False)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]

    def payment_after_events(self, payment: Payment) -> Payment:
        """Return the payment after all its webhook events have been applied to it."""
        for event in self.webhook_events():
            if event.ref.id == payment.ref.id:
                payment = advance(payment, event)
        return payment
