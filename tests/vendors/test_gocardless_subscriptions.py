"""Subscriptions at GoCardless, in its requests, responses and webhooks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from moorage import Account, Hub
from moorage.contracts.payments import (
    BillingInterval,
    DeclineReason,
    Money,
    PaymentState,
    SubscriptionRequest,
    SubscriptionState,
)
from moorage.errors import (
    ConnectionFailed,
    InvalidData,
    InvalidRequest,
    PaymentDeclined,
    VendorFailed,
    VendorRejected,
)
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.payments._gocardless_payments_rules import error
from moorage.vendor_sdk import Answer
from moorage.vendors.payments._gocardless_payments_subscriptions import (
    subscription_event,
    subscription_of,
)
from tests.vendors.subjects.gocardless_payments import gocardless_payments
from tests.vendors.subscriptions_account import EUROS, FAR_FUTURE, MONTHLY, SandboxHub, ref

# The answer to GET /subscriptions/SB123 in tests/fixtures/subscriptions.json of
# github.com/gocardless/gocardless-pro-python at d5c83f3 (13 August 2026).
DOCUMENTED: dict[str, Any] = {
    "amount": 1000,
    "app_fee": 100,
    "count": 5,
    "created_at": "2014-01-01T12:00:00.000Z",
    "currency": "EUR",
    "day_of_month": 28,
    "earliest_charge_date_after_resume": "2014-11-03",
    "end_date": "2015-10-21",
    "id": "SB123",
    "interval": 1,
    "interval_unit": "monthly",
    "links": {"mandate": "MD123"},
    "metadata": {},
    "month": "january",
    "name": "12 month subscription",
    "parent_plan_paused": True,
    "payment_reference": "GOLDPLAN",
    "retry_if_possible": True,
    "start_date": "2014-10-21",
    "status": "active",
    "upcoming_payments": [{"amount": 2500, "charge_date": "2014-11-03"}],
}
NOW = datetime(2014, 10, 1, tzinfo=UTC)


def shop() -> SandboxHub:
    """Return a shop with an account at GoCardless."""
    return SandboxHub(gocardless_payments)


def test_subscription_has_interval_mandate_start_and_reference() -> None:
    """A GoCardless subscription is sent with interval unit, mandate, start day and reference."""
    account = shop()
    start = datetime(2100, 1, 1, 23, 30, tzinfo=UTC).astimezone()
    created = account.subscribe(
        interval=BillingInterval("week", 2),
        description="Tea",
        starts_at=start,
        extra={"gocardless_payments": {"count": 4}},
    )
    (request,) = account.sandbox.requests

    assert ("POST", "/subscriptions", "1") == (
        request.method,
        request.path,
        request.headers.get("idempotency-key"),
    )
    assert {
        "subscriptions": {
            "amount": 2005,
            "currency": "EUR",
            "interval_unit": "weekly",
            "interval": 2,
            "name": "Tea",
            "start_date": "2100-01-01",
            "metadata": {"reference": "SUB-7", "starts_at": "2100-01-01"},
            "links": {"mandate": "MD_SANDBOX"},
            "count": 4,
        }
    } == request.json()
    assert (SubscriptionState.TRIALING, FAR_FUTURE, FAR_FUTURE) == (
        created.state,
        created.starts_at,
        created.next_charge_at,
    )
    assert ("MD_SANDBOX", None, 1) == (created.source, created.customer, created.quantity)


def test_subscription_without_start_is_active() -> None:
    """A subscription without a start is active, although its first charge is days away."""
    created = shop().subscribe()

    assert SubscriptionState.ACTIVE is created.state
    assert created.created_at is not None
    assert created.starts_at is not None
    assert created.starts_at > created.created_at


def test_fields_that_gocardless_returns() -> None:
    """The subscription that GoCardless' documentation shows is read with all its fields."""
    subscription = subscription_of(ref, Answer(DOCUMENTED), NOW)

    assert subscription is not None
    assert ref("SB123", currency="EUR") == subscription.ref
    assert (Money("10.00", "EUR"), BillingInterval("month"), "MD123") == (
        subscription.amount,
        subscription.interval,
        subscription.source,
    )
    assert (datetime(2014, 11, 3, tzinfo=UTC), datetime(2015, 10, 21, tzinfo=UTC)) == (
        subscription.next_charge_at,
        subscription.ends_at,
    )
    assert SubscriptionState.ACTIVE is subscription.state


def test_sandbox_returns_the_documented_fields() -> None:
    """The sandbox returns the same fields as GoCardless' own fixture."""
    account = shop()
    created = account.subscribe()

    assert set(DOCUMENTED) == set(created.raw)


@pytest.mark.parametrize(
    "status, state",
    [
        ("pending_customer_approval", "pending"),
        ("customer_approval_denied", "canceled"),
        ("active", "active"),
        ("finished", "completed"),
        ("cancelled", "canceled"),
        ("paused", "paused"),
        ("levitated", "unknown"),
    ],
)
def test_subscription_status_has_a_state(status: str, state: str) -> None:
    """Each GoCardless status becomes a state; a subscription that has ended has no next charge."""
    subscription = subscription_of(ref, Answer({**DOCUMENTED, "status": status}), NOW)

    assert subscription is not None
    assert state == subscription.state
    assert subscription.state.final == (subscription.next_charge_at is None)


