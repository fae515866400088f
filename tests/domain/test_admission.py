"""One decision over everything that could hold an attempt back: all of it, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.domain.admission import (
    Admission,
    Answer,
    Confirm,
    Gates,
    GiveBack,
    Pause,
    ReadCircuit,
    Report,
    SetCircuit,
)
from mooring.domain.bucket import TokenBucket
from mooring.domain.budget import BudgetRule, RetryBudget
from mooring.domain.circuit import CircuitBreakerConfig, CircuitRule, CircuitState, Outcome
from mooring.domain.durations import DAY, FOREVER, HOUR, SECOND
from mooring.domain.idempotency import Claim, Resolve, Withdraw, complete
from mooring.domain.rate_limit import RateLimitConfig
from mooring.domain.state import SMALL_STEP
from mooring.errors import InvalidData
from tests.domain.state_world import World, long_lists

if TYPE_CHECKING:
    from mooring.domain.admission import Admitted
    from mooring.domain.circuit import Permit
    from mooring.domain.state import Command, Ticket

LEASE = 30 * SECOND
LIMITS = [
    RateLimitConfig.per_second(2, burst=3),
    RateLimitConfig.per_second(1_000_000, burst=5),
    RateLimitConfig.per_calendar_day(9),
    RateLimitConfig.per_calendar_month(40),
]
CIRCUITS = [
    CircuitBreakerConfig(failures=2, window=10.0, open_for=2.0, probes=2),
    CircuitBreakerConfig(failure_rate=0.5, minimum_calls=3, window_calls=20, open_for=1.0),
    CircuitBreakerConfig(failures=2, open_for=1.0, shadow=True),
]


def gates(
    circuit: CircuitBreakerConfig | None = None,
    *limits: RateLimitConfig,
    budget: RetryBudget | None = None,
) -> Gates:
    """Gates under plain keys."""
    return Gates(
        circuit=None if circuit is None else CircuitRule(circuit),
        circuit_key="circuit",
        limits=[limit.rule for limit in limits],
        limit_keys=[f"limit{number}" for number in range(len(limits))],
        budget=None if budget is None else BudgetRule(budget),
        budget_key="budget",
    )


# --- the short path ------------------------------------------------------------------------------

all_gates = st.builds(
    lambda circuit, limits: gates(circuit, *limits),
    st.none() | st.sampled_from(CIRCUITS),
    st.lists(st.sampled_from(LIMITS), max_size=2),
)
spans = st.one_of(
    st.integers(0, SECOND), st.integers(0, 15 * SECOND), st.integers(0, 2 * DAY), st.just(HOUR)
)
asks = st.tuples(st.just("ask"), st.integers(0, 3), st.sampled_from([0, SECOND, FOREVER]))
acts = [
    *[asks] * 6,
    *[st.tuples(st.just("report"), st.integers(0, 40), st.sampled_from(list(Outcome)))] * 3,
    st.tuples(st.just("report"), st.just(0), st.just(Outcome.FAILED)),
    *[st.tuples(st.just("advance"), spans, st.none())] * 2,
    st.tuples(st.just("pause"), st.integers(0, 3 * SECOND), st.none()),
    st.tuples(st.just("back"), st.integers(0, 2 * SMALL_STEP), st.none()),
    st.tuples(st.just("set"), st.integers(0, 40), st.none()),
]


def same(admission: Admission, world: World) -> Admitted:
    """Ask, checking that the short path answers as the whole rule does."""
    states = tuple(map(world.cells.get, admission.keys))
    assert admission.decide(states, world.now) == admission.apply(states, world.now)
    return world.execute(admission)


@settings(max_examples=300)
@given(all_gates, long_lists(acts))
def test_the_short_path_answers_as_the_whole_rule(
    gates: Gates, walk: list[tuple[str, int, Any]]
) -> None:
    """In every state that can be reached, `apply` stores and answers exactly what `decide` does."""
    world = World()
    permits: list[Permit] = []
    for token, (name, number, detail) in enumerate(walk, start=1):
        if name == "ask":
            cost = (max(1, number),) * len(gates.limits)
            question = Admission(gates, within=detail, lease=LEASE, costs=cost)
            answer, _, permit, _ = same(question, world)
            if answer is Answer.NEEDS_TOKEN:
                answer, _, permit, _ = same(question.evolve(token=token), world)
            permits += [permit] if permit else []
        elif name == "report" and permits:
            permit = permits.pop(-1 - number % len(permits))
            world.execute(Report(gates, permit, detail, "a"))
        elif name == "advance":
            world.now += number
        elif name == "back":
            world.now -= number
        elif name == "pause":
            world.execute(Pause(gates, number))
        elif name == "set" and gates.circuit:
            state = list(CircuitState)[(0, 3, 4)[number % 3]] if number < 6 else CircuitState.CLOSED
            world.execute(SetCircuit(gates.circuit, "circuit", state))


class CalmBucket(TokenBucket):
    """A bucket that cannot be asked at length."""

    present = earliest = grant = None  # type: ignore[assignment]  # what the test is about


class CalmCircuit(CircuitRule):
    """A circuit that cannot be asked at length."""

    present = admit = None  # type: ignore[assignment]  # what the test is about


@pytest.mark.parametrize("mode", [CircuitState.CLOSED, CircuitState.FORCED_OPEN])
@pytest.mark.parametrize("circuits, limits", [(1, 0), (0, 1), (1, 1)])
def test_a_calm_case_is_answered_in_one_step(
    circuits: int, limits: int, mode: CircuitState
) -> None:
    """One circuit and one limit let a call go, and an open one holds it back, without a walk."""
    bucket: Any = CalmBucket(1, SECOND, 3)
    calm = Gates(
        circuit=CalmCircuit(CIRCUITS[0]) if circuits else None,
        circuit_key="circuit",
        limits=[bucket] * limits,
        limit_keys=["limit"] * limits,
    )
    world = World()
    usual = gates(CIRCUITS[0])
    assert usual.circuit is not None
    world.execute(Admission(usual, within=0, lease=LEASE))
    world.execute(SetCircuit(usual.circuit, "circuit", mode))
    world.now += 1
    held = circuits and mode is not CircuitState.CLOSED
    answer = world.execute(Admission(calm, within=0, lease=LEASE))[0]
    assert (Answer.CIRCUIT_OPEN if held else Answer.GO) is answer


def test_a_refusal_in_one_step_hears_of_the_time() -> None:
    """What an open circuit refuses is noted by a limit that has heard of nothing for long."""
    caller = Caller(gates(TRIPS, THREE))
    _, permit, _ = caller.enter()
    caller.world.now += 3 * SECOND
    caller.fail(permit)
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND) == caller.ask()[:2]
    assert caller.world.now == caller.world.cells["limit0"][0]


# --- all or nothing ------------------------------------------------------------------------------


class Caller:
    """Somebody who asks at some gates."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.world = World()
        self.tokens = 0

    def ask(self, **details: Any) -> Admitted:
        """Ask once."""
        details = {"within": 0, "lease": LEASE} | details
        return self.world.execute(Admission(self.gates, **details))

    def enter(self, **details: Any) -> tuple[int, Permit, tuple[Ticket, ...]]:
        """Be let in, with a token if need be."""
        answer, wait, permit, tickets = self.ask(**details)
        if answer is Answer.NEEDS_TOKEN:
            self.tokens += 1
            answer, wait, permit, tickets = self.ask(**details, token=self.tokens)
        assert Answer.GO is answer
        assert permit is not None
        return wait, permit, tickets

    def fail(self, permit: Permit) -> None:
        """Report a failure."""
        self.world.execute(Report(self.gates, permit, Outcome.FAILED, "a"))

    def confirm(self, tickets: tuple[Ticket, ...], permit: Permit | None) -> tuple[Answer, int]:
        """Ask again after a wait."""
        return self.world.execute(Confirm(self.gates, tickets, permit))

    def refused(self, **details: Any) -> tuple[Answer, int]:
        """Be refused; nothing may have changed, once the time is noted."""
        self.ask(**details)
        before = dict(self.world.cells)
        answer, wait, permit, tickets = self.ask(**details)
        assert (None, ()) == (permit, tickets)
        assert all(state is self.world.cells[key] for key, state in before.items())
        assert before.keys() == self.world.cells.keys()
        return answer, wait


