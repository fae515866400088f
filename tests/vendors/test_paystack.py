"""Payments by Paystack: pages, authorizations, refunds, lists, disputes and webhooks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import Timeouts
from moorage.contracts.payments import (
    Charge,
    Customer,
    DeclineReason,
    DisputeState,
    Money,
    MoveState,
    NextActionType,
    Payment,
    PaymentEvent,
    PaymentQuery,
    PaymentState,
    Refund,
    RefundReason,
    StoredState,
    advance,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    PaymentDeclined,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.kits._contract_harness import with_body
from moorage.testing.sandboxes.base import (
    AlteredAnswer,
    Lost,
    SandboxHttpClient,
    SlowAnswer,
    reply,
)
from moorage.testing.sandboxes.payments._paystack_rules import CHALLENGED, error
from moorage.testing.sandboxes.payments.paystack import ADA, PaystackSandbox
from moorage.vendor_sdk import Answer, Mode
from moorage.vendors.payments import _paystack_answers as answers
from moorage.vendors.payments.paystack import Paystack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.operations.payments import Payments

NAIRA: Final = Money("1499.50", "NGN")
PART: Final = Money("500.00", "NGN")
DIGEST: Final = sha256(b"\nk-1").hexdigest()


class Shop:
    """A hub with one account at a new Paystack sandbox."""

    def __init__(self) -> None:
        self.time = 1_930_000_000.0
        self.sandbox = PaystackSandbox(now=lambda: self.time)
        vendor = Paystack(
            credentials=self.sandbox.secret_key, return_url="https://shop.example/back"
        )
        settings = {"retry": None, "circuit": None, "volatile_keys": True}
        secret = self.sandbox.secret_key
        account = Account("main", vendor, settings=settings, webhook_secrets=secret)
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))

    @property
    def payments(self) -> Payments:
        """Return the payment operations of the hub."""
        return self.hub.payments()

    def pay(self, key: str = "k-1", **fields: Any) -> Payment:
        """Charge an authorization of Ada."""
        return self.payments.charge(order(**fields), idempotency_key=key)

    def paths(self) -> list[str]:
        """Return the method and the path of each request."""
        return [f"{request.method} {request.path}" for request in self.sandbox.requests]

    def body(self) -> Any:
        """Return the JSON body of the last request."""
        return json.loads(self.sandbox.requests[-1].body)

    def query(self) -> dict[str, str]:
        """Return the query of the last request."""
        return dict(self.sandbox.requests[-1].query)

    def events(self) -> list[PaymentEvent]:
        """Return the events of all webhooks so far."""
        verifier = self.hub.webhooks("main", replay_guard=False)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]


def order(**fields: Any) -> Charge:
    """Return a charge for an invoice of Ada, to be paid with an authorization."""
    values: dict[str, Any] = {
        "amount": NAIRA,
        "source": "AUTH_sandbox",
        "reference": "INV-2041",
        "customer": Customer(email=ADA),
    }
    return Charge(**values | fields)


def make_ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference at an account of Paystack."""
    return Ref("paystack", "main", id, {name: text for name, text in related.items() if text})


@pytest.fixture(name="shop")
def _shop() -> Iterator[Shop]:
    """Return a hub that accepts payments by Paystack."""
    shop = Shop()
    with shop.hub:
        yield shop


# --- payments -------------------------------------------------------------------


def test_request_of_a_charge(shop: Shop) -> None:
    """The reference of a transaction is a digest of the key, and the invoice is in its metadata."""
    payment = shop.pay(metadata={"order": "7"}, extra={"paystack": {"queue": True}})
    body = shop.body()
    metadata = json.loads(body.pop("metadata"))

    assert ["POST /transaction/charge_authorization"] == shop.paths()
    assert {"order": "7", "reference": "INV-2041"} == metadata
    assert {
        "email": ADA,
        "amount": 149_950,
        "currency": "NGN",
        "authorization_code": "AUTH_sandbox",
        "reference": DIGEST,
        "queue": True,
    } == body
    assert (PaymentState.CAPTURED, "success", "INV-2041", NAIRA, NAIRA, NAIRA) == (
        payment.state,
        payment.vendor_state,
        payment.reference,
        payment.amount,
        payment.authorized,
        payment.captured,
    )
    assert payment.means is not None
    assert ("card", "visa", "4081", (2030, 12), "AUTH_sandbox") == (
        payment.means.type,
        payment.means.brand,
        payment.means.last4,
        payment.means.expires,
        payment.means.stored,
    )


