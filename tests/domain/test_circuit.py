"""The circuit breaker beside a model that keeps every call, and rule by rule."""

from __future__ import annotations

import math
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import reject, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mooring.domain.admission import (
    Admission,
    Answer,
    Gates,
    ReadCircuit,
    Report,
    SetCircuit,
)
from mooring.domain.circuit import (
    QUIET_RECORD,
    TRANSITIONS,
    CircuitBreakerConfig,
    CircuitBreakerState,
    CircuitRule,
    CircuitState,
    Outcome,
    mode_to_force,
)
from mooring.domain.durations import DAY, FOREVER, HOUR, SECOND
from mooring.domain.state import SMALL_STEP
from mooring.errors import ConfigurationError
from tests.domain.state_world import NOON, World, helpful

if TYPE_CHECKING:
    from mooring.domain.circuit import Permit

# ruff: noqa: ANN401 - what the types forbid is tried too

CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED = CircuitState
LEASE = 30 * SECOND

CONFIGS = [
    CircuitBreakerConfig(),
    CircuitBreakerConfig(failures=3, window=10.0, open_for=5.0, open_at_most=12.0, probes=2),
    CircuitBreakerConfig(failures=None, consecutive_failures=3, open_for=1.0, successes=2),
    CircuitBreakerConfig(
        failures=None,
        consecutive_failures=None,
        failure_rate=0.5,
        minimum_calls=4,
        window=10.0,
        slow_call=1.0,
        slow_call_rate=0.75,
        probes=3,
        successes=2,
    ),
    CircuitBreakerConfig(
        failures=None,
        consecutive_failures=4,
        failure_rate=0.4,
        minimum_calls=5,
        window_calls=23,
        slow_call=1.0,
        open_growth=1,
        quorum=2,
    ),
    CircuitBreakerConfig(failures=2, consecutive_failures=3, quorum=2, window=7.0, probes=2),
    CircuitBreakerConfig(failures=1, consecutive_failures=None, open_for=1.0, open_growth=3.5),
]


@attrs.define(eq=False)
class Slot:
    """A piece of the window."""

    end: int
    calls: int = 0
    fails: int = 0
    slow: int = 0


@attrs.define(eq=False)
class Call:
    """A call under way, or one that has ended."""

    gen: int
    permit: Permit
    slot: Slot | None = None
    status: str = "under way"


