"""Transfers to payees and new subscriptions with an unknown outcome are listed and settled."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage import Account, Hub
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.contracts.payments import (
    BillingInterval,
    Customer,
    Money,
    NextStep,
    PayeePayout,
    PayeeTransfer,
    SettledAs,
    Subscription,
    SubscriptionRequest,
)
from moorage.errors import (
    ConnectionFailed,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    PaymentDeclined,
)
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from tests.contracts.unsettled_harness import WAIT, PaymentsHarness, UnrepeatedStripe
from tests.vendors.subjects.mollie import mollie

AMOUNT = Money("20.00", "EUR")
TRANSFER = PayeeTransfer(AMOUNT, "acct_payee1", reference="CN-7")
SUBSCRIPTION = SubscriptionRequest(
    AMOUNT,
    BillingInterval("month"),
    "pm_card_visa",
    customer=Customer(id="cus_ada"),
    reference="SUB-7",
)
ORDERS: dict[str, Any] = {"pay_payee": TRANSFER, "create_subscription": SUBSCRIPTION}
KEY = "order-7/1"

orders = pytest.mark.parametrize("operation", list(ORDERS))


def place_order(hub: Hub, operation: str, **changes: Any) -> Any:
    """Execute an operation with the tests' idempotency key and these changes to its request."""
    request = attrs.evolve(ORDERS[operation], **changes)
    return getattr(hub.payments(), operation)(request, idempotency_key=KEY)


def execute_with_lost_answer(harness: PaymentsHarness, hub: Hub, operation: str) -> None:
    """Execute an operation whose last response is lost."""
    if operation == "create_subscription":
        harness.stripe.fail(None)  # the product
    harness.stripe.fail(Lost())
    with pytest.raises((ConnectionFailed, OutcomeUnknown)):
        place_order(hub, operation)


def id_of(harness: PaymentsHarness, operation: str) -> str:
    """Return the id of the resource that the operation created at the vendor."""
    orders = {
        "pay_payee": harness.stripe.transfers,
        "create_subscription": harness.stripe.billing.subscriptions,
    }
    (id,) = orders[operation]
    return id


@orders
def test_lost_order_is_listed(operation: str) -> None:
    """A lost transfer and a lost subscription are listed with their reference and amount."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        execute_with_lost_answer(harness, hub, operation)
        (unknown,) = hub.unsettled_payments()
        harness.clock.advance(WAIT)
        (later_payment,) = hub.unsettled_payments()

    assert (KEY, operation, AMOUNT, ORDERS[operation].reference, None) == (
        unknown.idempotency_key,
        unknown.operation,
        unknown.amount,
        unknown.reference,
        unknown.payment,
    )
    assert (NextStep.WAIT, NextStep.ASK_AGAIN) == (unknown.next, later_payment.next)


def test_key_refuses_another_payload_after_lost_first_request() -> None:
    """If a key's first request was lost, another payload is refused; the first one is settled."""
    harness = PaymentsHarness()
    harness.stripe.fail(Lost())  # the product
    with harness.hub() as hub:
        with pytest.raises(ConnectionFailed):
            place_order(hub, "create_subscription")
        with pytest.raises(IdempotencyConflict, match="a different payment"):
            place_order(hub, "create_subscription", amount=Money("90.00", "EUR"))
        with pytest.raises(IdempotencyConflict, match="a different payment"):
            place_order(hub, "pay_payee")
        harness.clock.advance(WAIT)
        (settled_payment,) = hub.settle_payments()

    assert SettledAs.DONE is settled_payment.outcome
    assert (1, {}) == (len(harness.stripe.billing.subscriptions), dict(harness.stripe.transfers))


@orders
def test_job_settles_a_lost_order(operation: str) -> None:
    """Another process settles a lost order under its idempotency key, and nothing is done twice."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        execute_with_lost_answer(harness, hub, operation)
    harness.clock.advance(WAIT)
    with harness.hub() as other_hub:
        (settled_payment,) = other_hub.settle_payments()
        assert [] == other_hub.unsettled_payments()
        repeated = place_order(other_hub, operation)

    assert SettledAs.DONE is settled_payment.outcome
    assert isinstance(settled_payment.receipt, PayeePayout | Subscription)
    assert id_of(harness, operation) == settled_payment.receipt.ref.id == repeated.ref.id


@orders
def test_order_that_succeeded_or_was_refused_is_not_in_list(operation: str) -> None:
    """An order that succeeded or was refused is not in the list."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        place_order(hub, operation)
        assert [] == hub.unsettled_payments()


