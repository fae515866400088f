"""The circuit breaker: the rules that open it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.circuit import (
    CircuitBreakerConfig,
    CircuitRule,
    CircuitState,
    Outcome,
)
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import FOREVER, HOUR, SECOND
from tests.domain.circuit_caller import FORCED_OPEN, LEASE, OPEN, CircuitCaller
from tests.domain.state_store import NOON


def test_five_failures_in_a_minute_open_the_circuit_for_a_minute() -> None:
    """By default the fifth failure within 60 s opens the circuit for 60 s."""
    line = CircuitCaller(consecutive_failures=None)
    for _ in range(4):
        line.call()
        line.wait(14.9)
        line.call(Outcome.GOOD)
    assert line.state.retry_after is None
    assert OPEN is line.call()
    assert (Answer.CIRCUIT_OPEN, 60 * SECOND, None) == line.ask()
    line.wait(59)
    assert 1.0 == line.state.retry_after
    line.wait(1)
    assert Answer.GO is line.ask()[0]
    assert line.state.retry_after is None


@pytest.mark.parametrize("over, expected", [(0, None), (-1, OPEN)])
def test_failure_as_old_as_circuit_window_does_not_count(
    over: int, expected: CircuitState | None
) -> None:
    """A failure as old as the circuit's window is not counted.

    A failure that is a microsecond younger is counted.
    """
    line = CircuitCaller(failures=2, consecutive_failures=None, window=10.0)
    line.call()
    line.store.now += 10 * SECOND + over
    assert expected is line.call()


def test_failure_rate_needs_minimum_calls_in_its_window() -> None:
    """A circuit's failure rate counts only if its window has the minimum number of calls."""
    line = CircuitCaller(
        failures=None, consecutive_failures=None, failure_rate=0.5, minimum_calls=10, window=10.0
    )
    for _ in range(9):
        line.call(Outcome.GOOD)
    line.wait(11)
    for _ in range(4):
        line.call(Outcome.GOOD)
        assert line.call() is None
    line.call(Outcome.GOOD)
    assert OPEN is line.call()


@pytest.mark.parametrize("rate, calls, failures", [(0.07, 100, 7), (0.29, 100, 29), (1, 10, 10)])
def test_failure_rate_is_computed_without_float_errors(
    rate: float, calls: int, failures: int
) -> None:
    """A circuit's failure rate of seven per cent means seven of a hundred, without float errors."""
    line = CircuitCaller(
        failures=None, consecutive_failures=None, failure_rate=rate, minimum_calls=calls
    )
    permits = [line.enter() for _ in range(calls)]
    changes = [line.leave(permit) for permit in permits[:failures]]
    assert [None] * (failures - 1) + [OPEN] == changes


def test_failures_of_calls_out_of_the_window_still_count() -> None:
    """A failure counts in a circuit's rate even if its call began before the current window."""
    line = CircuitCaller(
        failures=None, consecutive_failures=None, failure_rate=0.5, minimum_calls=3, window=10.0
    )
    permits = [line.enter() for _ in range(3)]
    line.wait(25)
    assert [None, None, OPEN] == [line.leave(permit) for permit in permits]


def test_slow_answers_open_the_circuit() -> None:
    """Enough slow responses open a circuit, even if no call failed."""
    line = CircuitCaller(slow_call=1.0, slow_call_rate=0.75, minimum_calls=4)
    line.call(Outcome.GOOD)
    assert [None, None, OPEN] == [line.call(Outcome.SLOW) for _ in range(3)]
    line.wait(60)
    assert OPEN is line.call(Outcome.SLOW)


