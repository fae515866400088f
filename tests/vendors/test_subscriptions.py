"""Subscriptions in each vendor's requests and responses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from moorage.contracts.payments import (
    BillingInterval,
    Customer,
    IntervalUnit,
    Money,
    MoveState,
    SubscriptionState,
)
from moorage.contracts.ref import Ref
from moorage.errors import (
    InvalidData,
    InvalidRequest,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Refusal, reply
from moorage.vendor_sdk import Answer
from moorage.vendors.payments._mollie_subscriptions import subscription_of as mollie_subscription
from moorage.vendors.payments._stripe_subscriptions import (
    invoice_event,
    subscription_event,
    subscription_of,
)
from tests.vendors.payments_subjects import stripe
from tests.vendors.subjects.mollie import mollie
from tests.vendors.subscriptions_account import EUROS, FAR_FUTURE, SandboxHub, ref


def form_of(request: Any) -> dict[str, str]:
    """Return the fields of a request to Stripe."""
    return dict(parse_qsl(request.body.decode()))


def test_stripe_gets_product() -> None:
    """Stripe gets a product and a subscription to it, whose first charge must succeed."""
    shop = SandboxHub(stripe)
    created = shop.subscribe(
        interval=BillingInterval(IntervalUnit.WEEK, 2),
        quantity=3,
        description="Tea",
        starts_at=FAR_FUTURE,
        extra={"stripe": {"collection_method": "charge_automatically"}},
    )
    product, subscription = shop.sandbox.requests[-2:]

    assert {"name": "Tea"} == form_of(product)
    assert {
        "customer": "cus_ada",
        "default_payment_method": "pm_card_visa",
        "description": "Tea",
        "items[0][price_data][currency]": "eur",
        "items[0][price_data][product]": "prod_00000001",
        "items[0][price_data][recurring][interval]": "week",
        "items[0][price_data][recurring][interval_count]": "2",
        "items[0][price_data][unit_amount]": "2005",
        "items[0][quantity]": "3",
        "metadata[reference]": "SUB-7",
        "off_session": "true",
        "payment_behavior": "error_if_incomplete",
        "trial_end": "4102444800",
        "collection_method": "charge_automatically",
    } == form_of(subscription)
    keys = [request.headers["idempotency-key"] for request in (product, subscription)]
    assert ["1/product", "1"] == keys
    assert (SubscriptionState.TRIALING, FAR_FUTURE, FAR_FUTURE) == (
        created.state,
        created.starts_at,
        created.next_charge_at,
    )
    assert ("cus_ada", "pm_card_visa", "EUR") == (
        created.customer,
        created.source,
        created.ref.other("currency"),
    )
    assert not created.state.final


def test_stripe_declines_the_first_charge() -> None:
    """If the first charge is declined, the decline is raised and no subscription exists."""
    shop = SandboxHub(stripe)
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.subscribe(source="pm_card_chargeDeclinedInsufficientFunds")

    assert "insufficient_funds" == excinfo.value.reason
    assert () == shop.payments.list_subscriptions().items


def test_change_sends_stripe_new_price_for_same_product_and_interval() -> None:
    """A change sends Stripe the new price for the same product and interval, without proration."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    shop.payments.change_subscription(created.ref, amount=Money("30", "EUR"), idempotency_key="2")
    assert {
        "items[0][id]": f"si_{created.ref.id}",
        "items[0][price_data][currency]": "eur",
        "items[0][price_data][product]": "prod_00000001",
        "items[0][price_data][recurring][interval]": "month",
        "items[0][price_data][recurring][interval_count]": "1",
        "items[0][price_data][unit_amount]": "3000",
        "proration_behavior": "none",
    } == form_of(shop.sandbox.requests[-1])

    shop.payments.change_subscription(created.ref, quantity=2, idempotency_key="3")
    assert {
        "items[0][id]": f"si_{created.ref.id}",
        "items[0][quantity]": "2",
        "proration_behavior": "none",
    } == form_of(shop.sandbox.requests[-1])


