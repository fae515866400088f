"""Timeouts of the steps of one attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.timeouts import Timeouts
from moorage.errors import ConfigurationError

bounds = st.none() | st.floats(min_value=0, exclude_min=True, max_value=1e9)
timeouts = st.builds(Timeouts, connect=bounds, read=bounds, write=bounds, pool=bounds, total=bounds)


@given(timeouts, st.floats(min_value=0, exclude_min=True, max_value=1e9))
def test_steps_are_capped_by_the_remaining_time(given_: Timeouts, remaining: float) -> None:
    """A step's timeout is its limit or the remaining time, whichever is shorter."""
    capped_timeouts = given_.within(remaining)
    for name, bound in attrs.asdict(given_).items():
        expected = remaining if bound is None else min(bound, remaining)
        assert expected == getattr(capped_timeouts, name)
    assert capped_timeouts == capped_timeouts.within(remaining)


def test_timeout_may_be_a_timedelta() -> None:
    """A step's timeout may be a timedelta instead of seconds."""
    assert Timeouts(read=1.5, total=3) == Timeouts(
        read=timedelta(milliseconds=1500), total=timedelta(seconds=3)
    )


@pytest.mark.parametrize("name", ["connect", "read", "write", "pool", "total"])
@pytest.mark.parametrize(
    "bound", [0, -1, float("inf"), float("nan"), True, "5", timedelta(0), timedelta(-1)]
)
def test_timeout_that_is_not_positive_and_finite_is_refused(name: str, bound: Any) -> None:
    """A step's timeout that is not a positive finite duration is refused; the error names it."""
    with pytest.raises(ConfigurationError) as excinfo:
        Timeouts(**{name: bound})
    assert name == excinfo.value.path


def test_remaining_time_must_be_positive() -> None:
    """A remaining time of zero is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        Timeouts().within(0)
    assert "remaining" == excinfo.value.path
