"""The pauses between attempts to reopen a lost connection."""

from __future__ import annotations

from math import inf
from typing import Final

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import InvalidData

_LARGEST_EXPONENT: Final = 60


@with_careful_constructor
@attrs.frozen(kw_only=True)
class ReconnectPolicy:
    """The lengths of the pauses between attempts to reopen a connection.

    Each pause is drawn between half of a limit and the limit, which doubles with each failure. So
    the clients of a server that restarts do not come back at the same moment.

    Attributes:
        first: the limit of the pause after the first failure, in seconds.
        longest: the largest limit, in seconds.
        patience: the seconds after which a subscription gives up.
    """

    first: float = 0.5
    longest: float = 30.0
    patience: float = 300.0

    def __attrs_post_init__(self) -> None:
        # NaN is neither less nor more than any number.
        if not (0 <= self.first <= self.longest < inf and self.patience >= 0):
            raise InvalidData(
                "The delays of the reconnect policy are not numbers, negative, infinite, or in the"
                " wrong order.",
                field="first",
                remedy="Set 0 <= first <= longest, and a patience of 0 or more.",
            )


@attrs.frozen
class ReconnectState:
    """The number of failures to connect since the last success, and the time of the next try.

    Attributes:
        failures: the number of failures in a row.
        not_before: the time in seconds before which no attempt is made.
    """

    failures: int = 0
    not_before: float = 0.0


def pause_after(policy: ReconnectPolicy, failures: int, draw: float) -> float:
    """Return the seconds to wait after a number of consecutive failures.

    Args:
        policy: the limits of the pauses.
        failures: the number of failures, from 1.
        draw: a random number from 0 to 1.
    """
    limit = min(policy.longest, policy.first * 2.0 ** min(failures - 1, _LARGEST_EXPONENT))
    return limit * (0.5 + draw / 2)


def state_after_failure(
    state: ReconnectState, policy: ReconnectPolicy, now: float, draw: float
) -> ReconnectState:
    """Return the reconnection state after an attempt to connect has failed."""
    failures = state.failures + 1
    return ReconnectState(failures, now + pause_after(policy, failures, draw))


def wait_before(state: ReconnectState, now: float) -> float:
    """Return the seconds to wait before the next attempt to connect; 0 if it may start now."""
    return max(0.0, state.not_before - now)
