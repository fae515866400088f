"""The pause before a credential that the service keeps refusing is renewed again."""

from __future__ import annotations

from typing import Final, NamedTuple

_SECOND: Final = 10**9
_FIRST_PAUSE: Final = 5 * _SECOND
_MAX_NANOSECONDS: Final = 300 * _SECOND
_MOST_DOUBLINGS: Final = 10


class Refreshes(NamedTuple):
    """The number of renewals of a credential since the service last accepted it.

    Attributes:
        number: the number of renewals.
        due: the time from which the next is allowed, in nanoseconds of the local clock.
    """

    number: int = 0
    due: int = 0

    def count_renewal(self, now: int) -> Refreshes:
        """Return the state with one more renewal counted.

        The next renewal is allowed after 5 seconds, then 10, and so on up to 5 minutes.
        """
        pause = min(_FIRST_PAUSE << min(self.number, _MOST_DOUBLINGS), _MAX_NANOSECONDS)
        return Refreshes(self.number + 1, now + pause)
