"""Payments at Braintree: marks of keys, captures, voids, refunds, lists, stored methods, errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from moorage import Hub
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.address import Address
from moorage.contracts.payments import (
    Customer,
    DeclineReason,
    Money,
    MoveState,
    PaymentQuery,
    PaymentState,
    RefundReason,
    SettledAs,
    StoredState,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
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
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.payments._braintree_rules import VAULTED, errors
from moorage.testing.sandboxes.payments.braintree import BraintreeSandbox
from moorage.vendor_sdk import Mode
from moorage.vendors.payments.braintree import Braintree
from tests.vendors.braintree_account import EUROS, PART, SETTINGS, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.domain.http.requests import Response


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Braintree."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def mark(key: str) -> str:
    """Return the mark that stands for a key in an order id: 16 hex digits of the key's hash."""
    return sha256(f"\n{key}".encode()).hexdigest()[:16]


def changed_transaction(**fields: Any) -> AlteredAnswer:
    """Return a planned fault that changes fields of the first transaction in a response."""

    def change(response: Response) -> Response:
        body = response.json()
        [root] = body["data"].values()
        transaction = root.get("transaction") or root.get("refund") or root
        transaction.update(fields)
        return reply(body)

    return AlteredAnswer(change)


def test_requests_of_a_charge(shop: SandboxHub) -> None:
    """A charge's order id contains a mark of its key; the mark is searched for before charging."""
    payment = shop.pay(
        customer=Customer(id="Y3VzdG9tZXI", email="ada@erp.example", phone="+49301234"),
        metadata={"order": "7"},
        off_session=True,
        store_method=True,
        shipping_address=Address(
            name="Ada", line1="Weg 1", city="Berlin", postal_code="10115", country="DE"
        ),
        extra={"braintree": {"channel": "MOORAGE"}},
    )
    order_id = f"INV-1/{mark('k-1')}"

    assert [{"input": {"orderId": {"is": order_id}}, "first": 2, "after": None}] == shop.sent(
        "Search"
    )
    assert [
        {
            "input": {
                "paymentMethodId": "fake-valid-nonce",
                "transaction": {
                    "amount": "149.90",
                    "orderId": order_id,
                    "customerId": "Y3VzdG9tZXI",
                    "customerDetails": {"email": "ada@erp.example", "phoneNumber": "+49301234"},
                    "customFields": [{"name": "order", "value": "7"}],
                    "paymentInitiator": "UNSCHEDULED",
                    "vaultPaymentMethodAfterTransacting": {"when": "ON_SUCCESSFUL_TRANSACTION"},
                    "shipping": {
                        "shippingAddress": {
                            "firstName": "Ada",
                            "addressLine1": "Weg 1",
                            "adminArea2": "Berlin",
                            "postalCode": "10115",
                            "countryCodeAlpha2": "DE",
                        }
                    },
                    "channel": "MOORAGE",
                },
            }
        }
    ] == shop.sent("Charge")
    assert ("INV-1", EUROS, PaymentState.CAPTURED) == (
        payment.reference,
        payment.captured,
        payment.state,
    )
    assert payment.means is not None
    assert ("visa", "1111", (2034, 12)) == (
        payment.means.brand,
        payment.means.last4,
        payment.means.expires,
    )
    assert payment.means.stored in shop.sandbox.vault


def test_charge_names_merchant_account_if_one_is_configured() -> None:
    """A charge contains the merchant account if one is configured."""
    shop = SandboxHub(merchant_account_id="euros")
    with shop.hub:
        shop.pay()

        [variables] = shop.sent("Charge")
        assert "euros" == variables["input"]["transaction"]["merchantAccountId"]


def test_marks_differ_by_tenant() -> None:
    """If two tenants use the same idempotency key, their marks differ."""
    shop = SandboxHub()
    with shop.hub:
        for tenant in ("north", "south"):
            shop.hub.payments(tenant=tenant).charge(order(), idempotency_key="k")

        order_ids = {item["orderId"] for item in shop.sandbox.transactions.values()}
        assert 2 == len(order_ids)