def test_subscription_whose_first_charge_was_declined_is_not_in_list() -> None:
    """A subscription whose first charge was declined is not in the list."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        with pytest.raises(PaymentDeclined):
            place_order(hub, "create_subscription", source="pm_card_chargeDeclined")
        assert [] == hub.unsettled_payments()


@orders
@pytest.mark.parametrize("form", ["id", "ref", "receipt"])
def test_person_closes_an_order_as_done(operation: str, form: str) -> None:
    """After an order was closed with its id, a repeat gets the receipt and sends nothing."""
    harness = PaymentsHarness(UnrepeatedStripe)
    with harness.hub() as hub:
        execute_with_lost_answer(harness, hub, operation)
        harness.clock.advance(WAIT)
        (unknown,) = hub.unsettled_payments()
        assert NextStep.PERSON is unknown.next
        ref = f"stripe:till:{id_of(harness, operation)}"
        look_ups: dict[str, Any] = {
            "pay_payee": hub.payments().get_payee_payout,
            "create_subscription": hub.payments().get_subscription,
        }
        receipt = look_ups[operation](ref)
        forms: dict[str, Any] = {"id": receipt.ref.id, "ref": ref, "receipt": receipt}
        hub.close_payment(KEY, done=True, receipt=forms[form])
        count = len(harness.stripe.requests)
        repeated = place_order(hub, operation)

        assert (receipt.ref.id, receipt.state, True) == (
            repeated.ref.id,
            repeated.state,
            repeated.replayed,
        )
        assert count == len(harness.stripe.requests)
        assert [] == hub.unsettled_payments()


def test_subscription_is_closed_by_its_id_alone() -> None:
    """At a vendor such as Mollie, a subscription can be closed with its id alone."""
    subject = mollie()
    account = Account("main", subject.vendor, settings={"volatile_keys": True, "retry": None})
    clock = VirtualClock()
    with Hub([account], http=SandboxHttpClient(subject.sandbox), clock=clock) as hub:
        assert subject.subscriber is not None
        source, customer = subject.subscriber
        request = attrs.evolve(SUBSCRIPTION, source=source, customer=customer)
        subject.sandbox.fail(Lost())
        with pytest.raises(ConnectionFailed):
            hub.payments().create_subscription(request, idempotency_key=KEY)
        billing: Any = subject.sandbox
        (id,) = billing.billing.subscriptions
        hub.close_payment(KEY, done=True, receipt=id)
        repeated = hub.payments().create_subscription(request, idempotency_key=KEY)

        assert (id, customer.id, True) == (
            repeated.ref.id,
            repeated.ref.other("customer"),
            repeated.replayed,
        )


@orders
def test_person_closes_an_order_as_not_done(operation: str) -> None:
    """After an order was closed as not done, its idempotency key may be used again."""
    harness = PaymentsHarness(UnrepeatedStripe)
    with harness.hub() as hub:
        execute_with_lost_answer(harness, hub, operation)
        harness.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert id_of(harness, operation) == place_order(hub, operation).ref.id
        assert [] == hub.unsettled_payments()


@orders
def test_order_needs_a_receipt(operation: str) -> None:
    """An order cannot be closed without a receipt, or with another order's receipt."""
    harness = PaymentsHarness(UnrepeatedStripe)
    with harness.hub() as hub:
        request = attrs.evolve(ORDERS[operation], amount=Money("5.00", "EUR"), reference="other")
        other = getattr(hub.payments(), operation)(request, idempotency_key="other")
        execute_with_lost_answer(harness, hub, operation)
        harness.clock.advance(WAIT)
        for receipt, problem in (
            (None, "cannot be looked up by the payment's"),
            (other.ref, "amount"),
        ):
            with pytest.raises(InvalidData, match=problem):
                hub.close_payment(KEY, done=True, receipt=receipt)
        assert [KEY] == [item.idempotency_key for item in hub.unsettled_payments()]


@pytest.mark.parametrize(
    "operation, changes",
    [
        ("pay_payee", {"payee": "acct_payee2"}),
        ("pay_payee", {"amount": Money("21.00", "EUR")}),
        ("pay_payee", {"reference": "CN-8"}),
        ("create_subscription", {"interval": BillingInterval("year")}),
        ("create_subscription", {"interval": BillingInterval("month", 2)}),
        ("create_subscription", {"quantity": 2}),
    ],
)
def test_closed_order_is_replayed_to_its_own_request_only(
    operation: str, changes: dict[str, Any]
) -> None:
    """A closed order's receipt is not returned for another payee, amount, interval or quantity."""
    harness = PaymentsHarness(UnrepeatedStripe)
    with harness.hub() as hub:
        execute_with_lost_answer(harness, hub, operation)
        harness.clock.advance(WAIT)
        hub.close_payment(KEY, done=True, receipt=id_of(harness, operation))
        with pytest.raises(IdempotencyConflict):
            place_order(hub, operation, **changes)


@orders
def test_sealed_order_can_be_closed(operation: str) -> None:
    """A process without the cipher's keys lists encrypted orders without amount and reference."""
    harness = PaymentsHarness()
    with harness.hub(cipher=AesGcmCipher(generate_keys())) as hub:
        execute_with_lost_answer(harness, hub, operation)
    with harness.hub() as other_hub:
        harness.clock.advance(WAIT)
        (unknown,) = other_hub.unsettled_payments()

    assert (None, None, False) == (unknown.amount, unknown.reference, unknown.is_readable)
    assert NextStep.CIPHER is unknown.next
