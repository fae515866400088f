"""Payment operations: errors, accounts and look-ups."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from moorage import Ref
from moorage.contracts.payments import (
    Customer,
    Money,
    Page,
    Payment,
    PaymentEvent,
    PaymentQuery,
    PaymentsCapability,
    PaymentState,
    Unsettled,
)
from moorage.contracts.payments.events import completed_with
from moorage.errors import InvalidData, OutcomeUnknown
from moorage.runtime.flows import run_now
from moorage.services.contracts.payments import PaymentsFlows
from tests.contracts.recording_dispatcher import (
    CHARGE,
    MONEY,
    PAYMENTS_SINCE,
    REF,
    START,
    TIME,
    AnsweringDispatcher,
    OperationCall,
    dispatcher_answering,
    record_operation,
)


@pytest.mark.parametrize("name", ["x", ""])
def test_page_of_an_unknown_account(name: str) -> None:
    """Listing the payments of an unknown account is refused; the error has its name."""
    dispatcher: Any = SimpleNamespace(directory=SimpleNamespace(accounts={}))
    with pytest.raises(InvalidData, match=f"No account named '{name}' is configured") as excinfo:
        run_now(PaymentsFlows(dispatcher, None).payments(account=name))

    assert "account" == excinfo.value.field
    assert "Pass the name of a configured account." == excinfo.value.remedy


def test_hints_are_looked_up_within_the_timeout() -> None:
    """For an event without details, the hub looks up the payment within the given timeout."""
    events = PaymentEvent(id="e", ref=REF, vendor_type="changed", ask=True)
    dispatcher = record_operation(
        PaymentsFlows, lambda flows: flows.follow_up(events, timeout=TIME)
    )
    assert ("get", REF) == (dispatcher.operation, dispatcher.ref)

    with pytest.raises(InvalidData) as excinfo:
        record_operation(PaymentsFlows, lambda flows: flows.follow_up("news"))
    assert "event" == excinfo.value.field


def test_hint_becomes_the_payments_event() -> None:
    """Following up an event without details returns an event with the current payment."""
    events = PaymentEvent(id="e", ref=REF, vendor_type="changed", ask=True)
    payment = Payment(ref=REF, state=PaymentState.CAPTURED)
    result = run_now(PaymentsFlows(dispatcher_answering("get", payment), None).follow_up(events))

    assert completed_with(events, payment) == result


@pytest.mark.parametrize("operation", ["payments", "disputes", "payouts"])
def test_pages_stay_at_their_account(operation: str) -> None:
    """A list's first page comes from the given account, later pages from the cursor's account."""
    first = record_operation(
        PaymentsFlows,
        lambda flows: getattr(flows, operation)(PAYMENTS_SINCE, account="main", timeout=TIME),
    )
    later_dispatcher = record_operation(
        PaymentsFlows,
        lambda flows: getattr(flows, operation)(PAYMENTS_SINCE, after=REF, timeout=TIME),
    )

    assert (Ref("some", "main", "main"), (operation, PAYMENTS_SINCE, None, {})) == (
        first.ref,
        first.told,
    )
    assert (REF, (operation, PAYMENTS_SINCE, REF, {})) == (
        later_dispatcher.ref,
        later_dispatcher.told,
    )


def test_lost_payment_is_looked_up_at_its_account() -> None:
    """A look-up reads all payments of the account since a given time, within the timeout."""
    match = Payment(ref=REF, state=PaymentState.CAPTURED, reference=CHARGE.reference)
    other_payment = attrs.evolve(match, reference="INV-2")
    pages = {None: Page((other_payment,), next=REF), REF: Page((match,))}
    requests: list[tuple[Any, ...]] = []

    async def charge(*_: Any, **__: Any) -> None:
        raise OutcomeUnknown("The answer was lost.", service="main")

    async def payments(_: Any, query: PaymentQuery, after: Ref | None) -> Page[Payment]:
        requests.append((query, after, dispatcher.ref, dispatcher.timeout))
        return pages[after]

    listing = frozenset({PaymentsCapability.LIST})
    dispatcher: Any = AnsweringDispatcher(
        vendor=SimpleNamespace(name="some", capabilities=listing, charge=charge, payments=payments)
    )
    lost_payment = Unsettled(charge=CHARGE, idempotency_key="k", since=START)
    [result] = run_now(PaymentsFlows(dispatcher, None).settle([lost_payment], timeout=TIME))

    assert match == result.unwrap()
    assert [
        (PAYMENTS_SINCE, None, Ref("some", "main", "main"), TIME),
        (PAYMENTS_SINCE, REF, REF, TIME),
    ] == requests


def test_intent_needs_its_own_capability_and_those_of_its_charge() -> None:
    """A payment intent needs its own capability and all capabilities of its charge."""
    rich = attrs.evolve(CHARGE, off_session=True)
    dispatcher = record_operation(
        PaymentsFlows, lambda flows: flows.create_intent(rich, idempotency_key="k", timeout=TIME)
    )

    assert frozenset({"intent", "off_session"}) == dispatcher.needs


class RecordingPaymentVendor:
    """A vendor that records its calls, and returns a payment if the test passes one."""

    states_refunds = True

    def __init__(self, amount: Money | None, *, looks: bool = True) -> None:
        self.capabilities = frozenset({PaymentsCapability.LOOK_UP} if looks else ())
        self._payment = Payment(ref=REF, state=PaymentState.AUTHORIZED, amount=amount)
        self.asked: list[tuple[Any, ...]] = []

    async def get(self, wire: Any, ref: Ref) -> Payment:
        """Record the look-up and return the payment."""
        self.asked.append(("get", wire, ref))
        return self._payment

    async def capture(self, wire: Any, *options: Any, **named: Any) -> None:
        """Record the capture."""
        self.asked.append(("capture", wire, *options, named))

    async def refund(self, wire: Any, *options: Any, **named: Any) -> None:
        """Record the refund."""
        self.asked.append(("refund", wire, *options, named))


MOVES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "capture": ({"final": True}, {"authorize", "partial_capture"}),
    "refund": ({"reason": None}, set()),
}
"""Operations with an amount: their options, and the capabilities that they need."""
DOLLARS = Money("10", "USD")
KNOWN_REF = REF.with_related(currency="EUR")


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(
    "ref, amount, can_look, looks",
    [
        (KNOWN_REF, DOLLARS, True, 0),
        (REF, MONEY, True, 1),
        (REF, None, True, 1),
        (REF, None, False, 0),
    ],
    ids=["known", "looked up", "told by nobody", "not to be looked up"],
)
def test_amount_goes_in_the_currency_of_its_payment(
    move: str, ref: Ref, amount: Money | None, *, can_look: bool, looks: int
) -> None:
    """An amount must have its payment's currency; if that is unknown, the payment is looked up."""
    vendor = RecordingPaymentVendor(amount, looks=can_look)
    dispatcher: Any = AnsweringDispatcher(vendor=vendor)
    run_now(getattr(PaymentsFlows(dispatcher, None), move)(ref, MONEY, idempotency_key="k"))

    wire, (options, needs) = dispatcher.wire, MOVES[move]
    assert [
        *[("get", wire, ref)] * looks,
        (move, wire, ref, MONEY, {**options, "key": "k"}),
    ] == vendor.asked
    assert needs == dispatcher.needs


