"""Payments by GoCardless: mandates, payment pages, refunds, lists, error responses and webhooks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import Account, Hub
from moorage.contracts.payments import (
    BuyerOutcome,
    Customer,
    DeclineReason,
    Money,
    MoveState,
    PaymentQuery,
    PaymentState,
    PayoutState,
    RefundReason,
    StoredState,
    advance,
    buyer_notice,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Route
from moorage.errors import (
    ConnectionFailed,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    PaymentDeclined,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.payments._gocardless_payments_rules import error, invalid_field
from moorage.vendor_sdk import Answer, Mode
from moorage.vendors.payments._gocardless_payments_answers import payment_of, read_request
from moorage.vendors.payments.gocardless_payments import GoCardlessPayments
from tests.vendors.gocardless_payments_account import (
    EUROS,
    MANDATE,
    PART,
    RETRIED,
    SANDBOX_URL,
    SandboxHub,
    order,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.domain.http.requests import Response

PAGE_KEY = "page-1"


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that collects payments by GoCardless."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def test_request_of_a_payment(shop: SandboxHub) -> None:
    """A payment against a mandate is sent in minor units, with its key and the API version."""
    payment = shop.pay(
        description="Masks",
        statement_descriptor="ACME 2041",
        metadata={"order": "7"},
        off_session=True,
        extra={"gocardless_payments": {"charge_date": "2031-03-06", "retry_if_possible": True}},
    )
    (request,) = shop.sandbox.requests

    assert ("POST", "/payments", "k-1", "2015-07-06") == (
        request.method,
        request.path,
        request.headers.get("Idempotency-Key"),
        request.headers.get("GoCardless-Version"),
    )
    assert {
        "payments": {
            "amount": 14990,
            "currency": "EUR",
            "description": "Masks",
            "reference": "ACME 2041",
            "metadata": {"order": "7", "reference": "INV-2041"},
            "links": {"mandate": MANDATE},
            "charge_date": "2031-03-06",
            "retry_if_possible": True,
        }
    } == shop.sent_body()
    assert (PaymentState.PENDING, "pending_submission") == (payment.state, payment.vendor_state)
    assert (EUROS, EUROS * 0, EUROS * 0) == (payment.amount, payment.captured, payment.refunded)
    assert payment.means is not None
    assert ("sepa_core", MANDATE) == (payment.means.type, payment.means.stored)
    assert "INV-2041" == payment.reference


@pytest.mark.parametrize(
    "status, state, captured",
    [
        ("pending_customer_approval", "pending", False),
        ("pending_submission", "pending", False),
        ("submitted", "pending", False),
        ("confirmed", "captured", True),
        ("paid_out", "captured", True),
        ("cancelled", "voided", False),
        ("customer_approval_denied", "failed", False),
        ("failed", "failed", False),
        ("charged_back", "disputed", True),
        ("levitated", "unknown", None),
    ],
)
def test_status_of_a_payment_becomes_a_state(
    shop: SandboxHub, status: str, state: str, captured: bool | None
) -> None:
    """Each GoCardless status becomes a payment state; only collected money counts as captured."""
    ref = shop.pay().ref
    shop.sandbox.payments[ref.id]["status"] = status

    payment = shop.payments.get(ref)

    assert (PaymentState(state), status) == (payment.state, payment.vendor_state)
    assert (None if captured is None else EUROS * int(captured)) == payment.captured


@pytest.mark.parametrize(
    "charge, field",
    [
        ({"amount": Money("10.00", "CHF")}, "amount"),
        ({"metadata": {"a": "1", "b": "2", "c": "3"}}, "metadata"),
        ({"metadata": {"reference": "other"}}, "metadata"),
    ],
)
def test_unsuitable_charges_are_not_sent(
    shop: SandboxHub, charge: dict[str, Any], field: str
) -> None:
    """A charge in a currency, or with metadata, that GoCardless refuses is not sent."""
    with pytest.raises(InvalidData) as excinfo:
        shop.pay(**charge)

    assert (field, []) == (excinfo.value.field, shop.sandbox.requests)


def test_payments_without_authorization(shop: SandboxHub) -> None:
    """A bank debit cannot be authorised and captured later, so nothing is sent for it."""
    ref = Ref("gocardless_payments", "main", "PM1", {"amount": "149.90", "currency": "EUR"})
    for use, capability in (
        (lambda: shop.payments.authorize(order(), idempotency_key="a"), "authorize"),
        (lambda: shop.payments.capture(ref, idempotency_key="b"), "authorize"),
    ):
        with pytest.raises(UnsupportedByVendor) as excinfo:
            use()
        assert (capability,) == excinfo.value.capabilities
        assert "stripe" in excinfo.value.supported_by

    assert [] == shop.sandbox.requests


def test_lost_payment_is_found_by_its_key(shop: SandboxHub) -> None:
    """After a lost response, a repeated charge finds the payment; later repeats send no request."""
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.charge(order(), idempotency_key="k")
    payment = shop.payments.charge(order(), idempotency_key="k")
    last_request = shop.sandbox.requests[-1]

    assert [payment.ref.id] == [*shop.sandbox.payments]
    assert ("GET", f"/payments/{payment.ref.id}") == (last_request.method, last_request.path)
    request_count = len(shop.sandbox.requests)
    repeated_payment = shop.payments.charge(order(), idempotency_key="k")
    assert (payment, True) == (repeated_payment, repeated_payment.replayed)
    assert (request_count, []) == (len(shop.sandbox.requests), shop.hub.unsettled_payments())


def test_retry_after_lost_answer_returns_first_payment() -> None:
    """A retry after a lost response returns the first payment, and creates no second one."""
    shop = SandboxHub(retried=True)
    with shop.hub:
        shop.sandbox.fail(Lost())
        payment = shop.pay()

        assert [payment.ref.id] == [*shop.sandbox.payments]


def test_failed_look_up_after_lost_answer_leaves_outcome_unknown() -> None:
    """A payment whose response was lost stays open if looking it up cannot even connect."""
    shop = SandboxHub(retried=True)
    with shop.hub:
        unsent = [ConnectionFailed("down", may_have_been_processed=False) for _ in range(3)]
        shop.sandbox.fail(Lost(), None, *unsent)
        with pytest.raises(ConnectionFailed) as excinfo:
            shop.payments.charge(order(), idempotency_key="k")

        assert 1 == len(shop.sandbox.payments)
        assert excinfo.value.may_have_been_processed
        assert BuyerOutcome.UNKNOWN is buyer_notice(excinfo.value).outcome
        assert ["k"] == [item.idempotency_key for item in shop.hub.unsettled_payments()]


def test_no_other_account_is_tried_after_a_lost_answer() -> None:
    """A payment that may have been made at one account is not made at the next of the route."""
    shop = SandboxHub()
    vendor = GoCardlessPayments(credentials=shop.sandbox.access_token, base_url=SANDBOX_URL)
    accounts = [Account(name, vendor, settings=RETRIED) for name in ("first", "second")]
    route = Route("payments", ("first", "second"))
    with Hub(accounts, routes=[route], http=SandboxHttpClient(shop.sandbox)) as hub:
        unsent = [ConnectionFailed("down", may_have_been_processed=False) for _ in range(3)]
        shop.sandbox.fail(Lost(), None, *unsent)
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(order(), idempotency_key="k")

    assert 1 == len(shop.sandbox.payments)


def test_key_of_another_payment_is_refused(shop: SandboxHub) -> None:
    """A key that GoCardless already has for a payment of another amount raises a conflict."""
    shop.payments.charge(order(), idempotency_key="k")
    other_shop = SandboxHub()
    other_shop.sandbox.payments = shop.sandbox.payments
    with other_shop.hub:
        other_id = next(iter(shop.sandbox.payments))
        conflict = error(
            409,
            "invalid_state",
            "idempotent_creation_conflict",
            conflicting_resource_id=other_id,
        )
        other_shop.sandbox.fail(conflict)
        with pytest.raises(IdempotencyConflict):
            other_shop.payments.charge(order(amount=PART), idempotency_key="k")


def test_payment_is_cancelled_until_it_is_submitted(shop: SandboxHub) -> None:
    """A pending payment can be voided, even twice; voiding a submitted one is refused."""
    ref, late_ref = shop.pay().ref, shop.pay().ref
    void = shop.payments.void(ref, idempotency_key="v-1")
    repeated_void = shop.payments.void(ref, idempotency_key="v-2")
    shop.sandbox.submit()

    assert (MoveState.SUCCEEDED, "cancelled") == (void.state, void.vendor_state)
    assert MoveState.SUCCEEDED == repeated_void.state
    assert PaymentState.VOIDED == shop.payments.get(ref).state
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.void(late_ref, idempotency_key="v-3")
    assert "cancellation_failed" == excinfo.value.vendor_code


def test_refunds_confirm_the_total(shop: SandboxHub) -> None:
    """A refund tells GoCardless the new total of refunds; without an amount it refunds the rest."""
    ref = shop.collect().ref
    first_refund = shop.payments.refund(ref, PART, idempotency_key="r-1", reason="duplicate")
    first_body = shop.sent_body()
    last_refund = shop.payments.refund(ref, idempotency_key="r-2")

    assert {
        "refunds": {
            "amount": 5000,
            "total_amount_confirmation": 5000,
            "links": {"payment": ref.id},
            "metadata": {"reason": RefundReason.DUPLICATE},
        }
    } == first_body
    assert {
        "amount": 9990,
        "total_amount_confirmation": 14990,
        "links": {"payment": ref.id},
    } == shop.sent_body()["refunds"]
    assert (MoveState.PENDING, "created", PART, ref) == (
        first_refund.state,
        first_refund.vendor_state,
        first_refund.amount,
        first_refund.payment,
    )
    assert EUROS - PART == last_refund.amount
    shop.sandbox.settle()
    assert MoveState.SUCCEEDED == shop.payments.get_refund(first_refund.ref).state
    assert PaymentState.REFUNDED == shop.payments.get(ref).state
    with pytest.raises(VendorRejected, match="already refunded"):
        shop.payments.refund(ref, idempotency_key="r-3")


def test_lost_refund_confirms_the_same_total(shop: SandboxHub) -> None:
    """After a lost response, a repeated refund sends the same total, so money returns only once."""
    ref = shop.collect().ref
    shop.sandbox.fail(None, Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.refund(ref, PART, idempotency_key="r-1")
    refund = shop.payments.refund(ref, PART, idempotency_key="r-1")

    assert [refund.ref.id] == [*shop.sandbox.refunds]
    assert PART == shop.payments.get(ref).refunded


@pytest.mark.parametrize(
    "status, state",
    [
        ("created", "pending"),
        ("pending_submission", "pending"),
        ("submitted", "pending"),
        ("paid", "succeeded"),
        ("cancelled", "canceled"),
        ("bounced", "failed"),
        ("funds_returned", "failed"),
        ("levitated", "unknown"),
    ],
)
def test_status_of_a_refund_becomes_a_state(shop: SandboxHub, status: str, state: str) -> None:
    """Each GoCardless status of a refund is translated to a state."""
    refund = shop.payments.refund(shop.collect().ref, PART, idempotency_key="r-1")
    shop.sandbox.refunds[refund.ref.id]["status"] = status

    assert MoveState(state) == shop.payments.get_refund(refund.ref).state


def test_page_of_a_billing_request(shop: SandboxHub) -> None:
    """An intent creates a payment page, and the payment is made when the buyer agrees."""
    customer = Customer(email="ada@erp.example", country="de", name="Ada")
    intent = shop.payments.create_intent(
        order(source=None, customer=customer, store_method=True), idempotency_key=PAGE_KEY
    )

    assert {
        "billing_requests": {
            "payment_request": {
                "amount": 14990,
                "currency": "EUR",
                "description": "INV-2041",
                "metadata": {"reference": "INV-2041"},
            },
            "mandate_request": {"currency": "EUR"},
        }
    } == shop.sent_body(0)
    assert {
        "billing_request_flows": {
            "redirect_uri": "https://shop.example/back",
            "exit_uri": "https://shop.example/back",
            "links": {"billing_request": intent.ref.id},
            "prefilled_customer": {"email": "ada@erp.example", "country_code": "DE"},
        }
    } == shop.sent_body(1)
    assert [PAGE_KEY, f"{PAGE_KEY}/flow"] == [
        request.headers.get("Idempotency-Key") for request in shop.sandbox.requests
    ]
    assert intent.next_action is not None
    assert (PaymentState.REQUIRES_ACTION, "pending") == (intent.state, intent.vendor_state)
    assert intent.next_action.expires_at is not None
    url = intent.next_action.url or ""
    waiting = shop.payments.complete(intent.ref, idempotency_key="c-1")
    assert (PaymentState.REQUIRES_ACTION, "INV-2041") == (waiting.state, waiting.reference)

    shop.sandbox.visit(url)
    payment = shop.payments.complete(intent.ref, idempotency_key="c-2")

    assert payment.ref.id in shop.sandbox.payments
    assert (PaymentState.PENDING, "INV-2041", EUROS) == (
        payment.state,
        payment.reference,
        payment.amount,
    )
    assert payment == shop.payments.get(intent.ref)
    (mandate,) = shop.payments.stored_means("CU_NEW").items
    assert StoredState.STORED == mandate.state


def test_description_and_currency_of_a_billing_request(shop: SandboxHub) -> None:
    """A billing request has the description of the charge, and its own currency."""
    charge = order(
        source=None, amount=Money("20.00", "GBP"), description="Masks", store_method=True
    )
    shop.payments.create_intent(charge, idempotency_key=PAGE_KEY)
    fields = shop.sent_body(0)["billing_requests"]
    request = fields["payment_request"]

    assert {"currency": "GBP"} == fields["mandate_request"]
    assert (2000, "GBP", "Masks") == (
        request["amount"],
        request["currency"],
        request["description"],
    )


def test_payment_page_for_a_known_customer(shop: SandboxHub) -> None:
    """For a known customer, a billing request has the customer's id and no further details."""
    customer = Customer(id="CU_ADA", email="ada@erp.example")
    shop.payments.create_intent(order(source=None, customer=customer), idempotency_key=PAGE_KEY)

    assert {"customer": "CU_ADA"} == shop.sent_body(0)["billing_requests"]["links"]
    assert "prefilled_customer" not in shop.sent_body(1)["billing_request_flows"]