@pytest.mark.parametrize(
    "fields, name",
    [({"amount": Money("1.00", "USD")}, "USD"), ({"source": None}, "must have a source")],
    ids=["currency", "source"],
)
def test_charge_is_refused_before_it_is_sent(
    shop: SandboxHub, fields: dict[str, Any], name: str
) -> None:
    """A charge in another currency than the account's, or without a source, is not sent."""
    with pytest.raises(InvalidData, match=name):
        shop.pay(**fields)

    assert [] == shop.sandbox.requests


@pytest.mark.parametrize(
    "source, reason, code",
    [
        ("fake-processor-declined-2004-nonce", DeclineReason.EXPIRED_CARD, "2004"),
        ("fake-processor-declined-2001-nonce", DeclineReason.INSUFFICIENT_FUNDS, "2001"),
        ("fake-processor-declined-2999-nonce", DeclineReason.OTHER, "2999"),
        ("fake-gateway-rejected-CVV-nonce", DeclineReason.INCORRECT_CVC, "CVV"),
        ("fake-gateway-rejected-FRAUD-nonce", DeclineReason.FRAUD_SUSPECTED, "FRAUD"),
    ],
)
def test_failed_transaction_is_decline(
    shop: SandboxHub, source: str, reason: DeclineReason, code: str
) -> None:
    """A failed transaction is a decline, even if the charge is repeated with its key."""
    declined_payment: str | None = None
    for _ in range(2):
        with pytest.raises(PaymentDeclined) as excinfo:
            shop.payments.charge(order(source=source), idempotency_key="k")
        assert (reason, code) == (excinfo.value.reason, excinfo.value.vendor_code)
        declined_payment = excinfo.value.payment
    [transaction] = shop.sandbox.transactions.values()

    assert transaction["legacyId"] == Ref.parse(declined_payment or "").id
    payment = shop.payments.get(Ref("braintree", "main", transaction["legacyId"]))
    assert payment.decline is not None
    assert (PaymentState.FAILED, reason) == (payment.state, payment.decline.reason)


def test_decline_without_a_reason(shop: SandboxHub) -> None:
    """A failed transaction without a reason is a decline with the status as its reason."""
    shop.sandbox.fail(None, changed_transaction(status="FAILED", statusHistory=[]))
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay()

    assert (DeclineReason.OTHER, "FAILED") == (excinfo.value.reason, excinfo.value.vendor_code)


@pytest.mark.parametrize(
    "lost, kind", [("l", ConnectionFailed), (".l", OutcomeUnknown)], ids=["search", "charge"]
)
def test_lost_charge_is_paid_once(shop: SandboxHub, lost: str, kind: type[ConnectorError]) -> None:
    """Whichever response is lost, repeating a charge with its key returns the only payment."""
    shop.sandbox.fail(*[Lost() if letter == "l" else None for letter in lost])
    with pytest.raises(kind):
        shop.payments.charge(order(), idempotency_key="k")
    payment = shop.payments.charge(order(), idempotency_key="k")

    assert [payment.ref.id] == [item["legacyId"] for item in shop.sandbox.transactions.values()]
    assert 1 == len(shop.sent("Charge"))


def test_repeat_finds_a_decline_whose_answer_was_lost(shop: SandboxHub) -> None:
    """A decline whose response was lost is found by its reference, and not charged again."""
    source = "fake-processor-declined-2001-nonce"
    shop.sandbox.fail(None, Lost())
    with pytest.raises(OutcomeUnknown):
        shop.payments.charge(order(source=source), idempotency_key="k")
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.charge(order(source=source), idempotency_key="k")
    [transaction] = shop.sandbox.transactions.values()

    assert DeclineReason.INSUFFICIENT_FUNDS == excinfo.value.reason
    assert transaction["legacyId"] == Ref.parse(excinfo.value.payment or "").id


def test_charge_that_no_search_finds_is_not_made_again(shop: SandboxHub) -> None:
    """Until a search finds a lost charge, its outcome is unknown, and nothing is charged."""
    shop.sandbox.hides = True
    shop.sandbox.fail(None, Lost())
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            shop.payments.charge(order(), idempotency_key="k")

    assert 1 == len(shop.sandbox.transactions)
    shop.sandbox.hides = False
    payment = shop.payments.charge(order(), idempotency_key="k")
    assert PaymentState.CAPTURED is payment.state
    assert 1 == len(shop.sandbox.transactions)


