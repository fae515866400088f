"""Example calls to payment vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.address import Address
from moorage.contracts.payments import (
    BillingInterval,
    Charge,
    Customer,
    DisputeEvidence,
    LineItem,
    LinkRequest,
    Money,
    PayeeTransfer,
    PaymentsCapability,
    StoreRequest,
    SubscriptionRequest,
    ThreeDs,
    unexplained_amount,
)
from moorage.contracts.ref import Ref

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor


def order(vendor: ScenarioVendor, **fields: Any) -> Charge:
    """Return an example charge for a payment vendor."""
    default_fields: dict[str, Any] = {
        "amount": Money("149.90", "EUR"),
        "source": vendor.fixture.token,
        "reference": "INV-1",
        "customer": vendor.fixture.vendor_values.get("buyer", Customer(id="ada-1")),
    }
    return Charge(**{**default_fields, **fields})


async def pay(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Charge a payment with these fields."""
    return (await vendor("charge", order(vendor, **fields), idempotency_key="1")).ref


ADDRESS: Final = Address(
    name="Ada Byron", line1="Skalitzer 12", city="Berlin", postal_code="10999", country="DE"
)
LINES: Final = (
    LineItem("Chair", Money("60.00", "EUR"), quantity=2),
    LineItem("Delivery", Money("29.90", "EUR")),
)


async def bill(vendor: ScenarioVendor) -> Any:
    """Charge a payment with a billing address."""
    source = vendor.fixture.vendor_values.get("billed", vendor.fixture.token)
    return await pay(vendor, source=source, billing_address=ADDRESS)


async def intent(vendor: ScenarioVendor) -> Any:
    """Return the data with which the buyer's browser continues the payment."""
    return (await vendor("create_intent", order(vendor), idempotency_key="1")).ref


async def authorize(vendor: ScenarioVendor) -> Ref:
    """Authorize a payment, and return its reference."""
    return await _begin(vendor, "authorize")


async def _begin(vendor: ScenarioVendor, operation: str) -> Ref:
    """Start a payment, let the buyer confirm it, and return its reference."""
    if not vendor.is_supported:
        return Ref.parse(f"{vendor.name}:{vendor.name}:1~currency=EUR")
    payment = await vendor(operation, order(vendor), idempotency_key="1")
    if payment.next_action is not None:
        return_fields = vendor.fixture.buyer(payment)
        payment = await vendor("complete", payment.ref, return_fields, idempotency_key="2")
    ref: Ref = payment.ref
    return ref


async def complete(vendor: ScenarioVendor) -> Any:
    """Complete a payment after the buyer's action."""
    if not vendor.is_supported:
        return await vendor("complete", await authorize(vendor), idempotency_key="2")
    values = vendor.fixture.vendor_values
    challenge_token = values.get("asks", vendor.fixture.token)
    charge = order(vendor, source=challenge_token, return_url="https://erp.example/back")
    payment = await vendor(values.get("asked_by", "authorize"), charge, idempotency_key="1")
    return_fields = vendor.fixture.buyer(payment)
    payment = await vendor("complete", payment.ref, return_fields, idempotency_key="2")
    return payment.state.name in {"AUTHORIZED", "CAPTURED", "PENDING"}


async def capture(vendor: ScenarioVendor) -> Any:
    """Authorize a payment, and capture it."""
    return (await vendor("capture", await authorize(vendor), idempotency_key="3")).ref


async def capture_part(vendor: ScenarioVendor) -> Any:
    """Authorize a payment, and capture a part of it."""
    part = Money("10.00", "EUR")
    return (await vendor("capture", await authorize(vendor), part, idempotency_key="3")).ref


async def capture_in_parts(vendor: ScenarioVendor) -> Any:
    """Capture a payment in two parts."""
    ref = await authorize(vendor)
    for key in ("3", "4"):
        await vendor("capture", ref, Money("10.00", "EUR"), idempotency_key=key, final=False)
    return True


async def payment(vendor: ScenarioVendor) -> Any:
    """Return the state of a payment."""
    ref = await _begin(vendor, "charge")
    return (await vendor("get", ref)).ref.id == ref.id


async def refund(vendor: ScenarioVendor) -> Any:
    """Return the state of a refund."""
    ref = await (charge_and_refund(vendor) if vendor.is_supported else _begin(vendor, "charge"))
    return (await vendor("get_refund", ref)).ref.id == ref.id