def test_intent_is_a_page_for_the_buyer(shop: Shop) -> None:
    """A transaction is paid on Paystack's page, and completed after the buyer's return."""
    intent = shop.payments.create_intent(
        order(source=None, metadata={"order": "7"}), idempotency_key="i-1"
    )

    assert ["POST /transaction/initialize"] == shop.paths()
    assert {
        "email": ADA,
        "amount": 149_950,
        "currency": "NGN",
        "metadata": {"order": "7", "reference": "INV-2041"},
        "callback_url": "https://shop.example/back",
    } == shop.body()
    assert intent.next_action is not None
    assert (PaymentState.REQUIRES_ACTION, "INV-2041", NAIRA, NextActionType.REDIRECT) == (
        intent.state,
        intent.reference,
        intent.amount,
        intent.next_action.type,
    )
    assert intent.next_action.url == f"https://checkout.paystack.com/{intent.client_token}"
    assert PaymentState.REQUIRES_ACTION is shop.payments.get(intent.ref).state

    shop.sandbox.visit(intent.ref.id)
    payment = shop.payments.complete(intent.ref, idempotency_key="i-2")
    assert (PaymentState.CAPTURED, "INV-2041", NAIRA) == (
        payment.state,
        payment.reference,
        payment.captured,
    )
    assert f"GET /transaction/verify/{intent.ref.id}" == shop.paths()[-1]
    assert datetime.fromtimestamp(shop.time, UTC) == payment.created_at


def test_page_may_offer_only_methods_for_later_payments(shop: Shop) -> None:
    """With `store_method`, the page offers only payment methods that Paystack can charge again."""
    intent = shop.payments.create_intent(
        order(source=None, store_method=True), idempotency_key="i-1"
    )
    shop.sandbox.visit(intent.ref.id)

    assert {"reference": "INV-2041", "custom_filters": {"recurring": True}} == shop.body()[
        "metadata"
    ]
    means = shop.payments.get(intent.ref).means
    assert means is not None
    assert means.stored is not None
    later_payment = shop.pay(source=means.stored, off_session=True)
    assert PaymentState.CAPTURED is later_payment.state


def test_page_without_an_own_return_url() -> None:
    """Without a return URL, Paystack uses the one in its dashboard."""
    sandbox = PaystackSandbox()
    settings = {"volatile_keys": True}
    account = Account("main", Paystack(credentials=sandbox.secret_key), settings=settings)
    with Hub([account], http=SandboxHttpClient(sandbox)) as hub:
        hub.payments().create_intent(order(source=None), idempotency_key="i-1")

    assert "callback_url" not in json.loads(sandbox.requests[-1].body)


def test_declined_page_is_a_decline(shop: Shop) -> None:
    """If the buyer's payment on the page fails, its completion raises the decline."""
    intent = shop.payments.create_intent(order(source=None), idempotency_key="i-1")
    shop.sandbox.visit(intent.ref.id, decline="Incorrect PIN")

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(intent.ref, idempotency_key="i-2")
    assert DeclineReason.INCORRECT_PIN == excinfo.value.reason


def test_charge_may_need_a_confirmation(shop: Shop) -> None:
    """If the bank wants a confirmation, the charge returns the page on which the buyer gives it."""
    payment = shop.pay(source=CHALLENGED)

    assert payment.next_action is not None
    assert (PaymentState.REQUIRES_ACTION, DIGEST, NAIRA) == (
        payment.state,
        payment.ref.id,
        payment.amount,
    )
    assert PaymentState.REQUIRES_ACTION is shop.payments.get(payment.ref).state
    shop.sandbox.visit(payment.ref.id)
    assert PaymentState.CAPTURED is shop.payments.get(payment.ref).state
    with pytest.raises(InvalidData, match="is success, so this step is not possible"):
        shop.sandbox.visit(payment.ref.id)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"customer": None}, "customer.email"),
        ({"customer": Customer(id="CUS_1")}, "customer.email"),
        ({"metadata": {"reference": "x"}}, "metadata"),
        ({"amount": Money("500", "JPY")}, "amount"),
        ({"amount": Money("500", "RWF")}, "amount"),
        ({"amount": Money("1.230", "KWD")}, "amount"),
    ],
)
def test_unsuitable_charges_are_not_sent(shop: Shop, fields: dict[str, Any], field: str) -> None:
    """A charge without an email address, or in a currency without a documented unit, is refused."""
    for step in (shop.payments.charge, shop.payments.create_intent):
        with pytest.raises(InvalidData) as excinfo:
            step(order(**fields), idempotency_key="k-1")
        assert field == excinfo.value.field
    assert [] == shop.sandbox.requests


