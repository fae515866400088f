"""Webhooks of Razorpay: events of payments, refunds, disputes and settlements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.contracts.payments import (
    DeclineReason,
    DisputeState,
    PaymentState,
    PayoutState,
    advance,
)
from tests.vendors.razorpay_account import PART, RUPEES, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Razorpay."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def test_events_of_a_payment(shop: SandboxHub) -> None:
    """Each event contains the payment, so that no look-up is needed."""
    authorization = shop.hold()
    shop.time += 60
    shop.payments.capture(authorization.ref, idempotency_key="c-1")
    shop.time += 60
    refund = shop.payments.refund(authorization.ref, PART, idempotency_key="r-1")
    authorized, captured, refunded = shop.webhook_events()

    assert ["payment.authorized", "payment.captured", "refund.processed"] == [
        event.vendor_type for event in (authorized, captured, refunded)
    ]
    assert [False, False, False] == [event.ask for event in (authorized, captured, refunded)]
    assert (PaymentState.AUTHORIZED, RUPEES * 0) == (authorized.state, authorized.captured)
    assert (PaymentState.CAPTURED, RUPEES, "INV-2041") == (
        captured.state,
        captured.captured,
        captured.reference,
    )
    assert refunded.refund is not None
    assert (PaymentState.PARTIALLY_REFUNDED, PART, refund.ref.id) == (
        refunded.state,
        refunded.refunded,
        refunded.refund.ref.id,
    )
    for events in ((authorized, captured, refunded), (refunded, captured, authorized)):
        payment = authorization
        for event in events:
            payment = advance(payment, event)
        assert (PaymentState.PARTIALLY_REFUNDED, PART) == (payment.state, payment.refunded)


def test_event_of_a_failed_payment(shop: SandboxHub) -> None:
    """The event of a failed payment has the reason of the decline."""
    intent = shop.payments.create_intent(order(source=None), idempotency_key="i-1")
    shop.sandbox.visit(intent.ref.id, reason="levitated")
    (event,) = shop.webhook_events()

    assert event.decline is not None
    assert (PaymentState.FAILED, DeclineReason.OTHER, "levitated") == (
        event.state,
        event.decline.reason,
        event.decline.vendor_code,
    )


@pytest.mark.parametrize(
    "status, state, payment_state",
    [
        ("open", DisputeState.NEEDS_RESPONSE, PaymentState.DISPUTED),
        ("under_review", DisputeState.UNDER_REVIEW, PaymentState.DISPUTED),
        ("won", DisputeState.WON, None),
        ("lost", DisputeState.LOST, PaymentState.DISPUTED),
        ("closed", DisputeState.CLOSED, None),
        ("levitated", DisputeState.UNKNOWN, None),
    ],
)
def test_events_of_a_dispute(
    shop: SandboxHub, status: str, state: DisputeState, payment_state: PaymentState | None
) -> None:
    """A payment counts as disputed while the buyer may still get the money back."""
    payment = shop.pay()
    shop.sandbox.dispute(payment.ref.id, status)
    event = shop.webhook_events()[-1]

    assert event.dispute is not None
    assert (state, payment_state, payment.ref.id, "INV-2041") == (
        event.dispute.state,
        event.state,
        event.ref.id,
        event.reference,
    )


def test_events_of_settlements_and_of_refunds_alone(shop: SandboxHub) -> None:
    """A settlement's event has the payout, and a refund's event names the payment."""
    payment = shop.pay()
    refund = shop.payments.refund(payment.ref, PART, idempotency_key="r-1")
    shop.sandbox.settle_balance()
    shop.sandbox._notify("refund.created", refund=shop.sandbox.refunds[refund.ref.id])  # noqa: SLF001 - no step sends it
    shop.sandbox._notify("invoice.paid", invoice={"id": "inv_1"})  # noqa: SLF001 - no step sends it
    *_, settled, refunded = shop.webhook_events()

    assert settled.payout is not None
    assert (PayoutState.PAID, RUPEES - PART) == (settled.payout.state, settled.payout.amount)
    assert refunded.refund is not None
    assert (payment.ref.id, refund.ref.id) == (refunded.ref.id, refunded.refund.ref.id)


def test_unknown_status_is_no_success(shop: SandboxHub) -> None:
    """A payment with an unknown status is UNKNOWN, and nothing is reported as captured."""
    payment = shop.pay()
    changed = shop.sandbox.payments[payment.ref.id] | {"status": "levitated"}
    shop.sandbox._notify("payment.levitated", payment=changed)  # noqa: SLF001 - no step sends it
    event = shop.webhook_events()[-1]

    assert (PaymentState.UNKNOWN, "levitated", None) == (
        event.state,
        event.vendor_state,
        event.captured,
    )
