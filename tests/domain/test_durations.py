"""Validation and conversion of durations, counts and shares."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.domain.state.commands import EXACT
from moorage.domain.values.durations import (
    DAY,
    FOREVER,
    SECOND,
    count,
    if_given,
    is_count,
    is_seconds,
    is_share,
    micros,
    plain_seconds,
    seconds,
    share,
)
from moorage.errors import ConfigurationError
from tests.domain.state_store import has_remedy

NOT_NUMBERS: list[Any] = [None, "1", True, False, b"1", Decimal(1), Fraction(1), 1j, [1]]


@given(st.floats(0, FOREVER / SECOND, exclude_min=True))
def test_duration_in_seconds_is_unchanged_up_to_the_limit(value: float) -> None:
    """A duration in seconds may be any number above zero, up to the limit, and is unchanged."""
    assert value == seconds(value, "timeout")


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=36_500)))
def test_timedelta_is_exact_to_the_microsecond(value: timedelta) -> None:
    """A duration given as a timedelta is exact to the microsecond."""
    assert value // timedelta(microseconds=1) == micros(seconds(value, "timeout"))


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_non_numbers_are_refused(value: object) -> None:
    """A value that is not a number is refused as a duration, and the error names its field."""
    with pytest.raises(ConfigurationError) as excinfo:
        seconds(value, "timeout", zero=True)  # type: ignore[arg-type]  # refused
    assert "timeout" == excinfo.value.path
    assert has_remedy(excinfo.value)


@pytest.mark.parametrize(
    "value", [-1, -0.001, math.nan, math.inf, -math.inf, 1e300, 10**400, timedelta(days=36_501)]
)
def test_out_of_range_durations_are_refused(value: float) -> None:
    """A negative or infinite duration, or one above a hundred years, is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        seconds(value, "timeout", zero=True)
    assert "timeout" == excinfo.value.path
    assert "Set zero or more seconds, and at most a hundred years." == excinfo.value.remedy


def test_longest_duration_is_a_hundred_years() -> None:
    """The longest allowed duration is a hundred years."""
    assert FOREVER / SECOND == seconds(FOREVER // SECOND, "timeout")


def test_zero_is_usable_only_where_it_is_allowed() -> None:
    """A duration of zero is refused unless the field allows it."""
    assert 0.0 == seconds(0, "delay", zero=True)
    with pytest.raises(ConfigurationError, match="more than zero"):
        seconds(timedelta(0), "delay")


@given(st.floats(0, FOREVER / SECOND))
def test_seconds_are_rounded_up_to_microseconds(value: float) -> None:
    """Seconds are rounded up to whole microseconds, so that no wait ends early."""
    whole_micros = micros(value)
    assert value * SECOND * (1 - 1e-15) <= whole_micros <= value * SECOND + 1
    assert whole_micros < EXACT
    assert (whole_micros == 0) is (value == 0)


@given(st.integers(0, FOREVER))
@example(2_199_420_583_474_667)
def test_whole_microseconds_survive_conversion_to_float_seconds(whole: int) -> None:
    """Converting whole microseconds to float seconds and back returns the same number."""
    assert whole == micros(whole / SECOND)


@pytest.mark.parametrize(
    "value, expected", [(0.1, 100_000), (0.3, 300_000), (1e-9, 1), (2.5e-6, 3), (86_400.0, DAY)]
)
def test_rounding_to_microseconds(value: float, expected: int) -> None:
    """A float's rounding error adds no microsecond; the smallest duration is one."""
    assert expected == micros(value)


@pytest.mark.parametrize("value", [0, -1, 10**9 + 1, 1.0, math.nan, *NOT_NUMBERS])
def test_invalid_counts_are_refused(value: Any) -> None:
    """A count must be an integer within its bounds."""
    with pytest.raises(ConfigurationError) as excinfo:
        count(value, "max_attempts")
    assert "max_attempts" == excinfo.value.path
    assert has_remedy(excinfo.value)


def test_count_may_equal_its_bounds() -> None:
    """A count may equal its lower bound `least` or its upper bound `most`."""
    assert [0, 3] == [count(0, "n", least=0), count(3, "n", most=3)]
    for value in (-1, 4):
        with pytest.raises(ConfigurationError, match="from 0 to 3"):
            count(value, "n", least=0, most=3)


@pytest.mark.parametrize("value", [0, 0.0, -0.5, 1.01, math.nan, math.inf, *NOT_NUMBERS])
def test_invalid_shares_are_refused(value: Any) -> None:
    """A share must be a number above zero and up to one."""
    with pytest.raises(ConfigurationError) as excinfo:
        share(value, "failure_rate")
    assert "failure_rate" == excinfo.value.path
    assert has_remedy(excinfo.value)


def test_share_may_be_written_as_the_integer_1() -> None:
    """A share (a fraction between 0 and 1) may be written as the integer 1."""
    assert [0.25, 1.0] == [share(0.25, "r"), share(1, "r")]


def test_validators_name_their_field() -> None:
    """A field's validator for durations, counts or shares names that field in its error."""

    @attrs.frozen
    class Config:
        wait: float = attrs.field(default=1.0, converter=plain_seconds, validator=is_seconds)
        most: int = attrs.field(default=1, validator=is_count)
        part: float = attrs.field(default=1.0, validator=is_share)
        maybe: int | None = attrs.field(default=None, validator=if_given(is_count))

    assert Config(wait=90.0, maybe=2) == Config(wait=timedelta(minutes=1.5), maybe=2)
    validator_arguments: list[object] = []
    field: Any = attrs.fields(Config).most
    if_given(lambda *arguments: validator_arguments.extend(arguments))(Config(), field, 3)
    assert [Config(), field, 3] == validator_arguments
    wrong_options: dict[str, Any] = {"wait": -1, "most": 0, "part": 2, "maybe": 0}
    for path, value in wrong_options.items():
        with pytest.raises(ConfigurationError) as excinfo:
            Config(**{path: value})
        assert path == excinfo.value.path
