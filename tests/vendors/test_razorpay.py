"""Payments by Razorpay: orders, tokens, captures, refunds, lists, links and error responses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.payments import (
    Customer,
    DeclineReason,
    DisputeState,
    LinkRequest,
    LinkState,
    Money,
    MoveState,
    NextActionType,
    PaymentQuery,
    PaymentState,
    PayoutState,
    RefundReason,
    StoredState,
)
from moorage.contracts.ref import Ref
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    PaymentDeclined,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, reply
from moorage.testing.sandboxes.payments._razorpay_rules import error, invalid_request
from moorage.vendor_sdk import Mode, as_answer
from moorage.vendors.payments import _razorpay_answers as answers
from moorage.vendors.payments.razorpay import Razorpay
from tests.vendors.razorpay_account import ADA, PART, RUPEES, TOKEN, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.domain.http.requests import Response


DINARS = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]
"""Currencies with three decimals."""


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Razorpay."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def decline_of(shop: SandboxHub, token: str) -> PaymentDeclined:
    """Return the decline that charging a token raises; all calls use the same key."""
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(order(source=token), idempotency_key="k")
    return excinfo.value


def test_requests_of_a_charge(shop: SandboxHub) -> None:
    """To charge a token, an order is created, and its payment is captured immediately."""
    payment = shop.pay(metadata={"order": "7"}, extra={"razorpay": {"description": "Masks"}})
    order_id = next(iter(shop.sandbox.orders))
    notes = {"order": "7", "reference": "INV-2041"}

    assert [
        (
            "/v1/orders",
            {"amount": 149900, "currency": "INR", "payment_capture": True, "notes": notes},
        ),
        (
            "/v1/payments/create/recurring",
            {
                "customer_id": "cust_ada",
                "email": "ada@erp.example",
                "contact": "+919000090000",
                "amount": 149900,
                "currency": "INR",
                "order_id": order_id,
                "token": TOKEN,
                "recurring": "1",
                "description": "Masks",
                "notes": notes,
            },
        ),
    ] == shop.writes()
    assert (PaymentState.CAPTURED, "captured", RUPEES) == (
        payment.state,
        payment.vendor_state,
        payment.captured,
    )
    assert payment.means is not None
    assert ("card", "visa", "4366", TOKEN) == (
        payment.means.type,
        payment.means.brand,
        payment.means.last4,
        payment.means.stored,
    )
    assert ("INV-2041", order_id) == (payment.reference, payment.ref.other("order"))


@pytest.mark.parametrize(
    "charge, field",
    [
        ({"customer": None}, "customer.id"),
        ({"customer": Customer(id="cust_ada", phone="+91")}, "customer.email"),
        ({"customer": Customer(id="cust_ada", email="ada@erp.example")}, "customer.phone"),
        ({"amount": Money("1.234", "KWD")}, "amount"),
        ({"metadata": {"reference": "other"}}, "metadata"),
        ({"metadata": {"note": "x" * 257}}, "metadata"),
        ({"metadata": {str(number): "x" for number in range(15)}}, "metadata"),
    ],
)
def test_unsuitable_charges_are_not_sent(
    shop: SandboxHub, charge: dict[str, Any], field: str
) -> None:
    """A charge that Razorpay would refuse is refused before anything is sent."""
    with pytest.raises(InvalidData) as excinfo:
        shop.pay(**charge)

    assert (field, []) == (excinfo.value.field, shop.sandbox.requests)


@pytest.mark.parametrize(
    "amount, minor",
    [
        (Money("295", "JPY"), 295),
        (Money("0.10", "USD"), 10),
        *((Money("99.990", name), 99990) for name in DINARS),
    ],
)
def test_amounts_are_in_minor_units(shop: SandboxHub, amount: Money, minor: int) -> None:
    """Amounts are sent in minor units; dinars have three decimals, the last of which is 0."""
    payment = shop.pay(amount=amount)

    assert (amount, minor) == (payment.amount, shop.writes()[0][1]["amount"])


@pytest.mark.parametrize("currency", DINARS)
def test_third_decimal_of_a_dinar_must_be_zero(shop: SandboxHub, currency: str) -> None:
    """An amount of dinars or rials whose third decimal is not 0 is refused before it is sent."""
    with pytest.raises(InvalidData):
        shop.pay(amount=Money("99.991", currency))

    assert [] == shop.sandbox.requests


@pytest.mark.parametrize(
    "status, state",
    [
        ("created", LinkState.OPEN),
        ("partially_paid", LinkState.PENDING),
        ("paid", LinkState.PAID),
        ("expired", LinkState.EXPIRED),
        ("cancelled", LinkState.CLOSED),
        ("levitated", LinkState.UNKNOWN),
    ],
)
def test_status_of_a_link_has_a_state(shop: SandboxHub, status: str, state: LinkState) -> None:
    """Each known status of a payment link of Razorpay has its state."""
    request = LinkRequest(RUPEES, reference="INV-1")
    link = shop.payments.create_link(request, idempotency_key="l-1")

    def changed(response: Response) -> Response:
        return reply(response.json() | {"status": status})

    shop.sandbox.fail(AlteredAnswer(changed))

    assert state is shop.payments.get_link(link.ref).state


@pytest.mark.parametrize(
    "token, reason",
    [
        ("token_insufficient_funds", DeclineReason.INSUFFICIENT_FUNDS),
        ("token_card_expired", DeclineReason.EXPIRED_CARD),
        ("token_payment_failed", DeclineReason.DO_NOT_HONOR),
    ],
)
def test_declined_token_names_its_payment(
    shop: SandboxHub, token: str, reason: DeclineReason
) -> None:
    """A decline has Razorpay's reason and the failed payment; a repeat raises it again."""
    errors = [decline_of(shop, token) for _ in range(2)]
    (payment_id,) = shop.sandbox.payments

    for decline in errors:
        assert (reason, token.removeprefix("token_")) == (decline.reason, decline.vendor_code)
        assert payment_id == Ref.parse(decline.payment or "").id
    failed = shop.payments.get(errors[0].payment or "")
    assert failed.decline is not None
    assert (PaymentState.FAILED, reason) == (failed.state, failed.decline.reason)


