"""Subscriptions that need the buyer's consent, in each vendor's requests and responses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.payments import (
    BillingInterval,
    Customer,
    IntervalUnit,
    Money,
    MoveState,
    NextAction,
    NextActionType,
    PaymentQuery,
    SubscriptionRequest,
    SubscriptionState,
)
from moorage.errors import (
    ConnectionFailed,
    InvalidData,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SlowAnswer
from moorage.vendor_sdk import Answer
from moorage.vendors.payments._paypal_charges import sale_event, subscription_event
from moorage.vendors.payments._paypal_subscriptions import subscription_of as paypal_subscription
from moorage.vendors.payments._razorpay_subscriptions import (
    subscription_of as razorpay_subscription,
)
from tests.vendors.payments_subjects import stripe
from tests.vendors.subjects.paypal import paypal
from tests.vendors.subjects.razorpay import razorpay
from tests.vendors.subscriptions_account import FAR_FUTURE, SandboxHub, ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.payments import Subscription
    from moorage.domain.http.requests import Response
    from moorage.testing.kits.payments_conformance import PaymentsSubject

ADA = Customer(email="ada@erp.example", phone="+919000090000")
RETURN_URL = "https://erp.example/back"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
TEN = Money("10.00", "EUR")
EACH_PAGE_VENDOR = pytest.mark.parametrize("make", [paypal, razorpay])

# The answer to GET /v1/subscriptions/sub_00000000000001 at
# razorpay.com/docs/api/payments/subscriptions/fetch-subscription-id, read on 27 November 2026.
RAZORPAY: dict[str, Any] = {
    "id": "sub_00000000000001",
    "entity": "subscription",
    "plan_id": "plan_00000000000001",
    "customer_id": "cust_D00000000000001",
    "status": "active",
    "current_start": 1577355871,
    "current_end": 1582655400,
    "ended_at": None,
    "quantity": 1,
    "notes": {"reference": "SUB-7", "currency": "INR"},
    "charge_at": 1577385991,
    "start_at": 1577385991,
    "end_at": 1603737000,
    "auth_attempts": 0,
    "total_count": 6,
    "paid_count": 1,
    "customer_notify": True,
    "created_at": 1577356081,
    "expire_by": 1577485991,
    "short_url": "https://rzp.io/i/z3b1R61A9",
    "has_scheduled_changes": False,
    "change_scheduled_at": None,
    "source": "api",
    "remaining_count": 5,
}
# The subscription of the event BILLING.SUBSCRIPTION.ACTIVATED in PayPal's Postman collection.
PAYPAL: dict[str, Any] = {
    "id": "I-40UGYEKPGFYM",
    "plan_id": "P-5ML4271244454362WXNWU5NQ",
    "status": "ACTIVE",
    "status_update_time": "2023-04-10T21:40:50Z",
    "quantity": "1",
    "custom_id": "SUB-7",
    "subscriber": {"email_address": "ada@erp.example", "payer_id": "YY9WRWVMNRFRC"},
    "create_time": "2023-04-10T21:40:49Z",
    "plan_overridden": False,
    "start_time": "2023-04-10T21:40:00Z",
    "update_time": "2023-04-10T21:40:50Z",
    "billing_info": {
        "outstanding_balance": {"currency_code": "GBP", "value": "0.0"},
        "last_payment": {
            "amount": {"currency_code": "GBP", "value": "10.0"},
            "time": "2023-04-10T21:40:49Z",
        },
        "next_billing_time": "2023-04-11T10:00:00Z",
        "failed_payments_count": 0,
    },
}
PLAN: dict[str, Any] = {
    "billing_cycles": [
        {
            "frequency": {"interval_unit": "MONTH", "interval_count": 3},
            "tenure_type": "REGULAR",
            "sequence": 2,
            "pricing_scheme": {"fixed_price": {"currency_code": "GBP", "value": "10.0"}},
        },
        {"frequency": {"interval_unit": "DAY"}, "tenure_type": "TRIAL", "sequence": 1},
    ]
}


class ConsentShop(SandboxHub):
    """A hub whose vendor asks buyers to consent to their subscriptions."""

    def request(self, **fields: Any) -> SubscriptionRequest:
        """Return a monthly subscription request without a payment method."""
        values: dict[str, Any] = {
            "amount": TEN,
            "interval": BillingInterval("month"),
            "reference": "SUB-7",
            "customer": ADA,
            "return_url": RETURN_URL,
            **fields,
        }
        return SubscriptionRequest(**values)

    def begin(self, **fields: Any) -> Subscription:
        """Create a subscription, and consent to it in the role of its buyer."""
        created = self.subscribe(**fields)
        self.consent(created)
        return self.payments.get_subscription(created.ref)

    def consent(self, subscription: Subscription) -> None:
        """Consent to a subscription, or a change, as its buyer."""
        assert self.subject.consent is not None
        self.subject.consent(subscription.ref.id)

    def bodies(self, method: str = "POST") -> list[tuple[str, Any]]:
        """Return the path and the body of each request with a JSON body."""
        return [
            (request.path, request.json())
            for request in self.sandbox.requests
            if request.method == method and request.body.startswith(b"{")
        ]


# --- the contract -------------------------------------------------------------


def test_vendor_must_charge_the_source_or_ask_the_buyer() -> None:
    """A subscription needs a vendor that charges its payment method or asks the buyer's consent."""
    monthly = BillingInterval("month")
    ada = Customer(id="cus_ada")
    stored = SubscriptionRequest(TEN, monthly, "pm_1", customer=ada, reference="SUB-7")
    consenting = SubscriptionRequest(TEN, monthly, reference="SUB-7", quantity=2)

    assert {"subscriptions", "subscription_source"} == set(stored.needs)
    assert {"subscriptions", "subscription_consent", "subscription_quantity"} == set(
        consenting.needs
    )
    assert ("cus_ada", "") == (stored.customer_id, consenting.customer_id)