def test_job_for_unknown_outcomes_settles_a_lost_charge() -> None:
    """The job for unknown outcomes finds a lost charge in the payment list and settles its key."""
    clock = VirtualClock()
    sandbox = BraintreeSandbox(now=lambda: clock.utc().timestamp())
    vendor = Braintree(
        public_key=sandbox.public_key, credentials=sandbox.private_key, currency="EUR"
    )
    hub = Hub(
        [Account("main", vendor, settings=SETTINGS)],
        http=SandboxHttpClient(sandbox),
        state=MemoryStorage(clock),
        clock=clock,
        sleeper=VirtualSleeper(clock),
    )
    with hub:
        sandbox.fail(None, Lost())
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(order(), idempotency_key="k")
        clock.advance(120.0)
        settlements = hub.settle_payments()
        payment = hub.payments().charge(order(), idempotency_key="k")

        assert [SettledAs.DONE] == [settlement.outcome for settlement in settlements]
        assert [payment.ref.id] == [item["legacyId"] for item in sandbox.transactions.values()]
        assert payment.replayed


def test_retry_after_lost_answer_does_not_charge_second_time() -> None:
    """A retry after a lost response does not charge a second time."""
    shop = SandboxHub(retried=True)
    with shop.hub:
        shop.sandbox.fail(None, Lost())
        with pytest.raises(OutcomeUnknown):
            shop.payments.charge(order(), idempotency_key="k")

        assert 1 == len(shop.sandbox.transactions)


def test_partial_capture_keeps_amount_that_was_first_authorised(shop: SandboxHub) -> None:
    """After a partial capture, the payment still has the amount that was first authorised."""
    authorization = shop.hold()
    capture = shop.payments.capture(authorization.ref, PART, idempotency_key="c-1")
    payment = shop.payments.get(authorization.ref)

    assert (
        datetime.fromtimestamp(shop.time, UTC) + timedelta(days=7) == authorization.authorized_until
    )
    assert [
        {"transaction": {"amount": "50.00"}, "transactionId": authorization.ref.other("node")}
    ] == [item["input"] for item in shop.sent("Capture")]
    assert (MoveState.SUCCEEDED, PART) == (capture.state, capture.amount)
    assert (EUROS, PART, PaymentState.PARTIALLY_CAPTURED) == (
        payment.amount,
        payment.captured,
        payment.state,
    )


def test_capture_without_an_amount_captures_everything(shop: SandboxHub) -> None:
    """A capture without an amount captures everything, and a second one is refused."""
    authorization = shop.hold()
    capture = shop.payments.capture(authorization.ref, idempotency_key="c-1")
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.capture(authorization.ref, idempotency_key="c-2")

    assert (MoveState.SUCCEEDED, EUROS) == (capture.state, capture.amount)
    assert "91507" == excinfo.value.vendor_code


