"""An adaptive limit on concurrent calls, which shrinks while a service is overloaded.

Laws:

1. A sign of overload multiplies the limit by the same share. Attempts that began before the limit
   last shrank do not shrink it again, because they ran under the larger limit.
2. The limit grows evenly with time until it is the largest again. So only a sign of overload
   changes the state, and successes cost nothing.
3. The limit is never below the smallest number, and never above the largest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.values.durations import (
    if_given,
    is_count,
    is_seconds,
    plain_seconds,
    share,
)
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.errors import (
    ConfigurationError,
    ConnectionFailed,
    DestinationRefused,
    HostKeyRefused,
    LocalFailure,
    RateLimitExceeded,
    TransactionConflict,
    VendorFailed,
)

if TYPE_CHECKING:
    import attrs

_SECOND: Final = 10**9
_OVERLOAD_STATUSES: Final = frozenset({503, 504, 529})
_NO_OVERLOAD: Final = (DestinationRefused, HostKeyRefused, LocalFailure, TransactionConflict)


def _is_part(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    share(value, attribute.name)
    if not 0 < value < 1:
        raise ConfigurationError(
            "The remaining share of the limit must be more than 0 and less than 1.",
            path=attribute.name,
            remedy="Set a share such as 0.7.",
        )


@frozen(kw_only=True)
class AdaptiveLimit:
    """The rule by which a bulkhead admits fewer calls while its service is overloaded.

    Signs of overload are timeouts, failed connections, the statuses 429, 503, 504 and 529, and
    attempts that are slower than `slow_call`.

    Attributes:
        min_concurrent: the smallest number of concurrent calls.
        shrink_to: the share of the concurrent calls that remains after a sign of overload.
        recovery: the number of seconds in which the limit grows from the smallest to the largest
            number.
        slow_call: the number of seconds after which an attempt is a sign of overload; by default
            slow attempts are not.
    """

    min_concurrent: int = field(default=1, validator=is_count)
    shrink_to: float = field(default=0.7, validator=_is_part)
    recovery: float = field(default=60.0, converter=plain_seconds, validator=is_seconds)
    slow_call: float | None = field(
        default=None, converter=optional(plain_seconds), validator=if_given(is_seconds)
    )


class Reduction(NamedTuple):
    """The limit after its latest shrinking, and the time of that in nanoseconds."""

    limit: float
    at: int


def limit_at(rule: AdaptiveLimit, largest: int, reduction: Reduction | None, now: int) -> int:
    """Return how many calls may be in progress at a time.

    Args:
        rule: the rule of the limit.
        largest: the limit without overload.
        reduction: the latest shrinking of the limit, if there was one.
        now: the time in nanoseconds.
    """
    if reduction is None:
        return largest
    smallest = min(rule.min_concurrent, largest)
    seconds = max(0, now - reduction.at) / _SECOND
    grown_limit = reduction.limit + (largest - smallest) * seconds / rule.recovery
    return int(min(max(grown_limit, smallest), largest))


def shrink(
    rule: AdaptiveLimit,
    largest: int,
    reduction: Reduction | None,
    *,
    running: int,
    start_time: int,
    now: int,
) -> Reduction | None:
    """Return the shrunk limit after a sign of overload; None if the limit stays as it is.

    Args:
        rule: the rule of the limit.
        largest: the limit without overload.
        reduction: the latest shrinking of the limit, if there was one.
        running: the number of attempts in progress, with the overloaded one.
        start_time: the time at which the overloaded attempt began, in nanoseconds.
        now: the present time in nanoseconds.
    """
    if reduction is not None and start_time < reduction.at:
        return None
    smallest = min(rule.min_concurrent, largest)
    # If fewer calls are running than allowed, their number was already too large.
    limit = min(limit_at(rule, largest, reduction, now), running)
    return Reduction(max(limit * rule.shrink_to, float(smallest)), now)


def is_overload(
    rule: AdaptiveLimit, error: BaseException | None, *, start_time: int, now: int
) -> bool:
    """Return whether an attempt that ended with `error`, or without one, is a sign of overload."""
    if rule.slow_call is not None and now - start_time > rule.slow_call * _SECOND:
        return True
    if isinstance(error, RateLimitExceeded):
        return error.by_vendor
    if isinstance(error, VendorFailed):
        return error.status in _OVERLOAD_STATUSES
    if isinstance(error, ConnectionFailed):
        return not isinstance(error, _NO_OVERLOAD)
    return isinstance(error, (ConnectionError, TimeoutError))