def test_stripe_changes_no_subscription_with_several_prices() -> None:
    """A Stripe subscription with several prices has no amount, and cannot be changed."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    items = shop.sandbox.billing.subscriptions[created.ref.id]["items"]["data"]
    items.append(items[0])

    assert shop.payments.get_subscription(created.ref).amount is None
    with pytest.raises(InvalidData, match="several prices"):
        shop.payments.change_subscription(created.ref, quantity=2, idempotency_key="2")


@pytest.mark.parametrize("name", ["id", "price"])
def test_stripe_item_without_a_field_is_malformed(name: str) -> None:
    """A Stripe subscription whose item has no id or price cannot be changed."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    item = shop.sandbox.billing.subscriptions[created.ref.id]["items"]["data"][0]
    item[name] = None
    with pytest.raises(VendorFailed):
        shop.payments.change_subscription(created.ref, amount=EUROS, idempotency_key="2")


def test_stripe_cancels_at_the_end_of_the_period() -> None:
    """A later cancellation sends Stripe a flag, and an immediate one deletes the subscription."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    ending = shop.payments.cancel_subscription(created.ref, at_period_end=True, idempotency_key="2")
    assert {"cancel_at_period_end": "true"} == form_of(shop.sandbox.requests[-1])
    assert created.next_charge_at == ending.ends_at
    assert ending.next_charge_at is None

    ended = shop.payments.cancel_subscription(created.ref, idempotency_key="3")
    request = shop.sandbox.requests[-1]
    assert ("DELETE", None) == (request.method, request.headers.get("idempotency-key"))
    assert ended.state.final
    assert shop.payments.cancel_subscription(created.ref, idempotency_key="3").state.final


def test_stripe_refusal_to_cancel_is_raised() -> None:
    """If Stripe refuses to cancel an active subscription, an error is raised."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    refusal = {"error": {"type": "invalid_request_error", "message": "Locked.", "code": "x"}}
    shop.sandbox.fail(reply(refusal, 400))
    with pytest.raises(VendorRejected, match="Locked"):
        shop.payments.cancel_subscription(created.ref, idempotency_key="2")


def test_stripe_lists_subscriptions_in_all_states() -> None:
    """Stripe's list includes ended subscriptions."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    shop.payments.cancel_subscription(created.ref, idempotency_key="2")
    (listed,) = shop.payments.list_subscriptions().items

    assert created.ref == listed.ref
    assert "all" == dict(shop.sandbox.requests[-1].query)["status"]


def test_stripe_reports_charges_and_the_end() -> None:
    """Stripe's webhooks report a subscription's first charge, renewal, failed charge and end."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    shop.sandbox.billing.renew(created.ref.id)
    shop.sandbox.billing.renew(created.ref.id, success=False)
    shop.payments.cancel_subscription(created.ref, idempotency_key="2")
    events = shop.events()

    charges = [event.subscription_charge for event in events if event.subscription_charge]
    assert ["succeeded", "succeeded", "failed"] == [charge.state for charge in charges]
    assert {(EUROS, created.ref, None)} == {
        (charge.amount, charge.subscription, charge.payment) for charge in charges
    }
    assert [False, False, True] == [charge.next_attempt_at is not None for charge in charges]
    states = [event.subscription.state for event in events if event.subscription]
    assert ["active", "active", "past_due", "canceled"] == states
    assert {created.ref} == {event.ref for event in events}
    assert {"SUB-7"} == {event.reference for event in events}


def test_stripe_charge_refers_to_a_subscription_in_its_currency() -> None:
    """An invoice's reference to its subscription has the invoice's currency."""
    body = Answer(
        {
            "id": "in_1",
            "amount_paid": 500,
            "currency": "pln",
            "parent": {"subscription_details": {"subscription": "sub_1"}},
        }
    )
    event = invoice_event(ref, body, "invoice.paid")

    assert event is not None
    assert ref("sub_1", currency="PLN") == event.ref