@pytest.mark.parametrize("customer", [None, Customer(email="ada@erp.example"), Customer(id="")])
def test_source_needs_its_customer(customer: Customer | None) -> None:
    """A stored payment method is refused if the vendor's customer id is missing."""
    with pytest.raises(InvalidData) as excinfo:
        SubscriptionRequest(
            TEN, BillingInterval("month"), "pm_1", customer=customer, reference="SUB-7"
        )

    assert "customer.id" == excinfo.value.field


def test_vendor_without_a_page_refuses_a_request_without_a_source() -> None:
    """Stripe charges only stored payment methods; the error names vendors that ask the buyer."""
    shop = SandboxHub(stripe)
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.subscribe(source=None)

    assert ("subscription_consent",) == excinfo.value.capabilities
    assert ("paypal", "razorpay") == tuple(sorted(excinfo.value.supported_by))
    assert [] == shop.sandbox.requests


@EACH_PAGE_VENDOR
def test_vendor_with_a_page_refuses_a_source(make: Callable[[], PaymentsSubject]) -> None:
    """PayPal and Razorpay refuse a stored payment method before anything is sent."""
    shop = ConsentShop(make)
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.subscribe(source="token", customer=Customer(id="1"))

    assert ("subscription_source",) == excinfo.value.capabilities
    assert [] == shop.sandbox.requests


@EACH_PAGE_VENDOR
@pytest.mark.parametrize(
    "interval", [BillingInterval("year", 31), BillingInterval("month", 12 * 30 + 1)]
)
def test_interval_that_the_vendor_does_not_charge_at(
    make: Callable[[], PaymentsSubject], interval: BillingInterval
) -> None:
    """An interval that is too long for the vendor is refused before anything is sent."""
    shop = ConsentShop(make)
    with pytest.raises(InvalidData) as excinfo:
        shop.subscribe(interval=interval)

    assert "interval" == excinfo.value.field
    assert [] == shop.sandbox.requests


# --- Razorpay -----------------------------------------------------------------


def test_razorpay_receives_plan() -> None:
    """Razorpay receives a plan, and a subscription to this plan for thirty years."""
    shop = ConsentShop(razorpay)
    created = shop.subscribe(
        interval=BillingInterval(IntervalUnit.WEEK, 2),
        quantity=3,
        description="Tea",
        starts_at=FAR_FUTURE,
        extra={"razorpay": {"total_count": 26}},
    )

    assert [
        (
            "/v1/plans",
            {
                "period": "weekly",
                "interval": 2,
                "item": {"name": "Tea", "amount": 1000, "currency": "EUR"},
            },
        ),
        (
            "/v1/subscriptions",
            {
                "plan_id": "plan_00000000000001",
                "total_count": 26,
                "quantity": 3,
                "notes": {"currency": "EUR", "reference": "SUB-7"},
                "start_at": 4_102_444_800,
                "notify_info": {
                    "notify_phone": "+919000090000",
                    "notify_email": "ada@erp.example",
                },
            },
        ),
    ] == shop.bodies()
    assert (SubscriptionState.PENDING, "created", TEN, FAR_FUTURE, None) == (
        created.state,
        created.vendor_state,
        created.amount,
        created.starts_at,
        created.next_charge_at,
    )
    assert (
        NextAction(
            type=NextActionType.REDIRECT,
            url="https://rzp.io/i/0000002",
            vendor_type="short_url",
        )
        == created.next_action
    )
    assert "rzp.io" not in repr(created)