def test_lost_capture_is_found(shop: SandboxHub) -> None:
    """If a lost capture is repeated, Braintree refuses it, and the captured payment is returned."""
    authorization = shop.hold()
    shop.sandbox.fail(None, Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.capture(authorization.ref, PART, idempotency_key="c-1")
    capture = shop.payments.capture(authorization.ref, PART, idempotency_key="c-1")

    assert (MoveState.SUCCEEDED, PART) == (capture.state, capture.amount)
    assert 2 == len(shop.sent("Capture"))


@pytest.mark.parametrize(
    "status, state",
    [("SETTLEMENT_PENDING", MoveState.PENDING), ("SETTLEMENT_CONFIRMED", MoveState.UNKNOWN)],
)
def test_unfinished_capture_is_not_reported_as_captured(
    shop: SandboxHub, status: str, state: MoveState
) -> None:
    """A capture with an unfinished or unknown status is not reported as captured."""
    authorization = shop.hold()
    shop.sandbox.fail(None, changed_transaction(status=status))
    capture = shop.payments.capture(authorization.ref, idempotency_key="c-1")

    assert (state, status) == (capture.state, capture.vendor_state)


def test_authorised_payment_is_voided(shop: SandboxHub) -> None:
    """An authorised payment is voided, and a second void returns the same payment."""
    authorization = shop.hold()
    void = shop.payments.void(authorization.ref, idempotency_key="v-1")
    second_void = shop.payments.void(authorization.ref, idempotency_key="v-2")

    assert (MoveState.SUCCEEDED, MoveState.SUCCEEDED) == (void.state, second_void.state)
    assert 1 == len(shop.sent("Reverse"))
    assert PaymentState.VOIDED is shop.payments.get(authorization.ref).state


def test_lost_void_is_found(shop: SandboxHub) -> None:
    """If a lost void is repeated, the voided payment is returned."""
    authorization = shop.hold()
    shop.sandbox.fail(None, Lost())
    with pytest.raises(ConnectionFailed):
        shop.payments.void(authorization.ref, idempotency_key="v-1")

    assert MoveState.SUCCEEDED is shop.payments.void(authorization.ref, idempotency_key="v-1").state


def test_retried_void_finds_the_voided_payment() -> None:
    """If a retried void is refused because the first succeeded, the voided payment is found."""
    shop = SandboxHub(retried=True)
    with shop.hub:
        authorization = shop.hold()
        shop.sandbox.fail(None, Lost())

        assert (
            MoveState.SUCCEEDED
            is shop.payments.void(authorization.ref, idempotency_key="v-1").state
        )
        assert 2 == len(shop.sent("Reverse"))


@pytest.mark.parametrize("is_settled", [True, False])
def test_captured_payment_is_not_voided(shop: SandboxHub, *, is_settled: bool) -> None:
    """A void does not reverse a captured payment, since Braintree might refund it."""
    payment = shop.settled() if is_settled else shop.pay()
    with pytest.raises(VendorRejected, match="cannot be voided"):
        shop.payments.void(payment.ref, idempotency_key="v-1")

    assert {} == shop.sandbox.refunds
    assert [] == shop.sent("Reverse")
    assert [] == shop.hub.unsettled_payments()


def test_payment_that_settles_during_a_void_is_not_voided(shop: SandboxHub) -> None:
    """A reversal that Braintree turned into a refund is not reported as a void."""
    authorization = shop.hold()
    [transaction] = shop.sandbox.transactions.values()
    transaction["status"] = "SETTLED"
    shop.sandbox.fail(changed_transaction(status="AUTHORIZED"))
    void = shop.payments.void(authorization.ref, idempotency_key="v-1")

    assert MoveState.SUCCEEDED is not void.state
    assert authorization.ref == void.payment
    assert 1 == len(shop.sandbox.refunds)


def test_refused_reversal_raises_error(shop: SandboxHub) -> None:
    """If a reversal is refused, an error is raised, and the payment stays authorised."""
    authorization = shop.hold()
    refused = errors("reverseTransaction", "It cannot be voided.", "VALIDATION", "91504")
    shop.sandbox.fail(None, refused.response)
    with pytest.raises(VendorRejected, match="cannot be voided"):
        shop.payments.void(authorization.ref, idempotency_key="v-1")

    assert PaymentState.AUTHORIZED is shop.payments.get(authorization.ref).state


def test_part_and_then_rest_of_a_payment_are_refunded(shop: SandboxHub) -> None:
    """First a part and then the rest of a payment are refunded, each with the mark of its key."""
    payment = shop.settled()
    part = shop.payments.refund(
        payment.ref, PART, idempotency_key="r-1", reason=RefundReason.REQUESTED_BY_CUSTOMER
    )
    shop.sandbox.settle()
    rest = shop.payments.refund(payment.ref, idempotency_key="r-2")

    assert [
        {
            "amount": "50.00",
            "orderId": f"refund/{mark('r-1')}",
            "description": RefundReason.REQUESTED_BY_CUSTOMER.value.replace("_", " "),
        },
        {"amount": "99.90", "orderId": f"refund/{mark('r-2')}"},
    ] == [item["input"]["refund"] for item in shop.sent("Refund")]
    assert (MoveState.PENDING, PART) == (part.state, part.amount)
    assert EUROS - PART == rest.amount
    shop.sandbox.settle()
    refunded_amount = shop.payments.get(payment.ref)
    assert (PaymentState.REFUNDED, EUROS) == (refunded_amount.state, refunded_amount.refunded)
    assert MoveState.SUCCEEDED is shop.payments.get_refund(part.ref).state
    looked_up = shop.payments.get_refund(Ref("braintree", "main", part.ref.id))
    assert looked_up.payment is not None
    assert payment.ref.id == looked_up.payment.id


def test_rest_of_a_payment_excludes_refunds_that_are_not_settled(shop: SandboxHub) -> None:
    """A refund of the rest of a payment leaves out amounts whose refunds are not settled yet."""
    payment = shop.settled()
    shop.payments.refund(payment.ref, PART, idempotency_key="r-1")
    rest = shop.payments.refund(payment.ref, idempotency_key="r-2")

    assert EUROS - PART == rest.amount
    with pytest.raises(VendorRejected, match="already refunded completely"):
        shop.payments.refund(payment.ref, idempotency_key="r-3")
    assert 2 == len(shop.sandbox.refunds)


def test_lost_refund_of_the_rest_is_found_by_its_mark(shop: SandboxHub) -> None:
    """If a lost refund of the rest is repeated, it is returned although nothing is left."""
    payment = shop.settled()
    shop.sandbox.fail(None, None, Lost())
    with pytest.raises(OutcomeUnknown):
        shop.payments.refund(payment.ref, idempotency_key="r-1")
    refund = shop.payments.refund(payment.ref, idempotency_key="r-1")

    assert [refund.ref.id] == [item["legacyId"] for item in shop.sandbox.refunds.values()]
    assert EUROS == refund.amount


def test_refund_before_settlement_is_refused(shop: SandboxHub) -> None:
    """Only a settled payment can be refunded."""
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.refund(shop.pay().ref, PART, idempotency_key="r-1")

    assert "91506" == excinfo.value.vendor_code


def test_lost_refund_is_found_by_its_mark(shop: SandboxHub) -> None:
    """If a lost refund is repeated, that refund is returned, and nothing more is refunded."""
    payment = shop.settled()
    shop.sandbox.fail(None, Lost())
    with pytest.raises(OutcomeUnknown):
        shop.payments.refund(payment.ref, PART, idempotency_key="r-1")
    refund = shop.payments.refund(payment.ref, PART, idempotency_key="r-1")

    assert [refund.ref.id] == [item["legacyId"] for item in shop.sandbox.refunds.values()]
    assert payment.ref == refund.payment


@pytest.mark.parametrize(
    "status, state",
    [
        ("SETTLED", "succeeded"),
        ("SETTLEMENT_DECLINED", "failed"),
        ("VOIDED", "canceled"),
        ("LEVITATED", "unknown"),
    ],
)
def test_status_of_a_refund_becomes_a_state(shop: SandboxHub, status: str, state: str) -> None:
    """Each Braintree status of a refund becomes a state."""
    refund = shop.payments.refund(shop.settled().ref, PART, idempotency_key="r-1")
    [record] = shop.sandbox.refunds.values()
    record["status"] = status

    assert MoveState(state) == shop.payments.get_refund(refund.ref).state


@pytest.mark.parametrize(
    "status, state, captured",
    [
        ("AUTHORIZING", "pending", "0"),
        ("SETTLEMENT_PENDING", "pending", "0"),
        ("AUTHORIZED", "authorized", "0"),
        ("SETTLING", "captured", "149.90"),
        ("SETTLED", "captured", "149.90"),
        ("SETTLEMENT_DECLINED", "failed", "0"),
        ("VOIDED", "voided", "0"),
        ("AUTHORIZATION_EXPIRED", "expired", "0"),
        ("SETTLEMENT_CONFIRMED", "unknown", None),
    ],
)
def test_status_of_a_payment_becomes_a_state(
    shop: SandboxHub, status: str, state: str, captured: str | None
) -> None:
    """Each Braintree status of a payment becomes a state; an unknown one gives no amounts."""
    ref = shop.hold().ref
    [transaction] = shop.sandbox.transactions.values()
    transaction["status"] = status
    payment = shop.payments.get(ref)

    assert PaymentState(state) == payment.state
    assert (None if captured is None else Money(captured, "EUR")) == payment.captured


def test_payment_is_found_by_the_id_of_webhooks(shop: SandboxHub) -> None:
    """If a payment reference lacks the GraphQL id, the id is looked up by the webhook's id."""
    payment = shop.pay()
    second_payment = shop.payments.get(Ref("braintree", "main", payment.ref.id))

    assert [{"id": payment.ref.id, "type": "TRANSACTION"}] == shop.sent("Resolve")
    assert payment.ref == second_payment.ref


@pytest.mark.parametrize("has_node", [True, False])
def test_payment_that_does_not_exist_is_refused(shop: SandboxHub, *, has_node: bool) -> None:
    """Getting a missing payment raises an error, whether Braintree returns null or an error."""
    ref = shop.pay().ref
    shop.sandbox.transactions.clear()
    if has_node:
        shop.sandbox.fail(reply({"data": {"node": None}}))
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.get(ref)

    assert "NOT_FOUND" == excinfo.value.vendor_code


@pytest.mark.parametrize("answer", [{"data": {"node": {"__typename": "Transaction"}}}, {"a": 1}])
def test_answer_without_transaction_is_malformed_response(
    shop: SandboxHub, answer: dict[str, Any]
) -> None:
    """A response without a transaction is malformed."""
    ref = shop.pay().ref
    shop.sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed):
        shop.payments.get(ref)


