"""Square's responses, lists and webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import (
    DeclineReason,
    DisputeState,
    MeansOfPayment,
    Money,
    MoveState,
    PaymentQuery,
    PaymentState,
    PayoutState,
)
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    AuthenticationFailed,
    IdempotencyConflict,
    InvalidRequest,
    PaymentDeclined,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.testing.sandboxes.base import reply
from moorage.vendor_sdk import as_answer
from moorage.vendors.payments._square_answers import (
    decline_of,
    dispute_of,
    payment_of,
    payout_of,
    refund_of,
)
from moorage.vendors.payments._square_errors import classify
from moorage.vendors.payments.square import Square
from tests.vendors.square_account import EUROS, PART, SandboxHub, ref
from tests.vendors.subjects.square import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.contracts.payments import Payment
    from moorage.contracts.vendor import MakeRef
    from moorage.vendor_sdk import Answer
    from tests.support.openapi import Json


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Square."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- lists and webhooks ----------------------------------------------------


def test_payments_are_listed(shop: SandboxHub) -> None:
    """All Square payments are listed page by page, newest first."""
    assert ((), None) == (shop.payments.payments().items, shop.payments.payments().next)
    refs = []
    for _ in range(5):
        refs.append(shop.pay().ref)
        shop.time += 3600
    moment = datetime.fromtimestamp(shop.time, UTC)
    query = PaymentQuery(
        limit=2, since=moment - timedelta(hours=4), until=moment - timedelta(hours=1)
    )
    first = shop.payments.payments(query)
    second = shop.payments.payments(query, after=first.next)

    assert [refs[3], refs[2], refs[1]] == [item.ref for item in (*first.items, *second.items)]
    request = dict(shop.sandbox.requests[-1].query)
    assert ("DESC", "2", shop.sandbox.location_id) == (
        request["sort_order"],
        request["limit"],
        request["location_id"],
    )


@pytest.mark.parametrize("operation", ["payments", "disputes", "payouts"])
def test_malformed_list_of_square_is_failure(shop: SandboxHub, operation: str) -> None:
    """A malformed list of Square is a failure, and malformed entries are left out."""
    shop.sandbox.fail(reply({operation: {}}), reply({operation: [None, {}, {"id": "x"}]}))
    with pytest.raises(VendorFailed):
        getattr(shop.payments, operation)()

    assert () == getattr(shop.payments, operation)().items


def test_payment_has_its_previous_state_after_square_dispute_is_won(shop: SandboxHub) -> None:
    """After a Square dispute is won, the payment has its previous state."""
    payment = shop.pay()
    shop.time += 60
    key = shop.sandbox.dispute(payment.ref.id)
    disputed_payment = shop.payment_after_events(payment)
    dispute = shop.payments.disputes().items[0]
    shop.time += 60
    shop.sandbox.decide(key, "WON")

    assert (PaymentState.DISPUTED, DisputeState.NEEDS_RESPONSE) == (
        disputed_payment.state,
        dispute.state,
    )
    assert (EUROS, ref(payment.ref.id)) == (dispute.amount, dispute.payment)
    assert datetime.fromtimestamp(shop.time - 60, UTC) + timedelta(days=10) == dispute.respond_by
    assert PaymentState.CAPTURED == shop.payment_after_events(disputed_payment).state


def test_inquiry_is_not_a_dispute(shop: SandboxHub) -> None:
    """A bank's inquiry at Square takes no money back, so the payment is not disputed."""
    payment = shop.pay()
    shop.sandbox.dispute(payment.ref.id, "INQUIRY_EVIDENCE_REQUIRED")
    event = shop.webhook_events()[-1]

    assert event.dispute is not None
    assert (DisputeState.INQUIRY, None) == (event.dispute.state, event.state)


def test_square_payouts_are_listed_with_their_states(shop: SandboxHub) -> None:
    """Square payouts are listed with their states."""
    shop.sandbox.pay_out(10_000, "EUR")
    shop.sandbox.pay_out(500, "JPY", "FAILED")
    failed_payout, moving_payout = shop.payments.payouts().items

    assert (PayoutState.IN_TRANSIT, PART) == (moving_payout.state, moving_payout.amount)
    assert (PayoutState.FAILED, Money("500", "JPY")) == (failed_payout.state, failed_payout.amount)
    assert moving_payout.arrives is not None
    assert [failed_payout.ref, moving_payout.ref] == [
        event.ref for event in reversed(shop.webhook_events())
    ]


