"""The conclusions from looking up an effect with an unknown outcome."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.idempotency.unsettled import (
    KEPT,
    Attend,
    NotFound,
    ReadEffects,
    Recall,
    Register,
    Registered,
    Reserved,
    Strike,
    effect_name,
    is_absent,
)
from moorage.testing import VirtualClock

SUBJECT = ("payments", None, "k")
NAME = effect_name(*SUBJECT)
SPAN, LISTED = 1_000_000, 5_000_000


@pytest.mark.parametrize(
    "searched, absent",
    [
        (None, False),
        (-1, False),
        (0, False),
        (LISTED - 1, False),
        (LISTED, True),
        (LISTED + 1, True),
    ],
)
def test_nothing_found_proves_something_after_the_time_to_be_listed(
    searched: int | None, *, absent: bool
) -> None:
    """A missing payment is proven only by a look-up after the vendor's listing time."""
    assert absent is is_absent(searched, LISTED)


class Effects:
    """A register of unsettled operations, and the store's clock."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self._store = MemoryStorage(self.clock)

    def register(self) -> None:
        """Register an operation whose outcome is not known."""
        self.execute(Register(*SUBJECT, fingerprint=b"x", what=(), span=SPAN, memory=10**12))

    def attend(self) -> Reserved:
        """Reserve the operation for a look-up."""
        reservation: Reserved = self.execute(Attend(NAME, pause=0))
        return reservation

    def execute(self, command: Any) -> Any:
        """Run a command on the register."""
        return self._store.execute(command)

    @property
    def searched(self) -> int | None:
        """The time that a look-up without a result has recorded."""
        (effect,) = self.execute(ReadEffects([NAME]))
        searched: int | None = effect.searched
        return searched


def test_idle_time_ends_when_the_look_up_begins() -> None:
    """The idle time ends when the look-up begins; its own duration does not count."""
    effects = Effects()
    effects.register()
    effects.clock.advance(1)
    first = effects.attend()
    assert Reserved(ours=True, number=first.number, idle=0) == first
    effects.clock.advance(3)
    later_reservation = effects.attend()
    effects.clock.advance(100)
    assert effects.searched is None
    assert effects.execute(NotFound(NAME, later_reservation))
    assert 3_000_000 == effects.searched
    assert effects.execute(NotFound(NAME, first))
    assert 3_000_000 == effects.searched


def test_registering_again_discards_look_ups() -> None:
    """Registering the effect again discards the results of earlier look-ups."""
    effects = Effects()
    effects.register()
    effects.clock.advance(9)
    first_reservation = effects.attend()
    assert effects.execute(NotFound(NAME, first_reservation))
    effects.register()
    assert effects.searched is None
    assert not effects.execute(NotFound(NAME, first_reservation))
    assert effects.searched is None


def test_nothing_is_recorded_of_an_effect_that_is_not_open() -> None:
    """An effect that was settled meanwhile stays so."""
    effects = Effects()
    assert not effects.execute(NotFound(NAME, Reserved(ours=True, number=1)))
    assert Reserved(ours=False) == effects.attend()


def test_effect_is_forgotten_when_its_time_is_over() -> None:
    """An effect that nobody settles is kept for a year, and is unknown before and after."""
    effects = Effects()
    recall = Recall(*SUBJECT, fingerprint=b"x")
    assert Registered() == effects.execute(recall)
    effects.register()
    effects.clock.advance(KEPT / 1e6 - 1)
    assert effects.execute(recall).number
    effects.clock.advance(1)
    assert Registered() == effects.execute(recall)


def test_effect_is_removed_by_its_last_holder_only() -> None:
    """An earlier holder removes an effect only if its outcome is certain, and nobody twice."""
    effects = Effects()
    effects.register()
    first = effects.attend().number
    effects.register()
    assert not effects.execute(Strike(*SUBJECT, number=first, certain=False))
    assert effects.execute(Strike(*SUBJECT, number=first, certain=True))
    assert not effects.execute(Strike(*SUBJECT, number=first, certain=True))
