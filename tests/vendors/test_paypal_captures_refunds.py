"""Captures, voids and refunds at PayPal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.contracts.payments import Money, MoveState, PaymentState, RefundReason
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.resilience.retry import RetryPolicy
from moorage.errors import ConnectionFailed, InvalidData, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendor_sdk import as_answer
from moorage.vendors.payments._paypal_answers import capture_of
from tests.vendors.paypal_account import EUROS, TEN, SandboxHub
from tests.vendors.square_account import ref

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by PayPal."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- captures --------------------------------------------------------------


def test_partial_captures_in_sequence(shop: SandboxHub) -> None:
    """Parts of a PayPal payment are captured in turn, and the final one releases the rest."""
    payment = shop.authorized()
    first = shop.payments.capture(payment.ref, TEN, final=False, idempotency_key="c-1")
    partial_amount = {"currency_code": "EUR", "value": "10.00"}
    assert {"final_capture": False, "amount": partial_amount} == shop.sent_body()
    assert "c-1" == shop.last_request().headers.get("PayPal-Request-Id")
    existing_payment = shop.payments.get(payment.ref)
    assert (PaymentState.PARTIALLY_CAPTURED, EUROS - TEN) == (
        existing_payment.state,
        existing_payment.remaining,
    )
    assert existing_payment.ref.other("capture") is None
    last_capture = shop.payments.capture(payment.ref, TEN, idempotency_key="c-2")
    existing_payment = shop.payments.get(payment.ref)

    assert (TEN * 2, TEN * 0) == (existing_payment.captured, existing_payment.remaining)
    assert [first.ref, last_capture.ref] == [capture.ref for capture in existing_payment.captures]
    assert (MoveState.SUCCEEDED, payment.ref) == (first.state, first.payment)
    assert PaymentState.PARTIALLY_CAPTURED is shop.payment_after_events(payment).state
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.capture(payment.ref, TEN, idempotency_key="c-3")
    assert "AUTHORIZATION_ALREADY_CAPTURED" == excinfo.value.vendor_code


def test_reference_of_paypal_capture_has_currency_of_its_amount() -> None:
    """The reference of a PayPal capture has the currency of its amount."""
    amount = {"currency_code": "USD", "value": "10.00"}
    body = as_answer({"id": "C1", "status": "COMPLETED", "amount": amount})
    capture = capture_of(ref, ref("O1"), body)
    assert capture is not None
    assert ref("C1", order="O1", currency="USD") == capture.ref


def test_capture_without_an_amount(shop: SandboxHub) -> None:
    """A PayPal capture without an amount captures all, unless a part was captured before."""
    payment = shop.authorized()
    capture = shop.payments.capture(payment.ref, idempotency_key="c-1")
    assert (EUROS, {"final_capture": True}) == (capture.amount, shop.sent_body())
    other_payment = shop.authorized()
    shop.payments.capture(other_payment.ref, TEN, final=False, idempotency_key="c-2")
    with pytest.raises(VendorRejected, match="A part of this payment is already captured"):
        shop.payments.capture(other_payment.ref, final=False, idempotency_key="c-3")


def test_lost_capture_happens_once(shop: SandboxHub) -> None:
    """A PayPal capture happens once, however often it is repeated."""
    payment = shop.authorized()
    shop.payments.get(payment.ref)
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(payment.ref, TEN, idempotency_key="c-1")
    capture = shop.payments.capture(payment.ref, TEN, idempotency_key="c-1")

    assert [capture.ref.id] == list(shop.sandbox.captures)


def test_authorisation_is_looked_up(shop: SandboxHub) -> None:
    """A PayPal authorisation can be captured by its order's reference."""
    payment = shop.authorized()
    bare_ref = Ref("paypal", "main", payment.ref.id)
    assert TEN == shop.payments.capture(bare_ref, TEN, idempotency_key="c-1").amount
    waiting = shop.authorized("paypal")
    with pytest.raises(VendorRejected, match="no authorisation"):
        shop.payments.capture(waiting.ref, TEN, idempotency_key="c-2")


def test_paypal_capture_under_review_is_pending_until_paypal_confirms_it(shop: SandboxHub) -> None:
    """A PayPal capture under review is pending until PayPal confirms it."""
    payment = shop.charged("card:pending-1")
    assert (PaymentState.PENDING, EUROS * 0) == (payment.state, payment.captured)
    assert "PENDING_REVIEW" == payment.captures[0].reason
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.refund(payment.ref, idempotency_key="r-1")
    assert "PENDING_CAPTURE" == excinfo.value.vendor_code
    shop.sandbox.arrive(payment.captures[0].ref.id)

    assert PaymentState.CAPTURED is shop.payments.get(payment.ref).state
    assert PaymentState.CAPTURED is shop.payment_after_events(payment).state


# --- giving up -------------------------------------------------------------


