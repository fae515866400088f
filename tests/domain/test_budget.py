"""The retry budget limits the load that retries add during an outage."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.resilience.budget import Budget, BudgetRule, RetryBudget
from moorage.domain.resilience.gate_commands import UncountAttempt
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, SECOND
from moorage.errors import ConfigurationError
from tests.domain.state_store import NOON, has_remedy, long_lists
from tests.support.examples import examples

budgets = st.builds(
    RetryBudget,
    ratio=st.sampled_from([0.1, 0.2, 0.29, 1 / 3, 0.001, 1, 0.000_000_4]),
    floor=st.integers(0, 4),
    period=st.sampled_from([0.000_001, 1.0, 10.0, 86_400.0]),
)
calls = st.tuples(st.just("call"), st.integers(1, 40))
retries = st.tuples(st.just("retry"), st.integers(1, 40))
advances = st.tuples(st.just("advance"), st.one_of(st.integers(0, 5), st.integers(0, 25 * SECOND)))
steps = st.tuples(st.just("advance"), st.integers(-2 * DAY, -1))


@examples(200)
@given(budgets, long_lists([calls, retries, retries, advances, advances, steps], 60))
def test_no_run_of_periods_retries_more_than_its_share(
    budget: RetryBudget, walk: list[tuple[str, int]]
) -> None:
    """In a number of periods, a budget allows at most ratio · calls + floor · periods retries."""
    rule = BudgetRule(budget)
    ratio = Fraction(str(budget.ratio))
    now, state = NOON, rule.present(None, NOON)
    periods = [[0, 0]]
    period = state[2]
    for name, number in walk:
        if name == "advance":
            now += number
            continue
        state = rule.present(state, now)
        # After a clock step back, the budget stays in its present period.
        if state[2] > period:
            periods += [[0, 0] for _ in range(min(2, state[2] - period))]
        period = state[2]
        assert 0 < rule.left_for(state) <= rule.period
        for _ in range(number):
            if name == "call":
                state = rule.count_call(state)
                periods[-1][0] += 1
            elif retried_state := rule.count_retry(state):
                state = retried_state
                periods[-1][1] += 1
            else:
                break
    for first, last in combinations_with_replacement(range(len(periods)), 2):
        earned = sum(called for called, _ in periods[max(0, first - 1) : last + 1])
        spent_retries = sum(retried for _, retried in periods[first : last + 1])
        assert spent_retries <= ratio * earned + budget.floor * (last - first + 1)


@examples(200)
@given(budgets, long_lists([calls, retries, advances], 30), st.integers(0, 10 * SECOND))
def test_fresh_retry_budget_decides_exactly_like_stored_one_after_its_time_to_live(
    budget: RetryBudget, walk: list[tuple[str, int]], idle: int
) -> None:
    """A stored retry budget whose time to live has passed decides exactly like a new one."""
    rule = BudgetRule(budget)
    now = NOON
    response: Budget | None = None
    fresh_state: Budget | None = None
    for round_number in range(2):
        for name, number in walk:
            if name == "advance":
                now += number
                continue
            response = rule.present(response, now)
            if round_number == 0:
                response = (
                    rule.count_call(response)
                    if name == "call"
                    else rule.count_retry(response) or response
                )
                continue
            fresh_state = rule.present(fresh_state, now)
            assert rule.left_for(response) == rule.left_for(fresh_state)
            if name == "call":
                response, fresh_state = rule.count_call(response), rule.count_call(fresh_state)
            else:
                numbers, other_numbers = rule.count_retry(response), rule.count_retry(fresh_state)
                assert (numbers is None) is (other_numbers is None)
                response, fresh_state = numbers or response, other_numbers or fresh_state
        if response is None:
            return
        now = max(now, response[0] + response[1]) + idle


def test_unspent_retries_of_budget_period_may_be_used_in_next_one() -> None:
    """Unused retries of a retry budget's period may be used in the next period, but no later."""
    rule = BudgetRule(RetryBudget(ratio=0.5, floor=0, period=1.0))
    state = rule.count_call(rule.count_call(rule.present(None, NOON)))
    early_state, late_state = (
        rule.present(state, NOON + SECOND),
        rule.present(state, NOON + 2 * SECOND),
    )
    assert rule.count_retry(early_state) is not None
    assert rule.count_retry(late_state) is None