@pytest.mark.parametrize(
    "interval, count",
    [
        (BillingInterval("day", 7), 1564),
        (BillingInterval("week"), 1560),
        (BillingInterval("month", 5), 72),
        (BillingInterval("year", 30), 1),
    ],
)
def test_razorpay_charges_for_thirty_years(interval: BillingInterval, count: int) -> None:
    """Razorpay gets a number of charges that covers thirty years."""
    shop = ConsentShop(razorpay)
    shop.subscribe(interval=interval, customer=None)
    _, (_, body) = shop.bodies()

    assert count == body["total_count"]
    assert "notify_info" not in body


def test_razorpay_charges_no_day_by_day() -> None:
    """An interval under seven days is refused before sending, because Razorpay refuses it."""
    shop = ConsentShop(razorpay)
    with pytest.raises(InvalidData, match="once in 7 days"):
        shop.subscribe(interval=BillingInterval("day", 6))

    assert [] == shop.sandbox.requests


def test_razorpay_changes_at_the_end_of_the_period() -> None:
    """A new amount is sent to Razorpay as a new plan, effective at the next charge."""
    shop = ConsentShop(razorpay)
    new_subscription = shop.begin(description="Tea")
    plans = len(shop.sandbox.billing.plans)
    fifteen = Money("15.00", "EUR")
    changed = shop.payments.change_subscription(
        new_subscription.ref, amount=fifteen, idempotency_key="2"
    )
    enlarged = shop.payments.change_subscription(
        new_subscription.ref, quantity=2, idempotency_key="3"
    )

    assert (TEN, fifteen, fifteen) == (new_subscription.amount, changed.amount, enlarged.amount)
    assert ((1, 1), 2) == ((new_subscription.quantity, changed.quantity), enlarged.quantity)
    assert plans + 1 == len(shop.sandbox.billing.plans)
    plan = f"plan_{int(shop.sandbox.billing.plans.popitem()[0][5:]):014d}"
    assert [
        {"plan_id": plan, "quantity": 1, "schedule_change_at": "cycle_end"},
        {"plan_id": plan, "quantity": 2, "schedule_change_at": "cycle_end"},
    ] == [body for _, body in shop.bodies("PATCH")]


def test_razorpay_charges_the_change_next() -> None:
    """The next charge of a changed Razorpay subscription has the new amount and quantity."""
    shop = ConsentShop(razorpay)
    new_subscription = shop.begin()
    shop.payments.change_subscription(
        new_subscription.ref, amount=Money("15.00", "EUR"), quantity=2, idempotency_key="2"
    )
    shop.sandbox.renew(new_subscription.ref.id)
    charges = [event.subscription_charge for event in shop.events()]

    assert [TEN, Money("30.00", "EUR")] == [charge.amount for charge in charges if charge]
    current = shop.payments.get_subscription(new_subscription.ref)
    assert (Money("15.00", "EUR"), 2) == (current.amount, current.quantity)


def test_razorpay_refuses_a_change_without_consent() -> None:
    """A subscription that waits for its buyer cannot be changed, but can be cancelled."""
    shop = ConsentShop(razorpay)
    created = shop.subscribe()
    with pytest.raises(VendorRejected, match="cannot be updated in created status"):
        shop.payments.change_subscription(created.ref, quantity=2, idempotency_key="2")
    canceled = shop.payments.cancel_subscription(created.ref, idempotency_key="3")

    assert (SubscriptionState.CANCELED, TEN, None) == (
        canceled.state,
        canceled.amount,
        canceled.next_action,
    )
    assert canceled.ends_at is not None
    assert ("/cancel", {"cancel_at_cycle_end": False}) == (
        shop.sandbox.requests[-2].path[-7:],
        shop.sandbox.requests[-2].json(),
    )


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_razorpay_creates_one_subscription_after_a_lost_response(lost: int) -> None:
    """Whichever response is lost, a repeated request returns the one subscription."""
    shop = ConsentShop(razorpay)
    shop.sandbox.fail(*[SlowAnswer(0.0)] * lost, Lost())
    with pytest.raises(ConnectionFailed):
        shop.subscribe()
    repeated = shop.subscribe()

    assert [repeated.ref.id] == [*shop.sandbox.billing.subscriptions]
    assert (TEN, BillingInterval("month")) == (repeated.amount, repeated.interval)


