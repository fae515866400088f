"""Captures, voids and refunds of payments at Mollie."""

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
    buyer_notice,
)
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    IdempotencyInProgress,
    InvalidData,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Lost, SlowAnswer, reply
from tests.vendors.mollie_account import EUROS, PART, SandboxHub, ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.openapi import Json


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Mollie."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- captures --------------------------------------------------------------


def test_capture_at_mollie_leaves_the_rest_authorised(shop: SandboxHub) -> None:
    """At Mollie a capture leaves the rest authorised, unless it is the final capture."""
    authorization = shop.hold()
    assert authorization.authorized_until is not None
    first = shop.payments.capture(authorization.ref, PART, final=False, idempotency_key=shop.key())
    between_payment = shop.payments.get(authorization.ref)
    last_capture = shop.payments.capture(
        authorization.ref, Money("9.90", "EUR"), idempotency_key=shop.key()
    )
    later_payment = shop.payments.get(authorization.ref)

    assert MoveState.PENDING == first.state
    assert (PaymentState.PARTIALLY_CAPTURED, Money("49.90", "EUR")) == (
        between_payment.state,
        between_payment.remaining,
    )
    assert PaymentState.PARTIALLY_CAPTURED == later_payment.state
    assert (Money("109.90", "EUR"), Money("0", "EUR")) == (
        later_payment.captured,
        later_payment.remaining,
    )
    assert [first.ref.id, last_capture.ref.id] == [
        capture.ref.id for capture in later_payment.captures
    ]
    assert ["POST captures", "POST release-authorization"] == [
        path for path in shop.paths()[2:] if path.startswith("POST")
    ]


def test_full_capture_at_mollie_releases_nothing(shop: SandboxHub) -> None:
    """A full capture at Mollie, with or without an amount, releases nothing."""
    for amount in (None, EUROS):
        authorization = shop.hold()
        capture = shop.payments.capture(authorization.ref, amount, idempotency_key=shop.key())

        assert "POST captures" == shop.paths()[-1]
        assert EUROS == capture.amount
        assert PaymentState.CAPTURED == shop.payments.get(authorization.ref).state


def test_final_capture_of_whole_rest_succeeds_at_mollie(shop: SandboxHub) -> None:
    """A final capture of the whole rest succeeds at Mollie, with nothing left to release."""
    authorization = shop.hold()
    shop.payments.capture(authorization.ref, PART, final=False, idempotency_key=shop.key())
    shop.payments.capture(authorization.ref, Money("49.90", "EUR"), idempotency_key=shop.key())

    assert "POST release-authorization" == shop.paths()[-1]
    assert PaymentState.CAPTURED == shop.payments.get(authorization.ref).state