ONE = RateLimitConfig.per_second(1)
THREE = RateLimitConfig.per_second(3)
EASY = RateLimitConfig.per_second(1_000, burst=1_000)
TRIPS = CircuitBreakerConfig(failures=1, open_for=10.0, open_at_most=10.0)
KEY = "claim"


def test_what_one_limit_refuses_takes_nothing_from_the_others() -> None:
    """A refusal by the last limit leaves circuit, budget and every other limit as they were."""
    caller = Caller(gates(TRIPS, EASY, ONE, budget=RetryBudget()))
    caller.enter()
    assert (Answer.LIMITED, SECOND) == caller.refused()
    assert (Answer.LIMITED, SECOND) == caller.refused(within=SECOND - 1, retry=True)
    assert Answer.GO is caller.ask(within=SECOND)[0]


def test_what_a_circuit_refuses_takes_no_token() -> None:
    """An open circuit leaves the limits alone, and says when to come back."""
    caller = Caller(gates(TRIPS, EASY))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND) == caller.refused()


def test_a_calm_call_is_counted_and_takes_its_token() -> None:
    """In the calm case the circuit counts the call and the limit pays for it."""
    caller = Caller(gates(TRIPS, THREE))
    for _ in range(3):
        caller.enter()
    assert (Answer.LIMITED, 333_334) == caller.refused()
    assert caller.gates.circuit is not None
    assert 3 == caller.world.execute(ReadCircuit(caller.gates.circuit, "circuit")).calls