def test_webhook_of_another_url_is_refused(shop: SandboxHub) -> None:
    """A Square webhook for another URL is refused, because the signature covers the URL."""
    shop.pay()
    options = shop.sandbox.sent[0].arguments()
    verifier = shop.hub.webhooks("main", secrets=shop.sandbox.signature_key)

    strange: dict[str, Any] = {**options, "url": "https://elsewhere.example/webhooks/square"}
    with pytest.raises(WebhookRejected):
        verifier.verify(**strange)
    assert verifier.verify(**options)
    with pytest.raises(WebhookRejected):
        verifier.verify(**options)


# --- what is said ----------------------------------------------------------


@pytest.mark.parametrize("reader", [payment_of, refund_of, dispute_of, payout_of])
@pytest.mark.parametrize(
    "message", [{}, {"id": "x"}, {"status": "PENDING"}, {"id": ["x"]}], ids=str
)
def test_square_response_without_id_or_state_is_read_as_none(
    reader: Callable[[MakeRef, Answer], object], message: Json
) -> None:
    """A Square response that lacks an id or a state is read as None."""
    assert reader(ref, as_answer(message)) is None


def test_refund_of_square_with_a_new_status_has_an_unknown_state() -> None:
    """A refund with a status that moorage does not know is unknown, and keeps the status."""
    refund = refund_of(ref, as_answer({"id": "r1", "status": "PONDERED"}))

    assert refund is not None
    assert (MoveState.UNKNOWN, "PONDERED") == (refund.state, refund.vendor_state)


def payment(**fields: Any) -> Payment:
    """Return the payment read from a Square response with the given fields."""
    default_payment = {
        "id": "p1",
        "status": "COMPLETED",
        "total_money": {"amount": 100, "currency": "EUR"},
    }
    result = payment_of(ref, as_answer({**default_payment, **fields}))
    assert result is not None
    return result


def test_unknown_status_is_kept() -> None:
    """An unknown Square status keeps Square's word, and the payment's totals are None."""
    result = payment(status="TELEPORTED", later={"x": 1})

    assert (PaymentState.UNKNOWN, "TELEPORTED") == (result.state, result.vendor_state)
    assert (None, None) == (result.captured, result.authorized)
    assert {"x": 1} == result.raw["later"]


def test_failed_square_payment_without_error_has_reason_other() -> None:
    """A failed Square payment without an error has the reason "other"."""
    decline = payment(status="FAILED").decline

    assert decline is not None
    assert (DeclineReason.OTHER, None, None) == (
        decline.reason,
        decline.vendor_code,
        decline.vendor_message,
    )


def test_tip_is_part_of_the_captured_amount() -> None:
    """The captured amount of a Square payment includes the tip, and the wallet's name is read."""
    result = payment(
        amount_money={"amount": 90, "currency": "EUR"},
        approved_money={"amount": 90, "currency": "EUR"},
        source_type="WALLET",
        wallet_details={"brand": "PAYPAY"},
    )

    assert Money("1.00", "EUR") == result.captured == result.amount
    assert MeansOfPayment(type="wallet", wallet="PAYPAY") == result.means
    assert payment().means is None


def test_payout_keeps_its_id_and_unknown_word_of_square() -> None:
    """A payout has Square's id; an unknown status keeps Square's word."""
    payout = payout_of(ref, as_answer({"id": "po-1", "status": "TELEPORTED"}))
    assert payout is not None
    assert (ref("po-1"), PayoutState.UNKNOWN, "TELEPORTED") == (
        payout.ref,
        payout.state,
        payout.vendor_state,
    )


