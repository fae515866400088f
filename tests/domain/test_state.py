"""The times in a stored state, and their relation to the store's clock."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.idempotency.claims import WriteRecordOfHolder
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule
from moorage.domain.resilience.gate_commands import GiveBack, Pause, Resume
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.state.commands import (
    SMALL_STEP,
    State,
    misread_state_error,
    reading_time,
    with_times_moved_back,
)
from moorage.domain.values.durations import DAY, HOUR, SECOND
from moorage.errors import StateUnavailable
from tests.domain.state_store import NOON

times = st.one_of(
    st.integers(NOON - 400 * DAY, NOON + 400 * DAY),
    st.integers(NOON - SMALL_STEP - 2, NOON + SMALL_STEP + 2),
    st.sampled_from([NOON, NOON + SMALL_STEP, NOON + SMALL_STEP + 1]),
)


class Clock:
    """A rule for the times in a stored state, whose first item is the time of its last change."""

    def present(self, state: State | None, now: int) -> State | None:
        """Return the state with its time set to now."""
        assert state is not None
        time, back = reading_time(state[0], now)
        return (time, state[1], state[2] - back)


@given(times, times)
def test_small_clock_step_back_is_ignored(seen: int, now: int) -> None:
    """The time of a state never goes back, unless a large clock step shifts the whole state."""
    time, back = reading_time(seen, now)
    if now >= seen:
        assert (now, 0) == (time, back)
    elif seen - now <= SMALL_STEP:
        assert (seen, 0) == (time, back)
    else:
        assert (now, seen - now) == (time, back)


@given(st.lists(st.none() | times, min_size=1, max_size=4), times)
def test_command_without_changes_updates_only_the_time(seen: list[int | None], now: int) -> None:
    """A command that changes nothing leaves its states unchanged, or updates only their time."""
    states = tuple(None if time is None else (time, DAY, time + SECOND) for time in seen)
    later_states = with_times_moved_back([Clock()] * len(states), states, now)
    for old_state, new_values in zip(states, later_states, strict=True):
        if old_state is None or abs(old_state[0] - now) <= SMALL_STEP:
            assert old_state is new_values
        else:
            back = max(0, old_state[0] - now)
            assert (now, DAY, old_state[2] - back) == new_values


def test_step_back_of_two_seconds_is_small() -> None:
    """A state whose time is within two seconds of the clock stays the same object."""
    rules = [Clock()] * 3
    for old_time in (NOON - SMALL_STEP, NOON + SMALL_STEP):
        states = ((old_time, DAY, 0), (NOON - HOUR, DAY, 0), (NOON + HOUR, DAY, HOUR))
        later_states = with_times_moved_back(rules, states, NOON)
        assert states[0] is later_states[0]
        assert ((NOON, DAY, 0), (NOON, DAY, 0)) == later_states[1:]


class NumbersRule:
    """A rule that can read only states of three numbers."""

    def present(self, state: State | None, now: int) -> State | None:
        """Return the state, after checking that it has three numbers."""
        if state is not None:
            _, _, _ = state
        return state


def test_state_that_its_rule_cannot_read_is_named() -> None:
    """The error for an unreadable state contains its key, but not its content."""
    good_state, unreadable_state = (NOON, DAY, 1), (NOON, DAY, "secret", 2)
    error = misread_state_error(
        ValueError(),
        ("a", "b", "c"),
        [NumbersRule()] * 3,
        (good_state, unreadable_state, unreadable_state),
        NOON,
    )
    assert isinstance(error, StateUnavailable)
    assert "b" == error.key
    assert "secret" not in str(error)


def test_command_own_error_is_raised_unchanged_if_all_states_of_command_are_readable() -> None:
    """If all states of a command are readable, the command's own error is raised unchanged."""
    error = ValueError()
    assert error is misread_state_error(error, ("a",), [NumbersRule()], ((NOON, DAY, 1),), NOON)
    assert error is misread_state_error(error, ("a",), (), (None,), NOON)


def test_command_without_rules_names_unreadable_state_of_its_only_key() -> None:
    """For a command without rules, an unreadable state is named only if there is a single key."""
    stored_state = (NOON, DAY)
    for keys, named_key in ((("a",), "a"), (("a", "b"), None)):
        error = misread_state_error(KeyError(), keys, (), (stored_state,) * len(keys), NOON)
        assert isinstance(error, StateUnavailable)
        assert named_key == error.key


def test_ticket_for_other_limits_raises_value_error() -> None:
    """A ticket for limits other than the command's raises ValueError."""
    rule = RateLimitConfig.per_second(5).rule
    gates = Gates(limits=[rule], limit_keys=["limit"])
    state = rule.fast_grant(None, NOON, 1)
    wrong_command = GiveBack(gates, ((1, 2, 3, 4, 5), (1, 2, 3, 4, 5)))
    with pytest.raises(ValueError, match="longer"):
        wrong_command.apply((state,), NOON)


CIRCUIT: Final = CircuitRule(CircuitBreakerConfig())
LIMIT: Final = RateLimitConfig.per_second(5).rule


@pytest.mark.parametrize("circuit", [None, CIRCUIT])
@pytest.mark.parametrize("limits", [(), (LIMIT,), (LIMIT, LIMIT)])
def test_admission_names_the_state_it_cannot_read(
    circuit: CircuitRule | None, limits: tuple[Any, ...]
) -> None:
    """If an admission cannot read a state, the error names the state."""
    names = [f"limit {number}" for number in range(len(limits))]
    gates = Gates(circuit=circuit, circuit_key="circuit", limits=limits, limit_keys=names)
    question = Admission(gates, within=0, lease=1, claim=None if gates.rules else ("claim", 1, ""))
    for place, key in enumerate(question.keys):
        states: list[State | None] = [None] * len(question.keys)
        states[place] = (NOON, DAY, 0, "of another layout")
        with pytest.raises(StateUnavailable, match="another layout") as excinfo:
            question.apply(tuple(states), NOON)
        assert key == excinfo.value.key


LIMITS: Final = Gates(limits=(LIMIT, LIMIT), limit_keys=["a", "b"])


@pytest.mark.parametrize(
    "command",
    [
        Pause(LIMITS, SECOND),
        Resume(LIMITS),
        WriteRecordOfHolder("a", 1, "b", "answer", fingerprint=b"", ttl=HOUR),
    ],
    ids=lambda command: type(command).__name__,
)
def test_command_names_the_state_it_cannot_read(command: Any) -> None:
    """If starting or ending a pause cannot read a state, the error contains the state's key."""
    states = (None, (NOON, DAY, 0, "of another layout"))
    with pytest.raises(StateUnavailable, match="another layout") as excinfo:
        command.apply(states, NOON)
    assert "b" == excinfo.value.key
