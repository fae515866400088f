"""Payment operations: refusals, accounts and look-ups."""

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
from moorage.runtime.bridge import run_now
from moorage.services.contracts.payments import PaymentsFlows
from tests.contracts.handing import (
    BEGUN,
    CHARGE,
    MONEY,
    REF,
    SINCE,
    TIME,
    Answered,
    Use,
    answering,
    handed,
)


@pytest.mark.parametrize("name", ["x", ""])
def test_a_page_of_an_account_that_is_none(name: str) -> None:
    """An account without a name that is known is refused by name."""
    desk: Any = SimpleNamespace(directory=SimpleNamespace(accounts={}))
    with pytest.raises(InvalidData, match=f"No account is named '{name}'") as caught:
        run_now(PaymentsFlows(desk, None).payments(account=name))

    assert "account" == caught.value.field
    assert "Give the name of a configured account." == caught.value.remedy


def test_hints_are_looked_up_within_the_timeout() -> None:
    """A hint is looked up within the given timeout."""
    news = PaymentEvent(id="e", ref=REF, vendor_type="changed", ask=True)
    desk = handed(PaymentsFlows, lambda flows: flows.follow_up(news, timeout=TIME))
    assert ("get", REF) == (desk.operation, desk.ref)

    with pytest.raises(InvalidData) as caught:
        handed(PaymentsFlows, lambda flows: flows.follow_up("news"))
    assert "event" == caught.value.field


def test_hint_becomes_the_payments_event() -> None:
    """A followed-up hint has the payment as the vendor has it."""
    news = PaymentEvent(id="e", ref=REF, vendor_type="changed", ask=True)
    payment = Payment(ref=REF, state=PaymentState.CAPTURED)
    result = run_now(PaymentsFlows(answering("get", payment), None).follow_up(news))

    assert completed_with(news, payment) == result


@pytest.mark.parametrize("operation", ["payments", "disputes", "payouts"])
def test_a_page_is_asked_of_its_account(operation: str) -> None:
    """The first page comes from the named account, later ones from their cursor's."""
    first = handed(
        PaymentsFlows,
        lambda flows: getattr(flows, operation)(SINCE, account="main", timeout=TIME),
    )
    after = handed(
        PaymentsFlows, lambda flows: getattr(flows, operation)(SINCE, after=REF, timeout=TIME)
    )

    assert (Ref("some", "main", "main"), (operation, SINCE, None, {})) == (first.ref, first.told)
    assert (REF, (operation, SINCE, REF, {})) == (after.ref, after.told)


def test_a_lost_payment_is_looked_for_where_it_was_begun() -> None:
    """All that its account has since then is asked for, page by page, each within the seconds."""
    match = Payment(ref=REF, state=PaymentState.CAPTURED, reference=CHARGE.reference)
    other = attrs.evolve(match, reference="INV-2")
    pages = {None: Page((other,), next=REF), REF: Page((match,))}
    requests: list[tuple[Any, ...]] = []

    async def charge(*_: Any, **__: Any) -> None:
        raise OutcomeUnknown("Nobody heard the answer.", service="main")

    async def payments(_: Any, query: PaymentQuery, after: Ref | None) -> Page[Payment]:
        requests.append((query, after, desk.ref, desk.timeout))
        return pages[after]

    listing = frozenset({PaymentsCapability.LIST})
    desk: Any = Answered(
        vendor=SimpleNamespace(name="some", capabilities=listing, charge=charge, payments=payments)
    )
    lost = Unsettled(charge=CHARGE, idempotency_key="k", since=BEGUN)
    [result] = run_now(PaymentsFlows(desk, None).settle([lost], timeout=TIME))

    assert match == result.unwrap()
    assert [
        (SINCE, None, Ref("some", "main", "main"), TIME),
        (SINCE, REF, REF, TIME),
    ] == requests


def test_an_intent_needs_more_than_its_charge() -> None:
    """The vendor must be able to prepare payments, and all that the charge asks for."""
    rich = attrs.evolve(CHARGE, off_session=True)
    desk = handed(
        PaymentsFlows, lambda flows: flows.create_intent(rich, idempotency_key="k", timeout=TIME)
    )

    assert frozenset({"intent", "off_session"}) == desk.needs