@pytest.mark.parametrize(
    "status, state",
    [
        ("created", SubscriptionState.PENDING),
        ("authenticated", SubscriptionState.TRIALING),
        ("active", SubscriptionState.ACTIVE),
        ("pending", SubscriptionState.PAST_DUE),
        ("halted", SubscriptionState.PAST_DUE),
        ("paused", SubscriptionState.PAUSED),
        ("cancelled", SubscriptionState.CANCELED),
        ("expired", SubscriptionState.CANCELED),
        ("completed", SubscriptionState.COMPLETED),
        ("levitated", SubscriptionState.UNKNOWN),
    ],
)
def test_razorpay_status_becomes_state(status: str, state: SubscriptionState) -> None:
    """Each documented Razorpay status becomes a state; only a waiting one has a next action."""
    subscription = razorpay_subscription(ref, Answer({**RAZORPAY, "status": status}))

    assert subscription is not None
    assert state == subscription.state
    assert (status == "created") == (subscription.next_action is not None)


def test_razorpay_documented_subscription_is_read() -> None:
    """The subscription in Razorpay's documentation is read."""
    subscription = razorpay_subscription(ref, Answer(RAZORPAY))

    assert subscription is not None
    assert ref("sub_00000000000001", currency="INR") == subscription.ref
    assert ("cust_D00000000000001", 1, "SUB-7", None, None) == (
        subscription.customer,
        subscription.quantity,
        subscription.reference,
        subscription.amount,
        subscription.ends_at,
    )
    charge_at = datetime(2019, 12, 26, 18, 46, 31, tzinfo=UTC)
    assert (charge_at, charge_at) == (subscription.starts_at, subscription.next_charge_at)


@pytest.mark.parametrize("name", ["id", "status"])
def test_razorpay_without_a_field_is_malformed(name: str) -> None:
    """A Razorpay subscription without an id or a status is a malformed response."""
    assert razorpay_subscription(ref, Answer({**RAZORPAY, name: None})) is None


@pytest.mark.parametrize(
    "period, count, interval",
    [
        ("quarterly", 2, BillingInterval("month", 6)),
        ("fortnightly", 1, None),
        ("monthly", 0, None),
        ("monthly", None, None),
        ("yearly", 1, BillingInterval("year")),
    ],
)
def test_quarter_is_three_months(period: str, count: Any, interval: BillingInterval | None) -> None:
    """A quarter is read as three months, and an unknown interval as None."""
    shop = ConsentShop(razorpay)
    new_subscription = shop.begin()
    (plan,) = shop.sandbox.billing.plans.values()
    plan |= {"period": period, "interval": count}

    assert interval == shop.payments.get_subscription(new_subscription.ref).interval
    if interval is None:
        with pytest.raises(InvalidData):
            shop.payments.change_subscription(
                new_subscription.ref, amount=Money("1", "EUR"), idempotency_key="2"
            )


@pytest.mark.parametrize(
    "body", [{"id": "plan_1", "item": {}}, {"item": {"amount": 1, "currency": "EUR"}}]
)
def test_razorpay_plan_without_a_field_is_malformed(body: Any) -> None:
    """A Razorpay plan without an id or an amount is a malformed response."""
    shop = ConsentShop(razorpay)
    new_subscription = shop.begin()
    (plan,) = shop.sandbox.billing.plans.values()
    plan.clear()
    plan.update(body)

    with pytest.raises(VendorFailed):
        shop.payments.get_subscription(new_subscription.ref)


