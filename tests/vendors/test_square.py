"""What Square is sent, what it answers, what its webhooks mean, and what its sandbox refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from mooring import Timeouts
from mooring.contracts.payments import (
    BuyerOutcome,
    Charge,
    Customer,
    DeclineReason,
    DisputeState,
    MeansOfPayment,
    Money,
    MoveState,
    PaymentQuery,
    PaymentState,
    PayoutState,
    RefundReason,
    Unsettled,
    advance,
    told_buyer,
)
from mooring.contracts.ref import Ref
from mooring.contracts.routes import Account
from mooring.domain.http import Request, Response
from mooring.domain.retry import RetryPolicy
from mooring.domain.webhooks.events import WebhookEvent
from mooring.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    PaymentDeclined,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from mooring.hub import Hub
from mooring.testing.sandbox.base import Lost, SandboxHttpClient, Slow, reply
from mooring.testing.sandbox.square import SquareSandbox
from mooring.vendors._reading import read
from mooring.vendors._square_answers import (
    classify,
    decline_of,
    dispute_of,
    payment_of,
    payout_of,
    refund_of,
)
from mooring.vendors.square import API_VERSION, Square, amount_body, payment_body
from tests.vendors.subjects.square import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mooring.contracts.payments import Payment, PaymentEvent, Refund
    from mooring.contracts.vendor import MakeRef
    from mooring.faces.payments import Payments
    from mooring.vendors._reading import Answer
    from tests.support.openapi import Json

EUROS = Money("149.90", "EUR")
PART = Money("100.00", "EUR")
CUSTOMER = Customer(id="CUSTOMER0SANDBOX")
SETTINGS: dict[str, Any] = {"retry": None, "circuit": None, "volatile_keys": True}


def ref(id: str, /, **related: str | None) -> Ref:
    """A reference of an account."""
    return Ref("square", "main", id, {name: value for name, value in related.items() if value})


def order(source: str = "cnon:card-nonce-ok", **fields: Any) -> Charge:
    """An invoice to be paid."""
    given: dict[str, Any] = {"amount": EUROS, "reference": "INV-2041", **fields}
    return Charge(source=source, **given)


class Shop:
    """A hub with one account at a sandbox of its own."""

    def __init__(self, **settings: Any) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = SquareSandbox(now=lambda: self.time)
        vendor = Square(credentials=self.sandbox.access_token, location_id=self.sandbox.location_id)
        account = Account("main", vendor, settings={**SETTINGS, **settings})
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self._numbers = count(1)

    @property
    def payments(self) -> Payments:
        """The operations."""
        return self.hub.payments()

    def key(self) -> str:
        """A key that was not used."""
        return f"k-{next(self._numbers)}"

    def pay(self, source: str = "cnon:card-nonce-ok", **fields: Any) -> Payment:
        """A payment that is taken at once."""
        return self.payments.charge(order(source, **fields), idempotency_key=self.key())

    def hold(self) -> Payment:
        """A payment that is set aside."""
        return self.payments.authorize(order(), idempotency_key=self.key())

    def refund(self, payment: Payment, amount: Money | None = None, **fields: Any) -> Refund:
        """Money that goes back."""
        return self.payments.refund(payment.ref, amount, idempotency_key=self.key(), **fields)

    def sent(self) -> Json:
        """The body that was sent last."""
        return json.loads(self.sandbox.asked[-1].body)

    def news(self) -> list[PaymentEvent]:
        """What all webhooks so far mean."""
        verifier = self.hub.webhooks("main", secrets=self.sandbox.signature_key)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.given())
            for event in self.hub.events("main", webhook)
        ]

    def told(self, payment: Payment) -> Payment:
        """A payment after all news of it."""
        for event in self.news():
            if event.ref.id == payment.ref.id:
                payment = advance(payment, event)
        return payment


@pytest.fixture(name="shop")
def _shop() -> Iterator[Shop]:
    """A shop that takes payments by Square."""
    shop = Shop()
    with shop.hub:
        yield shop


# --- what is sent ----------------------------------------------------------


def test_a_payment_is_all_that_was_asked_for() -> None:
    """Every field of a charge has its place, and the vendor's own options go in last."""
    charge = order(
        "ccof:1",
        customer=Customer(id="C1", email="a@b.example", phone="+14155550100"),
        description="Chairs",
        statement_descriptor="ACME",
        metadata={"order": "7", "shop": "Pier"},
        off_session=True,
        extra={"square": {"customer_details": {"seller_keyed_in": False}}, "adyen": {"x": 1}},
    )

    assert {
        "source_id": "ccof:1",
        "amount_money": {"amount": 14990, "currency": "EUR"},
        "autocomplete": False,
        "reference_id": "INV-2041",
        "location_id": "L1",
        "note": "Chairs\norder: 7\nshop: Pier",
        "statement_description_identifier": "ACME",
        "customer_id": "C1",
        "buyer_email_address": "a@b.example",
        "buyer_phone_number": "+14155550100",
        "customer_details": {"customer_initiated": False, "seller_keyed_in": False},
    } == payment_body(Square(location_id="L1"), charge, autocomplete=False)


