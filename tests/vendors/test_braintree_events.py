"""Webhooks of Braintree, some of which are about payments."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from hmac import digest
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from moorage.contracts.payments import PaymentState
from tests.vendors.braintree_account import EUROS, PART, SandboxHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.contracts.payments import PaymentEvent


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Braintree."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def received_events(shop: SandboxHub, kind: str, subject: str) -> list[PaymentEvent]:
    """Return the events of a webhook of the given kind, with the given XML content."""
    document = f"<notification><kind>{kind}</kind>{subject}</notification>"
    payload = f"{b64encode(document.encode()).decode()}\n"
    key = sha1(shop.sandbox.private_key.encode()).digest()  # noqa: S324 - the vendor's own way
    signature = f"{shop.sandbox.public_key}|{digest(key, payload.encode(), 'sha1').hex()}"
    body = urlencode({"bt_signature": signature, "bt_payload": payload}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    shop.sandbox.notify(shop.sandbox.webhook_url, body, headers)
    return shop.webhook_events()


def test_settlement_asks_for_the_payment(shop: SandboxHub) -> None:
    """The event of a settlement tells the program to look up the settled payment."""
    payment = shop.settled()
    [event] = shop.webhook_events()
    settled_payment = shop.payments.get(event.ref)

    assert (True, payment.ref.id, "transaction_settled") == (
        event.ask,
        event.ref.id,
        event.vendor_type,
    )
    assert (PaymentState.CAPTURED, EUROS, payment.ref) == (
        settled_payment.state,
        settled_payment.captured,
        settled_payment.ref,
    )


def test_webhook_of_declined_settlement_gives_event_of_its_payment(shop: SandboxHub) -> None:
    """The webhook of a declined settlement gives an event of its payment."""
    payment = shop.pay()
    shop.sandbox.settle(success=False)
    [event] = shop.webhook_events()

    assert ("transaction_settlement_declined", PaymentState.FAILED) == (
        event.vendor_type,
        shop.payments.get(event.ref).state,
    )
    assert payment.ref.id == event.ref.id


def test_failed_refund_is_no_event_of_a_payment(shop: SandboxHub) -> None:
    """The webhook of a failed refund does not contain the payment, so no event is created."""
    payment = shop.settled()
    shop.payments.refund(payment.ref, PART, idempotency_key="r-1")
    shop.sandbox.settle(success=False)

    assert 2 == len(shop.sandbox.sent)
    assert [payment.ref.id] == [event.ref.id for event in shop.webhook_events()]


def test_dispute_names_its_transaction(shop: SandboxHub) -> None:
    """The event of a dispute is about the disputed payment."""
    subject = "<subject><dispute><id>d1</id><transaction><id>tr1</id></transaction></dispute>"

    assert ["tr1"] == [
        event.ref.id for event in received_events(shop, "dispute_opened", f"{subject}</subject>")
    ]


@pytest.mark.parametrize(
    "kind, subject",
    [
        ("check", "<subject><check>true</check></subject>"),
        ("subscription_canceled", "<subject><transaction><id>tr1</id></transaction></subject>"),
        ("transaction_settled", "<subject><transaction><id>a/b</id></transaction></subject>"),
        ("transaction_settled", "<subject/>"),
        (
            "transaction_disbursed",
            "<subject><transaction><id>rf1</id><type>credit</type></transaction></subject>",
        ),
    ],
    ids=["check", "subscription", "id", "empty", "refund"],
)
def test_webhook_that_is_not_about_payment_gives_no_event(
    shop: SandboxHub, kind: str, subject: str
) -> None:
    """A webhook that is not about a payment gives no event."""
    assert [] == received_events(shop, kind, subject)
