"""Stripe: requests, responses, and its sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.payments import (
    BuyerOutcome,
    Charge,
    Customer,
    DeclineReason,
    DisputeState,
    Money,
    MoveState,
    NextActionType,
    PaymentQuery,
    PaymentState,
    PayoutState,
    RefundReason,
    ThreeDs,
    advance,
    told_buyer,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendor_sdk import as_answer
from moorage.vendors.payments._stripe_answers import (
    MINOR,
    dispute_of,
    payment_of,
    payout_of,
    refund_of,
)
from moorage.vendors.payments._stripe_events import classify
from moorage.vendors.payments.stripe import (
    API_VERSION,
    Stripe,
    confirmed_body,
    form_pairs,
    intent_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.contracts.payments import Payment, PaymentEvent
    from moorage.contracts.vendor import MakeRef
    from moorage.operations.payments import Payments
    from moorage.vendor_sdk import Answer

EUROS = Money("149.90", "EUR")
SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}


def ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference to an object, such as a payment, in the test account at Stripe."""
    return Ref("stripe", "main", id, {name: value for name, value in related.items() if value})


def order(source: str | None = "pm_card_visa", **fields: Any) -> Charge:
    """An invoice to pay."""
    return Charge(fields.pop("amount", EUROS), source, reference="INV-2041", **fields)


class Shop:
    """A hub with one account at a new sandbox."""

    def __init__(self) -> None:
        self.sandbox = StripeSandbox()
        vendor = Stripe(credentials=self.sandbox.api_key)
        self.hub = Hub(
            [Account("main", vendor, settings=SETTINGS)], http=SandboxHttpClient(self.sandbox)
        )
        self.number = 0

    @property
    def payments(self) -> Payments:
        """The payment operations of the hub."""
        return self.hub.payments()

    def key(self) -> str:
        """A new idempotency key."""
        self.number += 1
        return f"k-{self.number}"

    def sent_form(self) -> dict[str, str]:
        """The form of the last request."""
        return dict(self.sandbox.requests[-1].form)

    def webhook_events(self) -> list[PaymentEvent]:
        """The events of all webhooks so far."""
        verifier = self.hub.webhooks("main", secrets=self.sandbox.webhook_secret)
        return [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events("main", webhook)
        ]

    def payment_after_events(self, payment: Payment) -> Payment:
        """A payment after all its events."""
        for event in self.webhook_events():
            if event.ref.id == payment.ref.id:
                payment = advance(payment, event)
        return payment


@pytest.fixture(name="shop")
def _shop() -> Iterator[Shop]:
    """A shop that takes payments by Stripe."""
    shop = Shop()
    with shop.hub:
        yield shop


# --- what is sent ----------------------------------------------------------


def test_forms_nest_in_brackets() -> None:
    """Objects and lists use brackets, booleans are words, and None is left out."""
    body = {"a": {"b": [1, {"c": True}]}, "d": None, "e": "f", "g": False}

    assert [("a[b][0]", "1"), ("a[b][1][c]", "true"), ("e", "f"), ("g", "false")] == list(
        form_pairs(body)
    )


def test_metadata_does_not_replace_the_reference() -> None:
    """A host's metadata do not replace the payment's reference."""
    body = intent_body(order("tok_visa", metadata={"reference": "PO-7", "order": "7"}))

    assert {"reference": "INV-2041", "order": "7"} == body["metadata"]


