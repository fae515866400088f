"""Circuit, rate limits, retry budget and claim admit an attempt together, or none of them does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.idempotency.claims import Claim, Resolve, Withdraw, store_answer
from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitState, Outcome
from moorage.domain.resilience.gate_commands import (
    Confirm,
    GiveBack,
    Pause,
    ReadCircuit,
    Report,
    SetCircuit,
)
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.values.durations import DAY, HOUR, SECOND
from moorage.errors import InvalidData
from tests.domain.circuit_caller import LEASE
from tests.domain.gate_caller import ONE_A_SECOND, THREE_A_SECOND, TRIPS, WIDE_LIMIT, Caller, gates

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command

KEY = "claim"


def test_refusal_by_one_limit_charges_no_other() -> None:
    """If one rate limit refuses an attempt, all other states are unchanged."""
    caller = Caller(gates(TRIPS, WIDE_LIMIT, ONE_A_SECOND, budget=RetryBudget()))
    caller.enter()
    assert (Answer.LIMITED, SECOND) == caller.refused_answer()
    assert (Answer.LIMITED, SECOND) == caller.refused_answer(within=SECOND - 1, retry=True)
    assert Answer.GO is caller.ask(within=SECOND)[0]


def test_open_circuit_takes_no_limit_token() -> None:
    """If a circuit is open, an attempt takes no rate-limit token.

    The result has the time to wait.
    """
    caller = Caller(gates(TRIPS, WIDE_LIMIT))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND) == caller.refused_answer()


def test_admitted_call_is_counted_and_takes_a_token() -> None:
    """An admitted call is counted by the circuit, and takes a token of the rate limit."""
    caller = Caller(gates(TRIPS, THREE_A_SECOND))
    for _ in range(3):
        caller.enter()
    assert (Answer.LIMITED, 333_334) == caller.refused_answer()
    assert caller.gates.circuit is not None
    assert 3 == caller.store.execute(ReadCircuit(caller.gates.circuit, "circuit")).calls


def test_circuit_does_not_count_limited_calls() -> None:
    """A call that its rate limit refuses is not counted by the circuit."""
    caller = Caller(gates(TRIPS, ONE_A_SECOND))
    caller.enter()
    assert (Answer.LIMITED, SECOND) == caller.refused_answer()


def test_probe_is_leased_only_if_limits_admit() -> None:
    """A call that a rate limit refuses takes neither a circuit's probe slot nor a token."""
    caller = Caller(gates(TRIPS, RateLimitConfig.per_minute(1)))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.store.now += 10 * SECOND
    assert (Answer.LIMITED, 50 * SECOND) == caller.refused_answer()
    assert (Answer.LIMITED, 50 * SECOND) == caller.refused_answer(token=7)
    assert (Answer.NEEDS_TOKEN, 0) == caller.refused_answer(within=HOUR)
    assert Answer.GO is caller.ask(within=HOUR, token=7)[0]


def test_queued_probe_is_leased_for_wait_and_attempt() -> None:
    """A circuit probe's lease lasts while the probe waits for its rate limit and while it runs."""
    caller = Caller(gates(TRIPS, RateLimitConfig.per_minute(1)))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.store.now += 10 * SECOND
    wait, _, _ = caller.enter(within=HOUR)
    assert 50 * SECOND == wait
    assert (Answer.PROBES_TAKEN, wait + LEASE) == caller.refused_answer(within=2 * HOUR)


def test_first_attempts_earn_retries_that_a_budget_spends() -> None:
    """First attempts earn retries; an empty retry budget returns when its next period begins."""
    caller = Caller(gates(None, budget=RetryBudget(ratio=0.5, floor=0, period=10.0)))
    for _ in range(2):
        assert Answer.GO is caller.ask()[0]
    assert Answer.GO is caller.ask(retry=True)[0]
    period_left = 10 * SECOND - caller.store.now % (10 * SECOND)
    assert (Answer.NO_BUDGET, period_left) == caller.refused_answer(retry=True)


def test_claim_is_marked_sent_only_if_admitted() -> None:
    """A claim is marked as sent only if its attempt is admitted.

    A claim that was lost is refused.
    """
    caller = Caller(gates(TRIPS, ONE_A_SECOND, budget=RetryBudget()))
    claim = Claim(
        KEY, fingerprint=b"", owner=1, lease=LEASE, ttl=DAY, target="vendor", remembered=0
    )
    fencing_token = caller.store.execute(claim).fence
    assert Answer.GO is caller.ask(claim=(KEY, fencing_token, "vendor"))[0]
    sent_state = caller.store.cells[KEY]
    assert (Answer.LIMITED, SECOND) == caller.refused_answer(claim=(KEY, fencing_token, "vendor"))
    caller.store.now += SECOND
    assert (Answer.FENCED, 0) == caller.refused_answer(claim=(KEY, fencing_token + 1, "vendor"))
    assert sent_state is caller.store.cells[KEY]
    caller.store.now += LEASE
    assert (Answer.FENCED, 0) == caller.ask(claim=(KEY, fencing_token, "vendor"))[:2]
    caller.store.now += 2 * DAY
    assert (Answer.FENCED, 0) == caller.ask(claim=(KEY, fencing_token, "vendor"))[:2]
    assert KEY in caller.store.cells