def test_razorpay_events_have_subscription_state() -> None:
    """Razorpay events have the subscription's state, and events of charges also the payment."""
    shop = ConsentShop(razorpay)
    new_subscription = shop.begin()
    shop.sandbox.renew(new_subscription.ref.id, success=False)
    events = [event for event in shop.events() if event.subscription is not None]

    assert [
        ("subscription.authenticated", SubscriptionState.TRIALING, None),
        ("subscription.activated", SubscriptionState.ACTIVE, None),
        ("subscription.charged", SubscriptionState.ACTIVE, MoveState.SUCCEEDED),
        ("subscription.pending", SubscriptionState.PAST_DUE, MoveState.FAILED),
    ] == [
        (
            event.vendor_type,
            event.subscription and event.subscription.state,
            event.subscription_charge and event.subscription_charge.state,
        )
        for event in events
    ]
    assert {"SUB-7"} == {event.reference for event in events}
    charge = events[2].subscription_charge
    assert charge is not None
    assert charge.payment is not None
    assert charge.payment.id == charge.id == next(iter(shop.sandbox.payments))


def test_razorpay_list_is_read_page_by_page() -> None:
    """Razorpay's list has the newest subscription first, and no amounts."""
    shop = ConsentShop(razorpay)
    ids = [
        shop.payments.create_subscription(
            shop.request(reference=f"SUB-{number}"), idempotency_key=f"{number}"
        ).ref.id
        for number in range(3)
    ]
    first = shop.payments.list_subscriptions(PaymentQuery(limit=2))
    second = shop.payments.list_subscriptions(PaymentQuery(limit=2), after=first.next)

    assert ids[::-1] == [item.ref.id for item in (*first.items, *second.items)]
    assert {None} == {item.amount for item in first.items}
    assert second.next is None


# --- PayPal -------------------------------------------------------------------


def test_paypal_receives_product_plan_and_subscription_with_keys() -> None:
    """PayPal receives a product, an endless plan and a subscription, each with its own key."""
    shop = ConsentShop(paypal)
    created = shop.subscribe(
        interval=BillingInterval(IntervalUnit.WEEK, 2),
        quantity=3,
        description="Tea",
        starts_at=FAR_FUTURE,
        extra={"paypal": {"application_context": {"brand_name": "ACME"}}},
    )

    assert [
        ("/v1/catalogs/products", {"name": "Tea", "type": "SERVICE"}),
        (
            "/v1/billing/plans",
            {
                "product_id": "PROD-00000001",
                "name": "Tea",
                "billing_cycles": [
                    {
                        "frequency": {"interval_unit": "WEEK", "interval_count": 2},
                        "tenure_type": "REGULAR",
                        "sequence": 1,
                        "total_cycles": 0,
                        "pricing_scheme": {
                            "fixed_price": {"currency_code": "EUR", "value": "10.00"}
                        },
                    }
                ],
                "payment_preferences": {"auto_bill_outstanding": True},
                "quantity_supported": True,
            },
        ),
        (
            "/v1/billing/subscriptions",
            {
                "plan_id": "P-0000000000000000000001",
                "quantity": "3",
                "custom_id": "SUB-7",
                "application_context": {
                    "return_url": RETURN_URL,
                    "cancel_url": RETURN_URL,
                    "shipping_preference": "NO_SHIPPING",
                    "user_action": "SUBSCRIBE_NOW",
                    "brand_name": "ACME",
                },
                "start_time": "2100-01-01T00:00:00Z",
                "subscriber": {"email_address": "ada@erp.example"},
            },
        ),
    ] == shop.bodies()
    keys = [request.headers.get("PayPal-Request-Id") for request in shop.sandbox.requests[-3:]]
    assert ["1/product", "1/plan", "1"] == keys
    assert (SubscriptionState.PENDING, "APPROVAL_PENDING", TEN, None, "EUR") == (
        created.state,
        created.vendor_state,
        created.amount,
        created.next_charge_at,
        created.ref.other("currency"),
    )
    assert created.next_action is not None
    assert (NextActionType.REDIRECT, "approve") == (
        created.next_action.type,
        created.next_action.vendor_type,
    )


@pytest.mark.parametrize("unit, count", [("day", 365), ("week", 52), ("month", 12), ("year", 1)])
def test_paypal_charges_at_least_once_a_year(unit: str, count: int) -> None:
    """The longest interval that PayPal accepts is a year; a longer one is refused unsent."""
    shop = ConsentShop(paypal)
    shop.subscribe(interval=BillingInterval(unit, count))
    [plan] = [body for path, body in shop.bodies() if path == "/v1/billing/plans"]
    assert {"interval_unit": unit.upper(), "interval_count": count} == (
        plan["billing_cycles"][0]["frequency"]
    )

    sent_requests = list(shop.sandbox.requests)
    with pytest.raises(InvalidData) as excinfo:
        shop.subscribe(interval=BillingInterval(unit, count + 1))
    assert "interval" == excinfo.value.field
    assert sent_requests == shop.sandbox.requests