def test_void_is_idempotent_without_a_key(shop: SandboxHub) -> None:
    """Voiding a PayPal payment twice is not an error, although no key is sent."""
    payment = shop.authorized()
    first = shop.payments.void(payment.ref, idempotency_key="v-1")
    assert shop.last_request().headers.get("PayPal-Request-Id") is None
    repeat = shop.payments.void(payment.ref, idempotency_key="v-1")

    assert (MoveState.SUCCEEDED, "VOIDED") == (first.state, first.vendor_state)
    assert first == repeat
    existing_payment = shop.payments.get(payment.ref)
    assert (PaymentState.VOIDED, EUROS * 0) == (existing_payment.state, existing_payment.remaining)
    assert PaymentState.VOIDED is shop.payment_after_events(payment).state


def test_lost_void_is_repeated() -> None:
    """After a lost response a PayPal void is repeated; PayPal's error then counts as success."""
    shop = SandboxHub({"retry": RetryPolicy(2, base_delay=0.001)})
    with shop.hub:
        payment = shop.authorized()
        shop.sandbox.fail(Lost())
        void = shop.payments.void(payment.ref, idempotency_key="v-1")

    assert MoveState.SUCCEEDED is void.state


def test_captured_payment_cannot_be_voided(shop: SandboxHub) -> None:
    """A captured PayPal payment cannot be voided."""
    payment = shop.authorized()
    shop.payments.capture(payment.ref, idempotency_key="c-1")
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.void(payment.ref, idempotency_key="v-1")

    assert "PREVIOUSLY_CAPTURED" == excinfo.value.vendor_code


def test_void_after_a_partial_capture(shop: SandboxHub) -> None:
    """After a partial capture at PayPal the rest can be voided."""
    payment = shop.authorized()
    shop.payments.capture(payment.ref, TEN, final=False, idempotency_key="c-1")
    shop.payments.void(payment.ref, idempotency_key="v-1")
    existing_payment = shop.payments.get(payment.ref)

    assert (PaymentState.PARTIALLY_CAPTURED, TEN * 0) == (
        existing_payment.state,
        existing_payment.remaining,
    )


def test_void_of_another_status(shop: SandboxHub) -> None:
    """An unknown status of a PayPal void is kept as unknown."""
    payment = shop.authorized()
    shop.sandbox.fail(reply({"id": "0A1", "status": "VOIDING"}))
    void = shop.payments.void(payment.ref, idempotency_key="v-1")

    assert (MoveState.UNKNOWN, "VOIDING") == (void.state, void.vendor_state)


# --- giving back -----------------------------------------------------------


def test_refund_names_its_order(shop: SandboxHub) -> None:
    """A PayPal refund is sent with the order's id, so that its events name the payment."""
    payment = shop.charged()
    count = len(shop.sandbox.requests)
    refund = shop.payments.refund(
        payment.ref, TEN, idempotency_key="r-1", reason=RefundReason.DUPLICATE
    )
    assert count + 1 == len(shop.sandbox.requests)
    assert {
        "amount": {"currency_code": "EUR", "value": "10.00"},
        "custom_id": f"order-{payment.ref.id}",
    } == shop.sent_body()
    assert (MoveState.SUCCEEDED, payment.ref) == (refund.state, refund.payment)
    result = shop.payments.get_refund(refund.ref)
    assert result.payment is not None
    assert (refund.ref, payment.ref.id) == (result.ref, result.payment.id)
    bare_refund = shop.payments.get_refund(Ref("paypal", "main", refund.ref.id))
    assert bare_refund.payment is not None
    assert payment.ref.id == bare_refund.payment.id
    remaining_refund = shop.payments.refund(payment.ref, idempotency_key="r-2")
    assert (EUROS - TEN, {"custom_id"}) == (remaining_refund.amount, set(shop.sent_body()))
    assert PaymentState.REFUNDED is shop.payments.get(payment.ref).state
    assert PaymentState.REFUNDED is shop.payment_after_events(payment).state


def test_paypal_refund_that_was_made_elsewhere_is_read_without_its_payment(
    shop: SandboxHub,
) -> None:
    """A PayPal refund that was made elsewhere is read without its payment."""
    payment = shop.charged()
    refund = shop.payments.refund(payment.ref, TEN, idempotency_key="r-1")
    shop.sandbox.refunds[refund.ref.id]["custom_id"] = "by hand"
    result = shop.payments.get_refund(Ref("paypal", "main", refund.ref.id))

    assert result.payment is None


