"""Attacks on payment vendors: damaged and hostile webhooks that are sent to an inbox.

Genuine webhooks of a vendor's sandbox are damaged in bits, pieces, headers and URLs. The inbox
stores one or refuses it by an error of its own, and it stores none whose signed content changed.
Values of genuine events are replaced by others, as if the vendor had signed them: `Hub.events`
and `follow_up` return or raise errors of their own.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import Account, Hub, Secret, WebhookInbox
from moorage.adapters.entries.memory import MemoryInbox
from moorage.contracts.payments import Charge, Money, PaymentsCapability
from moorage.errors import ConnectorError
from moorage.testing.sandboxes.base import SandboxHttpClient
from tests.vendors.payments_subjects import adyen, stripe
from tests.vendors.subjects.authorize_net import authorize_net
from tests.vendors.subjects.checkout_com import checkout_com
from tests.vendors.subjects.gocardless_payments import gocardless_payments
from tests.vendors.subjects.mercado_pago import mercado_pago
from tests.vendors.subjects.mollie import mollie
from tests.vendors.subjects.paypal import paypal
from tests.vendors.subjects.paystack import paystack
from tests.vendors.subjects.razorpay import razorpay
from tests.vendors.subjects.square import square
from tests.webhooks.fuzzing import mutations
from tests.webhooks.signing import SentWebhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.testing.kits.payments_conformance import PaymentsSubject

VENDORS: Final[dict[str, Callable[[], PaymentsSubject]]] = {
    "adyen": adyen,
    "authorize_net": authorize_net,
    "checkout_com": checkout_com,
    "gocardless_payments": gocardless_payments,
    "mercado_pago": mercado_pago,
    "mollie": mollie,
    "paypal": paypal,
    "paystack": paystack,
    "razorpay": razorpay,
    "square": square,
    "stripe": stripe,
}
URL_SIGNING_VENDORS: Final = frozenset({"mercado_pago"})
"""Vendors that sign the id in the URL, and not the body."""
UNSIGNED: Final = frozenset({"mollie"})
"""Vendors that sign nothing, so that a look-up decides."""
_SIGNED_BY_ADYEN: Final = (
    *("pspReference", "originalReference", "merchantAccountCode", "merchantReference"),
    *("amount", "eventCode", "success"),
)
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 10**30, 1e308, "", "x", "\x00", "\ud800", "9" * 400, "1e999", "-0",
    "2026-13-45T99:99:99Z", "0001-01-01T00:00:00+14:00", [], [None], [[]], {}, {"id": None},
    {"amount": {"value": [], "currency": 7}}, "XXX", "KWD", "tr_" + "a" * 200,
)  # fmt: skip


class AttackedInbox:
    """A hub with one vendor, its webhook inbox, and genuine webhooks of a few payments.

    Attributes:
        name: name of the vendor.
        hub: hub with the account "main".
        inbox: inbox of the hub.
        sent: the genuine webhooks.
        events: their events.
    """

    def __init__(self, name: str, make: Callable[[], PaymentsSubject] | None = None) -> None:
        self.name = name
        subject = (make or VENDORS[name])()
        secret = subject.webhook_secret
        account = Account(
            "main",
            subject.vendor,
            webhook_secrets=() if secret is None else (Secret(secret),),
            settings={"volatile_keys": True, "retry": None},
        )
        self.hub = Hub([account], http=SandboxHttpClient(subject.sandbox))
        self._make_payments(subject)
        self.sent = [SentWebhook(**notice.arguments()) for notice in subject.sandbox.sent]
        self.inbox = WebhookInbox(self.hub, MemoryInbox())
        self.events = [event for sent in self.sent for event in self.received(sent)]
        self._genuine = [self._signed_part(event) for event in self.events]

    def _make_payments(self, subject: PaymentsSubject) -> None:
        """Make, refund and dispute a payment, as far as the vendor's sandbox can."""
        payments = self.hub.payments()
        order = Charge(
            Money("20.00", "EUR"),
            subject.pays,
            reference="INV-1",
            customer=subject.buyer,
            return_url="https://erp.example/back",
        )
        payment = payments.charge(order, idempotency_key="1")
        subject.happen()
        payments.refund(payment.ref, Money("5.00", "EUR"), idempotency_key="2")
        subject.happen()
        if subject.dispute is not None and PaymentsCapability.ACCEPT_DISPUTE in (
            subject.vendor.capabilities
        ):
            subject.dispute(payment.ref.id)

    def received(self, sent: SentWebhook) -> tuple[WebhookEvent, ...]:
        """Pass a webhook to the inbox, and return the events that it yields."""
        entry = self.inbox.receive("main", **sent.arguments())
        return self.inbox.webhooks(entry)

    def damage(self, dice: random.Random) -> bool:
        """Pass a damaged webhook to the inbox, and return whether the inbox stored it.

        Raises:
            AssertionError: it was, and is not what the vendor signed; or a look-up does not decide.
        """
        sent = mutations(dice, dice.choice(self.sent))
        try:
            events = self.received(sent)
        except ConnectorError:
            return False
        for event in events:
            if self.name not in UNSIGNED:
                assert self._signed_part(event) in self._genuine, sent
            self.convert(event)
        return True

    def convert_hostile(self, dice: random.Random) -> None:
        """Replace values in a genuine webhook by hostile ones, and convert it to payment events."""
        event = dice.choice(self.events)
        payload, data = event.payload, event.data
        for _ in range(dice.choice((1, 1, 2, 4))):
            payload, data = _with_replaced_part(dice, payload), _with_replaced_part(dice, data)
        self.convert(attrs.evolve(event, payload=payload, data=data))

    def convert(self, webhook: WebhookEvent) -> None:
        """Convert a webhook and follow up its events; only moorage's errors may be raised.

        Raises:
            AssertionError: an event of an unsigned webhook says more than the look-up.
        """
        payments = self.hub.payments()
        try:
            for event in self.hub.events("main", webhook):
                if self.name in UNSIGNED:
                    assert event.ask
                    assert (event.state, event.payment, event.refund) == (None, None, None)
                followed = payments.follow_up(event)
                repr(followed)
                if self.name in UNSIGNED:
                    assert payments.get(followed.ref).state is followed.state
        except ConnectorError:
            return

    def _signed_part(self, event: WebhookEvent) -> Any:
        """Return the part of an event that the vendor's signature covers."""
        if self.name != "adyen":
            return event.payload
        return [event.data.get(name) for name in _SIGNED_BY_ADYEN]


def _with_replaced_part(dice: random.Random, value: Any) -> Any:
    """Return a copy of a JSON value in which one randomly chosen part is replaced."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name = dice.choice([*value])
        if dice.random() < 0.1:
            return {key: part for key, part in value.items() if key != name}
        return {**value, name: _with_replaced_part(dice, value[name])}
    if isinstance(value, list) and value and dice.random() < 0.9:
        place = dice.randrange(len(value))
        return [*value[:place], _with_replaced_part(dice, value[place]), *value[place + 1 :]]
    return dice.choice(_VALUES)


def attack(
    name: str, inputs: int, seed: int = 0, *, make: Callable[[], PaymentsSubject] | None = None
) -> int:
    """Attack the webhooks of a vendor; return how many damaged ones were stored.

    Args:
        name: name of the vendor.
        inputs: number of damaged webhooks, and of events with other values.
        seed: chooses the damages.
        make: returns another subject than the vendor's own.
    """
    generator, attacked = random.Random(f"{name} {seed}"), AttackedInbox(name, make)
    stored_count = 0
    for _ in range(inputs):
        stored_count += attacked.damage(generator)
        attacked.convert_hostile(generator)
    return stored_count
