"""Captures, voids and refunds of payments at Square."""

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
    buyer_notice,
)
from moorage.domain.resilience.retry import RetryPolicy
from moorage.errors import (
    ConnectionFailed,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Lost, SlowAnswer, reply
from tests.vendors.square_account import EUROS, PART, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.openapi import Json


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Square."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- captures --------------------------------------------------------------


def test_full_capture_at_square_captures_the_authorised_amount(shop: SandboxHub) -> None:
    """A full capture at Square, with or without an amount, captures the authorised amount."""
    for amount in (None, EUROS):
        authorization = shop.hold()
        assert authorization.authorized_until is not None
        capture = shop.payments.capture(authorization.ref, amount, idempotency_key=shop.key())

        assert (MoveState.SUCCEEDED, EUROS) == (capture.state, capture.amount)
        assert {} == shop.sent_body()
        assert capture.after is not None
        assert PaymentState.CAPTURED == capture.after.state


def test_partial_capture_changes_the_amount_first(shop: SandboxHub) -> None:
    """For a partial capture, the payment's amount is changed before the payment is completed."""
    authorization = shop.hold()
    key = shop.key()
    for _ in range(2):
        shop.payments.capture(authorization.ref, PART, idempotency_key=key)

    assert ["POST", "GET", "PUT", "POST"] == [request.method for request in shop.sandbox.requests]
    assert {"amount_money": {"amount": 10000, "currency": "EUR"}} == (
        json.loads(shop.sandbox.requests[2].body)["payment"]
    )
    existing_payment = shop.payments.get(authorization.ref)
    assert (EUROS, PART, Money("0", "EUR")) == (
        existing_payment.amount,
        existing_payment.captured,
        existing_payment.remaining,
    )


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_capture_whose_answer_was_lost_is_done_once(shop: SandboxHub, lost: int) -> None:
    """A Square capture that is repeated happens once, whichever of its responses was lost."""
    authorization, key = shop.hold(), shop.key()
    shop.sandbox.fail(*[SlowAnswer(0.0)] * (lost - 1), Lost())
    with pytest.raises(ConnectionFailed) as excinfo:
        shop.payments.capture(authorization.ref, PART, idempotency_key=key)
    assert BuyerOutcome.NOT_ATTEMPTED != buyer_notice(excinfo.value).outcome
    for _ in range(2):
        capture = shop.payments.capture(authorization.ref, PART, idempotency_key=key)

        assert (MoveState.SUCCEEDED, PART) == (capture.state, capture.amount)


def test_lost_answer_is_retried_within_the_call() -> None:
    """If a Square response is lost, a repeatable request is sent again in the same call."""
    shop = SandboxHub(retry=RetryPolicy(max_attempts=2, base_delay=0))
    with shop.hub:
        shop.sandbox.fail(Lost())
        authorization = shop.hold()
        shop.sandbox.fail(SlowAnswer(0.0), Lost())
        capture = shop.payments.capture(authorization.ref, idempotency_key=shop.key())
        shop.sandbox.fail(Lost())
        refund = shop.refund(authorization, PART)

    assert 1 == len(shop.sandbox.payments)
    assert MoveState.SUCCEEDED == capture.state
    assert [refund.ref.id] == list(shop.sandbox.refunds)


def test_another_key_or_amount_does_not_capture_square_payment_again(shop: SandboxHub) -> None:
    """Another key or amount does not capture a Square payment again."""
    authorization = shop.hold()
    shop.payments.capture(authorization.ref, idempotency_key=shop.key())

    for amount in (None, EUROS, PART):
        with pytest.raises(VendorRejected):
            shop.payments.capture(authorization.ref, amount, idempotency_key=shop.key())


def test_square_payment_that_was_completed_meanwhile_with_another_amount_is_refused(
    shop: SandboxHub,
) -> None:
    """If a Square payment was completed with another amount meanwhile, the capture is refused."""
    authorization, key = shop.hold(), shop.key()
    shop.sandbox.fail(SlowAnswer(0.0), ConnectionFailed("Nobody is there."))
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(authorization.ref, idempotency_key=key)
    shop.payments.capture(authorization.ref, PART, idempotency_key=shop.key())

    with pytest.raises(VendorRejected):
        shop.payments.capture(authorization.ref, idempotency_key=key)


# --- giving up -------------------------------------------------------------


def test_voided_square_payment_stays_voided(shop: SandboxHub) -> None:
    """A voided Square payment stays voided; voiding a captured payment is refused."""
    authorization = shop.hold()
    void = shop.payments.void(authorization.ref, idempotency_key=shop.key())
    repeat = shop.payments.void(authorization.ref, idempotency_key=shop.key())
    assert void.after is not None

    assert (MoveState.SUCCEEDED, PaymentState.VOIDED) == (void.state, void.after.state)
    assert void == repeat
    assert b"" == shop.sandbox.requests[1].body
    with pytest.raises(VendorRejected):
        shop.payments.void(shop.pay().ref, idempotency_key=shop.key())


@pytest.mark.parametrize("verb", ["capture", "void"])
def test_unclear_outcome_is_unknown(shop: SandboxHub, verb: str) -> None:
    """A Square payment that is neither completed nor cancelled has an unknown outcome."""
    authorization = shop.hold()
    earlier_faults = [SlowAnswer(0.0)] if verb == "capture" else []
    shop.sandbox.fail(
        *earlier_faults, reply({"payment": shop.sandbox.payments[authorization.ref.id]})
    )
    done = getattr(shop.payments, verb)(authorization.ref, idempotency_key=shop.key())

    assert MoveState.UNKNOWN == done.state


# --- giving back -----------------------------------------------------------


@pytest.mark.parametrize("success", [True, False])
def test_square_refund_is_pending_until_money_arrives(shop: SandboxHub, success: bool) -> None:
    """A Square refund is pending until the money arrives, and may fail."""
    payment = shop.pay()
    refund = shop.refund(payment, PART, reason=RefundReason.REQUESTED_BY_CUSTOMER)
    assert "requested by customer" == shop.sent_body()["reason"]
    shop.time += 60
    shop.sandbox.settle(success=success)
    later_refund = shop.payments.get_refund(refund.ref)

    assert (MoveState.PENDING, payment.ref) == (refund.state, refund.payment)
    assert (MoveState.SUCCEEDED if success else MoveState.FAILED) == later_refund.state
    existing_payment = shop.payments.get(payment.ref)
    assert (PART if success else Money("0", "EUR")) == existing_payment.refunded
    result = shop.payment_after_events(payment)
    assert (existing_payment.state, existing_payment.refunded) == (result.state, result.refunded)


def test_refund_without_an_amount_is_of_the_rest(shop: SandboxHub) -> None:
    """A Square refund without an amount refunds the rest, once for each key."""
    payment = shop.pay()
    shop.refund(payment, PART)
    shop.sandbox.settle()
    key = shop.key()
    remaining_refunds = [shop.payments.refund(payment.ref, idempotency_key=key) for _ in range(2)]
    shop.sandbox.settle()

    assert [Money("49.90", "EUR")] * 2 == [item.amount for item in remaining_refunds]
    assert PaymentState.REFUNDED == shop.payments.get(payment.ref).state
    with pytest.raises(VendorRejected):
        shop.refund(payment)


def test_uncaptured_payment_cannot_be_refunded(shop: SandboxHub) -> None:
    """A refund of an uncaptured payment raises an error with Square's own code."""
    with pytest.raises(VendorRejected) as excinfo:
        shop.refund(shop.hold(), PART)

    assert "REFUND_ERROR_PAYMENT_NEEDS_COMPLETION" == excinfo.value.vendor_code


@pytest.mark.parametrize("answer", [{}, [], {"payment": []}, {"payment": {"id": "x"}}], ids=str)
@pytest.mark.parametrize("verb", ["charge", "void", "refund"])
def test_malformed_success_is_a_failure(shop: SandboxHub, verb: str, answer: Json) -> None:
    """If a Square success lacks the expected fields, the call fails and its outcome is unknown."""
    options = (order(),) if verb == "charge" else (shop.hold().ref,)
    if verb == "refund":
        options = (*options, PART)
    shop.sandbox.fail(reply(answer))

    with pytest.raises(VendorFailed) as excinfo:
        getattr(shop.payments, verb)(*options, idempotency_key=shop.key())

    assert BuyerOutcome.UNKNOWN == buyer_notice(excinfo.value).outcome