def test_what_is_not_said_is_not_sent() -> None:
    """A charge that says no more than it must sends no more."""
    assert {
        "source_id": "cnon:1",
        "amount_money": {"amount": 14990, "currency": "EUR"},
        "autocomplete": True,
        "reference_id": "INV-2041",
    } == payment_body(Square(), order("cnon:1"), autocomplete=True)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"reference": "x" * 41}, "reference"),
        ({"statement_descriptor": "x" * 21}, "statement_descriptor"),
        ({"description": "x" * 501}, "description"),
        ({"metadata": {"order": "x" * 500}}, "description"),
    ],
)
def test_what_is_too_long_is_refused(fields: dict[str, Any], field: str) -> None:
    """Nothing is cut off that Square would not take whole."""
    with pytest.raises(InvalidData) as caught:
        payment_body(Square(), order(**fields), autocomplete=True)

    assert field == caught.value.field


@pytest.mark.parametrize("customer", [None, Customer(email="a@b.example")], ids=["none", "no id"])
def test_a_card_that_is_kept_belongs_to_a_customer(customer: Customer | None) -> None:
    """A card on file is used of a customer of Square's."""
    with pytest.raises(InvalidData) as caught:
        payment_body(Square(), order("ccof:1", customer=customer), autocomplete=True)

    assert "customer.id" == caught.value.field


@pytest.mark.parametrize(
    "money, minor", [(Money("500", "JPY"), 500), (Money("1.5", "USD"), 150)], ids=str
)
def test_amounts_are_written_in_the_smallest_unit(money: Money, minor: int) -> None:
    """Amounts are whole numbers of what the currency has no smaller of."""
    assert {"amount": minor, "currency": money.currency} == amount_body(money)


def test_every_request_says_who_and_which_version(shop: Shop) -> None:
    """The version is pinned, and the key of an effect stands in the body, not in a header."""
    shop.payments.charge(order(), idempotency_key="INV-2041/1")
    headers = shop.sandbox.asked[0].headers

    assert API_VERSION == headers.get("square-version") == Square.api_version
    assert f"Bearer {shop.sandbox.access_token}" == headers.get("authorization")
    assert headers.get("idempotency-key") is None
    assert "INV-2041/1" == shop.sent()["idempotency_key"]


def test_a_long_key_is_told_by_its_digest(shop: Shop) -> None:
    """Square knows keys of 45 characters; a longer one is told as so many of its digest."""
    for key in ("k" * 45, "k" * 46, "k" * 47):
        shop.payments.charge(order(), idempotency_key=key)
    first, second, third = (json.loads(one.body)["idempotency_key"] for one in shop.sandbox.asked)

    assert "k" * 45 == first
    assert 45 == len(second) == len(third)
    assert 3 == len({first, second, third})


def test_no_option_replaces_a_key(shop: Shop) -> None:
    """The key that an effect has is the one that Square is told."""
    shop.payments.charge(
        order(extra={"square": {"idempotency_key": "mine"}}), idempotency_key="INV-2041/1"
    )

    assert "INV-2041/1" == shop.sent()["idempotency_key"]


def test_a_limit_says_when_to_come_back(shop: Shop) -> None:
    """Square's own limit tells how long it lasts."""
    answer = says(429, "RATE_LIMIT_ERROR", "RATE_LIMITED")
    shop.sandbox.fail(answer.evolve(headers={**dict(answer.headers), "Retry-After": "7"}))

    with pytest.raises(RateLimitExceeded) as caught:
        shop.pay()

    assert "RATE_LIMITED" == caught.value.vendor_code
    assert caught.value.retry_at is not None