class Model:
    """A circuit that forgets nothing: every call, every failure, in time that never goes back.

    `time` is what the circuit believes has passed, `aligned` the store's own time, which decides
    where slots end.
    """

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self.config = config
        self.gen = 0
        self.time = self.aligned = 0
        self.span = config.window_calls or round(config.window * SECOND)
        self.width = math.ceil(self.span / 10)
        self.leases: dict[int, int] = {}
        self.slots: list[Slot] = []
        self.total = 0
        self.mode, self.streak, self.since, self.until, self.good = CLOSED, 0, -FOREVER, 0, 0
        self.begin()

    def begin(self) -> None:
        """Start a new generation."""
        self.gen += 1
        self.calls: list[Call] = []
        self.failures: list[tuple[int, str]] = []
        self.slots = [Slot(slot.end) for slot in self.slots[-1:]]
        self.good = 0
        self.crowded = False

    def forget(self) -> None:
        """Be as new; nothing that matters may be lost."""
        assert [] == self.alive()
        if self.mode is CLOSED:
            assert self.streak == 0 or self.time - self.since >= round(self.config.window * SECOND)
            # A window of calls is given up after a day without one.
            assert (0, 0, 0) == self.sums() or self.config.window_calls
            assert not self.recent()
            assert not self.failures or self.time - self.failures[-1][0] >= DAY
        else:
            assert self.mode in (OPEN, HALF_OPEN)
            assert self.until + DAY <= self.time
        self.mode, self.streak, self.since, self.total = CLOSED, 0, -FOREVER, 0
        self.leases.clear()
        self.slots.clear()
        self.begin()

    # --- the window -------------------------------------------------------------------------

    def position(self) -> int:
        """Where in its window the circuit is: in time, or in calls."""
        return self.time if self.config.window_calls is None else self.total

    def slot(self) -> Slot:
        """The slot that what happens now belongs to."""
        position = self.position()
        if not self.slots or position >= self.slots[-1].end:
            here = self.aligned if self.config.window_calls is None else position
            self.slots.append(Slot(position - here % self.width + self.width))
        return self.slots[-1]

    def sums(self) -> tuple[int, int, int]:
        """Calls, failures and slow answers in the window."""
        slots = [slot for slot in self.slots if slot.end > self.position() - self.span]
        return (
            sum(slot.calls for slot in slots),
            sum(slot.fails for slot in slots),
            sum(slot.slow for slot in slots),
        )

    def recent(self, within: int | None = None) -> list[str]:
        """Who reported the failures of the last while."""
        within = round(self.config.window * SECOND) if within is None else within
        return [who for time, who in self.failures if time > self.time - within]

    def rows(self) -> list[int]:
        """How many calls failed in a row, in order of admission: in each row, the last one last."""
        rows: list[list[Call]] = [[]]
        for call in self.calls:
            if call.status in {"failed", "cancelled"}:
                rows[-1].append(call)
            else:
                rows.append([])
        # A row that could not be kept may be missed, though never seen where there is none.
        self.crowded = self.crowded or sum(map(bool, rows)) > 8
        return [sum(call.status == "failed" for call in row) for row in rows]

    # --- what happens -----------------------------------------------------------------------

    def alive(self) -> list[int]:
        """When the leases under way end."""
        return [end for end in self.leases.values() if end > self.time]

    def ask(self, token: int) -> tuple[Answer, int]:
        """What a call is told."""
        if self.mode in (CLOSED, DISABLED):
            return Answer.GO, 0
        if self.mode is FORCED_OPEN:
            return Answer.CIRCUIT_OPEN, FOREVER
        if self.mode is OPEN and self.time < self.until:
            return Answer.CIRCUIT_OPEN, self.until - self.time
        if len(self.alive()) >= self.config.probes:
            return Answer.CIRCUIT_OPEN, min(self.alive()) - self.time
        return (Answer.GO, 0) if token else (Answer.NEEDS_TOKEN, 0)

    def enter(self, permit: Permit, lease: int) -> Call:
        """A call is let in."""
        if self.mode is OPEN:
            self.mode, self.since = HALF_OPEN, self.time
            self.begin()
        call = Call(self.gen, permit)
        if permit[2]:
            self.leases[permit[2]] = self.time + lease
        elif self.mode is CLOSED:
            call.slot = self.slot()
            call.slot.calls += 1
            self.calls.append(call)
            self.total += 1
        return call

    def leave(self, call: Call, outcome: Outcome, reporter: str) -> CircuitState | None:
        """A call ends."""
        held = self.leases.pop(call.permit[2], self.time) > self.time
        if call.gen != self.gen:
            return None
        if self.mode is HALF_OPEN:
            return self.probed(outcome) if held else None
        if self.mode is not CLOSED or outcome is Outcome.GOOD:
            return None
        slot = self.slot()
        if outcome is Outcome.NEUTRAL:
            assert call.slot is not None
            call.slot.calls -= 1
            call.status = "cancelled" if any(c.status == "failed" for c in self.calls) else "gone"
            return None
        if self.time - self.since >= round(self.config.window * SECOND):
            self.streak = 0
        if outcome is Outcome.SLOW:
            slot.slow += 1
            return self.opened() if self.dragged() else None
        if self.failures and self.time - self.failures[-1][0] >= DAY:
            for old in self.calls:
                old.status = "too old"
        slot.fails += 1
        call.status = "failed"
        self.failures.append((self.time, reporter))
        return self.opened() if self.tripped() else None

    def dragged(self) -> bool:
        """Whether a slow answer opens it."""
        calls, fails, slow = self.sums()
        calls = max(calls, fails, slow)
        return calls >= self.config.minimum_calls and slow / calls >= self.config.slow_call_rate

    def tripped(self) -> bool:
        """Whether a failure opens it."""
        config = self.config
        near = len(set(self.recent())) >= config.quorum
        far = len(set(self.recent(DAY))) >= config.quorum
        if config.failures and near and len(self.recent()) >= config.failures:
            return True
        longest = max(self.rows())
        if config.consecutive_failures and far and longest >= config.consecutive_failures:
            return True
        calls, fails, slow = self.sums()
        calls = max(calls, fails, slow)
        return (
            config.failure_rate is not None
            and (near if config.window_calls is None else far)
            and calls >= config.minimum_calls
            and fails / calls >= config.failure_rate
        )

    def opened(self) -> CircuitState:
        """Open."""
        longest = max(self.config.open_for, self.config.open_at_most)
        lasts = min(longest, self.config.open_for * self.config.open_growth**self.streak)
        self.mode, self.since, self.until = OPEN, self.time, self.time + int(lasts * SECOND)
        self.streak += 1
        self.begin()
        return OPEN

    def probed(self, outcome: Outcome) -> CircuitState | None:
        """A probe ended while it held its lease."""
        if outcome is Outcome.NEUTRAL:
            return None
        if outcome is not Outcome.GOOD:
            return self.opened()
        self.good += 1
        if self.good < self.config.successes:
            return None
        self.mode, self.since = CLOSED, self.time
        self.begin()
        return CLOSED

    def force(self, mode: CircuitState) -> None:
        """Set by hand."""
        self.mode, self.streak, self.since, self.until = mode, 0, self.time, 0
        self.begin()

    def read(self) -> CircuitBreakerState:
        """What is known."""
        calls, fails, slow = self.sums()
        row = self.rows()[-1] if self.recent(DAY) and self.config.consecutive_failures else 0
        return CircuitBreakerState(
            state=self.mode,
            calls=max(calls, fails),
            failures=fails,
            slow_calls=slow,
            consecutive_failures=row,
            openings=self.streak,
            probes_under_way=len(self.alive()),
            retry_after=max(0, self.until - self.time) / SECOND if self.mode is OPEN else None,
        )


