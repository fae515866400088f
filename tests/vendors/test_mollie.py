"""What Mollie is sent, what it answers, what its webhooks mean, and what its sandbox refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
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
    NextActionType,
    PaymentQuery,
    PaymentState,
    RefundReason,
    advance,
    told_buyer,
)
from mooring.contracts.ref import Ref
from mooring.contracts.routes import Account
from mooring.domain.http import Request, Response
from mooring.domain.webhooks.events import WebhookEvent
from mooring.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from mooring.hub import Hub
from mooring.testing.sandbox.base import Lost, SandboxHttpClient, Slow, reply
from mooring.testing.sandbox.mollie import MollieSandbox
from mooring.vendors._mollie_answers import (
    capture_of,
    classify,
    dispute_of,
    money,
    payment_of,
    refund_of,
)
from mooring.vendors._reading import read
from mooring.vendors.mollie import Mollie, amount_body, payment_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mooring.contracts.payments import Payment, PaymentEvent, Refund
    from mooring.faces.payments import Payments
    from tests.support.openapi import Json

EUROS = Money("149.90", "EUR")
PART = Money("100.00", "EUR")
BACK = "https://shop.example/back"
CUSTOMER = Customer(id="cst_sandbox")
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


def ref(id: str, /, **related: str | None) -> Ref:
    """A reference of an account."""
    return Ref("mollie", "main", id, {name: value for name, value in related.items() if value})


def order(source: str | None = "tkn_visa", **fields: Any) -> Charge:
    """An invoice to be paid."""
    return Charge(fields.pop("amount", EUROS), source, reference="INV-2041", **fields)


class Shop:
    """A hub with one account at a sandbox of its own."""

    def __init__(self) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = MollieSandbox(now=lambda: self.time)
        vendor = Mollie(
            credentials=self.sandbox.api_key,
            return_url=BACK,
            webhook_url=self.sandbox.webhook_url,
        )
        account = Account(
            "main", vendor, settings=SETTINGS, webhook_secrets=self.sandbox.webhook_token
        )
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.number = 0

    @property
    def payments(self) -> Payments:
        """The operations."""
        return self.hub.payments()

    def key(self) -> str:
        """A key that was not used."""
        self.number += 1
        return f"k-{self.number}"

    def pay(self, source: str | None = "tkn_visa", **fields: Any) -> Payment:
        """A payment that is taken at once."""
        return self.payments.charge(order(source, **fields), idempotency_key=self.key())

    def hold(self, source: str | None = "tkn_visa", **fields: Any) -> Payment:
        """A payment that is set aside."""
        return self.payments.authorize(order(source, **fields), idempotency_key=self.key())

    def refund(self, payment: Payment, amount: Money | None = None, **fields: Any) -> Refund:
        """Money that goes back."""
        return self.payments.refund(payment.ref, amount, idempotency_key=self.key(), **fields)

    def sent(self) -> Json:
        """The body that was sent last."""
        return json.loads(self.sandbox.asked[-1].body)

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [f"{one.method} {one.path.rpartition('/')[2]}" for one in self.sandbox.asked]

    def news(self) -> list[PaymentEvent]:
        """What all webhooks so far mean, by themselves."""
        verifier = self.hub.webhooks("main")
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.given())
            for event in self.hub.events("main", webhook)
        ]


@pytest.fixture(name="shop")
def _shop() -> Iterator[Shop]:
    """A shop that takes payments by Mollie."""
    shop = Shop()
    with shop.hub:
        yield shop


# --- what is sent ----------------------------------------------------------


def test_a_payment_is_all_that_was_asked_for() -> None:
    """Every field of a charge has its place, and the vendor's own options go in last."""
    vendor = Mollie(return_url=BACK, webhook_url="https://shop.example/hook?token=t0k")
    charge = order(
        customer=Customer(id="cst_1", name="Ada", email="a@b.example", phone="+31", country="nl"),
        return_url="https://shop.example/7",
        description="Chairs",
        metadata={"order": "7"},
        store_method=True,
        extra={"mollie": {"locale": "nl_NL", "metadata": {"order": "8"}}, "adyen": {"x": 1}},
    )

    assert {
        "amount": {"currency": "EUR", "value": "149.90"},
        "description": "Chairs",
        "redirectUrl": "https://shop.example/7",
        "webhookUrl": "https://shop.example/hook?token=t0k",
        "metadata": {"reference": "INV-2041", "order": "8"},
        "method": "creditcard",
        "cardToken": "tkn_visa",
        "customerId": "cst_1",
        "billingAddress": {"email": "a@b.example", "phone": "+31", "country": "NL"},
        "sequenceType": "first",
        "captureMode": "manual",
        "locale": "nl_NL",
    } == payment_body(vendor, charge, captureMode="manual")


