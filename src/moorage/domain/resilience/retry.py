"""The decision whether to retry a call, and after which delay.

Laws:

1. `max_attempts` is the total number of attempts, counted by each caller alone.
2. A retry never comes before the time in a vendor's Retry-After. If that is longer than the policy
   accepts, there is no retry, and the error has the whole delay.
3. A request that may have been processed is repeated only if a repeat is safe.
4. Delays with jitter differ even if they have reached the maximum.
"""

from __future__ import annotations

from enum import Enum
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

from moorage.domain.resilience.health import BUGS
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.values.durations import FOREVER, SECOND, is_count, is_wait, plain_seconds
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.text import brief_repr, with_article
from moorage.errors import ConfigurationError, ConnectionFailed, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

Predicate: TypeAlias = "Callable[[Exception], bool]"
E = TypeVar("E", bound=Enum)


class Backoff(Enum):
    """The growth of the delays between attempts."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    FIBONACCI = "fibonacci"
    DECORRELATED = "decorrelated"


class Jitter(Enum):
    """The random variation of a delay, so that callers do not all retry at the same time.

    NONE adds nothing. FULL draws from [0, d], EQUAL from [d/2, d], and QUARTER from a quarter
    around d. Decorrelated backoff is random already and cannot be combined with other jitter.
    """

    NONE = "none"
    FULL = "full"
    EQUAL = "equal"
    QUARTER = "quarter"


def _member_of(kind: type[E], value: object) -> E:
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(
            f"{brief_repr(value)} is not {with_article(kind.__name__)}.",
            path=kind.__name__.lower(),
            remedy=f"Use one of {', '.join(str(member.value) for member in kind)}.",
        ) from None


def _backoff(value: Backoff | str) -> Backoff:
    return _member_of(Backoff, value)


def _jitter(value: Jitter | str) -> Jitter:
    return _member_of(Jitter, value)


def _is_growth(_: object, __: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 1e6:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a growth factor.",
            path="multiplier",
            remedy="Set a number of 1 or more.",
        )


def _is_error_filter(_: object, __: object, value: Any) -> None:
    if isinstance(value, tuple):
        is_usable = all(map(_is_error, cast("Any", value)))
    elif isinstance(value, type):
        is_usable = _is_error(value)
    else:
        is_usable = value is None or (callable(value) and not iscoroutinefunction(value))
    if not is_usable:
        raise ConfigurationError(
            "The value is not an exception type, several exception types or a predicate.",
            path="retry_on",
            remedy="Pass exception types, or a synchronous function that accepts the exception.",
        )


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def error_types(value: Any, field: str) -> tuple[type[Exception], ...]:
    """Return one or several exception types as a tuple."""
    try:
        kinds = tuple(value)
    except TypeError:
        kinds = (value,)
    if not all(map(_is_error, kinds)):
        raise ConfigurationError(
            "The value is not an exception type or several exception types.",
            path=field,
            remedy="Pass one or more exception types.",
        )
    return kinds


@frozen
class RetryPolicy:
    """The number of attempts and the delays between them.

    Attributes:
        max_attempts: the total number of attempts, the first included.
        base_delay: seconds before the second attempt, before jitter.
        multiplier: the factor of exponential backoff.
        max_delay: the longest computed delay in seconds.
        backoff: the growth of the delays.
        jitter: the random spread of each delay.
        max_retry_after: the longest pause in seconds that a vendor may ask for; a call that would
            have to wait longer fails.
        retry_on: exception types, or a predicate, for the errors to retry; by default errors of
            this package that are `retryable`, and foreign errors except programming mistakes.
    """

    max_attempts: int = field(default=3, validator=is_count)
    base_delay: float = field(default=1.0, converter=plain_seconds, validator=is_wait)
    multiplier: float = field(default=2.0, validator=_is_growth)
    max_delay: float = field(default=30.0, converter=plain_seconds, validator=is_wait)
    backoff: Backoff = field(default=Backoff.EXPONENTIAL, converter=_backoff, kw_only=True)
    jitter: Jitter = field(default=Jitter.FULL, converter=_jitter, kw_only=True)
    max_retry_after: float = field(
        default=60.0, converter=plain_seconds, validator=is_wait, kw_only=True
    )
    retry_on: Predicate | type[Exception] | tuple[type[Exception], ...] | None = field(
        default=None, validator=_is_error_filter, kw_only=True
    )

    @classmethod
    def default(cls) -> RetryPolicy:
        """Return a policy of three attempts, the first two one second apart."""
        return cls()

    @classmethod
    def aggressive(cls) -> RetryPolicy:
        """Return a policy of five attempts with short delays, for reads that a user waits for."""
        return cls(max_attempts=5, base_delay=0.5, max_delay=60.0)

    @classmethod
    def conservative(cls) -> RetryPolicy:
        """Return a policy of two attempts, two seconds apart, for vendors that throttle early."""
        return cls(max_attempts=2, base_delay=2.0)

    @classmethod
    def none(cls) -> RetryPolicy:
        """Return a policy of one attempt, without retries."""
        return cls(max_attempts=1)

    def retries(self, error: Exception) -> bool:
        """Return whether the policy allows a retry after this error at all."""
        if not isinstance(error, ConnectorError) and is_interruption(error):
            return False
        rule = self.retry_on
        if rule is None:
            if isinstance(error, ConnectorError):
                return error.retryable
            return not isinstance(error, BUGS)
        if isinstance(rule, (type, tuple)):
            return isinstance(error, rule)
        return bool(rule(error))


@frozen
class RetryAfterDelay:
    """The decision to make another attempt after `delay` seconds."""

    delay: float


@frozen
class StopRetrying:
    """The decision not to retry; `retry_after` is the time when another call may succeed."""

    reason: Literal["final", "attempts", "unsafe", "too_long", "deadline"]
    retry_after: float | None = None


def decide(
    policy: RetryPolicy,
    error: Exception,
    *,
    attempt: int,
    repeatable: bool,
    retry_after: float | None,
    remaining: float,
    previous: float,
    draw: float,
    at_once: bool = False,
) -> RetryAfterDelay | StopRetrying:
    """Decide whether to retry after the attempt with number `attempt` ended with `error`.

    `repeatable` means that sending twice has the same effect as sending once; `retry_after` is the
    wait that the vendor asked for; `remaining` is the rest of the deadline; `previous` is the last
    delay and `draw` a random number in [0, 1). `at_once` means that the policy's own delay is not
    needed.
    """
    if not policy.retries(error):
        return StopRetrying("final", retry_after)
    if not repeatable:
        return StopRetrying("unsafe", retry_after)
    if attempt >= policy.max_attempts:
        return StopRetrying("attempts", retry_after)
    pause = 0.0 if at_once else delay(policy, attempt, previous=previous, draw=draw)
    if retry_after is not None:
        if retry_after > policy.max_retry_after:
            return StopRetrying("too_long", retry_after)
        pause = max(pause, retry_after)
    if pause >= remaining:
        return StopRetrying("deadline", pause)
    return RetryAfterDelay(pause)


def delay(policy: RetryPolicy, attempt: int, *, previous: float, draw: float) -> float:
    """Return the seconds between attempt number `attempt` and the next attempt."""
    max_delay = policy.max_delay
    if policy.backoff is Backoff.DECORRELATED:
        shortest_delay = min(policy.base_delay, max_delay)
        longest_delay = max(shortest_delay, min(max_delay, 3 * (previous or policy.base_delay)))
        return shortest_delay + draw * (longest_delay - shortest_delay)
    full_delay = min(_GROWTH[policy.backoff](policy, attempt), max_delay)
    return _JITTER_FUNCTIONS[policy.jitter](full_delay, max_delay, draw)


def wait_of(error: Exception, now: datetime) -> float | None:
    """Return the seconds that an error asks callers to wait, at most a hundred years.

    Return None if the error names no wait.
    """
    if not isinstance(error, ConnectorError) or error.retry_at is None:
        return None
    return min(max(0.0, (error.retry_at - now).total_seconds()), FOREVER / SECOND)


def is_unsent(error: Exception) -> bool:
    """Return whether the vendor certainly received nothing of the failed request."""
    return isinstance(error, ConnectionFailed) and not error.may_have_been_processed


def _exponential(policy: RetryPolicy, attempt: int) -> float:
    try:
        return policy.base_delay * float(policy.multiplier) ** (attempt - 1)
    except OverflowError:
        return policy.max_delay


def _fibonacci(policy: RetryPolicy, attempt: int) -> float:
    current_term, next_term = 1, 1
    # After ninety doublings every delay exceeds any limit.
    for _ in range(min(attempt, 90) - 1):
        current_term, next_term = next_term, current_term + next_term
    return policy.base_delay * current_term


_GROWTH: Final[dict[Backoff, Callable[[RetryPolicy, int], float]]] = {
    Backoff.FIXED: lambda policy, _: policy.base_delay,
    Backoff.LINEAR: lambda policy, attempt: policy.base_delay * attempt,
    Backoff.EXPONENTIAL: _exponential,
    Backoff.FIBONACCI: _fibonacci,
}
"""The delay before jitter and upper limit, by policy and number of the attempt."""

_JITTER_FUNCTIONS: Final[dict[Jitter, Callable[[float, float, float], float]]] = {
    Jitter.NONE: lambda full, _, __: full,
    Jitter.FULL: lambda full, _, draw: draw * full,
    Jitter.EQUAL: lambda full, _, draw: full * (1 + draw) / 2,
    # The delay is first limited to four fifths of the cap, so that it varies near the cap too.
    Jitter.QUARTER: lambda full, cap, draw: min(full, cap / 1.25) * (0.75 + draw / 2),
}
"""The delay after jitter, from the full delay, the upper limit and a random number."""
