"""Webhooks of Authorize.Net, which state the id of a transaction."""

from __future__ import annotations

from hmac import digest
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import MoveState, PaymentState, advance
from moorage.domain.values.json_text import encode_json
from tests.vendors.authorize_net_account import EUROS, PART, SandboxHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.contracts.payments import PaymentEvent

CHARGED = "net.authorize.payment.authcapture.created"


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Authorize.Net."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def received_events(shop: SandboxHub, kind: str, **payload: Any) -> list[PaymentEvent]:
    """Return the events of a webhook of the given type, with the given payload."""
    fields = {"notificationId": "n-1", "eventType": kind, "eventDate": "2031-05-06T07:08:09Z"}
    body = encode_json({**fields, "payload": payload})
    signature = digest(shop.sandbox.signature_key.encode(), body, "sha512").hex()
    headers = {"Content-Type": "application/json", "X-ANET-Signature": f"sha512={signature}"}
    shop.sandbox.notify(shop.sandbox.webhook_url, body, headers)
    return shop.webhook_events()


def test_webhook_asks_for_its_payment(shop: SandboxHub) -> None:
    """The events of a payment tell the program to look up the payment."""
    payment = shop.hold()
    shop.payments.capture(payment.ref, PART, idempotency_key="c")
    events = shop.webhook_events()
    known_payment = advance(payment, shop.payments.follow_up(events[1]))

    assert [
        "net.authorize.payment.authorization.created",
        "net.authorize.payment.priorAuthCapture.created",
    ] == [event.vendor_type for event in events]
    assert [(True, payment.ref.id)] * 2 == [(event.ask, event.ref.id) for event in events]
    assert (PaymentState.PARTIALLY_CAPTURED, EUROS, PART) == (
        known_payment.state,
        known_payment.amount,
        known_payment.captured,
    )


def test_webhook_of_a_refund_finds_its_payment(shop: SandboxHub) -> None:
    """The look-up of a refund's webhook returns the payment with the refund, counted once."""
    payment = shop.settled()
    refund = shop.payments.refund(payment.ref, PART, idempotency_key="r")
    shop.sandbox.settle()
    event = shop.payments.follow_up(shop.webhook_events()[-1])
    known_payment = advance(advance(payment, event), event)

    assert payment.ref == event.ref
    assert (PaymentState.PARTIALLY_REFUNDED, PART) == (known_payment.state, known_payment.refunded)
    [known_refund] = known_payment.refunds
    assert (refund.ref, MoveState.SUCCEEDED) == (known_refund.ref, known_refund.state)


@pytest.mark.parametrize(
    "kind, payload",
    [
        ("net.authorize.customer.created", {"entityName": "customerProfile", "id": "394"}),
        ("net.authorize.customer.created", {"entityName": "transaction", "id": "394"}),
        (CHARGED, {"entityName": "subscription", "id": "1"}),
        (CHARGED, {"entityName": "transaction", "id": "a/b"}),
        (CHARGED, {"entityName": "transaction"}),
        (
            CHARGED,
            {"entityName": "transaction", "id": "1" * 21},
        ),
    ],
)
def test_other_webhooks_give_no_event(shop: SandboxHub, kind: str, payload: dict[str, Any]) -> None:
    """A webhook about something else, or without the id of a transaction, gives no event."""
    assert [] == received_events(shop, kind, **payload)


@pytest.mark.parametrize("id_", ["1", "1" * 20, 60_000_000_001])
def test_id_of_a_transaction_is_a_number(shop: SandboxHub, id_: str | int) -> None:
    """The id of a transaction has up to 20 digits."""
    [event] = received_events(
        shop, "net.authorize.payment.void.created", entityName="transaction", id=id_
    )

    assert str(id_) == event.ref.id
