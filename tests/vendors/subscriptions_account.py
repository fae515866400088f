"""Helpers for tests of subscriptions: a hub with a vendor that supports them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage import Account, Hub
from moorage.contracts.payments import BillingInterval, Money, Subscription, SubscriptionRequest
from moorage.contracts.ref import Ref
from moorage.testing.sandboxes.base import SandboxHttpClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.payments import PaymentEvent
    from moorage.operations.payments import Payments
    from moorage.testing.kits.payments_conformance import PaymentsSubject

EUROS: Final = Money("20.05", "EUR")
FAR_FUTURE: Final = datetime(2100, 1, 1, tzinfo=UTC)
MONTHLY: Final = BillingInterval("month")


def ref(id: str, /, **others: str | None) -> Ref:
    """Return a reference to an object in the test account."""
    return Ref("stripe", "main", id, {name: text for name, text in others.items() if text})


class SandboxHub:
    """A hub with a vendor that supports subscriptions."""

    def __init__(self, make: Callable[[], PaymentsSubject]) -> None:
        self.subject = make()
        self.sandbox: Any = self.subject.sandbox
        settings = {"volatile_keys": True, "retry": None}
        account = Account("main", self.subject.vendor, settings=settings)
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.payments: Payments = self.hub.payments()

    def request(self, **fields: Any) -> SubscriptionRequest:
        """Return a request for a monthly subscription of the test customer."""
        assert self.subject.subscriber is not None
        source, customer = self.subject.subscriber
        values: dict[str, Any] = {"amount": EUROS, "reference": "SUB-7", "interval": MONTHLY}
        values |= {"source": source, "customer": customer, **fields}
        return SubscriptionRequest(**values)

    def subscribe(self, **fields: Any) -> Subscription:
        """Create a subscription."""
        return self.payments.create_subscription(self.request(**fields), idempotency_key="1")

    def events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far, after follow-up requests to the vendor."""
        verifier = self.hub.webhooks(
            "main", secrets=self.subject.webhook_secret, replay_guard=False
        )
        return [
            self.payments.follow_up(event)
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]
