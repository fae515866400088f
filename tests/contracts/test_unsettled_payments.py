"""Payments with an unknown outcome are listed, and settled by a request to the vendor."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from moorage import AsyncHub, Hub, RetryPolicy
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.payments import NextStep, SettledAs, Unsettled
from moorage.contracts.routes import Account, Route
from moorage.domain.idempotency.unsettled import ReserveLookup
from moorage.errors import (
    ConnectionFailed,
    InvalidData,
    OutcomeUnknown,
    PaymentDeclined,
    StorageUnavailable,
)
from moorage.testing import VirtualSleeper
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, Lost, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import Stripe
from tests.contracts.unsettled_harness import (
    KEY,
    ORDER,
    WAIT,
    DyingStore,
    KeylessStripe,
    KilledError,
    PaymentsHarness,
    UnlistedStripe,
    UnrepeatedStripe,
)

HOUR = 3_600.0


@pytest.fixture(params=[Stripe, KeylessStripe, UnlistedStripe])
def payments_harness(request: pytest.FixtureRequest) -> PaymentsHarness:
    """Yield a harness for each way in which a vendor's payments can be looked up."""
    return PaymentsHarness(request.param)


NEXT_STEPS = {
    Stripe: NextStep.ASK_AGAIN,
    KeylessStripe: NextStep.LOOK_UP,
    UnlistedStripe: NextStep.PERSON,
}


def test_lost_payment_is_listed_in_every_process(payments_harness: PaymentsHarness) -> None:
    """Every process lists unsettled payments with their request, time, and way to settle them."""
    with payments_harness.hub() as hub, payments_harness.hub() as other_hub:
        hub.payments().charge(ORDER, idempotency_key="fine")
        assert [] == other_hub.unsettled_payments()
        payments_harness.lose(hub)
        (unsettled_payment,) = other_hub.unsettled_payments()
        payments_harness.clock.advance(WAIT)
        (later_payment,) = other_hub.unsettled_payments()

        assert (KEY, "charge", ("till",)) == (
            unsettled_payment.idempotency_key,
            unsettled_payment.operation,
            unsettled_payment.accounts,
        )
        assert (ORDER.amount, "INV-7", None) == (
            unsettled_payment.amount,
            unsettled_payment.reference,
            unsettled_payment.payment,
        )
        assert NextStep.WAIT is unsettled_payment.next
        assert 30 < unsettled_payment.wait < WAIT
        assert NEXT_STEPS[payments_harness.kind] is later_payment.next
        assert unsettled_payment.since == later_payment.since


def test_settlement_job_waits_for_running_callers(payments_harness: PaymentsHarness) -> None:
    """The settlement job waits for running callers, then looks up the payment and settles it."""
    with payments_harness.hub() as hub, payments_harness.hub() as worker:
        payments_harness.lose(hub)
        assert [] == worker.settle_payments()
        payments_harness.clock.advance(WAIT)
        settled_payments = worker.settle_payments()

        if payments_harness.kind is UnlistedStripe:
            assert [] == settled_payments
            assert 1 == len(worker.unsettled_payments())
            return
        ((settlement),) = settled_payments
        assert SettledAs.DONE is settlement.outcome
        assert KEY == settlement.payment.idempotency_key
        assert "captured" == settlement.receipt.state
        assert [] == worker.unsettled_payments()
        assert [] == worker.settle_payments()
        repeated_payment = hub.payments().charge(ORDER, idempotency_key=KEY)
        assert repeated_payment.replayed
        assert "captured" == repeated_payment.state
        assert 1 == len(payments_harness.stripe.charges)


