"""The circuit breaker, compared with a model that stores every call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import reject, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.circuit import (
    TRANSITIONS,
    CircuitBreakerConfig,
    CircuitBreakerState,
    CircuitRule,
    CircuitState,
    Outcome,
)
from moorage.domain.resilience.gate_commands import ReadCircuit, Report, SetCircuit
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, FOREVER, HOUR, SECOND
from tests.domain.circuit_caller import (
    CLOSED,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    LEASE,
    OPEN,
    CircuitCaller,
)
from tests.domain.state_store import StateStore
from tests.support.examples import examples

if TYPE_CHECKING:
    from moorage.domain.resilience.circuit import Permit

# Excluded from coverage runs, because other tests cover these lines.
pytestmark = pytest.mark.untraced

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
    """A time slot of the model's window."""

    end: int
    calls: int = 0
    fails: int = 0
    slow: int = 0


@attrs.define(eq=False)
class Call:
    """A call of the circuit model that runs or has ended."""

    gen: int
    permit: Permit
    slot: Slot | None = None
    status: str = "under way"


class Model:
    """A model of a circuit that stores every call and failure, with a monotonic clock.

    `time` is the time that has passed for the circuit; `aligned` is the store's own time, which
    decides where slots end.
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
        """Begin a new generation of the model's circuit."""
        self.gen += 1
        self.calls: list[Call] = []
        self.failures: list[tuple[int, str]] = []
        self.slots = [Slot(slot.end) for slot in self.slots[-1:]]
        self.good = 0
        self.crowded = False

    def forget(self) -> None:
        """Reset the model's circuit, after checking that no relevant state is lost."""
        assert [] == self.running_leases()
        if self.mode is CLOSED:
            assert self.streak == 0 or self.time - self.since >= round(self.config.window * SECOND)
            # A window of calls expires after a day without a call.
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
        """Return the position in the window: by time, or by calls."""
        return self.time if self.config.window_calls is None else self.total

    def slot(self) -> Slot:
        """Return the slot of the current time."""
        position = self.position()
        if not self.slots or position >= self.slots[-1].end:
            expected_position = self.aligned if self.config.window_calls is None else position
            self.slots.append(Slot(position - expected_position % self.width + self.width))
        return self.slots[-1]

    def sums(self) -> tuple[int, int, int]:
        """Return the number of calls, failures and slow responses in the window."""
        slots = [slot for slot in self.slots if slot.end > self.position() - self.span]
        return (
            sum(slot.calls for slot in slots),
            sum(slot.fails for slot in slots),
            sum(slot.slow for slot in slots),
        )

    def recent(self, within: int | None = None) -> list[str]:
        """Return the processes that reported recent failures."""
        within = round(self.config.window * SECOND) if within is None else within
        return [person_name for time, person_name in self.failures if time > self.time - within]

    def rows(self) -> list[int]:
        """Return the lengths of runs of consecutive failures."""
        rows: list[list[Call]] = [[]]
        for call in self.calls:
            if call.status in {"failed", "cancelled"}:
                rows[-1].append(call)
            else:
                rows.append([])
        # The circuit keeps at most eight series of failures, and may miss a further one.
        self.crowded = self.crowded or sum(map(bool, rows)) > 8
        return [sum(call.status == "failed" for call in row) for row in rows]

    # --- events -----------------------------------------------------------------------------

    def running_leases(self) -> list[int]:
        """Return the end times of the running probe leases."""
        return [end for end in self.leases.values() if end > self.time]

    def ask(self, token: int) -> tuple[Answer, int]:
        """Return the decision and the wait that a call should get from the circuit."""
        if self.mode in (CLOSED, DISABLED):
            return Answer.GO, 0
        if self.mode is FORCED_OPEN:
            return Answer.CIRCUIT_OPEN, FOREVER
        if self.mode is OPEN and self.time < self.until:
            return Answer.CIRCUIT_OPEN, self.until - self.time
        if len(self.running_leases()) >= self.config.probes:
            return Answer.PROBES_TAKEN, min(self.running_leases()) - self.time
        return (Answer.GO, 0) if token else (Answer.NEEDS_TOKEN, 0)

    def enter(self, permit: Permit, lease: int) -> Call:
        """Begin a call with this permit in the model."""
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
        """End a call with this outcome in the model."""
        is_held = self.leases.pop(call.permit[2], self.time) > self.time
        if call.gen != self.gen:
            return None
        if self.mode is HALF_OPEN:
            return self.count_probe(outcome) if is_held else None
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
            return self.open_circuit() if self.opens_by_slow_responses() else None
        if self.failures and self.time - self.failures[-1][0] >= DAY:
            for old_call in self.calls:
                old_call.status = "too old"
        slot.fails += 1
        call.status = "failed"
        self.failures.append((self.time, reporter))
        return self.open_circuit() if self.opens_by_failure() else None

    def opens_by_slow_responses(self) -> bool:
        """Return whether the rate of slow responses opens the circuit."""
        calls, fails, slow_calls = self.sums()
        calls = max(calls, fails, slow_calls)
        return (
            calls >= self.config.minimum_calls and slow_calls / calls >= self.config.slow_call_rate
        )

    def opens_by_failure(self) -> bool:
        """Return whether a failure opens the circuit."""
        config = self.config
        is_near = len(set(self.recent())) >= config.quorum
        is_far = len(set(self.recent(DAY))) >= config.quorum
        if config.failures and is_near and len(self.recent()) >= config.failures:
            return True
        longest = max(self.rows())
        if config.consecutive_failures and is_far and longest >= config.consecutive_failures:
            return True
        calls, fails, slow_calls = self.sums()
        calls = max(calls, fails, slow_calls)
        return (
            config.failure_rate is not None
            and (is_near if config.window_calls is None else is_far)
            and calls >= config.minimum_calls
            and fails / calls >= config.failure_rate
        )

    def open_circuit(self) -> CircuitState:
        """Open the model's circuit."""
        longest = max(self.config.open_for, self.config.open_at_most)
        lasts = min(longest, self.config.open_for * self.config.open_growth**self.streak)
        self.mode, self.since, self.until = OPEN, self.time, self.time + int(lasts * SECOND)
        self.streak += 1
        self.begin()
        return OPEN

    def count_probe(self, outcome: Outcome) -> CircuitState | None:
        """Count the outcome of a probe whose lease has not expired."""
        if outcome is Outcome.NEUTRAL:
            return None
        if outcome is not Outcome.GOOD:
            return self.open_circuit()
        self.good += 1
        if self.good < self.config.successes:
            return None
        self.mode, self.since = CLOSED, self.time
        self.begin()
        return CLOSED

    def force(self, mode: CircuitState) -> None:
        """Set the model's circuit by hand."""
        self.mode, self.streak, self.since, self.until = mode, 0, self.time, 0
        self.begin()

    def read(self) -> CircuitBreakerState:
        """Return the circuit state that a reader should see."""
        calls, fails, slow_calls = self.sums()
        row = self.rows()[-1] if self.recent(DAY) and self.config.consecutive_failures else 0
        return CircuitBreakerState(
            state=self.mode,
            calls=max(calls, fails),
            failures=fails,
            slow_calls=slow_calls,
            consecutive_failures=row,
            openings=self.streak,
            probes_under_way=len(self.running_leases()),
            retry_after=max(0, self.until - self.time) / SECOND if self.mode is OPEN else None,
        )


