"""The circuit breaker: clock steps, settings, and the size of its state."""

from __future__ import annotations

import math
import sys
from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.circuit import (
    CircuitBreakerConfig,
    CircuitRule,
    Outcome,
)
from moorage.domain.resilience.gate_commands import Confirm
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, FOREVER, HOUR, SECOND
from moorage.errors import ConfigurationError
from tests.domain.circuit_caller import CLOSED, FORCED_OPEN, LEASE, OPEN, CircuitCaller
from tests.domain.state_store import has_remedy


@pytest.mark.parametrize("back", [1, SMALL_STEP, SMALL_STEP + 1, HOUR, 400 * DAY])
def test_clock_step_back_keeps_the_open_time(back: int) -> None:
    """If the clock steps back, a circuit stays open for the same time, or up to 2 s longer."""
    line = CircuitCaller(failures=1)
    line.call()
    for _ in range(20):
        line.wait(1)
        line.ask()
    line.store.now -= back
    line.ask()
    line.wait(39)
    assert Answer.CIRCUIT_OPEN is line.ask()[0]
    line.wait(1 + 3)
    assert Answer.GO is line.ask()[0]


@pytest.mark.parametrize("ahead", [HOUR, 20 * HOUR])
def test_clock_step_forward_only_ends_the_open_time(ahead: int) -> None:
    """After a clock step forward, an open circuit probes early, and ignores late reports."""
    line = CircuitCaller(failures=1)
    line.call()
    line.wait(60)
    old_permit = line.enter()
    line.store.now += ahead
    probe = line.enter()
    assert line.leave(old_permit) is None
    assert CLOSED is line.leave(probe, Outcome.GOOD)


@pytest.mark.parametrize("back", [SMALL_STEP + 1, 3 * SECOND, HOUR])
def test_window_survives_a_clock_step_back(back: int) -> None:
    """After a clock step back, the circuit still counts earlier calls for their full time."""
    line = CircuitCaller(failures=None, failure_rate=0.5, minimum_calls=3, window=10.0)
    for outcome in (Outcome.FAILED, Outcome.GOOD, Outcome.NEUTRAL):
        line.call(outcome)
        line.wait(2)
    early_permit = line.enter()
    line.store.now -= back
    line.call(Outcome.GOOD)
    assert (4, 1) == (line.state.calls, line.state.failures)
    line.leave(early_permit, Outcome.NEUTRAL)
    assert (3, 1) == (line.state.calls, line.state.failures)
    line.wait(7)
    assert (1, 0) == (line.state.calls, line.state.failures)
    line.wait(5)
    assert (0, 0) == (line.state.calls, line.state.failures)


@pytest.mark.parametrize("back", [3 * SECOND, HOUR])
def test_lease_survives_a_clock_step_back(back: int) -> None:
    """A lost probe's lease lasts as long after a clock step back as before."""
    line = CircuitCaller(failures=1, open_for=10.0)
    line.call()
    line.wait(10)
    line.enter()
    line.store.now -= back
    assert (Answer.PROBES_TAKEN, LEASE, None) == line.ask()
    line.store.now += LEASE - 1
    assert (Answer.PROBES_TAKEN, 1, None) == line.ask()
    line.store.now += 1
    assert Answer.GO is line.ask()[0]


@pytest.mark.parametrize("back", [3 * SECOND, HOUR])
@pytest.mark.parametrize("wait, expected", [(9, OPEN), (10, None)])
def test_failures_move_with_their_clock(back: int, wait: int, expected: object) -> None:
    """A circuit's remembered failures expire after the same time, even if the clock steps back."""
    line = CircuitCaller(failures=2, consecutive_failures=None, window=10.0)
    line.call()
    line.store.now -= back
    line.call(Outcome.GOOD)
    line.wait(wait)
    assert expected is line.call()


def test_a_slot_holds_any_number_of_calls() -> None:
    """Each slot of a circuit's window counts up to 2^32 calls."""
    line = CircuitCaller(failures=None, failure_rate=0.5)
    line.enter()
    seen_at, quiet_span, mode, gen, slot, _, base, record = line.store.cells["k"]
    line.store.cells["k"] = (seen_at, quiet_span, mode, gen, slot, 2**40, base, record)
    line.wait(7)
    line.enter()
    assert 2**32 == line.state.calls