def test_abandoned_page_is_a_decline(shop: SandboxHub) -> None:
    """A cancelled billing request is a decline by the buyer; voiding cancels an open one."""
    abandoned = shop.payments.create_intent(order(source=None), idempotency_key="p-1")
    unused = shop.payments.create_intent(order(source=None), idempotency_key="p-2")
    shop.sandbox.visit(abandoned.ref.id, agrees=False)

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(abandoned.ref, idempotency_key="c-1")
    assert (DeclineReason.CANCELED_BY_BUYER, str(abandoned.ref)) == (
        excinfo.value.reason,
        excinfo.value.payment,
    )
    assert MoveState.SUCCEEDED == shop.payments.void(unused.ref, idempotency_key="v-1").state
    assert PaymentState.VOIDED == shop.payments.get(unused.ref).state


def test_mandates_of_a_customer(shop: SandboxHub) -> None:
    """A customer's chargeable mandates are listed; removing a mandate twice is not an error."""
    (mandate,) = shop.payments.stored_means("CU_ADA").items
    pending = shop.pay().ref
    removed = shop.payments.remove_means(mandate.ref, idempotency_key="m-1")
    removed_again = shop.payments.remove_means(mandate.ref, idempotency_key="m-2")

    assert mandate.means is not None
    assert (MANDATE, "active", "CU_ADA") == (
        mandate.means.stored,
        mandate.vendor_state,
        mandate.customer,
    )
    assert StoredState.REMOVED == removed.state == removed_again.state
    assert () == shop.payments.stored_means("CU_ADA").items
    assert PaymentState.VOIDED == shop.payments.get(pending).state
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay()
    assert "mandate_is_inactive" == excinfo.value.vendor_code