def test_every_field_of_a_charge_is_sent() -> None:
    """Every field of a charge is sent, the vendor's own options last."""
    charge = order(
        "tok_visa",
        customer=Customer(id="cus_1", name="Ada", email="ada@shop.example"),
        return_url="https://shop.example/back",
        description="Chairs",
        statement_descriptor="ACME",
        metadata={"order": "7"},
        off_session=True,
        store_method=True,
        three_ds=ThreeDs.ALWAYS,
        extra={"stripe": {"metadata": {"order": "8"}, "transfer_group": "g"}, "adyen": {"x": 1}},
    )

    assert {
        "amount": 14990,
        "currency": "eur",
        "automatic_payment_methods": {"enabled": True},
        "capture_method": "manual",
        "confirm": True,
        "customer": "cus_1",
        "description": "Chairs",
        "expand": ["latest_charge"],
        "metadata": {"reference": "INV-2041", "order": "8"},
        "off_session": True,
        "payment_method_data": {
            "type": "card",
            "card": {"token": "tok_visa"},
            "billing_details": {"name": "Ada", "email": "ada@shop.example", "phone": None},
        },
        "payment_method_options": {"card": {"request_three_d_secure": "any"}},
        "return_url": "https://shop.example/back",
        "setup_future_usage": "off_session",
        "statement_descriptor_suffix": "ACME",
        "transfer_group": "g",
    } == confirmed_body(charge, capture_method="manual")


@pytest.mark.parametrize(
    "source, fields",
    [
        (None, {}),
        ("pm_1", {"payment_method": "pm_1"}),
        ("ctoken_1", {"confirmation_token": "ctoken_1"}),
        ("tok_1", {"payment_method_data": {"type": "card", "card": {"token": "tok_1"}}}),
    ],
)
def test_payment_source_fields(source: str | None, fields: dict[str, Any]) -> None:
    """Each kind of token is sent in its own field."""
    body = intent_body(order(source))

    names = ("payment_method", "confirmation_token", "payment_method_data")
    assert fields == {name: body[name] for name in names if name in body}


def test_redirects_need_a_return_url() -> None:
    """Without a return URL only methods without a redirect are allowed."""
    body = confirmed_body(order(), capture_method="automatic")

    assert {"enabled": True, "allow_redirects": "never"} == body["automatic_payment_methods"]


def test_request_headers(shop: Shop) -> None:
    """Each request has the API version and the idempotency key."""
    shop.payments.charge(order(), idempotency_key="INV-2041/1")
    headers = shop.sandbox.requests[0].headers

    assert API_VERSION == headers.get("stripe-version")
    assert "INV-2041/1" == headers.get("idempotency-key")
    assert f"Bearer {shop.sandbox.api_key}" == headers.get("authorization")


def test_connected_account() -> None:
    """A connected account is named in a header; without a key the provider is asked."""
    service = Stripe(connected="acct_1").services()[""]

    assert "acct_1" == service.headers.get("Stripe-Account")
    assert service.needs_credentials
    assert Credentials.bearer("sk") == Stripe(credentials="sk").services()[""].credentials


@pytest.mark.parametrize(
    "money, minor",
    [
        (Money("5", "ISK"), 500),
        (Money("5", "UGX"), 500),
        (Money("5", "MGA"), 5),
        (Money("500", "JPY"), 500),
        (Money("5.120", "KWD"), 5120),
        (Money("1.5", "EUR"), 150),
    ],
)
def test_amounts_are_written_as_stripe_writes_them(money: Money, minor: int) -> None:
    """Stripe's own minor units are applied without rounding."""
    assert minor == MINOR.to_minor(money)
    assert money == MINOR.from_minor(minor, money.currency)


# --- what happens ----------------------------------------------------------


def test_intent_is_left_to_the_browser(shop: Shop) -> None:
    """A created intent waits for a payment method, and the browser gets a token."""
    payment = shop.payments.create_intent(order(None), idempotency_key="k")

    assert PaymentState.REQUIRES_PAYMENT_METHOD == payment.state
    assert payment.client_token
    assert payment.client_token not in repr(payment)
    assert "confirm" not in shop.sent_form()


def test_charge_needs_a_source(shop: Shop) -> None:
    """A charge without a source is refused."""
    with pytest.raises(InvalidData):
        shop.payments.charge(order(None), idempotency_key="k")


@pytest.mark.parametrize("existing", [b"x" * 2_001, b".."], ids=["long", "step"])
def test_invalid_id_is_an_unknown_outcome(shop: Shop, existing: bytes) -> None:
    """A success with an invalid id is a failure with unknown outcome."""
    body = b'{"id": "%s", "status": "succeeded", "amount": 14990, "currency": "eur"}' % existing
    shop.sandbox.fail(Response(200, {"Content-Type": "application/json"}, body=body))

    with pytest.raises(VendorFailed) as excinfo:
        shop.payments.charge(order(), idempotency_key=shop.key())

    assert BuyerOutcome.UNKNOWN == told_buyer(excinfo.value).outcome


