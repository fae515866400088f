"""Mollie's webhooks say only that a payment should be looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import PaymentState, advance
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import InvalidData, VendorRejected, WebhookRejected
from moorage.vendors.payments.mollie import Mollie
from tests.vendors.mollie_account import EUROS, SandboxHub, ref

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Mollie."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def test_webhook_asks_for_a_look_up(shop: SandboxHub) -> None:
    """A Mollie webhook changes nothing by itself; following it up reads the payment."""
    payment = shop.pay("ideal")
    shop.sandbox.visit(payment.ref.id)
    (event,) = shop.webhook_events()

    assert (True, None, payment.ref.id) == (event.ask, event.state, event.ref.id)
    assert payment == advance(payment, event)
    result = shop.payments.follow_up(event)
    assert (False, PaymentState.CAPTURED, EUROS) == (result.ask, result.state, result.captured)
    assert (payment.ref, "INV-2041") == (result.ref, result.reference)
    assert PaymentState.CAPTURED == advance(payment, result).state
    count = len(shop.sandbox.requests)
    assert result == shop.payments.follow_up(result)
    assert count == len(shop.sandbox.requests)


def test_every_webhook_of_a_payment_is_accepted(shop: SandboxHub) -> None:
    """All webhooks of a Mollie payment have the same content, and each is accepted."""
    payment = shop.pay("ideal")
    shop.sandbox.visit(payment.ref.id)
    shop.refund(payment)
    first, second = shop.sandbox.sent

    assert first.body == second.body
    assert [payment.ref.id] * 2 == [event.ref.id for event in shop.webhook_events()]


def test_forged_webhook_changes_nothing(shop: SandboxHub) -> None:
    """A Mollie webhook needs the token; even with the token, it only causes a lookup."""
    payment = shop.pay("ideal")
    shop.sandbox.visit(payment.ref.id, "failed")
    notice = shop.sandbox.sent[-1]
    verifier = shop.hub.webhooks("main")
    strange: dict[str, Any] = {**notice.arguments(), "url": "https://shop.example/?token=guess"}
    with pytest.raises(WebhookRejected):
        verifier.verify(**strange)

    body = f"id={payment.ref.id}&status=paid".encode()
    forged_request: dict[str, Any] = {**notice.arguments(), "body": body}
    (event,) = shop.hub.events("main", verifier.verify(**forged_request)[0])
    assert PaymentState.FAILED == shop.payments.follow_up(event).state

    unknown_request: dict[str, Any] = {**notice.arguments(), "body": b"id=tr_unknown"}
    (event,) = shop.hub.events("main", verifier.verify(**unknown_request)[0])
    with pytest.raises(VendorRejected):
        shop.payments.follow_up(event)


def test_only_events_are_followed_up(shop: SandboxHub) -> None:
    """Following up a value that is not an event is refused, and the error names the argument."""
    with pytest.raises(InvalidData):
        shop.payments.follow_up("tr_1")  # type: ignore[arg-type]  # what is refused


def webhook(data: object, payload: object = None) -> WebhookEvent:
    """Return a Mollie webhook with the given content."""
    return WebhookEvent(
        vendor="mollie", id="event_1", type="x", vendor_type="x", data=data, payload=payload
    )


@pytest.mark.parametrize(
    "data, payload",
    [
        ({"id": "tr_1"}, {"id": "tr_1"}),
        ({"id": "tr_1"}, {"id": "event_1", "entityId": "tr_1"}),
        (None, {"id": "event_1", "entityId": "tr_1"}),
        ({"id": "re_1", "paymentId": "tr_1"}, {"id": "event_1", "entityId": "re_1"}),
    ],
    ids=["classic", "payment", "without data", "refund"],
)
def test_mollie_webhook_of_newer_kind_names_payment(data: object, payload: object) -> None:
    """A Mollie webhook of the newer kind names a payment, or contains it."""
    (event,) = Mollie().events(webhook(data, payload), ref)

    assert ("tr_1", True, "event_1") == (event.ref.id, event.ask, event.id)


def test_event_id_differs_from_the_payment_id() -> None:
    """A Mollie event's id differs from the payment's id."""
    fields = {"id": "tr_1"}
    result = WebhookEvent(
        vendor="mollie-classic", id="tr_1", type="x", vendor_type="x", data=fields, payload=fields
    )
    (event,) = Mollie().events(result, ref)

    assert (None, "tr_1") == (event.id, event.ref.id)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"id": "ord_1"},
        {"id": "pl_1"},
        {"id": ["tr_1"]},
        {"id": "tr_"},
        {"id": f"tr_{'x' * 65}"},
        {"id": "tr_1/../customers"},
    ],
    ids=str,
)
def test_mollie_webhooks_about_other_things_than_payments_give_no_events(data: object) -> None:
    """Mollie webhooks about things other than payments become no events."""
    assert () == Mollie().events(webhook(data, data), ref)
