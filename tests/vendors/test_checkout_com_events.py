"""Checkout.com's webhooks, and the payment events that they become."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage.contracts.payments import (
    Decline,
    DeclineReason,
    DisputeState,
    Money,
    MoveState,
    Payment,
    PaymentEvent,
    PaymentState,
    advance,
)
from moorage.domain.http.requests import Request
from moorage.domain.webhooks.events import WebhookEvent
from moorage.vendor_sdk import evolve
from moorage.vendors.payments.checkout_com import CheckoutCom
from tests.vendors.checkout_com_account import EUROS, PART, SandboxHub, ref

BALANCES = {
    "total_authorized": 14990,
    "total_voided": 0,
    "total_captured": 14990,
    "total_refunded": 0,
}


def events_of(kind: str, **fields: Any) -> tuple[PaymentEvent, ...]:
    """Return the events of a webhook of the given type."""
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


def test_capture_event_has_the_totals() -> None:
    """The event of a capture contains the captured amount, and the payment's totals and state."""
    (event,) = events_of("payment_captured")

    assert (PaymentState.CAPTURED, EUROS, EUROS) == (event.state, event.captured, event.authorized)
    assert event.capture is not None
    assert ("act_1", MoveState.SUCCEEDED, EUROS) == (
        event.capture.ref.id,
        event.capture.state,
        event.capture.amount,
    )
    assert not event.ask


def test_refund_event_has_its_state() -> None:
    """The event of a refund contains the refund, which has succeeded."""
    (event,) = events_of("payment_refunded")

    assert event.refund is not None
    assert ("act_1", MoveState.SUCCEEDED, EUROS) == (
        event.refund.ref.id,
        event.refund.state,
        event.refund.amount,
    )


def test_totals_are_in_the_currency_of_the_payment() -> None:
    """A webhook's totals and capture are read in the payment's currency, such as yen."""
    balances = {**BALANCES, "total_authorized": 500, "total_captured": 500, "total_refunded": 1}
    (event,) = events_of(
        "payment_captured",
        amount=500,
        currency="JPY",
        balances=balances,
        processed_on="2031-05-06T07:08:09Z",
    )

    assert ["JPY"] * 3 == [
        money and money.currency for money in (event.authorized, event.captured, event.refunded)
    ]
    assert event.capture is not None
    assert (Money("500", "JPY"), datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)) == (
        event.capture.amount,
        event.capture.at,
    )


def test_after_partial_capture_payment_is_partially_captured() -> None:
    """After a partial capture the payment is partially captured."""
    balances = {**BALANCES, "total_captured": 10000, "total_voided": 4990}
    (event,) = events_of("payment_captured", amount=10000, balances=balances)

    assert (PaymentState.PARTIALLY_CAPTURED, PART, PART) == (
        event.state,
        event.captured,
        event.authorized,
    )


def test_event_of_declined_capture_has_reason() -> None:
    """The event of a declined capture has the reason, and changes no state."""
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


def test_event_of_declined_refund_has_reason() -> None:
    """A declined refund, which was pending before, fails, and the payment stays captured."""
    [event] = events_of(
        "payment_refund_declined",
        response_code="20006",
        response_summary="Error / Invalid Request Parameters",
    )
    assert event.refund is not None
    pending = evolve(event.refund, state=MoveState.PENDING, reason=None)
    payment = Payment(
        ref=ref("pay_1"),
        state=PaymentState.CAPTURED,
        amount=EUROS,
        captured=EUROS,
        refunds=(pending,),
    )
    later_payment = advance(payment, event)

    assert (MoveState.FAILED, "act_1", EUROS) == (
        event.refund.state,
        event.refund.ref.id,
        event.refund.amount,
    )
    assert "Error / Invalid Request Parameters" == event.refund.reason
    assert (PaymentState.CAPTURED, (MoveState.FAILED,)) == (
        later_payment.state,
        tuple(refund.state for refund in later_payment.refunds),
    )


@pytest.mark.parametrize(
    "captured, code, state",
    [
        (0, "10000", PaymentState.VOIDED),
        (10000, "10000", PaymentState.PARTIALLY_CAPTURED),
        (0, "20005", None),
    ],
)
def test_void_ends_an_uncaptured_payment(
    captured: int, code: str, state: PaymentState | None
) -> None:
    """A void ends the payment only if it was approved and nothing was captured."""
    balances = {**BALANCES, "total_captured": captured}
    (event,) = events_of("payment_voided", balances=balances, response_code=code)
    assert state == event.state


def test_decline_has_its_reason() -> None:
    """The event of a declined payment has the decline's reason and the payment's reference."""
    (event,) = events_of(
        "payment_declined", response_code="20051", response_summary="Funds", reference="INV-1"
    )
    assert (PaymentState.FAILED, EUROS, "INV-1") == (event.state, event.amount, event.reference)
    decline = Decline(
        reason=DeclineReason.INSUFFICIENT_FUNDS, vendor_code="20051", vendor_message="Funds"
    )
    assert decline == event.decline