def test_slow_answers_of_calls_out_of_the_window_still_count() -> None:
    """The slow-call rate divides by the greatest of calls, failures and slow responses."""
    config: dict[str, Any] = {"failures": None, "consecutive_failures": None, "slow_call": 1.0}
    line = CircuitCaller(**config, window=10.0, minimum_calls=3)
    calls = [line.enter() for _ in range(3)]
    line.wait(25)
    assert [None, None, OPEN] == [line.leave(call, Outcome.SLOW) for call in calls]
    line = CircuitCaller(**config, window=10.0, minimum_calls=1)
    calls = [line.enter() for _ in range(4)]
    line.wait(25)
    assert [None, None, None] == [line.leave(call) for call in calls[:3]]
    assert line.leave(calls[3], Outcome.SLOW) is None


def test_late_failures_stay_in_the_window() -> None:
    """A failure of a long call stays in a circuit's window for as long as other failures."""
    line = CircuitCaller(failures=None, failure_rate=0.9, window=10.0, minimum_calls=9)
    calls = [line.enter() for _ in range(2)]
    line.wait(5)
    assert [None, None] == [line.leave(call) for call in calls]
    line.wait(9)
    line.call(Outcome.GOOD)
    assert 2 == line.state.failures
    line.wait(3)
    assert 0 == line.state.failures


def test_old_slots_leave_the_window() -> None:
    """A call that ended a whole window ago is neither counted nor stored."""
    line = CircuitCaller(window=10.0)
    line.enter()
    line.wait(11)
    line.enter()
    assert b"" == line.store.cells["k"][7].past
    assert 1 == line.state.calls
    line = CircuitCaller(window=0.000_015)
    line.enter()
    line.store.now += 16
    line.enter()
    assert 2 == line.state.calls
    line.store.now += 1
    assert 1 == line.state.calls


def test_clock_steps_do_not_change_a_window_of_calls() -> None:
    """Clock steps do not change a circuit's window that is counted in calls."""
    line = CircuitCaller(failures=None, failure_rate=0.5, minimum_calls=99, window_calls=20)
    line.call()
    for _ in range(19):
        line.call(Outcome.GOOD)
        line.store.now -= HOUR
    assert (20, 1) == (line.state.calls, line.state.failures)
    for _ in range(3):
        line.call(Outcome.GOOD)
    assert 0 == line.state.failures


def test_fast_path_serves_calls_of_the_current_slot() -> None:
    """A circuit's fast path, which skips the store, serves only calls of the current time slot."""
    rule, now = CircuitRule(CircuitBreakerConfig()), NOON + 1
    state = rule.admit(rule.present(None, now), 0, LEASE)[0]
    end_time = NOON + 6 * SECOND
    assert [True, True, False, False] == [
        rule.fast_admit(state, time) is not None for time in (now, end_time - 1, end_time, now - 1)
    ]
    rule = CircuitRule(CircuitBreakerConfig(window_calls=20))
    state = rule.admit(rule.present(None, now), 0, LEASE)[0]
    end_time = now + rule.keep_for
    assert [True, True, False, False] == [
        rule.fast_admit(state, time) is not None for time in (now, end_time - 1, end_time, now - 1)
    ]
    second = rule.fast_admit(state, now)
    assert second is not None
    assert rule.fast_admit(second, now) is None


def test_fast_path_of_an_open_circuit_needs_a_recent_state() -> None:
    """An open circuit's fast path refuses a call only if the state was written recently."""
    line = CircuitCaller(failures=1)
    line.enter()
    cells = line.store.cells
    assert [0, 0] == [line.rule.refusal_time(state, NOON) for state in (None, cells["k"])]
    line.call()
    times = [-1, 0, SMALL_STEP, SMALL_STEP + 1]
    minute = 60 * SECOND
    assert [0, minute, minute - SMALL_STEP, 0] == [
        line.rule.refusal_time(cells["k"], NOON + time) for time in times
    ]
    line.set(FORCED_OPEN)
    assert [0, FOREVER, FOREVER, 0] == [
        line.rule.refusal_time(cells["k"], NOON + time) for time in times
    ]
    shadow = CircuitRule(CircuitBreakerConfig(shadow=True))
    assert 0 == shadow.refusal_time(cells["k"], NOON)