def test_lists_are_filtered_and_paged(shop: SandboxHub) -> None:
    """Payments and payouts are filtered by their creation time, and paged by a cursor."""
    refs = [shop.pay().ref for _ in range(3)]
    first_page = shop.payments.payments(PaymentQuery(limit=2))
    last_page = shop.payments.payments(PaymentQuery(limit=2), after=first_page.next)
    start = datetime(2031, 1, 1, tzinfo=UTC)
    period = PaymentQuery(since=start, until=datetime(2031, 2, 1, tzinfo=UTC), limit=1_000)

    assert refs[::-1] == [payment.ref for payment in first_page.items + last_page.items]
    assert last_page.next is None
    assert () == shop.payments.payments(period).items
    assert {
        "limit": "500",
        "created_at[gte]": "2031-01-01T00:00:00+00:00",
        "created_at[lt]": "2031-02-01T00:00:00+00:00",
    } == dict(shop.sandbox.requests[-1].query)
    shop.sandbox.settle()
    shop.sandbox.pay_out()
    (payout,) = shop.payments.payouts().items
    assert (PayoutState.PAID, EUROS * 3, "paid") == (
        payout.state,
        payout.amount,
        payout.vendor_state,
    )


@pytest.mark.parametrize(
    "answer, kind, code",
    [
        (invalid_field("amount").response, InvalidRequest, "amount"),
        (error(400, "invalid_api_usage", "invalid_document_structure"), InvalidRequest, None),
        (error(422, "invalid_state", "mandate_is_inactive"), PaymentDeclined, None),
        (error(422, "invalid_state", "collection_not_allowed"), VendorRejected, None),
        (error(409, "invalid_state", "idempotent_creation_conflict"), VendorRejected, None),
        (reply({"payments": {"id": "PM1", "status": "submitted"}}), VendorFailed, ""),
        (error(500, "gocardless", "internal_error"), VendorFailed, ""),
    ],
)
def test_refusal_has_error_of_its_type(
    shop: SandboxHub, answer: Response, kind: type[Exception], code: str | None
) -> None:
    """The type of an error response decides the error; its first entry gives the code."""
    shop.sandbox.fail(answer)
    with pytest.raises(kind) as excinfo:
        shop.pay()

    assert kind is type(excinfo.value)
    if code != "":
        reason = answer.json()["error"]["errors"][0].get("reason")
        assert (code or reason) == excinfo.value.vendor_code  # type: ignore[attr-defined]  # a ConnectorError