def test_tenants_share_no_keys(shop: Shop) -> None:
    """Two tenants' payments with the same key are two payments, though Square has one account."""
    payments = [
        shop.hub.payments(tenant).charge(order(), idempotency_key="k-1")
        for tenant in (None, "one", "two", "one")
    ]

    assert payments[1] == payments[3]
    assert 3 == len({str(payment.ref) for payment in payments})


def test_nothing_secret_is_shown() -> None:
    """No access token is in a repr."""
    assert "EAAA-1" not in repr(Square(credentials="EAAA-1"))
    assert Square().services()[""].needs_credentials


# --- what happens ----------------------------------------------------------


def test_a_payment_says_what_it_was(shop: Shop) -> None:
    """What was paid with, how it is called and since when it is true are read."""
    paid = shop.pay("ccof:customer-card-id-ok", customer=CUSTOMER)

    assert (
        MeansOfPayment(
            type="card",
            brand="VISA",
            last4="5858",
            expires=(2034, 12),
            stored="ccof:customer-card-id-ok",
        )
        == paid.means
    )
    assert ("INV-2041", datetime.fromtimestamp(shop.time, UTC)) == (paid.reference, paid.as_of)
    assert "ccof" not in repr(paid)


@pytest.mark.parametrize(
    "source, reason",
    [
        ("cnon:card-nonce-rejected-cvv", DeclineReason.INCORRECT_CVC),
        ("cnon:card-nonce-rejected-expiration", DeclineReason.INVALID_EXPIRY),
        ("cnon:card-nonce-rejected-postalcode", DeclineReason.INCORRECT_ADDRESS),
        ("ccof:customer-card-id-requires-verification", DeclineReason.AUTHENTICATION_REQUIRED),
        ("cnon:sandbox-BAD_MOOD", DeclineReason.OTHER),
    ],
)
def test_a_decline_names_its_payment(shop: Shop, source: str, reason: DeclineReason) -> None:
    """A declined payment is named by its whole reference, and says why when it is looked at."""
    with pytest.raises(PaymentDeclined) as caught:
        shop.pay(source, customer=CUSTOMER)

    assert reason == caught.value.reason
    declined = shop.payments.get(caught.value.payment or "")
    assert PaymentState.FAILED == declined.state
    assert declined.decline is not None
    assert (reason, caught.value.vendor_code) == (
        declined.decline.reason,
        declined.decline.vendor_code,
    )


@pytest.mark.parametrize("success", [True, False])
def test_a_debit_takes_its_time(shop: Shop, success: bool) -> None:  # noqa: FBT001 - both
    """A debit is under way until it has arrived, or has come back."""
    debit = shop.pay("bnon:bank-nonce-ok")
    shop.time += 60
    shop.sandbox.arrive(debit.ref.id, success=success)
    known = shop.payments.get(debit.ref)

    assert PaymentState.PENDING == debit.state
    assert (PaymentState.CAPTURED if success else PaymentState.FAILED) == known.state
    assert success or (
        known.decline is not None and DeclineReason.INSUFFICIENT_FUNDS == known.decline.reason
    )
    assert known.state == shop.told(debit).state


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

    assert ["POST", "GET", "PUT", "POST"] == [one.method for one in shop.sandbox.asked]
    assert {"amount_money": {"amount": 10000, "currency": "EUR"}} == (
        json.loads(shop.sandbox.asked[2].body)["payment"]
    )
    known = shop.payments.get(held.ref)
    assert (EUROS, PART, Money("0", "EUR")) == (known.amount, known.captured, known.remaining)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_capture_whose_answer_was_lost_is_done_once(shop: Shop, lost: int) -> None:
    """Whichever answer was lost, whoever repeats the key hears that it is done."""
    held, key = shop.hold(), shop.key()
    shop.sandbox.fail(*[Slow(0.0)] * (lost - 1), Lost())
    with pytest.raises(ConnectionFailed) as caught:
        shop.payments.capture(held.ref, PART, idempotency_key=key)
    assert BuyerOutcome.NOT_ATTEMPTED != told_buyer(caught.value).outcome
    for _ in range(2):
        capture = shop.payments.capture(held.ref, PART, idempotency_key=key)

        assert (MoveState.SUCCEEDED, PART) == (capture.state, capture.amount)


