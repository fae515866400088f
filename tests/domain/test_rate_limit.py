"""Configuration of rate limits: stored exactly, or refused with the field's name."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.quota import CalendarQuota
from moorage.domain.resilience.rate_limit import (
    Calendar,
    RateLimitConfig,
    Rule,
    checked_cost,
    joint_wait,
    limit_names,
)
from moorage.domain.state.commands import EXACT, State
from moorage.domain.values.durations import DAY, FOREVER, SECOND
from moorage.errors import ConfigurationError, InvalidData
from tests.domain.state_store import NOON, has_remedy


def tokens_per_microsecond(config: RateLimitConfig) -> Fraction:
    """Return the tokens that a limit gains per microsecond."""
    assert isinstance(config.rule, TokenBucket)
    return Fraction(config.rule.n, config.rule.price)


@pytest.mark.parametrize(
    "config, expected, burst",
    [
        (RateLimitConfig.per_second(1_000_000), Fraction(1), 1_000_000),
        (RateLimitConfig.per_second(0.1), Fraction(1, 10 * SECOND), 1),
        (RateLimitConfig.per_second(0.1 + 0.2), Fraction(3, 10 * SECOND), 1),
        (RateLimitConfig.per_second(10 / 3, burst=9), Fraction(10, 3 * SECOND), 9),
        (RateLimitConfig.per_minute(100, burst=20), Fraction(100, 60 * SECOND), 20),
        (RateLimitConfig.per_hour(1.5), Fraction(3, 7_200 * SECOND), 1),
        (RateLimitConfig.per_day(1), Fraction(1, DAY), 1),
        (RateLimitConfig(Fraction(2, 7), 3), Fraction(2, 21 * SECOND), 1),
        (RateLimitConfig(5, timedelta(minutes=2)), Fraction(5, 120 * SECOND), 5),  # type: ignore[arg-type, unused-ignore]  # converted to a number
        (RateLimitConfig(1e-6, 1.0), Fraction(1, 10**12), 1),
        (RateLimitConfig(0.9e-6, 1.0), Fraction(9, 10**13), 1),
    ],
)
def test_rate_is_an_exact_ratio(config: RateLimitConfig, expected: Fraction, burst: int) -> None:
    """The numbers of a rate limit are reduced to the simplest ratio of integers."""
    assert (expected, burst) == (tokens_per_microsecond(config), config.burst)


def test_short_form_equals_the_limit_with_its_period() -> None:
    """A short form such as `per_minute` equals the configuration with its period in seconds."""
    for build, period in (
        (RateLimitConfig.per_second, 1.0),
        (RateLimitConfig.per_minute, 60.0),
        (RateLimitConfig.per_hour, 3_600.0),
        (RateLimitConfig.per_day, 86_400.0),
    ):
        assert RateLimitConfig(7, period) == build(7)
        assert RateLimitConfig(7, period, 3) == build(7, burst=3)
        assert (7, 3) == (build(7).burst, build(7, burst=3).burst)
        assert Fraction(7) / (int(period) * SECOND) == tokens_per_microsecond(build(7))


@given(
    st.one_of(st.integers(1, 10**7), st.floats(1e-4, 1e7), st.fractions(Fraction(1, 999), 999)),
    st.floats(1e-3, 1e6),
    st.integers(1, 10),
)
def test_any_rate_is_close_or_refused(rate: float, per: float, burst: int) -> None:
    """A compiled rate limit equals the configured one to eleven digits, and is stored exactly."""
    try:
        rule = RateLimitConfig(rate, per, burst).rule
    except ConfigurationError:
        return
    assert isinstance(rule, TokenBucket)
    assert math.isclose(rule.n / rule.price, float(rate) / per / SECOND, rel_tol=1e-11)
    assert 1 == math.gcd(rule.n, rule.price)
    assert max(rule.n, 2 * rule.room) < EXACT
    assert rule.refill <= FOREVER


@pytest.mark.parametrize("rate", [0, -1, -0.5, math.nan, math.inf, -math.inf, 2**53, 10**400])
def test_invalid_rates_are_refused(rate: float) -> None:
    """A rate limit's rate must be above zero, and a number that any store holds exactly."""
    assert_refused("rate", rate)
    assert_refused("rate", rate, calendar=Calendar.DAY)


