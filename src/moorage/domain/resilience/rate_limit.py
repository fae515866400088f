"""The configuration of rate limits, and the wait that several limits demand together.

A limit is a rule over one state, and every rule has the same functions:

- `fast_grant(state, now, cost)`: the fast path: the state after an immediate grant, or None if the
  full rule must decide;
- `present(state, now)`: the state as of now, which the other functions take;
- `earliest(present, cost, at)`: the earliest time from `at` on (not before the state's own time) at
  which `cost` can be granted; a later time may be impossible again;
- `grant(present, cost, at, refundable=)`: the state after a grant at that time, and its ticket;
  `refundable` means that the grant may have to be given back;
- `refund(present, ticket)`: the state after a grant was given back;
- `drain(present, pause)`: the state after the vendor asked for a pause;
- `paused(present)`: the time until a pause ends;
- `resume(present)`: the state after a person ended a pause;
- `confirm(present, ticket)`: the time that the holder of a queued grant must still wait;
- `part(share, least)`: the rule for a share of the limit, with a burst of `least` or more.

Several limits grant jointly: either all of them grant for the same time, or none of them grants.

A limit in parts has a rule and a state for each part. The parts' rates and bursts are exact shares,
so all parts granted ≤ burst + rate · t over every window.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.quota import CalendarQuota
from moorage.domain.state.commands import EXACT
from moorage.domain.values.durations import FOREVER, SECOND, count, is_seconds, plain_seconds
from moorage.domain.values.frozen_values import Factory, field, frozen
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import attrs

    from moorage.domain.state.commands import State, Ticket

WithoutStore: TypeAlias = 'float | Fraction | Literal["refuse"]'
"""The part of a limit for each process while the store is down: a share, or "refuse"."""


MOST_PARTS: Final = 256
"""The largest number of parts of a limit; an operator's command visits each part."""

REFUSE: Final = "refuse"
"""The value that refuses all calls while the shared store is unavailable."""


class Rule(Protocol):
    """The interface of a compiled rate limit, whose functions compute its next state."""

    # ruff: noqa: D102 - said at the top of this file; a present is the rule's own

    @property
    def burst(self) -> int: ...
    def fast_grant(self, state: State | None, now: int, cost: int, /) -> State | None: ...
    def present(self, state: State | None, now: int, /) -> Any: ...
    def earliest(self, present: Any, cost: int, at: int, /) -> int: ...
    def grant(
        self, present: Any, cost: int, at: int, /, *, refundable: bool
    ) -> tuple[State, Ticket]: ...
    def refund(self, present: Any, ticket: Ticket, /) -> State: ...
    def drain(self, present: Any, pause: int, /) -> State: ...
    def paused(self, present: Any, /) -> int: ...
    def resume(self, present: Any, /) -> State: ...
    def confirm(self, present: Any, ticket: Ticket, /) -> int: ...
    def part(self, share: Fraction, least: int, /) -> Rule: ...


class Calendar(Enum):
    """The calendar periods of a quota, days or months in UTC."""

    DAY = "day"
    MONTH = "month"


def _calendar(value: object) -> Calendar | None:
    try:
        return None if value is None else Calendar(value)
    except ValueError:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a calendar period.",
            path="calendar",
            remedy='Set "day", "month" or None.',
        ) from None


def _is_rate(_: object, __: object, value: float | Fraction) -> None:
    number = isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)
    if not number or not 0 < value < EXACT:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a rate.", path="rate", remedy="Set a number above zero."
        )


def _whole_period(config: RateLimitConfig) -> int:
    # The defaults must be set before validators run.
    _is_rate(config, None, config.rate)
    return max(1, int(config.rate))


def _is_burst(_: object, __: object, value: int) -> None:
    count(value, "burst", most=EXACT)


def _is_number_of_parts(_: object, __: object, value: int) -> None:
    count(value, "parts", most=MOST_PARTS)


def _is_share_or_refuse(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    number = isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)
    if value != REFUSE and not (number and 0 < value <= 1):  # type: ignore[operator]  # a number
        raise ConfigurationError(
            f"{brief_repr(value)} is not a valid value of without_store.",
            path=attribute.name,
            remedy='Set "refuse", or the share of the limit that each process may use alone:'
            " a number above 0, and at most 1.",
        )