leases = st.one_of(st.integers(1, 20), st.integers(1, 100 * SECOND))
endings = st.tuples(
    st.sampled_from([*Outcome, Outcome.FAILED, Outcome.FAILED, Outcome.FAILED]),
    st.sampled_from("abc"),
)


class Machine(RuleBasedStateMachine):
    """Anything that callers, clocks and people can do to one circuit."""

    @initialize(config=st.sampled_from(CONFIGS))
    def build(self, config: CircuitBreakerConfig) -> None:
        """Begin with nothing."""
        self.rule = CircuitRule(config)
        self.gates = Gates(circuit=self.rule, circuit_key="k")
        self.world = World()
        self.model = Model(config)
        self.lost = 0
        self.tokens = 0
        self.under_way: list[Call] = []

    def judge(self) -> None:
        """Before a command: tell the model the time as the circuit must judge it."""
        state = self.world.cells.get("k")
        now = self.world.now
        seen = now if state is None else state[0]
        if seen - now > SMALL_STEP:
            self.lost += seen - now
            seen = now
        self.model.aligned = max(seen, now)
        self.model.time = self.model.aligned + self.lost
        if state is not None and now - state[0] >= state[1]:
            self.model.forget()

    @rule(lease=leases, again=st.booleans())
    def call(self, lease: int, again: bool) -> None:  # noqa: FBT001 - as Hypothesis draws it
        """Somebody calls; a probe comes again with a token, and perhaps a third time."""
        question = Admission(self.gates, within=0, lease=lease)
        self.judge()
        expected = self.model.ask(0)
        answer, wait, permit, _ = self.world.execute(question)
        assert expected == (answer, wait)
        if answer is Answer.NEEDS_TOKEN:
            self.tokens += 1
            question = question.evolve(token=self.tokens)
            self.judge()
            assert (Answer.GO, 0) == self.model.ask(self.tokens)
            answer, _, permit, _ = self.world.execute(question)
            assert Answer.GO is answer
            if again:
                self.judge()
                assert (Answer.GO, 0, permit, ()) == self.world.execute(question)
        if answer is Answer.GO:
            assert permit is not None
            self.under_way.append(self.model.enter(permit, lease))

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 30), ending=endings)
    def end(self, number: int, ending: tuple[Outcome, str]) -> None:
        """A call ends, however old it is; a success through a closed circuit is silent."""
        outcome, reporter = ending
        call = self.under_way.pop(-1 - number % len(self.under_way))
        if outcome is Outcome.GOOD and not call.permit[2]:
            return
        self.judge()
        before = self.model.mode
        changed = self.world.execute(Report(self.gates, call.permit, outcome, reporter))
        expected = self.model.leave(call, outcome, reporter)
        if self.model.crowded and changed is None and expected is OPEN:
            reject()
        assert expected is changed
        assert changed is None or (before, changed) in AUTOMATIC

    @rule(work=st.lists(st.tuples(endings, st.integers(0, 2 * SECOND)), min_size=1, max_size=9))
    def work(self, work: list[tuple[tuple[Outcome, str], int]]) -> None:
        """One call after the other."""
        for ending, span in work:
            before = len(self.under_way)
            self.call(LEASE, again=False)
            self.world.now += span
            if len(self.under_way) > before:
                self.end(0, ending)

    @rule(
        at_once=st.integers(2, 7),
        order=st.lists(st.tuples(st.integers(0, 30), endings), max_size=7),
    )
    def crowd(self, at_once: int, order: list[tuple[int, tuple[Outcome, str]]]) -> None:
        """Many calls at once, which end in any order."""
        for _ in range(at_once):
            self.call(LEASE, again=False)
        for number, ending in order:
            if self.under_way:
                self.end(number, ending)

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 30), told=st.booleans())
    def die(self, number: int, told: bool) -> None:  # noqa: FBT001 - as Hypothesis draws it
        """An owner vanishes, or gives back what it never heard it was given."""
        call = self.under_way.pop(number % len(self.under_way))
        if told and call.permit[2]:
            self.judge()
            unheard = Report(self.gates, (0, 0, call.permit[2]), Outcome.NEUTRAL, "a")
            assert self.world.execute(unheard) is None
            self.model.leases.pop(call.permit[2], None)

    @rule(
        span=st.one_of(
            st.integers(0, SECOND), st.integers(0, 15 * SECOND), st.integers(0, 90 * SECOND)
        )
    )
    def wait(self, span: int) -> None:
        """Time passes."""
        self.world.now += span

    @precondition(lambda self: self.model.mode is OPEN)
    @rule(early=st.integers(-1, 2 * SECOND), ending=endings)
    def probe(self, early: int, ending: tuple[Outcome, str]) -> None:
        """Somebody calls about when the open time ends."""
        self.judge()
        self.world.now += max(0, self.model.until - self.model.time - early)
        self.call(LEASE, again=False)
        if early <= 0 and self.model.mode is HALF_OPEN:
            self.end(0, ending)

    @rule(
        span=st.one_of(st.integers(0, 2 * HOUR), st.sampled_from([DAY - 1, DAY, 2 * DAY])),
        seldom=st.integers(0, 3),
    )
    def sleep(self, span: int, seldom: int) -> None:
        """Nobody calls for long."""
        self.world.now += 0 if seldom else span

    @rule(
        back=st.one_of(st.integers(1, SMALL_STEP), st.integers(SMALL_STEP + 1, 3 * DAY)),
        seldom=st.integers(0, 2),
    )
    def step(self, back: int, seldom: int) -> None:
        """The store's clock steps back."""
        self.world.now -= 0 if seldom else back

    @rule(mode=st.sampled_from([CLOSED, FORCED_OPEN, DISABLED]), seldom=st.integers(0, 5))
    def force(self, mode: CircuitState, seldom: int) -> None:
        """A person sets it, and sets it right again."""
        if seldom and self.model.mode not in (FORCED_OPEN, DISABLED):
            return
        self.judge()
        self.world.execute(SetCircuit(self.rule, "k", mode))
        self.model.force(mode)

    @precondition(lambda self: self.world.cells)
    @rule()
    def forget(self) -> None:
        """The store drops what cannot matter: the circuit must not have noticed."""
        self.judge()
        self.world.forget()

    @invariant()
    def reads_alike(self) -> None:
        """People are told what is so."""
        self.judge()
        actual = self.world.execute(ReadCircuit(self.rule, "k"))
        expected = self.model.read()
        if self.model.crowded:
            expected = attrs.evolve(expected, consecutive_failures=actual.consecutive_failures)
        assert expected == actual

    @invariant()
    def never_too_many_probes(self) -> None:
        """Of all generations together, no more leases run than there may be probes."""
        assert len(self.model.alive()) <= self.model.config.probes


