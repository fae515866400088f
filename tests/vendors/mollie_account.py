"""Helpers for tests of Mollie: a hub with an account at the sandbox, and payments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, Customer, Money
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.mollie import MollieSandbox
from moorage.vendors.payments.mollie import Mollie

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent, Refund
    from moorage.operations.payments import Payments
    from tests.support.openapi import Json

EUROS = Money("149.90", "EUR")
PART = Money("100.00", "EUR")
RETURN_URL = "https://shop.example/back"
CUSTOMER = Customer(id="cst_sandbox")
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


def ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference to a Mollie object, such as a payment, in the test account."""
    return Ref("mollie", "main", id, {name: value for name, value in related.items() if value})


def order(source: str | None = "tkn_visa", **fields: Any) -> Charge:
    """Return a charge for an invoice."""
    return Charge(fields.pop("amount", EUROS), source, reference="INV-2041", **fields)


class SandboxHub:
    """A hub with one account at a new Mollie sandbox."""

    def __init__(self) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = MollieSandbox(now=lambda: self.time)
        vendor = Mollie(
            credentials=self.sandbox.api_key,
            return_url=RETURN_URL,
            webhook_url=self.sandbox.webhook_url,
        )
        account = Account(
            "main", vendor, settings=SETTINGS, webhook_secrets=self.sandbox.webhook_token
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

    def pay(self, source: str | None = "tkn_visa", **fields: Any) -> Payment:
        """Make a payment that is captured at once."""
        return self.payments.charge(order(source, **fields), idempotency_key=self.key())

    def hold(self, source: str | None = "tkn_visa", **fields: Any) -> Payment:
        """Make a payment that is only authorised."""
        return self.payments.authorize(order(source, **fields), idempotency_key=self.key())

    def refund(self, payment: Payment, amount: Money | None = None, **fields: Any) -> Refund:
        """Refund a payment."""
        return self.payments.refund(payment.ref, amount, idempotency_key=self.key(), **fields)

    def sent_body(self) -> Json:
        """Return the JSON body of the last request to the sandbox."""
        return json.loads(self.sandbox.requests[-1].body)

    def paths(self) -> list[str]:
        """Return each request so far as its method and the last segment of its path."""
        return [
            f"{request.method} {request.path.rpartition('/')[2]}"
            for request in self.sandbox.requests
        ]

    def webhook_events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        verifier = self.hub.webhooks("main", replay_guard=False)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]
