"""The circuit breaker's open time, probes and generations, and states set by an operator."""

from __future__ import annotations

import math
from typing import Any

import pytest

from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.resilience.circuit import (
    Outcome,
    mode_to_force,
)
from moorage.domain.values.durations import DAY, FOREVER, HOUR, SECOND
from moorage.errors import ConfigurationError
from tests.domain.circuit_caller import (
    CLOSED,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    LEASE,
    OPEN,
    CircuitCaller,
)
from tests.domain.state_store import NOON, has_remedy


def test_open_time_grows_until_a_window_without_opening() -> None:
    """Each opening of a circuit lasts longer, up to a maximum, until a window without opening."""
    line = CircuitCaller(failures=1, window=20.0, open_for=10.0, open_growth=3.0, open_at_most=50.0)
    line.call()
    times = []
    for _ in range(4):
        times.append(line.state.retry_after)
        line.store.now += line.ask()[1]
        line.call(Outcome.GOOD)
        line.wait(19)
        line.call()
    assert [10.0, 30.0, 50.0, 50.0] == times
    line.store.now += line.ask()[1]
    line.call(Outcome.GOOD)
    line.wait(20)
    line.call()
    assert (10.0, 1) == (line.state.retry_after, line.state.openings)


def test_growth_reset_survives_a_clock_step_back() -> None:
    """If the clock steps back, a circuit's growing open time is not reset early or late."""
    line = CircuitCaller(failures=1, window=20.0, open_for=10.0)
    line.call()
    line.wait(10)
    line.call(Outcome.GOOD)
    line.store.now -= HOUR
    line.wait(19)
    line.call()
    assert 20.0 == line.state.retry_after
    line.wait(20)
    line.call(Outcome.GOOD)
    line.store.now -= HOUR
    line.call(Outcome.GOOD)
    line.wait(20)
    line.call()
    assert 10.0 == line.state.retry_after


@pytest.mark.parametrize("growth, longest", [(1.01, 1.01**40), (100, 99.0), (100.0, 99.0), (1, 1)])
def test_open_time_grows_to_the_cap(growth: float, longest: float) -> None:
    """A circuit's open time grows to the cap, whether slowly or fast, without overflow."""
    line = CircuitCaller(failures=1, open_for=1.0, open_growth=growth, open_at_most=99.0)
    line.call()
    openings = 40 if growth < 2 else 400
    for _ in range(openings):
        line.store.now += line.ask()[1]
        line.call()
    assert math.isclose(longest, line.state.retry_after or 0, rel_tol=1e-5)
    assert openings + 1 == line.state.openings


def test_cap_below_the_open_time_is_ignored() -> None:
    """A circuit's first opening lasts as configured, even if the cap is lower."""
    line = CircuitCaller(failures=1, open_for=1_000.0)
    line.call()
    assert 1_000.0 == line.state.retry_after


def test_half_open_circuit_refuses_calls_beyond_its_probes() -> None:
    """In a half-open circuit, further calls are refused until the lease of the first probe ends."""
    line = CircuitCaller(failures=1, probes=2)
    line.call()
    line.wait(60)
    line.enter()
    line.wait(10)
    line.enter()
    assert (Answer.PROBES_TAKEN, 20 * SECOND, None) == line.ask()
    assert 2 == line.state.probes_under_way
    line.wait(20)
    assert 1 == line.state.probes_under_way


def test_repeated_probe_request_counts_once() -> None:
    """A probe that repeats its request with the same token gets the same reply."""
    line = CircuitCaller(failures=1, probes=2)
    line.call()
    line.wait(60)
    question = Admission(line.gates, within=0, lease=LEASE, token=7)
    first = line.store.execute(question)
    line.wait(1)
    assert first == line.store.execute(question)
    assert 1 == line.state.probes_under_way
    line.enter()
    assert (Answer.PROBES_TAKEN, 29 * SECOND, None) == line.ask()


def test_circuit_closes_after_enough_successes() -> None:
    """A half-open circuit closes only after the configured number of successful probes."""
    line = CircuitCaller(failures=1, successes=3)
    line.call()
    line.wait(60)
    changes = [line.call(Outcome.GOOD) for _ in range(3)]
    assert [None, None, CLOSED] == changes


def test_probe_that_never_reports_frees_its_slot_when_its_lease_ends() -> None:
    """The slot of a probe that never reports becomes free when its lease ends.

    The probe is not counted.
    """
    line = CircuitCaller(failures=1)
    line.call()
    line.wait(60)
    dead_permit = line.enter()
    line.wait(30)
    probe = line.enter()
    assert line.leave(dead_permit) is None
    assert CLOSED is line.leave(probe, Outcome.GOOD)


def test_cancelled_probe_frees_its_slot_at_once() -> None:
    """A cancelled probe counts for nothing, and the next one may start at once."""
    line = CircuitCaller(failures=1)
    line.call()
    line.wait(60)
    assert line.leave(line.enter(), Outcome.NEUTRAL) is None
    assert HALF_OPEN is line.state.state
    assert Answer.GO is line.ask()[0]


