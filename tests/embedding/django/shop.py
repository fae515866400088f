"""A shop in the tests' Django project that accepts payments at Stripe's sandbox."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from django.test import Client
from django.test.utils import override_settings

from moorage import Money, Secret
from moorage.contracts.payments import Charge
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage_django import webhooks
from moorage_django.models import Call, Credential, Deferred, State, Webhook
from tests.support.django_project import SQLITE, migrate

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.contracts.payments import PaymentEvent
    from moorage.hub.inbox import InboxEntry

KEYS: Final = "1:" + "A" * 43 + "="
"""A key for tests."""


class Shop:
    """A shop, its fake vendor, and the events that its webhook handler received."""

    def __init__(self) -> None:
        self.sandbox = StripeSandbox(
            webhook_url="http://testserver/moorage/webhooks/stripe/",
        )
        self.news: list[PaymentEvent] = []
        self.failing = False

    @property
    def settings(self) -> dict[str, Any]:
        """Return the value of Django's setting `MOORAGE`."""
        return {
            "CONFIGURATION": {
                "vendors": {
                    "stripe": {
                        "credentials": Secret(self.sandbox.api_key),
                        "webhook_secrets": [Secret(self.sandbox.webhook_secret)],
                    }
                }
            },
            "PORTS": {"http": SandboxHttpClient(self.sandbox)},
            "KEYS": KEYS,
        }

    @property
    def charges(self) -> int:
        """Return the number of times that the vendor took money."""
        return sum(b'"payment_intent.succeeded"' in notice.body for notice in self.sandbox.sent)

    def deliver(self, number: int = -1, **changes: Any) -> int:
        """Send a webhook of the sandbox and return the status of the response."""
        options = {**self.sandbox.sent[number].arguments(), **changes}
        headers = {
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in dict(options["headers"]).items()
        }
        answer = Client().generic(
            options["method"],
            options["url"].removeprefix("http://testserver"),
            options["body"],
            "application/json",
            **headers,
        )
        return int(answer.status_code)

    def record_event(self, event: PaymentEvent, entry: InboxEntry) -> None:
        """Handle a webhook by recording its events."""
        if self.failing:
            raise RuntimeError("the handler is broken")
        self.news.append(event)


def order(reference: str = "INV-1") -> Charge:
    """Return the order to pay."""
    return Charge(Money("149.90", "EUR"), "pm_card_visa", reference=reference)


@contextmanager
def open_shop(shop: Shop, **changes: Any) -> Generator[Shop]:
    """Configure the Django project with this shop."""
    for alias in (migrate("default"), migrate(SQLITE)):
        for table in (Webhook, Deferred) if alias == "default" else (State, Call, Credential):
            table.objects.using(alias).all().delete()
    registered_handlers: Any = webhooks._registered  # noqa: SLF001 - handlers register for good elsewhere
    previous_handlers, registered_handlers[:] = (
        registered_handlers[:],
        [("payments", shop.record_event)],
    )
    urls = "tests.embedding.django.urls"
    with override_settings(MOORAGE={**shop.settings, **changes}, ROOT_URLCONF=urls):
        yield shop
    registered_handlers[:] = previous_handlers