@pytest.mark.parametrize(
    "code, reason",
    [
        ("insufficient_funds", DeclineReason.INSUFFICIENT_FUNDS),
        ("card_expired", DeclineReason.EXPIRED_CARD),
        ("incorrect_cvv", DeclineReason.INCORRECT_CVC),
        ("card_number_invalid", DeclineReason.INCORRECT_NUMBER),
        ("card_declined", DeclineReason.DO_NOT_HONOR),
        ("payment_failed", DeclineReason.DO_NOT_HONOR),
        ("debit_instrument_blocked", DeclineReason.LOST_OR_STOLEN),
        ("payment_risk_check_failed", DeclineReason.FRAUD_SUSPECTED),
        ("authentication_failed", DeclineReason.AUTHENTICATION_REQUIRED),
        ("invalid_otp", DeclineReason.AUTHENTICATION_REQUIRED),
        ("transaction_limit_exceeded", DeclineReason.LIMIT_EXCEEDED),
        ("card_not_enrolled", DeclineReason.CARD_NOT_SUPPORTED),
        ("card_disabled_for_online_payments", DeclineReason.CARD_NOT_SUPPORTED),
        ("debit_instrument_inactive", DeclineReason.CARD_NOT_SUPPORTED),
        ("gateway_technical_error", DeclineReason.PROCESSING_ERROR),
        ("bank_technical_error", DeclineReason.PROCESSING_ERROR),
        ("bank_account_invalid", DeclineReason.ACCOUNT_CLOSED),
        ("payment_cancelled", DeclineReason.CANCELED_BY_BUYER),
        ("payment_timed_out", DeclineReason.CANCELED_BY_BUYER),
        ("new_reason", DeclineReason.OTHER),
    ],
)
def test_reason_of_a_failed_payment(shop: SandboxHub, code: str, reason: DeclineReason) -> None:
    """Each known reason of Razorpay for a failed payment has its decline reason."""

    def as_failed(response: Response) -> Response:
        return reply(response.json() | {"status": "failed", "error_reason": code})

    shop.sandbox.fail(None, None, AlteredAnswer(as_failed))
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay()

    assert (reason, code) == (excinfo.value.reason, excinfo.value.vendor_code)


def test_payment_that_fails_after_it_was_accepted_is_a_decline(shop: SandboxHub) -> None:
    """If an accepted payment then turns out to have failed, its decline is raised."""

    def as_failed(response: Response) -> Response:
        body = {"status": "failed", "error_reason": "insufficient_funds"}
        return reply(response.json() | body)

    shop.sandbox.fail(None, None, AlteredAnswer(as_failed))
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay()

    assert DeclineReason.INSUFFICIENT_FUNDS == excinfo.value.reason