@pytest.mark.parametrize("rate", [True, False, "10", "x", None, b"1", Decimal(1), 1j, [1]])
def test_rates_of_other_types_are_refused(rate: Any) -> None:
    """A rate limit whose rate only resembles a number is refused."""
    assert_refused("rate", rate)
    assert_refused("rate", rate, calendar=Calendar.MONTH)


@pytest.mark.parametrize("per", [0, -1, math.nan, math.inf, True, "1", None, 4e9, timedelta(0)])
def test_invalid_periods_are_refused(per: Any) -> None:
    """A rate limit's period must be a valid duration."""
    assert_refused("per", 1, per)


@pytest.mark.parametrize("burst", [0, -1, 1.0, True, "5", None, math.inf, 2**53 + 1, 10**400])
def test_invalid_bursts_are_refused(burst: Any) -> None:
    """A rate limit's burst must be a whole number."""
    assert_refused("burst", 1, 1.0, burst)


@pytest.mark.parametrize(
    "path, arguments",
    [
        ("burst", (1, 1.0, 2**53)),
        ("burst", (1, 86_400.0, 10**5)),
        ("burst", (math.pi, 1.0, 10**5)),
        ("rate", (1e-10, 1.0)),
        ("rate", (1e-300, 1.0)),
        ("rate", (1, 3_153_600_000.0 - 0.123_456_7)),
        ("rate", (9e15, 1e-9)),
    ],
)
def test_inexact_numbers_are_refused(path: str, arguments: tuple[Any, ...]) -> None:
    """Rate-limit numbers too large for a store to hold exactly are refused."""
    assert_refused(path, *arguments)


@pytest.mark.parametrize(
    "path, arguments",
    [
        ("rate", (15_625 * 13 / 2**26, 2**20, 1)),
        ("burst", (15_625 * 13 / 2**26, 2**19, 2)),
        ("rate", (Fraction(13, 3), 1_501_199_876, 1)),
        ("rate", (Fraction(2, 3), 2.5e9, 1)),
        ("burst", (1, 1e9, 4)),
    ],
)
def test_values_just_above_the_bounds_are_refused(path: str, arguments: tuple[Any, ...]) -> None:
    """Rate-limit settings just above their bounds are refused."""
    assert_refused(path, *arguments)


@pytest.mark.parametrize(
    "arguments, shape",
    [
        ((15_625 * 13 / 2**26, 2**19, 1), (13, 2**51, 1)),
        ((Fraction(13, 3), 1_501_199_875, 1), (13, 4503599625000000, 1)),
        ((1, 3_153_600_000), (1, 3153600000000000, 1)),
        ((1, 1e9, 3), (1, 1000000000000000, 3)),
        ((Fraction(1, 10) * (1 + Fraction(1, 10**12 - 1)),), (1, 10000000, 1)),
    ],
)
def test_values_at_the_bounds_are_valid(
    arguments: tuple[Any, ...], shape: tuple[int, int, int]
) -> None:
    """Rate-limit settings at their bounds are valid."""
    rule = RateLimitConfig(*arguments).rule
    assert isinstance(rule, TokenBucket)
    assert shape == rule.shape


@pytest.mark.parametrize("path, changes", [("per", {"per": 60.0}), ("burst", {"burst": 3})])
def test_a_calendar_quota_has_no_period_and_no_burst(path: str, changes: dict[str, Any]) -> None:
    """A calendar quota with a period or a burst is refused."""
    assert_refused(path, 10, calendar="day", **changes)


@pytest.mark.parametrize("calendar", ["week", "", 1, True])
def test_invalid_calendars_are_refused(calendar: Any) -> None:
    """A quota's calendar must be a day or a month."""
    assert_refused("calendar", 10, calendar=calendar)


def test_calendar_quota_must_be_a_whole_number() -> None:
    """A calendar quota must be a whole number of calls."""
    assert_refused("rate", 10.5, calendar=Calendar.MONTH)
    assert_refused("rate", 0.5, calendar=Calendar.MONTH)
    for config in (
        RateLimitConfig(10.0, calendar=Calendar.MONTH),
        RateLimitConfig(Fraction(10), calendar="month"),  # type: ignore[arg-type, unused-ignore]  # converted to a member
        RateLimitConfig.per_calendar_month(10),
    ):
        assert isinstance(config.rule, CalendarQuota)
        assert (10, True) == (config.rule.burst, config.rule.monthly)
    day = RateLimitConfig.per_calendar_day(10).rule
    assert isinstance(day, CalendarQuota)
    assert not day.monthly


