"""Callers that queue for a rate limit: confirming their turn, and giving up."""

from __future__ import annotations

import pytest

from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitState
from moorage.domain.resilience.gate_commands import GiveBack, Pause, ReadCircuit, SetCircuit
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, FOREVER, HOUR, SECOND
from tests.domain.circuit_caller import LEASE
from tests.domain.gate_caller import ONE_A_SECOND, THREE_A_SECOND, TRIPS, WIDE_LIMIT, Caller, gates


def test_waiter_is_refused_by_a_circuit_that_opened() -> None:
    """A caller that waits for a rate limit is refused after its wait if the circuit has opened."""
    caller = Caller(gates(TRIPS, ONE_A_SECOND))
    _, permit, _ = caller.enter()
    wait, queue_permit, tickets = caller.enter(within=HOUR)
    assert SECOND == wait
    assert (Answer.GO, SECOND) == caller.confirm(tickets, queue_permit)
    caller.fail(permit)
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND) == caller.confirm(tickets, queue_permit)
    caller.store.now += 11 * SECOND
    assert (Answer.CIRCUIT_OPEN, 1) == caller.confirm(tickets, queue_permit)
    caller.enter(within=HOUR)
    assert (Answer.CIRCUIT_OPEN, LEASE) == caller.confirm(tickets, queue_permit)
    caller.store.now += LEASE
    assert (Answer.CIRCUIT_OPEN, 1) == caller.confirm(tickets, queue_permit)


@pytest.mark.parametrize(
    "state, expected",
    [
        (CircuitState.CLOSED, (Answer.GO, 0)),
        (CircuitState.DISABLED, (Answer.GO, 0)),
        (CircuitState.FORCED_OPEN, (Answer.CIRCUIT_OPEN, FOREVER)),
    ],
)
def test_waiter_follows_a_circuit_that_was_set(
    state: CircuitState, expected: tuple[Answer, int]
) -> None:
    """A circuit state set by an operator also applies to callers that are already queueing."""
    caller = Caller(gates(TRIPS, ONE_A_SECOND))
    caller.enter()
    _, queue_permit, tickets = caller.enter(within=HOUR)
    assert caller.gates.circuit is not None
    caller.store.execute(SetCircuit(caller.gates.circuit, "circuit", state))
    caller.store.now += SECOND
    assert expected == caller.confirm(tickets, queue_permit)


def test_setting_the_circuit_ends_no_probe() -> None:
    """A running probe keeps its lease, no matter which state an operator sets for the circuit."""
    caller = Caller(gates(TRIPS))
    rule = caller.gates.circuit
    assert rule is not None
    caller.fail(caller.enter()[1])
    caller.store.now += 10 * SECOND
    caller.enter()
    for state in (CircuitState.FORCED_OPEN, CircuitState.DISABLED, CircuitState.CLOSED):
        caller.store.execute(SetCircuit(rule, "circuit", state))
        assert 1 == caller.store.execute(ReadCircuit(rule, "circuit")).probes_under_way


def test_shadow_circuit_refuses_no_waiter() -> None:
    """A circuit that opens in shadow mode does not refuse waiting callers."""
    caller = Caller(gates(CircuitBreakerConfig(failures=1, shadow=True), ONE_A_SECOND))
    _, permit, _ = caller.enter()
    _, queue_permit, tickets = caller.enter(within=HOUR)
    caller.fail(permit)
    assert (Answer.GO, SECOND) == caller.confirm(tickets, queue_permit)


def test_pause_while_circuit_probe_queues_prolongs_its_lease() -> None:
    """If a pause delays a queued probe, its lease grows, so that no second probe starts."""
    caller = Caller(gates(TRIPS, ONE_A_SECOND))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.store.now += 10 * SECOND
    caller.store.execute(Pause(caller.gates, SECOND))
    wait, probe, tickets = caller.enter(within=HOUR)
    caller.store.now += wait
    assert (Answer.GO, 0) == caller.confirm(tickets, probe)
    caller.store.execute(Pause(caller.gates, 20 * SECOND))
    assert (Answer.GO, 20 * SECOND) == caller.confirm(tickets, probe)
    caller.store.now += 20 * SECOND
    assert (Answer.GO, 0) == caller.confirm(tickets, probe)
    assert (Answer.PROBES_TAKEN, LEASE) == caller.ask(within=HOUR)[:2]