def test_payments_of_a_period_are_listed_in_pages(shop: SandboxHub) -> None:
    """The payments from a period's start until before its end are listed page by page."""
    start = datetime.fromtimestamp(shop.time, UTC)
    for _ in range(4):
        shop.pay()
        shop.time += 60
    query = PaymentQuery(
        since=start + timedelta(seconds=60), until=start + timedelta(seconds=180), limit=2
    )
    first_page = shop.payments.payments(query)
    second_page = shop.payments.payments(query, after=first_page.next)
    all_payments = shop.payments.payments(PaymentQuery())

    times = [item.created_at for page in (first_page, second_page) for item in page.items]
    assert [start + timedelta(seconds=120), start + timedelta(seconds=60)] == times
    assert 4 == len(all_payments.items)
    assert second_page.next is None
    assert shop.sent("Search")[-1]["input"] == {}


def test_list_without_edges_is_malformed_response(shop: SandboxHub) -> None:
    """A response without the list's edges is malformed, and does not count as an empty list."""
    shop.sandbox.fail(reply({"data": {"search": {"transactions": {"edges": None}}}}))
    with pytest.raises(VendorFailed):
        shop.payments.payments(PaymentQuery())


def test_stored_payment_methods_are_listed_charged_and_removed(shop: SandboxHub) -> None:
    """Stored payment methods are listed and charged; removing one twice is not an error."""
    [means] = shop.payments.stored_means("ada-1").items
    payment = shop.pay(source=means.ref.id)
    removed = shop.payments.remove_means(means.ref, idempotency_key="m-1")
    repeat = shop.payments.remove_means(means.ref, idempotency_key="m-2")

    assert (VAULTED, StoredState.STORED, "ada-1") == (means.ref.id, means.state, means.customer)
    assert means.means is not None
    assert payment.means is not None
    assert (VAULTED, VAULTED) == (means.means.stored, payment.means.stored)
    assert [StoredState.REMOVED] * 2 == [removed.state, repeat.state]
    assert () == shop.payments.stored_means("ada-1").items