def test_what_the_only_limit_refuses_is_no_call_for_the_circuit() -> None:
    """A call that its limit refuses is not counted by the circuit."""
    caller = Caller(gates(TRIPS, ONE))
    caller.enter()
    assert (Answer.LIMITED, SECOND) == caller.refused()


def test_a_probe_is_leased_only_when_all_else_is_granted() -> None:
    """Half open, a call whose limit refuses holds no lease and is asked for no token."""
    caller = Caller(gates(TRIPS, RateLimitConfig.per_minute(1)))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.world.now += 10 * SECOND
    assert (Answer.LIMITED, 50 * SECOND) == caller.refused()
    assert (Answer.LIMITED, 50 * SECOND) == caller.refused(token=7)
    assert (Answer.NEEDS_TOKEN, 0) == caller.refused(within=HOUR)
    assert Answer.GO is caller.ask(within=HOUR, token=7)[0]


def test_a_probe_that_queues_has_its_place_for_the_wait_and_the_attempt() -> None:
    """The lease of a probe lasts as long as it queues and tries."""
    caller = Caller(gates(TRIPS, RateLimitConfig.per_minute(1)))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.world.now += 10 * SECOND
    wait, _, _ = caller.enter(within=HOUR)
    assert 50 * SECOND == wait
    assert (Answer.CIRCUIT_OPEN, wait + LEASE) == caller.refused(within=2 * HOUR)


def test_a_budget_counts_calls_and_spends_retries() -> None:
    """First attempts earn retries, and an exhausted budget says when the next period begins."""
    caller = Caller(gates(None, budget=RetryBudget(ratio=0.5, floor=0, period=10.0)))
    for _ in range(2):
        assert Answer.GO is caller.ask()[0]
    assert Answer.GO is caller.ask(retry=True)[0]
    left = 10 * SECOND - caller.world.now % (10 * SECOND)
    assert (Answer.NO_BUDGET, left) == caller.refused(retry=True)