def test_pause_extends_only_the_queued_probes_lease() -> None:
    """A pause extends the lease of a circuit probe that waits in the queue, and no other lease."""
    config = CircuitBreakerConfig(failures=1, open_for=10.0, probes=2)
    caller = Caller(gates(config, WIDE_LIMIT))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.store.now += 10 * SECOND
    caller.enter()
    caller.store.execute(Pause(caller.gates, SECOND))
    wait, probe, tickets = caller.enter(within=HOUR)
    caller.store.execute(Pause(caller.gates, 20 * SECOND))
    _, longer_lease = caller.confirm(tickets, probe)
    assert (SECOND + 1_000, 20 * SECOND + 1_000) == (wait, longer_lease)
    assert (Answer.PROBES_TAKEN, LEASE) == caller.ask(within=HOUR)[:2]


def test_late_probe_loses_its_lease() -> None:
    """A circuit probe that confirms after its lease has ended is refused."""
    caller = Caller(gates(TRIPS, ONE_A_SECOND))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.store.now += 10 * SECOND
    caller.store.execute(Pause(caller.gates, SECOND))
    wait, probe, tickets = caller.enter(within=HOUR)
    caller.store.now += wait + LEASE
    assert (Answer.CIRCUIT_OPEN, 1) == caller.confirm(tickets, probe)
    caller.enter(within=HOUR)
    assert (Answer.CIRCUIT_OPEN, LEASE) == caller.confirm(tickets, probe)


def test_caller_without_a_circuit_waits_only_for_rate_limits() -> None:
    """Without a circuit, a waiting caller only waits for the rate limits."""
    caller = Caller(gates(None, ONE_A_SECOND, WIDE_LIMIT))
    caller.ask()
    _, _, permit, tickets = caller.ask(within=HOUR)
    assert permit is None
    caller.store.now += 400_000
    assert (Answer.GO, 600_000) == caller.confirm(tickets, None)


def test_queued_caller_that_is_not_a_probe_writes_no_state() -> None:
    """If a queued caller that is not a probe confirms its turn, no state is written."""
    caller = Caller(gates(TRIPS, ONE_A_SECOND, WIDE_LIMIT))
    caller.ask()
    _, _, permit, tickets = caller.ask(within=HOUR)
    previous_states = dict(caller.store.cells)
    assert (Answer.GO, SECOND) == caller.confirm(tickets, None) == caller.confirm(tickets, permit)
    assert all(state is caller.store.cells[key] for key, state in previous_states.items())


def test_waiting_probe_writes_only_the_circuit() -> None:
    """If a queued probe asks again and must wait longer, only the circuit's state changes."""
    caller = Caller(gates(TRIPS, ONE_A_SECOND, WIDE_LIMIT))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    caller.store.now += 10 * SECOND
    caller.store.execute(Pause(caller.gates, SECOND))
    wait, probe, tickets = caller.enter(within=HOUR)
    previous_states = dict(caller.store.cells)
    assert (Answer.GO, wait) == caller.confirm(tickets, probe)
    assert ["limit0", "limit1"] == [
        key for key in previous_states if previous_states[key] is caller.store.cells[key]
    ]
    caller.store.now += wait
    previous_states = dict(caller.store.cells)
    assert (Answer.GO, 0) == caller.confirm(tickets, probe)
    assert previous_states == caller.store.cells


def test_giving_back_to_a_forgotten_limit_changes_nothing() -> None:
    """Returning a grant to an expired rate limit changes nothing."""
    caller = Caller(gates(None, ONE_A_SECOND))
    caller.ask()
    tickets = caller.ask(within=HOUR)[3]
    caller.store.cells.clear()
    caller.store.execute(GiveBack(caller.gates, tickets))
    assert {} == caller.store.cells