def test_customer_without_a_node_has_no_stored_payment_methods(shop: SandboxHub) -> None:
    """A customer whose node is null has no stored payment methods."""
    shop.sandbox.fail(reply({"data": {"node": None}}))

    assert () == shop.payments.stored_means("ada-1").items


@pytest.mark.parametrize(
    "call",
    [
        lambda shop, ref: shop.payments.stored_means("ada-1"),
        lambda shop, ref: shop.payments.remove_means(ref, idempotency_key="m-1"),
        lambda shop, ref: shop.payments.capture(ref, idempotency_key="c-1"),
        lambda shop, ref: shop.payments.get(ref),
    ],
    ids=["list", "removal", "capture", "get"],
)
def test_error_response_of_any_operation_raises_error(
    shop: SandboxHub, call: Callable[[SandboxHub, Ref], Any]
) -> None:
    """An error response of any Braintree operation raises an error."""
    ref = shop.hold().ref
    refused = errors("x", "It is not allowed.", "VALIDATION").response
    shop.sandbox.fail(refused, refused)
    with pytest.raises(VendorRejected, match="not allowed"):
        call(shop, ref)


def test_removal_without_a_result_is_malformed(shop: SandboxHub) -> None:
    """A response to a removal that does not contain its result is malformed."""
    shop.sandbox.fail(reply({"data": {}}))
    with pytest.raises(VendorFailed):
        shop.payments.remove_means(Ref("braintree", "main", VAULTED), idempotency_key="m-1")


