"""The reading of Stripe's responses, webhooks and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import (
    DeclineReason,
    Money,
    NextActionType,
    PaymentState,
    PayoutState,
)
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    IdempotencyConflict,
    IdempotencyInProgress,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import reply
from moorage.vendor_sdk import as_answer
from moorage.vendors.payments._stripe_answers import dispute_of, payment_of, payout_of, refund_of
from moorage.vendors.payments._stripe_events import classify
from moorage.vendors.payments.stripe import Stripe
from tests.vendors.stripe_account import EUROS, SandboxHub, order, ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.contracts.payments import Payment
    from moorage.contracts.vendor import MakeRef
    from moorage.vendor_sdk import Answer


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Stripe."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


@pytest.mark.parametrize("reader", [payment_of, refund_of, dispute_of, payout_of])
def test_stripe_response_without_id_or_status_is_read_as_none(
    reader: Callable[[MakeRef, Answer], object],
) -> None:
    """A Stripe response that lacks an id or a status is read as None."""
    assert reader(ref, as_answer({})) is None
    assert reader(ref, as_answer({"id": "x"})) is None


def test_payout_keeps_unknown_word_of_stripe() -> None:
    """A payout whose status is unknown keeps Stripe's word."""
    payout = payout_of(ref, as_answer({"id": "po_1", "status": "teleported"}))
    assert payout is not None
    assert (ref("po_1"), PayoutState.UNKNOWN, "teleported") == (
        payout.ref,
        payout.state,
        payout.vendor_state,
    )


def test_dispute_without_a_deadline() -> None:
    """A Stripe dispute to which no response is possible has no deadline."""
    fields = {"id": "du_1", "status": "lost", "evidence_details": {"due_by": 0}}
    dispute = dispute_of(ref, as_answer(fields))

    assert dispute is not None
    assert dispute.respond_by is None


def intent(**fields: Any) -> Payment:
    """Return the payment read from a Stripe intent with the given fields."""
    default_intent = {"id": "pi_1", "status": "succeeded", "amount": 14990, "currency": "eur"}
    payment = payment_of(ref, as_answer({**default_intent, **fields}))
    assert payment is not None
    return payment


def test_unknown_values_are_kept() -> None:
    """Unknown statuses, actions and decline codes keep Stripe's words."""
    payment = intent(
        status="teleported",
        next_action={"type": "dance", "dance": {"steps": 3}},
        last_payment_error={"decline_code": "bad_mood"},
    )

    assert (PaymentState.UNKNOWN, "teleported") == (payment.state, payment.vendor_state)
    assert payment.next_action is not None
    assert (NextActionType.UNKNOWN, "dance") == (
        payment.next_action.type,
        payment.next_action.vendor_type,
    )
    assert payment.decline is not None
    assert (DeclineReason.OTHER, "bad_mood") == (
        payment.decline.reason,
        payment.decline.vendor_code,
    )


def test_displayed_next_action() -> None:
    """A Stripe action that shows something on a page has the action type `display`."""
    action = {"type": "oxxo_display_details", "oxxo_display_details": {"number": "1"}}
    payment = intent(status="requires_action", next_action=action)

    assert payment.next_action is not None
    assert NextActionType.DISPLAY == payment.next_action.type
    assert {"number": "1"} == payment.next_action.fields


def test_total_that_is_missing_from_stripe_response_is_none() -> None:
    """A total that is missing from Stripe's response is None."""
    assert intent().refunded is None
    assert PaymentState.CAPTURED == intent().state
    unexpanded = intent(amount_received=14990, amount_capturable=0, latest_charge="ch_1")
    assert unexpanded.refunded is None
    assert EUROS == unexpanded.captured == unexpanded.authorized
    assert Money("0", "EUR") == intent(amount_received=0, latest_charge=None).refunded


def test_stored_payment_method_can_be_used_again() -> None:
    """A Stripe payment method that belongs to a customer can be used again."""
    means = intent(customer="cus_1", payment_method="pm_1").means

    assert means is not None
    assert "pm_1" == means.stored
    assert "pm_1" not in repr(means)


@pytest.mark.parametrize(
    "object_",
    [
        {"object": "payment_intent"},
        {"object": "charge"},
        {"object": "refund", "id": "re_1", "status": "pending"},
        {"object": "dispute", "id": "du_1", "status": "won"},
        {"object": "payout"},
        {"object": "customer", "id": "cus_1"},
        {},
        None,
    ],
    ids=str,
)
def test_stripe_webhooks_about_other_things_than_payments_give_no_events(object_: object) -> None:
    """Stripe webhooks about other things than payments give no events."""
    event = WebhookEvent(vendor="stripe", id="evt_1", type="x", vendor_type="x", data=object_)

    assert () == Stripe(credentials="sk").events(event, ref)


