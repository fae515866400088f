"""Helpers for tests of Stripe: a hub with an account at the sandbox, and payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, Money, advance
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import Stripe

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent
    from moorage.operations.payments import Payments


EUROS = Money("149.90", "EUR")
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


def ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference to a Stripe object, such as a payment, in the test account."""
    return Ref("stripe", "main", id, {name: value for name, value in related.items() if value})


def order(source: str | None = "pm_card_visa", **fields: Any) -> Charge:
    """Return a charge for an invoice."""
    return Charge(fields.pop("amount", EUROS), source, reference="INV-2041", **fields)


class SandboxHub:
    """A hub with one account at a new Stripe sandbox."""

    def __init__(self) -> None:
        self.sandbox = StripeSandbox()
        vendor = Stripe(credentials=self.sandbox.api_key)
        self.hub = Hub(
            [Account("main", vendor, settings=SETTINGS)], http=SandboxHttpClient(self.sandbox)
        )
        self.number = 0

    @property
    def payments(self) -> Payments:
        """Return the payment operations of the hub."""
        return self.hub.payments()

    def key(self) -> str:
        """Return a new idempotency key."""
        self.number += 1
        return f"k-{self.number}"

    def sent_form(self) -> dict[str, str]:
        """Return the form fields of the last request to the sandbox."""
        return dict(self.sandbox.requests[-1].form)

    def webhook_events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        verifier = self.hub.webhooks(
            "main", secrets=self.sandbox.webhook_secret, replay_guard=False
        )
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
