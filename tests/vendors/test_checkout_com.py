"""Payments at Checkout.com: requests, responses, errors and disputes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import (
    Customer,
    DeclineReason,
    DisputeState,
    MeansOfPayment,
    Money,
    MoveState,
    PaymentQuery,
    PaymentState,
    RefundReason,
    StoredState,
)
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.payments._checkout_com_rules import error
from moorage.testing.sandboxes.payments.checkout_com import token
from moorage.vendor_sdk import Mode, as_answer
from moorage.vendors.payments._checkout_com_answers import (
    classify,
    dispute_of,
    read_payment,
    removed,
    stored_of,
    was_removed,
)
from moorage.vendors.payments._checkout_com_requests import minor_of
from moorage.vendors.payments.checkout_com import CheckoutCom
from tests.vendors.checkout_com_account import (
    EUROS,
    PART,
    RETURN_URL,
    SANDBOX_URL,
    SandboxHub,
    order,
    ref,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Checkout.com."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def test_payment_is_sent_in_minor_units_with_its_key(shop: SandboxHub) -> None:
    """A payment is sent in minor units with the key in Checkout.com's header."""
    shop.sandbox.store("cus_ada")
    customer = Customer(id="cus_ada", email="ada@erp.example", name="Ada", ip="203.0.113.7")
    payment = shop.hold(
        customer=customer,
        description="Masks" * 30,
        metadata={"order": "7"},
        store_method=True,
        three_ds="always",
    )
    (request,) = shop.sandbox.requests

    assert ("POST", "/payments", "k-1") == (
        request.method,
        request.path,
        request.headers.get("Cko-Idempotency-Key"),
    )
    assert {
        "source": {"type": "token", "token": token(), "store_for_future_use": True},
        "amount": 14990,
        "currency": "EUR",
        "capture": False,
        "reference": "INV-2041",
        "description": ("Masks" * 30)[:100],
        "success_url": RETURN_URL,
        "failure_url": RETURN_URL,
        "metadata": {"order": "7"},
        "customer": {"id": "cus_ada", "email": "ada@erp.example", "name": "Ada"},
        "payment_ip": "203.0.113.7",
        "3ds": {"enabled": True},
    } == shop.sent_body()
    assert PaymentState.REQUIRES_ACTION == payment.state


def test_stored_card_is_charged_without_the_buyer(shop: SandboxHub) -> None:
    """A stored card is charged by its id, as a payment that the merchant initiates."""
    card = shop.sandbox.store("cus_ada")
    payment = shop.pay(card, off_session=True)

    body = shop.sent_body()
    assert {"type": "id", "id": card} == body["source"]
    assert (True, "Unscheduled") == (body["merchant_initiated"], body["payment_type"])
    assert payment.means is not None
    assert card == payment.means.stored


def test_card_of_the_first_payment_is_stored(shop: SandboxHub) -> None:
    """With `store_method`, a payment's card is listed for its customer, and can be removed."""
    shop.sandbox.customers["cus_ada"] = {}
    payment = shop.pay(store_method=True, customer=Customer(id="cus_ada"))
    (stored,) = shop.payments.stored_means("cus_ada").items

    assert (
        payment.means
        == stored.means
        == MeansOfPayment(
            type="card", brand="visa", last4="4242", expires=(2034, 12), stored=stored.ref.id
        )
    )
    result = shop.payments.remove_means(stored.ref, idempotency_key="s-1")
    assert (StoredState.REMOVED, "cus_ada") == (result.state, result.customer)
    assert () == shop.payments.stored_means("cus_ada").items
    with pytest.raises(VendorRejected):
        shop.payments.remove_means(stored.ref, idempotency_key="s-2")


@pytest.mark.parametrize(
    "attempts, status, expected", [(1, 404, False), (2, 404, True), (2, 403, False)]
)
def test_missing_card_at_a_retried_removal_counts_as_removed(
    attempts: int, status: int, *, expected: bool
) -> None:
    """If a retried removal finds no card, the card counts as removed by an earlier attempt."""
    error = VendorRejected("No.", status=status)
    error.attempts = attempts
    assert expected is was_removed(error)