def test_a_lost_answer_is_tried_again_by_itself() -> None:
    """What is harmless to repeat is repeated within the call."""
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


def test_what_somebody_else_captured_is_refused(shop: Shop) -> None:
    """A payment that was completed meanwhile with another amount was not captured by this key."""
    held, key = shop.hold(), shop.key()
    shop.sandbox.fail(Slow(0.0), ConnectionFailed("Nobody is there."))
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(held.ref, idempotency_key=key)
    shop.payments.capture(held.ref, PART, idempotency_key=shop.key())

    with pytest.raises(VendorRejected):
        shop.payments.capture(held.ref, idempotency_key=key)


def test_a_void_lets_go_once(shop: Shop) -> None:
    """What was given up stays given up, whoever asks again; what was taken is not."""
    held = shop.hold()
    void = shop.payments.void(held.ref, idempotency_key=shop.key())
    again = shop.payments.void(held.ref, idempotency_key=shop.key())
    assert void.after is not None

    assert (MoveState.SUCCEEDED, PaymentState.VOIDED) == (void.state, void.after.state)
    assert void == again
    assert b"" == shop.sandbox.asked[1].body
    with pytest.raises(InvalidRequest):
        shop.payments.void(shop.pay().ref, idempotency_key=shop.key())


@pytest.mark.parametrize("verb", ["capture", "void"])
def test_an_answer_that_is_no_end_is_unknown(shop: Shop, verb: str) -> None:
    """A payment that is neither completed nor cancelled after all is neither."""
    held = shop.hold()
    before = [Slow(0.0)] if verb == "capture" else []
    shop.sandbox.fail(*before, reply({"payment": shop.sandbox.payments[held.ref.id]}))
    done = getattr(shop.payments, verb)(held.ref, idempotency_key=shop.key())

    assert MoveState.UNKNOWN == done.state


@pytest.mark.parametrize("success", [True, False])
def test_a_refund_takes_its_time(shop: Shop, success: bool) -> None:  # noqa: FBT001 - both
    """A refund is under way until it has arrived, and may fail."""
    payment = shop.pay()
    refund = shop.refund(payment, PART, reason=RefundReason.REQUESTED_BY_CUSTOMER)
    assert "requested by customer" == shop.sent()["reason"]
    shop.time += 60
    shop.sandbox.settle(success=success)
    later = shop.payments.get_refund(refund.ref)

    assert (MoveState.PENDING, payment.ref) == (refund.state, refund.payment)
    assert (MoveState.SUCCEEDED if success else MoveState.FAILED) == later.state
    known = shop.payments.get(payment.ref)
    assert (PART if success else Money("0", "EUR")) == known.refunded
    told = shop.told(payment)
    assert (known.state, known.refunded) == (told.state, told.refunded)


def test_what_is_left_is_given_back(shop: Shop) -> None:
    """Without an amount all that is left goes back, the same however often it is asked."""
    payment = shop.pay()
    shop.refund(payment, PART)
    shop.sandbox.settle()
    key = shop.key()
    rest = [shop.payments.refund(payment.ref, idempotency_key=key) for _ in range(2)]
    shop.sandbox.settle()

    assert [Money("49.90", "EUR")] * 2 == [one.amount for one in rest]
    assert PaymentState.REFUNDED == shop.payments.get(payment.ref).state
    with pytest.raises(InvalidData):
        shop.refund(payment)


def test_what_is_not_captured_is_not_given_back(shop: Shop) -> None:
    """Square's own word for it is kept."""
    with pytest.raises(VendorRejected) as caught:
        shop.refund(shop.hold(), PART)

    assert "REFUND_ERROR_PAYMENT_NEEDS_COMPLETION" == caught.value.vendor_code