def test_window_calls_makes_the_rate_cover_the_last_calls() -> None:
    """With `window_calls` a circuit's rate covers the last calls, whenever they were."""
    line = CircuitCaller(
        failures=None,
        consecutive_failures=None,
        failure_rate=0.5,
        minimum_calls=10,
        window_calls=10,
    )
    for _ in range(4):
        line.call()
        line.wait(3_600)
    for _ in range(11):
        line.call(Outcome.GOOD)
    assert 0 == line.state.failures
    for _ in range(4):
        line.wait(3_600)
        assert line.call() is None
    assert OPEN is line.call()


def test_window_of_calls_has_ten_slots() -> None:
    """A window that counts calls has ten slots.

    A failure is forgotten when its slot leaves the window.
    """
    line = CircuitCaller(failures=None, failure_rate=0.5, window_calls=23)
    line.call()
    for _ in range(24):
        line.call(Outcome.GOOD)
    assert 25 == line.state.calls
    line.call(Outcome.GOOD)
    assert 23 == line.state.calls


def test_reported_success_changes_nothing() -> None:
    """Reporting a success to a closed circuit changes nothing."""
    line = CircuitCaller()
    state_before = line.state
    assert line.leave(line.enter(), Outcome.GOOD) is None
    assert attrs.evolve(state_before, calls=1) == line.state


def test_fifth_consecutive_failure_opens_circuit_with_one_call_hour() -> None:
    """With one call an hour, the fifth consecutive failure opens the circuit."""
    line = CircuitCaller()
    changes = []
    for _ in range(5):
        changes.append(line.call())
        line.wait(3_600)
    assert [None] * 4 + [OPEN] == changes


def test_success_resets_consecutive_failures() -> None:
    """A success between failures resets the circuit's count of consecutive failures."""
    line = CircuitCaller(failures=None, consecutive_failures=3)
    for _ in range(5):
        assert [None, None] == [line.call(), line.call()]
        line.call(Outcome.GOOD)
        line.wait(3_600)
    assert 0 == line.state.consecutive_failures


def test_consecutive_failures_count_in_order_of_admission() -> None:
    """A circuit counts consecutive failures in the order in which calls began, not ended."""
    line = CircuitCaller(failures=None, consecutive_failures=4)
    first, second = line.enter(), line.enter()
    assert [None, None] == [line.leave(second), line.leave(first)]
    assert 2 == line.state.consecutive_failures
    third, silent_permit, fourth, fifth = (line.enter() for _ in range(4))
    assert [None, None, None] == [line.leave(call) for call in (fifth, third, fourth)]
    assert OPEN is line.leave(silent_permit)


def test_late_failures_join_neighbouring_runs() -> None:
    """A failure reported late joins the runs of failures before and after it into one run."""
    for order in ((2, 3, 4, 1), (3, 4, 1, 2), (4, 3, 2, 1), (1, 2, 4, 3), (1, 4, 2, 3)):
        line = CircuitCaller(failures=None, consecutive_failures=4)
        calls = [line.enter() for _ in range(4)]
        changes = [line.leave(calls[number - 1]) for number in order]
        assert [None, None, None, OPEN] == changes


def test_cancelled_call_does_not_interrupt_a_run_of_failures() -> None:
    """A cancelled call does not interrupt a run of consecutive failures."""
    line = CircuitCaller(failures=None, consecutive_failures=3)
    line.call()
    line.call(Outcome.NEUTRAL)
    line.call()
    assert 2 == line.state.consecutive_failures
    assert OPEN is line.call()


def test_run_of_failures_ends_after_a_day() -> None:
    """If a circuit's last failure was a day ago, a new run of failures begins."""
    line = CircuitCaller(failures=None, consecutive_failures=2)
    line.call()
    line.wait(86_400)
    assert line.call() is None
    line.wait(86_399)
    assert OPEN is line.call()


