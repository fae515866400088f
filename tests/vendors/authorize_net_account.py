"""Helpers for tests of Authorize.Net: a hub connected to the sandbox, and payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.payments import Charge, Money
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.authorize_net import AuthorizeNetSandbox
from moorage.vendors.payments.authorize_net import AuthorizeNet

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, PaymentEvent
    from moorage.operations.payments import Payments

EUROS = Money("149.90", "EUR")
PART = Money("50.00", "EUR")
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


def order(**fields: Any) -> Charge:
    """Return a charge for an invoice, to be paid with the sandbox's nonce."""
    values: dict[str, Any] = {"amount": EUROS, "source": "nonce-ok", "reference": "INV-1"}
    return Charge(**values | fields)


class SandboxHub:
    """A hub with one account at a new Authorize.Net sandbox, on a virtual clock."""

    def __init__(self, *, retried: bool = False, **options: Any) -> None:
        self.clock = VirtualClock()
        self.sandbox = AuthorizeNetSandbox(now=lambda: self.clock.utc().timestamp())
        values: dict[str, Any] = {
            "login_id": self.sandbox.login_id,
            "transaction_key": self.sandbox.transaction_key,
            "currency": "EUR",
        }
        account = Account(
            "main",
            AuthorizeNet(**values | options),
            settings={"volatile_keys": True} if retried else SETTINGS,
            webhook_secrets=self.sandbox.signature_key,
        )
        self.hub = Hub(
            [account],
            http=SandboxHttpClient(self.sandbox),
            state=MemoryStorage(self.clock),
            clock=self.clock,
            sleeper=VirtualSleeper(self.clock),
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

    def pay(self, **fields: Any) -> Payment:
        """Charge a means of payment, and return the payment."""
        return self.payments.charge(order(**fields), idempotency_key=self.key())

    def hold(self, **fields: Any) -> Payment:
        """Authorise a payment without capturing it, and return the payment."""
        return self.payments.authorize(order(**fields), idempotency_key=self.key())

    def settled(self, **fields: Any) -> Payment:
        """Charge a means of payment, let the sandbox settle the payment, and return it."""
        payment = self.pay(**fields)
        self.sandbox.settle()
        return payment

    def sent(self, name: str) -> list[Any]:
        """Return the fields of each sent request of an API method, without the credentials."""
        bodies = [request.json() for request in self.sandbox.requests]
        contents = [body[f"{name}Request"] for body in bodies if f"{name}Request" in body]
        return [
            {field: value for field, value in content.items() if field != "merchantAuthentication"}
            for content in contents
        ]

    def transactions_sent(self) -> list[Any]:
        """Return the fields of each transaction that was requested."""
        return [content["transactionRequest"] for content in self.sent("createTransaction")]

    def webhook_events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        verifier = self.hub.webhooks("main", replay_guard=False)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]