AUTOMATIC = {(before, after) for before, _, after in TRANSITIONS}


TestCircuit = Machine.TestCase
TestCircuit.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


class Line:
    """One circuit, and short ways to say what happens to it."""

    def __init__(self, **config: Any) -> None:
        self.rule = CircuitRule(CircuitBreakerConfig(**config))
        self.gates = Gates(circuit=self.rule, circuit_key="k")
        self.world = World()
        self.tokens = 0

    def ask(self) -> tuple[Answer, int, Permit | None]:
        """Ask to be let in, with a token where one is needed."""
        question = Admission(self.gates, within=0, lease=LEASE)
        answer, wait, permit, _ = self.world.execute(question)
        if answer is Answer.NEEDS_TOKEN:
            self.tokens += 1
            answer, wait, permit, _ = self.world.execute(question.evolve(token=self.tokens))
        return answer, wait, permit

    def enter(self) -> Permit:
        """Be let in."""
        answer, _, permit = self.ask()
        assert Answer.GO is answer
        assert permit is not None
        return permit

    def leave(
        self, permit: Permit, outcome: Outcome = Outcome.FAILED, reporter: str = "a"
    ) -> CircuitState | None:
        """Say how a call ended."""
        return self.world.execute(Report(self.gates, permit, outcome, reporter))

    def call(self, outcome: Outcome = Outcome.FAILED, reporter: str = "a") -> CircuitState | None:
        """A whole call; a success through a closed circuit is silent."""
        permit = self.enter()
        if outcome is Outcome.GOOD and not permit[2]:
            return None
        return self.leave(permit, outcome, reporter)

    def wait(self, span: float) -> None:
        """Let seconds pass."""
        self.world.now += round(span * SECOND)

    def set(self, mode: CircuitState) -> None:
        """Set it by hand."""
        self.world.execute(SetCircuit(self.rule, "k", mode))

    @property
    def state(self) -> CircuitBreakerState:
        """What it knows."""
        return self.world.execute(ReadCircuit(self.rule, "k"))