def test_paypal_needs_a_return_url() -> None:
    """Without a URL to which the buyer returns, nothing is sent to PayPal."""
    shop = ConsentShop(paypal)
    with pytest.raises(InvalidData, match="no return_url"):
        shop.subscribe(return_url=None)

    assert [] == shop.sandbox.requests


def test_paypal_change_waits_for_the_buyer() -> None:
    """PayPal charges the old amount until the buyer approves the new one."""
    shop = ConsentShop(paypal)
    new_subscription = shop.begin(quantity=2, customer=None)
    change = shop.payments.change_subscription(
        new_subscription.ref, amount=Money("15.00", "EUR"), idempotency_key="2"
    )

    assert {
        "plan": {
            "billing_cycles": [
                {
                    "sequence": 1,
                    "pricing_scheme": {"fixed_price": {"currency_code": "EUR", "value": "15.00"}},
                }
            ]
        },
        "quantity": "2",
    } == shop.bodies()[-1][1]
    assert (TEN, TEN) == (
        change.amount,
        shop.payments.get_subscription(new_subscription.ref).amount,
    )
    assert change.next_action is not None
    shop.consent(change)
    current = shop.payments.get_subscription(new_subscription.ref)
    assert (Money("15.00", "EUR"), 2, None) == (
        current.amount,
        current.quantity,
        current.next_action,
    )
    shop.sandbox.billing.renew(new_subscription.ref.id)
    charges = [event.subscription_charge for event in shop.events()]
    assert [Money("20.00", "EUR"), Money("30.00", "EUR")] == [
        charge.amount for charge in charges if charge
    ]


def test_paypal_change_returns_to_the_accounts_url() -> None:
    """After approving a change, the buyer is sent to the return URL of the account."""
    subject = paypal()
    account: Any = subject.vendor
    vendor = attrs.evolve(account, return_url="https://erp.example/changed")
    shop = ConsentShop(lambda: attrs.evolve(subject, vendor=vendor))
    new_subscription = shop.begin()
    shop.payments.change_subscription(new_subscription.ref, quantity=2, idempotency_key="2")

    context = shop.bodies()[-1][1]["application_context"]
    assert "https://erp.example/changed" == context["return_url"]


def test_paypal_change_without_approval() -> None:
    """A PayPal change that needs no approval applies at once."""
    shop = ConsentShop(paypal)
    new_subscription = shop.begin()

    def approved_answer(answer: Response) -> Response:
        shop.consent(new_subscription)
        return answer.evolve(body=b'{"links": [{"rel": "self", "href": "https://x.example"}]}')

    shop.sandbox.fail(SlowAnswer(0.0), AlteredAnswer(approved_answer))
    changed = shop.payments.change_subscription(
        new_subscription.ref, quantity=2, idempotency_key="2"
    )

    assert (2, None) == (changed.quantity, changed.next_action)


@pytest.mark.parametrize("plan", [{}, {"billing_cycles": [*PLAN["billing_cycles"][:1]] * 2}])
def test_paypal_changes_no_subscription_without_a_price(plan: Any) -> None:
    """A PayPal subscription that does not have exactly one price phase cannot be changed."""
    shop = ConsentShop(paypal)
    new_subscription = shop.begin()
    shop.sandbox.billing.plans["P-0000000000000000000001"] |= {"billing_cycles": [], **plan}
    assert shop.payments.get_subscription(new_subscription.ref).amount is None
    with pytest.raises(InvalidData, match="no fixed price"):
        shop.payments.change_subscription(new_subscription.ref, quantity=2, idempotency_key="2")


def test_paypal_cannot_cancel_subscription_that_its_buyer_has_not_approved() -> None:
    """PayPal cannot cancel a subscription that its buyer has not approved."""
    shop = ConsentShop(paypal)
    created = shop.subscribe()
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.cancel_subscription(created.ref, idempotency_key="2")
    assert "SUBSCRIPTION_STATUS_INVALID" == excinfo.value.vendor_code

    shop.consent(created)
    canceled = shop.payments.cancel_subscription(created.ref, idempotency_key="3")
    assert (SubscriptionState.CANCELED, None) == (canceled.state, canceled.next_charge_at)
    assert canceled.ends_at is not None