def test_stripe_shortens_long_keys_of_both_requests() -> None:
    """A long key gives Stripe two different keys of at most 255 characters each."""
    shop = SandboxHub(stripe)
    shop.payments.create_subscription(shop.request(), idempotency_key="k" * 250)
    keys = [request.headers["idempotency-key"] for request in shop.sandbox.requests[-2:]]

    assert [True, True] == [len(key) <= 255 for key in keys]
    assert 2 == len(set(keys))


@pytest.mark.parametrize(
    "word, state",
    [
        ("incomplete", "pending"),
        ("incomplete_expired", "canceled"),
        ("trialing", "trialing"),
        ("active", "active"),
        ("past_due", "past_due"),
        ("unpaid", "past_due"),
        ("canceled", "canceled"),
        ("paused", "paused"),
        ("levitated", "unknown"),
    ],
)
def test_stripe_subscription_has_a_state(word: str, state: str) -> None:
    """Each Stripe status becomes a state; only trialing, active or past-due ones charge again."""
    body = Answer({"id": "sub_1", "status": word, "current_period_end": 4_102_444_800})
    subscription = subscription_of(ref, body)

    assert subscription is not None
    assert state == subscription.state
    is_charged = state in {"trialing", "active", "past_due"}
    assert (FAR_FUTURE if is_charged else None) == subscription.next_charge_at


def test_stripe_subscription_that_ends_much_later_is_charged_before() -> None:
    """A subscription that will end after its current period still has a next charge."""
    body = {"id": "sub_1", "status": "active", "current_period_end": 4_102_444_800}
    ending = subscription_of(ref, Answer({**body, "cancel_at": 4_202_444_800}))

    assert ending is not None
    assert FAR_FUTURE == ending.next_charge_at


@pytest.mark.parametrize(
    "recurring", [{}, {"interval": "eon", "interval_count": 1}, {"interval": "day"}]
)
def test_stripe_interval_may_be_unknown(recurring: dict[str, Any]) -> None:
    """A Stripe interval that moorage does not know is read as None."""
    item = {"price": {"recurring": recurring}}
    body = Answer({"id": "sub_1", "status": "active", "items": {"data": [item]}})
    subscription = subscription_of(ref, body)

    assert subscription is not None
    assert subscription.interval is None


def test_late_stripe_event_has_the_state_of_its_time() -> None:
    """A late webhook has the state at its own time; a look-up returns the current state."""
    shop = SandboxHub(stripe)
    ref_of_tea = shop.subscribe().ref
    shop.payments.change_subscription(ref_of_tea, quantity=2, idempotency_key="2")
    shop.payments.cancel_subscription(ref_of_tea, idempotency_key="3")
    shop.sandbox.sent.reverse()
    states = [event.subscription.state for event in shop.events() if event.subscription]

    assert [SubscriptionState.CANCELED, SubscriptionState.ACTIVE] == states[:2]
    assert SubscriptionState.CANCELED is shop.payments.get_subscription(ref_of_tea).state


def test_malformed_stripe_events_are_none() -> None:
    """A subscription or an invoice without a status gives no event."""
    invoice = {
        "id": "in_1",
        "currency": "eur",
        "amount_paid": 2_005,
        "subscription": "sub_1",
        "payment_intent": "pi_1",
    }
    event = invoice_event(ref, Answer(invoice), "invoice.paid")

    assert event is not None
    assert event.subscription_charge is not None
    assert ref("pi_1") == event.subscription_charge.payment
    assert MoveState.SUCCEEDED is event.subscription_charge.state
    assert subscription_event(ref, Answer({"id": "sub_1"})) is None
    assert invoice_event(ref, Answer(invoice), "invoice.created") is None
    for name, value in {"id": None, "amount_paid": 0, "subscription": None}.items():
        assert invoice_event(ref, Answer({**invoice, name: value}), "invoice.paid") is None


# --- Mollie ------------------------------------------------------------------


