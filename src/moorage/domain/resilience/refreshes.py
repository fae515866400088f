"""The delay between renewals of a credential that did not help."""

from __future__ import annotations

from typing import Final, NamedTuple

_SECOND: Final = 10**9
_FIRST: Final = 5 * _SECOND
_LONGEST: Final = 300 * _SECOND
_MOST_DOUBLINGS: Final = 10


class Refreshes(NamedTuple):
    """Renewals of one credential since it was last accepted.

    Attributes:
        number: the number of renewals.
        due: the time from which the next is allowed, in nanoseconds of the local clock.
    """

    number: int = 0
    due: int = 0

    def again(self, now: int) -> Refreshes:
        """The state after a renewal: the next is allowed in 5 seconds, then 10, up to 5 minutes."""
        pause = min(_FIRST << min(self.number, _MOST_DOUBLINGS), _LONGEST)
        return Refreshes(self.number + 1, now + pause)
