"""The circuit breaker, rule by rule: how long it is open, probes, generations, and by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from moorage.domain.admission import (
    Admission,
    Answer,
)
from moorage.domain.circuit import (
    Outcome,
    mode_to_force,
)
from moorage.domain.durations import DAY, FOREVER, HOUR, SECOND
from moorage.errors import ConfigurationError
from tests.domain.circuit_line import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, LEASE, OPEN, Line
from tests.domain.state_world import NOON, helpful


def test_open_time_grows_until_a_calm_time() -> None:
    """Every opening lasts longer up to the cap; a window without one starts from the beginning."""
    line = Line(failures=1, window=20.0, open_for=10.0, open_growth=3.0, open_at_most=50.0)
    line.call()
    times = []
    for _ in range(4):
        times.append(line.state.retry_after)
        line.world.now += line.ask()[1]
        line.call(Outcome.GOOD)
        line.wait(19)
        line.call()
    assert [10.0, 30.0, 50.0, 50.0] == times
    line.world.now += line.ask()[1]
    line.call(Outcome.GOOD)
    line.wait(20)
    line.call()
    assert (10.0, 1) == (line.state.retry_after, line.state.openings)


def test_a_calm_time_moves_with_its_clock() -> None:
    """A step back neither ends a calm time nor makes one."""
    line = Line(failures=1, window=20.0, open_for=10.0)
    line.call()
    line.wait(10)
    line.call(Outcome.GOOD)
    line.world.now -= HOUR
    line.wait(19)
    line.call()
    assert 20.0 == line.state.retry_after
    line.wait(20)
    line.call(Outcome.GOOD)
    line.world.now -= HOUR
    line.call(Outcome.GOOD)
    line.wait(20)
    line.call()
    assert 10.0 == line.state.retry_after


@pytest.mark.parametrize("growth, longest", [(1.01, 1.01**40), (100, 99.0), (100.0, 99.0), (1, 1)])
def test_open_time_grows_for_as_long_as_it_takes(growth: float, longest: float) -> None:
    """Slow growth goes on to the cap, and fast growth stays a number."""
    line = Line(failures=1, open_for=1.0, open_growth=growth, open_at_most=99.0)
    line.call()
    openings = 40 if growth < 2 else 400
    for _ in range(openings):
        line.world.now += line.ask()[1]
        line.call()
    assert math.isclose(longest, line.state.retry_after or 0, rel_tol=1e-5)
    assert openings + 1 == line.state.openings


def test_a_cap_below_the_open_time_does_not_shorten_it() -> None:
    """The first opening is as long as was configured."""
    line = Line(failures=1, open_for=1_000.0)
    line.call()
    assert 1_000.0 == line.state.retry_after


def test_only_so_many_probes_at_once() -> None:
    """Half open, further calls are told when the first lease ends."""
    line = Line(failures=1, probes=2)
    line.call()
    line.wait(60)
    line.enter()
    line.wait(10)
    line.enter()
    assert (Answer.CIRCUIT_OPEN, 20 * SECOND, None) == line.ask()
    assert 2 == line.state.probes_under_way
    line.wait(20)
    assert 1 == line.state.probes_under_way


def test_a_probe_that_asks_twice_is_one_probe() -> None:
    """A probe whose answer was lost asks again with its token, and is told the same."""
    line = Line(failures=1, probes=2)
    line.call()
    line.wait(60)
    question = Admission(line.gates, within=0, lease=LEASE, token=7)
    first = line.world.execute(question)
    line.wait(1)
    assert first == line.world.execute(question)
    assert 1 == line.state.probes_under_way
    line.enter()
    assert (Answer.CIRCUIT_OPEN, 29 * SECOND, None) == line.ask()


def test_so_many_probes_must_succeed() -> None:
    """It closes only after as many successes as were asked for, none of them in vain."""
    line = Line(failures=1, successes=3)
    line.call()
    line.wait(60)
    changes = [line.call(Outcome.GOOD) for _ in range(3)]
    assert [None, None, CLOSED] == changes


def test_a_dead_owners_place_is_free_at_the_end_of_its_lease() -> None:
    """A probe that nobody ends frees its place with its lease, and counts for nothing."""
    line = Line(failures=1)
    line.call()
    line.wait(60)
    dead = line.enter()
    line.wait(30)
    probe = line.enter()
    assert line.leave(dead) is None
    assert CLOSED is line.leave(probe, Outcome.GOOD)


def test_a_cancelled_probe_frees_its_place_at_once() -> None:
    """A cancelled probe is neutral, and the next may go at once."""
    line = Line(failures=1)
    line.call()
    line.wait(60)
    assert line.leave(line.enter(), Outcome.NEUTRAL) is None
    assert HALF_OPEN is line.state.state
    assert Answer.GO is line.ask()[0]


def test_leases_outlive_every_change_of_mode() -> None:
    """A probe of an earlier opening still takes a place, and its outcome changes nothing."""
    line = Line(failures=1, probes=2, open_for=1.0, open_at_most=1.0)
    line.call()
    line.wait(1)
    old, probe = line.enter(), line.enter()
    assert OPEN is line.leave(probe)
    line.wait(1)
    probe = line.enter()
    assert (Answer.CIRCUIT_OPEN, 29 * SECOND, None) == line.ask()
    assert line.leave(old) is None
    assert CLOSED is line.leave(probe, Outcome.GOOD)
    assert CLOSED is line.state.state


def test_leases_are_not_forgotten() -> None:
    """However long a lease is, the state that counts it is kept as long."""
    line = Line(failures=1, probes=2)
    line.call()
    line.wait(60)
    question = Admission(line.gates, within=0, lease=3 * DAY)
    line.world.execute(question.evolve(token=7))
    ends = line.world.now + 3 * DAY
    assert ends == sum(line.world.cells["k"][:2])
    line.leave(line.enter(), Outcome.GOOD)
    assert ends == sum(line.world.cells["k"][:2])
    line.set(CLOSED)
    assert ends == sum(line.world.cells["k"][:2])
    line.set(FORCED_OPEN)
    assert line.world.now + FOREVER == sum(line.world.cells["k"][:2])


def test_a_reset_circuit_may_be_forgotten() -> None:
    """After a reset there is nothing to keep but calls that are under way."""
    line = Line(failures=1)
    line.call()
    line.set(CLOSED)
    assert line.rule.quiet == line.world.cells["k"][1] == 66 * SECOND + HOUR


def test_every_generation_is_new() -> None:
    """Each change of mode begins a generation that never was before."""
    line = Line(failures=1, open_for=1.0, open_at_most=1.0)
    gens = [line.enter()[0]]
    for _ in range(3):
        line.call()
        gens.append(line.world.cells["k"][3])
        line.wait(1)
        probe = line.enter()
        gens.append(probe[0])
        line.leave(probe, Outcome.GOOD)
        gens.append(line.world.cells["k"][3])
        line.set(CLOSED)
        gens.append(line.world.cells["k"][3])
    assert list(range(NOON, NOON + len(gens))) == gens


def test_what_an_earlier_generation_says_changes_nothing() -> None:
    """Failures of calls from before an opening do not count after it."""
    line = Line(failures=2, consecutive_failures=None)
    old = [line.enter() for _ in range(6)]
    assert [None, OPEN] == [line.leave(permit) for permit in old[:2]]
    line.wait(60)
    line.call(Outcome.GOOD)
    assert [None, None] == [line.leave(permit) for permit in old[2:4]]
    line.leave(old[4], Outcome.NEUTRAL)
    assert (0, 0) == (line.state.failures, line.state.calls)


def test_a_permit_of_a_forgotten_life_changes_nothing() -> None:
    """A state made anew is never taken for the one that a permit came from."""
    line = Line(failures=1)
    old = line.enter()
    line.wait(2 * 86_400)
    line.world.forget()
    line.enter()
    assert line.leave(old) is None
    assert CLOSED is line.state.state


def test_a_call_may_take_an_hour_to_fail() -> None:
    """A slow failure is not lost because nobody called meanwhile."""
    line = Line(failures=1, window=1.0)
    permit = line.enter()
    line.wait(3_600)
    line.world.forget()
    assert OPEN is line.leave(permit)


def test_forced_open_holds_everybody_back_until_it_is_reset() -> None:
    """A person's word holds for a hundred years, and a reset forgets the past."""
    line = Line(failures=2, consecutive_failures=None)
    line.call()
    late = line.enter()
    line.set(FORCED_OPEN)
    line.wait(86_400 * 3_000)
    line.world.forget()
    assert (Answer.CIRCUIT_OPEN, FOREVER, None) == line.ask()
    line.set(CLOSED)
    assert line.leave(late) is None
    assert (CLOSED, 0) == (line.state.state, line.state.failures)
    assert Answer.GO is line.ask()[0]


def test_disabled_lets_everybody_through() -> None:
    """A disabled circuit counts nothing and never opens."""
    line = Line(failures=1)
    line.set(DISABLED)
    assert [None] * 9 == [line.call() for _ in range(9)]
    assert (DISABLED, 0) == (line.state.state, line.state.calls)


@pytest.mark.parametrize("mode", [OPEN, HALF_OPEN, "closed", None, 0])
def test_not_every_state_can_be_set(mode: Any) -> None:
    """Only what a person can mean may be set by hand."""
    with pytest.raises(ConfigurationError) as caught:
        mode_to_force(mode)
    assert "state" == caught.value.path
    assert helpful(caught.value)


def test_a_shadow_never_holds_anybody_back() -> None:
    """In shadow the circuit changes and is read as ever, and everybody goes."""
    line = Line(failures=1, probes=1, shadow=True)
    assert OPEN is line.call()
    assert (Answer.GO, 0, None) == line.ask()
    line.wait(60)
    probe = line.enter()
    assert probe[2]
    assert (Answer.GO, 0, None) == line.ask()
    assert CLOSED is line.leave(probe, Outcome.GOOD)
    line.set(FORCED_OPEN)
    assert (Answer.GO, 0, None) == line.ask()