def test_card_removed_at_a_later_attempt() -> None:
    """If the first response to a removal is lost, the retry reports the card as removed."""
    shop = SandboxHub(retried=True)
    with shop.hub:
        shop.sandbox.store("cus_ada")
        (stored,) = shop.payments.stored_means("cus_ada").items
        shop.sandbox.fail(Lost())
        result = shop.payments.remove_means(stored.ref, idempotency_key="s-1")
    assert StoredState.REMOVED == result.state


def test_payment_confirmed_by_the_buyer(shop: SandboxHub) -> None:
    """A payment that waits for the buyer has a redirect URL, and is authorised afterwards."""
    payment = shop.hold(token("3ds"))
    action = payment.next_action
    assert action is not None
    assert action.url == f"{SANDBOX_URL}/3ds/{payment.ref.id}"
    assert EUROS == payment.amount
    waiting = shop.payments.complete(payment.ref, idempotency_key="c-1")
    assert (PaymentState.REQUIRES_ACTION, PaymentState.PENDING) == (payment.state, waiting.state)

    shop.sandbox.visit(str(action.url))
    completed = shop.payments.complete(payment.ref, idempotency_key="c-2")
    assert PaymentState.AUTHORIZED == completed.state


def test_payment_declined_after_the_return(shop: SandboxHub) -> None:
    """If a payment is declined after the buyer's return, the error has the bank's reason."""
    payment = shop.hold(token("3ds"))
    shop.sandbox.visit(payment.ref.id, code="20051")

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(payment.ref, idempotency_key="c-1")
    assert (DeclineReason.INSUFFICIENT_FUNDS, "20051") == (
        excinfo.value.reason,
        excinfo.value.vendor_code,
    )
    assert str(payment.ref) == excinfo.value.payment
    assert ["", "/actions"] == [
        request.path.removeprefix(f"/payments/{payment.ref.id}")
        for request in shop.sandbox.requests[-2:]
    ]


def test_expired_payment_is_declined_with_its_status(shop: SandboxHub) -> None:
    """A payment that expired unauthorised counts as declined, with its status as the code."""
    payment = shop.hold(token("3ds"))
    shop.sandbox.payments[payment.ref.id].status = "Expired"

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(payment.ref, idempotency_key="c-1")
    assert "Expired" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "code, reason",
    [
        ("20005", DeclineReason.DO_NOT_HONOR),
        ("20014", DeclineReason.INCORRECT_NUMBER),
        ("20054", DeclineReason.EXPIRED_CARD),
        ("20059", DeclineReason.FRAUD_SUSPECTED),
        ("20061", DeclineReason.LIMIT_EXCEEDED),
        ("20154", DeclineReason.AUTHENTICATION_REQUIRED),
        ("30043", DeclineReason.LOST_OR_STOLEN),
    ],
)
def test_decline_has_a_reason(shop: SandboxHub, code: str, reason: DeclineReason) -> None:
    """A declined payment's response code gives the reason, and the payment can be read."""
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay(token(code))

    assert (reason, code) == (excinfo.value.reason, excinfo.value.vendor_code)
    declined = shop.payments.get(excinfo.value.payment or "")
    assert (PaymentState.FAILED, EUROS) == (declined.state, declined.amount)


def test_capture_that_is_not_final_leaves_the_rest_authorised(shop: SandboxHub) -> None:
    """A capture that is not final leaves the rest authorised; the final capture releases it."""
    payment = shop.hold()
    first = shop.payments.capture(
        payment.ref, Money("10.00", "EUR"), idempotency_key="c-1", final=False
    )
    assert {"amount": 1000, "capture_type": "NonFinal"} == shop.sent_body()
    shop.sandbox.settle()
    shop.payments.capture(payment.ref, Money("90.00", "EUR"), idempotency_key="c-2")
    assert {"amount": 9000, "capture_type": "Final"} == shop.sent_body()
    shop.sandbox.settle()
    state = shop.payments.get(payment.ref)

    assert (MoveState.PENDING, Money("10.00", "EUR")) == (first.state, first.amount)
    assert (PaymentState.PARTIALLY_CAPTURED, PART) == (state.state, state.captured)
    assert state.remaining == EUROS * 0