def test_confirmed_payment_is_complete(shop: Shop) -> None:
    """After the buyer has confirmed, the payment is complete."""
    url = "https://shop.example/back"
    charge = order("pm_card_threeDSecure2Required", return_url=url)
    payment = shop.payments.charge(charge, idempotency_key="k")
    assert payment.next_action is not None
    assert NextActionType.REDIRECT == payment.next_action.type
    assert (payment.next_action.url or "").startswith("https://hooks.stripe.com/")
    shop.sandbox.authenticate(payment.ref.id)

    return_parameters = {"payment_intent": payment.ref.id, "redirect_status": "succeeded"}
    finished_payment = shop.payments.complete(payment.ref, return_parameters, idempotency_key="k/2")

    assert PaymentState.CAPTURED == finished_payment.state
    assert EUROS == finished_payment.captured


def test_unconfirmed_payment_fails(shop: Shop) -> None:
    """A buyer who fails the bank's authentication has not paid."""
    payment = shop.payments.charge(
        order("pm_card_authenticationRequired"), idempotency_key=shop.key()
    )
    assert payment.next_action is not None
    assert NextActionType.SDK == payment.next_action.type
    assert payment.client_token == payment.next_action.token
    shop.sandbox.authenticate(payment.ref.id, success=False)

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(payment.ref, idempotency_key=shop.key())

    assert DeclineReason.AUTHENTICATION_REQUIRED == excinfo.value.reason
    assert str(payment.ref) == excinfo.value.payment
    assert PaymentState.FAILED == shop.payment_after_events(payment).state