def test_mollie_receives_interval_mandate_day_and_webhook_url() -> None:
    """Mollie receives the interval in months, the mandate, the first day and the webhook URL."""
    shop = SandboxHub(mollie)
    start = datetime(2100, 1, 1, 23, 30, tzinfo=UTC).astimezone()
    created = shop.subscribe(
        interval=BillingInterval("year"),
        description="Tea",
        starts_at=start,
        extra={"mollie": {"times": 4}},
    )
    request = shop.sandbox.requests[-1]

    assert "/v2/customers/cst_sandbox/subscriptions" == request.path
    assert {
        "amount": {"currency": "EUR", "value": "20.05"},
        "description": "SUB-7: Tea",
        "interval": "12 months",
        "mandateId": "mdt_sandbox",
        "metadata": {"reference": "SUB-7"},
        "startDate": "2100-01-01",
        "webhookUrl": shop.sandbox.webhook_url,
        "times": 4,
    } == request.json()
    assert (BillingInterval("year"), FAR_FUTURE, "mdt_sandbox", 1) == (
        created.interval,
        created.next_charge_at,
        created.source,
        created.quantity,
    )


def test_mollie_change_and_cancellation() -> None:
    """A changed amount is sent to Mollie; a cancellation is sent as a deletion."""
    shop = SandboxHub(mollie)
    created = shop.subscribe()
    shop.payments.change_subscription(created.ref, amount=Money("30", "EUR"), idempotency_key="2")
    request = shop.sandbox.requests[-1]
    assert ("PATCH", {"amount": {"currency": "EUR", "value": "30.00"}}) == (
        request.method,
        request.json(),
    )
    ended = shop.payments.cancel_subscription(created.ref, idempotency_key="3")
    assert ("DELETE", SubscriptionState.CANCELED) == (
        shop.sandbox.requests[-1].method,
        ended.state,
    )
    assert ended.ends_at is not None


def test_mollie_reports_a_charge_that_failed_by_its_payment() -> None:
    """The event of a failed Mollie charge has the payment's reason and its reference."""
    shop = SandboxHub(mollie)
    created = shop.subscribe()
    shop.sandbox.renew(created.ref.id, success=False)
    (event,) = shop.events()

    assert event.subscription_charge is not None
    assert (event.ref, created.ref, "SUB-7") == (
        event.subscription_charge.payment,
        event.subscription_charge.subscription,
        event.reference,
    )
    assert event.decline is not None


@pytest.mark.parametrize(
    "status, state", [("paid", "succeeded"), ("expired", "failed"), ("canceled", "canceled")]
)
def test_mollie_charge_has_a_state(status: str, state: str) -> None:
    """The state of a charge at Mollie comes from its payment."""
    shop = SandboxHub(mollie)
    shop.sandbox.renew(shop.subscribe().ref.id)
    (payment,) = shop.sandbox.payments.values()
    payment["status"] = status
    (event,) = shop.events()

    assert event.subscription_charge is not None
    assert state == event.subscription_charge.state


def test_mollie_charge_is_not_reported_before_it_is_over() -> None:
    """A Mollie payment that is still pending is not reported as a charge."""
    shop = SandboxHub(mollie)
    shop.sandbox.renew(shop.subscribe().ref.id)
    (payment,) = shop.sandbox.payments.values()
    payment["status"] = "pending"
    (event,) = shop.events()

    assert event.subscription_charge is None


@pytest.mark.parametrize(
    "unit, count, text",
    [
        ("day", 365, "365 days"),
        ("week", 52, "52 weeks"),
        ("month", 12, "12 months"),
        ("year", 1, "12 months"),
    ],
)
def test_mollie_charges_at_least_once_a_year(unit: str, count: int, text: str) -> None:
    """The longest interval that Mollie accepts is a year; a longer one is refused unsent."""
    shop = SandboxHub(mollie)
    shop.subscribe(interval=BillingInterval(unit, count))
    assert text == shop.sandbox.requests[-1].json()["interval"]

    sent_requests = list(shop.sandbox.requests)
    with pytest.raises(InvalidData) as excinfo:
        shop.subscribe(interval=BillingInterval(unit, count + 1))
    assert "interval" == excinfo.value.field
    assert sent_requests == shop.sandbox.requests