@pytest.mark.parametrize(
    "path, value",
    [
        *(
            (name, value)
            for name in ("failures", "probes", "quorum")
            for value in (0, -1, True, 1.0, "5", 1_001)
        ),
        *(
            (name, value)
            for name in ("minimum_calls", "window_calls", "consecutive_failures", "successes")
            for value in (0, -1, True, 1.0, "5", 10**10)
        ),
        *(
            (name, value)
            for name in ("failure_rate", "slow_call_rate")
            for value in (0, -0.1, 1.1, math.nan, True, "0.5")
        ),
        *(
            (name, value)
            for name in ("window", "slow_call", "open_for", "open_at_most")
            for value in (0, -1, math.nan, math.inf, True, "1", 10**10)
        ),
        *(("shadow", value) for value in ("false", "", 0, 1, None)),
        *(("open_growth", value) for value in (0.9, 101, math.nan, math.inf, True, "2", None)),
    ],
)
def test_invalid_settings_are_refused(path: str, value: Any) -> None:
    """An invalid circuit setting is refused; the error contains the field's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        CircuitBreakerConfig(**{path: value})
    assert path == excinfo.value.path
    assert has_remedy(excinfo.value)


@pytest.mark.parametrize(
    "path, values",
    [
        *((name, (1, 1_000)) for name in ("failures", "probes", "quorum")),
        *((name, (1, 10**9)) for name in ("minimum_calls", "window_calls", "successes")),
        ("consecutive_failures", (1, 10**9, None)),
        ("failure_rate", (1, 1e-9, None)),
        ("slow_call", (1e-6, 3e9, None)),
        ("open_growth", (1, 1.5, 100)),
        ("shadow", (True, False)),
    ],
)
def test_boundary_settings_are_valid(path: str, values: tuple[Any, ...]) -> None:
    """The smallest and largest circuit settings are accepted unchanged."""
    for value in values:
        assert value == getattr(CircuitBreakerConfig(**{path: value}), path)
        CircuitRule(CircuitBreakerConfig(**{path: value}))


def test_circuit_without_opening_rule_is_refused() -> None:
    """A circuit that no rule could open is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        CircuitBreakerConfig(failures=None, consecutive_failures=None)
    assert "failures" == excinfo.value.path
    assert has_remedy(excinfo.value)
    CircuitBreakerConfig(failures=None, consecutive_failures=None, failure_rate=0.5)
    CircuitBreakerConfig(failures=None, consecutive_failures=None, slow_call=1.0)


def test_durations_may_be_timedeltas() -> None:
    """A circuit's durations may be timedeltas."""
    minute: Any = timedelta(minutes=1)
    config = CircuitBreakerConfig(
        window=minute, open_for=minute, open_at_most=minute, slow_call=minute
    )
    assert {60.0} == {config.window, config.open_for, config.open_at_most, config.slow_call}