@pytest.mark.parametrize(
    "status, state",
    [
        ("APPROVAL_PENDING", SubscriptionState.PENDING),
        ("APPROVED", SubscriptionState.PENDING),
        ("ACTIVE", SubscriptionState.ACTIVE),
        ("SUSPENDED", SubscriptionState.PAUSED),
        ("CANCELLED", SubscriptionState.CANCELED),
        ("EXPIRED", SubscriptionState.COMPLETED),
        ("LEVITATED", SubscriptionState.UNKNOWN),
    ],
)
def test_paypal_status_becomes_state(status: str, state: SubscriptionState) -> None:
    """Each documented PayPal status becomes a state."""
    subscription = paypal_subscription(ref, Answer({**PAYPAL, "status": status}), NOW)

    assert subscription is not None
    assert state == subscription.state
    assert state.final == (subscription.ends_at is not None)
    assert (status == "ACTIVE") == (subscription.next_charge_at is not None)
    assert subscription.next_action is None


def test_paypal_documented_subscription_is_read() -> None:
    """The subscription in PayPal's documentation is read, with its plan if it is included."""
    subscription = paypal_subscription(ref, Answer(PAYPAL), NOW)
    with_plan = paypal_subscription(ref, Answer({**PAYPAL, "plan": PLAN}), NOW)

    assert subscription is not None
    assert with_plan is not None
    assert ref("I-40UGYEKPGFYM", currency="GBP") == subscription.ref == with_plan.ref
    assert ("YY9WRWVMNRFRC", 1, "SUB-7", None, None) == (
        subscription.customer,
        subscription.quantity,
        subscription.reference,
        subscription.amount,
        subscription.interval,
    )
    assert (Money("10.00", "GBP"), BillingInterval("month", 3)) == (
        with_plan.amount,
        with_plan.interval,
    )
    assert datetime(2023, 4, 11, 10, tzinfo=UTC) == subscription.next_charge_at


@pytest.mark.parametrize(
    "frequency, interval",
    [
        ({"interval_unit": "WEEK"}, BillingInterval("week")),
        ({"interval_unit": "FORTNIGHT"}, None),
        ({"interval_unit": "DAY", "interval_count": 0}, None),
        ({}, None),
    ],
)
def test_interval_without_count_has_count_one(
    frequency: Any, interval: BillingInterval | None
) -> None:
    """An interval without a count has the count one; an unknown interval becomes None."""
    cycle = {"tenure_type": "REGULAR", "frequency": frequency}
    body = {**PAYPAL, "quantity": "1.5", "plan": {"billing_cycles": [cycle]}}
    subscription = paypal_subscription(ref, Answer(body), NOW)

    assert subscription is not None
    assert (interval, None, None) == (
        subscription.interval,
        subscription.amount,
        subscription.quantity,
    )


def test_paypal_trial_and_failure() -> None:
    """A PayPal subscription is a trial before its start, and past due after a failed charge."""
    subscription = paypal_subscription(ref, Answer(PAYPAL), datetime(2023, 4, 1, tzinfo=UTC))
    info = {**PAYPAL["billing_info"], "failed_payments_count": 1}
    failed = paypal_subscription(ref, Answer({**PAYPAL, "billing_info": info}), NOW)

    assert subscription is not None
    assert failed is not None
    assert (SubscriptionState.TRIALING, SubscriptionState.PAST_DUE) == (
        subscription.state,
        failed.state,
    )


@pytest.mark.parametrize("name", ["id", "status"])
def test_paypal_without_a_field_is_malformed(name: str) -> None:
    """A PayPal subscription without an id or a status is malformed, and gives no event."""
    body = Answer({**PAYPAL, name: None})
    assert paypal_subscription(ref, body, NOW) is None
    assert subscription_event(ref, body, "BILLING.SUBSCRIPTION.UPDATED") is None


def test_paypal_event_without_time_gives_no_event() -> None:
    """A PayPal event without a time gives no event, since it might be a trial."""
    times = dict.fromkeys(("status_update_time", "update_time", "create_time"))
    body = Answer({**PAYPAL, **times})
    assert subscription_event(ref, body, "BILLING.SUBSCRIPTION.UPDATED") is None