@pytest.mark.parametrize(
    "fields, field",
    [({"source": "creditcard"}, "source"), ({"interval": BillingInterval("week", 53)}, "interval")],
)
def test_mollie_refuses_before_sending(fields: dict[str, Any], field: str) -> None:
    """For Mollie, a source other than a mandate, or an interval over a year, is refused unsent."""
    shop = SandboxHub(mollie)
    with pytest.raises(InvalidData) as excinfo:
        shop.subscribe(**fields)
    assert field == excinfo.value.field
    assert [] == shop.sandbox.requests


def test_mollie_needs_the_complete_reference() -> None:
    """A Mollie subscription's reference without the customer is refused before sending."""
    shop = SandboxHub(mollie)
    with pytest.raises(InvalidData, match="names no customer"):
        shop.payments.get_subscription(Ref("mollie", "main", "sub_1"))


@pytest.mark.parametrize(
    "status, state",
    [
        ("pending", "pending"),
        ("active", "active"),
        ("canceled", "canceled"),
        ("suspended", "paused"),
        ("completed", "completed"),
        ("levitated", "unknown"),
    ],
)
def test_mollie_subscription_has_a_state(status: str, state: str) -> None:
    """Each Mollie status becomes a state, and an unknown status is UNKNOWN."""
    body = {"id": "sub_1", "customerId": "cst_1", "startDate": "2026-01-01", "status": status}
    subscription = mollie_subscription(ref, Answer(body), FAR_FUTURE)

    assert subscription is not None
    assert state == subscription.state
    later_subscription = mollie_subscription(ref, Answer(body), datetime(2025, 1, 1, tzinfo=UTC))
    assert later_subscription is not None
    assert ("trialing" if state == "active" else state) == later_subscription.state


@pytest.mark.parametrize(
    "text, interval",
    [
        ("1 month", BillingInterval("month")),
        ("14 days", BillingInterval("day", 14)),
        ("12 months", BillingInterval("year")),
        ("0 days", None),
        ("1 eon", None),
    ],
)
def test_mollie_intervals_are_read(text: str, interval: BillingInterval | None) -> None:
    """Mollie's intervals are translated; an unknown interval becomes None."""
    body = {"id": "sub_1", "customerId": "cst_1", "status": "active", "interval": text}
    subscription = mollie_subscription(ref, Answer(body), FAR_FUTURE)

    assert subscription is not None
    assert interval == subscription.interval


def test_mollie_subscription_without_customer_is_malformed_response() -> None:
    """A Mollie subscription without a customer is a malformed response."""
    assert mollie_subscription(ref, Answer({"id": "sub_1", "status": "active"}), FAR_FUTURE) is None


# --- arguments ---------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"amount": EUROS * 0}, "amount"),
        ({"interval": "month"}, "interval"),
        ({"source": ""}, "source"),
        ({"source": "4242 4242 4242 4242"}, "source"),
        ({"source": "x" * 1_001}, "source"),
        ({"customer": Customer()}, "customer.id"),
        ({"reference": ""}, "reference"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": 10**5_000}, "quantity"),
        ({"description": ""}, "description"),
        ({"description": "x" * 1_001}, "description"),
        ({"starts_at": datetime(2100, 1, 1)}, "starts_at"),  # noqa: DTZ001 - the mistake
    ],
)
def test_wrong_subscription_is_refused(fields: dict[str, Any], field: str) -> None:
    """If a field of a subscription is wrong, the error names the field."""
    with pytest.raises(InvalidData) as excinfo:
        SandboxHub(stripe).request(**fields)
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "unit, count, field", [("eon", 1, "unit"), ("day", 0, "count"), ("day", 1.5, "count")]
)
def test_wrong_interval_is_refused(unit: str, count: Any, field: str) -> None:
    """An interval with an unknown unit, or with a count of zero, is refused."""
    with pytest.raises(InvalidData) as excinfo:
        BillingInterval(unit, count)
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "fields, field",
    [
        ({}, "amount"),
        ({"amount": 5}, "amount"),
        ({"quantity": 0}, "quantity"),
        ({"amount": Money("5", "CHF")}, "amount"),
    ],
)
def test_wrong_change_is_refused(fields: dict[str, Any], field: str) -> None:
    """A change without fields, or with a wrong value, is refused before anything is sent."""
    shop = SandboxHub(stripe)
    with pytest.raises(InvalidData) as excinfo:
        shop.payments.change_subscription(
            ref("sub_1", currency="EUR"), idempotency_key="1", **fields
        )
    assert field == excinfo.value.field
    assert [] == shop.sandbox.requests