def test_repeated_refund_of_the_rest_refunds_once(shop: SandboxHub) -> None:
    """A refund without an amount refunds the rest, once for each key, and sends its reason."""
    payment = shop.pay()
    shop.sandbox.settle()
    shop.payments.refund(payment.ref, PART, idempotency_key="r-1")
    shop.sandbox.settle()
    refund = shop.payments.refund(payment.ref, reason=RefundReason.DUPLICATE, idempotency_key="r-2")

    assert {"amount": 4990, "metadata": {"reason": "duplicate"}} == shop.sent_body()
    assert (MoveState.PENDING, EUROS - PART) == (refund.state, refund.amount)
    count = len(shop.sandbox.requests)
    repeat = shop.payments.refund(payment.ref, reason=RefundReason.DUPLICATE, idempotency_key="r-2")
    assert (refund.ref, refund.amount) == (repeat.ref, repeat.amount)
    assert count == len(shop.sandbox.requests)
    shop.sandbox.settle(success=False)
    assert PART == shop.payments.get(payment.ref).refunded


def test_void_after_a_capture_is_refused(shop: SandboxHub) -> None:
    """If a captured payment is voided, Checkout.com's error is raised."""
    payment = shop.pay("ideal")
    with pytest.raises(VendorRejected):
        shop.payments.void(payment.ref, idempotency_key="v-0")


def test_capture_and_void_exclude_each_other(shop: SandboxHub) -> None:
    """After a void Checkout.com captures nothing, and after a capture it voids nothing."""
    voided, captured = (
        shop.payments.authorize(order(), idempotency_key=key).ref.id for key in ("v", "c")
    )

    def status_of(id: str, verb: str, **fields: object) -> int:
        headers = {"Authorization": f"Bearer {shop.sandbox.secret_key}"}
        request = Request.post(f"/payments/{id}/{verb}", json=fields, headers=headers)
        client = SandboxHttpClient(shop.sandbox)
        return client.send(request, f"{SANDBOX_URL}{request.path}", Timeouts()).status

    assert [202, 403] == [status_of(voided, "voids"), status_of(voided, "captures")]
    statuses = [status_of(captured, "captures", amount=100, capture_type="NonFinal")]
    statuses.append(status_of(captured, "voids"))
    shop.sandbox.settle()
    assert [202, 403, 403] == [*statuses, status_of(captured, "voids")]
    assert 0 == shop.sandbox.payments[voided].captured


def test_void_is_pending_at_first(shop: SandboxHub) -> None:
    """A void is pending at first, and voiding a voided payment is not an error."""
    payment = shop.hold()
    first = shop.payments.void(payment.ref, idempotency_key="v-1")
    shop.sandbox.settle()

    assert MoveState.PENDING == first.state
    second = shop.payments.void(payment.ref, idempotency_key="v-2")
    assert (MoveState.SUCCEEDED, "Voided") == (second.state, second.vendor_state)


def test_amounts_with_too_many_digits_are_refused() -> None:
    """Chilean pesos have two decimals; a third decimal or a tenth digit is refused."""
    assert 12_300 == minor_of(Money("123", "CLP"))
    assert 1230 == minor_of(Money("1.230", "BHD"))
    with pytest.raises(InvalidData):
        minor_of(Money("1.231", "BHD"))
    with pytest.raises(InvalidData):
        minor_of(Money("10000000.00", "EUR"))


def test_long_reference_is_refused(shop: SandboxHub) -> None:
    """A charge with a reference that is too long is refused before it is sent."""
    with pytest.raises(InvalidData):
        shop.pay(reference="R" * 51)
    assert [] == shop.sandbox.requests