def test_payments_are_listed(shop: Shop) -> None:
    """All payments are found page by page, newest first."""
    assert ((), None) == (shop.payments.payments().items, shop.payments.payments().next)
    made = []
    for _ in range(5):
        made.append(shop.pay().ref)
        shop.time += 3600
    moment = datetime.fromtimestamp(shop.time, UTC)
    query = PaymentQuery(
        limit=2, since=moment - timedelta(hours=4), until=moment - timedelta(hours=1)
    )
    first = shop.payments.payments(query)
    second = shop.payments.payments(query, after=first.next)

    assert [made[3], made[2], made[1]] == [one.ref for one in (*first.items, *second.items)]
    asked = dict(shop.sandbox.asked[-1].query)
    assert ("DESC", "2", shop.sandbox.location_id) == (
        asked["sort_order"],
        asked["limit"],
        asked["location_id"],
    )


@pytest.mark.parametrize("operation", ["payments", "disputes", "payouts"])
def test_a_list_that_is_none_is_malformed(shop: Shop, operation: str) -> None:
    """A list that is something else is a failure of the vendor; what is no item is left out."""
    shop.sandbox.fail(reply({operation: {}}), reply({operation: [None, {}, {"id": "x"}]}))
    with pytest.raises(VendorFailed):
        getattr(shop.payments, operation)()

    assert () == getattr(shop.payments, operation)().items


def test_a_dispute_is_won(shop: Shop) -> None:
    """A disputed payment is what it was before once the dispute is won."""
    payment = shop.pay()
    shop.time += 60
    key = shop.sandbox.dispute(payment.ref.id)
    disputed = shop.told(payment)
    dispute = shop.payments.disputes().items[0]
    shop.time += 60
    shop.sandbox.decide(key, "WON")

    assert (PaymentState.DISPUTED, DisputeState.NEEDS_RESPONSE) == (disputed.state, dispute.state)
    assert (EUROS, ref(payment.ref.id)) == (dispute.amount, dispute.payment)
    assert datetime.fromtimestamp(shop.time - 60, UTC) + timedelta(days=10) == dispute.respond_by
    assert PaymentState.CAPTURED == shop.told(disputed).state


def test_an_inquiry_is_no_dispute_yet(shop: Shop) -> None:
    """A bank that only asks has taken nothing back."""
    payment = shop.pay()
    shop.sandbox.dispute(payment.ref.id, "INQUIRY_EVIDENCE_REQUIRED")
    event = shop.news()[-1]

    assert event.dispute is not None
    assert (DisputeState.INQUIRY, None) == (event.dispute.state, event.state)


def test_payouts_are_told(shop: Shop) -> None:
    """Money on its way to our bank is listed, and told."""
    shop.sandbox.pay_out(10_000, "EUR")
    shop.sandbox.pay_out(500, "JPY", "FAILED")
    failed, moving = shop.payments.payouts().items

    assert (PayoutState.IN_TRANSIT, PART) == (moving.state, moving.amount)
    assert (PayoutState.FAILED, Money("500", "JPY")) == (failed.state, failed.amount)
    assert moving.arrives is not None
    assert [failed.ref, moving.ref] == [event.ref for event in reversed(shop.news())]


def test_a_stranger_is_not_believed(shop: Shop) -> None:
    """The URL is signed too: what was meant for another place is not for us."""
    shop.pay()
    given = shop.sandbox.sent[0].given()
    verifier = shop.hub.webhooks("main", secrets=shop.sandbox.signature_key)

    strange: dict[str, Any] = {**given, "url": "https://elsewhere.example/webhooks/square"}
    with pytest.raises(WebhookRejected):
        verifier.verify(**strange)
    assert verifier.verify(**given)
    with pytest.raises(WebhookRejected):
        verifier.verify(**given)


def test_what_was_lost_is_settled(shop: Shop) -> None:
    """A payment whose answer was lost is asked for again under its key, and declined if it was."""
    shop.sandbox.fail(Lost())
    declined = order("cnon:card-nonce-declined")
    with pytest.raises(ConnectionFailed):
        shop.payments.charge(declined, idempotency_key="k")
    (result,) = shop.payments.settle([Unsettled(charge=declined, idempotency_key="k")])

    assert isinstance(result.error, PaymentDeclined)
    assert 1 == len(shop.sandbox.payments)


# --- what is said ----------------------------------------------------------