@pytest.mark.parametrize(
    "source, fields",
    [
        (None, {}),
        ("ideal", {"method": "ideal"}),
        ("tkn_1", {"method": "creditcard", "cardToken": "tkn_1"}),
        ("mdt_1", {"mandateId": "mdt_1"}),
    ],
)
def test_a_source_goes_where_it_belongs(source: str | None, fields: dict[str, Any]) -> None:
    """Methods, tokens and mandates have a field each; without any the buyer chooses."""
    body = payment_body(Mollie(return_url=BACK), order(source))

    assert fields == {
        name: body[name] for name in ("method", "cardToken", "mandateId") if name in body
    }


@pytest.mark.parametrize(
    "money, value",
    [
        (Money("5", "ISK"), "5"),
        (Money("500", "JPY"), "500"),
        (Money("5", "EUR"), "5.00"),
        (Money("1.230", "BHD"), "1.230"),
    ],
)
def test_amounts_are_written_with_all_their_decimals(money: Money, value: str) -> None:
    """An amount has exactly the decimals that its currency has."""
    assert {"currency": money.currency, "value": value} == amount_body(money)


def test_nobody_is_sent_away_without_a_way_back() -> None:
    """Without a return URL nothing is opened; a buyer who is away needs none."""
    with pytest.raises(InvalidData) as caught:
        payment_body(Mollie(), order())

    assert "return_url" == caught.value.field
    away = order("mdt_1", customer=CUSTOMER, off_session=True)
    assert "redirectUrl" not in payment_body(Mollie(), away)


@pytest.mark.parametrize("wish", ["off_session", "store_method"])
@pytest.mark.parametrize("customer", [None, Customer(email="a@b.example")], ids=["none", "no id"])
def test_what_is_kept_belongs_to_a_customer(wish: str, customer: Customer | None) -> None:
    """A means of payment is kept for, and used of, a customer of Mollie's."""
    fields: dict[str, Any] = {wish: True}
    with pytest.raises(InvalidData) as caught:
        payment_body(Mollie(return_url=BACK), order(customer=customer, **fields))

    assert "customer.id" == caught.value.field


def test_every_request_says_who(shop: Shop) -> None:
    """The key of an effect goes in Mollie's own header, the API key in the usual one."""
    shop.payments.charge(order(), idempotency_key="INV-2041/1")
    headers = shop.sandbox.asked[0].headers

    assert "INV-2041/1" == headers.get("idempotency-key")
    assert f"Bearer {shop.sandbox.api_key}" == headers.get("authorization")


def test_nothing_secret_is_shown() -> None:
    """Neither the API key nor the token of the webhooks' URL is in a repr."""
    vendor = Mollie(credentials="live_secret", webhook_url="https://shop.example/?token=t0k3n")

    assert "live_secret" not in repr(vendor)
    assert "t0k3n" not in repr(vendor)
    assert Mollie().services()[""].needs_credentials


# --- what happens ----------------------------------------------------------


def test_a_buyer_chooses_and_pays(shop: Shop) -> None:
    """A payment without a means leads to Mollie's page, and is complete when the buyer is back."""
    intent = shop.payments.create_intent(order(None), idempotency_key=shop.key())
    action = intent.next_action
    assert action is not None
    assert (PaymentState.REQUIRES_ACTION, NextActionType.REDIRECT) == (intent.state, action.type)
    assert action.expires_at == datetime.fromtimestamp(shop.time + 900, UTC)
    assert str(action.url) not in repr(intent)
    shop.sandbox.visit(str(action.url))

    done = shop.payments.complete(intent.ref, idempotency_key=shop.key())

    assert (PaymentState.CAPTURED, EUROS) == (done.state, done.captured)
    assert done.next_action is None
    assert "INV-2041" == done.reference