@pytest.mark.parametrize(
    "words, reason",
    [
        ("Account Closed", DeclineReason.ACCOUNT_CLOSED),
        ("Blocked by fraud system", DeclineReason.FRAUD_SUSPECTED),
        ("Denied by Fraud System", DeclineReason.FRAUD_SUSPECTED),
        ("Currency not supported", DeclineReason.CURRENCY_NOT_SUPPORTED),
        ("Duplicate Transaction ID", DeclineReason.DUPLICATE),
        ("Expired card", DeclineReason.EXPIRED_CARD),
        ("Incorrect PIN", DeclineReason.INCORRECT_PIN),
        ("Insufficient funds", DeclineReason.INSUFFICIENT_FUNDS),
        ("Invalid card number", DeclineReason.INCORRECT_NUMBER),
        ("The stars are wrong", DeclineReason.OTHER),
    ],
)
def test_text_of_the_bank_decides_the_decline_reason(
    shop: Shop, words: str, reason: DeclineReason
) -> None:
    """A decline's code is the bank's text, which decides the reason in any case of letters."""
    intent = shop.payments.create_intent(order(source=None), idempotency_key="i-1")
    shop.sandbox.visit(intent.ref.id, decline=words)
    payment = shop.payments.get(intent.ref)

    assert payment.decline is not None
    assert (PaymentState.FAILED, NAIRA * 0, reason, words) == (
        payment.state,
        payment.captured,
        payment.decline.reason,
        payment.decline.vendor_code,
    )


def test_refusal_by_the_processor_is_a_decline(shop: Shop) -> None:
    """A processor's error declines a charge; in other operations it is an invalid request."""
    body = {"status": False, "message": "Expired card", "type": "processor_error", "code": "x"}
    shop.sandbox.fail(reply(body, 400))
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay()

    assert (DeclineReason.EXPIRED_CARD, "x", "Expired card", 400) == (
        excinfo.value.reason,
        excinfo.value.vendor_code,
        excinfo.value.vendor_message,
        excinfo.value.status,
    )
    shop.sandbox.fail(reply({**body, "type": "validation_error"}, 400))
    with pytest.raises(InvalidRequest):
        shop.pay("k-2")
    shop.sandbox.fail(reply(body, 400))
    with pytest.raises(InvalidRequest):
        shop.payments.create_intent(order(source=None), idempotency_key="i-1")


def test_decline_without_words_of_the_bank() -> None:
    """If the bank gives no text, the decline's code is Paystack's message, or else the status."""
    body = {"reference": "r", "status": "failed", "amount": 100, "currency": "NGN"}
    declines = [
        answers.payment_of(make_ref, Answer(body | fields))
        for fields in ({"message": "Insufficient funds"}, {})
    ]

    assert ["Insufficient funds", "failed"] == [
        payment.decline.vendor_code
        for payment in declines
        if payment is not None and payment.decline is not None
    ]


@pytest.mark.parametrize(
    "status, state, is_captured",
    [
        ("abandoned", PaymentState.REQUIRES_ACTION, False),
        ("ongoing", PaymentState.REQUIRES_ACTION, False),
        ("pending", PaymentState.PENDING, False),
        ("processing", PaymentState.PENDING, False),
        ("queued", PaymentState.PENDING, False),
        ("success", PaymentState.CAPTURED, True),
        ("reversed", PaymentState.REFUNDED, True),
        ("failed", PaymentState.FAILED, False),
        ("levitated", PaymentState.UNKNOWN, None),
    ],
)
def test_status_of_a_transaction_becomes_a_state(
    shop: Shop, status: str, state: PaymentState, is_captured: bool | None
) -> None:
    """Each documented status has a state, and an undocumented one is unknown."""
    payment = shop.pay()
    shop.sandbox.transactions[DIGEST]["status"] = status
    current = shop.payments.get(payment.ref)

    expected = None if is_captured is None else NAIRA if is_captured else NAIRA * 0
    assert (state, status, expected, expected) == (
        current.state,
        current.vendor_state,
        current.captured,
        current.authorized,
    )


def test_fees_that_the_buyer_bears_are_captured_too(shop: Shop) -> None:
    """If the buyer bears the fees, more than the requested amount is captured."""
    intent = shop.payments.create_intent(order(source=None), idempotency_key="i-1")
    shop.sandbox.visit(intent.ref.id, fees=10_000)
    payment = shop.payments.get(intent.ref)

    assert (PaymentState.CAPTURED, NAIRA, NAIRA + Money("100.00", "NGN")) == (
        payment.state,
        payment.amount,
        payment.captured,
    )


def test_payment_of_a_part_is_partially_captured() -> None:
    """A transaction below the requested amount, such as a partial debit, is captured in part."""
    body = {"reference": "r", "status": "success", "amount": 50_000, "currency": "NGN"}
    payment = answers.payment_of(make_ref, Answer({**body, "requested_amount": 149_950}))

    assert payment is not None
    assert (PaymentState.PARTIALLY_CAPTURED, NAIRA, PART) == (
        payment.state,
        payment.amount,
        payment.captured,
    )