async def list_page(vendor: ScenarioVendor, operation: str) -> Any:
    """Call a list operation; return True if it returns a page."""
    return (await vendor(operation)) is not None


async def charge_and_refund(vendor: ScenarioVendor) -> Any:
    """Charge a payment, and refund a part of it."""
    ref = await _begin(vendor, "charge")
    vendor.fixture.vendor_values.get("settle", bool)()
    return (await vendor("refund", ref, Money("5.00", "EUR"), idempotency_key="4")).ref


async def void(vendor: ScenarioVendor) -> Any:
    """Void an authorized payment, or a requested one if the vendor cannot authorize payments."""
    begun_by = vendor.fixture.vendor_values.get("voidable", "authorize")
    return await vendor("void", await _begin(vendor, begun_by), idempotency_key="3")


async def store(vendor: ScenarioVendor) -> Any:
    """Store a payment method without a payment."""
    values = vendor.fixture.vendor_values
    request = StoreRequest(
        values.get("stores", vendor.fixture.token), customer=Customer(id="ada-1", name="Ada Byron")
    )
    return (await vendor("store_means", request, idempotency_key="s-1")).ref


async def remove(vendor: ScenarioVendor) -> Any:
    """Store a payment method, list it, and remove it."""
    if not vendor.is_supported:
        return await vendor("stored_means", "ada-1")
    if vendor.fixture.vendor_values.get("is_stored"):
        stored = (await vendor("stored_means", "ada-1")).items
        if not stored:
            raise AssertionError("No payment method is stored.")
        ref = stored[0].ref
    else:
        ref = await store(vendor)
    means = await vendor("stored_means", "ada-1")
    await vendor("remove_means", ref, idempotency_key="s-2")
    remaining = await vendor("stored_means", "ada-1")
    return ref.id in _ids(means) - _ids(remaining)


def _ids(page: Any) -> set[str]:
    return {item.ref.id for item in page.items}