class Till:
    """Knows of what the payment is, if it can look it up, and writes down what it is asked for."""

    def __init__(self, amount: Money | None, *, looks: bool = True) -> None:
        self.capabilities = frozenset({PaymentsCapability.LOOK_UP} if looks else ())
        self._payment = Payment(ref=REF, state=PaymentState.AUTHORIZED, amount=amount)
        self.asked: list[tuple[Any, ...]] = []

    async def get(self, wire: Any, ref: Ref) -> Payment:
        """Look it up."""
        self.asked.append(("get", wire, ref))
        return self._payment

    async def capture(self, wire: Any, *options: Any, **named: Any) -> None:
        """Take it."""
        self.asked.append(("capture", wire, *options, named))

    async def refund(self, wire: Any, *options: Any, **named: Any) -> None:
        """Give it back."""
        self.asked.append(("refund", wire, *options, named))


MOVES: dict[str, dict[str, Any]] = {"capture": {"final": True}, "refund": {"reason": None}}
DOLLARS = Money("10", "USD")
KNOWN = REF.with_related(currency="EUR")


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(
    "ref, amount, can_look, looks",
    [(KNOWN, DOLLARS, True, 0), (REF, MONEY, True, 1), (REF, None, True, 1), (REF, None, False, 0)],
    ids=["known", "looked up", "told by nobody", "not to be looked up"],
)
def test_an_amount_goes_in_the_currency_of_its_payment(
    move: str, ref: Ref, amount: Money | None, *, can_look: bool, looks: int
) -> None:
    """An amount must be in its payment's currency, which is looked up if unknown."""
    till = Till(amount, looks=can_look)
    desk: Any = Answered(vendor=till)
    run_now(getattr(PaymentsFlows(desk, None), move)(ref, MONEY, idempotency_key="k"))

    wire = desk.wire
    assert [
        *[("get", wire, ref)] * looks,
        (move, wire, ref, MONEY, {**MOVES[move], "key": "k"}),
    ] == till.asked
    assert frozenset() == desk.needs


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(
    "ref, amount",
    [(KNOWN, DOLLARS), (REF, DOLLARS), (KNOWN, -MONEY)],
    ids=["another currency", "another that is looked up", "less than nothing"],
)
def test_another_amount_than_its_payment_has_is_refused(move: str, ref: Ref, amount: Money) -> None:
    """Nothing moves in another currency than the payment's, nor backwards."""
    till = Till(MONEY)
    desk: Any = Answered(vendor=till)
    with pytest.raises(InvalidData) as caught:
        run_now(getattr(PaymentsFlows(desk, None), move)(ref, amount, idempotency_key="k"))

    assert "amount" == caught.value.field
    assert {"get"} >= {request[0] for request in till.asked}


@pytest.mark.parametrize("verb", ["authorize", "charge"])
def test_there_must_be_something_to_pay_with(verb: str) -> None:
    """Only an intent goes without: the buyer says later what it is paid with."""
    bare = attrs.evolve(CHARGE, source=None)
    with pytest.raises(InvalidData, match="has no source") as caught:
        handed(PaymentsFlows, lambda flows: getattr(flows, verb)(bare, idempotency_key="k"))

    assert "source" == caught.value.field
    assert "create an intent" in caught.value.remedy
    handed(
        PaymentsFlows, lambda flows: flows.create_intent(bare, idempotency_key="k", timeout=TIME)
    )


MOVING: list[Use] = [
    lambda flows: flows.create_intent(CHARGE, idempotency_key=None),
    lambda flows: flows.authorize(CHARGE, idempotency_key=None),
    lambda flows: flows.charge(CHARGE, idempotency_key=None),
    lambda flows: flows.complete(REF, idempotency_key=None),
    lambda flows: flows.capture(REF, idempotency_key=None),
    lambda flows: flows.void(REF, idempotency_key=None),
    lambda flows: flows.refund(REF, idempotency_key=None),
]


@pytest.mark.parametrize("use", MOVING)
def test_nothing_that_moves_money_goes_without_a_key(use: Use) -> None:
    """Without a key a repeat would move it again: it is refused before anybody is asked."""
    with pytest.raises(InvalidData, match="requires an idempotency key") as caught:
        handed(PaymentsFlows, use)

    assert "idempotency_key" == caught.value.field
    assert caught.value.remedy.startswith("Name the effect")


def test_where_a_charge_goes_may_depend_on_it() -> None:
    """Routes by country and by currency see those of the charge."""
    home = attrs.evolve(CHARGE, customer=Customer(country="DE"))
    desk = handed(
        PaymentsFlows, lambda flows: flows.charge(home, idempotency_key="k", timeout=TIME)
    )

    assert ("DE", MONEY.currency) == (desk.country, desk.currency)