def test_francs_are_sent_in_hundredths(shop: Shop) -> None:
    """Amounts in West African francs are multiplied by 100, although francs have no decimals."""
    francs = Money("500", "XOF")
    payment = shop.pay(amount=francs)

    assert (50_000, "XOF") == (shop.body()["amount"], shop.body()["currency"])
    assert (francs, francs) == (payment.amount, payment.captured)


@pytest.mark.parametrize(
    "minor, currency", [(50_000, "RWF"), (1_230, "KWD"), (50_050, "XOF"), (1, "XXX"), (1, None)]
)
def test_amount_without_a_documented_unit_is_unknown(minor: int, currency: str | None) -> None:
    """An amount with parts of francs, or in a currency with an undocumented unit, is unknown."""
    body = {"reference": "r", "status": "success", "amount": minor, "currency": currency}
    payment = answers.payment_of(make_ref, Answer(body))

    assert payment is not None
    assert (PaymentState.CAPTURED, None, None) == (payment.state, payment.amount, payment.captured)


@pytest.mark.parametrize(
    "metadata, reference",
    [
        ({"reference": "INV-1"}, "INV-1"),
        ('{"reference": "INV-1"}', "INV-1"),
        ("", None),
        (0, None),
        ("[" * 100_000, None),
        ("[1]", None),
    ],
)
def test_reference_in_the_metadata(metadata: object, reference: str | None) -> None:
    """Metadata as an object or JSON text may have a reference; other metadata is ignored."""
    body = {"reference": "r", "status": "success", "amount": 1, "currency": "NGN"}
    payment = answers.payment_of(make_ref, Answer(body | {"metadata": metadata}))

    assert payment is not None
    assert reference == payment.reference


# --- lost responses -----------------------------------------------------------------


def test_lost_charge_is_looked_up_by_its_reference(shop: Shop) -> None:
    """If Paystack refuses the reference of a repeat, the first transaction is returned."""
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.pay()
    payment = shop.pay()

    charge = "POST /transaction/charge_authorization"
    assert [charge, charge, f"GET /transaction/verify/{DIGEST}"] == shop.paths()
    assert (PaymentState.CAPTURED, DIGEST) == (payment.state, payment.ref.id)
    assert 1 == len(shop.sandbox.transactions)


def test_lost_decline_is_a_decline(shop: Shop) -> None:
    """If the lost response was a decline, the repeat raises the decline."""
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.pay(source="AUTH_insufficient")
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay(source="AUTH_insufficient")

    assert DeclineReason.INSUFFICIENT_FUNDS == excinfo.value.reason
    assert excinfo.value.payment is not None
    assert DIGEST == Ref.parse(excinfo.value.payment).id


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionFailed("Nobody is there.", may_have_been_processed=False),
        error(404, "Transaction not found"),
        error(401, "Invalid key"),
        Response(503),
    ],
    ids=["connection", "missing", "key", "outage"],
)
def test_failed_look_up_leaves_the_outcome_open(
    shop: Shop, failure: Response | ConnectorError
) -> None:
    """A look-up that fails after a refused reference never says that nothing was charged."""
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.pay()
    shop.sandbox.fail(SlowAnswer(0.0), failure)
    with pytest.raises(OutcomeUnknown, match="dashboard"):
        shop.pay()

    assert DIGEST == shop.pay().ref.id
    assert 1 == len(shop.sandbox.transactions)


def test_reference_of_the_caller_is_looked_up(shop: Shop) -> None:
    """A reference in the extra options replaces the digest, for the look-up too."""
    fields: dict[str, Any] = {"extra": {"paystack": {"reference": "INV-2041.1"}}}
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.pay(**fields)

    assert "INV-2041.1" == shop.pay(**fields).ref.id


def test_other_refusal_of_a_charge_is_not_looked_up(shop: Shop) -> None:
    """A charge that Paystack refuses for another reason raises an error without a look-up."""
    with pytest.raises(InvalidRequest, match="may be inactive"):
        shop.pay(source="AUTH_unknown")

    assert ["POST /transaction/charge_authorization"] == shop.paths()


@pytest.mark.parametrize("number", [1, 60])
def test_lost_refund_is_found_by_its_note(shop: Shop, number: int) -> None:
    """A repeat of a lost refund sends nothing, and finds the refund in the list since the payment.

    Args:
        shop: the hub.
        number: number of the refunds that were made before.
    """
    payment = shop.pay()
    for index in range(number):
        shop.payments.refund(payment.ref, Money("1.00", "NGN"), idempotency_key=f"r-{index}")
    shop.sandbox.fail(Lost())
    with pytest.raises(OutcomeUnknown):
        shop.payments.refund(payment.ref, PART, idempotency_key="lost")
    for index in range(60 - number):
        key = f"s-{index}"
        shop.payments.refund(payment.ref, Money("1.00", "NGN"), idempotency_key=key)
    sent = len(shop.sandbox.requests)
    refund = shop.payments.refund(payment.ref, PART, idempotency_key="lost")

    assert (PART, payment.ref) == (refund.amount, refund.payment)
    assert 61 == len(shop.sandbox.refunds)
    pages = 1 if number == 60 else 2
    assert [f"GET /transaction/verify/{DIGEST}", *["GET /refund"] * pages] == shop.paths()[sent:]
    assert {
        "perPage": "50",
        "page": str(pages),
        "from": datetime.fromtimestamp(shop.time, UTC).isoformat(),
    } == shop.query()