@pytest.mark.parametrize("reader", [payment_of, refund_of, dispute_of, payout_of])
@pytest.mark.parametrize("said", [{}, {"id": "x"}, {"status": "PENDING"}, {"id": ["x"]}], ids=str)
def test_what_is_none_is_read_as_none(
    reader: Callable[[MakeRef, Answer], object], said: Json
) -> None:
    """What has no id or no state is nothing."""
    assert reader(ref, read(said)) is None


def payment(**fields: Any) -> Payment:
    """A payment as Square says it."""
    usual = {"id": "p1", "status": "COMPLETED", "total_money": {"amount": 100, "currency": "EUR"}}
    found = payment_of(ref, read({**usual, **fields}))
    assert found is not None
    return found


def test_what_is_new_is_unknown() -> None:
    """A status that nobody knows is kept in Square's words, and nothing is made up of it."""
    found = payment(status="TELEPORTED", later={"x": 1})

    assert (PaymentState.UNKNOWN, "TELEPORTED") == (found.state, found.vendor_state)
    assert (None, None) == (found.captured, found.authorized)
    assert {"x": 1} == found.raw["later"]


def test_a_failure_without_an_error_says_no_reason() -> None:
    """A payment that failed for no reason that is told failed for another."""
    decline = payment(status="FAILED").decline

    assert decline is not None
    assert (DeclineReason.OTHER, None, None) == (
        decline.reason,
        decline.vendor_code,
        decline.vendor_message,
    )


def test_a_tip_is_captured_too() -> None:
    """What was taken is the whole, and a wallet is named."""
    found = payment(
        amount_money={"amount": 90, "currency": "EUR"},
        approved_money={"amount": 90, "currency": "EUR"},
        source_type="WALLET",
        wallet_details={"brand": "PAYPAY"},
    )

    assert Money("1.00", "EUR") == found.captured == found.amount
    assert MeansOfPayment(type="wallet", wallet="PAYPAY") == found.means
    assert payment().means is None


def test_a_dispute_may_name_no_payment() -> None:
    """A dispute and a refund without a payment are read, and are no news of one."""
    dispute = dispute_of(ref, read({"dispute_id": "d", "state": "NEW"}))
    assert dispute is not None
    assert (None, DisputeState.UNKNOWN) == (dispute.payment, dispute.state)
    for name, thing in (
        ("dispute", {"id": "d", "state": "LOST"}),
        ("refund", {"id": "r", "status": "PENDING"}),
    ):
        assert () == Square().events(webhook({name: thing}), ref)


def webhook(data: object) -> WebhookEvent:
    """A webhook about this."""
    return WebhookEvent(vendor="square", id="evt", type="x", vendor_type="x", data=data)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"payment": None}, {"payment": {"id": "x"}}, {"customer": {"id": "C1"}}],
    ids=str,
)
def test_news_of_nothing_is_none(data: object) -> None:
    """Webhooks of other things, and of none, are no news."""
    assert () == Square().events(webhook(data), ref)


PAY = Request.post("/v2/payments")
FAILED = {"id": "p1", "status": "FAILED", "card_details": {"errors": [{"code": "CARD_EXPIRED"}]}}


@pytest.mark.parametrize(
    "answer, kind",
    [
        (says(400, "INVALID_REQUEST_ERROR", "IDEMPOTENCY_KEY_REUSED"), IdempotencyConflict),
        (says(400, "PAYMENT_METHOD_ERROR", "CVV_FAILURE"), PaymentDeclined),
        (says(503, "RATE_LIMIT_ERROR", "RATE_LIMITED"), RateLimitExceeded),
        (says(400, "API_ERROR", "TEMPORARY_ERROR"), VendorFailed),
        (says(400, "EXTERNAL_VENDOR_ERROR", "PLAID_ERROR"), VendorFailed),
        (says(400, "AUTHENTICATION_ERROR", "UNAUTHORIZED"), AuthenticationFailed),
        (says(500, "INVALID_REQUEST_ERROR", "VALUE_TOO_LONG"), InvalidRequest),
        (says(409, "INVALID_REQUEST_ERROR", "CONFLICT"), VendorRejected),
        (says(400, "REFUND_ERROR", "REFUND_DECLINED"), VendorRejected),
        (says(403, "MERCHANT_SUBSCRIPTION_ERROR", "NEW"), VendorRejected),
        (reply({"payment": FAILED}), PaymentDeclined),
    ],
)
def test_an_error_is_what_it_says(answer: Response, kind: type[Exception]) -> None:
    """Category and code go before the status, and a success may be none."""
    assert kind is type(classify(PAY, answer))