def test_spent_retries_are_not_carried_over() -> None:
    """If a budget's period used up all its retries, the next period does not inherit any."""
    rule = BudgetRule(RetryBudget(ratio=1, floor=1, period=1.0))
    state = rule.count_call(rule.present(None, NOON))
    for _ in range(2):
        spent_state = rule.count_retry(state)
        assert spent_state is not None
        state = spent_state
    following_state = rule.count_retry(rule.present(state, NOON + SECOND))
    assert following_state is not None
    assert rule.count_retry(following_state) is None


def test_state_of_a_budget_is_stored_for_two_periods() -> None:
    """The state of a retry budget is stored for its period and the next period."""
    rule = BudgetRule(RetryBudget(period=10.0))
    assert 20 * SECOND == rule.present(None, NOON)[1]


@pytest.mark.parametrize(
    "path, value",
    [
        *(("ratio", value) for value in (0, -0.1, 1.1, math.nan, True, "0.2", None)),
        *(("floor", value) for value in (-1, 1.0, True, "3", None, 10**10)),
        *(("period", value) for value in (0, -1, math.inf, True, "3", None)),
    ],
)
def test_invalid_settings_are_refused(path: str, value: Any) -> None:
    """An invalid retry budget setting is refused; the error contains the field's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        RetryBudget(**{path: value})
    assert path == excinfo.value.path
    assert has_remedy(excinfo.value)


def test_retry_budget_floor_may_be_zero() -> None:
    """The minimum of a retry budget may be zero, and its period may be a timedelta."""
    minute: Any = timedelta(minutes=1)
    assert (0, 60.0) == (RetryBudget(floor=0).floor, RetryBudget(period=minute).period)


def test_service_without_calls_may_retry_up_to_the_floor() -> None:
    """Without any calls, a retry budget allows as many retries per period as its floor."""
    rule = BudgetRule(RetryBudget(ratio=0.1, floor=2))
    state = rule.present(None, NOON)
    for _ in range(2):
        spent_state = rule.count_retry(state)
        assert spent_state is not None
        state = spent_state
    assert rule.count_retry(state) is None
    assert rule.count_retry(rule.present(state, NOON + 10 * SECOND)) is not None


@pytest.mark.parametrize("back", [1, SMALL_STEP, SMALL_STEP + 1, DAY])
def test_clock_step_back_changes_no_budget(back: int) -> None:
    """If the clock steps back, a retry budget is neither refilled nor empty for longer."""
    rule = BudgetRule(RetryBudget(ratio=1, floor=0))
    state = rule.count_call(rule.present(None, NOON))
    spent_state = rule.count_retry(state)
    assert spent_state is not None
    assert rule.count_retry(rule.present(spent_state, NOON - back)) is None
    assert rule.count_retry(rule.present(state, NOON - back)) is not None
    called_state = rule.count_call(rule.present(spent_state, NOON - back))
    assert rule.count_retry(rule.present(called_state, NOON - back + 10 * SECOND)) is not None


def test_ratio_of_29_percent_allows_29_retries_for_100_calls() -> None:
    """A retry budget's ratio of 0.29 allows 29 retries for 100 calls, not 28."""
    rule = BudgetRule(RetryBudget(ratio=0.29, floor=0))
    assert (29, 100) == (rule.parts, rule.whole)


def test_attempt_of_a_forgotten_budget_is_not_taken_back() -> None:
    """Taking back an attempt from a retry budget that the store has forgotten writes nothing."""
    command = UncountAttempt(BudgetRule(RetryBudget()), "budget:shop")
    assert ((None,), None) == command.apply((None,), NOON)
