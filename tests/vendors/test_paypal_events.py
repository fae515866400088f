"""PayPal's webhooks and errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, WebhookRejected
from moorage.contracts.payments import (
    BuyerOutcome,
    DeclineReason,
    DisputeState,
    MoveState,
    PaymentEvent,
    PaymentState,
    advance,
    buyer_notice,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    AuthenticationFailed,
    IdempotencyInProgress,
    InvalidRequest,
    PaymentDeclined,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import reply
from moorage.vendors.payments._paypal_events import classify, read_events
from moorage.vendors.payments.paypal import PayPal
from tests.vendors.paypal_account import EUROS, SandboxHub
from tests.vendors.subjects.paypal import paypal_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

AMOUNT = {"currency_code": "EUR", "value": "149.90"}
ORDER_UP = {"rel": "up", "href": "https://api.paypal.com/v2/checkout/orders/5O1"}
CAPTURE_UP = {"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/3C1"}


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by PayPal."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference to a PayPal object, such as a payment, in the test account."""
    return Ref("paypal", "main", id, {name: value for name, value in related.items() if value})


def events_of(kind: str, data: Any) -> list[PaymentEvent]:
    """Return the events of a PayPal webhook of the given type."""
    now = datetime(2031, 5, 6, tzinfo=UTC)
    event = WebhookEvent(
        vendor="paypal", id="WH-1", type=kind, vendor_type=kind, time=now, data=data
    )
    return list(read_events(event, ref))


# --- webhooks --------------------------------------------------------------


def test_webhook_is_certified(shop: SandboxHub) -> None:
    """A PayPal webhook is accepted only with a signature over itself by PayPal's certificate."""
    payment = shop.charged()
    [notice] = shop.sandbox.sent
    [event] = shop.read(notice)

    assert (payment.ref.id, "PAYMENT.CAPTURE.COMPLETED") == (event.ref.id, event.vendor_type)
    assert (EUROS, "INV-2041") == (event.capture and event.capture.amount, event.reference)
    forged_request: dict[str, Any] = {
        **notice.arguments(),
        "body": notice.body.replace(b"149.90", b"1.00"),
    }
    with pytest.raises(WebhookRejected):
        shop.hub.webhooks("main").verify(**forged_request)
    with pytest.raises(WebhookRejected):
        shop.hub.webhooks("main", parameters={"webhook_id": "x"}).verify(**notice.arguments())
    with pytest.raises(WebhookRejected):
        shop.hub.webhooks("main", scheme="paypal").verify(**notice.arguments())


def test_webhook_id_is_required() -> None:
    """If a verifier has no PayPal webhook id, the error asks for the id."""
    with (
        Hub([Account("main", PayPal(), settings={"volatile_keys": True})]) as hub,
        pytest.raises(ConfigurationError, match="webhook_id"),
    ):
        hub.webhooks("main")


def test_approved_and_expired_orders(shop: SandboxHub) -> None:
    """An approved PayPal order is pending; an order that expires uncaptured has ended."""
    payment = shop.charged("paypal")
    shop.sandbox.approve(payment.ref.id)
    [approved_event] = shop.webhook_events()
    assert (PaymentState.PENDING, payment.ref.id) == (approved_event.state, approved_event.ref.id)
    assert PaymentState.PENDING is advance(payment, approved_event).state
    [reversal] = shop.read(shop.sandbox.reverse(payment.ref.id))

    assert (PaymentState.EXPIRED, payment.ref.id) == (reversal.state, reversal.ref.id)
    assert PaymentState.VOIDED is shop.payments.get(payment.ref).state


def test_dispute_and_its_end(shop: SandboxHub) -> None:
    """A PayPal dispute contains the capture's id, by which its payment is found."""
    payment = shop.charged()
    result = shop.sandbox.dispute(payment.captures[0].ref.id)
    event = shop.webhook_events()[-1]
    assert (PaymentState.DISPUTED, "INV-2041") == (event.state, event.reference)
    assert event.dispute is not None
    assert (DisputeState.NEEDS_RESPONSE, result["dispute_id"]) == (
        event.dispute.state,
        event.dispute.ref.id,
    )
    assert payment == shop.payments.get(event.ref)
    end_states = {
        "RESOLVED_BUYER_FAVOUR": (PaymentState.DISPUTED, DisputeState.LOST),
        "RESOLVED_SELLER_FAVOUR": (None, DisputeState.WON),
        "ACCEPTED": (PaymentState.DISPUTED, DisputeState.ACCEPTED),
        "NONE": (None, DisputeState.CLOSED),
    }
    for outcome, existing_states in end_states.items():
        [end] = shop.read(shop.sandbox.resolve(result["dispute_id"], outcome))
        assert end.dispute is not None
        assert existing_states == (end.state, end.dispute.state)


