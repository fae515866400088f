"""Webhooks of Adyen, called notifications there."""

from __future__ import annotations

import pytest

from moorage.contracts.payments import (
    DisputeState,
    Money,
    MoveState,
    PaymentState,
    advance,
)
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    ConnectorError,
    InvalidData,
)
from moorage.vendors.payments._adyen_events import read_events
from tests.vendors.adyen_account import EUR_149, IDEAL, Json, SandboxHub, charge
from tests.vendors.square_account import ref


@pytest.fixture
def shop() -> SandboxHub:
    """Return a hub with an account at a new Adyen sandbox."""
    return SandboxHub()


@pytest.fixture
def psp(shop: SandboxHub) -> str:
    """Return Adyen's own reference to a captured payment."""
    return shop.payments.charge(charge(), idempotency_key="k-1").ref.id


@pytest.mark.parametrize(
    "event, success, state",
    [
        ("CAPTURE", True, MoveState.SUCCEEDED),
        ("CAPTURE", False, MoveState.FAILED),
        ("CAPTURE_FAILED", True, MoveState.FAILED),
    ],
)
def test_capture_may_fail_later(
    shop: SandboxHub, psp: str, event: str, success: Json, state: MoveState
) -> None:
    """An Adyen event reports a capture that fails later."""
    events = shop.apply_event(event, psp, by="SBX9", success=success, reason="why", value=100)
    assert events.capture is not None
    assert (state, "SBX9", psp, Money("1.00", "EUR"), event) == (
        events.capture.state,
        events.capture.ref.id,
        events.ref.id,
        events.capture.amount,
        events.vendor_type,
    )
    assert ("why" if state is MoveState.FAILED else None) == events.capture.reason


@pytest.mark.parametrize(
    "event, success, state",
    [
        ("REFUND", True, MoveState.SUCCEEDED),
        ("REFUND", False, MoveState.FAILED),
        ("REFUND_WITH_DATA", True, MoveState.SUCCEEDED),
        ("REFUND_FAILED", True, MoveState.FAILED),
        ("REFUNDED_REVERSED", True, MoveState.FAILED),
        ("VOID_PENDING_REFUND", True, MoveState.CANCELED),
    ],
)
def test_refund_may_fail_later(
    shop: SandboxHub, psp: str, event: str, success: Json, state: MoveState
) -> None:
    """An Adyen event reports a refund that fails later."""
    events = shop.apply_event(event, psp, by="SBX9", success=success)
    assert events.refund is not None
    assert state == events.refund.state


def test_failed_refund_is_undone(shop: SandboxHub) -> None:
    """A refund that fails later at Adyen no longer counts as refunded."""
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    refund = shop.payments.refund(payment.ref, idempotency_key="k-2")
    for events in shop.webhook_events():
        payment = advance(payment, events)
    assert PaymentState.REFUNDED == payment.state
    failed_event = shop.apply_event("REFUND_FAILED", payment.ref.id, by=refund.ref.id)
    assert (PaymentState.CAPTURED, EUR_149 * 0) == (
        advance(payment, failed_event).state,
        advance(payment, failed_event).refunded,
    )


@pytest.mark.parametrize(
    "event, fields, state",
    [
        ("CANCELLATION", {}, PaymentState.VOIDED),
        ("CANCELLATION", {"success": False}, None),
        ("EXPIRE", {}, PaymentState.EXPIRED),
        ("CANCEL_OR_REFUND", {"modification.action": "cancel"}, PaymentState.VOIDED),
        ("AUTHORISATION_ADJUSTMENT", {}, PaymentState.AUTHORIZED),
        ("AUTHORISATION_ADJUSTMENT", {"success": False}, None),
        ("AUTHORISATION_LEVITATION", {}, None),
    ],
    ids=["void", "no-void", "expiry", "reversal", "more", "no-more", "new"],
)
def test_payment_events_have_states(
    shop: SandboxHub, psp: str, event: str, fields: Json, state: Json
) -> None:
    """Each kind of Adyen event gives the payment the corresponding state."""
    events = shop.apply_event(event, psp, by="SBX9", **fields)
    assert (state, event, psp) == (events.state, events.vendor_type, events.ref.id)