def test_capture_of_the_whole_amount_needs_no_parts() -> None:
    """Capturing exactly the reference's amount needs no capability for partial captures."""
    vendor = RecordingPaymentVendor(MONEY)
    dispatcher: Any = AnsweringDispatcher(vendor=vendor)
    whole_ref = REF.with_related(amount=str(MONEY.amount), currency=MONEY.currency)
    run_now(PaymentsFlows(dispatcher, None).capture(whole_ref, MONEY, idempotency_key="k"))

    assert {"authorize"} == dispatcher.needs


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(
    "ref, amount",
    [(KNOWN_REF, DOLLARS), (REF, DOLLARS), (KNOWN_REF, -MONEY)],
    ids=["another currency", "another that is looked up", "less than nothing"],
)
def test_wrong_currency_is_refused(move: str, ref: Ref, amount: Money) -> None:
    """A negative amount, or one in another currency than the payment, is refused."""
    vendor = RecordingPaymentVendor(MONEY)
    dispatcher: Any = AnsweringDispatcher(vendor=vendor)
    with pytest.raises(InvalidData) as excinfo:
        run_now(getattr(PaymentsFlows(dispatcher, None), move)(ref, amount, idempotency_key="k"))

    assert "amount" == excinfo.value.field
    assert {"get"} >= {request[0] for request in vendor.asked}


@pytest.mark.parametrize("method_name", ["authorize", "charge"])
def test_charge_needs_a_source(method_name: str) -> None:
    """Only a payment intent may lack a source, because its buyer chooses one later."""
    bare_charge = attrs.evolve(CHARGE, source=None)
    with pytest.raises(InvalidData, match="must have a source") as excinfo:
        record_operation(
            PaymentsFlows,
            lambda flows: getattr(flows, method_name)(bare_charge, idempotency_key="k"),
        )

    assert "source" == excinfo.value.field
    assert "create a payment intent" in excinfo.value.remedy
    record_operation(
        PaymentsFlows,
        lambda flows: flows.create_intent(bare_charge, idempotency_key="k", timeout=TIME),
    )


MOVING: list[OperationCall] = [
    lambda flows: flows.create_intent(CHARGE, idempotency_key=None),
    lambda flows: flows.authorize(CHARGE, idempotency_key=None),
    lambda flows: flows.charge(CHARGE, idempotency_key=None),
    lambda flows: flows.complete(REF, idempotency_key=None),
    lambda flows: flows.capture(REF, idempotency_key=None),
    lambda flows: flows.void(REF, idempotency_key=None),
    lambda flows: flows.refund(REF, idempotency_key=None),
]


@pytest.mark.parametrize("use", MOVING)
def test_moving_money_needs_a_key(use: OperationCall) -> None:
    """An operation that moves money is refused without an idempotency key."""
    with pytest.raises(InvalidData, match="requires an idempotency key") as excinfo:
        record_operation(PaymentsFlows, use)

    assert "idempotency_key" == excinfo.value.field
    assert excinfo.value.remedy.startswith("Pass a key that names the effect")


def test_route_uses_country_and_currency_of_the_charge() -> None:
    """A route by country or currency uses the country and currency of the charge."""
    home_charge = attrs.evolve(CHARGE, customer=Customer(country="DE"))
    dispatcher = record_operation(
        PaymentsFlows, lambda flows: flows.charge(home_charge, idempotency_key="k", timeout=TIME)
    )

    assert ("DE", MONEY.currency) == (dispatcher.country, dispatcher.currency)
