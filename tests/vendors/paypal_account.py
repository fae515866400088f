"""Helpers for tests of PayPal: a hub with an account at the sandbox, and payments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, Money, advance
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.paypal import PayPalSandbox
from moorage.vendors.payments.paypal import PayPal

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent
    from moorage.operations.payments import Payments
    from moorage.testing.sandboxes.base import Notice, SandboxRequest

EUROS = Money("149.90", "EUR")
TEN = Money("10.00", "EUR")
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}
RETURN_URL = "https://erp.example/back"


def order(source: str | None = "card:visa-1", **fields: Any) -> Charge:
    """Return a charge for an invoice."""
    default_options: dict[str, Any] = {"reference": "INV-2041", "return_url": RETURN_URL}
    return Charge(fields.pop("amount", EUROS), source, **{**default_options, **fields})


class SandboxHub:
    """A hub with one account at a new PayPal sandbox."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.sandbox = PayPalSandbox()
        vendor = PayPal(
            client_id=self.sandbox.client_id,
            client_secret=self.sandbox.client_secret,
            sandbox=True,
            webhook_id=self.sandbox.webhook_id,
        )
        account = Account("main", vendor, settings={**SETTINGS, **(settings or {})})
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

    def charged(self, source: str = "card:visa-1", **fields: Any) -> Payment:
        """Make a payment that is captured at once."""
        return self.payments.charge(order(source, **fields), idempotency_key=self.key())

    def authorized(self, source: str = "card:visa-1", **fields: Any) -> Payment:
        """Make a payment that is only authorised."""
        return self.payments.authorize(order(source, **fields), idempotency_key=self.key())

    def sent_body(self) -> Any:
        """Return the JSON body of the last request to the sandbox."""
        return json.loads(self.last_request().body)

    def last_request(self) -> SandboxRequest:
        """Return the last request to the sandbox."""
        return self.sandbox.requests[-1]

    def read(self, notice: Notice) -> list[PaymentEvent]:
        """Return the events that are read from a webhook."""
        verifier = self.hub.webhooks("main", replay_guard=False)
        results = verifier.verify(**notice.arguments())
        return [event for webhook in results for event in self.hub.events("main", webhook)]

    def webhook_events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        return [event for notice in self.sandbox.sent for event in self.read(notice)]

    def payment_after_events(self, payment: Payment) -> Payment:
        """Return the payment after all its webhook events have been applied to it."""
        for event in self.webhook_events():
            if event.ref.id == payment.ref.id:
                payment = advance(payment, event)
        return payment