def test_a_claim_is_marked_as_sent_with_everything_else() -> None:
    """The sent mark is written only if the attempt may go; without the claim nobody goes."""
    caller = Caller(gates(TRIPS, ONE, budget=RetryBudget()))
    claim = Claim(
        KEY, fingerprint=b"", owner=1, lease=LEASE, ttl=DAY, target="vendor", remembered=0
    )
    fence = caller.world.execute(claim).fence
    assert Answer.GO is caller.ask(claim=(KEY, fence, "vendor"))[0]
    sent = caller.world.cells[KEY]
    assert (Answer.LIMITED, SECOND) == caller.refused(claim=(KEY, fence, "vendor"))
    caller.world.now += SECOND
    assert (Answer.FENCED, 0) == caller.refused(claim=(KEY, fence + 1, "vendor"))
    assert sent is caller.world.cells[KEY]
    caller.world.now += LEASE
    assert (Answer.FENCED, 0) == caller.ask(claim=(KEY, fence, "vendor"))[:2]
    caller.world.now += 2 * DAY
    assert (Answer.FENCED, 0) == caller.ask(claim=(KEY, fence, "vendor"))[:2]
    assert KEY in caller.world.cells


def test_a_claim_may_be_all_that_guards_a_call() -> None:
    """Without circuit, limits and budget the sent mark alone says whether an attempt may go."""
    caller = Caller(gates())
    claim = Claim(
        KEY, fingerprint=b"", owner=1, lease=LEASE, ttl=DAY, target="vendor", remembered=0
    )
    fence = caller.world.execute(claim).fence
    assert (Answer.GO, 0, None, ()) == caller.ask(claim=(KEY, fence, "vendor"))
    assert (Answer.FENCED, 0) == caller.refused(claim=(KEY, fence + 1, "vendor"))


def test_no_gates_let_everybody_in() -> None:
    """Without circuit, limits and budget there is nothing to ask."""
    assert (Answer.GO, 0, None, ()) == Caller(gates()).ask()


def test_keys_are_named_in_order() -> None:
    """Every command names its keys in the order in which it reads its states."""
    every = gates(TRIPS, ONE, EASY, budget=RetryBudget())
    question = Admission(every, within=0, lease=0, claim=(KEY, 1, "vendor"))
    assert ("circuit", "limit0", "limit1", "budget", KEY) == question.keys
    assert question.keys == question.evolve(retry=True).keys
    assert ("limit0", "limit1", "circuit") == Confirm(every, (), (1, 1, 0)).keys
    assert ("limit0", "limit1") == Confirm(every, (), None).keys
    assert ("limit0", "limit1") == GiveBack(every, ()).keys == Pause(every, 0).keys
    assert ("circuit",) == Report(every, (1, 1, 0), Outcome.GOOD, "a").keys


def test_only_what_answers_alike_is_sent_again() -> None:
    """Takes and outcomes are sent once; questions and settings may be repeated."""
    every = gates(TRIPS, ONE)
    rule = every.circuit
    assert rule is not None
    once: list[Command[Any]] = [
        Admission(every, within=0, lease=0),
        GiveBack(every, ()),
        Pause(every, 0),
        Report(every, (1, 1, 0), Outcome.GOOD, "a"),
    ]
    assert all(command.once for command in once)
    again: list[Command[Any]] = [
        Confirm(every, (), None),
        ReadCircuit(rule, "circuit"),
        SetCircuit(rule, "circuit", CircuitState.CLOSED),
    ]
    assert not any(command.once for command in again)


def test_only_what_an_effect_hangs_on_is_durable() -> None:
    """What a limit counted in the last moment may be lost with it; the mark of a claim may not."""
    every = gates(TRIPS, ONE)
    rule = every.circuit
    assert rule is not None
    question = Admission(every, within=0, lease=0)
    fleeting: list[Command[Any]] = [
        question,
        Confirm(every, (), None),
        GiveBack(every, ()),
        Pause(every, 0),
        Report(every, (1, 1, 0), Outcome.GOOD, "a"),
        SetCircuit(rule, "circuit", CircuitState.CLOSED),
        ReadCircuit(rule, "circuit"),
    ]
    lasting: list[Command[Any]] = [
        question.evolve(claim=("key", 1, "vendor")),
        Claim("key", fingerprint=b"", owner=1, lease=1, ttl=1, target="", remembered=0),
        complete("key", 1, None, ttl=1),
        Withdraw("key", 1, ttl=1),
        Resolve("key", done=True, ttl=1),
    ]

    assert not any(command.durable for command in fleeting)
    assert all(command.durable for command in lasting)


