"""Forged, damaged and repeated webhooks of payment vendors change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.payments import PaymentState
from moorage.domain.entries.queue import EntryQuery
from moorage.vendors.payments.mollie import Mollie
from tests.vendors.attacked_webhooks import (
    UNSIGNED,
    URL_SIGNING_VENDORS,
    VENDORS,
    AttackedInbox,
    attack,
)
from tests.vendors.subjects.mollie import mollie

if TYPE_CHECKING:
    from moorage.contracts.payments import PaymentEvent
    from moorage.contracts.vendor import MakeRef
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.testing.kits.payments_conformance import PaymentsSubject

EVERY_VENDOR = pytest.mark.parametrize("name", VENDORS)


@EVERY_VENDOR
@pytest.mark.untraced
def test_damaged_and_hostile_webhooks(name: str) -> None:
    """A damaged webhook is never stored as a different one, and hostile values do no harm."""
    stored_count = attack(name, 300)

    assert 0 < stored_count < 300


@EVERY_VENDOR
def test_damaged_webhook_is_refused_or_stored_as_signed(name: str) -> None:
    """A damaged webhook is refused, or it is stored with exactly the content that was signed."""
    assert attack(name, 10, seed=1) <= 10


@EVERY_VENDOR
def test_forged_webhook_is_not_stored(name: str) -> None:
    """A webhook signed with another secret, or for other content, gets the status 401."""
    attacked = AttackedInbox(name)
    stored = attacked.inbox.find(EntryQuery()).items
    genuine = attacked.sent[0]
    if name in UNSIGNED:
        forged = attrs.evolve(genuine, url=f"{genuine.url}x")
    elif name in URL_SIGNING_VENDORS:
        forged = attrs.evolve(genuine, url=genuine.url.replace("data.id=", "data.id=6"))
    else:
        # The amount, or another number that the signature covers.
        digit = next(byte for byte in b"2574138" if bytes([byte]) in genuine.body)
        forged = attrs.evolve(genuine, body=genuine.body.replace(bytes([digit]), b"6"))
    reply = attacked.inbox.answer("main", **forged.arguments())

    assert 401 == reply.status
    assert stored == attacked.inbox.find(EntryQuery()).items


@EVERY_VENDOR
def test_repeated_webhook_is_handled_once(name: str) -> None:
    """A repeated webhook is handled once, except for Mollie's webhooks without an event id."""
    attacked = AttackedInbox(name)
    handled: list[str] = []
    attacked.inbox.on("webhook")(lambda _, entry: handled.append(entry.id))
    attacked.inbox.handle()
    assert len(attacked.sent) == len(handled)
    for sent in attacked.sent:
        assert 200 == attacked.inbox.answer("main", **sent.arguments()).status
    attacked.inbox.handle()

    # Mollie's webhooks name a payment but no event, so each of them may report another change.
    assert len(handled) == len(attacked.sent) * (2 if name in UNSIGNED else 1)
    assert len(handled) == len(set(handled))


@attrs.frozen(kw_only=True)
class VendorThatTrustsWebhooks(Mollie):
    """A faulty vendor that trusts the content of an unsigned webhook."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Report the payment as captured without looking it up."""
        return tuple(
            attrs.evolve(item, ask=False, state=PaymentState.CAPTURED)
            for item in Mollie.events(self, event, ref)
        )


@attrs.frozen(kw_only=True)
class VendorThatTrustsTypes(Mollie):
    """A faulty vendor that assumes that all webhook values have the right type."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Use a value as text without checking its type."""
        text: Any = event.data["id"]
        assert text.upper()
        return Mollie.events(self, event, ref)


@pytest.mark.parametrize(
    "kind, error",
    [
        (VendorThatTrustsWebhooks, AssertionError),
        (VendorThatTrustsTypes, (AttributeError, KeyError, TypeError)),
    ],
)
def test_attack_detects_faulty_vendors(kind: type[Mollie], error: Any) -> None:
    """The attack detects a vendor that trusts unsigned webhooks or the types of their values."""

    def faulty() -> PaymentsSubject:
        subject = mollie()
        account: Any = subject.vendor
        values = attrs.asdict(account, recurse=False)
        return attrs.evolve(subject, vendor=kind(**values))

    with pytest.raises(error):
        attack("mollie", 300, make=faulty)