@pytest.mark.parametrize(
    "name, code, kind",
    [
        ("AUTHENTICATION", None, AuthenticationFailed),
        ("AUTHORIZATION", None, AuthenticationFailed),
        ("RESOURCE_LIMIT", None, RateLimitExceeded),
        ("VALIDATION", "81503", InvalidRequest),
        ("UNSUPPORTED_CLIENT", None, InvalidRequest),
        ("VALIDATION", "91574", VendorRejected),
        ("NOT_FOUND", None, VendorRejected),
    ],
)
def test_refused_charge_raises_error_of_its_class_and_code(
    shop: SandboxHub, name: str, code: str | None, kind: type[VendorRejected]
) -> None:
    """A refused charge raises the error of its class and code, and never an unknown outcome."""
    shop.sandbox.fail(None, errors(None, "No.", name, code).response)
    with pytest.raises(kind) as excinfo:
        shop.pay()

    assert (kind, code or name) == (type(excinfo.value), excinfo.value.vendor_code)


@pytest.mark.parametrize(
    "response",
    [
        errors(None, "Oh.", "INTERNAL").response,
        errors(None, "Oh.", "SERVICE_AVAILABILITY").response,
        errors(None, "Oh.", "NOBODY_KNOWS").response,
        reply({"errors": [{"message": "No."}]}),
        reply({}, 503),
        reply({"data": {}}),
    ],
    ids=["internal", "unavailable", "new", "classless", "status", "empty"],
)
def test_after_failure_charge_may_have_been_made(shop: SandboxHub, response: Response) -> None:
    """After a failed response a charge may have been made; a failed query changed nothing."""
    shop.sandbox.fail(None, response)
    with pytest.raises(OutcomeUnknown):
        shop.pay()
    shop.sandbox.fail(response)
    with pytest.raises(VendorFailed):
        shop.payments.payments(PaymentQuery())


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, InvalidRequest),
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (429, RateLimitExceeded),
    ],
)
def test_error_response_may_have_an_http_status(
    shop: SandboxHub, status: int, kind: type[ConnectorError]
) -> None:
    """An error response of Braintree may also have an HTTP status, which decides the error."""
    shop.sandbox.fail(reply({"errors": [{"message": "No."}]}, status))
    with pytest.raises(kind) as excinfo:
        shop.pay()
    assert kind is type(excinfo.value)


@pytest.mark.parametrize(
    "base_url, mode",
    [
        ("https://payments.braintree-api.com", Mode.LIVE),
        ("https://payments.sandbox.braintree-api.com", Mode.TEST),
        ("https://proxy.erp.example", None),
    ],
)
def test_url_decides_whether_payments_are_live_or_tests(base_url: str, mode: Mode | None) -> None:
    """The URL decides whether payments are live or tests."""
    vendor = Braintree(public_key="a", credentials="b", currency="EUR", base_url=base_url)

    assert mode is vendor.mode()


@pytest.mark.parametrize("fields", [{"public_key": "a|b"}, {"currency": "euro"}])
def test_malformed_public_key_or_currency_is_refused(fields: dict[str, str]) -> None:
    """A malformed public key or currency is refused."""
    values: dict[str, Any] = {"public_key": "a", "credentials": "b", "currency": "EUR"}
    with pytest.raises((ConfigurationError, ValueError)):
        Braintree(**values | fields)


def test_private_key_is_not_shown(shop: SandboxHub) -> None:
    """No error shows the private key."""
    text = f"The key {shop.sandbox.private_key} is wrong."
    shop.sandbox.fail(errors(None, text, "AUTHENTICATION").response)
    with pytest.raises(AuthenticationFailed) as excinfo:
        shop.pay()

    assert shop.sandbox.private_key not in f"{excinfo.value}{excinfo.value!r}{shop.hub!r}"
