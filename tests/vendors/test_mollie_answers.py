"""Mollie's responses: payments, errors and lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import DeclineReason, MeansOfPayment, PaymentQuery, PaymentState
from moorage.domain.http.requests import Request, Response
from moorage.errors import (
    IdempotencyConflict,
    IdempotencyInProgress,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import reply
from moorage.vendor_sdk import as_answer
from moorage.vendors.payments._mollie_answers import (
    capture_of,
    classify,
    dispute_of,
    money,
    payment_of,
    refund_of,
)
from tests.vendors.mollie_account import EUROS, PART, SandboxHub, ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.contracts.payments import Payment
    from tests.support.openapi import Json


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Mollie."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def payment(**fields: Any) -> Payment:
    """Return the payment read from a Mollie response with the given fields."""
    default_payment = {
        "id": "tr_1",
        "status": "paid",
        "amount": {"currency": "EUR", "value": "149.90"},
    }
    result = payment_of(ref, as_answer({**default_payment, **fields}))
    assert result is not None
    return result


@pytest.mark.parametrize("reader", [payment_of, capture_of, refund_of, dispute_of])
@pytest.mark.parametrize(
    "message",
    [{}, {"id": "x"}, {"id": "x", "status": "paid"}, {"paymentId": "tr_1"}, {"id": ["x"]}],
    ids=str,
)
def test_incomplete_answers_are_none(reader: Callable[..., object], message: Json) -> None:
    """A Mollie response that lacks an id, status, amount or payment is read as None."""
    assert reader(ref, as_answer(message)) is None


def test_unknown_status_is_kept() -> None:
    """An unknown Mollie status keeps Mollie's word, and the payment's totals are None."""
    result = payment(status="teleported", later={"x": 1})

    assert (PaymentState.UNKNOWN, "teleported") == (result.state, result.vendor_state)
    assert (None, None) == (result.captured, result.authorized)
    assert {"x": 1} == result.raw["later"]


def test_open_payment_without_a_page_is_pending() -> None:
    """An open Mollie payment without a payment page is pending."""
    assert PaymentState.PENDING == payment(status="open").state


def test_paid_mollie_payment_is_captured() -> None:
    """A paid Mollie payment is captured, or partly captured if its captures say so."""
    smaller_amount = {"currency": "EUR", "value": "100.00"}

    assert EUROS == payment().captured
    assert EUROS == payment(amountCaptured={"currency": "EUR", "value": "0.00"}).captured
    assert (PART, PaymentState.PARTIALLY_CAPTURED) == (
        payment(amountCaptured=smaller_amount).captured,
        payment(amountCaptured=smaller_amount).state,
    )


@pytest.mark.parametrize("value", ["149.901", None, "NaN", "9" * 40, {"x": 1}, "", []], ids=str)
def test_amount_of_mollie_that_is_not_exact_in_its_currency_is_read_as_none(value: object) -> None:
    """An amount of Mollie that is not exact in its currency is read as None."""
    fields = {"amount": {"currency": "EUR", "value": value}}

    assert money(as_answer(fields), "amount") is None


@pytest.mark.parametrize(
    "fields, reason, code",
    [
        ({"details": {"failureReason": "invalid_cvv"}}, DeclineReason.INCORRECT_CVC, "invalid_cvv"),
        ({"details": {"bankReasonCode": "AC01"}}, DeclineReason.INCORRECT_NUMBER, "AC01"),
        ({"details": {"bankReasonCode": "AC04"}}, DeclineReason.ACCOUNT_CLOSED, "AC04"),
        ({"details": {"bankReasonCode": "AM04"}}, DeclineReason.INSUFFICIENT_FUNDS, "AM04"),
        ({"statusReason": {"code": "odd", "message": "Odd."}}, DeclineReason.OTHER, "odd"),
        ({}, DeclineReason.OTHER, "failed"),
    ],
)
def test_decline_reason_comes_from_mollie_the_bank_or_the_terminal(
    fields: dict[str, Any], reason: DeclineReason, code: str
) -> None:
    """The reason of a failed Mollie payment comes from Mollie, the bank or the terminal."""
    decline = payment(status="failed", **fields).decline

    assert decline is not None
    assert (reason, code) == (decline.reason, decline.vendor_code)


def test_decline_texts_are_masked() -> None:
    """A card number in a Mollie decline's text is masked, and a long text is cut off."""
    details = {"failureMessage": f"4111111111111111 {'x' * 999}"}
    decline = payment(status="failed", details=details).decline

    assert decline is not None
    assert "4111111111111111" not in (decline.vendor_message or "")
    assert len(decline.vendor_message or "") <= 301