def test_stripe_charge_without_an_intent_is_the_payment() -> None:
    """A Stripe charge without an intent is itself the payment; if uncaptured, it has no refund."""
    charge_object = {"object": "charge", "id": "ch_1", "amount": 14990, "currency": "eur"}
    charge_object |= {"captured": False, "amount_captured": 0, "amount_refunded": 14990}
    event = WebhookEvent(
        vendor="stripe", id="evt_1", type="x", vendor_type="charge.refunded", data=charge_object
    )
    result = Stripe(credentials="sk").events(event, ref)[0]

    assert ("ch_1", None, None) == (result.ref.id, result.state, result.refunded)


@pytest.mark.parametrize(
    "status, state",
    [
        ("pending", PaymentState.PENDING),
        ("failed", PaymentState.FAILED),
        ("levitated", PaymentState.UNKNOWN),
        ("succeeded", PaymentState.CAPTURED),
    ],
)
def test_status_decides_for_pending_debit(status: str, state: PaymentState) -> None:
    """A pending debit's state follows from its status, although Stripe calls it captured."""
    charge_object = {"object": "charge", "id": "ch_1", "amount": 14990, "currency": "eur"}
    charge_object |= {
        "captured": True,
        "amount_captured": 14990,
        "amount_refunded": 0,
        "status": status,
    }
    event = WebhookEvent(
        vendor="stripe", id="evt_1", type="x", vendor_type="charge.updated", data=charge_object
    )
    result = Stripe(credentials="sk").events(event, ref)[0]

    assert (state, status) == (result.state, result.vendor_state)
    assert (status == "succeeded") is (result.captured is not None)


def error_response(status: int, **error: Any) -> Response:
    """Return an error response of Stripe."""
    return reply({"error": error}, status)


@pytest.mark.parametrize(
    "answer, kind",
    [
        (error_response(409, type="idempotency_error"), IdempotencyInProgress),
        (
            error_response(409, type="invalid_request_error", code="idempotency_key_in_use"),
            IdempotencyInProgress,
        ),
        (
            error_response(429, type="invalid_request_error", code="lock_timeout"),
            IdempotencyInProgress,
        ),
        (error_response(400, type="idempotency_error", message="other"), IdempotencyConflict),
        (error_response(402, type="card_error", decline_code="lost_card"), PaymentDeclined),
        (
            error_response(400, type="invalid_request_error", code="charge_already_refunded"),
            VendorRejected,
        ),
    ],
)
def test_error_code_decides_the_error_class_before_the_status(
    answer: Response, kind: type[Exception]
) -> None:
    """A Stripe error's class follows from its type and code, or else from the status."""
    assert kind is type(classify(Request.post("/"), answer))


@pytest.mark.parametrize(
    "answer", [reply({}), reply({}, 503), error_response(400, type="x"), Response(404, body=b"no")]
)
def test_other_errors_are_classified_by_status(answer: Response) -> None:
    """A Stripe error without a known code is classified by its status."""
    assert classify(Request.post("/"), answer) is None


def test_stored_failure_is_not_retried() -> None:
    """A failure that Stripe stores under the key is not retried."""
    answer = reply({"error": {"message": "Oops"}}, 500, Stripe_Should_Retry="false")
    error = classify(Request.post("/"), answer)

    assert isinstance(error, VendorFailed)
    assert not error.retryable


def test_decline_without_a_code_is_a_decline() -> None:
    """A Stripe card error without a code is a decline with the reason "other"."""
    error = classify(Request.post("/"), error_response(402, type="card_error"))

    assert isinstance(error, PaymentDeclined)
    assert (DeclineReason.OTHER, None, None) == (error.reason, error.vendor_code, error.payment)


def test_stripe_decline_without_payment_has_no_reference(shop: SandboxHub) -> None:
    """A Stripe decline without a payment has no reference."""
    shop.sandbox.fail(error_response(402, type="card_error", code="expired_card"))

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(order(), idempotency_key=shop.key())

    assert (DeclineReason.EXPIRED_CARD, None) == (excinfo.value.reason, excinfo.value.payment)


def test_missing_payment_affects_no_other(shop: SandboxHub) -> None:
    """If several payments are settled and one is missing, the others still get their results."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())
    missing_payment, result = shop.payments.settle(["stripe:main:pi_0", payment.ref])

    assert isinstance(missing_payment.error, VendorRejected)
    assert payment == result.unwrap()