def test_reversal_may_be_a_refund(shop: SandboxHub, psp: str) -> None:
    """Adyen's reversal of a captured payment is read as a refund."""
    action = {"modification.action": "refund"}
    events = shop.apply_event("CANCEL_OR_REFUND", psp, by="SBX9", **action)
    assert events.refund is not None
    assert MoveState.SUCCEEDED == events.refund.state


@pytest.mark.parametrize(
    "event, status, state, payment",
    [
        ("REQUEST_FOR_INFORMATION", None, DisputeState.INQUIRY, None),
        ("NOTIFICATION_OF_CHARGEBACK", "Undefended", DisputeState.NEEDS_RESPONSE, None),
        ("CHARGEBACK", None, DisputeState.NEEDS_RESPONSE, PaymentState.DISPUTED),
        ("CHARGEBACK", "Lost", DisputeState.LOST, PaymentState.DISPUTED),
        ("INFORMATION_SUPPLIED", "Pending", DisputeState.UNDER_REVIEW, None),
        ("CHARGEBACK_REVERSED", None, DisputeState.WON, None),
        ("SECOND_CHARGEBACK", None, DisputeState.LOST, PaymentState.DISPUTED),
        ("PREARBITRATION_WON", "Won", DisputeState.WON, None),
        ("PREARBITRATION_LOST", "Strange", DisputeState.LOST, None),
    ],
)
def test_chargebacks_are_disputes(
    shop: SandboxHub, event: str, status: str | None, state: Json, payment: Json
) -> None:
    """All kinds of Adyen chargebacks become disputes, with reason and deadline."""
    psp = shop.payments.charge(charge(), idempotency_key="k-1").ref.id
    dispute_data = {} if status is None else {"disputeStatus": status}
    dispute_data |= {
        "chargebackReasonCode": "10.4",
        "defensePeriodEndsAt": "2026-07-31T03:03:08+02:00",
    }
    events = shop.apply_event(event, psp, by="SBX9", **dispute_data)
    assert events.dispute is not None
    assert (state, payment, "10.4", "SBX9") == (
        events.dispute.state,
        events.state,
        events.dispute.reason,
        events.dispute.ref.id,
    )
    assert events.dispute.respond_by is not None
    assert (psp, 1) == (getattr(events.dispute.payment, "id", None), events.dispute.respond_by.hour)
    assert events.reference == "INV-2041"


@pytest.mark.parametrize(
    "event, status, state",
    [
        ("REQUEST_FOR_INFORMATION", "Undefended", DisputeState.NEEDS_RESPONSE),
        ("NOTIFICATION_OF_CHARGEBACK", "Unresponded", DisputeState.INQUIRY),
        ("NOTIFICATION_OF_CHARGEBACK", "Responded", DisputeState.UNDER_REVIEW),
        ("NOTIFICATION_OF_CHARGEBACK", "Pending", DisputeState.UNDER_REVIEW),
        ("NOTIFICATION_OF_CHARGEBACK", "Accepted", DisputeState.ACCEPTED),
        ("NOTIFICATION_OF_CHARGEBACK", "Expired", DisputeState.LOST),
        ("NOTIFICATION_OF_CHARGEBACK", "Lost", DisputeState.LOST),
        ("NOTIFICATION_OF_CHARGEBACK", "Won", DisputeState.WON),
    ],
)
def test_dispute_status_takes_precedence_over_event_code(
    shop: SandboxHub, psp: str, event: str, status: str, state: DisputeState
) -> None:
    """Each status of Adyen's webhooks for disputes decides the state, whatever the event's code."""
    dispute = shop.apply_event(event, psp, by="SBX9", disputeStatus=status).dispute
    assert dispute is not None
    assert (state, status) == (dispute.state, dispute.vendor_state)


def test_event_names_its_payment_and_currency() -> None:
    """The payment reference in an Adyen event contains the event's currency."""
    item = {
        "pspReference": "SBX9",
        "originalReference": "SBX1",
        "success": "true",
        "amount": {"value": 100, "currency": "USD"},
    }
    event = WebhookEvent(vendor="adyen", id="e", type="x", vendor_type="CAPTURE", data=item)
    (payment_event,) = read_events(event, ref, once=True)
    assert ref("SBX1", currency="USD") == payment_event.ref