def test_order_events_have_totals(shop: SandboxHub) -> None:
    """The event of a whole PayPal order has its totals."""
    payment = shop.charged()
    [event] = events_of("CHECKOUT.ORDER.COMPLETED", payment.raw)

    assert (EUROS, EUROS, EUROS * 0, None) == (
        event.authorized,
        event.captured,
        event.refunded,
        event.decline,
    )
    declined_capture = {"status": "DECLINED", "processor_response": {"response_code": "5120"}}
    [capture_data] = payment.raw["purchase_units"][0]["payments"]["captures"]
    capture_data |= declined_capture
    [event] = events_of("CHECKOUT.ORDER.COMPLETED", payment.raw)
    assert event.decline is not None
    assert (PaymentState.FAILED, DeclineReason.INSUFFICIENT_FUNDS) == (
        event.state,
        event.decline.reason,
    )


def test_capture_that_was_declined() -> None:
    """The event of a failed PayPal capture has the reason, and the uncaptured payment fails."""
    fields = {"id": "3C1", "status": "DECLINED", "amount": AMOUNT, "links": [ORDER_UP]}
    [event] = events_of(
        "PAYMENT.CAPTURE.DENIED", {**fields, "processor_response": {"response_code": "5120"}}
    )

    assert (PaymentState.FAILED, "5O1") == (event.state, event.ref.id)
    assert event.decline is not None
    assert DeclineReason.INSUFFICIENT_FUNDS is event.decline.reason
    assert event.capture is not None
    assert (MoveState.FAILED, "5120") == (event.capture.state, event.capture.reason)


def test_reference_of_an_event() -> None:
    """A PayPal event has the order's reference if possible, and else the capture's."""
    capture: dict[str, Any] = {"id": "3C1", "status": "COMPLETED", "amount": AMOUNT}
    related_ids = {"supplementary_data": {"related_ids": {"order_id": "5O2"}}}
    [by_ids] = events_of("PAYMENT.CAPTURE.COMPLETED", {**capture, **related_ids})
    [by_link] = events_of("PAYMENT.CAPTURE.COMPLETED", {**capture, "links": [ORDER_UP]})
    [only_event] = events_of("PAYMENT.CAPTURE.COMPLETED", capture)
    refund: dict[str, Any] = {"id": "1R1", "status": "COMPLETED", "amount": AMOUNT}
    [own_event] = events_of("PAYMENT.CAPTURE.REFUNDED", {**refund, "custom_id": "order-5O3"})
    [by_hand] = events_of("PAYMENT.CAPTURE.REFUNDED", {**refund, "links": [CAPTURE_UP]})

    results = [event.ref for event in (by_ids, by_link, only_event, own_event, by_hand)]
    of_capture = ref("3C1", capture="3C1")
    assert [ref("5O2"), ref("5O1"), of_capture, ref("5O3"), of_capture] == results
    assert [False, False, True, False, True] == [
        event.ask for event in (by_ids, by_link, only_event, own_event, by_hand)
    ]
    assert by_hand.refund is not None
    assert (MoveState.SUCCEEDED, of_capture) == (by_hand.refund.state, by_hand.refund.payment)


def test_refund_by_hand(shop: SandboxHub) -> None:
    """If a PayPal refund event names only the capture, the payment is found by a look-up."""
    payment = shop.charged()
    shop.payments.refund(payment.ref, EUROS, idempotency_key="r-1")
    [refund] = shop.sandbox.refunds.values()
    capture = payment.captures[0].ref.id
    refund |= {"custom_id": "by hand", "links": [{**CAPTURE_UP}]}
    refund["links"][0]["href"] = refund["links"][0]["href"].replace("3C1", capture)
    [event] = events_of("PAYMENT.CAPTURE.REFUNDED", refund)
    assert event.ref.id == capture
    result = shop.payments.follow_up(event)

    assert PaymentState.REFUNDED is advance(payment, result).state