def test_return_from_another_payment(shop: Shop) -> None:
    """The return from another payment does not complete this one."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())

    with pytest.raises(InvalidData):
        shop.payments.complete(payment.ref, {"payment_intent": "pi_x"}, idempotency_key=shop.key())


def test_intent_is_confirmed_when_it_is_completed(shop: Shop) -> None:
    """Completing an intent that has a payment method confirms it."""
    payment = shop.payments.create_intent(order(), idempotency_key=shop.key())
    assert "requires_confirmation" == payment.vendor_state

    payment_methods: dict[str, Any] = {"automatic_payment_methods": {"allow_redirects": "never"}}
    held_payment = shop.payments.create_intent(
        order(extra={"stripe": payment_methods}), idempotency_key=shop.key()
    )

    assert (
        PaymentState.CAPTURED
        == shop.payments.complete(held_payment.ref, idempotency_key=shop.key()).state
    )


def test_off_session_payment_that_needs_the_buyer_is_declined(shop: Shop) -> None:
    """An off-session payment that needs authentication is declined."""
    charge = order("pm_card_authenticationRequired", off_session=True)

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(charge, idempotency_key=shop.key())

    assert DeclineReason.AUTHENTICATION_REQUIRED == excinfo.value.reason
    assert (excinfo.value.payment or "").startswith("stripe:main:pi_")


def test_several_partial_captures(shop: Shop) -> None:
    """Parts are captured one after another, and the final one releases the rest."""
    payment = shop.payments.authorize(order(), idempotency_key=shop.key())
    part = Money("50.00", "EUR")
    first = shop.payments.capture(payment.ref, part, final=False, idempotency_key=shop.key())
    assert first.after is not None
    second = shop.payments.capture(payment.ref, idempotency_key=shop.key())
    assert second.after is not None

    assert PaymentState.PARTIALLY_CAPTURED == first.after.state
    assert EUROS - part == first.after.remaining
    assert PaymentState.CAPTURED == second.after.state
    assert EUROS == second.after.captured


def test_void(shop: Shop) -> None:
    """A voided authorisation has the state voided, and nothing was refunded."""
    payment = shop.payments.authorize(order(), idempotency_key=shop.key())
    void = shop.payments.void(payment.ref, idempotency_key=shop.key())
    assert void.after is not None

    assert PaymentState.VOIDED == void.after.state
    assert Money("0", "EUR") == void.after.refunded
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.capture(payment.ref, idempotency_key=shop.key())
    assert "payment_intent_unexpected_state" == excinfo.value.vendor_code
    assert PaymentState.VOIDED == shop.payment_after_events(payment).state


def test_expired_authorisation(shop: Shop) -> None:
    """An authorisation has its expiry time, and expires if nobody captures it."""
    payment = shop.payments.authorize(order(), idempotency_key=shop.key())
    assert payment.authorized_until is not None
    shop.sandbox.lapse(payment.ref.id)

    assert PaymentState.EXPIRED == shop.payments.get(payment.ref).state
    assert PaymentState.EXPIRED == shop.payment_after_events(payment).state
    assert any(
        event.vendor_type == "charge.expired" and event.state is PaymentState.EXPIRED
        for event in shop.webhook_events()
    )


def test_pending_debit(shop: Shop) -> None:
    """A direct debit is pending until the money arrives."""
    payment = shop.payments.charge(order("pm_usBankAccount_success"), idempotency_key=shop.key())
    pending = shop.payments.settle([payment.ref])[0].unwrap()
    shop.sandbox.arrive(payment.ref.id)
    arrived_payment = shop.payments.settle([str(payment.ref)])[0].unwrap()

    assert PaymentState.PENDING == payment.state == pending.state
    assert PaymentState.CAPTURED == arrived_payment.state


@pytest.mark.parametrize("success", [True, False])
def test_pending_refund(shop: Shop, success: bool) -> None:
    """A refund is pending until the money arrives, and may fail."""
    payment = shop.payments.charge(order("pm_card_pendingRefund"), idempotency_key=shop.key())
    refund = shop.payments.refund(
        payment.ref, reason=RefundReason.FRAUD, idempotency_key=shop.key()
    )
    assert "fraudulent" == shop.sent_form()["reason"]
    shop.sandbox.arrive_refund(refund.ref.id, success=success)
    later_refund = shop.payments.get_refund(refund.ref)

    assert MoveState.PENDING == refund.state
    assert (MoveState.SUCCEEDED if success else MoveState.FAILED) == later_refund.state
    assert success == (later_refund.reason is None)
    state = PaymentState.REFUNDED if success else PaymentState.CAPTURED
    assert state == shop.payments.get(payment.ref).state


def test_reason_that_stripe_does_not_know_is_left_out(shop: Shop) -> None:
    """A refund's reason that Stripe does not know is not sent."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())
    shop.payments.refund(payment.ref, reason=RefundReason.OTHER, idempotency_key=shop.key())

    assert {"payment_intent": payment.ref.id} == shop.sent_form()