@frozen
class RateLimitConfig:
    """A rate limit: `burst` calls at once, and `rate` calls per `per` seconds over time.

    It is exact: over every span of t seconds, granted ≤ burst + rate · t / per. With `calendar`, at
    most `rate` calls per calendar day or month instead, all of which may be used in one burst.

    The limits of a service apply to each tenant separately: calls with `tenant="acme"` have buckets
    of their own. To limit all tenants together, make the calls without a tenant.

    Attributes:
        rate: tokens per period; a fraction such as 0.5 is fine.
        per: the length of the period in seconds.
        burst: the number of tokens that may be taken without a pause; by default the tokens of one
            period.
        calendar: a calendar period instead of `per` and `burst`.
        without_store: the behaviour while the shared store is away. "refuse": calls are refused. A
            share above 0 and up to 1: each process continues alone with that part of the limit,
            such as 0.125 if eight processes share it.
        parts: the number of buckets that share rate and burst equally. Each attempt uses one of
            them, drawn at random, so that the nodes of a clustered store share the load of a hot
            limit.
    """

    rate: float | Fraction = field(validator=_is_rate)
    per: float = field(default=1.0, converter=plain_seconds, validator=is_seconds)
    burst: int = field(default=Factory(_whole_period, takes_self=True), validator=_is_burst)
    calendar: Calendar | None = field(default=None, converter=_calendar, kw_only=True)
    without_store: WithoutStore = field(default=1.0, validator=_is_share_or_refuse, kw_only=True)
    parts: int = field(default=1, validator=_is_number_of_parts, kw_only=True)
    rule: Rule = field(init=False, repr=False, eq=False)
    rules: tuple[Rule, ...] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        rule = _bucket(self) if self.calendar is None else _quota(self, self.calendar)
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "rules", (rule,) if self.parts == 1 else _parts_of(self))

    @classmethod
    def per_second(
        cls,
        rate: float,
        *,
        burst: int | None = None,
        without_store: WithoutStore = 1.0,
        parts: int = 1,
    ) -> RateLimitConfig:
        """Return a limit of `rate` calls a second; a burst has `rate` calls by default.

        Up to `burst + rate` calls may fall into one second: the burst of an idle limit, and the
        tokens that are added in that second. With `burst=1` the calls are spaced evenly, and never
        more than `rate + 1` fall into one second.

        Args:
            rate: calls a second over time.
            burst: the number of calls without a wait after a pause; by default `rate`.
            without_store: the share of the limit while the store is away; see the class.
            parts: the number of buckets; see the class.
        """
        return cls._from_rate(rate, 1.0, burst, without_store, parts)

    @classmethod
    def per_minute(
        cls,
        rate: float,
        *,
        burst: int | None = None,
        without_store: WithoutStore = 1.0,
        parts: int = 1,
    ) -> RateLimitConfig:
        """Return a limit of `rate` calls a minute; a burst has `rate` calls by default.

        Up to `burst + rate` calls may fall into one minute; with `burst=1`, the calls are spaced
        evenly.
        """
        return cls._from_rate(rate, 60.0, burst, without_store, parts)

    @classmethod
    def per_hour(
        cls,
        rate: float,
        *,
        burst: int | None = None,
        without_store: WithoutStore = 1.0,
        parts: int = 1,
    ) -> RateLimitConfig:
        """Return a limit of `rate` calls an hour; a burst has `rate` calls by default.

        Up to `burst + rate` calls may fall into one hour; with `burst=1`, the calls are spaced
        evenly.
        """
        return cls._from_rate(rate, 3_600.0, burst, without_store, parts)

    @classmethod
    def per_day(
        cls,
        rate: float,
        *,
        burst: int | None = None,
        without_store: WithoutStore = 1.0,
        parts: int = 1,
    ) -> RateLimitConfig:
        """Return a limit of `rate` calls in 24 hours, refilled evenly.

        See `per_calendar_day` for a daily quota.
        """
        return cls._from_rate(rate, 86_400.0, burst, without_store, parts)

    @classmethod
    def per_calendar_day(cls, quota: int, *, without_store: WithoutStore = 1.0) -> RateLimitConfig:
        """Return a limit of `quota` calls from midnight to midnight, UTC."""
        return cls(quota, calendar=Calendar.DAY, without_store=without_store)

    @classmethod
    def per_calendar_month(
        cls, quota: int, *, without_store: WithoutStore = 1.0
    ) -> RateLimitConfig:
        """Return a limit of `quota` calls from the first of the month to the next, UTC."""
        return cls(quota, calendar=Calendar.MONTH, without_store=without_store)

    @classmethod
    def _from_rate(
        cls, rate: float, per: float, burst: int | None, without_store: WithoutStore, parts: int
    ) -> RateLimitConfig:
        if burst is None:
            return cls(rate, per, without_store=without_store, parts=parts)
        return cls(rate, per, burst, without_store=without_store, parts=parts)

    @property
    def period(self) -> str:
        """The name of the period; limits with the same period can read each other's state."""
        return f"{self.per}s" if self.calendar is None else self.calendar.value

    @property
    def share(self) -> Fraction | None:
        """The share of a limit that one process may use while the store is down; None for none."""
        return (
            None if isinstance(self.without_store, str) else _simplest_fraction(self.without_store)
        )

    def check_cost(self, cost: int) -> int:
        """Return a call's cost; raise an error if the limit can never grant so many tokens."""
        smallest_part = self.rules[-1]
        if self.parts > 1 and checked_cost(self.rule, cost) > smallest_part.burst:
            raise InvalidData(
                f"A cost of {cost} is more than {smallest_part.burst}, the burst of one of"
                f" {self.parts} parts, so it can never be granted.",
                field="cost",
                remedy="Raise the burst, use fewer parts, or split the call.",
            )
        return checked_cost(smallest_part, cost)