async def link(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Create a payment link, look it up, and close it."""
    request = LinkRequest(Money("149.90", "EUR"), reference="INV-1", **fields)
    payment_link = await vendor("create_link", request, idempotency_key="l-1")
    found_link = await vendor("get_link", payment_link.ref)
    await vendor("close_link", payment_link.ref, idempotency_key="l-2")
    return found_link.url == payment_link.url


async def dispute(vendor: ScenarioVendor, operation: str, *values: Any) -> Any:
    """Look up, accept or contest a dispute of a payment."""
    key = {} if operation == "get_dispute" else {"idempotency_key": "d-1"}
    if not vendor.is_supported:
        return await vendor(operation, f"{vendor.name}:{vendor.name}:1", *values, **key)
    payment_ref = await pay(vendor)
    vendor.fixture.vendor_values.get("settle", bool)()
    id = vendor.fixture.vendor_values["dispute"](payment_ref)
    ref = Ref.parse(f"{vendor.name}:{vendor.name}:{id}")
    return (await vendor(operation, ref, *values, **key)).ref.id == id


async def answer(vendor: ScenarioVendor) -> Any:
    """Contest a dispute with evidence."""
    return await dispute(vendor, "submit_evidence", DisputeEvidence("The chairs were delivered."))


async def pay_out(vendor: ScenarioVendor) -> Any:
    """Send money to a payee, and look it up."""
    payee = vendor.fixture.vendor_values.get("payee", "1")
    transfer = PayeeTransfer(Money("20.00", "EUR"), payee, reference="CN-1")
    payout = await vendor("pay_payee", transfer, idempotency_key="p-1")
    return (await vendor("get_payee_payout", payout.ref)).state == "paid"


async def subscribe(
    vendor: ScenarioVendor,
    *,
    quantity: int = 1,
    at_period_end: bool = False,
    source: bool | None = None,
) -> Any:
    """Create a subscription, change it, and cancel it.

    Args:
        vendor: runs the operations.
        quantity: number of pieces.
        at_period_end: True to cancel at the end of the period.
        source: True to use a stored means of payment, False if the buyer provides one; by
            default True if the fixture has a stored means.
    """
    values = vendor.fixture.vendor_values
    consent = values.get("consent")
    is_stored = consent is None if source is None else source
    request = SubscriptionRequest(
        Money("20.00", "EUR"),
        BillingInterval("month"),
        values.get("subscriber", "1") if is_stored else None,
        customer=Customer(id="ada-1"),
        reference="SUB-1",
        quantity=quantity,
        return_url="https://erp.example/back",
    )
    if not vendor.is_supported and at_period_end:
        ref = Ref.parse(f"{vendor.name}:{vendor.name}:1")
        return await vendor("cancel_subscription", ref, at_period_end=True, idempotency_key="s-3")
    created = await vendor("create_subscription", request, idempotency_key="s-1")
    if consent is not None:
        consent(created.ref.id)
    amount = Money("30.00", "EUR")
    changed_subscription = await vendor(
        "change_subscription", created.ref, amount=amount, idempotency_key="s-2"
    )
    if consent is not None and changed_subscription.next_action is not None:
        consent(created.ref.id)
    current = await vendor("get_subscription", created.ref)
    await vendor(
        "cancel_subscription", created.ref, at_period_end=at_period_end, idempotency_key="s-3"
    )
    await vendor("list_subscriptions")
    return current.amount == amount


async def reconcile(vendor: ScenarioVendor) -> Any:
    """List the transactions of a payout."""
    if not vendor.is_supported:
        return await vendor("payout_items", Ref.parse(f"{vendor.name}:{vendor.name}:1"))
    await pay(vendor)
    vendor.fixture.vendor_values["pay_out"]()
    payout = (await vendor("payouts")).items[0]
    items = (await vendor("payout_items", payout.ref)).items
    return unexplained_amount(payout, items).minor == 0


BASIC: Final[dict[str, Scenario]] = {
    "charge": pay,
    "charge, refund": charge_and_refund,
}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    PaymentsCapability.INTENT: intent,
    PaymentsCapability.COMPLETE: complete,
    PaymentsCapability.AUTHORIZE: capture,
    PaymentsCapability.VOID: void,
    PaymentsCapability.PARTIAL_CAPTURE: capture_part,
    PaymentsCapability.MULTIPLE_CAPTURES: capture_in_parts,
    PaymentsCapability.LOOK_UP: payment,
    PaymentsCapability.LOOK_UP_REFUND: refund,
    PaymentsCapability.LIST: partial(list_page, operation="payments"),
    PaymentsCapability.DISPUTES: partial(list_page, operation="disputes"),
    PaymentsCapability.LOOK_UP_DISPUTE: partial(dispute, operation="get_dispute"),
    PaymentsCapability.ACCEPT_DISPUTE: partial(dispute, operation="accept_dispute"),
    PaymentsCapability.DISPUTE_EVIDENCE: answer,
    PaymentsCapability.PAYOUTS: partial(list_page, operation="payouts"),
    PaymentsCapability.OFF_SESSION: partial(pay, off_session=True),
    PaymentsCapability.STORE_METHOD: partial(pay, store_method=True),
    PaymentsCapability.STATEMENT_DESCRIPTOR: partial(pay, statement_descriptor="ACME"),
    PaymentsCapability.BILLING_ADDRESS: bill,
    PaymentsCapability.SHIPPING_ADDRESS: partial(pay, shipping_address=ADDRESS),
    PaymentsCapability.LINE_ITEMS: partial(pay, lines=LINES),
    PaymentsCapability.THREE_DS: partial(pay, three_ds=ThreeDs.ALWAYS),
    PaymentsCapability.STORE_MEANS: store,
    PaymentsCapability.STORED_MEANS: remove,
    PaymentsCapability.LINKS: link,
    PaymentsCapability.LINK_EXPIRY: partial(link, expires_at=datetime(2100, 1, 1, tzinfo=UTC)),
    PaymentsCapability.LINK_ADDRESSES: partial(link, billing_address=ADDRESS),
    PaymentsCapability.LINK_LINE_ITEMS: partial(link, lines=LINES),
    PaymentsCapability.PAYOUT_ITEMS: reconcile,
    PaymentsCapability.PAYEES: pay_out,
    PaymentsCapability.SUBSCRIPTIONS: subscribe,
    PaymentsCapability.SUBSCRIPTION_SOURCE: partial(subscribe, source=True),
    PaymentsCapability.SUBSCRIPTION_CONSENT: partial(subscribe, source=False),
    PaymentsCapability.SUBSCRIPTION_QUANTITY: partial(subscribe, quantity=2),
    PaymentsCapability.SUBSCRIPTION_PERIOD_END: partial(subscribe, at_period_end=True),
}