def test_missing_currency_is_looked_up(shop: Shop) -> None:
    """A reference without a currency gets it by a look-up."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())
    bare_ref = Ref("stripe", "main", payment.ref.id)

    with pytest.raises(InvalidData):
        shop.payments.refund(bare_ref, Money("1", "USD"), idempotency_key=shop.key())
    assert "GET" == shop.sandbox.requests[-1].method
    amount = Money("1", "EUR")
    assert amount == shop.payments.refund(bare_ref, amount, idempotency_key=shop.key()).amount


def test_payments_are_listed(shop: Shop) -> None:
    """All payments are found page by page, newest first."""
    refs = [shop.payments.charge(order(), idempotency_key=shop.key()).ref for _ in range(3)]
    now = datetime.now(UTC)
    query = PaymentQuery(limit=2, since=now - timedelta(hours=1), until=now + timedelta(hours=1))
    first = shop.payments.payments(query)
    second = shop.payments.payments(query, after=first.next)

    assert refs[::-1] == [item.ref for item in (*first.items, *second.items)]
    assert second.next is None
    assert first == shop.payments.payments(query, account="main")
    assert () == shop.payments.payments(PaymentQuery(until=now - timedelta(hours=1))).items


def test_unknown_account_is_refused(shop: Shop) -> None:
    """The error names the account that is not configured."""
    with pytest.raises(InvalidData) as excinfo:
        shop.payments.payouts(account="other")

    assert "'other'" in str(excinfo.value)


def test_malformed_list(shop: Shop) -> None:
    """A response without a list is malformed."""
    shop.sandbox.fail(reply({"data": None}))

    with pytest.raises(VendorFailed):
        shop.payments.disputes()


@pytest.mark.parametrize("answer", [reply({"id": "re_1"}), reply({"status": "pending"})])
def test_malformed_refund(shop: Shop, answer: Response) -> None:
    """A response without a refund is malformed."""
    shop.sandbox.fail(answer)

    with pytest.raises(VendorFailed):
        shop.payments.get_refund("stripe:main:re_1")


def test_won_dispute(shop: Shop) -> None:
    """A won dispute restores the payment's previous state."""
    payment = shop.payments.charge(order("pm_card_createDispute"), idempotency_key=shop.key())
    disputed_payment = shop.payment_after_events(payment)
    dispute = shop.payments.disputes().items[0]
    shop.sandbox.close_dispute(dispute.ref.id, "won")
    won_event = attrs.evolve(shop.webhook_events()[-1], at=datetime.now(UTC) + timedelta(hours=1))

    assert PaymentState.DISPUTED == disputed_payment.state
    assert DisputeState.NEEDS_RESPONSE == dispute.state
    assert payment.ref.id == (dispute.payment.id if dispute.payment else None)
    assert EUROS == dispute.amount
    assert dispute.respond_by is not None
    assert PaymentState.CAPTURED == advance(disputed_payment, won_event).state


def test_inquiry_is_not_a_dispute(shop: Shop) -> None:
    """A bank's inquiry has taken no money back, so the payment is not disputed."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())
    shop.sandbox.dispute(payment.ref.id, "warning_needs_response")
    event = shop.webhook_events()[-1]

    assert event.dispute is not None
    assert DisputeState.INQUIRY == event.dispute.state
    assert PaymentState.CAPTURED == shop.payment_after_events(payment).state


def test_payouts(shop: Shop) -> None:
    """Payouts are listed, and an event of a failed one has the reason."""
    shop.sandbox.pay_out(10_000, "eur")
    shop.sandbox.pay_out(500, "jpy", "failed")
    failed_payout, moving_payout = shop.payments.payouts().items

    assert (PayoutState.IN_TRANSIT, Money("100.00", "EUR")) == (
        moving_payout.state,
        moving_payout.amount,
    )
    assert (PayoutState.FAILED, "account_closed") == (failed_payout.state, failed_payout.reason)
    assert [failed_payout.ref, moving_payout.ref] == [
        event.ref for event in reversed(shop.webhook_events())
    ]


# --- what is said ----------------------------------------------------------


@pytest.mark.parametrize("reader", [payment_of, refund_of, dispute_of, payout_of])
def test_incomplete_answers_are_none(reader: Callable[[MakeRef, Answer], object]) -> None:
    """An answer without id or status is None."""
    assert reader(ref, as_answer({})) is None
    assert reader(ref, as_answer({"id": "x"})) is None


def test_dispute_without_a_deadline() -> None:
    """A dispute that cannot be answered has no deadline."""
    fields = {"id": "du_1", "status": "lost", "evidence_details": {"due_by": 0}}
    dispute = dispute_of(ref, as_answer(fields))

    assert dispute is not None
    assert dispute.respond_by is None


def intent(**fields: Any) -> Payment:
    """Return an intent in Stripe's form."""
    default_intent = {"id": "pi_1", "status": "succeeded", "amount": 14990, "currency": "eur"}
    payment = payment_of(ref, as_answer({**default_intent, **fields}))
    assert payment is not None
    return payment


