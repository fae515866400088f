"""Checkout.com's webhooks as payment events."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.contracts.payments import MoveState, PaymentEvent, PaymentState
from moorage.domain.webhooks.events import WebhookEvent
from moorage.vendors.payments.checkout_com import CheckoutCom
from tests.vendors.checkout_com_account import EUROS, PART, Shop, ref

BALANCES = {
    "total_authorized": 14990,
    "total_voided": 0,
    "total_captured": 14990,
    "total_refunded": 0,
}


def events_of(kind: str, **fields: Any) -> tuple[PaymentEvent, ...]:
    """Return the events of a webhook of this type."""
    data = {
        "id": "pay_1",
        "action_id": "act_1",
        "amount": 14990,
        "currency": "EUR",
        "response_code": "10000",
        "response_summary": "Approved",
        "balances": BALANCES,
        **fields,
    }
    event = WebhookEvent(
        id="evt_1",
        vendor="checkout-com",
        vendor_type=kind,
        type=kind,
        data=data,
        payload={"data": data},
    )
    return CheckoutCom().events(event, ref)


def test_capture_is_told_with_the_totals() -> None:
    """The webhook of a capture has the capture, the totals and the state."""
    (event,) = events_of("payment_captured")

    assert (PaymentState.CAPTURED, EUROS, EUROS) == (event.state, event.captured, event.authorized)
    assert event.capture is not None
    assert ("act_1", MoveState.SUCCEEDED, EUROS) == (
        event.capture.ref.id,
        event.capture.state,
        event.capture.amount,
    )
    assert not event.ask


def test_part_captured() -> None:
    """A capture of a part leaves the payment partially captured."""
    balances = {**BALANCES, "total_captured": 10000, "total_voided": 4990}
    (event,) = events_of("payment_captured", amount=10000, balances=balances)

    assert (PaymentState.PARTIALLY_CAPTURED, PART, PART) == (
        event.state,
        event.captured,
        event.authorized,
    )


def test_failed_capture() -> None:
    """A capture that was declined has the reason, and changes no state."""
    balances = {**BALANCES, "total_captured": 0}
    (event,) = events_of(
        "payment_capture_declined",
        balances=balances,
        response_code="20006",
        response_summary="Error",
    )

    assert event.state is None
    assert event.capture is not None
    assert (MoveState.FAILED, "Error") == (event.capture.state, event.capture.reason)


@pytest.mark.parametrize(
    "captured, code, state",
    [
        (0, "10000", PaymentState.VOIDED),
        (10000, "10000", PaymentState.PARTIALLY_CAPTURED),
        (0, "20005", None),
    ],
)
def test_void(captured: int, code: str, state: PaymentState | None) -> None:
    """A void ends the payment only if nothing was captured, and only with an approval."""
    balances = {**BALANCES, "total_captured": captured}
    (event,) = events_of("payment_voided", balances=balances, response_code=code)
    assert state == event.state


def test_approval_with_another_code_is_none() -> None:
    """An approval whose response code is not one of approvals changes no state."""
    (event,) = events_of("payment_approved", response_code="20005")
    assert (None, None) == (event.state, event.authorized)


@pytest.mark.parametrize(
    "kind, fields",
    [
        ("payment_captured", {"balances": {}}),
        ("payment_captured", {"action_id": None}),
        ("payment_captured", {"response_code": None}),
        ("payment_declined", {}),
        ("payment_levitated", {}),
    ],
)
def test_webhook_that_says_too_little_asks(kind: str, fields: dict[str, Any]) -> None:
    """A webhook without its totals, or of another type, asks for the payment."""
    (event,) = events_of(kind, **fields)
    assert (True, None, "pay_1") == (event.ask, event.state, event.ref.id)


@pytest.mark.parametrize("key", [None, "dsp_1"])
def test_webhook_of_something_else_is_no_event(key: str | None) -> None:
    """A webhook that is not about a payment gives no event."""
    assert () == events_of("dispute_lost", id=key)


def test_expired_payment_is_followed_up() -> None:
    """The event of a payment that was declined after the buyer's return is read by follow_up."""
    shop = Shop()
    with shop.hub:
        payment = shop.hold("ideal")
        shop.sandbox.visit(payment.ref.id, code="20005")
        (event,) = shop.webhook_events()
        result = shop.payments.follow_up(event)
    assert (True, PaymentState.FAILED) == (event.ask, result.state)