def test_refunds_of_several_captures(shop: SandboxHub) -> None:
    """A PayPal refund goes to the named capture, or to the first that is large enough."""
    payment = shop.authorized()
    small_capture = shop.payments.capture(payment.ref, TEN, final=False, idempotency_key="c-1")
    large_capture = shop.payments.capture(payment.ref, TEN * 3, idempotency_key="c-2")
    with pytest.raises(InvalidData, match="several captures"):
        shop.payments.refund(payment.ref, idempotency_key="r-1")
    with pytest.raises(VendorRejected, match="No capture of this payment is large enough"):
        shop.payments.refund(payment.ref, TEN * 4, idempotency_key="r-2")
    shop.payments.refund(payment.ref, TEN * 2, idempotency_key="r-3")
    assert f"/v2/payments/captures/{large_capture.ref.id}/refund" == shop.last_request().path
    refund = shop.payments.refund(small_capture.ref, idempotency_key="r-4")

    assert refund.payment is not None
    assert (TEN, payment.ref.id) == (refund.amount, refund.payment.id)
    assert TEN * 3 == shop.payments.get(small_capture.ref).refunded


def test_refund_goes_to_a_capture_of_which_enough_is_left(shop: SandboxHub) -> None:
    """A PayPal refund passes over a refunded capture, and a repeat refunds nothing more."""
    payment = shop.authorized()
    first = shop.payments.capture(payment.ref, TEN, final=False, idempotency_key="c-1")
    second = shop.payments.capture(payment.ref, TEN, idempotency_key="c-2")
    shop.payments.get(payment.ref)
    shop.payments.refund(payment.ref, TEN, idempotency_key="r-1")
    shop.sandbox.fail(None, None, Lost())  # the look-up, the refusal, the refund
    with pytest.raises(ConnectionFailed):
        shop.payments.refund(payment.ref, TEN, idempotency_key="r-2")
    refund = shop.payments.refund(payment.ref, TEN, idempotency_key="r-2")

    assert f"/v2/payments/captures/{second.ref.id}/refund" == shop.last_request().path
    assert TEN == refund.amount
    assert [("REFUNDED", TEN)] * 2 == [
        (item.vendor_state, item.amount) for item in shop.payments.get(first.ref).captures
    ]
    assert 2 == len(shop.sandbox.refunds)
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.refund(payment.ref, TEN, idempotency_key="r-3")
    assert "CAPTURE_FULLY_REFUNDED" == excinfo.value.vendor_code


def test_refund_beside_a_pending_capture_must_name_its_capture(shop: SandboxHub) -> None:
    """While one of several captures is pending, a PayPal refund must name its capture."""
    payment = shop.authorized()
    first = shop.payments.capture(payment.ref, TEN, final=False, idempotency_key="c-1")
    second = shop.payments.capture(payment.ref, TEN, idempotency_key="c-2")
    shop.sandbox.captures[first.ref.id]["status"] = "PENDING"
    with pytest.raises(InvalidData, match="several captures"):
        shop.payments.refund(payment.ref, TEN, idempotency_key="r-1")

    assert TEN == shop.payments.refund(second.ref, TEN, idempotency_key="r-2").amount


def test_payment_is_found_by_its_capture(shop: SandboxHub) -> None:
    """A PayPal payment can be looked up by its capture's id, the only id in a dispute."""
    payment = shop.charged()
    capture = payment.captures[0].ref.id
    capture_ref = Ref("paypal", "main", capture, {"capture": capture})

    assert payment == shop.payments.get(capture_ref)
    refund = shop.payments.refund(capture_ref, TEN, idempotency_key="r-1")
    assert refund.payment is not None
    assert payment.ref.id == refund.payment.id
    shop.sandbox.fail(reply({"id": capture, "status": "COMPLETED"}))
    with pytest.raises(VendorFailed, match="no order"):
        shop.payments.get(capture_ref)


def test_paypal_refund_in_another_currency_is_refused(shop: SandboxHub) -> None:
    """A PayPal refund in another currency is refused; an unknown currency is looked up."""
    payment = shop.charged()
    bare_ref = Ref("paypal", "main", payment.ref.id)
    with pytest.raises(InvalidData, match="The payment is in EUR"):
        shop.payments.refund(bare_ref, Money("1.00", "USD"), idempotency_key="r-1")


def test_malformed_moves_are_failures(shop: SandboxHub) -> None:
    """A malformed PayPal response to a void, capture, refund or list is a failure."""
    payment, taken_payment = shop.authorized(), shop.charged()
    for number, answer in enumerate((reply({"id": "3C1"}), reply([]), Response(200, body=b"<p>"))):
        shop.sandbox.fail(answer)
        with pytest.raises(VendorFailed):
            shop.payments.capture(payment.ref, TEN, idempotency_key=f"c-{number}")
        shop.sandbox.fail(answer)
        with pytest.raises(VendorFailed):
            shop.payments.refund(taken_payment.ref, TEN, idempotency_key=f"r-{number}")
    shop.sandbox.fail(reply({"items": {}}))
    with pytest.raises(VendorFailed, match="no items"):
        shop.payments.disputes()
    shop.sandbox.fail(reply({"transaction_details": {}}))
    with pytest.raises(VendorFailed, match="no transaction_details"):
        shop.payments.payments()
