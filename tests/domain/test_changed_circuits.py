"""Processes with different settings for one circuit share its state, as during a roll-out."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.circuit import CircuitState, Outcome
from moorage.domain.values.durations import SECOND
from tests.domain.circuit_caller import FORCED_OPEN, HALF_OPEN, OPEN, CircuitCaller

RATE: dict[str, Any] = {
    "failures": None,
    "consecutive_failures": None,
    "failure_rate": 0.5,
    "minimum_calls": 10,
}
WINDOWS: list[dict[str, Any]] = [
    {"window": 60.0},
    {"window": 7.0},
    {"window": 3_600.0},
    {"window_calls": 50},
]


def line_with_rules(line: CircuitCaller, **config: Any) -> CircuitCaller:
    """Return the same circuit as a process with other settings uses it."""
    other_line = CircuitCaller(**config)
    other_line.store, other_line.tokens = line.store, 1_000
    return other_line


@pytest.mark.parametrize("before", WINDOWS)
@pytest.mark.parametrize("after", WINDOWS)
def test_open_circuit_stays_open_when_its_window_changes(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """If the window changes, an open circuit stays open until its original time, then probes."""
    line = CircuitCaller(failures=1, open_for=60.0, **before)
    assert OPEN is line.call()
    line.wait(1)
    changed_line = line_with_rules(line, failures=9, open_for=5.0, **after)
    assert (Answer.CIRCUIT_OPEN, 59 * SECOND, None) == changed_line.ask()
    line.wait(59)
    permit = changed_line.enter()
    assert Answer.PROBES_TAKEN is line.ask()[0]
    assert HALF_OPEN is line.state.state
    assert CircuitState.CLOSED is changed_line.leave(permit, Outcome.GOOD)


def test_forced_open_circuit_stays_open_when_its_window_changes() -> None:
    """A circuit that an operator forced open stays open when its window changes."""
    line = CircuitCaller()
    line.set(FORCED_OPEN)
    assert FORCED_OPEN is line_with_rules(line, window=5.0).state.state


def test_only_failures_within_the_new_window_count() -> None:
    """If a circuit's window changes, only failures within the new window count."""
    line = CircuitCaller(failures=3, consecutive_failures=None, window=60.0)
    line.call()
    line.wait(20)
    line.call()
    other_rules = {"consecutive_failures": None, "window": 10.0}
    assert line_with_rules(line, failures=3, **other_rules).call() is None
    assert OPEN is line_with_rules(line, failures=3, **other_rules).call()


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ({"window": 60.0}, {"window": 600.0}, (8, 4)),
        ({"window": 600.0}, {"window": 60.0}, (8, 4)),
        ({"window": 60.0}, {"window_calls": 100}, (8, 4)),
        ({"window_calls": 100}, {"window_calls": 1_000}, (8, 4)),
        ({"window_calls": 100}, {"window": 60.0}, (0, 0)),
    ],
)
def test_failure_rate_survives_a_window_change(
    before: dict[str, Any], after: dict[str, Any], expected: tuple[int, int]
) -> None:
    """A new window keeps counted calls and failures, unless it counts time instead of calls."""
    line = CircuitCaller(**RATE, **before)
    for _ in range(4):
        line.call(Outcome.GOOD)
        line.call()
        line.wait(7)
    state = line_with_rules(line, **RATE, **after).state
    assert expected == (state.calls, state.failures)


def test_wider_time_slots_end_at_the_narrow_rule() -> None:
    """If a circuit's window becomes shorter, calls outside the new window are forgotten."""
    line = CircuitCaller(**RATE, window=3_600.0)
    for _ in range(9):
        line.call()
    narrow_line = line_with_rules(line, **RATE, window=10.0)
    narrow_line.call(Outcome.GOOD)
    line.wait(12)
    assert (0, 0) == (narrow_line.state.calls, narrow_line.state.failures)


def test_last_calls_count_for_a_window_in_calls() -> None:
    """A window of 20 calls does not count a failure that is more than 20 calls old."""
    line = CircuitCaller(**RATE, window=60.0)
    line.call()
    line.wait(6)
    for _ in range(30):
        line.call(Outcome.GOOD)
    line.wait(6)
    line.call(Outcome.GOOD)
    state = line_with_rules(line, **RATE, window_calls=20).state
    assert 0 == state.failures


def test_alternating_rules_keep_the_state_small() -> None:
    """A circuit's state stays small if processes with different settings use it alternately."""
    generator = Random(7)
    never_open = RATE | {"minimum_calls": 1_000_000}
    first_line = CircuitCaller(**never_open, **WINDOWS[0])
    lines = [
        first_line,
        *(line_with_rules(first_line, **never_open, **window) for window in WINDOWS[1:]),
    ]
    highest = 0
    for _ in range(2_000):
        line = generator.choice(lines)
        first_line.wait(generator.choice((0, 0.1, 1, 5)))
        line.call(generator.choice((Outcome.GOOD, Outcome.GOOD, Outcome.GOOD, Outcome.FAILED)))
        highest = max(highest, len(first_line.store.cells["k"][7].past))
    assert 28 * 20 >= highest


def test_changed_circuit_is_stored_as_long_as_its_new_window() -> None:
    """If the window of a circuit becomes longer, its state is also stored for longer."""
    line = CircuitCaller(window=1.0)
    line.call(Outcome.GOOD)
    long_line = line_with_rules(line, window=86_400.0)
    long_line.call(Outcome.GOOD)
    assert long_line.rule.keep_for == line.store.cells["k"][1]


def test_clock_step_moves_the_times_of_the_former_rule() -> None:
    """If settings change while the clock steps back, a circuit stays open as long as before."""
    line = CircuitCaller(failures=1, open_for=60.0, window=60.0)
    line.call()
    line.store.now -= 3_600 * SECOND
    assert (Answer.CIRCUIT_OPEN, 60 * SECOND, None) == line_with_rules(line, window_calls=10).ask()