def test_payment_method_details() -> None:
    """A Mollie payment method has the details that Mollie gives."""
    assert MeansOfPayment(type="ideal") == payment(method="ideal").means
    details = {"cardNumber": "6703********5678", "cardExpiryDate": "soon", "wallet": "applepay"}
    means = payment(method="bancontact", details=details).means
    assert means is not None
    assert ("5678", None, "applepay") == (means.last4, means.expires, means.wallet)


PAY, BACK_AGAIN = Request.post("/v2/payments"), Request.post("/v2/payments/tr_1/refunds")


@pytest.mark.parametrize(
    "request_, answer, kind",
    [
        (PAY, reply({"detail": "Idempotency key reused"}, 400), IdempotencyConflict),
        (PAY, reply({"detail": "Conflict"}, 409), IdempotencyInProgress),
        (BACK_AGAIN, reply({"detail": "Duplicate refund"}, 409), VendorRejected),
        (PAY, reply({"id": "tr_1", "status": "failed"}, 201), PaymentDeclined),
        (PAY, reply({"id": "tr_1", "status": "canceled"}, 201), PaymentDeclined),
    ],
)
def test_error_bodies_come_before_the_status(
    request_: Request, answer: Response, kind: type[Exception]
) -> None:
    """A Mollie error's class follows from its body, or else from the status."""
    assert kind is type(classify(request_, answer))


@pytest.mark.parametrize(
    "request_, answer",
    [
        (PAY, reply({"detail": "The amount is missing"}, 400)),
        (PAY, Response(404, body=b"<html></html>")),
        (PAY, Response(201, body=b"<html></html>")),
        (PAY, reply([{"status": "failed"}], 201)),
        (PAY, reply({"status": "open"}, 201)),
        (Request.get("/v2/payments/tr_1"), reply({"status": "failed"})),
        (Request.get("/v2/payments"), reply({"status": "failed"})),
        (BACK_AGAIN, reply({"status": "failed"}, 201)),
    ],
)
def test_other_mollie_answers_are_classified_by_status(request_: Request, answer: Response) -> None:
    """A response about a failed payment is not an error; an unknown error is read by its status."""
    assert classify(request_, answer) is None


def test_payments_are_listed(shop: SandboxHub) -> None:
    """All Mollie payments are listed page by page, newest first."""
    payments = [shop.pay().ref for _ in range(3)]
    query = PaymentQuery(limit=2)
    first = shop.payments.payments(query)
    second = shop.payments.payments(query, after=first.next)

    assert payments[::-1] == [item.ref for item in (*first.items, *second.items)]
    assert second.next is None


def test_payments_are_listed_by_time(shop: SandboxHub) -> None:
    """Payments outside the period are dropped, since Mollie has no time filter."""
    refs = []
    for _ in range(5):
        refs.append(shop.pay().ref)
        shop.time += 3600
    moment = datetime.fromtimestamp(shop.time, UTC)
    query = PaymentQuery(
        limit=2, since=moment - timedelta(hours=3), until=moment - timedelta(hours=1)
    )
    pages = [shop.payments.payments(query)]
    while pages[-1].next is not None:
        pages.append(shop.payments.payments(query, after=pages[-1].next))

    assert [refs[3], refs[2]] == [item.ref for page in pages for item in page.items]
    assert 2 == len(pages)


@pytest.mark.parametrize("body", [{}, {"_embedded": []}, {"_embedded": {"payments": {}}}])
def test_mollie_response_without_list_is_malformed(shop: SandboxHub, body: dict[str, Any]) -> None:
    """A Mollie response without a list is malformed."""
    shop.sandbox.fail(reply(body))

    with pytest.raises(VendorFailed):
        shop.payments.payments()


def test_invalid_next_link_ends_a_list(shop: SandboxHub) -> None:
    """A Mollie list with an invalid link to the next page ends there."""
    body = {
        "_embedded": {"payments": [None, {}, {"id": "tr_1"}]},
        "_links": {"next": {"href": "http://[elsewhere"}},
    }
    shop.sandbox.fail(reply(body))
    page = shop.payments.payments()

    assert ((), None) == (page.items, page.next)