@pytest.mark.parametrize(
    "request_, answer",
    [
        (PAY, says(400, "NEW_ERROR", "NEW")),
        (PAY, reply({"errors": {}}, 500)),
        (PAY, reply([], 429)),
        (PAY, Response(502, body=b"<html></html>")),
        (PAY, Response(200, body=b"<html></html>")),
        (PAY, reply({"payment": {"status": "COMPLETED"}})),
        (Request.get("/v2/payments/p1"), reply({"payment": FAILED})),
        (Request.post("/v2/payments/p1/cancel"), reply({"payment": FAILED})),
    ],
)
def test_the_rest_is_left_to_the_status(request_: Request, answer: Response) -> None:
    """What has no known category is what its status says; a look at what failed is no failure."""
    assert classify(request_, answer) is None


def test_a_failure_at_once_is_a_decline() -> None:
    """A payment that was made and has failed already is a decline that names it."""
    error = classify(PAY, reply({"payment": FAILED}))

    assert isinstance(error, PaymentDeclined)
    assert (DeclineReason.EXPIRED_CARD, "CARD_EXPIRED", "p1") == (
        error.reason,
        error.vendor_code,
        error.payment,
    )


def test_words_are_masked() -> None:
    """What an error quotes is no card's number, and no longer than it must be."""
    error = {"code": "INVALID_CARD", "detail": f"4111111111111111 {'x' * 999}"}
    decline = decline_of(read(error))

    assert "4111111111111111" not in (decline.vendor_message or "")
    assert len(decline.vendor_message or "") <= 301


@pytest.mark.parametrize("answer", [{}, [], {"payment": []}, {"payment": {"id": "x"}}], ids=str)
@pytest.mark.parametrize("verb", ["charge", "void", "refund"])
def test_what_is_malformed_is_unknown(shop: Shop, verb: str, answer: Json) -> None:
    """An answer that says success and nothing else is a failure that may have moved money."""
    given = (order(),) if verb == "charge" else (shop.hold().ref,)
    if verb == "refund":
        given = (*given, PART)
    shop.sandbox.fail(reply(answer))

    with pytest.raises(VendorFailed) as caught:
        getattr(shop.payments, verb)(*given, idempotency_key=shop.key())

    assert BuyerOutcome.UNKNOWN == told_buyer(caught.value).outcome


# --- the sandbox -----------------------------------------------------------


def asked(
    sandbox: SquareSandbox, method: str, path: str, body: object = None, **headers: str
) -> Response:
    """What the sandbox answers."""
    fields = {
        "Authorization": f"Bearer {sandbox.access_token}",
        "Square-Version": API_VERSION,
        **headers,
    }
    request = Request(method, path, headers=fields)
    if body is not None:
        make = Request.put if method == "PUT" else Request.post
        request = make(path, json=body, headers=fields)
    url = f"https://connect.squareup.com{path}"
    return SandboxHttpClient(sandbox).send(request, url, Timeouts())