def test_outcome_of_a_probe_from_an_earlier_open_period_is_ignored() -> None:
    """A probe from an earlier open period keeps its slot until it ends; its outcome is ignored."""
    line = CircuitCaller(failures=1, probes=2, open_for=1.0, open_at_most=1.0)
    line.call()
    line.wait(1)
    old_permit, probe = line.enter(), line.enter()
    assert OPEN is line.leave(probe)
    line.wait(1)
    probe = line.enter()
    assert (Answer.PROBES_TAKEN, 29 * SECOND, None) == line.ask()
    assert line.leave(old_permit) is None
    assert CLOSED is line.leave(probe, Outcome.GOOD)
    assert CLOSED is line.state.state


def test_state_outlives_its_leases() -> None:
    """A circuit state's time to live is at least as long as its longest lease."""
    line = CircuitCaller(failures=1, probes=2)
    line.call()
    line.wait(60)
    question = Admission(line.gates, within=0, lease=3 * DAY)
    line.store.execute(question.evolve(token=7))
    end_time = line.store.now + 3 * DAY
    assert end_time == sum(line.store.cells["k"][:2])
    line.leave(line.enter(), Outcome.GOOD)
    assert end_time == sum(line.store.cells["k"][:2])
    line.set(CLOSED)
    assert end_time == sum(line.store.cells["k"][:2])
    line.set(FORCED_OPEN)
    assert line.store.now + FOREVER == sum(line.store.cells["k"][:2])


def test_reset_circuit_expires_normally() -> None:
    """After a reset, a circuit's state expires once no running call can report any more."""
    line = CircuitCaller(failures=1)
    line.call()
    line.set(CLOSED)
    assert line.rule.keep_for == line.store.cells["k"][1] == 66 * SECOND + HOUR


def test_each_mode_change_begins_a_new_generation() -> None:
    """Each change of a circuit's mode begins a generation with a new number."""
    line = CircuitCaller(failures=1, open_for=1.0, open_at_most=1.0)
    gens = [line.enter()[0]]
    for _ in range(3):
        line.call()
        gens.append(line.store.cells["k"][3])
        line.wait(1)
        probe = line.enter()
        gens.append(probe[0])
        line.leave(probe, Outcome.GOOD)
        gens.append(line.store.cells["k"][3])
        line.set(CLOSED)
        gens.append(line.store.cells["k"][3])
    assert list(range(NOON, NOON + len(gens))) == gens


def test_reports_of_an_earlier_generation_are_ignored() -> None:
    """Failures of calls that began before a circuit opened do not count after it."""
    line = CircuitCaller(failures=2, consecutive_failures=None)
    old_permits = [line.enter() for _ in range(6)]
    assert [None, OPEN] == [line.leave(permit) for permit in old_permits[:2]]
    line.wait(60)
    line.call(Outcome.GOOD)
    assert [None, None] == [line.leave(permit) for permit in old_permits[2:4]]
    line.leave(old_permits[4], Outcome.NEUTRAL)
    assert (0, 0) == (line.state.failures, line.state.calls)


def test_permit_of_an_expired_state_is_ignored() -> None:
    """A permit that was granted under an expired circuit state changes nothing in the new state."""
    line = CircuitCaller(failures=1)
    old_permit = line.enter()
    line.wait(2 * 86_400)
    line.store.forget()
    line.enter()
    assert line.leave(old_permit) is None
    assert CLOSED is line.state.state


def test_failure_after_an_hour_still_counts() -> None:
    """A failure after an hour still counts if the circuit had no other call in that time."""
    line = CircuitCaller(failures=1, window=1.0)
    permit = line.enter()
    line.wait(3_600)
    line.store.forget()
    assert OPEN is line.leave(permit)


def test_forced_open_lasts_until_reset() -> None:
    """A circuit that is forced open stays open for a hundred years; a reset clears its history."""
    line = CircuitCaller(failures=2, consecutive_failures=None)
    line.call()
    late_permit = line.enter()
    line.set(FORCED_OPEN)
    line.wait(86_400 * 3_000)
    line.store.forget()
    assert (Answer.CIRCUIT_OPEN, FOREVER, None) == line.ask()
    line.set(CLOSED)
    assert line.leave(late_permit) is None
    assert (CLOSED, 0) == (line.state.state, line.state.failures)
    assert Answer.GO is line.ask()[0]


def test_disabled_circuit_admits_everything() -> None:
    """A disabled circuit counts nothing and never opens."""
    line = CircuitCaller(failures=1)
    line.set(DISABLED)
    assert [None] * 9 == [line.call() for _ in range(9)]
    assert (DISABLED, 0) == (line.state.state, line.state.calls)


@pytest.mark.parametrize("mode", [OPEN, HALF_OPEN, "closed", None, 0])
def test_only_manual_states_can_be_set(mode: Any) -> None:
    """An operator can set only the circuit states that are meant for operators."""
    with pytest.raises(ConfigurationError) as excinfo:
        mode_to_force(mode)
    assert "state" == excinfo.value.path
    assert has_remedy(excinfo.value)


def test_shadow_circuit_refuses_nothing() -> None:
    """In shadow mode the circuit changes and is reported as usual, and every call is admitted."""
    line = CircuitCaller(failures=1, probes=1, shadow=True)
    assert OPEN is line.call()
    assert (Answer.GO, 0, None) == line.ask()
    line.wait(60)
    probe = line.enter()
    assert probe[2]
    assert (Answer.GO, 0, None) == line.ask()
    assert CLOSED is line.leave(probe, Outcome.GOOD)
    line.set(FORCED_OPEN)
    assert (Answer.GO, 0, None) == line.ask()