def limit_names(limits: Iterable[RateLimitConfig]) -> list[tuple[str, str]]:
    """Return the names under which the states of limits are stored, in the order of the limits.

    A name is the limit's period, and its number among the limits of this period. So a limit keeps
    its state when its rate or its burst changes, or when a limit of another period is added.
    """
    counts: Counter[str] = Counter()
    names: list[tuple[str, str]] = []
    for limit in limits:
        names.append((limit.period, str(counts[limit.period])))
        counts[limit.period] += 1
    return names


def checked_cost(rule: Rule, cost: int) -> int:
    """Return a call's cost; raise an error if the limit can never grant so many tokens."""
    if isinstance(cost, bool) or not isinstance(cost, int) or cost < 1:
        raise InvalidData(
            f"{cost!r} is not a cost.", field="cost", remedy="Pass an integer of 1 or more."
        )
    if cost > rule.burst:
        raise InvalidData(
            f"A cost of {cost} is more than the burst of {rule.burst}, so it can never be granted.",
            field="cost",
            remedy="Raise the burst, or split the call.",
        )
    return cost


def joint_wait(rules: Sequence[Rule], present_states: Sequence[State], costs: Sequence[int]) -> int:
    """Return the microseconds until all rate limits have enough tokens; 0 if they have now.

    A limit that can grant at one time may be unable to at a later time, because a gap in its queue
    has ended. So the limits are asked in turn until one time suits all of them.
    """
    limits = tuple(zip(rules, present_states, costs, strict=True))
    wait, matching_limits, number = 0, 0, 0
    while matching_limits < len(limits):
        rule, limit_state, cost = limits[number]
        limit_wait = rule.earliest(limit_state, cost, limit_state[0] + wait) - limit_state[0]
        matching_limits = 1 if limit_wait > wait else matching_limits + 1
        wait, number = limit_wait, (number + 1) % len(limits)
    return wait


def common_parts(limits: Iterable[RateLimitConfig]) -> int:
    """Return the number of parts into which limits that share a circuit are split.

    Raises:
        ConfigurationError: the limits have different numbers of parts.
    """
    numbers = sorted({limit.parts for limit in limits})
    if len(numbers) > 1:
        raise ConfigurationError(
            f"The limits of a service have different numbers of parts: {numbers[0]} and"
            f" {numbers[-1]}.",
            path="limits",
            remedy="Set the same number of parts in all limits of a service and its endpoints.",
        )
    return numbers[0] if numbers else 1


def _bucket(config: RateLimitConfig) -> TokenBucket:
    pace = _simplest_fraction(config.rate) / (_simplest_fraction(config.per) * SECOND)
    part_pace, part_burst = pace / config.parts, -(-config.burst // config.parts)
    tokens, ticks = part_pace.numerator, part_pace.denominator
    for path, is_valid in (
        ("rate", max(tokens, 2 * ticks) < EXACT and FOREVER * part_pace >= 1),
        ("burst", 2 * part_burst * ticks < EXACT and FOREVER * part_pace >= part_burst),
    ):
        if not is_valid:
            in_parts = f" in {config.parts} parts" if config.parts > 1 else ""
            raise ConfigurationError(
                f"{config.rate} per {config.per} s with a burst of {config.burst}"
                f"{in_parts} cannot be counted exactly.",
                path=path,
                remedy="Use a smaller burst, or a rate and a period with fewer digits.",
            )
    return TokenBucket(pace.numerator, pace.denominator, config.burst)


def _parts_of(config: RateLimitConfig) -> tuple[Rule, ...]:
    """Return the rules of a limit's parts, into which its rate and burst are divided."""
    burst, larger_parts = divmod(config.burst, config.parts)
    if not burst:
        raise ConfigurationError(
            f"A burst of {config.burst} cannot be divided into {config.parts} parts, because"
            " each part needs at least one token.",
            path="parts",
            remedy="Raise the burst, or use fewer parts.",
        )
    share = Fraction(1, config.parts)
    return tuple(
        config.rule.part(share, burst + (number < larger_parts)) for number in range(config.parts)
    )


def _quota(config: RateLimitConfig, calendar: Calendar) -> CalendarQuota:
    whole_rate = int(config.rate)
    for path, is_valid in (
        ("rate", config.rate == whole_rate),
        ("per", config.per == 1),
        ("burst", config.burst == whole_rate),
    ):
        if not is_valid:
            raise ConfigurationError(
                f"A limit per calendar {calendar.value} does not support this {path}.",
                path=path,
                remedy="Set the rate to a whole number, and remove per and burst.",
            )
    return CalendarQuota(whole_rate, monthly=calendar is Calendar.MONTH)


def _simplest_fraction(value: float | Fraction) -> Fraction:
    """Return the simplest fraction close to a float, such as one tenth for 0.1."""
    exact_fraction = Fraction(value)
    for digits in (3, 6, 9, 12):
        simple_fraction = exact_fraction.limit_denominator(10**digits)
        if abs(simple_fraction - exact_fraction) * 10**12 <= exact_fraction:
            return simple_fraction
    return exact_fraction
