"""The register of operations with an unknown outcome, and look-ups at the vendor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.idempotency.unsettled import (
    KEPT,
    LatestLookup,
    LookupReservation,
    ReadEffects,
    ReadRegistration,
    RecordLookup,
    RegisterOperation,
    Registration,
    ReserveLookup,
    UnregisterOperation,
    effect_name,
    is_absent,
)
from moorage.testing import VirtualClock

SUBJECT = ("payments", None, "k")
NAME = effect_name(*SUBJECT)
SPAN, LISTED = 1_000_000, 5_000_000


@pytest.mark.parametrize(
    "last_empty_look_up, absent",
    [
        (None, False),
        (-1, False),
        (0, False),
        (LISTED - 1, False),
        (LISTED, True),
        (LISTED + 1, True),
    ],
)
def test_payment_is_proven_missing_only_by_look_up_after_vendor_listing_time(
    last_empty_look_up: int | None, *, absent: bool
) -> None:
    """Only a look-up after the vendor's listing delay proves that a payment is missing."""
    assert absent is is_absent(last_empty_look_up, LISTED)


class Effects:
    """A register of operations with an unknown outcome, and a clock that tests set."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self._store = MemoryStorage(self.clock)

    def register(self) -> None:
        """Register an operation whose outcome is not known."""
        self.execute(
            RegisterOperation(
                *SUBJECT,
                fingerprint=b"x",
                operation="charge",
                accounts=("till",),
                content=b"",
                span=SPAN,
                memory=10**12,
            )
        )

    def reserve_look_up(self) -> LookupReservation:
        """Reserve the operation for a look-up at the vendor."""
        reservation: LookupReservation = self.execute(ReserveLookup(NAME, pause=0))
        return reservation

    def execute(self, command: Any) -> Any:
        """Run a command on the register of operations."""
        return self._store.execute(command)

    @property
    def last_empty_look_up(self) -> int | None:
        """Return the time of the last lookup that found nothing."""
        (effect,) = self.execute(ReadEffects([NAME]))
        last_empty_look_up: int | None = (
            None if effect.last_question is None else effect.last_question.searched
        )
        return last_empty_look_up

    def find_nothing(self, reserved: LookupReservation) -> bool:
        """Record that a lookup at the vendor found nothing."""
        return bool(self.execute(RecordLookup(NAME, reserved, result="not_listed", absent=True)))


def test_idle_time_ends_when_the_look_up_begins() -> None:
    """An operation counts as idle until its look-up begins."""
    effects = Effects()
    effects.register()
    effects.clock.advance(1)
    first = effects.reserve_look_up()
    assert LookupReservation(ours=True, number=first.number, idle=0) == first
    effects.clock.advance(3)
    later_reservation = effects.reserve_look_up()
    effects.clock.advance(100)
    assert effects.last_empty_look_up is None
    assert effects.find_nothing(later_reservation)
    assert 3_000_000 == effects.last_empty_look_up
    assert effects.find_nothing(first)
    assert 3_000_000 == effects.last_empty_look_up


def test_registering_again_discards_look_ups() -> None:
    """Registering an operation again discards the results of earlier look-ups."""
    effects = Effects()
    effects.register()
    effects.clock.advance(9)
    first_reservation = effects.reserve_look_up()
    assert effects.find_nothing(first_reservation)
    effects.register()
    assert effects.last_empty_look_up is None
    assert effects.find_nothing(first_reservation)
    assert effects.last_empty_look_up is None


def test_look_up_of_a_settled_operation_records_nothing() -> None:
    """A look-up records nothing for an operation that was settled during the look-up."""
    effects = Effects()
    assert not effects.find_nothing(LookupReservation(ours=True, number=1))
    assert LookupReservation(ours=False) == effects.reserve_look_up()


def test_unsettled_operation_is_removed_after_a_year() -> None:
    """An operation whose outcome is never settled is removed from the register after a year."""
    effects = Effects()
    recall = ReadRegistration(*SUBJECT, fingerprint=b"x")
    assert Registration() == effects.execute(recall)
    effects.register()
    effects.clock.advance(KEPT / 1e6 - 1)
    assert effects.execute(recall).number
    effects.clock.advance(1)
    assert Registration() == effects.execute(recall)


def test_earlier_holder_removes_operation_only_if_its_outcome_is_certain() -> None:
    """An operation's former holder may remove it only if its outcome is certain."""
    effects = Effects()
    effects.register()
    first = effects.reserve_look_up().number
    effects.register()
    assert not effects.execute(UnregisterOperation(*SUBJECT, number=first, is_certain=False))
    assert effects.execute(UnregisterOperation(*SUBJECT, number=first, is_certain=True))
    assert not effects.execute(UnregisterOperation(*SUBJECT, number=first, is_certain=True))


def test_look_ups_are_counted_and_latest_result_is_recorded() -> None:
    """The register records time and result of the last look-up, and the number of look-ups."""
    effects = Effects()
    effects.register()
    effects.clock.advance(9)
    reservation = effects.reserve_look_up()
    assert effects.find_nothing(reservation)
    effects.clock.advance(2)
    late_lookup = RecordLookup(NAME, reservation, result="no_answer", error="CircuitOpen")
    assert effects.execute(late_lookup)
    effects.clock.advance(3)

    (effect,) = effects.execute(ReadEffects([NAME]))
    assert LatestLookup(3_000_000, 2, "no_answer", "CircuitOpen", 8_000_000) == effect.last_question


def test_age_of_last_look_up_after_clock_step_back() -> None:
    """If the clock was set back, the age of the last look-up grows again from then on."""
    effects = Effects()
    effects.register()
    effects.clock.advance(9)
    assert effects.find_nothing(effects.reserve_look_up())
    effects.clock.step_utc(timedelta(hours=-1))
    effects.reserve_look_up()
    effects.clock.advance(3)

    (effect,) = effects.execute(ReadEffects([NAME]))
    assert 3_000_000 == effect.last_question.ago