def test_prefix_of_the_account_becomes_part_of_the_host_name() -> None:
    """The account's prefix becomes part of the host name; the host decides test or live mode."""
    live = CheckoutCom(prefix="vkuhvk4v")
    test = CheckoutCom(prefix="pl-vkuhvk4v", base_url=SANDBOX_URL)

    assert ("https://vkuhvk4v.api.checkout.com", Mode.LIVE) == (live.url, live.mode())
    assert ("https://pl-vkuhvk4v.api.sandbox.checkout.com", Mode.TEST) == (test.url, test.mode())
    assert "https://api.checkout.com" == CheckoutCom().url
    with pytest.raises((ConfigurationError, InvalidData)):
        CheckoutCom(prefix="evil.example/")


def test_prefix_and_channel_are_used() -> None:
    """Requests go to the account's host, with its processing channel."""
    shop = SandboxHub(prefix="vkuhvk4v", processing_channel_id="pc_hpswyyx23geezflc2ocz3exn4y")
    with shop.hub:
        shop.pay()
    assert "vkuhvk4v.api.sandbox.checkout.com" == shop.sandbox.requests[-1].host
    assert "pc_hpswyyx23geezflc2ocz3exn4y" == shop.sent_body()["processing_channel_id"]


STEP = Request.post("/payments/pay_1/refunds")


@pytest.mark.parametrize(
    "request_, response, kind",
    [
        (STEP, error(403), VendorRejected),
        (STEP, error(422, "refund_amount_invalid"), VendorRejected),
        (Request.post("/payments"), error(422, "token_expired"), InvalidRequest),
        (Request.post("/payments"), error(429, "duplicate_request"), IdempotencyInProgress),
        (Request.post("/payments"), error(429, "rate_limit"), None),
        (Request.post("/payments"), error(403), None),
        (Request.get("/payments/pay_1"), reply({"status": "Declined"}), None),
        (Request.post("/payments"), reply({"status": "Declined"}, 201), PaymentDeclined),
        (Request.post("/payments"), reply({"status": "Pending"}, 202), None),
    ],
)
def test_status_and_error_codes_decide_the_class_of_a_refusal(
    request_: Request, response: Response, kind: type[ConnectorError] | None
) -> None:
    """The status, the request and the error codes decide the class of an error response."""
    refusal = classify(request_, response)
    assert (None if refusal is None else type(refusal)) is kind


def test_refusal_has_all_its_details() -> None:
    """An error response's text has all error codes, or else the error type, or else the status."""
    refusals = [
        str(classify(STEP, answer))
        for answer in (
            error(422, "amount_invalid", "currency_invalid"),
            reply({"error_type": "request_invalid"}, 422),
            Response(403),
        )
    ]
    for text, words in zip(
        refusals, ("amount_invalid, currency_invalid", "request_invalid", "403"), strict=True
    ):
        assert words in text


@pytest.mark.parametrize(
    "currency, unit_amount", [("KWD", Money("0.010", "KWD")), ("JPY", Money("10", "JPY"))]
)
def test_totals_are_in_the_currency_of_the_payment(currency: str, unit_amount: Money) -> None:
    """A missing total follows from the payment's status; all totals have the payment's currency."""
    fields = {"id": "pay_1", "amount": 10, "currency": currency, "requested_on": MOMENT}
    balances = {"total_authorized": 10, "total_captured": 10, "total_refunded": 10}
    payment = _read({**fields, "status": "Captured", "balances": balances})
    captured_payment = _read(
        {**fields, "status": "Captured", "processed_on": "2031-01-01T00:00:00Z"}
    )
    authorized = _read({**fields, "status": "Authorized"})

    assert [unit_amount] * 4 == [
        payment.amount,
        payment.authorized,
        payment.captured,
        payment.refunded,
    ]
    assert [unit_amount, unit_amount, unit_amount * 0] == [
        captured_payment.authorized,
        captured_payment.captured,
        captured_payment.refunded,
    ]
    assert [unit_amount, unit_amount * 0] == [authorized.authorized, authorized.captured]
    assert datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC) == captured_payment.created_at


MOMENT = "2031-05-06T07:08:09Z"