leases = st.one_of(st.integers(1, 20), st.integers(1, 100 * SECOND))
endings = st.tuples(
    st.sampled_from([*Outcome, Outcome.FAILED, Outcome.FAILED, Outcome.FAILED]),
    st.sampled_from("abc"),
)


class CircuitMachine(RuleBasedStateMachine):
    """Random calls, clock steps and operator actions on one circuit, compared with the model."""

    @initialize(config=st.sampled_from(CONFIGS))
    def build(self, config: CircuitBreakerConfig) -> None:
        """Begin with a circuit that has no state."""
        self.rule = CircuitRule(config)
        self.gates = Gates(circuit=self.rule, circuit_key="k")
        self.store = StateStore()
        self.model = Model(config)
        self.lost = 0
        self.tokens = 0
        self.under_way: list[Call] = []

    def judge(self) -> None:
        """Set the model's clock to the circuit's time before each command."""
        state = self.store.cells.get("k")
        now = self.store.now
        seen_at = now if state is None else state[0]
        if seen_at - now > SMALL_STEP:
            self.lost += seen_at - now
            seen_at = now
        self.model.aligned = max(seen_at, now)
        self.model.time = self.model.aligned + self.lost
        if state is not None and now - state[0] >= state[1]:
            self.model.forget()

    @rule(lease=leases, again=st.booleans())
    def call(self, lease: int, again: bool) -> None:
        """Start a call; if the call becomes a probe, repeat its request up to three times."""
        question = Admission(self.gates, within=0, lease=lease)
        self.judge()
        expected = self.model.ask(0)
        answer, wait, permit, _ = self.store.execute(question)
        assert expected == (answer, wait)
        if answer is Answer.NEEDS_TOKEN:
            self.tokens += 1
            question = question.evolve(token=self.tokens)
            self.judge()
            assert (Answer.GO, 0) == self.model.ask(self.tokens)
            answer, _, permit, _ = self.store.execute(question)
            assert Answer.GO is answer
            if again:
                self.judge()
                assert (Answer.GO, 0, permit, ()) == self.store.execute(question)
        if answer is Answer.GO:
            assert permit is not None
            self.under_way.append(self.model.enter(permit, lease))

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 30), ending=endings)
    def end(self, number: int, ending: tuple[Outcome, str]) -> None:
        """End any started call; a success is not reported to a closed circuit."""
        outcome, reporter = ending
        call = self.under_way.pop(-1 - number % len(self.under_way))
        if outcome is Outcome.GOOD and not call.permit[2]:
            return
        self.judge()
        # Opening the circuit begins a new generation, and resets `crowded`.
        mode_before, was_crowded = self.model.mode, self.model.crowded
        changed_mode = self.store.execute(Report(self.gates, call.permit, outcome, reporter))
        expected = self.model.leave(call, outcome, reporter)
        if (was_crowded or self.model.crowded) and changed_mode is None and expected is OPEN:
            reject()
        assert expected is changed_mode
        assert changed_mode is None or (mode_before, changed_mode) in AUTOMATIC

    @rule(work=st.lists(st.tuples(endings, st.integers(0, 2 * SECOND)), min_size=1, max_size=9))
    def work(self, work: list[tuple[tuple[Outcome, str], int]]) -> None:
        """Make several calls one after another."""
        for ending, span in work:
            calls_before = len(self.under_way)
            self.call(LEASE, again=False)
            self.store.now += span
            if len(self.under_way) > calls_before:
                self.end(0, ending)

    @rule(
        at_once=st.integers(2, 7),
        order=st.lists(st.tuples(st.integers(0, 30), endings), max_size=7),
    )
    def crowd(self, at_once: int, order: list[tuple[int, tuple[Outcome, str]]]) -> None:
        """Start many calls at once, and end them in any order."""
        for _ in range(at_once):
            self.call(LEASE, again=False)
        for number, ending in order:
            if self.under_way:
                self.end(number, ending)

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 30), report=st.booleans())
    def die(self, number: int, report: bool) -> None:
        """End a call whose caller died, or free the slot of a probe that got no reply."""
        call = self.under_way.pop(number % len(self.under_way))
        if report and call.permit[2]:
            self.judge()
            unheard = Report(self.gates, (0, 0, call.permit[2]), Outcome.NEUTRAL, "a")
            assert self.store.execute(unheard) is None
            self.model.leases.pop(call.permit[2], None)

    @rule(
        span=st.one_of(
            st.integers(0, SECOND), st.integers(0, 15 * SECOND), st.integers(0, 90 * SECOND)
        )
    )
    def wait(self, span: int) -> None:
        """Advance the time."""
        self.store.now += span

    @precondition(lambda self: self.model.mode is OPEN)
    @rule(early=st.integers(-1, 2 * SECOND), ending=endings)
    def probe(self, early: int, ending: tuple[Outcome, str]) -> None:
        """Make a call shortly before or after the end of the circuit's open time."""
        self.judge()
        self.store.now += max(0, self.model.until - self.model.time - early)
        self.call(LEASE, again=False)
        if early <= 0 and self.model.mode is HALF_OPEN:
            self.end(0, ending)

    @rule(
        span=st.one_of(st.integers(0, 2 * HOUR), st.sampled_from([DAY - 1, DAY, 2 * DAY])),
        seldom=st.integers(0, 3),
    )
    def sleep(self, span: int, seldom: int) -> None:
        """Advance the time by a long span without calls."""
        self.store.now += 0 if seldom else span

    @rule(
        back=st.one_of(st.integers(1, SMALL_STEP), st.integers(SMALL_STEP + 1, 3 * DAY)),
        seldom=st.integers(0, 2),
    )
    def step(self, back: int, seldom: int) -> None:
        """Set the store's clock back."""
        self.store.now -= 0 if seldom else back

    @rule(mode=st.sampled_from([CLOSED, FORCED_OPEN, DISABLED]), seldom=st.integers(0, 5))
    def force(self, mode: CircuitState, seldom: int) -> None:
        """Set the state of the circuit manually, and reset it later."""
        if seldom and self.model.mode not in (FORCED_OPEN, DISABLED):
            return
        self.judge()
        self.store.execute(SetCircuit(self.rule, "k", mode))
        self.model.force(mode)

    @precondition(lambda self: self.store.cells)
    @rule()
    def forget(self) -> None:
        """Drop expired states, without changing the circuit's behaviour."""
        self.judge()
        self.store.forget()

    @invariant()
    def reads_alike(self) -> None:
        """The state that the circuit reports equals the model's state."""
        self.judge()
        actual = self.store.execute(ReadCircuit(self.rule, "k"))
        expected = self.model.read()
        if self.model.crowded:
            expected = attrs.evolve(expected, consecutive_failures=actual.consecutive_failures)
        assert expected == actual

    @invariant()
    def never_too_many_probes(self) -> None:
        """The leases of all generations never exceed the number of allowed probes."""
        assert len(self.model.running_leases()) <= self.model.config.probes


AUTOMATIC = {(before, after) for before, _, after in TRANSITIONS}


TestCircuit = CircuitMachine.TestCase
TestCircuit.settings = settings(examples(150), stateful_step_count=60)


def test_every_documented_transition_happens() -> None:
    """Each documented transition of the circuit happens in some run."""
    line = CircuitCaller(failures=1)
    seen_states: list[tuple[CircuitState, CircuitState]] = []
    now = CLOSED

    def record_mode() -> None:
        nonlocal now
        previous_mode, now = now, line.state.state
        if previous_mode is not now:
            seen_states.append((previous_mode, now))

    for ending in (Outcome.FAILED, Outcome.GOOD):
        line.call()
        record_mode()
        line.wait(121)
        record_mode()
        probe = line.enter()
        record_mode()
        line.leave(probe, ending)
        record_mode()
        line.wait(2 * 86_400)
        record_mode()
    line.call()
    record_mode()
    line.wait(61)
    line.enter()
    record_mode()
    line.wait(2 * 86_400)
    record_mode()
    assert AUTOMATIC == set(seen_states)