@pytest.mark.parametrize(
    "dies_at, outcome, charges",
    [
        (("Claim", "place"), SettledAs.NOT_DONE, 0),
        (("Claim", "key"), SettledAs.NOT_DONE, 0),
        (("Settle", "key"), SettledAs.DONE, 1),
        (("UnregisterOperation", "unsettled"), SettledAs.DONE, 1),
    ],
)
def test_payment_of_a_dead_process_is_settled(
    dies_at: tuple[str, str], outcome: SettledAs, charges: int
) -> None:
    """If a process dies while charging, the payment is settled and charged at most once."""
    harness = PaymentsHarness()
    dying_store: Any = DyingStore(harness.state, *dies_at)
    with harness.hub() as worker:
        with pytest.raises(KilledError):
            harness.hub(state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        assert [KEY] == [payment.idempotency_key for payment in worker.unsettled_payments()]
        harness.clock.advance(WAIT)
        (settlement,) = worker.settle_payments()

        assert outcome is settlement.outcome
        assert charges == len(harness.stripe.charges)
        assert [] == worker.unsettled_payments()
        assert (charges == 1) is worker.payments().charge(ORDER, idempotency_key=KEY).replayed
        assert 1 == len(harness.stripe.charges)


def test_lost_payment_that_the_vendor_declined_is_settled_as_refused() -> None:
    """If a look-up finds a declined payment, the job and a repeated charge report the decline."""
    declined_order = attrs.evolve(ORDER, source="pm_card_chargeDeclined")
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub, declined_order)
        harness.clock.advance(WAIT)
        (settlement,) = hub.settle_payments()

        assert (SettledAs.REFUSED, None) == (settlement.outcome, settlement.receipt)
        assert isinstance(settlement.error, PaymentDeclined)
        assert [] == hub.unsettled_payments()
        with pytest.raises(PaymentDeclined) as repeated:
            hub.payments().charge(declined_order, idempotency_key=KEY)
        assert repeated.value.replayed
        assert 1 == len(harness.stripe.intents)


def test_look_up_raises_the_decline_of_a_lost_payment() -> None:
    """A look-up that finds a declined payment raises the decline, and does not return it."""
    declined_order = attrs.evolve(ORDER, source="pm_card_chargeDeclined")
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub, declined_order)
        (unsettled_payment,) = hub.unsettled_payments()
        lost_payment = Unsettled(
            charge=declined_order, idempotency_key=KEY, since=unsettled_payment.since
        )
        (result,) = hub.payments().settle([lost_payment])

        assert isinstance(result.error, PaymentDeclined)
        assert [] == hub.unsettled_payments()


def test_lost_answer_names_the_settlement_job() -> None:
    """The error of a payment that may have been made states how to find its outcome."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        harness.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed) as lost:
            hub.payments().charge(ORDER, idempotency_key=KEY)
        harness.stripe.fail(ConnectionFailed("gone", may_have_been_processed=False))
        with pytest.raises(ConnectionFailed) as unsent:
            hub.payments().charge(ORDER, idempotency_key="other")

    assert "hub.settle_payments()" in str(lost.value)
    assert "hub.unsettled_payments()" in str(lost.value)
    assert "settle_payments" not in str(unsent.value)


def test_request_that_never_arrived_is_made_once_by_the_job() -> None:
    """If the vendor honours idempotency keys, the settlement job repeats a lost request once."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        harness.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(WAIT)
        harness.stripe.fail(Lost())
        assert [] == hub.settle_payments()
        assert [] == hub.settle_payments()
        harness.clock.advance(WAIT)
        (settlement,) = hub.settle_payments()

        assert SettledAs.DONE is settlement.outcome
        assert 1 == len(harness.stripe.charges)


def test_declined_payment_is_settled_as_refused() -> None:
    """A lost payment that the vendor declined is settled as declined, also for repeats."""
    harness = PaymentsHarness()
    declined_charge = attrs.evolve(ORDER, source="pm_card_chargeDeclined")
    with harness.hub() as hub:
        harness.lose(hub, declined_charge)
        harness.clock.advance(WAIT)
        (settlement,) = hub.settle_payments()

        assert SettledAs.REFUSED is settlement.outcome
        assert isinstance(settlement.error, PaymentDeclined)
        assert [] == hub.unsettled_payments()
        with pytest.raises(PaymentDeclined):
            hub.payments().charge(declined_charge, idempotency_key=KEY)
        assert [] == hub.unsettled_payments()


def test_each_step_on_a_payment_is_listed_and_settled() -> None:
    """Captures, refunds and voids whose response is lost are looked up and settled like charges."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        payments = hub.payments()
        authorization = payments.authorize(ORDER, idempotency_key="a")
        other_payment = payments.authorize(ORDER, idempotency_key="b")
        steps: list[Any] = [
            ("capture", lambda: payments.capture(authorization.ref, idempotency_key="c")),
            (
                "refund",
                lambda: payments.refund(authorization.ref, ORDER.amount, idempotency_key="r"),
            ),
            ("void", lambda: payments.void(other_payment.ref, idempotency_key="v")),
        ]
        for name, step in steps:
            harness.stripe.fail(Lost())
            with pytest.raises(ConnectionFailed):
                step()
            (unsettled_payment,) = hub.unsettled_payments()
            assert name == unsettled_payment.operation
            assert unsettled_payment.payment in {authorization.ref, other_payment.ref}
            harness.clock.advance(WAIT)
            (settlement,) = hub.settle_payments()
            assert SettledAs.DONE is settlement.outcome
            assert step().replayed
        assert 1 == len(harness.stripe.refunds)


def test_settle_needs_no_since_and_settles_the_key() -> None:
    """A payment and its key can be settled without the time of the first request."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        (result,) = hub.payments().settle([Unsettled(charge=ORDER, idempotency_key=KEY)])
        repeated_payment = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert "captured" == result.unwrap().state
        assert (result.unwrap().ref.id, True) == (
            repeated_payment.ref.id,
            repeated_payment.replayed,
        )
        assert [] == hub.unsettled_payments()