def test_paypal_failed_charge() -> None:
    """A failed PayPal charge is identified by its time; without a time it is not reported."""
    kind = "BILLING.SUBSCRIPTION.PAYMENT.FAILED"
    failure = {
        "amount": {"currency_code": "GBP", "value": "10.0"},
        "time": "2023-05-11T10:00:00Z",
        "next_payment_retry_time": "2023-05-16T10:00:00Z",
    }
    info = {**PAYPAL["billing_info"], "failed_payments_count": 1, "last_failed_payment": failure}
    event = subscription_event(ref, Answer({**PAYPAL, "billing_info": info}), kind)
    incomplete_event = subscription_event(ref, Answer(PAYPAL), kind)

    assert event is not None
    assert incomplete_event is not None
    charge = event.subscription_charge
    assert charge is not None
    assert ("I-40UGYEKPGFYM/2023-05-11T10:00:00Z", MoveState.FAILED, Money("10.00", "GBP")) == (
        charge.id,
        charge.state,
        charge.amount,
    )
    assert datetime(2023, 5, 16, 10, tzinfo=UTC) == charge.next_attempt_at
    assert incomplete_event.subscription_charge is None


# The resource of an event PAYMENT.SALE.COMPLETED that PayPal's sandbox sent on 17 April 2021.
SALE: dict[str, Any] = {
    "billing_agreement_id": "I-37B4TLL0FAJJ",
    "amount": {"total": "14.55", "currency": "CAD", "details": {"subtotal": "14.55"}},
    "payment_mode": "INSTANT_TRANSFER",
    "create_time": "2021-04-17T22:44:02Z",
    "transaction_fee": {"currency": "CAD", "value": "0.72"},
    "id": "44P499886K055384U",
    "state": "completed",
    "invoice_number": "",
}


@pytest.mark.parametrize(
    "kind, state",
    [
        ("PAYMENT.SALE.COMPLETED", MoveState.SUCCEEDED),
        ("PAYMENT.SALE.DENIED", MoveState.FAILED),
    ],
)
def test_paypal_sale_that_belongs_to_subscription_is_reported_as_its_charge(
    kind: str, state: MoveState
) -> None:
    """A PayPal sale that belongs to a subscription is reported as its charge."""
    event = sale_event(ref, Answer(SALE), kind)

    assert event is not None
    assert event.subscription_charge is not None
    charge = event.subscription_charge
    assert ("44P499886K055384U", state, Money("14.55", "CAD")) == (
        charge.id,
        charge.state,
        charge.amount,
    )
    assert ref("I-37B4TLL0FAJJ", currency="CAD") == charge.subscription == event.ref


@pytest.mark.parametrize(
    "kind, change",
    [
        ("PAYMENT.SALE.PENDING", {}),
        ("PAYMENT.SALE.REFUNDED", {}),
        ("PAYMENT.SALE.COMPLETED", {"billing_agreement_id": None}),
        ("PAYMENT.SALE.COMPLETED", {"id": None}),
        ("PAYMENT.SALE.COMPLETED", {"amount": {"total": "x", "currency": "CAD"}}),
    ],
)
def test_paypal_other_sales_are_no_charges(kind: str, change: Any) -> None:
    """A PayPal sale that is not completed, or has no subscription, is not reported."""
    assert sale_event(ref, Answer({**SALE, **change}), kind) is None


def test_paypal_list_is_read_page_by_page() -> None:
    """PayPal's subscriptions are listed by page and time, and have no amounts."""
    shop = ConsentShop(paypal)
    for number in range(3):
        shop.payments.create_subscription(
            shop.request(reference=f"SUB-{number}"), idempotency_key=f"{number}"
        )
    query = PaymentQuery(limit=2, since=datetime(2020, 1, 1, tzinfo=UTC), until=FAR_FUTURE)
    first = shop.payments.list_subscriptions(query)
    second = shop.payments.list_subscriptions(query, after=first.next)

    assert ["SUB-2", "SUB-1", "SUB-0"] == [item.reference for item in (*first.items, *second.items)]
    assert {None} == {item.amount for item in first.items}
    assert second.next is None
    assert {
        "created_after": "2020-01-01T00:00:00Z",
        "created_before": "2100-01-01T00:00:00Z",
        "page": "2",
        "page_size": "2",
    } == dict(shop.sandbox.requests[-1].query)


def test_paypal_list_is_malformed() -> None:
    """A PayPal response whose subscriptions are not a list is malformed."""
    shop = ConsentShop(paypal)
    shop.payments.list_subscriptions()
    shop.sandbox.fail(AlteredAnswer(lambda answer: answer.evolve(body=b'{"subscriptions": 1}')))
    with pytest.raises(VendorFailed, match="subscriptions"):
        shop.payments.list_subscriptions()