@pytest.mark.parametrize("cost", [0, -1, 4, True, 1.0])
def test_what_can_never_be_granted_is_never_asked(cost: Any) -> None:
    """A cost that a limit can never grant is refused before it would wait for ever."""
    with pytest.raises(InvalidData) as caught:
        Admission(gates(None, EASY, THREE), within=0, lease=0, costs=(1, cost))
    assert "cost" == caught.value.field


def test_each_limit_has_its_cost() -> None:
    """Costs are given for every limit or for none."""
    caller = Caller(gates(None, THREE, RateLimitConfig.per_second(5)))
    assert Answer.GO is caller.ask(costs=(1, 5))[0]
    assert (Answer.LIMITED, 200_000) == caller.refused(costs=(2, 1))
    with pytest.raises(ValueError, match="shorter"):
        Admission(caller.gates, within=0, lease=0, costs=(1,))


def test_reports_need_a_circuit() -> None:
    """There is no permit without a circuit, so there is nothing to report."""
    with pytest.raises(AssertionError, match="comes from a circuit"):
        Report(gates(None, ONE), (1, 1, 0), Outcome.FAILED, "a")


def test_a_report_says_whose_it_is() -> None:
    """Where two must have seen a failure, one that reports twice is one."""
    caller = Caller(gates(CircuitBreakerConfig(failures=2, quorum=2)))
    permits = [caller.enter()[1] for _ in range(3)]
    changes = [
        caller.world.execute(Report(caller.gates, permit, Outcome.FAILED, reporter))
        for permit, reporter in zip(permits, "aab", strict=True)
    ]
    assert [None, None, CircuitState.OPEN] == changes


# --- waiting -------------------------------------------------------------------------------------


def test_a_waiter_is_told_of_a_circuit_that_opened() -> None:
    """Whoever queued while the circuit closed is held back if it opened meanwhile."""
    caller = Caller(gates(TRIPS, ONE))
    _, permit, _ = caller.enter()
    wait, queued, tickets = caller.enter(within=HOUR)
    assert SECOND == wait
    assert (Answer.GO, SECOND) == caller.confirm(tickets, queued)
    caller.fail(permit)
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND) == caller.confirm(tickets, queued)
    caller.world.now += 11 * SECOND
    assert (Answer.CIRCUIT_OPEN, 1) == caller.confirm(tickets, queued)
    caller.enter(within=HOUR)
    assert (Answer.CIRCUIT_OPEN, LEASE) == caller.confirm(tickets, queued)
    caller.world.now += LEASE
    assert (Answer.CIRCUIT_OPEN, 1) == caller.confirm(tickets, queued)


@pytest.mark.parametrize(
    "state, expected",
    [
        (CircuitState.CLOSED, (Answer.GO, 0)),
        (CircuitState.DISABLED, (Answer.GO, 0)),
        (CircuitState.FORCED_OPEN, (Answer.CIRCUIT_OPEN, FOREVER)),
    ],
)
def test_a_waiter_is_told_of_a_circuit_that_was_set(
    state: CircuitState, expected: tuple[Answer, int]
) -> None:
    """What a person sets while somebody queues holds for that caller too."""
    caller = Caller(gates(TRIPS, ONE))
    caller.enter()
    _, queued, tickets = caller.enter(within=HOUR)
    assert caller.gates.circuit is not None
    caller.world.execute(SetCircuit(caller.gates.circuit, "circuit", state))
    caller.world.now += SECOND
    assert expected == caller.confirm(tickets, queued)


def test_a_setting_ends_no_lease() -> None:
    """A probe that is under way stays so, whatever the circuit is set to meanwhile."""
    caller = Caller(gates(TRIPS))
    rule = caller.gates.circuit
    assert rule is not None
    caller.fail(caller.enter()[1])
    caller.world.now += 10 * SECOND
    caller.enter()
    for state in (CircuitState.FORCED_OPEN, CircuitState.DISABLED, CircuitState.CLOSED):
        caller.world.execute(SetCircuit(rule, "circuit", state))
        assert 1 == caller.world.execute(ReadCircuit(rule, "circuit")).probes_under_way