def test_payment_that_is_still_unknown_when_its_key_expires_is_not_charged_again() -> None:
    """A payment that is still unknown when its key expires is not charged again."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        harness.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(3 * 86_400)
        with pytest.raises(OutcomeUnknown, match="key is no longer stored"):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        assert NextStep.LOOK_UP is hub.unsettled_payments()[0].next
        assert [] == hub.settle_payments()
        assert 0 == len(harness.stripe.charges)
        hub.close_payment(KEY, done=False)
        hub.payments().charge(ORDER, idempotency_key=KEY)
        assert 1 == len(harness.stripe.charges)


def test_operation_that_is_looked_up_is_never_sent_twice() -> None:
    """If a vendor allows no automatic repeat, an operation of unknown outcome is not sent again."""
    harness = PaymentsHarness(UnrepeatedStripe, retry=RetryPolicy(max_attempts=3))
    with harness.hub() as hub:
        harness.lose(hub)
        count = len(harness.stripe.requests)
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        assert count == len(harness.stripe.requests) == 1


def test_unsettled_payments_are_listed_in_order_up_to_a_limit() -> None:
    """Unsettled payments are listed oldest first, up to the requested number."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        for number in range(3):
            harness.lose(hub, attrs.evolve(ORDER, reference=f"INV-{number}"), f"k{number}")
            harness.clock.advance(1)
        harness.clock.advance(WAIT)
        assert ["k0"] == [
            payment.payment.idempotency_key for payment in hub.settle_payments(limit=1)
        ]
        assert ["k1", "k2"] == [
            payment.payment.idempotency_key for payment in hub.settle_payments()
        ]


def test_asynchronous_hub_settles_payments() -> None:
    """An asynchronous hub also lists, settles and closes payments."""
    asyncio.run(_settle_later())


async def _settle_later() -> None:
    stripe = StripeSandbox()
    account = Account("till", Stripe(credentials=stripe.api_key), settings={"volatile_keys": True})
    async with AsyncHub([account], http=AsyncSandboxHttpClient(stripe)) as hub:
        stripe.fail(Lost(), Lost(), Lost())
        with pytest.raises(ConnectionFailed):
            await hub.payments().charge(ORDER, idempotency_key=KEY, timeout=30)
        (unsettled_payment,) = await hub.unsettled_payments()
        assert [] == await hub.settle_payments()
        closed_payment = await hub.close_payment(KEY, done=True)
        assert unsettled_payment.idempotency_key == closed_payment.idempotency_key
        assert (await hub.payments().charge(ORDER, idempotency_key=KEY)).replayed


def test_unsettled_payments_of_removed_account_are_left_to_operator() -> None:
    """Unsettled payments of a removed account are left to an operator."""
    harness = PaymentsHarness()
    with harness.hub() as hub, Hub([], state=harness.state, clock=harness.clock) as bare_hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        (unsettled_payment,) = bare_hub.unsettled_payments()
        assert NextStep.PERSON is unsettled_payment.next
        assert [] == bare_hub.settle_payments()
        with pytest.raises(InvalidData, match="The account at which this charge"):
            bare_hub.close_payment(KEY, done=True, receipt="pi_1")
        bare_hub.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()