def test_webhooks_of_a_failed_payment(shop: SandboxHub) -> None:
    """A payment that fails late has the bank's reason, and no longer counts as captured."""
    payment = shop.collect()
    shop.time += 86_400
    shop.sandbox.fail_payment(payment.ref.id, "bank_account_closed")
    *earlier_events, event = shop.webhook_events()

    assert ["submitted", "confirmed"] == [item.vendor_state for item in earlier_events]
    assert (True, "INV-2041", "payments.failed") == (event.ask, event.reference, event.vendor_type)
    for update in (*earlier_events, event):
        payment = advance(payment, shop.payments.follow_up(update))
    assert (PaymentState.FAILED, EUROS * 0) == (payment.state, payment.captured)
    assert payment.decline is not None
    assert (DeclineReason.ACCOUNT_CLOSED, "bank_account_closed") == (
        payment.decline.reason,
        payment.decline.vendor_code,
    )


@pytest.mark.parametrize(
    "cause, reason",
    [
        ("insufficient_funds", DeclineReason.INSUFFICIENT_FUNDS),
        ("refer_to_payer", DeclineReason.CALL_ISSUER),
        ("bank_account_closed", DeclineReason.ACCOUNT_CLOSED),
        ("invalid_bank_details", DeclineReason.INCORRECT_NUMBER),
        ("direct_debit_not_enabled", DeclineReason.CARD_NOT_SUPPORTED),
        ("mandate_cancelled", DeclineReason.CANCELED_BY_BUYER),
        ("authorisation_disputed", DeclineReason.CANCELED_BY_BUYER),
        ("other", DeclineReason.OTHER),
    ],
)
def test_cause_of_a_failed_payment_has_a_reason(
    shop: SandboxHub, cause: str, reason: DeclineReason
) -> None:
    """Each listed cause of a failure at GoCardless is a reason of a decline."""
    payment = shop.collect()
    shop.time += 86_400
    shop.sandbox.fail_payment(payment.ref.id, cause)
    for event in shop.webhook_events():
        payment = advance(payment, shop.payments.follow_up(event))

    assert payment.decline is not None
    assert (reason, cause) == (payment.decline.reason, payment.decline.vendor_code)