@pytest.mark.parametrize("span, most", [(SECOND // 1_000, 260), (SECOND, 760)])
def test_state_of_an_idle_circuit_takes_250_bytes(span: int, most: int) -> None:
    """A circuit's state needs some 250 bytes without its key, and 500 more with a call window."""
    line = CircuitCaller()
    for _ in range(300):
        line.store.now += span
        line.call(Outcome.GOOD)
    state = line.store.cells["k"]
    shared_ids = {id(0), id(()), id(b""), id(line.rule.keep_for), id(line.rule.empty_record)}
    assert _size(state, shared_ids) <= most


def _size(value: object, seen: set[int]) -> int:
    """Return the size of a state in bytes; an object that occurs twice is counted once."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    items = value if isinstance(value, tuple) else ()
    return sys.getsizeof(value) + sum(_size(item, seen) for item in items)


def test_state_returned_as_plain_tuples_works() -> None:
    """A circuit state that a store returns as plain tuples works like the original."""
    line = CircuitCaller(failures=2)
    line.call()
    state = line.store.cells["k"]
    plain_state = (*state[:7], tuple(state[7]))
    assert type(plain_state[7]) is tuple
    for now in (line.store.now, line.store.now + 7 * SECOND, line.store.now - HOUR):
        present_state = line.rule.present(plain_state, now)
        assert line.rule.present(state, now) == present_state
        assert type(state[7]) is type(present_state[7])


def test_a_window_of_calls_is_kept_for_a_day() -> None:
    """A circuit's window of calls is kept for a day after the last call."""
    for wait, expected in ((59, 3), (60, 0)):
        line = CircuitCaller(failures=None, failure_rate=0.5, window_calls=10, window=60.0)
        for _ in range(3):
            line.call(Outcome.GOOD)
        line.wait(DAY // SECOND + wait)
        assert expected == line.state.calls


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.SLOW])
def test_circuit_rate_below_one_in_million_is_treated_as_one_in_million(outcome: Outcome) -> None:
    """A circuit's failure rate of less than one in a million is treated as one in a million."""
    rates = {"failure_rate": 1e-7, "slow_call": 1.0, "slow_call_rate": 1e-7}
    for calls, expected in ((10**6 - 1, OPEN), (10**6, None)):
        line = CircuitCaller(failures=None, consecutive_failures=None, minimum_calls=1, **rates)
        line.enter()
        seen_at, quiet_span, mode, gen, slot, _, base, record = line.store.cells["k"]
        line.store.cells["k"] = (seen_at, quiet_span, mode, gen, slot, calls, base, record)
        assert expected is line.call(outcome)


def test_a_probe_that_answers_when_its_lease_ends_is_late() -> None:
    """A probe that ends exactly at the end of its lease is too late."""
    for lead_time, expected in ((1, CLOSED), (0, None)):
        line = CircuitCaller(failures=1, open_for=10.0)
        line.call()
        line.wait(10)
        probe = line.enter()
        line.store.now += LEASE - lead_time
        assert expected is line.leave(probe, Outcome.GOOD)


@pytest.mark.parametrize("wait, expected", [(DAY - 1, OPEN), (DAY, None)])
@pytest.mark.parametrize(
    "config, reporters",
    [
        ({"consecutive_failures": 2}, "aa"),
        (
            {"consecutive_failures": None, "failure_rate": 0.5, "minimum_calls": 2, "quorum": 2},
            "ab",
        ),
    ],
)
def test_call_window_remembers_failures_for_a_day(
    config: dict[str, Any], reporters: str, wait: int, expected: object
) -> None:
    """A circuit that counts calls remembers a failure, and its process, for a day."""
    line = CircuitCaller(failures=None, window_calls=10, **config)
    assert line.call(reporter=reporters[0]) is None
    line.store.now += wait
    assert expected is line.call(reporter=reporters[1])


def test_quorum_in_a_time_window_needs_recent_failures() -> None:
    """A quorum counts the failures in a time window, or of a day if the window counts calls."""
    share: dict[str, Any] = {"failure_rate": 0.5, "minimum_calls": 1, "quorum": 2}
    for settings, expected in (({"window": 10.0}, None), ({"window_calls": 10}, OPEN)):
        line = CircuitCaller(failures=None, consecutive_failures=None, **share, **settings)
        line.call(reporter="a")
        line.wait(120)
        assert expected is line.call(reporter="b")


def test_failures_expire_with_their_slot() -> None:
    """A circuit's failures and slow responses expire together with their slot."""
    line = CircuitCaller(
        failures=None, failure_rate=0.9, slow_call=1.0, minimum_calls=9, window=10.0
    )
    line.call()
    line.call(Outcome.SLOW)
    line.wait(3)
    assert (2, 1, 1) == (line.state.calls, line.state.failures, line.state.slow_calls)
    line.call()
    line.wait(20)
    assert (0, 0, 0) == (line.state.calls, line.state.failures, line.state.slow_calls)
    line.call()
    line.wait(20)
    line.call(Outcome.SLOW)
    assert (1, 0, 1) == (line.state.calls, line.state.failures, line.state.slow_calls)


def test_waiter_of_an_open_circuit_learns_the_wait() -> None:
    """A caller that queued before the circuit opened must wait for the remaining open time."""
    line = CircuitCaller(failures=1, open_for=10.0)
    waiting, failing_permit = line.enter(), line.enter()
    line.leave(failing_permit)
    confirm = Confirm(line.gates, (), waiting)
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND) == line.store.execute(confirm)
    line.wait(10)
    assert (Answer.CIRCUIT_OPEN, 1) == line.store.execute(confirm)
    line.enter()
    assert (Answer.CIRCUIT_OPEN, LEASE) == line.store.execute(confirm)
    line.store.now += LEASE
    assert (Answer.CIRCUIT_OPEN, 1) == line.store.execute(confirm)
    line.set(FORCED_OPEN)
    assert (Answer.CIRCUIT_OPEN, FOREVER) == line.store.execute(confirm)
    line.set(CLOSED)
    assert (Answer.GO, 0) == line.store.execute(confirm)


def test_failure_is_forgotten_after_two_more_calls_with_window_of_one_call() -> None:
    """With a window of one call, a failure is forgotten after two more calls."""
    line = CircuitCaller(failures=None, failure_rate=1.0, window_calls=1, minimum_calls=2)
    line.call()
    for failures in (1, 0):
        line.call(Outcome.GOOD)
        assert (1, failures) == (line.state.calls, line.state.failures)