def test_unknown_values_are_kept() -> None:
    """Unknown statuses, actions and declines are kept in Stripe's words."""
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
    """An action to show on a page has the type display."""
    action = {"type": "oxxo_display_details", "oxxo_display_details": {"number": "1"}}
    payment = intent(status="requires_action", next_action=action)

    assert payment.next_action is not None
    assert NextActionType.DISPLAY == payment.next_action.type
    assert {"number": "1"} == payment.next_action.fields


def test_missing_totals_are_none() -> None:
    """A total missing from the answer is None."""
    assert intent().refunded is None
    assert PaymentState.CAPTURED == intent().state
    unexpanded = intent(amount_received=14990, amount_capturable=0, latest_charge="ch_1")
    assert unexpanded.refunded is None
    assert EUROS == unexpanded.captured == unexpanded.authorized
    assert Money("0", "EUR") == intent(amount_received=0, latest_charge=None).refunded


def test_stored_means_is_known() -> None:
    """A payment method that belongs to a customer can be used again."""
    means = intent(customer="cus_1", payment_method="pm_1").means

    assert means is not None
    assert "pm_1" == means.stored
    assert "pm_1" not in repr(means)


@pytest.mark.parametrize(
    "thing",
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
def test_other_webhooks_give_no_events(thing: object) -> None:
    """Webhooks about other things give no events."""
    event = WebhookEvent(vendor="stripe", id="evt_1", type="x", vendor_type="x", data=thing)

    assert () == Stripe(credentials="sk").events(event, ref)


def test_charge_without_an_intent_is_itself() -> None:
    """A charge without an intent is a payment by itself, refunded only if captured."""
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
def test_charge_under_way_is_not_captured(status: str, state: PaymentState) -> None:
    """Stripe calls a pending debit captured, so its status decides."""
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
    """Return an error in Stripe's form."""
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
def test_error_codes_come_before_the_status(answer: Response, kind: type[Exception]) -> None:
    """Type and code decide before the status."""
    assert kind is type(classify(Request.post("/"), answer))


@pytest.mark.parametrize(
    "answer", [reply({}), reply({}, 503), error_response(400, type="x"), Response(404, body=b"no")]
)
def test_other_errors_are_classified_by_status(answer: Response) -> None:
    """Without a known code the status decides."""
    assert classify(Request.post("/"), answer) is None


def test_stored_failure_is_not_retried() -> None:
    """A failure that Stripe stores under the key is not retried."""
    answer = reply({"error": {"message": "Oops"}}, 500, Stripe_Should_Retry="false")
    error = classify(Request.post("/"), answer)

    assert isinstance(error, VendorFailed)
    assert not error.retryable


def test_decline_without_a_code_is_a_decline() -> None:
    """A card error without a code is a decline with the reason "other"."""
    error = classify(Request.post("/"), error_response(402, type="card_error"))

    assert isinstance(error, PaymentDeclined)
    assert (DeclineReason.OTHER, None, None) == (error.reason, error.vendor_code, error.payment)


def test_decline_without_a_payment_names_none(shop: Shop) -> None:
    """A decline without a payment has no reference."""
    shop.sandbox.fail(error_response(402, type="card_error", code="expired_card"))

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(order(), idempotency_key=shop.key())

    assert (DeclineReason.EXPIRED_CARD, None) == (excinfo.value.reason, excinfo.value.payment)


def test_missing_payment_affects_no_other(shop: Shop) -> None:
    """Each payment to settle has its own result, also if another is missing."""
    payment = shop.payments.charge(order(), idempotency_key=shop.key())
    missing_payment, result = shop.payments.settle(["stripe:main:pi_0", payment.ref])

    assert isinstance(missing_payment.error, VendorRejected)
    assert payment == result.unwrap()


def test_tenants_share_no_keys(shop: Shop) -> None:
    """Two tenants' payments with the same key at one account are two payments."""
    payments = [
        shop.hub.payments(tenant).charge(order(), idempotency_key="k-1")
        for tenant in (None, "one", "two", "one")
    ]

    assert payments[1] == payments[3]
    assert 3 == len({str(payment.ref) for payment in payments})
    assert "k-1" == shop.sandbox.requests[0].headers.get("idempotency-key")
