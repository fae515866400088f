"""The fast path of an admission decides like the full rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.idempotency.claims import Claim
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.budget import BudgetRule, RetryBudget
from moorage.domain.resilience.circuit import (
    CircuitBreakerConfig,
    CircuitRule,
    CircuitState,
    Outcome,
)
from moorage.domain.resilience.gate_commands import Pause, Report, SetCircuit
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, FOREVER, HOUR, SECOND
from tests.domain.circuit_caller import LEASE
from tests.domain.gate_caller import THREE_A_SECOND, TRIPS, Caller, gates
from tests.domain.state_store import StateStore, long_lists
from tests.support.examples import examples

if TYPE_CHECKING:
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.circuit import Permit

# Excluded from coverage runs, because other tests cover these lines.
pytestmark = pytest.mark.untraced

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
BUDGET = RetryBudget(ratio=0.5, floor=1, period=2.0)
all_gates = st.builds(
    lambda circuit, limits, budget: gates(circuit, *limits, budget=budget),
    st.none() | st.sampled_from(CIRCUITS),
    st.lists(st.sampled_from(LIMITS), max_size=3),
    st.none() | st.just(BUDGET),
)
spans = st.one_of(
    st.integers(0, SECOND), st.integers(0, 15 * SECOND), st.integers(0, 2 * DAY), st.just(HOUR)
)
asks = st.tuples(st.just("ask"), st.integers(0, 3), st.sampled_from([0, SECOND, FOREVER]))
retries = st.tuples(st.just("retry"), st.integers(0, 3), st.sampled_from([0, FOREVER]))
acts = [
    *[asks] * 6,
    *[retries] * 2,
    *[st.tuples(st.just("report"), st.integers(0, 40), st.sampled_from(list(Outcome)))] * 3,
    st.tuples(st.just("report"), st.just(0), st.just(Outcome.FAILED)),
    *[st.tuples(st.just("advance"), spans, st.none())] * 2,
    st.tuples(st.just("pause"), st.integers(0, 3 * SECOND), st.none()),
    st.tuples(st.just("back"), st.integers(0, 2 * SMALL_STEP), st.none()),
    st.tuples(st.just("set"), st.integers(0, 40), st.none()),
]


def ask_both_paths(admission: Admission, store: StateStore) -> Admitted:
    """Ask for admission, and check that the fast path decides like the full rule."""
    states = tuple(map(store.cells.get, admission.keys))
    assert admission.decide(states, store.now) == admission.apply(states, store.now)
    return store.execute(admission)


@examples(300)
@given(all_gates, long_lists(acts))
def test_apply_agrees_with_decide(gates: Gates, walk: list[tuple[str, int, Any]]) -> None:
    """In every reachable state, an admission's `apply` stores and returns what `decide` does."""
    store = StateStore()
    permits: list[Permit] = []
    for token, (name, number, detail) in enumerate(walk, start=1):
        if name in {"ask", "retry"}:
            cost = (max(1, number),) * len(gates.limits)
            retry = name == "retry"
            question = Admission(gates, within=detail, lease=LEASE, costs=cost, retry=retry)
            answer, _, permit, _ = ask_both_paths(question, store)
            if answer is Answer.NEEDS_TOKEN:
                answer, _, permit, _ = ask_both_paths(question.evolve(token=token), store)
            permits += [permit] if permit else []
        elif name == "report" and permits:
            permit = permits.pop(-1 - number % len(permits))
            store.execute(Report(gates, permit, detail, "a"))
        elif name == "advance":
            store.now += number
        elif name == "back":
            store.now -= number
        elif name == "pause":
            store.execute(Pause(gates, number))
        elif name == "set" and gates.circuit:
            state = list(CircuitState)[(0, 3, 4)[number % 3]] if number < 6 else CircuitState.CLOSED
            store.execute(SetCircuit(gates.circuit, "circuit", state))


