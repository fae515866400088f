"""How long a credential is not renewed again after a renewal that was of no use."""

from __future__ import annotations

from typing import Final, NamedTuple

_SECOND: Final = 10**9
_FIRST: Final = 5 * _SECOND
_LONGEST: Final = 300 * _SECOND
_MOST_DOUBLINGS: Final = 10


class Refreshes(NamedTuple):
    """Renewals of one credential since it was last accepted.

    Attributes:
        number: of renewals.
        due: when the next may be, in nanoseconds of the local clock.
    """

    number: int = 0
    due: int = 0

    def again(self, now: int) -> Refreshes:
        """One renewal more: the next may be 5 seconds later, then 10, up to 5 minutes."""
        pause = min(_FIRST << min(self.number, _MOST_DOUBLINGS), _LONGEST)
        return Refreshes(self.number + 1, now + pause)
