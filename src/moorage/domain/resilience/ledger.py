"""The ledger of a call: the effects that the call's attempts may have had at the vendor.

The ledger decides whether a request may be sent elsewhere, whether a key is free again, and whether
an error may state that nothing was done. Its laws:

1. An attempt counts as possibly processed from the moment it leaves, until a proof of the contrary.
2. Such a proof concerns the current attempt only. Possible effects of earlier attempts stay.
3. A proof is never withdrawn, and a weaker one does not replace a stronger one.
4. An attempt that has not left has done nothing, so no proof is needed.
5. The number of attempts never falls; only an attempt that leaves raises it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class AttemptEffect(enum.IntEnum):
    """The effect that the current attempt may have had at the vendor, from none to possible."""

    NOT_LEFT = 0
    """The attempt has not been sent."""
    UNSENT = 1
    """The attempt failed before any byte reached the vendor."""
    DISPROVED = 2
    """The attempt was sent, and the vendor certainly did nothing."""
    POSSIBLE = 3
    """The attempt was sent, and may have been processed."""


class Ledger(NamedTuple):
    """An immutable record of the effects that attempts may have had at the vendor.

    Attributes:
        attempts: number of attempts that left for the vendor.
        earlier: True if something before the current attempt may have been processed.
        current: the possible effect of the current attempt.
    """

    attempts: int = 0
    earlier: bool = False
    current: AttemptEffect = AttemptEffect.NOT_LEFT

    @property
    def may_have_acted(self) -> bool:
        """True if the vendor may have processed an attempt."""
        return self.earlier or self.current is AttemptEffect.POSSIBLE

    @property
    def is_unsent(self) -> bool:
        """True if the current attempt certainly never reached the vendor."""
        return self.current <= AttemptEffect.UNSENT

    def begin(self) -> Ledger:
        """Return the ledger with one more attempt, which has not been sent yet."""
        if self.current is AttemptEffect.NOT_LEFT:
            return self
        return Ledger(self.attempts, self.may_have_acted, AttemptEffect.NOT_LEFT)

    def leave(self) -> Ledger:
        """Return the ledger with the attempt marked as sent: it may now have an effect."""
        if self is BLANK:
            return _FIRST_LEDGER
        return Ledger(self.attempts + 1, self.may_have_acted, AttemptEffect.POSSIBLE)

    def record_no_effect(self, *, unsent: bool = False) -> Ledger:
        """Return the ledger with a proof that the attempt had no effect or never arrived."""
        proven_effect = AttemptEffect.UNSENT if unsent else AttemptEffect.DISPROVED
        if self.current <= proven_effect:
            return self
        return Ledger(self.attempts, self.earlier, proven_effect)

    def take_over(self) -> Ledger:
        """Return the ledger after taking over a key; its earlier request may have had an effect."""
        return Ledger(self.attempts, True, self.current)

    def join(self, ledgers: Iterable[Ledger]) -> Ledger:
        """Return the ledger of concurrent attempts, counted as one attempt.

        If any of them may have been processed, so may the joined attempt.
        """
        joined_ledger = self
        for ledger in ledgers:
            is_acted = ledger.may_have_acted and not self.earlier
            joined_ledger = Ledger(
                joined_ledger.attempts + ledger.attempts - self.attempts,
                self.earlier,
                max(
                    joined_ledger.current,
                    AttemptEffect.POSSIBLE if is_acted else ledger.current,
                ),
            )
        return joined_ledger


BLANK: Final = Ledger()
"""The ledger of a call that has made no attempt yet."""

_FIRST_LEDGER: Final = Ledger(1, False, AttemptEffect.POSSIBLE)
"""The ledger of a call whose first attempt has been sent."""