@pytest.mark.parametrize(
    "word, state", [("PENDING", MoveState.PENDING), ("FAILED", MoveState.FAILED)]
)
def test_paypal_refund_event_states_the_outcome_of_the_refund(word: str, state: MoveState) -> None:
    """A PayPal event of a refund that waits or has failed contains the refund in that state."""
    fields = {"id": "1R1", "status": word, "amount": AMOUNT, "custom_id": "order-5O1"}
    [event] = events_of(f"PAYMENT.REFUND.{word}", fields)

    assert event.refund is not None
    assert (ref("5O1"), "1R1", state, EUROS) == (
        event.ref,
        event.refund.ref.id,
        event.refund.state,
        event.refund.amount,
    )


def test_paypal_reversal_event_contains_refund() -> None:
    """A PayPal reversal event contains a refund, or the capture itself."""
    fields = {"id": "1R1", "status": "COMPLETED", "amount": AMOUNT, "links": [CAPTURE_UP]}
    [refund] = events_of("PAYMENT.CAPTURE.REVERSED", {**fields, "custom_id": "order-5O1"})
    capture = {"id": "3C1", "status": "REVERSED", "amount": AMOUNT, "links": [ORDER_UP]}
    [whole_event] = events_of("PAYMENT.CAPTURE.REVERSED", {**capture, "custom_id": "INV-2041"})

    assert refund.refund is not None
    assert EUROS == refund.refund.amount
    assert (PaymentState.REFUNDED, EUROS, "5O1") == (
        whole_event.state,
        whole_event.refunded,
        whole_event.ref.id,
    )
    assert (None, "INV-2041") == (refund.reference, whole_event.reference)


def test_host_reference_is_not_mistaken_for_a_refund_mark() -> None:
    """A caller's reference that looks like moorage's mark of a refund is not mistaken for it."""
    fields = {"id": "3C1", "status": "COMPLETED", "amount": AMOUNT, "custom_id": "order-1001"}
    [event] = events_of("PAYMENT.CAPTURE.COMPLETED", fields)

    assert (ref("3C1", capture="3C1"), "order-1001") == (event.ref, event.reference)


def test_unknown_authorisation_event() -> None:
    """An unknown event of a PayPal authorisation has no state."""
    fields = {"id": "0A1", "status": "PENDING", "amount": AMOUNT, "links": [ORDER_UP]}
    [event] = events_of("PAYMENT.AUTHORIZATION.PONDERED", fields)

    assert (None, None, "PENDING") == (event.state, event.authorized, event.vendor_state)
    assert "0A1" == event.ref.other("authorization")


@pytest.mark.parametrize(
    "kind",
    [
        "CHECKOUT.ORDER.APPROVED",
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "PAYMENT.AUTHORIZATION.CREATED",
        "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.CAPTURE.REVERSED",
        "PAYMENT.REFUND.FAILED",
        "CUSTOMER.DISPUTE.CREATED",
        "BILLING.PLAN.CREATED",
    ],
)
@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        [],
        {"id": "1"},
        {"id": 1, "status": ["COMPLETED"], "links": {"rel": "up"}},
        {"dispute_id": "PP-1", "status": "OPEN"},
        {"id": "", "links": [{"rel": "up", "href": 7}]},
    ],
)
def test_unknown_or_incomplete_paypal_webhooks_give_no_events(kind: str, data: object) -> None:
    """Unknown or incomplete PayPal webhooks give no events."""
    assert [] == events_of(kind, data)


# --- errors ----------------------------------------------------------------

UNPROCESSABLE = "UNPROCESSABLE_ENTITY"


@pytest.mark.parametrize(
    "response, kind, code, outcome",
    [
        (
            paypal_refusal(400, "INVALID_REQUEST"),
            InvalidRequest,
            "INVALID_REQUEST",
            "not_attempted",
        ),
        (paypal_refusal(422, UNPROCESSABLE, "X", "/y"), InvalidRequest, "X", "not_attempted"),
        (paypal_refusal(422, UNPROCESSABLE, "X"), VendorRejected, "X", "not_attempted"),
        (paypal_refusal(409, UNPROCESSABLE, "X"), VendorRejected, "X", "not_attempted"),
        (paypal_refusal(404, "RESOURCE_NOT_FOUND", "Y"), VendorRejected, "Y", "not_attempted"),
        (paypal_refusal(401, "A"), AuthenticationFailed, "A", "not_attempted"),
        (paypal_refusal(403, "NOT_AUTHORIZED", "P"), AuthenticationFailed, "P", "not_attempted"),
        (paypal_refusal(429, "RATE_LIMIT_REACHED"), RateLimitExceeded, "RATE_LIMIT_REACHED", None),
    ],
)
def test_error_issues_come_first(
    response: Response, kind: type[Exception], code: str, outcome: str | None
) -> None:
    """The code of a PayPal error is its issue, or else its name."""
    error = classify(Request.post("/v2/checkout/orders"), response)

    assert error is not None
    assert (kind, code) == (type(error), vars(error)["vendor_code"])
    if outcome is not None:
        assert BuyerOutcome(outcome) is buyer_notice(error).outcome