@pytest.mark.parametrize(
    "changes, interval",
    [
        ({"interval": 12}, BillingInterval("month", 12)),
        ({"interval_unit": "yearly"}, BillingInterval("year")),
        ({"interval_unit": "weekly", "interval": 3}, BillingInterval("week", 3)),
        ({"interval_unit": "eonly"}, None),
        ({"interval": None}, None),
        ({"interval": 0}, None),
    ],
)
def test_subscription_interval_is_read(
    changes: dict[str, Any], interval: BillingInterval | None
) -> None:
    """GoCardless' intervals are translated; an unknown interval becomes None."""
    subscription = subscription_of(ref, Answer({**DOCUMENTED, **changes}), NOW)

    assert subscription is not None
    assert interval == subscription.interval


@pytest.mark.parametrize("name", ["id", "status"])
def test_subscription_without_id_or_status_is_error(name: str) -> None:
    """A subscription without an id or a status is an error; in a list it is left out."""
    account = shop()
    created = account.subscribe()
    account.sandbox.subscriptions[created.ref.id][name] = None

    assert () == account.payments.list_subscriptions().items
    with pytest.raises(VendorFailed):
        account.payments.get_subscription(created.ref)


def test_no_upcoming_payment() -> None:
    """A subscription without upcoming payments has no next charge."""
    subscription = subscription_of(ref, Answer({**DOCUMENTED, "upcoming_payments": []}), NOW)

    assert subscription is not None
    assert subscription.next_charge_at is None


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"interval": BillingInterval("day", 7)}, "interval"),
        ({"interval": BillingInterval("week", 53)}, "interval"),
        ({"interval": BillingInterval("year", 2)}, "interval"),
        ({"amount": Money("5", "CHF")}, "amount"),
        ({"description": "x" * 256}, "description"),
    ],
)
def test_refused_before_sending(fields: dict[str, Any], field: str) -> None:
    """An interval of days or of over a year, or another currency, is refused before sending."""
    account = shop()
    with pytest.raises(InvalidData) as excinfo:
        account.subscribe(**fields)
    assert field == excinfo.value.field
    assert [] == account.sandbox.requests


def test_mandate_that_cannot_be_charged() -> None:
    """A subscription by a cancelled mandate is declined."""
    with pytest.raises(PaymentDeclined, match="mandate"):
        shop().subscribe(source="MD_CANCELLED")


def test_change_and_cancellation() -> None:
    """A changed amount, and later a cancellation, of a subscription are sent to GoCardless."""
    account = shop()
    created = account.subscribe()
    account.payments.change_subscription(
        created.ref, amount=Money("30", "EUR"), idempotency_key="2"
    )
    request = account.sandbox.requests[-1]
    assert ("PUT", f"/subscriptions/{created.ref.id}", {"subscriptions": {"amount": 3000}}) == (
        request.method,
        request.path,
        request.json(),
    )

    ended = account.payments.cancel_subscription(created.ref, idempotency_key="3")
    request = account.sandbox.requests[-1]
    path = f"/subscriptions/{created.ref.id}/actions/cancel"
    assert ("POST", path) == (request.method, request.path)
    assert SubscriptionState.CANCELED is ended.state


def test_eleventh_change_is_refused() -> None:
    """GoCardless refuses to change the amount of a subscription an eleventh time."""
    account = shop()
    created = account.subscribe()

    def change(number: int) -> None:
        account.payments.change_subscription(
            created.ref, amount=Money(number, "EUR"), idempotency_key=f"c-{number}"
        )

    for number in range(1, 11):
        change(number)
    with pytest.raises(VendorRejected) as excinfo:
        change(11)
    assert "number_of_subscription_amendments_exceeded" == excinfo.value.vendor_code


def test_error_is_raised_if_gocardless_refuses_to_cancel_active_subscription() -> None:
    """If GoCardless refuses to cancel an active subscription, an error is raised."""
    account = shop()
    created = account.subscribe()
    account.sandbox.fail(error(422, "invalid_state", "cancellation_failed"))
    with pytest.raises(VendorRejected) as excinfo:
        account.payments.cancel_subscription(created.ref, idempotency_key="2")
    assert "cancellation_failed" == excinfo.value.vendor_code


def test_cancellation_without_response_is_repeated_after_keys_are_forgotten() -> None:
    """An unanswered cancellation is sent again, even after GoCardless has forgotten its key."""
    clock, subject = VirtualClock(), gocardless_payments()
    settings = {"volatile_keys": True, "retry": None}
    account = Account("main", subject.vendor, settings=settings)
    client = SandboxHttpClient(subject.sandbox)
    with Hub([account], http=client, clock=clock) as hub:
        payments = hub.payments()
        assert subject.subscriber is not None
        source, customer = subject.subscriber
        request = SubscriptionRequest(
            EUROS, MONTHLY, reference="SUB-7", source=source, customer=customer
        )
        created = payments.create_subscription(request, idempotency_key="1")
        subject.sandbox.fail(ConnectionFailed("The request was lost."))
        with pytest.raises(ConnectionFailed):
            payments.cancel_subscription(created.ref, idempotency_key="2")

        clock.advance(2 * 3_600.0)
        ended = payments.cancel_subscription(created.ref, idempotency_key="2")

    assert SubscriptionState.CANCELED is ended.state