@pytest.mark.parametrize("kind", [KeylessStripe, UnlistedStripe])
def test_repeat_after_a_change_of_route_keeps_the_account_of_the_lost_request(
    kind: type[Stripe],
) -> None:
    """If charges now go to another account, a repeat does not hide the account that may have acted.

    Otherwise the payment would be looked up in vain at the vendor of the new account.
    """
    harness = PaymentsHarness(kind)
    with harness.hub() as hub:
        harness.lose(hub)
    accounts = [
        Account(name, kind(credentials=harness.stripe.api_key), settings=harness.settings)
        for name in ("new", "till")
    ]
    with Hub(
        accounts,
        routes=[Route("payments", "new")],
        http=SandboxHttpClient(harness.stripe),
        state=harness.state,
        clock=harness.clock,
        sleeper=VirtualSleeper(harness.clock),
    ) as later_hub:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                later_hub.payments().charge(ORDER, idempotency_key=KEY)
        (unsettled_payment,) = later_hub.unsettled_payments()

    assert ("till", "new") == unsettled_payment.accounts
    assert 1 == len(harness.stripe.charges)


class ContestedStore:
    """A store in which another worker always claims an unsettled payment first."""

    def __init__(self, state: MemoryStorage) -> None:
        self._state = state
        self.post = state.post

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute the command of another worker, and then this one."""
        if isinstance(command, ReserveLookup):
            self._state.execute(command, timeout)
        return self._state.execute(command, timeout)


def test_payment_of_another_worker_is_skipped() -> None:
    """If two workers start at the same moment, only one of the two looks up the payment."""
    harness = PaymentsHarness()
    slower_store: Any = ContestedStore(harness.state)
    with harness.hub() as hub, harness.hub(state=slower_store) as worker:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        count = len(harness.stripe.requests)
        assert [] == worker.settle_payments()
        assert count == len(harness.stripe.requests)


def test_unstorable_options_leave_the_payment_to_a_person() -> None:
    """A payment whose options cannot be stored cannot be repeated, so an operator must decide."""
    harness = PaymentsHarness()
    charge = attrs.evolve(ORDER, extra={"other": {"a": object()}})
    with harness.hub() as hub:
        harness.lose(hub, charge)
        harness.clock.advance(WAIT)
        (unsettled_payment,) = hub.unsettled_payments()
        assert (NextStep.PERSON, None) == (unsettled_payment.next, unsettled_payment.reference)
        assert [] == hub.settle_payments()


def test_tenant_that_cannot_be_looked_up_is_left_to_a_person() -> None:
    """While a tenant's accounts are unavailable, its payments are listed but not settled."""
    harness = PaymentsHarness()
    with harness.hub() as hub, harness.hub() as other_hub:
        harness.stripe.fail(Lost())
        with pytest.raises(ConnectionFailed):
            hub.payments("acme").charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(WAIT)

        class UnavailableDirectory:
            """A directory of tenant configurations that cannot be reached."""

            def version(self, *_: object) -> Any:
                """Raise an error, because the directory is unavailable."""
                raise StorageUnavailable("The tenants are away.")

            tables = version

        other_hub.look_up_tenants(UnavailableDirectory(), lambda *_: ([], []))
        (unsettled_payment,) = other_hub.unsettled_payments()
        assert NextStep.PERSON is unsettled_payment.next
        assert [] == other_hub.settle_payments()


def test_lost_payment_is_listed_and_settled_with_a_separate_store_of_keys() -> None:
    """A lost payment is also found if the idempotency keys have a store of their own."""
    harness = PaymentsHarness(KeylessStripe)
    keys = MemoryStorage(harness.clock)
    with harness.hub(claims=keys) as hub:
        harness.lose(hub)

    with harness.hub(claims=keys) as worker:
        (lost_payment,) = worker.unsettled_payments()
        harness.clock.advance(2 * HOUR)
        (settled_payment,) = worker.settle_payments()
        assert [] == worker.unsettled_payments()

    assert (KEY, SettledAs.DONE) == (lost_payment.idempotency_key, settled_payment.outcome)


class ClaimsOnlyStorage(MemoryStorage):
    """A store that executes only commands on a single key, such as a bucket of NATS."""

    claims_only = True

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command on one key, and refuse all others."""
        assert 1 == len(command.keys)
        return super().execute(command, timeout)


def test_lost_payment_is_in_the_state_store_if_the_other_holds_only_claims() -> None:
    """If the store of keys holds only claims, lost payments are listed in the state store."""
    harness = PaymentsHarness(KeylessStripe)
    keys = ClaimsOnlyStorage(harness.clock)
    with harness.hub(claims=keys) as hub:
        harness.lose(hub)

    with harness.hub(claims=keys) as worker:
        harness.clock.advance(2 * HOUR)
        (settled_payment,) = worker.settle_payments()

    assert SettledAs.DONE is settled_payment.outcome
