"""Money that moves after a payment by Mollie: captured, let go, or given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.contracts.payments import (
    BuyerOutcome,
    DisputeState,
    Money,
    MoveState,
    PaymentState,
    RefundReason,
    advance,
    told_buyer,
)
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidData,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Lost, Slow, reply
from tests.vendors.mollie_shop import EUROS, PART, Shop, ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.openapi import Json


@pytest.fixture(name="shop")
def _shop() -> Iterator[Shop]:
    """A shop that takes payments by Mollie."""
    shop = Shop()
    with shop.hub:
        yield shop


# --- captures --------------------------------------------------------------


def test_partial_captures(shop: Shop) -> None:
    """A capture that is not the last leaves the rest; the last releases it."""
    held = shop.hold()
    assert held.authorized_until is not None
    first = shop.payments.capture(held.ref, PART, final=False, idempotency_key=shop.key())
    between = shop.payments.get(held.ref)
    last = shop.payments.capture(held.ref, Money("9.90", "EUR"), idempotency_key=shop.key())
    after = shop.payments.get(held.ref)

    assert MoveState.PENDING == first.state
    assert (PaymentState.PARTIALLY_CAPTURED, Money("49.90", "EUR")) == (
        between.state,
        between.remaining,
    )
    assert PaymentState.PARTIALLY_CAPTURED == after.state
    assert (Money("109.90", "EUR"), Money("0", "EUR")) == (after.captured, after.remaining)
    assert [first.ref.id, last.ref.id] == [capture.ref.id for capture in after.captures]
    assert ["POST captures", "POST release-authorization"] == [
        path for path in shop.paths()[2:] if path.startswith("POST")
    ]


def test_all_of_it_is_captured_at_once(shop: Shop) -> None:
    """Nothing is released where nothing is left, whether the amount is said or not."""
    for amount in (None, EUROS):
        held = shop.hold()
        capture = shop.payments.capture(held.ref, amount, idempotency_key=shop.key())

        assert "POST captures" == shop.paths()[-1]
        assert EUROS == capture.amount
        assert PaymentState.CAPTURED == shop.payments.get(held.ref).state


def test_the_last_part_leaves_nothing_to_release(shop: Shop) -> None:
    """A last capture of all that was left is done, though there is nothing to release."""
    held = shop.hold()
    shop.payments.capture(held.ref, PART, final=False, idempotency_key=shop.key())
    shop.payments.capture(held.ref, Money("49.90", "EUR"), idempotency_key=shop.key())

    assert "POST release-authorization" == shop.paths()[-1]
    assert PaymentState.CAPTURED == shop.payments.get(held.ref).state


def test_capture_with_a_lost_release_is_repeated(shop: Shop) -> None:
    """Repeating the key captures nothing twice, and releases the rest."""
    held, key = shop.hold(), shop.key()
    shop.sandbox.fail(Slow(0.0), Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(held.ref, PART, idempotency_key=key)
    for _ in range(2):
        capture = shop.payments.capture(held.ref, PART, idempotency_key=key)

        assert PART == capture.amount
    existing = shop.payments.get(held.ref)
    assert (PART, Money("0", "EUR")) == (existing.captured, existing.remaining)
    assert 1 == len(shop.sandbox.captures)


def test_more_than_was_set_aside_is_not_captured(shop: Shop) -> None:
    """No more is captured than was authorised, and a wrong credential gets nowhere."""
    held = shop.hold()
    with pytest.raises(VendorRejected):
        shop.payments.capture(held.ref, EUROS * 2, idempotency_key=shop.key())
    shop.sandbox.api_key = "test_other"
    with pytest.raises(AuthenticationFailed):
        shop.payments.get(held.ref)


# --- giving up -------------------------------------------------------------


def test_open_payment_is_cancelled(shop: Shop) -> None:
    """An unpaid payment can be cancelled."""
    payment = shop.pay("ideal")
    void = shop.payments.void(payment.ref, idempotency_key=shop.key())
    assert void.after is not None

    assert (MoveState.SUCCEEDED, PaymentState.VOIDED) == (void.state, void.after.state)


def test_lost_cancellation_is_repeated(shop: Shop) -> None:
    """A repeat after a lost answer learns that the payment was cancelled."""
    payment, key = shop.pay("ideal"), shop.key()
    shop.sandbox.fail(Slow(0.0), Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.void(payment.ref, idempotency_key=key)

    assert MoveState.SUCCEEDED == shop.payments.void(payment.ref, idempotency_key=key).state


def test_a_hold_is_released_a_little_later(shop: Shop) -> None:
    """To release what was authorised is asked for, and not done yet."""
    held = shop.hold()
    void = shop.payments.void(held.ref, idempotency_key=shop.key())

    assert (MoveState.PENDING, held.ref) == (void.state, void.payment)
    assert PaymentState.VOIDED == shop.payments.get(held.ref).state


def test_paid_payment_cannot_be_voided(shop: Shop) -> None:
    """A paid payment cannot be voided, and a repeat gets the same refusal."""
    payment, key = shop.pay(), shop.key()
    for _ in range(2):
        with pytest.raises(VendorRejected):
            shop.payments.void(payment.ref, idempotency_key=key)

    assert PaymentState.CAPTURED == shop.payments.get(payment.ref).state


def test_an_answer_that_is_no_end_is_unknown(shop: Shop) -> None:
    """A payment that was called off and is open still is neither."""
    payment = shop.pay("ideal")
    shop.sandbox.fail(reply({"status": 422}, 422), reply(shop.sandbox.payments[payment.ref.id]))

    assert MoveState.UNKNOWN == shop.payments.void(payment.ref, idempotency_key=shop.key()).state


# --- giving back -----------------------------------------------------------


def test_refund_without_an_amount_is_of_the_rest(shop: Shop) -> None:
    """A refund without an amount returns the rest, once per key."""
    payment = shop.pay()
    shop.refund(payment, PART)
    key = shop.key()
    rest = [shop.payments.refund(payment.ref, idempotency_key=key) for _ in range(2)]

    assert [Money("49.90", "EUR")] * 2 == [item.amount for item in rest]
    assert PaymentState.REFUNDED == shop.payments.get(payment.ref).state
    with pytest.raises(VendorRejected):
        shop.refund(payment)


def test_a_refund_says_why(shop: Shop) -> None:
    """The reason stays with us; the buyer, who may see the description, is not told."""
    shop.refund(shop.pay(), PART, reason=RefundReason.FRAUD)

    assert {"reason": "fraud"} == shop.sent()["metadata"]
    assert "fraud" not in shop.sent()["description"]


@pytest.mark.parametrize("success", [True, False])
def test_a_refund_takes_its_time(shop: Shop, success: bool) -> None:
    """A refund is under way until it has arrived, and may fail."""
    payment = shop.pay()
    refund = shop.refund(payment)
    shop.time += 60
    shop.sandbox.arrive_refund(refund.ref.id, success=success)
    later = shop.payments.get_refund(str(refund.ref))
    existing = advance(payment, shop.payments.get(payment.ref))

    assert MoveState.PENDING == refund.state
    assert (MoveState.SUCCEEDED if success else MoveState.FAILED) == later.state
    assert (PaymentState.REFUNDED if success else PaymentState.CAPTURED) == existing.state


def test_a_refund_is_found_by_its_payment(shop: Shop) -> None:
    """A refund's bare id does not lead to it, and nothing is asked."""
    with pytest.raises(InvalidData):
        shop.payments.get_refund("mollie:main:re_1")

    assert [] == shop.sandbox.asked