def test_claim_alone_decides_without_circuit_limits_and_budget() -> None:
    """Without circuit, limits and budget, only the idempotency claim decides on admission."""
    caller = Caller(gates())
    claim = Claim(
        KEY, fingerprint=b"", owner=1, lease=LEASE, ttl=DAY, target="vendor", remembered=0
    )
    fencing_token = caller.store.execute(claim).fence
    assert (Answer.GO, 0, None, ()) == caller.ask(claim=(KEY, fencing_token, "vendor"))
    assert (Answer.FENCED, 0) == caller.refused_answer(claim=(KEY, fencing_token + 1, "vendor"))


def test_attempts_without_circuit_limits_and_budget_are_admitted() -> None:
    """Without circuit, limits and budget, every attempt is admitted."""
    assert (Answer.GO, 0, None, ()) == Caller(gates()).ask()


def test_keys_are_named_in_order() -> None:
    """Each command lists its state keys in the order in which it reads the states."""
    every_gate = gates(TRIPS, ONE_A_SECOND, WIDE_LIMIT, budget=RetryBudget())
    question = Admission(every_gate, within=0, lease=0, claim=(KEY, 1, "vendor"))
    assert ("circuit", "limit0", "limit1", "budget", KEY) == question.keys
    assert question.keys == question.evolve(retry=True).keys
    assert ("limit0", "limit1", "circuit") == Confirm(every_gate, (), (1, 1, 0)).keys
    assert ("limit0", "limit1") == Confirm(every_gate, (), None).keys
    assert ("limit0", "limit1") == GiveBack(every_gate, ()).keys == Pause(every_gate, 0).keys
    assert ("circuit",) == Report(every_gate, (1, 1, 0), Outcome.GOOD, "a").keys


def test_only_idempotent_commands_are_repeated() -> None:
    """Commands that take tokens or report results are sent once.

    Commands that read or set values may be repeated.
    """
    every_gate = gates(TRIPS, ONE_A_SECOND)
    rule = every_gate.circuit
    assert rule is not None
    first_commands: list[Command[Any]] = [
        Admission(every_gate, within=0, lease=0),
        GiveBack(every_gate, ()),
        Pause(every_gate, 0),
        Report(every_gate, (1, 1, 0), Outcome.GOOD, "a"),
    ]
    assert all(command.once for command in first_commands)
    repeated_commands: list[Command[Any]] = [
        Confirm(every_gate, (), None),
        ReadCircuit(rule, "circuit"),
        SetCircuit(rule, "circuit", CircuitState.CLOSED),
    ]
    assert not any(command.once for command in repeated_commands)


def test_only_claim_marks_are_durable() -> None:
    """A crash may lose recent rate-limit counts, but never the mark that a claim was sent."""
    every_gate = gates(TRIPS, ONE_A_SECOND)
    rule = every_gate.circuit
    assert rule is not None
    question = Admission(every_gate, within=0, lease=0)
    volatile_commands: list[Command[Any]] = [
        question,
        Confirm(every_gate, (), None),
        GiveBack(every_gate, ()),
        Pause(every_gate, 0),
        Report(every_gate, (1, 1, 0), Outcome.GOOD, "a"),
        SetCircuit(rule, "circuit", CircuitState.CLOSED),
        ReadCircuit(rule, "circuit"),
    ]
    lasting_commands: list[Command[Any]] = [
        question.evolve(claim=("key", 1, "vendor")),
        Claim("key", fingerprint=b"", owner=1, lease=1, ttl=1, target="", remembered=0),
        store_answer("key", 1, None, ttl=1),
        Withdraw("key", 1, ttl=1),
        Resolve("key", done=True, ttl=1),
    ]

    assert not any(command.durable for command in volatile_commands)
    assert all(command.durable for command in lasting_commands)


@pytest.mark.parametrize("cost", [0, -1, 4, True, 1.0])
def test_impossible_cost_is_refused(cost: Any) -> None:
    """A cost that a rate limit can never grant is refused instead of waiting forever."""
    with pytest.raises(InvalidData) as excinfo:
        Admission(gates(None, WIDE_LIMIT, THREE_A_SECOND), within=0, lease=0, costs=(1, cost))
    assert "cost" == excinfo.value.field


def test_costs_are_given_for_all_rate_limits() -> None:
    """Costs are passed for all rate limits, or for none."""
    caller = Caller(gates(None, THREE_A_SECOND, RateLimitConfig.per_second(5)))
    assert Answer.GO is caller.ask(costs=(1, 5))[0]
    assert (Answer.LIMITED, 200_000) == caller.refused_answer(costs=(2, 1))
    with pytest.raises(ValueError, match="shorter"):
        Admission(caller.gates, within=0, lease=0, costs=(1,))


def test_circuit_report_without_a_circuit_fails() -> None:
    """A circuit report without a circuit fails, because only a circuit grants permits."""
    with pytest.raises(AssertionError, match="has no circuit breaker"):
        Report(gates(None, ONE_A_SECOND), (1, 1, 0), Outcome.FAILED, "a")


def test_quorum_counts_failures_of_one_process_once() -> None:
    """If a circuit needs failures of two processes, two failures of one process count once."""
    caller = Caller(gates(CircuitBreakerConfig(failures=2, quorum=2)))
    permits = [caller.enter()[1] for _ in range(3)]
    changes = [
        caller.store.execute(Report(caller.gates, permit, Outcome.FAILED, reporter))
        for permit, reporter in zip(permits, "aab", strict=True)
    ]
    assert [None, None, CircuitState.OPEN] == changes
