"""The pauses before a lost connection is opened again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.domain.connectors.reconnecting import (
    ReconnectPolicy,
    ReconnectState,
    pause_after,
    state_after_failure,
    wait_before,
)

POLICY = ReconnectPolicy(first=1.0, longest=30.0)


@pytest.mark.parametrize(
    "failures, draw, expected",
    [(1, 0.0, 0.5), (1, 1.0, 1.0), (2, 1.0, 2.0), (5, 0.5, 12.0), (6, 1.0, 30.0), (10**6, 0.0, 15)],
)
def test_pause_doubles_up_to_a_limit(failures: int, draw: float, expected: float) -> None:
    """The pause before reconnecting is drawn from a range that doubles with each failure."""
    assert expected == pause_after(POLICY, failures, draw)


@given(
    st.floats(0, 100), st.floats(0, 100), st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1e9)
)
def test_pauses_have_bounds(
    first: float, more: float, failures: int, draw: float, now: float
) -> None:
    """The pause before reconnecting is never negative or longer than the policy's maximum."""
    policy = ReconnectPolicy(first=first, longest=first + more)
    state = state_after_failure(ReconnectState(failures - 1), policy, now, draw)

    assert failures == state.failures
    assert 0 <= wait_before(state, now) <= (first + more) * (1 + 1e-6) + 1e-6
    assert wait_before(state, state.not_before) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": -1.0},
        {"first": 9.0, "longest": 1.0},
        {"longest": math.inf},
        {"patience": -1.0},
        {"patience": math.nan},
    ],
)
def test_reconnect_policy_with_impossible_or_contradictory_pauses_is_refused(
    wrong: dict[str, float],
) -> None:
    """A reconnect policy with impossible or contradictory pauses is refused."""
    with pytest.raises(InvalidData, match="reconnect policy"):
        ReconnectPolicy(**wrong)