def _read(fields: dict[str, Any]) -> Any:
    wire: Any = SimpleNamespace(ref=ref)
    return read_payment(wire, None, reply(fields))


def test_refusal_has_the_code(shop: SandboxHub) -> None:
    """The first error code of an error response is its vendor code."""
    shop.sandbox.fail(error(422, "amount_invalid", "currency_invalid"))
    with pytest.raises(InvalidRequest) as excinfo:
        shop.pay()
    assert "amount_invalid" == excinfo.value.vendor_code
    shop.sandbox.secret_key = "another"
    with pytest.raises(AuthenticationFailed):
        shop.pay()


def test_disputes_are_listed_in_pages(shop: SandboxHub) -> None:
    """Disputes are read in pages, and those that began outside the period are left out."""
    payment = shop.pay()
    shop.sandbox.settle()
    first = shop.sandbox.dispute(payment.ref.id)
    shop.sandbox.dispute(payment.ref.id, "won")
    page = shop.payments.disputes(PaymentQuery(limit=1))
    assert page.next is not None
    rest = shop.payments.disputes(PaymentQuery(limit=1), after=page.next)
    (dispute,) = rest.items

    assert DisputeState.WON == page.items[0].state
    assert (first["id"], DisputeState.NEEDS_RESPONSE, EUROS, "10.4", payment.ref.id, None) == (
        dispute.ref.id,
        dispute.state,
        dispute.amount,
        dispute.reason,
        None if dispute.payment is None else dispute.payment.id,
        rest.next,
    )
    now = datetime.fromtimestamp(shop.time, UTC)
    assert dispute.respond_by == now + timedelta(days=10)
    start = (now + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=9)))
    assert () == shop.payments.disputes(PaymentQuery(since=start)).items
    assert start.astimezone(UTC).isoformat() == dict(shop.sandbox.requests[-1].query)["from"]
    with pytest.raises(InvalidData):
        shop.payments.disputes(after=ref("page"))


@pytest.mark.parametrize(
    "operation, argument", [("disputes", None), ("stored_means", "cus_ada"), ("get", "pay_1")]
)
def test_answer_without_required_field_is_failure_of_vendor(
    shop: SandboxHub, operation: str, argument: Any
) -> None:
    """A response without a required field is a failure of the vendor."""
    body = b'{"data": {}, "instruments": {}}'
    shop.sandbox.fail(
        AlteredAnswer(lambda _: Response(200, {"Content-Type": "application/json"}, body))
    )
    arguments = () if argument is None else (ref(argument) if operation == "get" else argument,)
    with pytest.raises(VendorFailed):
        getattr(shop.payments, operation)(*arguments)


def test_dispute_or_card_without_an_id_is_left_out() -> None:
    """An unreadable dispute or card is left out; a response to a removal must be empty."""
    assert dispute_of(ref, as_answer({"id": "dsp_1"})) is None
    assert stored_of(ref, as_answer({"id": "src_1"}), "cus_1") is None
    unnamed = dispute_of(ref, as_answer({"id": "dsp_1", "status": "levitated"}))
    assert unnamed is not None
    assert (DisputeState.UNKNOWN, None) == (unnamed.state, unnamed.payment)
    with pytest.raises(VendorFailed):
        removed(ref("src_1"), Response(200, body=b"{}"))


def test_payment_without_balances_has_the_totals_of_its_status(shop: SandboxHub) -> None:
    """A payment whose response has no balances gets the totals that follow from its status."""
    payment = shop.pay()

    def changed_payment(**fields: Any) -> Any:
        def change(response: Response) -> Response:
            return reply({**response.json(), "balances": {}, **fields})

        shop.sandbox.fail(AlteredAnswer(change))
        return shop.payments.get(payment.ref)

    captured = changed_payment(status="Captured")
    assert (PaymentState.CAPTURED, EUROS) == (captured.state, captured.captured)
    assert [EUROS * 0] * 3 == [
        changed_payment(status=status).captured for status in ("Authorized", "Pending", "Declined")
    ]
    assert changed_payment(status="Levitated").captured is None