def test_a_circuit_changes_by_itself_exactly_as_the_table_says() -> None:
    """Every transition of the table happens, and no other was seen by the machine above."""
    line = Line(failures=1)
    seen: list[tuple[CircuitState, CircuitState]] = []
    now = CLOSED

    def note() -> None:
        nonlocal now
        before, now = now, line.state.state
        if before is not now:
            seen.append((before, now))

    for ending in (Outcome.FAILED, Outcome.GOOD):
        line.call()
        note()
        line.wait(121)
        note()
        probe = line.enter()
        note()
        line.leave(probe, ending)
        note()
        line.wait(2 * 86_400)
        note()
    line.call()
    note()
    line.wait(61)
    line.enter()
    note()
    line.wait(2 * 86_400)
    note()
    assert AUTOMATIC == set(seen)


def test_five_failures_in_a_minute_open_it_for_a_minute() -> None:
    """The default: the fifth failure within 60 s opens the circuit for 60 s."""
    line = Line(consecutive_failures=None)
    for _ in range(4):
        line.call()
        line.wait(14.9)
        line.call(Outcome.GOOD)
    assert OPEN is line.call()
    assert (Answer.CIRCUIT_OPEN, 60 * SECOND, None) == line.ask()
    line.wait(59)
    assert 1.0 == line.state.retry_after
    line.wait(1)
    assert Answer.GO is line.ask()[0]


@pytest.mark.parametrize("over, expected", [(0, None), (-1, OPEN)])
def test_a_failure_counts_for_exactly_one_window(over: int, expected: CircuitState | None) -> None:
    """A failure as old as the window is over; one a microsecond younger counts."""
    line = Line(failures=2, consecutive_failures=None, window=10.0)
    line.call()
    line.world.now += 10 * SECOND + over
    assert expected is line.call()