@pytest.mark.parametrize(
    "status, reason, code",
    [
        ("canceled", DeclineReason.CANCELED_BY_BUYER, "canceled"),
        ("expired", DeclineReason.OTHER, "expired"),
        ("failed", DeclineReason.DO_NOT_HONOR, "refused_by_issuer"),
    ],
)
def test_a_buyer_comes_back_without_having_paid(
    shop: Shop, status: str, reason: DeclineReason, code: str
) -> None:
    """A payment that ended without success is a decline that says why."""
    payment = shop.pay("ideal")
    shop.sandbox.visit(payment.ref.id, status)

    with pytest.raises(PaymentDeclined) as caught:
        shop.payments.complete(payment.ref, idempotency_key=shop.key())

    assert (reason, code) == (caught.value.reason, caught.value.vendor_code)
    assert str(payment.ref) == caught.value.payment


def test_a_buyer_has_not_decided_yet(shop: Shop) -> None:
    """What is under way is pending until it arrives."""
    payment = shop.pay("banktransfer")
    shop.sandbox.visit(payment.ref.id, "pending")
    waiting = shop.payments.complete(payment.ref, idempotency_key=shop.key())
    shop.sandbox.arrive(payment.ref.id)

    assert PaymentState.PENDING == waiting.state
    assert PaymentState.CAPTURED == shop.payments.get(payment.ref).state


def test_a_card_may_want_to_be_confirmed(shop: Shop) -> None:
    """A card whose bank asks the buyer waits for them; another is paid at once."""
    assert PaymentState.REQUIRES_ACTION == shop.pay("tkn_3dsecure").state
    paid = shop.pay()

    assert PaymentState.CAPTURED == paid.state
    assert (
        MeansOfPayment(type="creditcard", brand="Visa", last4="1005", expires=(2034, 12))
        == paid.means
    )


def test_a_decline_names_its_payment(shop: Shop) -> None:
    """A card that is declined made a payment, which its error names as a whole reference."""
    with pytest.raises(PaymentDeclined) as caught:
        shop.pay("tkn_card_expired")

    assert DeclineReason.EXPIRED_CARD == caught.value.reason
    declined = shop.payments.get(caught.value.payment or "")
    assert PaymentState.FAILED == declined.state
    assert declined.decline is not None
    assert "card_expired" == declined.decline.vendor_code
    assert EUROS == declined.amount


def test_a_means_is_kept_and_used_again(shop: Shop) -> None:
    """The first payment leaves a mandate, by which the buyer who is away pays the next."""
    first = shop.pay(customer=CUSTOMER, store_method=True)
    assert first.means is not None
    mandate = first.means.stored
    assert mandate is not None
    assert mandate not in repr(first)
    again = shop.pay(mandate, customer=CUSTOMER, off_session=True)

    assert PaymentState.CAPTURED == again.state
    assert "redirectUrl" in shop.sent()
    assert ("recurring", mandate) == (shop.sent()["sequenceType"], shop.sent()["mandateId"])


def test_a_debit_takes_its_time(shop: Shop) -> None:
    """A debit by a mandate is under way until it has arrived."""
    debit = shop.pay("directdebit", customer=CUSTOMER, off_session=True)
    shop.sandbox.arrive(debit.ref.id)

    assert PaymentState.PENDING == debit.state
    assert PaymentState.CAPTURED == shop.payments.settle([debit.ref])[0].unwrap().state


def test_parts_are_captured_one_after_another(shop: Shop) -> None:
    """What is not the last capture leaves the rest, and the last one releases it."""
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
    assert [first.ref.id, last.ref.id] == [one.ref.id for one in after.captures]
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