def test_webhooks_of_refunds_payouts_pages_and_chargebacks(shop: SandboxHub) -> None:
    """Webhooks of refunds, payouts and pages give events; payment states need a look-up."""
    payment = shop.collect()
    refund = shop.payments.refund(payment.ref, PART, idempotency_key="r-1")
    shop.sandbox.settle()
    payout = shop.sandbox.pay_out()
    shop.sandbox.charge_back(payment.ref.id)
    intent = shop.payments.create_intent(order(source=None), idempotency_key="p-1")
    shop.sandbox.visit(intent.ref.id)
    events = {event.vendor_type: event for event in shop.webhook_events()}

    created, paid = events["refunds.created"].refund, events["refunds.paid"].refund
    assert created is not None
    assert paid is not None
    assert (MoveState.PENDING, MoveState.SUCCEEDED) == (created.state, paid.state)
    assert refund.ref.id == paid.ref.id == events["refunds.paid"].ref.id
    paid_payout = events["payouts.paid"].payout
    assert paid_payout is not None
    assert (PayoutState.PAID, payout["id"]) == (paid_payout.state, paid_payout.ref.id)
    charged_back = shop.payments.follow_up(events["payments.charged_back"])
    assert PaymentState.DISPUTED == charged_back.state
    fulfilled = shop.payments.follow_up(events["billing_requests.fulfilled"])
    assert (intent.ref.id, PaymentState.PENDING) == (
        events["billing_requests.fulfilled"].ref.id,
        fulfilled.state,
    )
    assert fulfilled.ref.id in shop.sandbox.payments