def test_dispute_without_a_payment(shop: SandboxHub, psp: str) -> None:
    """An Adyen dispute is reported even if it does not name its payment."""
    events = shop.apply_event("SECOND_CHARGEBACK", psp, reason="why")
    assert events.dispute is not None
    assert (None, None, "why") == (events.state, events.dispute.payment, events.dispute.reason)


def test_adyen_notification_about_report_gives_no_payment_event(shop: SandboxHub, psp: str) -> None:
    """An Adyen notification about a report gives no payment event."""
    assert [] == shop.webhook_events(shop.sandbox.apply_event("REPORT_AVAILABLE", psp))


def test_late_authorisation_event_does_not_undo_the_capture(shop: SandboxHub) -> None:
    """An Adyen authorisation event that arrives after the capture does not undo the capture."""
    payment = shop.payments.authorize(charge(), idempotency_key="k-1")
    shop.payments.capture(payment.ref, idempotency_key="k-2")
    authorised_event, captured = shop.webhook_events()
    payment = advance(advance(payment, captured), authorised_event)
    assert (PaymentState.CAPTURED, EUR_149) == (payment.state, payment.captured)


def test_forged_notification_is_refused(shop: SandboxHub, psp: str) -> None:
    """An Adyen notification that is signed with another key is refused."""
    shop.sandbox.hmac_key = "55" * 32
    with pytest.raises(ConnectorError):
        shop.apply_event("REFUND", psp)


def test_dispute_that_is_won_gives_the_payment_back(shop: SandboxHub) -> None:
    """After an Adyen dispute is won, the payment has the state from before the dispute."""
    payment = shop.payments.charge(charge(), idempotency_key="k-1")
    lost_payment = advance(payment, shop.apply_event("CHARGEBACK", payment.ref.id, by="SBX9"))
    won_payment = advance(
        lost_payment, shop.apply_event("CHARGEBACK_REVERSED", payment.ref.id, by="SBX9")
    )
    assert (PaymentState.DISPUTED, PaymentState.CAPTURED) == (lost_payment.state, won_payment.state)


def test_event_names_the_payment_of_a_buyer_who_did_not_return(shop: SandboxHub) -> None:
    """If the buyer never returned to us, Adyen's event identifies the payment by our reference."""
    payment = shop.payments.charge(charge(IDEAL), idempotency_key="k-1")
    (psp,) = shop.sandbox.payments
    shop.sandbox.buyer_returns(psp)
    shop.sandbox.payments[psp].authorised = EUR_149.minor
    paid_payment = advance(payment, shop.apply_event("AUTHORISATION", psp))
    assert (PaymentState.CAPTURED, psp, EUR_149) == (
        paid_payment.state,
        paid_payment.ref.id,
        paid_payment.captured,
    )
    assert None is paid_payment.ref.other("unnamed")


def test_event_of_another_payment_is_refused(shop: SandboxHub) -> None:
    """An Adyen event of another payment is refused, even by a payment that has no id yet."""
    unnamed_payment = shop.payments.charge(charge(IDEAL, reference="A"), idempotency_key="k-1")
    shop.payments.charge(charge(reference="B"), idempotency_key="k-2")
    (events,) = shop.webhook_events()
    with pytest.raises(InvalidData):
        advance(unnamed_payment, events)


@pytest.mark.parametrize("several, left", [(False, "0.00"), (True, "49.90")])
def test_rest_can_be_captured_only_if_several_captures_are_allowed(
    several: Json, left: str
) -> None:
    """At Adyen the rest of a payment can be captured only if several captures are allowed."""
    shop = SandboxHub(multiple_captures=several)
    payment = shop.payments.authorize(charge(), idempotency_key="k-1")
    shop.payments.capture(payment.ref, Money("100", "EUR"), idempotency_key="k-2")
    for events in shop.webhook_events():
        payment = advance(payment, events)
    assert (PaymentState.PARTIALLY_CAPTURED, Money(left, "EUR")) == (
        payment.state,
        payment.remaining,
    )