def test_a_capture_whose_release_got_lost_is_repeated_whole(shop: Shop) -> None:
    """Whoever repeats the key captures nothing twice, and the rest is released."""
    held, key = shop.hold(), shop.key()
    shop.sandbox.fail(Slow(0.0), Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(held.ref, PART, idempotency_key=key)
    for _ in range(2):
        capture = shop.payments.capture(held.ref, PART, idempotency_key=key)

        assert PART == capture.amount
    known = shop.payments.get(held.ref)
    assert (PART, Money("0", "EUR")) == (known.captured, known.remaining)
    assert 1 == len(shop.sandbox.captures)


def test_an_open_payment_is_called_off(shop: Shop) -> None:
    """What the buyer has not paid yet is called off, and there is an end of it."""
    payment = shop.pay("ideal")
    void = shop.payments.void(payment.ref, idempotency_key=shop.key())
    assert void.after is not None

    assert (MoveState.SUCCEEDED, PaymentState.VOIDED) == (void.state, void.after.state)


def test_what_was_called_off_is_not_refused(shop: Shop) -> None:
    """Whoever lost the answer that a payment was called off hears it when they ask again."""
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


def test_what_is_paid_is_not_given_up(shop: Shop) -> None:
    """What is past being given up is refused, and a repeat hears the same."""
    payment, key = shop.pay(), shop.key()
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            shop.payments.void(payment.ref, idempotency_key=key)

    assert PaymentState.CAPTURED == shop.payments.get(payment.ref).state


def test_an_answer_that_is_no_end_is_unknown(shop: Shop) -> None:
    """A payment that was called off and is open still is neither."""
    payment = shop.pay("ideal")
    shop.sandbox.fail(reply({"status": 422}, 422), reply(shop.sandbox.payments[payment.ref.id]))

    assert MoveState.UNKNOWN == shop.payments.void(payment.ref, idempotency_key=shop.key()).state


def test_what_is_left_is_given_back(shop: Shop) -> None:
    """Without an amount all that is left goes back, the same however often it is asked."""
    payment = shop.pay()
    shop.refund(payment, PART)
    key = shop.key()
    rest = [shop.payments.refund(payment.ref, idempotency_key=key) for _ in range(2)]

    assert [Money("49.90", "EUR")] * 2 == [one.amount for one in rest]
    assert PaymentState.REFUNDED == shop.payments.get(payment.ref).state
    with pytest.raises(InvalidData):
        shop.refund(payment)


def test_a_refund_says_why(shop: Shop) -> None:
    """The reason stays with us; the buyer, who may see the description, is not told."""
    shop.refund(shop.pay(), PART, reason=RefundReason.FRAUD)

    assert {"reason": "fraud"} == shop.sent()["metadata"]
    assert "fraud" not in shop.sent()["description"]


@pytest.mark.parametrize("success", [True, False])
def test_a_refund_takes_its_time(shop: Shop, success: bool) -> None:  # noqa: FBT001 - both
    """A refund is under way until it has arrived, and may fail."""
    payment = shop.pay()
    refund = shop.refund(payment)
    shop.time += 60
    shop.sandbox.arrive_refund(refund.ref.id, success=success)
    later = shop.payments.get_refund(str(refund.ref))
    known = advance(payment, shop.payments.get(payment.ref))

    assert MoveState.PENDING == refund.state
    assert (MoveState.SUCCEEDED if success else MoveState.FAILED) == later.state
    assert (PaymentState.REFUNDED if success else PaymentState.CAPTURED) == known.state


def test_a_refund_is_found_by_its_payment(shop: Shop) -> None:
    """A refund's bare id does not lead to it, and nothing is asked."""
    with pytest.raises(InvalidData):
        shop.payments.get_refund("mollie:main:re_1")

    assert [] == shop.sandbox.asked


def test_a_chargeback_takes_the_money(shop: Shop) -> None:
    """A payment that was charged back is disputed, until that is reversed."""
    payment = shop.pay()
    shop.time += 60
    chargeback = shop.sandbox.charge_back(payment.ref.id)
    taken = shop.payments.disputes().items[0]
    known = advance(payment, shop.payments.get(payment.ref))
    shop.time += 60
    shop.sandbox.reverse(chargeback)
    back = shop.payments.disputes().items[0]

    assert (DisputeState.LOST, EUROS, "AC01") == (taken.state, taken.amount, taken.reason)
    assert taken.payment == ref(payment.ref.id)
    assert PaymentState.DISPUTED == known.state
    assert DisputeState.WON == back.state
    assert PaymentState.CAPTURED == advance(known, shop.payments.get(payment.ref)).state


def test_payments_are_listed(shop: Shop) -> None:
    """All payments are found page by page, newest first."""
    made = [shop.pay().ref for _ in range(3)]
    query = PaymentQuery(limit=2)
    first = shop.payments.payments(query)
    second = shop.payments.payments(query, after=first.next)

    assert made[::-1] == [one.ref for one in (*first.items, *second.items)]
    assert second.next is None


def test_payments_are_listed_by_time(shop: Shop) -> None:
    """Mollie knows no times to ask by: what is not asked for is left out, and the end found."""
    made = []
    for _ in range(5):
        made.append(shop.pay().ref)
        shop.time += 3600
    moment = datetime.fromtimestamp(shop.time, UTC)
    query = PaymentQuery(
        limit=2, since=moment - timedelta(hours=3), until=moment - timedelta(hours=1)
    )
    pages = [shop.payments.payments(query)]
    while pages[-1].next is not None:
        pages.append(shop.payments.payments(query, after=pages[-1].next))

    assert [made[3], made[2]] == [one.ref for page in pages for one in page.items]
    assert 2 == len(pages)


@pytest.mark.parametrize("body", [{}, {"_embedded": []}, {"_embedded": {"payments": {}}}])
def test_a_list_that_is_none_is_malformed(shop: Shop, body: dict[str, Any]) -> None:
    """An answer without a list is a failure of the vendor."""
    shop.sandbox.fail(reply(body))

    with pytest.raises(VendorFailed):
        shop.payments.payments()


def test_a_link_that_leads_nowhere_ends_a_list(shop: Shop) -> None:
    """What is in a list is read, and a link without an id is no further page."""
    body = {
        "_embedded": {"payments": [None, {}, {"id": "tr_1"}]},
        "_links": {"next": {"href": "http://[elsewhere"}},
    }
    shop.sandbox.fail(reply(body))
    page = shop.payments.payments()

    assert ((), None) == (page.items, page.next)


# --- webhooks --------------------------------------------------------------


def test_a_webhook_means_ask_again(shop: Shop) -> None:
    """What a webhook says by itself changes nothing; followed up, it says what is true."""
    payment = shop.pay("ideal")
    shop.sandbox.visit(payment.ref.id)
    (event,) = shop.news()

    assert (True, None, payment.ref.id) == (event.ask, event.state, event.ref.id)
    assert payment == advance(payment, event)
    told = shop.payments.follow_up(event)
    assert (False, PaymentState.CAPTURED, EUROS) == (told.ask, told.state, told.captured)
    assert (payment.ref, "INV-2041") == (told.ref, told.reference)
    assert PaymentState.CAPTURED == advance(payment, told).state
    asked = len(shop.sandbox.asked)
    assert told == shop.payments.follow_up(told)
    assert asked == len(shop.sandbox.asked)


def test_every_webhook_of_a_payment_is_let_in(shop: Shop) -> None:
    """A payment changes more than once, and its webhooks are all alike: none is a repeat."""
    payment = shop.pay("ideal")
    shop.sandbox.visit(payment.ref.id)
    shop.refund(payment)
    first, second = shop.sandbox.sent

    assert first.body == second.body
    assert [payment.ref.id] * 2 == [event.ref.id for event in shop.news()]


def test_a_stranger_makes_nothing_true(shop: Shop) -> None:
    """Who does not know the token is not heard; who does can only have the truth looked up."""
    payment = shop.pay("ideal")
    shop.sandbox.visit(payment.ref.id, "failed")
    notice = shop.sandbox.sent[-1]
    verifier = shop.hub.webhooks("main")
    strange: dict[str, Any] = {**notice.given(), "url": "https://shop.example/?token=guess"}
    with pytest.raises(WebhookRejected):
        verifier.verify(**strange)

    body = f"id={payment.ref.id}&status=paid".encode()
    forged: dict[str, Any] = {**notice.given(), "body": body}
    (event,) = shop.hub.events("main", verifier.verify(**forged)[0])
    assert PaymentState.FAILED == shop.payments.follow_up(event).state

    unknown: dict[str, Any] = {**notice.given(), "body": b"id=tr_unknown"}
    (event,) = shop.hub.events("main", verifier.verify(**unknown)[0])
    with pytest.raises(VendorRejected):
        shop.payments.follow_up(event)


def test_nothing_but_news_is_followed_up(shop: Shop) -> None:
    """What is no event is refused by name."""
    with pytest.raises(InvalidData):
        shop.payments.follow_up("tr_1")  # type: ignore[arg-type]  # what is refused


def webhook(data: object, payload: object = None) -> WebhookEvent:
    """A webhook with this content."""
    return WebhookEvent(
        vendor="mollie", id="event_1", type="x", vendor_type="x", data=data, payload=payload
    )


@pytest.mark.parametrize(
    "data, payload",
    [
        ({"id": "tr_1"}, {"id": "tr_1"}),
        ({"id": "tr_1"}, {"id": "event_1", "entityId": "tr_1"}),
        (None, {"id": "event_1", "entityId": "tr_1"}),
        ({"id": "re_1", "paymentId": "tr_1"}, {"id": "event_1", "entityId": "re_1"}),
    ],
    ids=["classic", "payment", "without data", "refund"],
)
def test_webhooks_of_either_kind_name_a_payment(data: object, payload: object) -> None:
    """The newer kind names an entity, which is a payment or belongs to one."""
    (event,) = Mollie().events(webhook(data, payload), ref)

    assert ("tr_1", True, "event_1") == (event.ref.id, event.ask, event.id)


def test_the_id_of_a_payment_is_none_of_its_news() -> None:
    """What is the same for all news of a payment does not tell them apart."""
    said = {"id": "tr_1"}
    told = WebhookEvent(
        vendor="mollie-classic", id="tr_1", type="x", vendor_type="x", data=said, payload=said
    )
    (event,) = Mollie().events(told, ref)

    assert (None, "tr_1") == (event.id, event.ref.id)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"id": "ord_1"},
        {"id": "pl_1"},
        {"id": ["tr_1"]},
        {"id": "tr_"},
        {"id": f"tr_{'x' * 65}"},
        {"id": "tr_1/../customers"},
    ],
    ids=str,
)
def test_news_of_nothing_is_none(data: object) -> None:
    """Webhooks of other things, and of none, are no news."""
    assert () == Mollie().events(webhook(data, data), ref)