def test_finished_subscription_is_not_cancelled() -> None:
    """A subscription that has already ended cannot be cancelled."""
    account = shop()
    created = account.subscribe()
    account.sandbox.billing.end(created.ref.id, "finished")
    with pytest.raises(VendorRejected):
        account.payments.cancel_subscription(created.ref, idempotency_key="2")


def test_charge_that_failed() -> None:
    """A failed charge has its payment, its reason, and its subscription."""
    account = shop()
    created = account.subscribe()
    account.sandbox.renew(created.ref.id, success=False)
    event = account.events()[-1]
    charge = event.subscription_charge

    assert charge is not None
    assert (event.ref, created.ref, "failed") == (charge.payment, charge.subscription, charge.state)
    assert event.decline is not None
    assert DeclineReason.INSUFFICIENT_FUNDS is event.decline.reason
    assert event.payment is not None
    assert (PaymentState.FAILED, created.ref) == (event.payment.state, event.payment.subscription)


def test_end_is_reported() -> None:
    """The event of a subscription's end has the subscription's id and the caller's reference."""
    account = shop()
    created = account.subscribe()
    account.payments.cancel_subscription(created.ref, idempotency_key="2")
    (event,) = account.events()

    assert event.subscription is not None
    assert (created.ref.id, "SUB-7", SubscriptionState.CANCELED) == (
        event.ref.id,
        event.reference,
        event.subscription.state,
    )


@pytest.mark.parametrize(
    "action, state",
    [
        ("customer_approval_granted", "active"),
        ("customer_approval_denied", "canceled"),
        ("finished", "completed"),
        ("cancelled", "canceled"),
        ("paused", "paused"),
        ("resumed", "active"),
        ("created", None),
        ("payment_created", None),
        ("levitated", None),
        (None, None),
    ],
)
def test_subscription_event_has_a_state(action: str | None, state: str | None) -> None:
    """Only an event that ends, pauses or resumes a subscription gives a subscription event."""
    body = {"action": action, "links": {"subscription": "SB123"}}
    event = subscription_event(ref, Answer(body))

    assert state == (event and event.subscription and event.subscription.state)
    assert subscription_event(ref, Answer({"action": "cancelled", "links": {}})) is None


@pytest.mark.parametrize(
    "options, code",
    [
        ({"links": {"mandate": "MD0"}}, "links.mandate"),
        ({"currency": "GBP"}, "currency"),
        ({"interval_unit": "eonly"}, "interval_unit"),
        ({"interval": 53, "interval_unit": "weekly"}, "interval"),
        ({"start_date": "2020-01-01"}, "start_date"),
        ({"plan": "gold"}, "plan"),
    ],
)
def test_sandbox_refuses_what_gocardless_refuses(options: dict[str, Any], code: str) -> None:
    """The sandbox refuses what GoCardless refuses."""
    with pytest.raises(InvalidRequest) as excinfo:
        shop().subscribe(extra={"gocardless_payments": options})
    assert code == excinfo.value.vendor_code


def test_sandbox_changes_a_name() -> None:
    """Changing only the name does not count as a change of the amount."""
    account = shop()
    created = account.subscribe()
    request = account.sandbox.requests[-1]
    body = b'{"subscriptions":{"name":"Coffee"}}'
    answer = account.sandbox.billing.change(attrs.evolve(request, body=body), created.ref.id)

    assert "Coffee" == Answer(answer.json()).text("subscriptions.name")
    assert created.amount == account.payments.get_subscription(created.ref).amount


def test_renewal_moves_day_of_next_charge_by_interval() -> None:
    """A renewal moves the day of the next charge by the interval."""
    account = shop()
    created = account.subscribe(interval=BillingInterval("week", 2))
    account.sandbox.renew(created.ref.id)
    renewed = account.payments.get_subscription(created.ref)

    assert created.next_charge_at is not None
    assert renewed.next_charge_at is not None
    assert 14 == (renewed.next_charge_at - created.next_charge_at).days


def test_answer_that_is_no_subscription_is_an_error() -> None:
    """A response that is not a subscription is a failure of the vendor."""
    account = shop()
    created = account.subscribe()
    account.sandbox.fail(reply({"subscriptions": []}))
    with pytest.raises(VendorFailed):
        account.payments.get_subscription(created.ref)


def test_sandbox_refuses_to_change_or_cancel_unknown_subscription() -> None:
    """The sandbox refuses to change or cancel an unknown subscription."""
    account = shop()
    unknown = attrs.evolve(account.subscribe().ref, id="SB0")
    with pytest.raises(VendorRejected):
        account.payments.cancel_subscription(unknown, idempotency_key="2")