@examples(300)
@given(all_gates, long_lists([*acts, st.tuples(st.just("claim"), spans, st.booleans())]))
def test_apply_agrees_with_decide_under_a_claim(
    gates: Gates, walk: list[tuple[str, int, Any]]
) -> None:
    """For an admission with a claim, `apply` stores and returns the same values as `decide`."""
    store = StateStore()
    fencing_token = 0
    plain_admission = Admission(gates, within=0, lease=LEASE)
    for owner, (name, number, detail) in enumerate(walk, start=1):
        if name == "claim":
            claim = Claim(
                "claim",
                fingerprint=b"",
                owner=owner,
                lease=number,
                ttl=DAY,
                target="a",
                remembered=DAY if detail else 0,
            )
            fencing_token = store.execute(claim).fence or fencing_token
        elif name == "ask":
            claim_reference = ("claim", fencing_token - number % 2, "ab"[number % 2])
            question = plain_admission.under_claim(
                claim_reference, within=detail, lease=LEASE, retry=bool(number)
            )
            evolved = plain_admission.evolve(
                claim=claim_reference, within=detail, retry=bool(number)
            )
            states = tuple(map(store.cells.get, question.keys))
            assert evolved.keys == question.keys
            assert question.decide(states, store.now) == evolved.apply(states, store.now)
            _, _, permit, _ = ask_both_paths(question, store)
            if permit and number == 3:
                store.execute(Report(gates, permit, Outcome.FAILED, "a"))
        elif name == "advance":
            store.now += number
        elif name == "back":
            store.now -= number
        elif name == "pause":
            store.execute(Pause(gates, number))
        elif name == "set" and gates.circuit:
            state = list(CircuitState)[(0, 3, 4)[number % 3]] if number < 6 else CircuitState.CLOSED
            store.execute(SetCircuit(gates.circuit, "circuit", state))


class FastPathBucket(TokenBucket):
    """A token bucket that supports only the fast path."""

    present = earliest = grant = None  # type: ignore[assignment]  # what the test is about


class FastPathCircuit(CircuitRule):
    """A circuit that supports only the fast path."""

    present = admit = None  # type: ignore[assignment]  # what the test is about


class FastPathBudget(BudgetRule):
    """A retry budget that supports only the fast path."""

    present = call = None  # type: ignore[assignment]  # what the test is about


@pytest.mark.parametrize("mode", [CircuitState.CLOSED, CircuitState.FORCED_OPEN])
@pytest.mark.parametrize(
    "circuits, limits, budgets",
    [(1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0), (1, 2, 0), (0, 0, 1), (1, 1, 1), (1, 2, 1)],
)
def test_first_attempt_that_is_admitted_at_once_is_always_decided_on_fast_path(
    circuits: int, limits: int, budgets: int, mode: CircuitState
) -> None:
    """A first attempt that is admitted at once is always decided on the fast path."""
    bucket: Any = FastPathBucket(1, SECOND, 3)
    simple = Gates(
        circuit=FastPathCircuit(CIRCUITS[0]) if circuits else None,
        circuit_key="circuit",
        limits=[bucket] * limits,
        limit_keys=[f"limit{number}" for number in range(limits)],
        budget=FastPathBudget(BUDGET) if budgets else None,
        budget_key="budget",
    )
    store = StateStore()
    usual_gates = gates(CIRCUITS[0], budget=BUDGET)
    assert usual_gates.circuit is not None
    store.execute(Admission(usual_gates, within=0, lease=LEASE))
    store.execute(SetCircuit(usual_gates.circuit, "circuit", mode))
    store.now += 1
    is_refused = circuits and mode is not CircuitState.CLOSED
    answer = store.execute(Admission(simple, within=0, lease=LEASE))[0]
    assert (Answer.CIRCUIT_OPEN if is_refused else Answer.GO) is answer


def test_rate_limit_state_still_records_time_if_open_circuit_refuses_attempt() -> None:
    """If an open circuit refuses an attempt, the state of the rate limit still records the time."""
    caller = Caller(gates(TRIPS, THREE_A_SECOND))
    _, permit, _ = caller.enter()
    caller.store.now += 3 * SECOND
    caller.fail(permit)
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND) == caller.ask()[:2]
    assert caller.store.now == caller.store.cells["limit0"][0]