def assert_refused(path: str, *arguments: Any, **fields: Any) -> None:
    """Check that the rate limit is refused with an error that names the field."""
    with pytest.raises(ConfigurationError) as excinfo:
        RateLimitConfig(*arguments, **fields)
    assert path == excinfo.value.path
    assert has_remedy(excinfo.value)


def test_equal_rate_limits_are_equal_and_have_same_hash() -> None:
    """Rate limits with equal settings are equal and have the same hash."""
    config, other_config = RateLimitConfig.per_second(5), RateLimitConfig.per_second(5)
    assert config == other_config
    assert 1 == len({config, other_config})
    assert (
        "RateLimitConfig(rate=5, per=1.0, burst=5, calendar=None, without_store=1.0, parts=1)"
        == repr(config)
    )


def test_limits_are_named_by_their_periods() -> None:
    """The name of a limit's state depends on its period, not on its rate or burst."""
    limits = [
        RateLimitConfig.per_second(1),
        RateLimitConfig.per_minute(60),
        RateLimitConfig.per_second(2, burst=5),
        RateLimitConfig.per_calendar_day(2),
        RateLimitConfig.per_calendar_month(2),
        RateLimitConfig.per_calendar_day(3),
    ]
    assert [
        ("1.0s", "0"),
        ("60.0s", "0"),
        ("1.0s", "1"),
        ("day", "0"),
        ("month", "0"),
        ("day", "1"),
    ] == limit_names(limits)


@pytest.mark.parametrize("cost", [0, -1, 1.0, True, "1", None, 6, 10**9])
def test_invalid_costs_are_refused(cost: Any) -> None:
    """A call's cost must be a whole number, and no more than the limit's burst."""
    config = RateLimitConfig.per_second(1, burst=5)
    with pytest.raises(InvalidData) as excinfo:
        config.check_cost(cost)
    assert "cost" == excinfo.value.field
    assert has_remedy(excinfo.value)


def test_call_may_cost_the_whole_burst() -> None:
    """A call may cost the whole burst of a rate limit."""
    assert [1, 5] == [RateLimitConfig.per_second(1, burst=5).check_cost(cost) for cost in (1, 5)]
    assert 5 == checked_cost(RateLimitConfig.per_calendar_day(5).rule, 5)


configs = st.sampled_from(
    [
        RateLimitConfig.per_second(10, burst=3),
        RateLimitConfig.per_minute(7),
        RateLimitConfig.per_calendar_day(4),
        RateLimitConfig.per_calendar_month(3),
    ]
)
limits = st.lists(
    st.tuples(configs, st.lists(st.tuples(st.integers(0, 40 * SECOND), st.integers(1, 3)))),
    min_size=1,
    max_size=3,
)


@given(limits, st.integers(1, 3), st.integers(0, 10**13))
def test_joint_wait_for_several_limits_satisfies_each_limit(
    taken: list[tuple[RateLimitConfig, list[tuple[int, int]]]], cost: int, less: int
) -> None:
    """The joint wait for several limits is the shortest that satisfies each limit."""
    rules: list[Rule] = []
    presents: list[State] = []
    for config, takes in taken:
        rule, state, now = config.rule, None, NOON
        for span, tokens in takes:
            now += span
            present_state = rule.present(state, now)
            time = rule.earliest(present_state, tokens, present_state[0])
            state, _ = rule.grant(present_state, tokens, time, refundable=time > present_state[0])
        rules.append(rule)
        presents.append(rule.present(state, now))
    costs = [cost] * len(rules)
    wait = joint_wait(rules, presents, costs)

    def fits_all_limits(wait: int) -> bool:
        return all(
            rule.earliest(present_bucket, cost, present_bucket[0] + wait)
            == present_bucket[0] + wait
            for rule, present_bucket in zip(rules, presents, strict=True)
        )

    assert fits_all_limits(wait)
    assume(0 < less <= wait)
    assert not fits_all_limits(wait - less)


def test_refilled_limit_has_no_wait() -> None:
    """A rate limit that has had time to refill has a wait of zero, never less."""
    for config in (RateLimitConfig.per_minute(7), RateLimitConfig.per_calendar_day(4)):
        state, _ = config.rule.grant(config.rule.present(None, NOON), 2, NOON, refundable=False)
        assert 0 == joint_wait([config.rule], [config.rule.present(state, NOON + 90 * SECOND)], [1])