# --- what is said ----------------------------------------------------------


@pytest.mark.parametrize("reader", [payment_of, capture_of, refund_of, dispute_of])
@pytest.mark.parametrize(
    "said",
    [{}, {"id": "x"}, {"id": "x", "status": "paid"}, {"paymentId": "tr_1"}, {"id": ["x"]}],
    ids=str,
)
def test_what_is_none_is_read_as_none(reader: Callable[..., object], said: Json) -> None:
    """What lacks an id, a status, an amount or its payment is nothing."""
    assert reader(ref, read(said)) is None


def payment(**fields: Any) -> Payment:
    """A payment as Mollie says it."""
    usual = {"id": "tr_1", "status": "paid", "amount": {"currency": "EUR", "value": "149.90"}}
    found = payment_of(ref, read({**usual, **fields}))
    assert found is not None
    return found


def test_what_is_new_is_unknown() -> None:
    """A status that nobody knows is kept in Mollie's words, and nothing is made up of it."""
    found = payment(status="teleported", later={"x": 1})

    assert (PaymentState.UNKNOWN, "teleported") == (found.state, found.vendor_state)
    assert (None, None) == (found.captured, found.authorized)
    assert {"x": 1} == found.raw["later"]


def test_what_waits_without_a_page_is_pending() -> None:
    """A payment that is open and leads nowhere is under way."""
    assert PaymentState.PENDING == payment(status="open").state