def test_refund_that_is_not_listed_stays_unknown(shop: Shop) -> None:
    """A repeated refund is never sent again, even if Paystack lists no refund with its note."""
    payment = shop.pay()
    shop.payments.refund(payment.ref, PART, idempotency_key="other")
    failure = ConnectionFailed("It was cut.", may_have_been_processed=True)
    shop.sandbox.fail(failure)
    with pytest.raises(OutcomeUnknown):
        shop.payments.refund(payment.ref, PART, idempotency_key="lost")
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            shop.payments.refund(payment.ref, PART, idempotency_key="lost")

    assert 1 == len(shop.sandbox.refunds)


# --- refunds ------------------------------------------------------------------------


def test_request_of_a_refund(shop: Shop) -> None:
    """A refund names the transaction, and its note is a digest of the key after the reason."""
    payment = shop.pay()
    refund = shop.payments.refund(
        payment.ref, PART, reason=RefundReason.DUPLICATE, idempotency_key="r-1"
    )
    mark = sha256(b"\nr-1").hexdigest()

    assert "POST /refund" == shop.paths()[-1]
    assert {
        "transaction": DIGEST,
        "merchant_note": f"duplicate {mark}",
        "amount": 50_000,
        "currency": "NGN",
    } == shop.body()
    now = datetime.fromtimestamp(shop.time, UTC)
    assert (MoveState.PENDING, "pending", PART, payment.ref, now) == (
        refund.state,
        refund.vendor_state,
        refund.amount,
        refund.payment,
        refund.at,
    )
    shop.sandbox.settle()
    current = shop.payments.get_refund(refund.ref)
    assert f"GET /refund/{refund.ref.id}" == shop.paths()[-1]
    assert current.payment is not None
    assert (MoveState.SUCCEEDED, PART, DIGEST, "NGN", now) == (
        current.state,
        current.amount,
        current.payment.id,
        current.payment.other("currency"),
        current.at,
    )
    assert PaymentState.CAPTURED is shop.payments.get(payment.ref).state


def test_refund_without_amount_is_of_the_whole_payment(shop: Shop) -> None:
    """Without an amount, Paystack refunds everything, and reverses the transaction."""
    payment = shop.pay()
    refund = shop.payments.refund(payment.ref, idempotency_key="r-1")
    shop.sandbox.settle()

    assert {"transaction", "merchant_note"} == set(shop.body())
    assert NAIRA == refund.amount
    assert PaymentState.REFUNDED is shop.payments.get(payment.ref).state


@pytest.mark.parametrize(
    "status, state",
    [
        ("pending", MoveState.PENDING),
        ("processing", MoveState.PENDING),
        ("needs-attention", MoveState.PENDING),
        ("processed", MoveState.SUCCEEDED),
        ("failed", MoveState.FAILED),
        ("levitated", MoveState.UNKNOWN),
    ],
)
def test_status_of_a_refund_becomes_a_state(shop: Shop, status: str, state: MoveState) -> None:
    """Each documented status of a refund has a state."""
    refund: Refund = shop.payments.refund(shop.pay().ref, PART, idempotency_key="r-1")
    shop.sandbox.settle(status)

    assert state is shop.payments.get_refund(refund.ref).state


# --- lists, disputes and authorizations ---------------------------------------------------


def test_list_is_filtered_and_paged(shop: Shop) -> None:
    """A list has the payments of its period page by page, latest first."""
    refs = []
    for number in range(3):
        refs.append(shop.pay(f"k-{number}").ref.id)
        shop.time += 3_600
    now = datetime.fromtimestamp(shop.time, UTC)
    query = PaymentQuery(since=now - timedelta(hours=2), until=now, limit=1)
    page = shop.payments.payments(query)

    assert {
        "perPage": "1",
        "page": "1",
        "from": query.since and query.since.isoformat(),
        "to": now.isoformat(),
    } == shop.query()
    assert [refs[2]] == [payment.ref.id for payment in page.items]
    assert ["INV-2041"] == [payment.reference for payment in page.items]
    page = shop.payments.payments(query, after=page.next)
    assert "2" == shop.query()["page"]
    assert ([refs[1]], None) == ([payment.ref.id for payment in page.items], page.next)
    late_query = PaymentQuery(until=now - timedelta(hours=1))
    assert [refs[1], refs[0]] == [item.ref.id for item in shop.payments.payments(late_query).items]


