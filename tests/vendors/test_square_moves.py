"""Money that moves after a payment by Square: captured, let go, or given back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from moorage.contracts.payments import (
    BuyerOutcome,
    Money,
    MoveState,
    PaymentState,
    RefundReason,
    told_buyer,
)
from moorage.domain.resilience.retry import RetryPolicy
from moorage.errors import (
    ConnectionFailed,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Lost, Slow, reply
from tests.vendors.square_shop import EUROS, PART, Shop, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.openapi import Json


@pytest.fixture(name="shop")
def _shop() -> Iterator[Shop]:
    """A shop that takes payments by Square."""
    shop = Shop()
    with shop.hub:
        yield shop


# --- captures --------------------------------------------------------------


def test_all_of_it_is_captured(shop: Shop) -> None:
    """All that was set aside is taken, whether the amount is said or not."""
    for amount in (None, EUROS):
        held = shop.hold()
        assert held.authorized_until is not None
        capture = shop.payments.capture(held.ref, amount, idempotency_key=shop.key())

        assert (MoveState.SUCCEEDED, EUROS) == (capture.state, capture.amount)
        assert {} == shop.sent()
        assert capture.after is not None
        assert PaymentState.CAPTURED == capture.after.state


def test_a_part_is_set_first(shop: Shop) -> None:
    """The payment is changed to the part, and then completed."""
    held = shop.hold()
    shop.payments.capture(held.ref, PART, idempotency_key=shop.key())

    assert ["POST", "GET", "PUT", "POST"] == [request.method for request in shop.sandbox.asked]
    assert {"amount_money": {"amount": 10000, "currency": "EUR"}} == (
        json.loads(shop.sandbox.asked[2].body)["payment"]
    )
    existing = shop.payments.get(held.ref)
    assert (EUROS, PART, Money("0", "EUR")) == (
        existing.amount,
        existing.captured,
        existing.remaining,
    )


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_capture_whose_answer_was_lost_is_done_once(shop: Shop, lost: int) -> None:
    """Whichever answer was lost, a repeated capture happens once."""
    held, key = shop.hold(), shop.key()
    shop.sandbox.fail(*[Slow(0.0)] * (lost - 1), Lost())
    with pytest.raises(ConnectionFailed) as caught:
        shop.payments.capture(held.ref, PART, idempotency_key=key)
    assert BuyerOutcome.NOT_ATTEMPTED != told_buyer(caught.value).outcome
    for _ in range(2):
        capture = shop.payments.capture(held.ref, PART, idempotency_key=key)

        assert (MoveState.SUCCEEDED, PART) == (capture.state, capture.amount)


def test_lost_answer_is_retried_within_the_call() -> None:
    """A repeatable request is repeated within the call."""
    shop = Shop(retry=RetryPolicy(max_attempts=2, base_delay=0))
    with shop.hub:
        shop.sandbox.fail(Lost())
        held = shop.hold()
        shop.sandbox.fail(Slow(0.0), Lost())
        capture = shop.payments.capture(held.ref, idempotency_key=shop.key())
        shop.sandbox.fail(Lost())
        refund = shop.refund(held, PART)

    assert 1 == len(shop.sandbox.payments)
    assert MoveState.SUCCEEDED == capture.state
    assert [refund.ref.id] == list(shop.sandbox.refunds)


def test_nothing_is_captured_twice(shop: Shop) -> None:
    """Another key captures nothing that was captured, and neither does another amount."""
    held = shop.hold()
    shop.payments.capture(held.ref, idempotency_key=shop.key())

    for amount in (None, EUROS, PART):
        with pytest.raises(VendorRejected):
            shop.payments.capture(held.ref, amount, idempotency_key=shop.key())


def test_capture_of_a_payment_completed_elsewhere_is_refused(shop: Shop) -> None:
    """A payment completed meanwhile with another amount is refused."""
    held, key = shop.hold(), shop.key()
    shop.sandbox.fail(Slow(0.0), ConnectionFailed("Nobody is there."))
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(held.ref, idempotency_key=key)
    shop.payments.capture(held.ref, PART, idempotency_key=shop.key())

    with pytest.raises(VendorRejected):
        shop.payments.capture(held.ref, idempotency_key=key)


# --- giving up -------------------------------------------------------------


def test_voiding_twice_changes_nothing(shop: Shop) -> None:
    """A voided payment stays voided; a captured one is refused."""
    held = shop.hold()
    void = shop.payments.void(held.ref, idempotency_key=shop.key())
    again = shop.payments.void(held.ref, idempotency_key=shop.key())
    assert void.after is not None

    assert (MoveState.SUCCEEDED, PaymentState.VOIDED) == (void.state, void.after.state)
    assert void == again
    assert b"" == shop.sandbox.asked[1].body
    with pytest.raises(VendorRejected):
        shop.payments.void(shop.pay().ref, idempotency_key=shop.key())


@pytest.mark.parametrize("verb", ["capture", "void"])
def test_an_answer_that_is_no_end_is_unknown(shop: Shop, verb: str) -> None:
    """A payment that is neither completed nor cancelled after all is neither."""
    held = shop.hold()
    before = [Slow(0.0)] if verb == "capture" else []
    shop.sandbox.fail(*before, reply({"payment": shop.sandbox.payments[held.ref.id]}))
    done = getattr(shop.payments, verb)(held.ref, idempotency_key=shop.key())

    assert MoveState.UNKNOWN == done.state


# --- giving back -----------------------------------------------------------


@pytest.mark.parametrize("success", [True, False])
def test_a_refund_takes_its_time(shop: Shop, success: bool) -> None:
    """A refund is under way until it has arrived, and may fail."""
    payment = shop.pay()
    refund = shop.refund(payment, PART, reason=RefundReason.REQUESTED_BY_CUSTOMER)
    assert "requested by customer" == shop.sent()["reason"]
    shop.time += 60
    shop.sandbox.settle(success=success)
    later = shop.payments.get_refund(refund.ref)

    assert (MoveState.PENDING, payment.ref) == (refund.state, refund.payment)
    assert (MoveState.SUCCEEDED if success else MoveState.FAILED) == later.state
    existing = shop.payments.get(payment.ref)
    assert (PART if success else Money("0", "EUR")) == existing.refunded
    result = shop.told(payment)
    assert (existing.state, existing.refunded) == (result.state, result.refunded)


def test_refund_without_an_amount_is_of_the_rest(shop: Shop) -> None:
    """A refund without an amount returns the rest, once per key."""
    payment = shop.pay()
    shop.refund(payment, PART)
    shop.sandbox.settle()
    key = shop.key()
    rest = [shop.payments.refund(payment.ref, idempotency_key=key) for _ in range(2)]
    shop.sandbox.settle()

    assert [Money("49.90", "EUR")] * 2 == [item.amount for item in rest]
    assert PaymentState.REFUNDED == shop.payments.get(payment.ref).state
    with pytest.raises(VendorRejected):
        shop.refund(payment)


def test_uncaptured_payment_cannot_be_refunded(shop: Shop) -> None:
    """The refusal has Square's own code."""
    with pytest.raises(VendorRejected) as caught:
        shop.refund(shop.hold(), PART)

    assert "REFUND_ERROR_PAYMENT_NEEDS_COMPLETION" == caught.value.vendor_code


@pytest.mark.parametrize("answer", [{}, [], {"payment": []}, {"payment": {"id": "x"}}], ids=str)
@pytest.mark.parametrize("verb", ["charge", "void", "refund"])
def test_malformed_success_is_a_failure(shop: Shop, verb: str, answer: Json) -> None:
    """A success without the expected fields is a failure with unknown outcome."""
    options = (order(),) if verb == "charge" else (shop.hold().ref,)
    if verb == "refund":
        options = (*options, PART)
    shop.sandbox.fail(reply(answer))

    with pytest.raises(VendorFailed) as caught:
        getattr(shop.payments, verb)(*options, idempotency_key=shop.key())

    assert BuyerOutcome.UNKNOWN == told_buyer(caught.value).outcome