def test_what_is_paid_is_captured() -> None:
    """A method that knows no captures says nothing of them; one that does may say less."""
    less = {"currency": "EUR", "value": "100.00"}

    assert EUROS == payment().captured
    assert EUROS == payment(amountCaptured={"currency": "EUR", "value": "0.00"}).captured
    assert (PART, PaymentState.PARTIALLY_CAPTURED) == (
        payment(amountCaptured=less).captured,
        payment(amountCaptured=less).state,
    )


@pytest.mark.parametrize("value", ["149.901", None, "NaN", "9" * 40, {"x": 1}, "", []], ids=str)
def test_an_amount_that_is_none_is_not_made_up(value: object) -> None:
    """What is no exact amount of the currency is none."""
    said = {"amount": {"currency": "EUR", "value": value}}

    assert money(read(said), "amount") is None


@pytest.mark.parametrize(
    "fields, reason, code",
    [
        ({"details": {"failureReason": "invalid_cvv"}}, DeclineReason.INCORRECT_CVC, "invalid_cvv"),
        ({"details": {"bankReasonCode": "AM04"}}, DeclineReason.INSUFFICIENT_FUNDS, "AM04"),
        ({"statusReason": {"code": "odd", "message": "Odd."}}, DeclineReason.OTHER, "odd"),
        ({}, DeclineReason.OTHER, "failed"),
    ],
)
def test_a_failure_says_why(fields: dict[str, Any], reason: DeclineReason, code: str) -> None:
    """The reason is Mollie's, the bank's or the terminal's, whoever says one."""
    decline = payment(status="failed", **fields).decline

    assert decline is not None
    assert (reason, code) == (decline.reason, decline.vendor_code)


