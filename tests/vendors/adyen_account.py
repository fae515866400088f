"""Helpers for tests of Adyen: a hub connected to the Adyen sandbox."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from moorage.contracts.payments import (
    Charge,
    Customer,
    Money,
    PaymentEvent,
)
from moorage.contracts.routes import Account
from moorage.domain.resilience.retry import RetryPolicy
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import (
    Notice,
    SandboxHttpClient,
)
from moorage.testing.sandboxes.payments.adyen import AdyenSandbox
from moorage.vendors.payments.adyen import Adyen

Json: TypeAlias = Any
"""Any JSON value."""

EUR_149 = Money("149.90", "EUR")
BUYER = Customer(id="buyer-1")
RETURN_URL = "https://erp.example/back"


def charge(source: str = "APPROVED", amount: Money = EUR_149, **fields: Any) -> Charge:
    """Return a charge whose payment source selects the outcome at the sandbox."""
    fields = {"reference": "INV-2041", "customer": BUYER, **fields}
    return Charge(amount, source, **fields)


def vendor(**options: Any) -> Adyen:
    """Return the Adyen vendor with the sandbox's account and key."""
    options = {"merchant_account": "SandboxMerchant", "credentials": "adyen-sandbox-key", **options}
    return Adyen(return_url=RETURN_URL, **options)


IDEAL = '{"type": "ideal"}'
"""The payment method that Adyen's browser form returns for iDEAL."""


class SandboxHub:
    """A hub connected to the Adyen sandbox, with access to the sandbox's webhooks."""

    def __init__(self, *, tenant: str | None = None, **options: Any) -> None:
        self.sandbox = AdyenSandbox()
        settings = {"volatile_keys": True, "retry": RetryPolicy(max_attempts=2, base_delay=0)}
        account = Account("shop", vendor(**options), settings=settings)
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.payments = self.hub.payments(tenant)
        self.verifier = self.hub.webhooks("shop", secrets=[self.sandbox.hmac_key])

    @property
    def last_request(self) -> Json:
        """Return the JSON body of the last request that the sandbox received."""
        return json.loads(self.sandbox.requests[-1].body)

    def webhook_events(self, *notices: Notice) -> list[PaymentEvent]:
        """Return the events that are read from the given webhooks, or from all pending ones."""
        options = [notice.arguments() for notice in (notices or self.sandbox.settle())]
        webhooks = [webhook for option in options for webhook in self.verifier.verify(**option)]
        return [event for webhook in webhooks for event in self.hub.events("shop", webhook)]

    def apply_event(self, event: str, psp: str, **fields: Any) -> PaymentEvent:
        """Apply an event to a payment in the sandbox; return the event of the webhook."""
        (payment_event,) = self.webhook_events(self.sandbox.apply_event(event, psp, **fields))
        return payment_event
