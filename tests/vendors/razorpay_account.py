"""Helpers for tests of Razorpay: a hub with an account at the sandbox, and payments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Charge, Customer, Money
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.razorpay import RazorpaySandbox
from moorage.vendors.payments.razorpay import Razorpay

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent
    from moorage.operations.payments import Payments
    from tests.support.openapi import Json

RUPEES = Money("1499.00", "INR")
PART = Money("500.00", "INR")
TOKEN = "token_sandbox"
ADA = Customer(id="cust_ada", email="ada@erp.example", phone="+919000090000", name="Ada")
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


def order(**fields: Any) -> Charge:
    """Return a charge for an invoice, to be paid with the sandbox's token."""
    values: dict[str, Any] = {
        "amount": RUPEES,
        "source": TOKEN,
        "reference": "INV-2041",
        "customer": ADA,
    }
    return Charge(**values | fields)


class SandboxHub:
    """A hub with one account at a new Razorpay sandbox."""

    def __init__(self, *, retried: bool = False, **options: Any) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = RazorpaySandbox(now=lambda: self.time)
        values: dict[str, Any] = {
            "key_id": self.sandbox.key_id,
            "credentials": self.sandbox.key_secret,
            "return_url": "https://shop.example/back",
        }
        account = Account(
            "main",
            Razorpay(**values | options),
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

    def pay(self, **fields: Any) -> Payment:
        """Charge the payment method that the sandbox's token stands for."""
        return self.payments.charge(order(**fields), idempotency_key=self.key())

    def hold(self, **fields: Any) -> Payment:
        """Authorise, without a capture, a payment by the sandbox's token."""
        return self.payments.authorize(order(**fields), idempotency_key=self.key())

    def writes(self) -> list[tuple[str, Json]]:
        """Return the path and the JSON body of each request that may change something."""
        return [
            (request.path, json.loads(request.body or b"{}"))
            for request in self.sandbox.requests
            if request.method != "GET"
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
