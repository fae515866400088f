"""Stripe: payments, refunds, disputes and payouts in its sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.payments import (
    BuyerOutcome,
    DeclineReason,
    DisputeState,
    Money,
    MoveState,
    NextActionType,
    PaymentQuery,
    PaymentState,
    PayoutState,
    RefundReason,
    advance,
    buyer_notice,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.errors import InvalidData, PaymentDeclined, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import reply
from tests.vendors.stripe_account import EUROS, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Stripe."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def test_intent_is_left_to_the_browser(shop: SandboxHub) -> None:
    """A new Stripe intent waits for a payment method, and has the token that a browser needs."""
    payment = shop.payments.create_intent(order(None), idempotency_key="k")

    assert PaymentState.REQUIRES_PAYMENT_METHOD == payment.state
    assert payment.client_token
    assert payment.client_token not in repr(payment)
    assert "confirm" not in shop.sent_form()


def test_charge_needs_a_source(shop: SandboxHub) -> None:
    """A charge at Stripe without a source is refused."""
    with pytest.raises(InvalidData):
        shop.payments.charge(order(None), idempotency_key="k")


@pytest.mark.parametrize("existing", [b"x" * 2_001, b".."], ids=["long", "step"])
def test_invalid_id_is_an_unknown_outcome(shop: SandboxHub, existing: bytes) -> None:
    """If a Stripe success has an invalid id, the call fails and its outcome is unknown."""
    body = b'{"id": "%s", "status": "succeeded", "amount": 14990, "currency": "eur"}' % existing
    shop.sandbox.fail(Response(200, {"Content-Type": "application/json"}, body=body))

    with pytest.raises(VendorFailed) as excinfo:
        shop.payments.charge(order(), idempotency_key=shop.key())

    assert BuyerOutcome.UNKNOWN == buyer_notice(excinfo.value).outcome


def test_confirmed_payment_is_complete(shop: SandboxHub) -> None:
    """After the buyer has confirmed a Stripe payment, it is complete."""
    url = "https://shop.example/back"
    charge = order("pm_card_threeDSecure2Required", return_url=url)
    payment = shop.payments.charge(charge, idempotency_key="k")
    assert payment.next_action is not None
    assert NextActionType.REDIRECT == payment.next_action.type
    assert (payment.next_action.url or "").startswith("https://hooks.stripe.com/")
    shop.sandbox.authenticate(payment.ref.id)

    return_parameters = {"payment_intent": payment.ref.id, "redirect_status": "succeeded"}
    finished_payment = shop.payments.complete(payment.ref, return_parameters, idempotency_key="k/2")

    assert PaymentState.CAPTURED == finished_payment.state
    assert EUROS == finished_payment.captured


def test_unconfirmed_payment_fails(shop: SandboxHub) -> None:
    """If the buyer fails the bank's authentication, a Stripe payment is declined."""
    payment = shop.payments.charge(
        order("pm_card_authenticationRequired"), idempotency_key=shop.key()
    )
    assert payment.next_action is not None
    assert NextActionType.SDK == payment.next_action.type
    assert payment.client_token == payment.next_action.token
    shop.sandbox.authenticate(payment.ref.id, success=False)

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(payment.ref, idempotency_key=shop.key())

    assert DeclineReason.AUTHENTICATION_REQUIRED == excinfo.value.reason
    assert str(payment.ref) == excinfo.value.payment
    assert PaymentState.FAILED == shop.payment_after_events(payment).state