def test_page_is_at_most_the_documented_one(shop: Shop) -> None:
    """A page has at most Paystack's default size; an invalid page reference is the first page."""
    shop.payments.payments(PaymentQuery(limit=500), after=make_ref("x"))

    assert 50 == Paystack.limits["page"]
    assert {"perPage": "50", "page": "1"} == shop.query()


def test_dispute_is_listed_and_looked_up(shop: Shop) -> None:
    """A dispute has its payment, amount, reason and deadline."""
    id_ = shop.sandbox.dispute(shop.pay().ref.id)
    (listed_dispute,) = shop.payments.disputes().items
    dispute = shop.payments.get_dispute(make_ref(id_))
    now = datetime.fromtimestamp(shop.time, UTC)

    assert ["GET /dispute", f"GET /dispute/{id_}"] == shop.paths()[-2:]
    assert listed_dispute == dispute
    assert dispute.payment is not None
    assert (DisputeState.NEEDS_RESPONSE, DIGEST, "NGN", NAIRA, "chargeback") == (
        dispute.state,
        dispute.payment.id,
        dispute.payment.other("currency"),
        dispute.amount,
        dispute.reason,
    )
    assert (now + timedelta(hours=16), now) == (dispute.respond_by, dispute.created_at)


@pytest.mark.parametrize(
    "status, resolution, state",
    [
        ("awaiting-merchant-feedback", None, DisputeState.NEEDS_RESPONSE),
        ("awaiting-bank-feedback", None, DisputeState.UNDER_REVIEW),
        ("pending", None, DisputeState.UNKNOWN),
        ("archived", None, DisputeState.CLOSED),
        ("resolved", "merchant-accepted", DisputeState.ACCEPTED),
        ("resolved", "auto-accepted", DisputeState.ACCEPTED),
        ("resolved", "declined", DisputeState.CLOSED),
        ("resolved", "levitated", DisputeState.UNKNOWN),
        ("resolved", None, DisputeState.UNKNOWN),
    ],
)
def test_resolution_of_a_dispute_becomes_its_state(
    shop: Shop, status: str, resolution: str | None, state: DisputeState
) -> None:
    """A resolved dispute has the state of its resolution."""
    id_ = shop.sandbox.dispute(shop.pay().ref.id)
    shop.sandbox.disputes[id_] |= {"status": status, "resolution": resolution}
    dispute = shop.payments.get_dispute(make_ref(id_))

    assert (state, status) == (dispute.state, dispute.vendor_state)


def test_only_reusable_authorizations_are_listed(shop: Shop) -> None:
    """Only reusable authorizations are listed; removing one twice is not an error."""
    shop.sandbox.store(ADA, "AUTH_once", reusable=False)
    means = {item.ref.id: item for item in shop.payments.stored_means(ADA).items}

    assert "GET /customer/ada%40erp.example" == shop.paths()[-1]
    assert "AUTH_once" not in means
    stored = means["AUTH_sandbox"]
    assert stored.means is not None
    assert (StoredState.STORED, ADA, "AUTH_sandbox") == (
        stored.state,
        stored.customer,
        stored.means.stored,
    )
    for key in ("m-1", "m-2"):
        removed = shop.payments.remove_means(stored.ref, idempotency_key=key)
        assert (StoredState.REMOVED, stored.ref) == (removed.state, removed.ref)
    assert "POST /customer/authorization/deactivate" == shop.paths()[-1]
    assert {"authorization_code": "AUTH_sandbox"} == shop.body()
    assert "AUTH_sandbox" not in {item.ref.id for item in shop.payments.stored_means(ADA).items}
    shop.sandbox.fail(error(401, "Invalid key"))
    with pytest.raises(AuthenticationFailed):
        shop.payments.remove_means(stored.ref, idempotency_key="m-3")


# --- errors and modes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer, kind",
    [
        (error(400, "amount is invalid", "invalid_params"), InvalidRequest),
        (error(422, "amount is invalid", "invalid_params"), InvalidRequest),
        (error(401, "Invalid key"), AuthenticationFailed),
        (error(403, "Not allowed"), AuthenticationFailed),
        (error(404, "Not found"), VendorRejected),
        (error(429, "Rate limit exceeded!", "rate_limited"), RateLimitExceeded),
        (Response(500), VendorFailed),
    ],
)
def test_each_error_has_its_class(shop: Shop, answer: Response, kind: type[ConnectorError]) -> None:
    """The status of an error response decides the error class of a charge."""
    shop.sandbox.fail(answer)
    with pytest.raises(ConnectorError) as excinfo:
        shop.pay()

    assert kind is type(excinfo.value)