def test_webhooks_of_other_resources_are_ignored(shop: SandboxHub) -> None:
    """A webhook about a mandate gives no event; one about a refund may contain the payment's id."""
    shop.sandbox._notify("mandates", "active", {"mandate": MANDATE})  # noqa: SLF001 - no step sends it
    shop.sandbox._notify("refunds", "levitated", {"refund": "RF1", "payment": "PM1"})  # noqa: SLF001 - no step sends it
    shop.sandbox._notify("exports", "paid", {"payout": "PO1"})  # noqa: SLF001 - no step sends it
    (event,) = shop.webhook_events()

    assert event.refund is not None
    assert ("PM1", MoveState.UNKNOWN) == (event.ref.id, event.refund.state)


@pytest.mark.parametrize(
    "url, mode",
    [
        ("https://api.gocardless.com", Mode.LIVE),
        ("https://api-sandbox.gocardless.com", Mode.TEST),
        ("http://127.0.0.1:8000", None),
    ],
)
def test_mode_by_the_address(url: str, mode: Mode | None) -> None:
    """The URL decides whether an account is live."""
    assert mode == GoCardlessPayments(base_url=url).mode()


@pytest.mark.parametrize(
    "use",
    [
        lambda shop, _: shop.payments.payments(),
        lambda shop, ref: shop.payments.get(ref),
        lambda shop, ref: shop.payments.get(attrs.evolve(ref, id="BRQ1")),
        lambda shop, ref: shop.payments.get_refund(ref),
        lambda shop, ref: shop.payments.remove_means(ref, idempotency_key="m"),
    ],
)
def test_unreadable_answers_are_failures(
    shop: SandboxHub, use: Callable[[SandboxHub, Ref], object]
) -> None:
    """A successful response without its content is a failure of the vendor."""
    shop.sandbox.fail(reply({"nothing": {}}))
    with pytest.raises(VendorFailed):
        use(shop, Ref("gocardless_payments", "main", "PM1"))