@pytest.mark.parametrize(
    "issue, reason",
    [
        ("INSTRUMENT_DECLINED", DeclineReason.DO_NOT_HONOR),
        ("CARD_EXPIRED", DeclineReason.EXPIRED_CARD),
        ("PAYER_ACTION_REQUIRED", DeclineReason.AUTHENTICATION_REQUIRED),
        ("PAYER_CANNOT_PAY", DeclineReason.OTHER),
        ("TRANSACTION_LIMIT_EXCEEDED", DeclineReason.LIMIT_EXCEEDED),
        ("PAYER_ACCOUNT_LOCKED_OR_CLOSED", DeclineReason.ACCOUNT_CLOSED),
        ("TRANSACTION_BLOCKED_BY_PAYEE", DeclineReason.FRAUD_SUSPECTED),
    ],
)
def test_paypal_issues_about_buyer_payment_method_are_declines(
    issue: str, reason: DeclineReason
) -> None:
    """PayPal issues about the buyer's payment method are declines."""
    error = classify(Request.post("/"), paypal_refusal(422, UNPROCESSABLE, issue))

    assert isinstance(error, PaymentDeclined)
    assert (reason, issue) == (error.reason, error.vendor_code)


@pytest.mark.parametrize("status", [409, 422])
def test_request_in_progress(status: int) -> None:
    """A repeat counts as in progress while PayPal still handles the first request."""
    for issue in ("PREVIOUS_REQUEST_IN_PROGRESS", "ORDER_COMPLETION_IN_PROGRESS"):
        error = classify(Request.post("/"), paypal_refusal(status, "X", issue))
        assert isinstance(error, IdempotencyInProgress)


@pytest.mark.parametrize(
    "response", [Response(409), Response(409, body=b"[]"), paypal_refusal(409, "RESOURCE_CONFLICT")]
)
def test_paypal_conflict_without_issue_means_that_same_request_id_is_in_progress(
    response: Response,
) -> None:
    """A PayPal conflict without an issue means that the same request id is in progress."""
    error = classify(Request.post("/v2/payments/captures/1/refund"), response)

    assert isinstance(error, IdempotencyInProgress)


@pytest.mark.parametrize(
    "response",
    [
        Response(500, body=b"<html></html>"),
        paypal_refusal(500, "INTERNAL_SERVER_ERROR"),
        paypal_refusal(503, UNPROCESSABLE, "INSTRUMENT_DECLINED"),
        reply({"error": "invalid_token"}, 401),
        reply([], 400),
        reply({"details": "x"}, 400),
        reply({"purchase_units": [{"payments": {"captures": [{"status": "COMPLETED"}]}}]}),
        reply({"purchase_units": [{"payments": {}}]}),
        Response(204),
    ],
)
def test_other_answers_are_classified_by_status(response: Response) -> None:
    """PayPal outages, other errors and successes are classified by their status."""
    assert classify(Request.post("/"), response) is None


def test_looking_up_a_declined_order_is_no_decline() -> None:
    """Looking up a PayPal order with a declined payment raises no decline."""
    captures = [{"status": "DECLINED"}]
    response = reply({"id": "5O1", "purchase_units": [{"payments": {"captures": captures}}]})

    assert classify(Request.get("/"), response) is None
    error = classify(Request.post("/"), response)
    assert isinstance(error, PaymentDeclined)
    assert ("5O1", "DECLINED", "other") == (error.payment, error.vendor_code, error.reason)


def test_outage_and_a_throttle(shop: SandboxHub) -> None:
    """PayPal outages and rate limits raise their own errors; a rate limit means no charge."""
    shop.sandbox.fail(paypal_refusal(503, "SERVICE_UNAVAILABLE"))
    with pytest.raises(VendorFailed) as excinfo:
        shop.charged()
    assert BuyerOutcome.UNKNOWN is buyer_notice(excinfo.value).outcome
    shop.sandbox.fail(paypal_refusal(429, "RATE_LIMIT_REACHED"))
    with pytest.raises(RateLimitExceeded) as throttled:
        shop.charged()
    assert throttled.value.by_vendor
    assert BuyerOutcome.UNAVAILABLE is buyer_notice(throttled.value).outcome
    assert [] == shop.sandbox.charged_orders