def test_look_up_of_an_unknown_transaction_is_rejected(shop: Shop) -> None:
    """Looking up an unknown reference, which Paystack answers with 400, raises VendorRejected."""
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.get(make_ref("unknown"))

    assert (VendorRejected, "transaction_not_found") == (
        type(excinfo.value),
        excinfo.value.vendor_code,
    )


@pytest.mark.parametrize("body", [b"{}", b'{"status": true, "data": {"reference": "x"}}'])
def test_unreadable_answers_are_failures(shop: Shop, body: bytes) -> None:
    """A successful response without its object is a failure of Paystack."""
    payments, ref = shop.payments, shop.pay().ref
    steps: tuple[Callable[[], object], ...] = (
        partial(payments.get, ref),
        partial(payments.create_intent, order(source=None), idempotency_key="i-1"),
        partial(payments.charge, order(), idempotency_key="k-2"),
        payments.payments,
        payments.disputes,
    )
    for step in steps:
        shop.sandbox.fail(AlteredAnswer(partial(with_body, body)))
        with pytest.raises(VendorFailed):
            step()
    shop.sandbox.fail(AlteredAnswer(partial(with_body, body)))
    with pytest.raises(OutcomeUnknown):
        payments.refund(ref, PART, idempotency_key="r-1")


@pytest.mark.parametrize(
    "key, mode", [("sk_live_1", Mode.LIVE), ("sk_test_1", Mode.TEST), ("another", None)]
)
def test_prefix_of_the_key_decides_the_mode(key: str, mode: Mode | None) -> None:
    """The prefix of the secret key decides between live and test mode."""
    assert mode is Paystack(credentials=key).mode()


# --- webhooks -----------------------------------------------------------------------------


def test_events_of_a_payment(shop: Shop) -> None:
    """A payment's webhook contains the payment; a refund's webhook requires a look-up."""
    intent = shop.payments.create_intent(order(source=None), idempotency_key="i-1")
    shop.sandbox.visit(intent.ref.id)
    shop.payments.refund(intent.ref, idempotency_key="r-1")
    shop.sandbox.settle()
    paid, requested, refunded = shop.events()

    assert ["charge.success", "refund.pending", "refund.processed"] == [
        event.vendor_type for event in (paid, requested, refunded)
    ]
    assert (False, PaymentState.CAPTURED, NAIRA, "INV-2041") == (
        paid.ask,
        paid.state,
        paid.captured,
        paid.reference,
    )
    assert (True, None, "processed", intent.ref.id, "NGN") == (
        refunded.ask,
        refunded.state,
        refunded.vendor_state,
        refunded.ref.id,
        refunded.ref.other("currency"),
    )
    payment = advance(intent, paid)
    assert PaymentState.CAPTURED is payment.state
    followed = shop.payments.follow_up(refunded)
    assert PaymentState.REFUNDED is advance(payment, followed).state


@pytest.mark.parametrize("status", ["processing", "needs-attention", "failed"])
def test_each_refund_event_requires_a_look_up(shop: Shop, status: str) -> None:
    """Each documented webhook of a refund gives an event that requires a look-up of the payment."""
    shop.payments.refund(shop.pay().ref, PART, idempotency_key="r-1")
    shop.sandbox.settle(status)

    assert (f"refund.{status}", True) == (shop.events()[-1].vendor_type, shop.events()[-1].ask)


@pytest.mark.parametrize(
    "resolution, state, payment_state",
    [
        ("auto-accepted", DisputeState.ACCEPTED, PaymentState.DISPUTED),
        ("declined", DisputeState.CLOSED, None),
    ],
)
def test_events_of_a_dispute(
    shop: Shop, resolution: str, state: DisputeState, payment_state: PaymentState | None
) -> None:
    """A payment is disputed as soon as Paystack has reversed its transaction."""
    id_ = shop.sandbox.dispute(shop.pay().ref.id)
    shop.sandbox.resolve(id_, resolution)
    opening_event, resolution_event = shop.events()[1:]

    assert opening_event.dispute is not None
    assert resolution_event.dispute is not None
    assert (id_, DIGEST, None, DisputeState.NEEDS_RESPONSE) == (
        opening_event.dispute.ref.id,
        opening_event.ref.id,
        opening_event.state,
        opening_event.dispute.state,
    )
    assert datetime.fromtimestamp(shop.time, UTC) == opening_event.dispute.created_at
    assert (payment_state, state) == (resolution_event.state, resolution_event.dispute.state)