def test_a_shadow_holds_no_waiter_back() -> None:
    """In shadow a circuit that opened meanwhile says nothing."""
    caller = Caller(gates(CircuitBreakerConfig(failures=1, shadow=True), ONE))
    _, permit, _ = caller.enter()
    _, queued, tickets = caller.enter(within=HOUR)
    caller.fail(permit)
    assert (Answer.GO, SECOND) == caller.confirm(tickets, queued)


def test_a_probe_that_is_paused_keeps_its_place() -> None:
    """A pause while a probe queues prolongs its lease, so that no other probe joins it."""
    caller = Caller(gates(TRIPS, ONE))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.world.now += 10 * SECOND
    caller.world.execute(Pause(caller.gates, SECOND))
    wait, probe, tickets = caller.enter(within=HOUR)
    caller.world.now += wait
    assert (Answer.GO, 0) == caller.confirm(tickets, probe)
    caller.world.execute(Pause(caller.gates, 20 * SECOND))
    assert (Answer.GO, 20 * SECOND) == caller.confirm(tickets, probe)
    caller.world.now += 20 * SECOND
    assert (Answer.GO, 0) == caller.confirm(tickets, probe)
    assert (Answer.CIRCUIT_OPEN, LEASE) == caller.ask(within=HOUR)[:2]


def test_only_the_paused_probe_keeps_its_place_longer() -> None:
    """The leases of other probes end when they would have ended."""
    config = CircuitBreakerConfig(failures=1, open_for=10.0, probes=2)
    caller = Caller(gates(config, EASY))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.world.now += 10 * SECOND
    caller.enter()
    caller.world.execute(Pause(caller.gates, SECOND))
    wait, probe, tickets = caller.enter(within=HOUR)
    caller.world.execute(Pause(caller.gates, 20 * SECOND))
    _, longer = caller.confirm(tickets, probe)
    assert (SECOND + 1_000, 20 * SECOND + 1_000) == (wait, longer)
    assert (Answer.CIRCUIT_OPEN, LEASE) == caller.ask(within=HOUR)[:2]


def test_a_probe_that_overslept_has_lost_its_place() -> None:
    """A probe that comes back after its lease does not go: another may have gone in its place."""
    caller = Caller(gates(TRIPS, ONE))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.world.now += 10 * SECOND
    caller.world.execute(Pause(caller.gates, SECOND))
    wait, probe, tickets = caller.enter(within=HOUR)
    caller.world.now += wait + LEASE
    assert (Answer.CIRCUIT_OPEN, 1) == caller.confirm(tickets, probe)
    caller.enter(within=HOUR)
    assert (Answer.CIRCUIT_OPEN, LEASE) == caller.confirm(tickets, probe)


def test_a_waiter_without_a_circuit_only_waits() -> None:
    """Where no circuit gave a permit, none is asked again."""
    caller = Caller(gates(None, ONE, EASY))
    caller.ask()
    _, _, permit, tickets = caller.ask(within=HOUR)
    assert permit is None
    caller.world.now += 400_000
    assert (Answer.GO, 600_000) == caller.confirm(tickets, None)


def test_a_waiter_without_a_permit_only_waits() -> None:
    """Without a permit the circuit is not asked again, and with a plain one nothing is written."""
    caller = Caller(gates(TRIPS, ONE, EASY))
    caller.ask()
    _, _, permit, tickets = caller.ask(within=HOUR)
    before = dict(caller.world.cells)
    assert (Answer.GO, SECOND) == caller.confirm(tickets, None) == caller.confirm(tickets, permit)
    assert all(state is caller.world.cells[key] for key, state in before.items())


def test_a_probe_keeps_its_place_behind_several_limits() -> None:
    """Only the circuit's state is written for a probe that waits on, whatever guards it besides."""
    caller = Caller(gates(TRIPS, ONE, EASY))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.world.now += 10 * SECOND
    caller.world.execute(Pause(caller.gates, SECOND))
    wait, probe, tickets = caller.enter(within=HOUR)
    before = dict(caller.world.cells)
    assert (Answer.GO, wait) == caller.confirm(tickets, probe)
    assert ["limit0", "limit1"] == [key for key in before if before[key] is caller.world.cells[key]]
    caller.world.now += wait
    before = dict(caller.world.cells)
    assert (Answer.GO, 0) == caller.confirm(tickets, probe)
    assert before == caller.world.cells