def test_return_from_another_payment(shop: SandboxHub) -> None:
    """If a buyer returns from another Stripe payment, this one is not completed."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())

    with pytest.raises(InvalidData):
        shop.payments.complete(payment.ref, {"payment_intent": "pi_x"}, idempotency_key=shop.key())


def test_intent_is_confirmed_when_it_is_completed(shop: SandboxHub) -> None:
    """Completing a Stripe intent with a payment method confirms the intent."""
    payment = shop.payments.create_intent(order(), idempotency_key=shop.key())
    assert "requires_confirmation" == payment.vendor_state

    payment_methods: dict[str, Any] = {"automatic_payment_methods": {"allow_redirects": "never"}}
    held_payment = shop.payments.create_intent(
        order(extra={"stripe": payment_methods}), idempotency_key=shop.key()
    )

    assert (
        PaymentState.CAPTURED
        == shop.payments.complete(held_payment.ref, idempotency_key=shop.key()).state
    )


def test_off_session_payment_that_needs_the_buyer_is_declined(shop: SandboxHub) -> None:
    """A Stripe payment that needs authentication while the buyer is absent is declined."""
    charge = order("pm_card_authenticationRequired", off_session=True)

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(charge, idempotency_key=shop.key())

    assert DeclineReason.AUTHENTICATION_REQUIRED == excinfo.value.reason
    assert (excinfo.value.payment or "").startswith("stripe:main:pi_")


def test_several_partial_captures(shop: SandboxHub) -> None:
    """Parts of a Stripe payment are captured in turn, and the final one releases the rest."""
    payment = shop.payments.authorize(order(), idempotency_key=shop.key())
    part = Money("50.00", "EUR")
    first = shop.payments.capture(payment.ref, part, final=False, idempotency_key=shop.key())
    assert first.after is not None
    second = shop.payments.capture(payment.ref, idempotency_key=shop.key())
    assert second.after is not None

    assert PaymentState.PARTIALLY_CAPTURED == first.after.state
    assert EUROS - part == first.after.remaining
    assert PaymentState.CAPTURED == second.after.state
    assert EUROS == second.after.captured


def test_voided_stripe_authorisation_has_state_voided(shop: SandboxHub) -> None:
    """A voided Stripe authorisation has the state voided, and nothing was refunded."""
    payment = shop.payments.authorize(order(), idempotency_key=shop.key())
    void = shop.payments.void(payment.ref, idempotency_key=shop.key())
    assert void.after is not None

    assert PaymentState.VOIDED == void.after.state
    assert Money("0", "EUR") == void.after.refunded
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.capture(payment.ref, idempotency_key=shop.key())
    assert "payment_intent_unexpected_state" == excinfo.value.vendor_code
    assert PaymentState.VOIDED == shop.payment_after_events(payment).state


def test_stripe_authorisation_has_its_expiry_time(shop: SandboxHub) -> None:
    """A Stripe authorisation has an expiry time, and expires if it is not captured."""
    payment = shop.payments.authorize(order(), idempotency_key=shop.key())
    assert payment.authorized_until is not None
    shop.sandbox.lapse(payment.ref.id)

    assert PaymentState.EXPIRED == shop.payments.get(payment.ref).state
    assert PaymentState.EXPIRED == shop.payment_after_events(payment).state
    assert any(
        event.vendor_type == "charge.expired" and event.state is PaymentState.EXPIRED
        for event in shop.webhook_events()
    )


def test_direct_debit_at_stripe_is_pending_until_money_arrives(shop: SandboxHub) -> None:
    """A direct debit at Stripe is pending until the money arrives."""
    payment = shop.payments.charge(order("pm_usBankAccount_success"), idempotency_key=shop.key())
    pending = shop.payments.settle([payment.ref])[0].unwrap()
    shop.sandbox.arrive(payment.ref.id)
    arrived_payment = shop.payments.settle([str(payment.ref)])[0].unwrap()

    assert PaymentState.PENDING == payment.state == pending.state
    assert PaymentState.CAPTURED == arrived_payment.state


@pytest.mark.parametrize("success", [True, False])
def test_stripe_refund_is_pending_until_money_arrives(shop: SandboxHub, success: bool) -> None:
    """A Stripe refund is pending until the money arrives, and may fail."""
    payment = shop.payments.charge(order("pm_card_pendingRefund"), idempotency_key=shop.key())
    refund = shop.payments.refund(
        payment.ref, reason=RefundReason.FRAUD, idempotency_key=shop.key()
    )
    assert "fraudulent" == shop.sent_form()["reason"]
    shop.sandbox.arrive_refund(refund.ref.id, success=success)
    later_refund = shop.payments.get_refund(refund.ref)

    assert MoveState.PENDING == refund.state
    assert (MoveState.SUCCEEDED if success else MoveState.FAILED) == later_refund.state
    assert success == (later_refund.reason is None)
    state = PaymentState.REFUNDED if success else PaymentState.CAPTURED
    assert state == shop.payments.get(payment.ref).state


def test_reason_that_stripe_does_not_know_is_left_out(shop: SandboxHub) -> None:
    """A refund's reason that Stripe does not know is not sent."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())
    shop.payments.refund(payment.ref, reason=RefundReason.OTHER, idempotency_key=shop.key())

    assert {"payment_intent": payment.ref.id} == shop.sent_form()