@pytest.mark.parametrize(
    "kind, state, is_taken",
    [
        ("dispute_evidence_required", DisputeState.NEEDS_RESPONSE, True),
        ("dispute_evidence_submitted", DisputeState.UNDER_REVIEW, True),
        ("dispute_evidence_acknowledged_by_scheme", DisputeState.UNDER_REVIEW, True),
        ("dispute_arbitration_evidence_submitted", DisputeState.UNDER_REVIEW, True),
        ("dispute_accepted", DisputeState.ACCEPTED, True),
        ("dispute_expired", DisputeState.LOST, True),
        ("dispute_arbitration_lost", DisputeState.LOST, True),
        ("dispute_arbitration_won", DisputeState.WON, False),
        ("dispute_canceled", DisputeState.WON, False),
        ("dispute_lost", DisputeState.LOST, True),
        ("dispute_won", DisputeState.WON, False),
        ("dispute_resolved", DisputeState.CLOSED, False),
        ("dispute_levitated", DisputeState.UNKNOWN, False),
    ],
)
def test_dispute_webhook_names_its_payment(
    kind: str, state: DisputeState, *, is_taken: bool
) -> None:
    """A dispute's event has its payment, which is disputed only while its money is withdrawn."""
    (event,) = events_of(
        kind,
        id="dsp_1",
        payment_id="pay_1",
        reason_code="10.4",
        payment_reference="INV-1",
        evidence_required_by="2030-10-31T18:00:00+00:00",
    )
    assert event.dispute is not None
    assert (state, kind, EUROS, "10.4", "dsp_1") == (
        event.dispute.state,
        event.dispute.vendor_state,
        event.dispute.amount,
        event.dispute.reason,
        event.dispute.ref.id,
    )
    assert datetime(2030, 10, 31, 18, tzinfo=UTC) == event.dispute.respond_by
    expected = PaymentState.DISPUTED if is_taken else None
    assert (expected, "pay_1", "INV-1", "evt_1") == (
        event.state,
        event.ref.id,
        event.reference,
        event.id,
    )


def test_payment_is_captured_again_after_its_dispute_is_won() -> None:
    """A payment is disputed once the dispute begins, and captured again after it is won."""
    shop = SandboxHub()
    with shop.hub:
        payment = shop.pay()
        shop.sandbox.settle()
        states = []
        for status in ("evidence_required", "won"):
            shop.time += 60
            shop.sandbox.dispute(payment.ref.id, status)
            for event in shop.webhook_events():
                payment = advance(payment, event)
            states.append(payment.state)
    assert [PaymentState.DISPUTED, PaymentState.CAPTURED] == states


@pytest.mark.parametrize("path", ["accept", "evidence"])
def test_sandbox_sends_a_webhook_for_a_response_to_a_dispute(path: str) -> None:
    """The sandbox sends a webhook when a dispute is accepted, or its evidence is submitted."""
    shop = SandboxHub()
    with shop.hub:
        payment = shop.pay()
        shop.sandbox.settle()
        dispute = shop.sandbox.dispute(payment.ref.id)
        shop.sandbox.evidence[dispute["id"]] = {"customer_signature": "file_1"}
        request = Request.post(f"/disputes/{dispute['id']}/{path}")
        shop.hub.manager.call("main", request, idempotency_key="d-1")
        *_, event = shop.webhook_events()
    assert event.dispute is not None
    expected = {"accept": DisputeState.ACCEPTED, "evidence": DisputeState.UNDER_REVIEW}
    assert (expected[path], PaymentState.DISPUTED) == (event.dispute.state, event.state)


@pytest.mark.parametrize(
    "kind, fields",
    [
        ("payment_captured", {"balances": {}}),
        ("payment_captured", {"action_id": None}),
        ("payment_captured", {"response_code": None}),
        ("payment_declined", {}),
        ("payment_approved", {"response_code": "20005"}),
        ("payment_levitated", {}),
    ],
)
def test_event_of_incomplete_webhook_requires_a_look_up(kind: str, fields: dict[str, Any]) -> None:
    """A webhook without totals, or of another type, gives an event that requires a look-up."""
    (event,) = events_of(kind, **fields)
    assert (True, None, "pay_1") == (event.ask, event.state, event.ref.id)


@pytest.mark.parametrize("key", [None, "dsp_1", "sub_1"])
def test_webhook_without_a_payment_id_gives_no_event(key: str | None) -> None:
    """A webhook that contains no payment id gives no event."""
    assert () == events_of("dispute_lost", id=key)


def test_event_of_payment_declined_after_return_has_state_failed() -> None:
    """If a payment is declined after the buyer's return, its event has the state failed."""
    shop = SandboxHub()
    with shop.hub:
        payment = shop.hold("ideal")
        shop.sandbox.visit(payment.ref.id, code="20005")
        (event,) = shop.webhook_events()
        result = shop.payments.follow_up(event)
    assert (PaymentState.FAILED, PaymentState.FAILED) == (event.state, result.state)