def test_page_without_an_address_is_a_failure(shop: SandboxHub) -> None:
    """An intent whose page has no URL is a failure, and a repeat creates another page."""
    shop.sandbox.fail(None, reply({"billing_request_flows": {}}))
    with pytest.raises(VendorFailed):
        shop.payments.create_intent(order(source=None), idempotency_key="p-1")
    intent = shop.payments.create_intent(order(source=None), idempotency_key="p-1")

    assert [intent.ref.id] == [*shop.sandbox.billing_requests]


def test_malformed_items_of_lists_are_left_out(shop: SandboxHub) -> None:
    """A list item that cannot be read is left out."""
    ref = shop.pay().ref
    shop.sandbox.payments["PM2"] = {"id": "PM2", "created_at": "2031-02-28T00:00:00.000Z"}
    shop.sandbox.payouts["PO1"] = {"id": "PO1", "created_at": "2031-02-28T00:00:00.000Z"}
    shop.sandbox.mandates["MD1"] = {"links": {"customer": "CU_ADA"}, "status": "active"}
    shop.sandbox.mandates["MD1"] |= {"id": None, "created_at": "2031-02-28T00:00:00.000Z"}

    assert [ref] == [payment.ref for payment in shop.payments.payments().items]
    assert () == shop.payments.payouts().items
    assert 1 == len(shop.payments.stored_means("CU_ADA").items)


def test_refused_mandate_cancellation_is_an_error(shop: SandboxHub) -> None:
    """If GoCardless refuses to cancel an active mandate, an error is raised."""
    mandate = shop.sandbox.authorise("CU_ADA", status="failed")
    with pytest.raises(VendorRejected):
        shop.payments.remove_means(
            Ref("gocardless_payments", "main", mandate), idempotency_key="m-1"
        )


def test_payment_of_a_subscription_in_its_currency() -> None:
    """A payment refers to its subscription, with the payment's currency."""

    def ref(id: str, /, **related: str | None) -> Ref:
        links = {name: text for name, text in related.items() if text is not None}
        return Ref("gocardless_payments", "main", id, links)

    body = {"id": "PM1", "status": "paid_out", "amount": 500, "currency": "GBP"}
    payment = payment_of(ref, Answer({**body, "links": {"subscription": "SB1"}}))

    assert payment is not None
    assert ref("SB1", currency="GBP") == payment.subscription


@pytest.mark.parametrize("name", ["id", "status", "payment_request"])
def test_incomplete_billing_request_is_malformed(name: str) -> None:
    """A billing request without an id, a status or an amount is a failure of the vendor."""
    amount = {"amount": 500, "currency": "GBP"}
    body = {"id": "BRQ1", "status": "pending", "payment_request": amount}
    response = reply({"billing_requests": {key: body[key] for key in body if key != name}})
    wire: Any = None

    with pytest.raises(VendorFailed, match="payment_request"):
        read_request(wire, response)


def test_bare_conflict_may_be_in_progress(shop: SandboxHub) -> None:
    """A 409 without a reason means that the key may still be in use."""
    shop.sandbox.fail(reply({}, 409))
    with pytest.raises(IdempotencyInProgress):
        shop.pay()