def test_cancelled_call_is_uncounted_in_its_slot() -> None:
    """A cancelled call is not counted any more in the time slot in which it began."""
    line = CircuitCaller(
        failures=None, consecutive_failures=None, failure_rate=0.5, minimum_calls=2, window=10.0
    )
    early_permits = [line.enter() for _ in range(3)]
    line.wait(3)
    middle_permit = line.enter()
    line.wait(3)
    late_permits = [line.enter() for _ in range(2)]
    for permit in (early_permits[0], middle_permit, late_permits[0]):
        line.leave(permit, Outcome.NEUTRAL)
    assert 3 == line.state.calls
    line.wait(6)
    assert 1 == line.state.calls
    line.leave(early_permits[1], Outcome.NEUTRAL)
    assert 1 == line.state.calls
    line.wait(30)
    line.enter()
    line.leave(early_permits[2], Outcome.NEUTRAL)
    assert 1 == line.state.calls


def test_cancelled_last_call_of_a_slot() -> None:
    """If the last call of a time slot is cancelled, the next slot keeps its count."""
    line = CircuitCaller(failures=None, failure_rate=0.5, window=10.0)
    calls = [line.enter() for _ in range(2)]
    line.wait(2)
    line.enter()
    line.wait(2)
    line.leave(calls[1], Outcome.NEUTRAL)
    assert 2 == line.state.calls
    line.wait(7)
    line.enter()
    assert 2 == line.state.calls
    line = CircuitCaller(failures=None, failure_rate=0.5, window=10.0)
    call = line.enter()
    line.wait(2)
    line.enter()
    line.leave(call, Outcome.NEUTRAL)
    line.wait(9.5)
    assert 1 == line.state.calls


def test_repeated_cancellation_counts_once() -> None:
    """A cancellation that is reported twice does not make a circuit's count negative."""
    line = CircuitCaller(failures=None, failure_rate=0.5, window=10.0)
    line.enter()
    line.wait(20)
    call = line.enter()
    for _ in range(3):
        line.leave(call, Outcome.NEUTRAL)
    line.enter()
    assert 1 == line.state.calls
    line.wait(2)
    for _ in range(3):
        line.leave(call, Outcome.NEUTRAL)
    line.enter()
    assert 1 == line.state.calls


def test_quorum_needs_recent_failures_from_several_reporters() -> None:
    """If a circuit needs failures of two processes, one process alone never opens it."""
    line = CircuitCaller(failures=2, consecutive_failures=None, window=10.0, quorum=2)
    assert [None] * 4 == [line.call(reporter="a") for _ in range(4)]
    line.wait(11)
    line.call(reporter="b")
    assert line.call(reporter="b") is None
    line = CircuitCaller(failures=2, window=10.0, quorum=2)
    line.call(reporter="a")
    assert OPEN is line.call(reporter="b")


def test_quorum_survives_a_clock_step_back() -> None:
    """For a circuit's quorum, a failure counts for as long after a clock step back as before."""
    for back in (3 * SECOND, HOUR):
        for wait, expected in ((9, OPEN), (10, None)):
            line = CircuitCaller(failures=2, consecutive_failures=None, window=10.0, quorum=2)
            line.call(reporter="a")
            line.store.now -= back
            line.call(Outcome.GOOD)
            line.wait(wait)
            assert expected is line.call(reporter="b")


@pytest.mark.parametrize("back", [3 * SECOND, HOUR])
def test_old_failures_do_not_count_after_a_step_back(back: int) -> None:
    """After a clock step back, an expired failure does not count towards a circuit's quorum."""
    line = CircuitCaller(failures=2, consecutive_failures=None, window=10.0, quorum=2)
    line.call(reporter="a")
    line.store.now -= back
    line.call(Outcome.GOOD)
    line.wait(10)
    assert [None, None] == [line.call(reporter="b") for _ in range(2)]