def test_a_rate_is_judged_over_its_window_and_no_less_than_its_minimum() -> None:
    """Half of ten calls failing opens it, half of eight does not, and old calls do not count."""
    line = Line(
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
def test_a_rate_is_what_was_written(rate: float, calls: int, failures: int) -> None:
    """Seven of a hundred are seven in a hundred, whatever floats say of it."""
    line = Line(failures=None, consecutive_failures=None, failure_rate=rate, minimum_calls=calls)
    permits = [line.enter() for _ in range(calls)]
    changes = [line.leave(permit) for permit in permits[:failures]]
    assert [None] * (failures - 1) + [OPEN] == changes


def test_failures_of_calls_out_of_the_window_still_count() -> None:
    """The rate is failures of the greater of calls and failures: slow failures are not lost."""
    line = Line(
        failures=None, consecutive_failures=None, failure_rate=0.5, minimum_calls=3, window=10.0
    )
    permits = [line.enter() for _ in range(3)]
    line.wait(25)
    assert [None, None, OPEN] == [line.leave(permit) for permit in permits]


def test_slow_answers_open_it() -> None:
    """Enough slow answers open a circuit although none failed."""
    line = Line(slow_call=1.0, slow_call_rate=0.75, minimum_calls=4)
    line.call(Outcome.GOOD)
    assert [None, None, OPEN] == [line.call(Outcome.SLOW) for _ in range(3)]
    line.wait(60)
    assert OPEN is line.call(Outcome.SLOW)


def test_slow_answers_of_calls_out_of_the_window_still_count() -> None:
    """The rate is over the greatest of calls, failures and slow answers."""
    config: dict[str, Any] = {"failures": None, "consecutive_failures": None, "slow_call": 1.0}
    line = Line(**config, window=10.0, minimum_calls=3)
    calls = [line.enter() for _ in range(3)]
    line.wait(25)
    assert [None, None, OPEN] == [line.leave(call, Outcome.SLOW) for call in calls]
    line = Line(**config, window=10.0, minimum_calls=1)
    calls = [line.enter() for _ in range(4)]
    line.wait(25)
    assert [None, None, None] == [line.leave(call) for call in calls[:3]]
    assert line.leave(calls[3], Outcome.SLOW) is None


def test_late_failures_stay_in_the_window() -> None:
    """Failures that end in a slot without calls are kept as long as others."""
    line = Line(failures=None, failure_rate=0.9, window=10.0, minimum_calls=9)
    calls = [line.enter() for _ in range(2)]
    line.wait(5)
    assert [None, None] == [line.leave(call) for call in calls]
    line.wait(9)
    line.call(Outcome.GOOD)
    assert 2 == line.state.failures
    line.wait(3)
    assert 0 == line.state.failures


def test_a_slot_leaves_the_window_when_it_is_as_old_as_that() -> None:
    """What ended a whole window ago is neither counted nor kept."""
    line = Line(window=10.0)
    line.enter()
    line.wait(11)
    line.enter()
    assert b"" == line.world.cells["k"][7].past
    assert 1 == line.state.calls
    line = Line(window=0.000_015)
    line.enter()
    line.world.now += 16
    line.enter()
    assert 2 == line.state.calls
    line.world.now += 1
    assert 1 == line.state.calls


def test_a_window_of_calls_has_no_clock() -> None:
    """Steps of the clock move no window that is counted in calls."""
    line = Line(failures=None, failure_rate=0.5, minimum_calls=99, window_calls=20)
    line.call()
    for _ in range(19):
        line.call(Outcome.GOOD)
        line.world.now -= HOUR
    assert (20, 1) == (line.state.calls, line.state.failures)
    for _ in range(3):
        line.call(Outcome.GOOD)
    assert 0 == line.state.failures


def test_the_calm_case_is_short() -> None:
    """The short path serves every call of a slot, and no other."""
    rule, now = CircuitRule(CircuitBreakerConfig()), NOON + 1
    state = rule.admit(rule.present(None, now), 0, LEASE)[0]
    ends = NOON + 6 * SECOND
    assert [True, True, False, False] == [
        rule.calm(state, at) is not None for at in (now, ends - 1, ends, now - 1)
    ]
    rule = CircuitRule(CircuitBreakerConfig(window_calls=20))
    state = rule.admit(rule.present(None, now), 0, LEASE)[0]
    ends = now + rule.quiet
    assert [True, True, False, False] == [
        rule.calm(state, at) is not None for at in (now, ends - 1, ends, now - 1)
    ]
    second = rule.calm(state, now)
    assert second is not None
    assert rule.calm(second, now) is None


def test_an_open_circuit_refuses_at_once() -> None:
    """The short path refuses while the time was noted lately, and thinks about all else."""
    line = Line(failures=1)
    line.enter()
    cells = line.world.cells
    assert [0, 0] == [line.rule.refuses(state, NOON) for state in (None, cells["k"])]
    line.call()
    times = [-1, 0, SMALL_STEP, SMALL_STEP + 1]
    minute = 60 * SECOND
    assert [0, minute, minute - SMALL_STEP, 0] == [
        line.rule.refuses(cells["k"], NOON + time) for time in times
    ]
    line.set(FORCED_OPEN)
    assert [0, FOREVER, FOREVER, 0] == [
        line.rule.refuses(cells["k"], NOON + time) for time in times
    ]
    shadow = CircuitRule(CircuitBreakerConfig(shadow=True))
    assert 0 == shadow.refuses(cells["k"], NOON)


def test_the_last_calls_may_be_the_window() -> None:
    """With `window_calls` the rate is over the last calls, however long they take."""
    line = Line(
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


def test_a_window_of_calls_ends_with_its_slot() -> None:
    """A failure leaves the window with the tenth of it that it was counted in."""
    line = Line(failures=None, failure_rate=0.5, window_calls=23)
    line.call()
    for _ in range(24):
        line.call(Outcome.GOOD)
    assert 25 == line.state.calls
    line.call(Outcome.GOOD)
    assert 23 == line.state.calls


def test_a_success_that_is_reported_changes_nothing() -> None:
    """Whoever reports a success through a closed circuit says what silence says."""
    line = Line()
    before = line.state
    assert line.leave(line.enter(), Outcome.GOOD) is None
    assert attrs.evolve(before, calls=1) == line.state


def test_low_traffic_trips_too() -> None:
    """One call an hour: the fifth failure in a row opens it."""
    line = Line()
    changes = []
    for _ in range(5):
        changes.append(line.call())
        line.wait(3_600)
    assert [None] * 4 + [OPEN] == changes


def test_a_success_between_parts_a_row() -> None:
    """One silent success an hour is enough to say that the service works."""
    line = Line(failures=None, consecutive_failures=3)
    for _ in range(5):
        assert [None, None] == [line.call(), line.call()]
        line.call(Outcome.GOOD)
        line.wait(3_600)
    assert 0 == line.state.consecutive_failures


def test_a_row_counts_in_order_of_admission() -> None:
    """Pairs of calls that fail in any order are in a row; one that succeeds in silence is not."""
    line = Line(failures=None, consecutive_failures=4)
    first, second = line.enter(), line.enter()
    assert [None, None] == [line.leave(second), line.leave(first)]
    assert 2 == line.state.consecutive_failures
    third, silent, fourth, fifth = (line.enter() for _ in range(4))
    assert [None, None, None] == [line.leave(call) for call in (fifth, third, fourth)]
    assert OPEN is line.leave(silent)


def test_a_row_may_be_filled_from_either_side() -> None:
    """Failures that come late join the rows on both sides of them, however long those are."""
    for order in ((2, 3, 4, 1), (3, 4, 1, 2), (4, 3, 2, 1), (1, 2, 4, 3), (1, 4, 2, 3)):
        line = Line(failures=None, consecutive_failures=4)
        calls = [line.enter() for _ in range(4)]
        changes = [line.leave(calls[number - 1]) for number in order]
        assert [None, None, None, OPEN] == changes


def test_a_cancelled_call_does_not_part_a_row() -> None:
    """A cancelled call proves nothing either way."""
    line = Line(failures=None, consecutive_failures=3)
    line.call()
    line.call(Outcome.NEUTRAL)
    line.call()
    assert 2 == line.state.consecutive_failures
    assert OPEN is line.call()


def test_a_row_ends_after_a_day() -> None:
    """A failure a day after the last begins a new row."""
    line = Line(failures=None, consecutive_failures=2)
    line.call()
    line.wait(86_400)
    assert line.call() is None
    line.wait(86_399)
    assert OPEN is line.call()


def test_a_cancelled_call_is_taken_back_where_it_was_counted() -> None:
    """A cancellation leaves the rate as if the call had never been, in whatever slot it was."""
    line = Line(
        failures=None, consecutive_failures=None, failure_rate=0.5, minimum_calls=2, window=10.0
    )
    early = [line.enter() for _ in range(3)]
    line.wait(3)
    middle = line.enter()
    line.wait(3)
    late = [line.enter() for _ in range(2)]
    for permit in (early[0], middle, late[0]):
        line.leave(permit, Outcome.NEUTRAL)
    assert 3 == line.state.calls
    line.wait(6)
    assert 1 == line.state.calls
    line.leave(early[1], Outcome.NEUTRAL)
    assert 1 == line.state.calls
    line.wait(30)
    line.enter()
    line.leave(early[2], Outcome.NEUTRAL)
    assert 1 == line.state.calls


def test_a_cancelled_call_leaves_its_own_slot() -> None:
    """The last call of a slot is taken back from that slot and not from the next."""
    line = Line(failures=None, failure_rate=0.5, window=10.0)
    calls = [line.enter() for _ in range(2)]
    line.wait(2)
    line.enter()
    line.wait(2)
    line.leave(calls[1], Outcome.NEUTRAL)
    assert 2 == line.state.calls
    line.wait(7)
    line.enter()
    assert 2 == line.state.calls


def test_nothing_is_taken_back_twice() -> None:
    """A cancellation that is told twice does not make calls less than none."""
    line = Line(failures=None, failure_rate=0.5, window=10.0)
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


def test_a_quorum_must_have_seen_it() -> None:
    """With a quorum of two, one process alone never opens it for all; old sightings are no help."""
    line = Line(failures=2, consecutive_failures=None, window=10.0, quorum=2)
    assert [None] * 4 == [line.call(reporter="a") for _ in range(4)]
    line.wait(11)
    line.call(reporter="b")
    assert line.call(reporter="b") is None
    line = Line(failures=2, window=10.0, quorum=2)
    line.call(reporter="a")
    assert OPEN is line.call(reporter="b")


def test_a_quorum_moves_with_its_clock() -> None:
    """Who has seen a failure has seen it for as long after a step back as before."""
    for back in (3 * SECOND, HOUR):
        for wait, expected in ((9, OPEN), (10, None)):
            line = Line(failures=2, consecutive_failures=None, window=10.0, quorum=2)
            line.call(reporter="a")
            line.world.now -= back
            line.call(Outcome.GOOD)
            line.wait(wait)
            assert expected is line.call(reporter="b")


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


@pytest.mark.parametrize("back", [1, SMALL_STEP, SMALL_STEP + 1, HOUR, 400 * DAY])
def test_a_backward_step_holds_nothing_open_for_longer(back: int) -> None:
    """After a step back it is open for as long as before, or up to two seconds longer."""
    line = Line(failures=1)
    line.call()
    for _ in range(20):
        line.wait(1)
        line.ask()
    line.world.now -= back
    line.ask()
    line.wait(39)
    assert Answer.CIRCUIT_OPEN is line.ask()[0]
    line.wait(1 + 3)
    assert Answer.GO is line.ask()[0]


@pytest.mark.parametrize("ahead", [HOUR, 20 * HOUR])
def test_a_forward_step_only_ends_things_early(ahead: int) -> None:
    """A step ahead is time passing: the circuit probes early, and is fenced against late words."""
    line = Line(failures=1)
    line.call()
    line.wait(60)
    old = line.enter()
    line.world.now += ahead
    probe = line.enter()
    assert line.leave(old) is None
    assert CLOSED is line.leave(probe, Outcome.GOOD)


@pytest.mark.parametrize("back", [SMALL_STEP + 1, 3 * SECOND, HOUR])
def test_a_window_moves_with_its_clock(back: int) -> None:
    """What counted before a step back counts after it for as long as it had left."""
    line = Line(failures=None, failure_rate=0.5, minimum_calls=3, window=10.0)
    for outcome in (Outcome.FAILED, Outcome.GOOD, Outcome.NEUTRAL):
        line.call(outcome)
        line.wait(2)
    early = line.enter()
    line.world.now -= back
    line.call(Outcome.GOOD)
    assert (4, 1) == (line.state.calls, line.state.failures)
    line.leave(early, Outcome.NEUTRAL)
    assert (3, 1) == (line.state.calls, line.state.failures)
    line.wait(7)
    assert (1, 0) == (line.state.calls, line.state.failures)


def test_a_slot_holds_any_number_of_calls() -> None:
    """More calls in a slot than four bytes can count are as many as they can."""
    line = Line(failures=None, failure_rate=0.5)
    line.enter()
    seen, quiet, mode, gen, slot, _, base, record = line.world.cells["k"]
    line.world.cells["k"] = (seen, quiet, mode, gen, slot, 2**40, base, record)
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
        *(("open_growth", value) for value in (0.9, 101, math.nan, math.inf, True, "2", None)),
    ],
)
def test_what_cannot_be_configured(path: str, value: Any) -> None:
    """A value that makes no sense is refused, and the error names the field."""
    with pytest.raises(ConfigurationError) as caught:
        CircuitBreakerConfig(**{path: value})
    assert path == caught.value.path
    assert helpful(caught.value)


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
def test_what_can_be_configured(path: str, values: tuple[Any, ...]) -> None:
    """A value at either end of what makes sense is taken as it is."""
    for value in values:
        assert value == getattr(CircuitBreakerConfig(**{path: value}), path)
        CircuitRule(CircuitBreakerConfig(**{path: value}))