@pytest.mark.parametrize("lost", ["l", ".ll", "..l"], ids=["order", "payment", "look-up"])
def test_lost_charge_is_paid_once(shop: SandboxHub, lost: str) -> None:
    """Whichever response of a charge is lost, repeating its key returns the only payment."""
    shop.sandbox.fail(*[Lost() if letter == "l" else None for letter in lost])
    with pytest.raises(ConnectionFailed):
        shop.payments.charge(order(), idempotency_key="k")
    payment = shop.payments.charge(order(), idempotency_key="k")

    assert [payment.ref.id] == [*shop.sandbox.payments]
    assert payment == shop.payments.charge(order(), idempotency_key="k")


def test_pending_payment_is_not_made_again(shop: SandboxHub) -> None:
    """A repeat after a lost response returns the pending payment, and charges nothing more."""
    shop.sandbox.fail(None, Lost(), Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.charge(order(), idempotency_key="k")
    [pending] = shop.sandbox.payments.values()
    pending |= {"status": "created", "captured": False}
    payment = shop.payments.charge(order(), idempotency_key="k")

    assert [payment.ref.id] == [*shop.sandbox.payments]
    assert PaymentState.PENDING is payment.state


def test_failed_attempts_of_an_order_are_not_its_payment(shop: SandboxHub) -> None:
    """After a lost response, the order's payment is the attempt that did not fail."""

    def after_a_failure(response: Response) -> Response:
        body = response.json()
        failed = {**body["items"][0], "id": "pay_failed", "status": "failed", "captured": False}
        return reply({**body, "count": 2, "items": [failed, *body["items"]]})

    shop.sandbox.fail(None, Lost(), AlteredAnswer(after_a_failure))
    payment = shop.payments.charge(order(), idempotency_key="k")

    assert [payment.ref.id] == [*shop.sandbox.payments]
    assert PaymentState.CAPTURED is payment.state


def test_lost_answer_is_looked_up_before_a_retry() -> None:
    """After a lost response the order's payments are read, and nothing is charged again."""
    shop = SandboxHub(retried=True)
    with shop.hub:
        shop.sandbox.fail(None, Lost())
        shop.pay()

        paid = [item for item in shop.sandbox.requests if item.path.endswith("/recurring")]
        assert 1 == len(paid)


def test_retry_after_lost_answer_finds_payment_of_order() -> None:
    """A retry after a lost response finds the payment of the order."""
    shop = SandboxHub(retried=True)
    with shop.hub:
        shop.sandbox.fail(None, Lost())
        payment = shop.pay()

        assert [payment.ref.id] == [*shop.sandbox.payments]


def test_refused_charge_of_an_unpaid_order_is_refused(shop: SandboxHub) -> None:
    """A refused charge is final if its order has no payment, or only failed ones."""
    shop.sandbox.fail(None, invalid_request("The token is invalid.", "token").response)
    with pytest.raises(InvalidRequest, match=r"\(token\)"):
        shop.pay()
    with pytest.raises(InvalidRequest):
        shop.pay(source="token_of_somebody_else")

    assert {} == shop.sandbox.payments


def test_whole_payments_are_captured(shop: SandboxHub) -> None:
    """An authorised payment is captured as a whole, and a second capture is refused."""
    ref = shop.hold().ref
    authorization = shop.payments.get(ref)
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.payments.capture(ref, PART, idempotency_key="c-0")
    assert ("partial_capture",) == excinfo.value.capabilities
    capture = shop.payments.capture(ref, RUPEES, idempotency_key="c-1")

    assert (PaymentState.AUTHORIZED, RUPEES, RUPEES) == (
        authorization.state,
        authorization.authorized,
        authorization.remaining,
    )
    assert (f"/v1/payments/{ref.id}/capture", {"amount": 149900, "currency": "INR"}) == (
        shop.writes()[-1]
    )
    assert (MoveState.SUCCEEDED, RUPEES) == (capture.state, capture.amount)
    with pytest.raises(VendorRejected):
        shop.payments.capture(ref, idempotency_key="c-2")


def test_lost_capture_is_found(shop: SandboxHub) -> None:
    """Repeating a capture after a lost response returns the captured payment."""
    ref = shop.hold().ref
    shop.sandbox.fail(None, Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(ref, idempotency_key="c-1")
    capture = shop.payments.capture(ref, idempotency_key="c-1")

    assert (MoveState.SUCCEEDED, RUPEES) == (capture.state, capture.amount)


def test_authorization_cannot_be_voided(shop: SandboxHub) -> None:
    """A void is refused, since Razorpay releases an authorised amount by itself."""
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.payments.void(shop.hold().ref, idempotency_key="v-1")

    assert ("void",) == excinfo.value.capabilities


def test_refunds_have_keys_of_their_own(shop: SandboxHub) -> None:
    """A refund sends a digest of its key; without an amount it refunds the rest."""
    ref = shop.pay().ref
    first_refund = shop.payments.refund(
        ref, PART, idempotency_key="INV-2041/r1", reason=RefundReason.DUPLICATE
    )
    key = shop.sandbox.requests[-1].headers.get("X-Refund-Idempotency")
    last_refund = shop.payments.refund(ref, idempotency_key="INV-2041/r2")

    assert sha256(b"\nINV-2041/r1").hexdigest() == key
    assert [{"amount": 50000, "notes": {"reason": "duplicate"}}, {"amount": 99900}] == [
        body for _, body in shop.writes()[-2:]
    ]
    assert (MoveState.SUCCEEDED, "processed", PART, ref) == (
        first_refund.state,
        first_refund.vendor_state,
        first_refund.amount,
        first_refund.payment,
    )
    assert RUPEES - PART == last_refund.amount
    assert first_refund.ref.id == shop.payments.get_refund(first_refund.ref).ref.id
    assert PaymentState.REFUNDED == shop.payments.get(ref).state
    with pytest.raises(VendorRejected):
        shop.payments.refund(ref, idempotency_key="INV-2041/r3")


def test_lost_refund_is_repeated_with_its_key(shop: SandboxHub) -> None:
    """A refund repeated after a lost response sends the same key, and money returns only once."""
    ref = shop.pay().ref
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.refund(ref, PART, idempotency_key="r-1")
    refund = shop.payments.refund(ref, PART, idempotency_key="r-1")

    assert [refund.ref.id] == [*shop.sandbox.refunds]


@pytest.mark.parametrize(
    "status, state", [("pending", "pending"), ("failed", "failed"), ("levitated", "unknown")]
)
def test_status_of_a_refund_becomes_a_state(shop: SandboxHub, status: str, state: str) -> None:
    """Each Razorpay status of a refund is translated to a state."""
    refund = shop.payments.refund(shop.pay().ref, PART, idempotency_key="r-1")
    shop.sandbox.refunds[refund.ref.id]["status"] = status

    assert MoveState(state) == shop.payments.get_refund(refund.ref).state


def test_intent_is_an_order_for_the_checkout(shop: SandboxHub) -> None:
    """An intent creates an order, and returns the options for Razorpay's Checkout form."""
    intent = shop.payments.create_intent(
        order(source=None, store_method=True, description="Masks"), idempotency_key="i-1"
    )
    waiting = shop.payments.complete(intent.ref, idempotency_key="c-1")

    assert intent.next_action is not None
    assert (PaymentState.REQUIRES_ACTION, "created", NextActionType.SDK) == (
        intent.state,
        intent.vendor_state,
        intent.next_action.type,
    )
    assert {
        "key": shop.sandbox.key_id,
        "amount": 149900,
        "currency": "INR",
        "order_id": intent.ref.id,
        "description": "Masks",
        "notes": {"reference": "INV-2041"},
        "callback_url": "https://shop.example/back",
        "customer_id": "cust_ada",
        "prefill": {"name": "Ada", "email": "ada@erp.example", "contact": "+919000090000"},
        "recurring": "1",
    } == intent.next_action.fields
    assert (PaymentState.REQUIRES_ACTION, "INV-2041") == (waiting.state, waiting.reference)


def test_unpaid_order_is_looked_up_once(shop: SandboxHub) -> None:
    """An order is looked up with its payments; an unknown status has the state UNKNOWN."""
    intent = shop.payments.create_intent(order(source=None), idempotency_key="i-1")
    shop.sandbox.orders[intent.ref.id]["status"] = "levitated"
    before = len(shop.sandbox.requests)
    payment = shop.payments.get(intent.ref)

    assert (PaymentState.UNKNOWN, "levitated") == (payment.state, payment.vendor_state)
    assert [f"/v1/orders/{intent.ref.id}/payments", f"/v1/orders/{intent.ref.id}"] == [
        request.path for request in shop.sandbox.requests[before:]
    ]


@pytest.mark.parametrize("missing", ["id", "status", "amount"])
def test_payment_without_a_part_is_left_out(shop: SandboxHub, missing: str) -> None:
    """A listed payment without an id, status or amount is left out."""
    item = {"id": "pay_1", "status": "captured", "amount": 100, "currency": "INR"}
    shop.sandbox.fail(reply({"items": [{**item, missing: None}, item]}))
    payments = shop.payments.payments().items

    assert ["pay_1"] == [payment.ref.id for payment in payments]


def test_buyer_pays_an_intent_at_the_second_attempt(shop: SandboxHub) -> None:
    """A failed attempt is a decline; once the buyer pays, the order shows the payment."""
    intent = shop.payments.create_intent(order(source=None), idempotency_key="i-1")
    shop.sandbox.visit(intent.ref.id, reason="payment_cancelled")
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(intent.ref, idempotency_key="c-1")
    paid = shop.sandbox.visit(intent.ref.id, notes={"reference": "INV-2041"})
    payment = shop.payments.complete(
        intent.ref, {"razorpay_payment_id": paid["id"]}, idempotency_key="c-2"
    )

    assert DeclineReason.CANCELED_BY_BUYER == excinfo.value.reason
    assert (PaymentState.CAPTURED, paid["id"], "INV-2041") == (
        payment.state,
        payment.ref.id,
        payment.reference,
    )


def test_tokens_of_a_customer(shop: SandboxHub) -> None:
    """A customer's stored tokens are listed with their states, and can be deleted."""
    for number, status in enumerate(("initiated", "rejected", "cancelled", "levitated")):
        shop.sandbox.store("cust_bob", f"token_{number}", status)
    shop.sandbox.tokens["cust_bob"]["token_card"] = {"id": "token_card", "method": "card"}
    listed = shop.payments.stored_means("cust_bob").items
    first, *_ = shop.payments.stored_means("cust_ada").items
    removed = shop.payments.remove_means(str(first.ref), idempotency_key="m-1")
    created_at = datetime.fromtimestamp(
        shop.sandbox.tokens["cust_bob"]["token_0"]["created_at"], UTC
    )

    assert ["pending", "failed", "removed", "unknown"] == [item.state for item in listed]
    assert created_at == listed[0].created_at
    assert first.means is not None
    assert (StoredState.STORED, TOKEN, "visa") == (
        first.state,
        first.means.stored,
        first.means.brand,
    )
    assert (StoredState.REMOVED, "cust_ada") == (removed.state, removed.customer)
    assert TOKEN not in shop.sandbox.tokens["cust_ada"]


def test_lists_are_filtered_and_paged(shop: SandboxHub) -> None:
    """Payments, settlements and disputes are listed page by page."""
    refs = [shop.pay().ref for _ in range(3)]
    first_page = shop.payments.payments(PaymentQuery(limit=2))
    last_page = shop.payments.payments(PaymentQuery(limit=2), after=first_page.next)
    now = datetime.fromtimestamp(shop.time, UTC)
    later_query = PaymentQuery(
        since=now + timedelta(days=1), until=now + timedelta(days=2), limit=500
    )

    assert refs[::-1] == [payment.ref for payment in first_page.items + last_page.items]
    assert last_page.next is None
    assert () == shop.payments.payments(later_query).items
    assert {
        "count": "100",
        "skip": "0",
        "from": "1930086400",
        "to": "1930172800",
        "expand[]": "card",
    } == dict(shop.sandbox.requests[-1].query)
    shop.sandbox.settle_balance()
    (payout,) = shop.payments.payouts().items
    assert (PayoutState.PAID, RUPEES * 3) == (payout.state, payout.amount)
    shop.sandbox.dispute(refs[0].id)
    (dispute,) = shop.payments.disputes().items
    assert (DisputeState.NEEDS_RESPONSE, RUPEES, refs[0].id) == (
        dispute.state,
        dispute.amount,
        None if dispute.payment is None else dispute.payment.id,
    )
    assert () == shop.payments.disputes(later_query).items


def test_every_dispute_is_listed(shop: SandboxHub) -> None:
    """Disputes are listed page by page; Razorpay itself would return only the first ten."""
    ref = shop.pay().ref
    ids = [shop.sandbox.dispute(ref.id)["id"] for _ in range(12)]
    page, listed = shop.payments.disputes(PaymentQuery(limit=5)), list[str]()
    while True:
        listed += [dispute.ref.id for dispute in page.items]
        if page.next is None:
            break
        page = shop.payments.disputes(PaymentQuery(limit=5), after=page.next)

    assert ids[::-1] == listed
    assert 12 == len(shop.payments.disputes().items)


def test_payment_link_has_unique_name_made_of_its_key(shop: SandboxHub) -> None:
    """A payment link has a unique name made of its key, and can be paid or cancelled."""
    expiry = datetime.fromtimestamp(shop.time, UTC) + timedelta(days=7)
    request = LinkRequest(RUPEES, reference="INV-2041", description="Masks", expires_at=expiry)
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.create_link(request, idempotency_key="l-1")
    link = shop.payments.create_link(request, idempotency_key="l-1")
    other_link = shop.payments.create_link(request, idempotency_key="l-2")

    assert {
        "amount": 149900,
        "currency": "INR",
        "reference_id": sha256(b"\nl-1").hexdigest()[:40],
        "description": "Masks",
        "notes": {"reference": "INV-2041"},
        "callback_url": "https://shop.example/back",
        "callback_method": "get",
        "expire_by": 1930604800,
    } == shop.writes()[0][1]
    assert 2 == len(shop.sandbox.links)
    assert (LinkState.OPEN, expiry, "INV-2041", RUPEES) == (
        link.state,
        link.expires_at,
        link.reference,
        link.amount,
    )
    paid = shop.sandbox.use_link(link.ref.id)
    notice = json.loads(shop.sandbox.sent[-1].body)
    assert ("payment_link.paid", ["payment_link", "order", "payment"]) == (
        notice["event"],
        notice["contains"],
    )
    assert LinkState.PAID == shop.payments.get_link(link.ref).state
    assert "INV-2041" == shop.payments.get(Ref("razorpay", "main", paid["id"])).reference
    for key in ("x-1", "x-2"):
        closed = shop.payments.close_link(other_link.ref, idempotency_key=key)
        assert LinkState.CLOSED == closed.state
    with pytest.raises(InvalidRequest):
        shop.payments.close_link(link.ref, idempotency_key="x-3")
    plain_link = shop.payments.create_link(
        LinkRequest(RUPEES, reference="INV-1"), idempotency_key="l-3"
    )
    assert plain_link.expires_at is None


def test_refused_link_is_refused(shop: SandboxHub) -> None:
    """If a link is refused and no earlier request created it, an error is raised."""
    shop.sandbox.fail(invalid_request("The amount is invalid.", "amount").response)
    with pytest.raises(InvalidRequest):
        shop.payments.create_link(LinkRequest(RUPEES, reference="INV-1"), idempotency_key="l-1")


@pytest.mark.parametrize(
    "answer, kind",
    [
        (error(401, "The api key provided is invalid"), AuthenticationFailed),
        (error(400, "The amount is invalid.", "input_validation_failed"), InvalidRequest),
        (reply({}, 409), IdempotencyInProgress),
        (error(500, "We are facing some trouble"), VendorFailed),
        (reply({"id": "order_1", "status": "created"}), VendorFailed),
    ],
)
def test_each_razorpay_error_has_its_class(
    shop: SandboxHub, answer: Response, kind: type[Exception]
) -> None:
    """Each Razorpay error response raises the error class that fits it."""
    shop.sandbox.fail(answer)
    with pytest.raises(kind) as excinfo:
        shop.pay()

    assert kind is type(excinfo.value)


@pytest.mark.parametrize(
    "use",
    [
        lambda shop, _: shop.payments.payments(),
        lambda shop, ref: shop.payments.get(ref),
        lambda shop, ref: shop.payments.get(attrs.evolve(ref, id="order_1")),
        lambda shop, ref: shop.payments.get_refund(ref),
        lambda shop, ref: shop.payments.get_link(ref),
        lambda shop, ref: shop.payments.remove_means(ref, idempotency_key="m"),
    ],
)
def test_unreadable_answers_are_failures(
    shop: SandboxHub, use: Callable[[SandboxHub, Ref], object]
) -> None:
    """A successful response without its content is a failure of the vendor."""
    ref = Ref("razorpay", "main", "pay_1", {"customer": "cust_ada"})
    shop.sandbox.fail(*[reply({"entity": "nothing"})] * 2)
    with pytest.raises(VendorFailed):
        use(shop, ref)


@pytest.mark.parametrize("key_id, mode", [("rzp_live_a1", Mode.LIVE), ("rzp_test_a1", Mode.TEST)])
def test_prefix_of_the_key_decides_the_mode(key_id: str, mode: Mode) -> None:
    """The prefix of the key id decides whether an account is live."""
    assert mode == Razorpay(key_id=key_id).mode()


def test_wrong_key_id_is_refused() -> None:
    """If the secret is given in place of the key id, the account is refused."""
    with pytest.raises(ConfigurationError, match="id of a Razorpay API key"):
        Razorpay(key_id="razorpay-secret")


def test_checkout_without_buyer_details_has_no_prefill(shop: SandboxHub) -> None:
    """Without the buyer's contact details, the payment form is not prefilled."""
    by_id = shop.payments.create_intent(
        order(source=None, customer=Customer(id=ADA.id)), idempotency_key="i-1"
    )
    unknown = shop.payments.create_intent(order(source=None, customer=None), idempotency_key="i-2")

    for intent, customer in ((by_id, "cust_ada"), (unknown, None)):
        assert intent.next_action is not None
        assert (customer, None) == (
            intent.next_action.fields.get("customer_id"),
            intent.next_action.fields.get("prefill"),
        )


def test_link_without_a_page_to_return_to() -> None:
    """Without a return URL, a payment link has no callback."""
    shop = SandboxHub(return_url=None)
    with shop.hub:
        link = shop.payments.create_link(
            LinkRequest(RUPEES, reference="INV-1"), idempotency_key="l-1"
        )

    assert LinkState.OPEN == link.state
    assert {"callback_url", "callback_method"}.isdisjoint(shop.writes()[0][1])


@pytest.mark.parametrize("id_", ["²", "x"])
def test_reference_of_no_page_begins_the_list(shop: SandboxHub, id_: str) -> None:
    """A page reference that no list returned gives the list's first page."""
    payment = shop.pay()

    assert [payment.ref] == [
        item.ref for item in shop.payments.payments(after=Ref("razorpay", "main", id_)).items
    ]


def _record(status: str, **fields: Any) -> Any:
    """Return a record as Razorpay's documentation shows it, made on 20 November 2020."""
    amount = {"amount": 500100, "currency": "INR"}
    return as_answer({"id": "id_1", "status": status, "created_at": 1605871409} | amount | fields)


def _ref(key: str, /, **_: Any) -> Ref:
    return Ref(vendor="razorpay", account="shop", id=key)


def test_records_have_the_time_of_their_creation() -> None:
    """Each type of record has its time of creation, in seconds since 1970."""
    token = _record("active", recurring_details={"status": "confirmed"})
    dispute = answers.dispute_of(_ref, _record("open", respond_by=1605871410))
    settlement = answers.settlement_of(_ref, _record("processed"), "INR")
    link = answers.link_of(_ref, _record("created", expire_by=1605871411))
    refund = answers.refund_of(_ref, _record("processed"))
    created = datetime(2020, 11, 20, 11, 23, 29, tzinfo=UTC)
    records = (
        answers.payment_of(_ref, _record("captured")),
        answers.token_of(_ref, token, "cust_1"),
        dispute,
        settlement,
        link,
    )

    assert [created] * 5 == [None if record is None else record.created_at for record in records]
    assert refund is not None
    assert created == refund.at
    assert dispute is not None
    assert created + timedelta(seconds=1) == dispute.respond_by
    assert link is not None
    assert created + timedelta(seconds=2) == link.expires_at


def test_payment_by_wallet_names_the_wallet() -> None:
    """A payment has the name of the wallet by which it was made."""
    payment = answers.payment_of(_ref, _record("captured", method="wallet", wallet="olamoney"))

    assert payment is not None
    assert payment.means is not None
    assert ("wallet", "olamoney") == (payment.means.type, payment.means.wallet)


def test_unknown_status_of_a_settlement() -> None:
    """A status of a settlement that Razorpay does not document is unknown."""
    settlement = answers.settlement_of(_ref, _record("levitated"), "INR")

    assert settlement is not None
    assert settlement.state is PayoutState.UNKNOWN