def test_missing_currency_is_looked_up(shop: SandboxHub) -> None:
    """If a Stripe reference has no currency, the currency is looked up."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())
    bare_ref = Ref("stripe", "main", payment.ref.id)

    with pytest.raises(InvalidData):
        shop.payments.refund(bare_ref, Money("1", "USD"), idempotency_key=shop.key())
    assert "GET" == shop.sandbox.requests[-1].method
    amount = Money("1", "EUR")
    assert amount == shop.payments.refund(bare_ref, amount, idempotency_key=shop.key()).amount


def test_payments_are_listed(shop: SandboxHub) -> None:
    """All Stripe payments are listed page by page, newest first."""
    refs = [shop.payments.charge(order(), idempotency_key=shop.key()).ref for _ in range(3)]
    now = datetime.now(UTC)
    query = PaymentQuery(limit=2, since=now - timedelta(hours=1), until=now + timedelta(hours=1))
    first = shop.payments.payments(query)
    second = shop.payments.payments(query, after=first.next)

    assert refs[::-1] == [item.ref for item in (*first.items, *second.items)]
    assert second.next is None
    assert first == shop.payments.payments(query, account="main")
    assert () == shop.payments.payments(PaymentQuery(until=now - timedelta(hours=1))).items


def test_unknown_account_is_refused(shop: SandboxHub) -> None:
    """Listing payments of an account that is not configured raises an error with its name."""
    with pytest.raises(InvalidData) as excinfo:
        shop.payments.payouts(account="other")

    assert "'other'" in str(excinfo.value)


def test_stripe_response_without_list_is_malformed(shop: SandboxHub) -> None:
    """A Stripe response without a list is malformed."""
    shop.sandbox.fail(reply({"data": None}))

    with pytest.raises(VendorFailed):
        shop.payments.disputes()


@pytest.mark.parametrize("answer", [reply({"id": "re_1"}), reply({"status": "pending"})])
def test_stripe_response_without_refund_is_malformed(shop: SandboxHub, answer: Response) -> None:
    """A Stripe response without a refund is malformed."""
    shop.sandbox.fail(answer)

    with pytest.raises(VendorFailed):
        shop.payments.get_refund("stripe:main:re_1")


def test_payment_has_its_previous_state_after_stripe_dispute_is_won(shop: SandboxHub) -> None:
    """After a Stripe dispute is won, the payment has its previous state."""
    payment = shop.payments.charge(order("pm_card_createDispute"), idempotency_key=shop.key())
    disputed_payment = shop.payment_after_events(payment)
    dispute = shop.payments.disputes().items[0]
    shop.sandbox.close_dispute(dispute.ref.id, "won")
    won_event = attrs.evolve(shop.webhook_events()[-1], at=datetime.now(UTC) + timedelta(hours=1))

    assert PaymentState.DISPUTED == disputed_payment.state
    assert DisputeState.NEEDS_RESPONSE == dispute.state
    assert payment.ref.id == (dispute.payment.id if dispute.payment else None)
    assert EUROS == dispute.amount
    assert dispute.respond_by is not None
    assert PaymentState.CAPTURED == advance(disputed_payment, won_event).state


def test_inquiry_is_not_a_dispute(shop: SandboxHub) -> None:
    """A bank's inquiry at Stripe takes no money back, so the payment is not disputed."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())
    shop.sandbox.dispute(payment.ref.id, "warning_needs_response")
    event = shop.webhook_events()[-1]

    assert event.dispute is not None
    assert DisputeState.INQUIRY == event.dispute.state
    assert PaymentState.CAPTURED == shop.payment_after_events(payment).state


def test_stripe_payouts_are_listed(shop: SandboxHub) -> None:
    """Stripe payouts are listed, and the event of a failed payout has the reason."""
    shop.sandbox.pay_out(10_000, "eur")
    shop.sandbox.pay_out(500, "jpy", "failed")
    failed_payout, moving_payout = shop.payments.payouts().items

    assert (PayoutState.IN_TRANSIT, Money("100.00", "EUR")) == (
        moving_payout.state,
        moving_payout.amount,
    )
    assert (PayoutState.FAILED, "account_closed") == (failed_payout.state, failed_payout.reason)
    assert [failed_payout.ref, moving_payout.ref] == [
        event.ref for event in reversed(shop.webhook_events())
    ]


def test_tenants_share_no_keys(shop: SandboxHub) -> None:
    """Two tenants' payments with the same key are separate at a shared Stripe account."""
    payments = [
        shop.hub.payments(tenant).charge(order(), idempotency_key="k-1")
        for tenant in (None, "one", "two", "one")
    ]

    assert payments[1] == payments[3]
    assert 3 == len({str(payment.ref) for payment in payments})
    assert "k-1" == shop.sandbox.requests[0].headers.get("idempotency-key")