@pytest.mark.parametrize(
    "name, data",
    [
        ("transfer.success", {"reference": "r", "status": "success", "amount": 1}),
        ("charge.dispute.remind", {"id": 1, "status": "awaiting-merchant-feedback"}),
        ("charge.success", {"reference": "r"}),
        ("refund.processed", {"status": "processed"}),
    ],
)
def test_webhooks_without_a_payment_give_no_event(
    shop: Shop, name: str, data: dict[str, Any]
) -> None:
    """A webhook of another object, or without the payment, gives no event."""
    webhook = WebhookEvent(vendor="paystack", id="1", type=name, vendor_type=name, data=data)

    assert () == shop.hub.events("main", webhook)


def test_reminder_of_a_dispute_is_an_event(shop: Shop) -> None:
    """The event of a reminder contains the dispute."""
    id_ = shop.sandbox.dispute(shop.pay().ref.id)
    shop.sandbox.remind(id_)

    assert "charge.dispute.remind" == shop.events()[-1].vendor_type
    assert shop.events()[-1].dispute is not None


# --- the sandbox ----------------------------------------------------------------------------


def answer_of(sandbox: PaystackSandbox, path: str, body: object = None, key: str = "") -> Response:
    """Return the sandbox's response to a request."""
    headers = {"Authorization": f"Bearer {key or sandbox.secret_key}"}
    if body is None:
        request = Request.get(path, headers=headers)
    else:
        request = Request.post(path, json=body, headers=headers)
    return SandboxHttpClient(sandbox).send(request, f"https://api.paystack.co{path}", Timeouts())


CHARGE: Final = {"email": ADA, "amount": 100, "authorization_code": "AUTH_sandbox"}


@pytest.mark.parametrize(
    "path, body, status, message",
    [
        ("/transaction/charge_authorization", [], 400, "not a JSON object"),
        ("/transaction/charge_authorization", {"email": ADA}, 400, "amount is required"),
        ("/transaction/charge_authorization", CHARGE | {"amount": "1"}, 400, "amount is invalid"),
        ("/transaction/charge_authorization", CHARGE | {"amount": -1}, 400, "positive integer"),
        ("/transaction/charge_authorization", CHARGE | {"email": "ada"}, 400, "Invalid Email"),
        ("/transaction/charge_authorization", CHARGE | {"colour": "x"}, 400, "colour is invalid"),
        (
            "/transaction/charge_authorization",
            CHARGE | {"metadata": {}},
            400,
            "metadata is invalid",
        ),
        ("/transaction/charge_authorization", CHARGE | {"reference": "a b"}, 400, "character"),
        ("/transaction/charge_authorization", CHARGE | {"currency": "JPY"}, 400, "not supported"),
        ("/transaction/initialize", {"email": ADA, "amount": 1, "metadata": "x"}, 400, "metadata"),
        ("/refund", {"transaction": "r"}, 404, "Transaction not found"),
        ("/refund/1", None, 404, "Refund not found"),
        ("/dispute/1", None, 404, "Dispute not found"),
        ("/customer/bob@erp.example", None, 404, "Customer not found"),
        ("/customer/authorization/deactivate", {"authorization_code": "x"}, 404, "not found"),
        ("/nothing", None, 404, "There is no"),
        ("/refund?page=x", None, 400, "cannot be read"),
    ],
)
def test_sandbox_refuses_wrong_requests(path: str, body: object, status: int, message: str) -> None:
    """The sandbox refuses what Paystack documents as wrong."""
    response = answer_of(PaystackSandbox(), path, body)

    assert status == response.status
    assert message in response.json()["message"]


def test_sandbox_refuses_refunds_in_the_wrong_state() -> None:
    """The sandbox refunds only successful transactions, and no more than their amounts."""
    sandbox = PaystackSandbox()
    sandbox.store(ADA, "AUTH_once", reusable=False)
    assert (
        400
        == answer_of(
            sandbox,
            "/transaction/charge_authorization",
            CHARGE | {"authorization_code": "AUTH_once"},
        ).status
    )
    open_one = answer_of(sandbox, "/transaction/initialize", {"email": ADA, "amount": 100}).json()
    paid_one = answer_of(sandbox, "/transaction/charge_authorization", CHARGE).json()
    open_id, paid_id = open_one["data"]["reference"], paid_one["data"]["reference"]

    assert 400 == answer_of(sandbox, "/refund", {"transaction": open_id}).status
    for fields, status in (
        ({"currency": "USD"}, 400),
        ({"amount": 101}, 400),
        ({"amount": 40}, 200),
        ({}, 400),
        ({"amount": 60}, 200),
    ):
        refund = {"transaction": paid_id, **fields}
        assert status == answer_of(sandbox, "/refund", refund).status
    sandbox.settle()
    second_refund = answer_of(sandbox, "/refund", {"transaction": paid_id, "amount": 1})
    assert "transaction_reversed" == second_refund.json()["code"]
    assert 401 == answer_of(sandbox, "/refund", key="wrong").status
    assert reply({}).status == answer_of(sandbox, "/refund").status