def test_dispute_without_a_payment() -> None:
    """A Square dispute or refund without a payment id can be read, and gives no event."""
    dispute = dispute_of(ref, as_answer({"dispute_id": "d", "state": "NEW"}))
    assert dispute is not None
    assert (ref("d"), None, DisputeState.UNKNOWN) == (dispute.ref, dispute.payment, dispute.state)
    for name, event_object in (
        ("dispute", {"id": "d", "state": "LOST"}),
        ("refund", {"id": "r", "status": "PENDING"}),
    ):
        assert () == Square().events(webhook({name: event_object}), ref)


def webhook(data: object) -> WebhookEvent:
    """Return a Square webhook with the given content."""
    return WebhookEvent(vendor="square", id="evt", type="x", vendor_type="x", data=data)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"payment": None}, {"payment": {"id": "x"}}, {"customer": {"id": "C1"}}],
    ids=str,
)
def test_square_webhooks_about_other_things_than_payments_give_no_events(data: object) -> None:
    """Square webhooks about other things than payments give no events."""
    assert () == Square().events(webhook(data), ref)


PAY = Request.post("/v2/payments")
FAILED = {"id": "p1", "status": "FAILED", "card_details": {"errors": [{"code": "CARD_EXPIRED"}]}}


@pytest.mark.parametrize(
    "answer, kind",
    [
        (refusal(400, "INVALID_REQUEST_ERROR", "IDEMPOTENCY_KEY_REUSED"), IdempotencyConflict),
        (refusal(400, "PAYMENT_METHOD_ERROR", "CVV_FAILURE"), PaymentDeclined),
        (refusal(503, "RATE_LIMIT_ERROR", "RATE_LIMITED"), RateLimitExceeded),
        (refusal(400, "API_ERROR", "TEMPORARY_ERROR"), VendorFailed),
        (refusal(400, "EXTERNAL_VENDOR_ERROR", "PLAID_ERROR"), VendorFailed),
        (refusal(400, "AUTHENTICATION_ERROR", "UNAUTHORIZED"), AuthenticationFailed),
        (refusal(500, "INVALID_REQUEST_ERROR", "VALUE_TOO_LONG"), InvalidRequest),
        (refusal(409, "INVALID_REQUEST_ERROR", "CONFLICT"), VendorRejected),
        (refusal(400, "REFUND_ERROR", "REFUND_DECLINED"), VendorRejected),
        (refusal(403, "MERCHANT_SUBSCRIPTION_ERROR", "NEW"), VendorRejected),
        (reply({"payment": FAILED}), PaymentDeclined),
    ],
)
def test_error_code_decides_the_error_class_before_the_status(
    answer: Response, kind: type[Exception]
) -> None:
    """A Square error's class follows from its category and code, or else from the status."""
    assert kind is type(classify(PAY, answer))


@pytest.mark.parametrize(
    "request_, answer",
    [
        (PAY, refusal(400, "NEW_ERROR", "NEW")),
        (PAY, reply({"errors": {}}, 500)),
        (PAY, reply([], 429)),
        (PAY, Response(502, body=b"<html></html>")),
        (PAY, Response(200, body=b"<html></html>")),
        (PAY, reply({"payment": {"status": "COMPLETED"}})),
        (Request.get("/v2/payments/p1"), reply({"payment": FAILED})),
        (Request.post("/v2/payments/p1/cancel"), reply({"payment": FAILED})),
    ],
)
def test_other_errors_are_classified_by_status(request_: Request, answer: Response) -> None:
    """A Square error without a known category is classified by its status."""
    assert classify(request_, answer) is None


def test_failure_at_once_is_a_decline() -> None:
    """A Square payment that fails when it is created is a decline with its reference."""
    error = classify(PAY, reply({"payment": FAILED}))

    assert isinstance(error, PaymentDeclined)
    assert (DeclineReason.EXPIRED_CARD, "CARD_EXPIRED", "p1") == (
        error.reason,
        error.vendor_code,
        error.payment,
    )


def test_error_texts_are_masked() -> None:
    """A card number in a Square error's text is masked, and a long text is cut off."""
    error = {"code": "INVALID_CARD", "detail": f"4111111111111111 {'x' * 999}"}
    decline = decline_of(as_answer(error))

    assert "4111111111111111" not in (decline.vendor_message or "")
    assert len(decline.vendor_message or "") <= 301