def test_giving_back_to_a_forgotten_limit_changes_nothing() -> None:
    """A state that is gone has nothing to take back."""
    caller = Caller(gates(None, ONE))
    caller.ask()
    tickets = caller.ask(within=HOUR)[3]
    caller.world.cells.clear()
    caller.world.execute(GiveBack(caller.gates, tickets))
    assert {} == caller.world.cells


def test_a_grant_at_once_can_be_given_back_if_its_ticket_is_kept() -> None:
    """With `ticketed` even a grant without a wait comes with a ticket."""
    caller = Caller(gates(None, ONE))
    _, wait, _, tickets = caller.ask(ticketed=True)
    assert 0 == wait
    assert Answer.LIMITED is caller.ask()[0]
    caller.world.execute(GiveBack(caller.gates, tickets))
    assert Answer.GO is caller.ask()[0]


def test_what_goes_at_once_has_no_ticket() -> None:
    """A grant without a wait has nothing to give back; one with the shortest wait has."""
    caller = Caller(gates(None, ONE, EASY))
    assert (Answer.GO, 0, None, ()) == caller.ask()
    caller.world.now += SECOND - 1
    answer, wait, _, tickets = caller.ask(within=1)
    assert (Answer.GO, 1, 2) == (answer, wait, len(tickets))


def test_what_is_given_back_is_one_grant() -> None:
    """Other grants stay taken."""
    caller = Caller(gates(None, THREE))
    tickets = [caller.ask(ticketed=True)[3] for _ in range(3)]
    caller.world.execute(GiveBack(caller.gates, tickets[-1]))
    assert Answer.GO is caller.ask()[0]
    assert Answer.LIMITED is caller.ask()[0]


def test_a_wait_is_told_in_the_callers_time() -> None:
    """While time stands still after a small step back, that is part of the wait."""
    caller = Caller(gates(None, ONE, EASY))
    caller.ask()
    caller.world.now -= SECOND
    _, wait, _, tickets = caller.ask(within=HOUR)
    assert 2 * SECOND == wait
    assert (Answer.GO, wait) == caller.confirm(tickets, None)
    caller.world.now += wait
    assert (Answer.GO, 0) == caller.confirm(tickets, None)


@pytest.mark.parametrize("back", [SMALL_STEP + 1, HOUR, 40 * DAY])
def test_a_refusal_hears_of_a_step_back(back: int) -> None:
    """Whoever is refused after a clock stepped back waits no longer than before, however often."""
    caller = Caller(gates(TRIPS, RateLimitConfig.per_minute(1), budget=RetryBudget(floor=0)))
    _, permit, _ = caller.enter()
    for left in (60, 57, 54):
        caller.world.now -= back
        assert (Answer.LIMITED, left * SECOND) == caller.ask()[:2]
        caller.world.now += 3 * SECOND
        assert (Answer.LIMITED, (left - 3) * SECOND) == caller.ask()[:2]
    caller.fail(permit)
    for left in (10, 7, 4):
        caller.world.now -= back
        assert (Answer.CIRCUIT_OPEN, left * SECOND) == caller.ask()[:2]
        caller.world.now += 3 * SECOND
        caller.ask()
    caller.world.now += 4 * SECOND
    assert Answer.NO_BUDGET is caller.ask(retry=True, within=HOUR, token=1)[0]
    for _ in range(3):
        caller.world.now -= back
        assert Answer.NO_BUDGET is caller.ask(retry=True, within=HOUR, token=1)[0]
        assert {caller.world.now} == {state[0] for state in caller.world.cells.values()}


def test_refusals_note_the_time_now_and_then() -> None:
    """A circuit that refuses for long hears of the time, and writes it down at most that often."""
    caller = Caller(gates(TRIPS))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    writes = 0
    for _ in range(99):
        before = caller.world.cells["circuit"]
        caller.world.now += SECOND // 10
        caller.ask()
        writes += caller.world.cells["circuit"] is not before
    assert 4 == writes
    caller.world.now -= HOUR
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND - 84 * SECOND // 10) == caller.ask()[:2]