def test_immediate_grant_can_be_given_back() -> None:
    """With `ticketed`, a caller can return a rate-limit token even if it was granted at once."""
    caller = Caller(gates(None, ONE_A_SECOND))
    _, wait, _, tickets = caller.ask(ticketed=True)
    assert 0 == wait
    assert Answer.LIMITED is caller.ask()[0]
    caller.store.execute(GiveBack(caller.gates, tickets))
    assert Answer.GO is caller.ask()[0]


def test_immediate_grant_has_no_ticket() -> None:
    """A rate-limit grant has a ticket only if its caller must wait."""
    caller = Caller(gates(None, ONE_A_SECOND, WIDE_LIMIT))
    assert (Answer.GO, 0, None, ()) == caller.ask()
    caller.store.now += SECOND - 1
    answer, wait, _, tickets = caller.ask(within=1)
    assert (Answer.GO, 1, 2) == (answer, wait, len(tickets))


def test_returning_one_rate_limit_grant_leaves_others_taken() -> None:
    """Returning one rate-limit token does not affect any other token."""
    caller = Caller(gates(None, THREE_A_SECOND))
    tickets = [caller.ask(ticketed=True)[3] for _ in range(3)]
    caller.store.execute(GiveBack(caller.gates, tickets[-1]))
    assert Answer.GO is caller.ask()[0]
    assert Answer.LIMITED is caller.ask()[0]


def test_wait_includes_a_small_step_back() -> None:
    """If the store's clock stepped back, the wait for a grant includes the size of the step."""
    caller = Caller(gates(None, ONE_A_SECOND, WIDE_LIMIT))
    caller.ask()
    caller.store.now -= SECOND
    _, wait, _, tickets = caller.ask(within=HOUR)
    assert 2 * SECOND == wait
    assert (Answer.GO, wait) == caller.confirm(tickets, None)
    caller.store.now += wait
    assert (Answer.GO, 0) == caller.confirm(tickets, None)


@pytest.mark.parametrize("back", [SMALL_STEP + 1, HOUR, 40 * DAY])
def test_refusal_follows_a_clock_step_back(back: int) -> None:
    """After the clock stepped back, a refused caller waits no longer than before."""
    caller = Caller(gates(TRIPS, RateLimitConfig.per_minute(1), budget=RetryBudget(floor=0)))
    _, permit, _ = caller.enter()
    for seconds_left in (60, 57, 54):
        caller.store.now -= back
        assert (Answer.LIMITED, seconds_left * SECOND) == caller.ask()[:2]
        caller.store.now += 3 * SECOND
        assert (Answer.LIMITED, (seconds_left - 3) * SECOND) == caller.ask()[:2]
    caller.fail(permit)
    for seconds_left in (10, 7, 4):
        caller.store.now -= back
        assert (Answer.CIRCUIT_OPEN, seconds_left * SECOND) == caller.ask()[:2]
        caller.store.now += 3 * SECOND
        caller.ask()
    caller.store.now += 4 * SECOND
    assert Answer.NO_BUDGET is caller.ask(retry=True, within=HOUR, token=1)[0]
    for _ in range(3):
        caller.store.now -= back
        assert Answer.NO_BUDGET is caller.ask(retry=True, within=HOUR, token=1)[0]
        assert {caller.store.now} == {state[0] for state in caller.store.cells.values()}


def test_refusals_note_the_time_now_and_then() -> None:
    """An open circuit that refuses callers writes its state at most once every few seconds."""
    caller = Caller(gates(TRIPS))
    _, permit, _ = caller.enter()
    caller.fail(permit)
    writes = 0
    for _ in range(99):
        previous_state = caller.store.cells["circuit"]
        caller.store.now += SECOND // 10
        caller.ask()
        writes += caller.store.cells["circuit"] is not previous_state
    assert 4 == writes
    caller.store.now -= HOUR
    assert (Answer.CIRCUIT_OPEN, 10 * SECOND - 84 * SECOND // 10) == caller.ask()[:2]
