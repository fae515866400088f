"""The waiting time before an unknown payment is looked up, and before look-ups are given up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.payments import Money, NextStep, SettledAs
from moorage.domain.idempotency.unsettled import (
    EndHolding,
    ReadEffects,
    ReadRegistration,
    RegisterOperation,
    Registration,
    ReserveLookup,
    effect_name,
)
from moorage.errors import ConnectionFailed, IdempotencyConflict, OutcomeUnknown, VendorRejected
from moorage.testing import VirtualClock
from tests.contracts.unsettled_harness import (
    KEY,
    ORDER,
    WAIT,
    DyingStore,
    KeylessStripe,
    KilledError,
    PaymentsHarness,
)

if TYPE_CHECKING:
    from moorage import Hub


def test_repeat_without_a_request_delays_no_settlement() -> None:
    """Repeating an idempotency key without a request does not delay the payment's settlement."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub, harness.hub() as other_hub:
        harness.lose(hub)
        (previous_payment,) = hub.unsettled_payments()
        harness.clock.advance(20)
        for repeating in (hub, other_hub):
            with pytest.raises(OutcomeUnknown):
                repeating.payments().charge(ORDER, idempotency_key=KEY)
        (later_payment,) = hub.unsettled_payments()
        assert previous_payment.wait - 20 == later_payment.wait
        harness.clock.advance(previous_payment.wait - 20)
        assert [SettledAs.DONE] == [payment.outcome for payment in hub.settle_payments()]


def test_repeat_with_another_amount_is_not_sent() -> None:
    """A repeat with another amount is not sent, and does not change the registered payment."""
    harness = PaymentsHarness(KeylessStripe)
    dying_store: Any = DyingStore(harness.state, "Claim", "key")
    with harness.hub() as hub:
        with pytest.raises(KilledError):
            harness.hub(state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        (previous_payment,) = hub.unsettled_payments()
        other_charge = attrs.evolve(ORDER, amount=Money("30.00", "EUR"))
        with pytest.raises(IdempotencyConflict):
            hub.payments().charge(other_charge, idempotency_key=KEY)
        assert [previous_payment] == hub.unsettled_payments()
    assert not harness.stripe.requests


def test_only_last_caller_that_registered_payment_can_end_its_waiting_time() -> None:
    """Only the last caller that registered a payment can end its waiting time."""
    store = MemoryStorage(VirtualClock())
    effect_key = ("payments", None, "k")

    def register(span: int) -> Any:
        return store.execute(
            RegisterOperation(
                *effect_key,
                fingerprint=b"x",
                operation="charge",
                accounts=("till",),
                content=b"",
                span=span,
                memory=10**12,
            )
        )

    def wait() -> int:
        (result,) = store.execute(ReadEffects([effect_name(*effect_key)]))
        return result.remaining

    assert not store.execute(EndHolding(*effect_key, number=1, held=0))
    first, second = register(100), register(300)
    assert (0, 100, 300) == (first.held, second.held, wait())
    assert not store.execute(EndHolding(*effect_key, number=first.number, held=first.held))
    assert 300 == wait()
    assert not store.execute(ReserveLookup(effect_name(*effect_key), pause=0)).ours
    assert store.execute(EndHolding(*effect_key, number=second.number, held=second.held))
    assert 100 == wait()
    assert store.execute(ReadRegistration(*effect_key, fingerprint=b"y")) == Registration(
        same=False
    )


def test_payment_is_found_although_our_clock_is_ahead() -> None:
    """A lost payment is found even if this process's clock is an hour ahead."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        earlier_clock = VirtualClock(harness.clock.utc() + timedelta(hours=1))
        with harness.hub(clock=earlier_clock) as other_hub:
            assert [SettledAs.DONE] == [payment.outcome for payment in other_hub.settle_payments()]


def _lose_request(harness: PaymentsHarness, hub: Hub) -> None:
    """Charge with a request that never arrives, and wait until the payment may be looked up."""
    harness.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
    with pytest.raises(OutcomeUnknown):
        hub.payments().charge(ORDER, idempotency_key=KEY)
    (unsettled_payment,) = hub.unsettled_payments()
    harness.clock.advance(unsettled_payment.wait)


def test_unlisted_payment_is_left_to_a_person() -> None:
    """A payment that the vendor does not list in time is left for an operator to decide."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        _lose_request(harness, hub)
        assert [] == hub.settle_payments()
        assert NextStep.LOOK_UP is hub.unsettled_payments()[0].next
        harness.clock.advance(KeylessStripe.listed_within - 1e-3)
        assert [] == hub.settle_payments()
        assert NextStep.LOOK_UP is hub.unsettled_payments()[0].next
        harness.clock.advance(KeylessStripe.listed_within)
        assert NextStep.LOOK_UP is hub.unsettled_payments()[0].next
        assert [] == hub.settle_payments()
        assert NextStep.PERSON is hub.unsettled_payments()[0].next
        assert 0 == len(harness.stripe.charges)

        hub.payments().charge(ORDER, idempotency_key="by another way")
        harness.clock.advance(KeylessStripe.listed_within)
        assert [SettledAs.DONE] == [payment.outcome for payment in hub.settle_payments()]
        assert [] == hub.unsettled_payments()


def test_listing_time_uses_the_stores_clock() -> None:
    """A clock that is hours ahead does not shorten the time until a look-up is given up."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        _lose_request(harness, hub)
        earlier_clock = VirtualClock(harness.clock.utc() + timedelta(hours=9))
        with harness.hub(clock=earlier_clock) as other_hub:
            assert [] == other_hub.settle_payments()
            assert NextStep.LOOK_UP is other_hub.unsettled_payments()[0].next


def test_repeat_restarts_the_listing_time() -> None:
    """If a request is repeated during a look-up, the vendor's listing time starts again."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        harness.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(WAIT)
        harness.stripe.fail(OutcomeUnknown("No answer."))
        assert [] == hub.settle_payments()
        (unsettled_payment,) = hub.unsettled_payments()
        assert NextStep.WAIT is unsettled_payment.next


@pytest.mark.parametrize("final", [True, False])
def test_refused_list_is_left_to_a_person(*, final: bool) -> None:
    """After a refused list of payments an operator must decide; an outage is retried."""
    harness = PaymentsHarness(KeylessStripe)
    error = (
        VendorRejected("This key may not list payments.")
        if final
        else ConnectionFailed("Down for maintenance.")
    )
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT + KeylessStripe.listed_within)
        harness.stripe.fail(error)
        assert [] == hub.settle_payments()
        expected = NextStep.PERSON if final else NextStep.LOOK_UP
        assert expected is hub.unsettled_payments()[0].next