def test_wrong_cancellation_is_refused() -> None:
    """Cancelling with a string in place of the true-or-false flag is refused."""
    payments: Any = SandboxHub(stripe).payments
    with pytest.raises(InvalidData, match="at_period_end"):
        payments.cancel_subscription(ref("sub_1"), at_period_end="yes", idempotency_key="1")


# --- sandboxes ---------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"customer": None},
        {"default_payment_method": None},
        {"trial_end": "1"},
        {"items[0][quantity]": "0"},
        {"items[0][price_data][recurring][interval]": "eon"},
    ],
)
def test_stripe_sandbox_refuses_wrong_subscriptions(fields: dict[str, str | None]) -> None:
    """Stripe's sandbox refuses a subscription that Stripe would refuse."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    all_fields = {**form_of(shop.sandbox.requests[-1]), **fields}
    with pytest.raises(Refusal):
        shop.sandbox.billing.create({name: text for name, text in all_fields.items() if text})
    assert [created.ref.id] == list(shop.sandbox.billing.subscriptions)


def test_stripe_sandbox_refuses_wrong_products_and_items() -> None:
    """Stripe's sandbox refuses a product without a name, and an item of another subscription."""
    shop = SandboxHub(stripe)
    created = shop.subscribe()
    with pytest.raises(Refusal):
        shop.sandbox.billing.create_product({"description": "Tea"})
    with pytest.raises(Refusal):
        shop.sandbox.billing.change({"items[0][id]": "si_0"}, created.ref.id)


@pytest.mark.parametrize(
    "options",
    [
        {"amount": None},
        {"mandateId": "mdt_other"},
        {"interval": "1 eon"},
        {"interval": "13 months"},
        {"startDate": "2020-01-01"},
    ],
)
def test_mollie_sandbox_refuses_wrong_subscriptions(options: dict[str, Any]) -> None:
    """Mollie's sandbox refuses a subscription that Mollie would refuse."""
    with pytest.raises(InvalidRequest):
        SandboxHub(mollie).subscribe(extra={"mollie": options})


def test_mollie_sandbox_refuses_a_second_subscription_with_the_same_description() -> None:
    """Mollie refuses a second active subscription of a customer with the same description."""
    shop = SandboxHub(mollie)
    shop.subscribe()
    with pytest.raises(InvalidRequest, match="description exists"):
        shop.payments.create_subscription(shop.request(), idempotency_key="2")
    shop.sandbox.mandates["mdt_other"] = "cst_other"
    other = shop.request(source="mdt_other", customer=Customer(id="cst_other"))
    assert "active" == shop.payments.create_subscription(other, idempotency_key="3").state


def test_mollie_sandbox_renews() -> None:
    """A renewal in the sandbox moves the day of the next charge."""
    shop = SandboxHub(mollie)
    created = shop.subscribe(interval=BillingInterval("week", 2))
    shop.sandbox.renew(created.ref.id)
    renewed = shop.payments.get_subscription(created.ref)

    assert created.next_charge_at is not None
    assert created.next_charge_at + timedelta(days=14) == renewed.next_charge_at
