"""The ledger of a call: what its attempts may have done at the vendor.

It decides whether a request may be sent elsewhere, whether a key is free again, and whether an
error says that nothing was done. Its laws:

1. An attempt may have been processed from the moment it leaves until something disproves it.
2. A disproof concerns the current attempt only. What an earlier attempt may have done stays.
3. A disproof is never withdrawn, and a weaker one does not replace a stronger one.
4. An attempt that has not left has done nothing, and there is nothing to disprove.
5. The number of attempts never falls; only an attempt that leaves raises it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class AttemptEffect(enum.IntEnum):
    """The strongest effect that the current attempt may have had, from none to any."""

    NOT_LEFT = 0
    """It has not left."""
    UNSENT = 1
    """It left, and certainly no byte of it reached the vendor."""
    DISPROVED = 2
    """It left, and the vendor certainly did nothing."""
    POSSIBLE = 3
    """It left, and may have been processed."""


class Ledger(NamedTuple):
    """An immutable record of what may have happened; each transition returns a new one.

    Attributes:
        attempts: number of attempts that left for the vendor.
        earlier: True if something before the current attempt may have been processed.
        current: the possible effect of the current attempt.
    """

    attempts: int = 0
    earlier: bool = False
    current: AttemptEffect = AttemptEffect.NOT_LEFT

    @property
    def acted(self) -> bool:
        """True if some attempt may have been processed, and nothing disproves it."""
        return self.earlier or self.current is AttemptEffect.POSSIBLE

    @property
    def unsent(self) -> bool:
        """True if the current attempt certainly never reached the vendor."""
        return self.current <= AttemptEffect.UNSENT

    def begin(self) -> Ledger:
        """Begin another attempt, which has not left."""
        if self.current is AttemptEffect.NOT_LEFT:
            return self
        return Ledger(self.attempts, self.acted, AttemptEffect.NOT_LEFT)

    def leave(self) -> Ledger:
        """Note that an attempt is sent, so that it may be processed from now on."""
        if self is BLANK:
            return _FIRST
        return Ledger(self.attempts + 1, self.acted, AttemptEffect.POSSIBLE)

    def disprove(self, *, unsent: bool = False) -> Ledger:
        """Note a proof that the vendor did nothing, or that nothing reached it (`unsent`)."""
        proven = AttemptEffect.UNSENT if unsent else AttemptEffect.DISPROVED
        if self.current <= proven:
            return self
        return Ledger(self.attempts, self.earlier, proven)

    def take_over(self) -> Ledger:
        """Continue for another caller whose attempt may have been processed."""
        return Ledger(self.attempts, True, self.current)

    def join(self, racers: Iterable[Ledger]) -> Ledger:
        """Join concurrent attempts, each of which began with this ledger, as one attempt.

        The result is as unproven as the least proven of them.
        """
        joined_ledger = self
        for racer in racers:
            is_acted = racer.acted and not self.earlier
            joined_ledger = Ledger(
                joined_ledger.attempts + racer.attempts - self.attempts,
                self.earlier,
                max(
                    joined_ledger.current,
                    AttemptEffect.POSSIBLE if is_acted else racer.current,
                ),
            )
        return joined_ledger


BLANK: Final = Ledger()
"""The ledger of a call that has done nothing yet."""

_FIRST: Final = Ledger(1, False, AttemptEffect.POSSIBLE)
"""The ledger of most calls: of one whose first attempt has left."""