def test_duplicate_refund_is_refused(shop: Shop) -> None:
    """A refund that Mollie takes for a duplicate is refused."""
    payment = shop.pay()
    shop.sandbox.fail(reply({"status": 409, "detail": "Duplicate"}, 409))

    with pytest.raises(VendorRejected) as caught:
        shop.refund(payment, PART)

    assert 409 == caught.value.status
    assert "later" in (caught.value.remedy or "")


def test_a_chargeback_takes_the_money(shop: Shop) -> None:
    """A payment that was charged back is disputed, until that is reversed."""
    payment = shop.pay()
    shop.time += 60
    chargeback = shop.sandbox.charge_back(payment.ref.id)
    taken = shop.payments.disputes().items[0]
    existing = advance(payment, shop.payments.get(payment.ref))
    shop.time += 60
    shop.sandbox.reverse(chargeback)
    back = shop.payments.disputes().items[0]

    assert (DisputeState.LOST, EUROS, "AC01") == (taken.state, taken.amount, taken.reason)
    assert taken.payment == ref(payment.ref.id)
    assert PaymentState.DISPUTED == existing.state
    assert DisputeState.WON == back.state
    assert PaymentState.CAPTURED == advance(existing, shop.payments.get(payment.ref)).state


@pytest.mark.parametrize("operation", ["capture", "refund"])
@pytest.mark.parametrize("answer", [{}, [], {"id": "x"}, {"paymentId": "tr_1"}], ids=str)
def test_malformed_success_is_a_failure(shop: Shop, operation: str, answer: Json) -> None:
    """A success without the expected fields is a failure with unknown outcome."""
    payment = shop.hold()
    shop.sandbox.fail(reply(answer, 201))

    with pytest.raises(VendorFailed) as caught:
        getattr(shop.payments, operation)(payment.ref, EUROS, idempotency_key=shop.key())

    assert BuyerOutcome.UNKNOWN == told_buyer(caught.value).outcome