def test_words_are_masked() -> None:
    """What a decline quotes is no card's number, and no longer than it must be."""
    details = {"failureMessage": f"4111111111111111 {'x' * 999}"}
    decline = payment(status="failed", details=details).decline

    assert decline is not None
    assert "4111111111111111" not in (decline.vendor_message or "")
    assert len(decline.vendor_message or "") <= 301


def test_a_means_says_what_it_can() -> None:
    """A method without details is just a method, and a masked number ends in what is shown."""
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
def test_an_error_is_what_it_says(
    request_: Request, answer: Response, kind: type[Exception]
) -> None:
    """What an answer says goes before its status: a payment may have ended as it was made."""
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
def test_the_rest_is_left_to_the_status(request_: Request, answer: Response) -> None:
    """A look at what failed is no failure, and what says nothing is what its status says."""
    assert classify(request_, answer) is None


def test_a_second_equal_refund_is_told_as_such(shop: Shop) -> None:
    """A refund that Mollie takes for the same one again is refused, with what to do."""
    payment = shop.pay()
    shop.sandbox.fail(reply({"status": 409, "detail": "Duplicate"}, 409))

    with pytest.raises(VendorRejected) as caught:
        shop.refund(payment, PART)

    assert 409 == caught.value.status
    assert "later" in (caught.value.remedy or "")


@pytest.mark.parametrize("operation", ["capture", "refund"])
@pytest.mark.parametrize("answer", [{}, [], {"id": "x"}, {"paymentId": "tr_1"}], ids=str)
def test_what_is_malformed_is_unknown(shop: Shop, operation: str, answer: Json) -> None:
    """An answer that says success and nothing else is a failure that may have moved money."""
    payment = shop.hold()
    shop.sandbox.fail(reply(answer, 201))

    with pytest.raises(VendorFailed) as caught:
        getattr(shop.payments, operation)(payment.ref, EUROS, idempotency_key=shop.key())

    assert BuyerOutcome.UNKNOWN == told_buyer(caught.value).outcome


def test_tenants_share_no_keys(shop: Shop) -> None:
    """Two tenants' payments with the same key are two payments, though Mollie has one account."""
    payments = [
        shop.hub.payments(tenant).charge(order(), idempotency_key="k-1")
        for tenant in (None, "one", "two", "one")
    ]

    assert payments[1] == payments[3]
    assert 3 == len({str(payment.ref) for payment in payments})


# --- the sandbox -----------------------------------------------------------


def opened(**fields: Any) -> dict[str, Any]:
    """What opens a payment, with something changed."""
    usual = {
        "amount": {"currency": "EUR", "value": "1.00"},
        "description": "Chairs",
        "redirectUrl": BACK,
    }
    whole = {**usual, **fields}
    return {name: value for name, value in whole.items() if value is not None}


def asked(
    sandbox: MollieSandbox, method: str, path: str, body: object = None, **headers: str
) -> Response:
    """What the sandbox answers."""
    fields = {"Authorization": f"Bearer {sandbox.api_key}", **headers}
    http = SandboxHttpClient(sandbox)
    request = Request(method, path, headers=fields)
    if body is not None:
        request = Request.post(path, json=body, headers=fields)
    return http.send(request, f"https://api.mollie.com{path}", Timeouts())


