"""Helpers for tests of Checkout.com: a hub with an account at the sandbox, and payments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, Money
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.checkout_com import CheckoutComSandbox, token
from moorage.vendors.payments.checkout_com import CheckoutCom

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent
    from moorage.operations.payments import Payments
    from tests.support.openapi import Json

EUROS = Money("149.90", "EUR")
PART = Money("100.00", "EUR")
RETURN_URL = "https://shop.example/back"
SANDBOX_URL = "https://api.sandbox.checkout.com"
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


def ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference to an object of Checkout.com in the test account."""
    details = {name: value for name, value in related.items() if value}
    return Ref("checkout_com", "main", id, details)


def order(source: str | None = None, **fields: Any) -> Charge:
    """Return a charge for an invoice."""
    reference = fields.pop("reference", "INV-2041")
    return Charge(fields.pop("amount", EUROS), source or token(), reference=reference, **fields)


class SandboxHub:
    """A hub with one account at a new Checkout.com sandbox."""

    def __init__(self, *, retried: bool = False, **options: Any) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = CheckoutComSandbox(now=lambda: self.time)
        defaults = {"base_url": SANDBOX_URL, "return_url": RETURN_URL}
        vendor = CheckoutCom(credentials=self.sandbox.secret_key, **{**defaults, **options})
        account = Account(
            "main",
            vendor,
            settings={"volatile_keys": True} if retried else SETTINGS,
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

    def pay(self, source: str | None = None, **fields: Any) -> Payment:
        """Make a payment that is captured as soon as the sandbox settles."""
        return self.payments.charge(order(source, **fields), idempotency_key=self.key())

    def hold(self, source: str | None = None, **fields: Any) -> Payment:
        """Make a payment that is only authorised."""
        return self.payments.authorize(order(source, **fields), idempotency_key=self.key())

    def sent_body(self) -> Json:
        """Return the JSON body of the last request to the sandbox."""
        return json.loads(self.sandbox.requests[-1].body)

    def webhook_events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        verifier = self.hub.webhooks("main", replay_guard=False)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]