def paying(**fields: Any) -> dict[str, Any]:
    """What makes a payment, with something changed."""
    usual = {
        "idempotency_key": "k",
        "source_id": "cnon:card-nonce-ok",
        "amount_money": {"amount": 100, "currency": "EUR"},
    }
    whole = {**usual, **fields}
    return {name: value for name, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    "body, code",
    [
        ([], "EXPECTED_OBJECT"),
        (paying(source_id=None), "MISSING_REQUIRED_PARAMETER"),
        (paying(idempotency_key=None), "MISSING_REQUIRED_PARAMETER"),
        (paying(amount_money=None), "MISSING_REQUIRED_PARAMETER"),
        (paying(amount_money={"amount": 100}), "MISSING_REQUIRED_PARAMETER"),
        (paying(amount_money={"amount": "100", "currency": "EUR"}), "INCORRECT_TYPE"),
        (paying(amount_money={"amount": True, "currency": "EUR"}), "INCORRECT_TYPE"),
        (paying(amount_money={"amount": 0, "currency": "EUR"}), "VALUE_TOO_LOW"),
        (paying(amount_money={"amount": 100, "currency": "EURO"}), "INVALID_ENUM_VALUE"),
        (paying(amount_money=100), "EXPECTED_OBJECT"),
        (paying(idempotency_key="k" * 46), "VALUE_TOO_LONG"),
        (paying(idempotency_key=""), "VALUE_EMPTY"),
        (paying(reference_id=7), "EXPECTED_STRING"),
        (paying(refrence_id="x"), "UNKNOWN_BODY_PARAMETER"),
        (paying(customer_details={"x": 1}), "UNKNOWN_BODY_PARAMETER"),
        (paying(customer_id="C0"), "CUSTOMER_NOT_FOUND"),
        (paying(source_id="ccof:customer-card-id-ok"), "MISSING_REQUIRED_PARAMETER"),
        (paying(location_id="L0"), "INVALID_LOCATION"),
        (paying(source_id="cnon:gold"), "NOT_FOUND"),
    ],
)
def test_the_sandbox_refuses_what_square_would(body: object, code: str) -> None:
    """What is missing, misspelt, too long or of the wrong type is refused by Square's code."""
    response = asked(SquareSandbox(), "POST", "/v2/payments", body)

    assert code == response.json()["errors"][0]["code"]
    assert response.status in {400, 404}


def test_the_sandbox_refuses_more() -> None:
    """What is not there, not allowed or not in this state is refused."""
    sandbox = SquareSandbox()
    held = asked(sandbox, "POST", "/v2/payments", paying(autocomplete=False)).json()["payment"]
    at = f"/v2/payments/{held['id']}"
    tip = paying(idempotency_key="t", tip_money={"amount": 5, "currency": "EUR"})
    assert (
        105
        == asked(sandbox, "POST", "/v2/payments", tip).json()["payment"]["total_money"]["amount"]
    )
    euro = {"amount": 101, "currency": "EUR"}

    for code, method, path, body in (
        ("NOT_FOUND", "GET", "/v2/nothing", None),
        ("NOT_FOUND", "GET", "/v2/payments/p0", None),
        ("NOT_FOUND", "GET", "/v2/refunds/r0", None),
        ("UNKNOWN_QUERY_PARAMETER", "GET", "/v2/payments?since=1", None),
        ("UNKNOWN_QUERY_PARAMETER", "GET", "/v2/disputes?limit=1", None),
        ("INVALID_CURSOR", "GET", "/v2/payments?cursor=x", None),
        ("INVALID_CURSOR", "GET", "/v2/payments?limit=101", None),
        ("INVALID_TIME", "GET", "/v2/payments?begin_time=yesterday", None),
        ("UNKNOWN_BODY_PARAMETER", "POST", f"{at}/complete", {"x": 1}),
        ("UNKNOWN_BODY_PARAMETER", "POST", f"{at}/cancel", {}),
        ("NO_FIELDS_SET", "PUT", at, {"idempotency_key": "1"}),
        ("VALUE_TOO_HIGH", "PUT", at, {"idempotency_key": "2", "payment": {"amount_money": euro}}),
        (
            "CURRENCY_MISMATCH",
            "PUT",
            at,
            {
                "idempotency_key": "3",
                "payment": {"amount_money": {"amount": 1, "currency": "USD"}},
            },
        ),
    ):
        assert code == asked(sandbox, method, path, body).json()["errors"][0]["code"]
    assert 401 == asked(sandbox, "GET", at, Authorization="Bearer EAAA-wrong").status
    assert 400 == asked(sandbox, "GET", at, **{"Square-Version": "latest"}).status


def test_the_sandbox_keeps_what_it_said() -> None:
    """A key brings the same answer, a refusal too, and no other request."""
    sandbox = SquareSandbox()
    first, again = (asked(sandbox, "POST", "/v2/payments", paying()) for _ in range(2))
    other = asked(sandbox, "POST", "/v2/payments", paying(note="x"))
    wrong = paying(idempotency_key="w", location_id="L0")
    refused = [asked(sandbox, "POST", "/v2/payments", wrong) for _ in range(2)]

    assert first.json() == again.json()
    assert "IDEMPOTENCY_KEY_REUSED" == other.json()["errors"][0]["code"]
    assert refused[0].json() == refused[1].json()
    assert 1 == len(sandbox.payments)