@pytest.mark.parametrize(
    "body, field",
    [
        (opened(amount=None), "amount"),
        (opened(description=None), "description"),
        (opened(redirectUrl=None), "redirectUrl"),
        (opened(description="x" * 256), "description"),
        (opened(descriptoin="x"), "descriptoin"),
        (opened(description=7), "description"),
        (opened(amount={"currency": "EUR", "value": 1}), "amount.value"),
        (opened(amount={"currency": "EUR", "value": "1.0"}), "amount.value"),
        (opened(amount={"currency": "JPY", "value": "1.00"}), "amount.value"),
        (opened(amount={"currency": "EUR", "value": "1,00"}), "amount.value"),
        (opened(amount={"currency": "EUR", "value": "0.00"}), "amount"),
        (opened(amount={"currency": "EUR"}), "amount"),
        (opened(amount={"currency": "XXX", "value": "1.00"}), "amount.currency"),
        (opened(captureMode="later"), "captureMode"),
        (opened(sequenceType="first"), "customerId"),
        (opened(sequenceType="second"), "customerId"),
        (opened(webhookUrl="shop.example"), "webhookUrl"),
        (opened(method="creditcrad"), "method"),
        (opened(method=["ideal", "bitcoins"]), "method"),
        (opened(cardToken="tkn_gold"), "cardToken"),
        (opened(customerId="cst_0"), "customerId"),
        (opened(mandateId="mdt_sandbox"), "mandateId"),
        (opened(billingAddress={"phone": "+31"}), "billingAddress"),
        (
            opened(sequenceType="recurring", customerId="cst_sandbox", cardToken="tkn_visa"),
            "cardToken",
        ),
    ],
)
def test_the_sandbox_refuses_what_mollie_would(body: object, field: str) -> None:
    """What is missing, misspelt or of the wrong shape is refused, and the field named."""
    response = asked(MollieSandbox(), "POST", "/v2/payments", body)

    assert (422, field) == (response.status, response.json()["field"])


def test_the_sandbox_refuses_more() -> None:
    """What is not there, not allowed or not of this world is refused."""
    sandbox = MollieSandbox()
    sandbox.customers.add("cst_new")
    paid = asked(sandbox, "POST", "/v2/payments", opened(method=["ideal", "creditcard"]))
    at = f"/v2/payments/{paid.json()['id']}"
    recurring = opened(sequenceType="recurring", customerId="cst_new")

    assert "https://www.mollie.com/" in str(paid.json()["_links"])
    for status, method, path, body in (
        (404, "GET", "/v2/nothing", None),
        (404, "GET", "/v2/payments/tr_0", None),
        (404, "GET", f"{at}/refunds/re_0", None),
        (400, "GET", f"{at}?embed=everything", None),
        (400, "GET", f"{at}?embde=refunds", None),
        (400, "GET", "/v2/payments?from=tr_0", None),
        (400, "GET", "/v2/payments?limit=0", None),
        (400, "GET", "/v2/payments?limit=all", None),
        (400, "POST", "/v2/payments", []),
        (422, "POST", "/v2/payments", recurring),
        (422, "POST", f"{at}/captures", {}),
        (422, "POST", f"{at}/release-authorization", {}),
        (422, "POST", f"{at}/refunds", {}),
        (422, "POST", f"{at}/refunds", {"amount": {"currency": "EUR", "value": "1.00"}}),
    ):
        assert status == asked(sandbox, method, path, body).status
    assert 401 == asked(sandbox, "GET", at, Authorization="Bearer test_wrong").status
    assert 200 == asked(sandbox, "DELETE", at).status


def test_the_sandbox_keeps_what_it_said() -> None:
    """A key brings the same answer, a refusal too, and no other request."""
    sandbox = MollieSandbox()
    key = {"Idempotency-Key": "k"}
    first = asked(sandbox, "POST", "/v2/payments", opened(), **key)
    again = asked(sandbox, "POST", "/v2/payments", opened(), **key)
    other = asked(sandbox, "POST", "/v2/payments", opened(description="Tables"), **key)
    wrong = {"Idempotency-Key": "w"}
    refused = [asked(sandbox, "POST", "/v2/payments", {}, **wrong) for _ in range(2)]

    assert first.json() == again.json()
    assert "true" == again.headers.get("idempotent-replayed")
    assert 400 == other.status
    assert refused[0].json() == refused[1].json()
    assert 1 == len(sandbox.payments)


def test_more_than_was_set_aside_is_not_captured(shop: Shop) -> None:
    """No more is captured than was authorised, and a wrong credential gets nowhere."""
    held = shop.hold()
    with pytest.raises(InvalidRequest):
        shop.payments.capture(held.ref, EUROS * 2, idempotency_key=shop.key())
    shop.sandbox.api_key = "test_other"
    with pytest.raises(AuthenticationFailed):
        shop.payments.get(held.ref)


def test_a_payment_without_a_place_for_webhooks_sends_none() -> None:
    """Mollie tells only where it was told to."""
    sandbox = MollieSandbox()
    asked(sandbox, "POST", "/v2/payments", opened(method="creditcard", cardToken="tkn_visa"))

    assert [] == sandbox.sent