def test_some_rule_must_open_it() -> None:
    """A circuit that nothing would ever open is refused."""
    with pytest.raises(ConfigurationError) as caught:
        CircuitBreakerConfig(failures=None, consecutive_failures=None)
    assert "failures" == caught.value.path
    assert helpful(caught.value)
    CircuitBreakerConfig(failures=None, consecutive_failures=None, failure_rate=0.5)
    CircuitBreakerConfig(failures=None, consecutive_failures=None, slow_call=1.0)


def test_durations_may_be_timedeltas() -> None:
    """A minute is sixty seconds."""
    minute: Any = timedelta(minutes=1)
    config = CircuitBreakerConfig(
        window=minute, open_for=minute, open_at_most=minute, slow_call=minute
    )
    assert {60.0} == {config.window, config.open_for, config.open_at_most, config.slow_call}


def test_shapes_tell_windows_apart() -> None:
    """States whose slots do not mean the same have different shapes."""
    configs = [
        CircuitBreakerConfig(),
        CircuitBreakerConfig(window=30.0),
        CircuitBreakerConfig(window_calls=100),
        CircuitBreakerConfig(window_calls=60_000_000),
    ]
    shapes = {CircuitRule(config).shape for config in configs}
    assert 4 == len(shapes)


@pytest.mark.parametrize("span, most", [(SECOND // 1_000, 260), (SECOND, 760)])
def test_an_idle_circuit_is_small(span: int, most: int) -> None:
    """A circuit takes some 250 bytes beside its key, and 500 more after a window of calls."""
    line = Line()
    for _ in range(300):
        line.world.now += span
        line.call(Outcome.GOOD)
    state = line.world.cells["k"]
    shared = {id(0), id(()), id(b""), id(line.rule.quiet), id(QUIET_RECORD)}
    assert _size(state, shared) <= most


def _size(value: object, seen: set[int]) -> int:
    """The bytes of a state and of all in it that is not shared."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    items = value if isinstance(value, tuple) else ()
    return sys.getsizeof(value) + sum(_size(item, seen) for item in items)