def test_capture_with_a_lost_release_is_repeated(shop: SandboxHub) -> None:
    """A repeat with the same key does not capture again at Mollie, but releases the rest."""
    authorization, key = shop.hold(), shop.key()
    shop.sandbox.fail(SlowAnswer(0.0), Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(authorization.ref, PART, idempotency_key=key)
    for _ in range(2):
        capture = shop.payments.capture(authorization.ref, PART, idempotency_key=key)

        assert PART == capture.amount
    existing_payment = shop.payments.get(authorization.ref)
    assert (PART, Money("0", "EUR")) == (existing_payment.captured, existing_payment.remaining)
    assert 1 == len(shop.sandbox.captures)


def test_capture_above_the_authorised_amount_is_refused(shop: SandboxHub) -> None:
    """Mollie refuses a capture above the authorised amount, and a wrong API key."""
    authorization = shop.hold()
    with pytest.raises(VendorRejected):
        shop.payments.capture(authorization.ref, EUROS * 2, idempotency_key=shop.key())
    shop.sandbox.api_key = "test_other"
    with pytest.raises(AuthenticationFailed):
        shop.payments.get(authorization.ref)


# --- giving up -------------------------------------------------------------


def test_open_payment_is_cancelled(shop: SandboxHub) -> None:
    """An unpaid Mollie payment can be cancelled."""
    payment = shop.pay("ideal")
    void = shop.payments.void(payment.ref, idempotency_key=shop.key())
    assert void.after is not None

    assert (MoveState.SUCCEEDED, PaymentState.VOIDED) == (void.state, void.after.state)


def test_lost_cancellation_is_repeated(shop: SandboxHub) -> None:
    """If a cancellation's response is lost, the repeat finds that the payment is cancelled."""
    payment, key = shop.pay("ideal"), shop.key()
    shop.sandbox.fail(SlowAnswer(0.0), Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.void(payment.ref, idempotency_key=key)

    assert MoveState.SUCCEEDED == shop.payments.void(payment.ref, idempotency_key=key).state


def test_void_is_pending_at_first(shop: SandboxHub) -> None:
    """A void of a Mollie authorisation is pending until Mollie has released the amount."""
    authorization = shop.hold()
    void = shop.payments.void(authorization.ref, idempotency_key=shop.key())

    assert (MoveState.PENDING, authorization.ref) == (void.state, void.payment)
    assert PaymentState.VOIDED == shop.payments.get(authorization.ref).state


def test_paid_payment_cannot_be_voided(shop: SandboxHub) -> None:
    """A paid Mollie payment cannot be voided, and a repeat gets the same error response."""
    payment, key = shop.pay(), shop.key()
    for _ in range(2):
        with pytest.raises(VendorRejected):
            shop.payments.void(payment.ref, idempotency_key=key)

    assert PaymentState.CAPTURED == shop.payments.get(payment.ref).state


def test_unclear_outcome_is_unknown(shop: SandboxHub) -> None:
    """If Mollie confirms a cancellation but the payment is still open, the outcome is unknown."""
    payment = shop.pay("ideal")
    shop.sandbox.fail(reply({"status": 422}, 422), reply(shop.sandbox.payments[payment.ref.id]))

    assert MoveState.UNKNOWN == shop.payments.void(payment.ref, idempotency_key=shop.key()).state


# --- giving back -----------------------------------------------------------


def test_refund_without_an_amount_is_of_the_rest(shop: SandboxHub) -> None:
    """A Mollie refund without an amount returns the rest, once per idempotency key."""
    payment = shop.pay()
    shop.refund(payment, PART)
    key = shop.key()
    remaining_refunds = [shop.payments.refund(payment.ref, idempotency_key=key) for _ in range(2)]

    assert [Money("49.90", "EUR")] * 2 == [item.amount for item in remaining_refunds]
    assert PaymentState.REFUNDED == shop.payments.get(payment.ref).state
    with pytest.raises(VendorRejected):
        shop.refund(payment)


def test_reason_of_a_refund(shop: SandboxHub) -> None:
    """Mollie gets a refund's reason as metadata, since buyers may see the description."""
    shop.refund(shop.pay(), PART, reason=RefundReason.FRAUD)

    assert {"reason": "fraud"} == shop.sent_body()["metadata"]
    assert "fraud" not in shop.sent_body()["description"]


@pytest.mark.parametrize("success", [True, False])
def test_mollie_refund_is_pending_until_money_arrives(shop: SandboxHub, success: bool) -> None:
    """A Mollie refund is pending until the money arrives, and may fail."""
    payment = shop.pay()
    refund = shop.refund(payment)
    shop.time += 60
    shop.sandbox.arrive_refund(refund.ref.id, success=success)
    later_refund = shop.payments.get_refund(str(refund.ref))
    existing_payment = advance(payment, shop.payments.get(payment.ref))

    assert MoveState.PENDING == refund.state
    assert (MoveState.SUCCEEDED if success else MoveState.FAILED) == later_refund.state
    assert (PaymentState.REFUNDED if success else PaymentState.CAPTURED) == existing_payment.state


def test_refund_is_found_by_its_payment(shop: SandboxHub) -> None:
    """The id of a Mollie refund without its payment's id is refused before a request is sent."""
    with pytest.raises(InvalidData):
        shop.payments.get_refund("mollie:main:re_1")

    assert [] == shop.sandbox.requests


def test_duplicate_refund_is_refused(shop: SandboxHub) -> None:
    """A refund that Mollie considers a duplicate is refused."""
    payment = shop.pay()
    shop.sandbox.fail(reply({"status": 409, "detail": "Duplicate"}, 409))

    with pytest.raises(VendorRejected) as excinfo:
        shop.refund(payment, PART)

    assert 409 == excinfo.value.status
    assert "later" in (excinfo.value.remedy or "")


def test_refund_in_progress_is_no_duplicate(shop: SandboxHub) -> None:
    """A refund whose first request Mollie still processes is not reported as refused."""
    payment = shop.pay()
    text = "Another request with this idempotency key is being processed"
    shop.sandbox.fail(reply({"status": 409, "title": "Conflict", "detail": text}, 409))

    with pytest.raises(IdempotencyInProgress, match="being processed"):
        shop.payments.refund(payment.ref, PART, idempotency_key="r")
    assert PART == shop.payments.refund(payment.ref, PART, idempotency_key="r").amount


def test_chargeback_makes_a_payment_disputed(shop: SandboxHub) -> None:
    """A Mollie payment with a chargeback is disputed until the chargeback is reversed."""
    payment = shop.pay()
    shop.time += 60
    chargeback = shop.sandbox.charge_back(payment.ref.id)
    dispute = shop.payments.disputes().items[0]
    existing_payment = advance(payment, shop.payments.get(payment.ref))
    shop.time += 60
    shop.sandbox.reverse(chargeback)
    back = shop.payments.disputes().items[0]

    assert (DisputeState.LOST, EUROS, "AC01") == (dispute.state, dispute.amount, dispute.reason)
    assert dispute.payment == ref(payment.ref.id)
    assert PaymentState.DISPUTED == existing_payment.state
    assert DisputeState.WON == back.state
    assert PaymentState.CAPTURED == advance(existing_payment, shop.payments.get(payment.ref)).state


@pytest.mark.parametrize("operation", ["capture", "refund"])
@pytest.mark.parametrize("answer", [{}, [], {"id": "x"}, {"paymentId": "tr_1"}], ids=str)
def test_malformed_success_is_a_failure(shop: SandboxHub, operation: str, answer: Json) -> None:
    """If a Mollie success lacks the expected fields, the call fails and its outcome is unknown."""
    payment = shop.hold()
    shop.sandbox.fail(reply(answer, 201))

    with pytest.raises(VendorFailed) as excinfo:
        getattr(shop.payments, operation)(payment.ref, EUROS, idempotency_key=shop.key())

    assert BuyerOutcome.UNKNOWN == buyer_notice(excinfo.value).outcome
