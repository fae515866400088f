"""Claiming an idempotency key and admitting its attempt in one command."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.idempotency.claims import Verdict, store_answer
from moorage.domain.resilience.admission import GO, Admission, Gates
from moorage.domain.resilience.budget import BudgetRule, RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule, CircuitState
from moorage.domain.resilience.gate_commands import SetCircuit
from moorage.domain.resilience.key_admission import KeyAdmission, WithdrawUnsent
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import SECOND
from moorage.errors import StateUnavailable
from tests.domain.key_caller import KEY, TTL, KeyCaller, claim
from tests.domain.state_store import StateStore

TERM = 40 * SECOND
CIRCUIT = CircuitRule(CircuitBreakerConfig(failures=1, open_for=10))
LIMIT = RateLimitConfig.per_second(1, burst=2).rule
BUDGET = BudgetRule(RetryBudget())
GATES = [
    Gates(),
    Gates(circuit=CIRCUIT, circuit_key="circuit"),
    Gates(limits=[LIMIT], limit_keys=["limit"]),
    Gates(circuit=CIRCUIT, circuit_key="circuit", limits=[LIMIT], limit_keys=["limit"]),
    Gates(
        circuit=CIRCUIT,
        circuit_key="circuit",
        limits=[LIMIT, LIMIT],
        limit_keys=["limit", "second limit"],
        budget=BUDGET,
        budget_key="budget",
    ),
]
EVENTS = ["admit", "open", "close", "claim", "send", "free", "complete", "wait", "expire", "back"]


def claim_and_ask(gates: Gates, *, owner: int = 9, payload: bytes = b"one") -> KeyAdmission:
    """Return the command that claims the key and requests admission of its attempt."""
    question = Admission(gates, within=SECOND, lease=SECOND)
    return KeyAdmission(KEY, question, payload, owner, TERM, TTL, "honours")


def one_after_another(store: StateStore, gates: Gates, payload: bytes) -> Any:
    """Claim a key, then request admission; return the reply, or None after a refusal."""
    claim_result = store.execute(claim(9, payload=payload, lease=TERM, term=TERM))
    if claim_result.verdict is Verdict.REPLAY:
        return 0, (GO, 0, None, ()), claim_result.answer
    if claim_result.verdict is not Verdict.RUN:
        return None
    question = Admission(gates, within=SECOND, lease=SECOND).under_claim(
        (KEY, claim_result.fence, "honours"), within=SECOND, lease=SECOND, retry=False
    )
    admission = store.execute(question)
    return (claim_result.fence, admission, None) if admission[:2] == (GO, 0) else None


def apply_event(key: KeyCaller, gates: Gates, event: str) -> None:
    """Change the state of the key, of a circuit or of a limit, or the clock."""
    store = key.store
    entry = store.cells.get(KEY)
    fencing_token = 0 if entry is None else entry[4]
    if event == "admit" and gates.rules:
        store.execute(Admission(gates, within=SECOND, lease=SECOND))
    elif event in {"open", "close"} and gates.circuit:
        state = CircuitState.FORCED_OPEN if event == "open" else CircuitState.CLOSED
        store.execute(SetCircuit(gates.circuit, gates.circuit_key, state))
    elif event == "claim":
        key.claim()
    elif event == "send":
        key.mark(fencing_token)
    elif event == "complete":
        key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL))
    elif event == "free":
        store.execute(WithdrawUnsent(KEY, 0 if entry is None else entry[5], ttl=TTL))
    elif event == "wait":
        store.now += 60 * SECOND
    elif event == "expire":
        store.now += 2 * TTL
    elif event == "back":
        store.now -= 3 * SMALL_STEP


@given(
    gates=st.sampled_from(GATES),
    events=st.lists(st.sampled_from(EVENTS), max_size=8),
    payload=st.sampled_from([b"one", b"two"]),
)
def test_claim_with_admission_is_both_commands(
    gates: Gates, events: list[str], payload: bytes
) -> None:
    """A command that claims a key and requests admission does the same as two commands."""
    key = KeyCaller()
    for event in events:
        apply_event(key, gates, event)
    before = dict(key.store.cells)
    store = StateStore(key.store.now)
    store.cells = dict(before)

    answer = key.store.execute(claim_and_ask(gates, payload=payload))

    if answer is None:
        assert before == key.store.cells
        assert KEY in before or one_after_another(store, gates, payload) is None
    else:
        assert one_after_another(store, gates, payload) == answer
        assert store.cells == key.store.cells


@pytest.mark.parametrize("gates", GATES)
def test_new_key_is_sent_at_once(gates: Gates) -> None:
    """One command claims a new key, marks it as sent, and admits its attempt."""
    key = KeyCaller()

    fencing_token, admission, _ = key.store.execute(claim_and_ask(gates))  # type: ignore[misc]  # not None

    assert (key.store.now, GO, 0) == (fencing_token, *admission[:2])
    assert Verdict.BUSY is key.claim().verdict
    assert not key.mark(fencing_token - 1)
    assert key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL)).held


def test_stored_response_needs_neither_tokens_nor_a_closed_circuit() -> None:
    """A stored response is returned even if the rate limit is used up and the circuit is open."""
    key, gates = KeyCaller(), GATES[3]
    fencing_token, _, _ = key.store.execute(claim_and_ask(gates))  # type: ignore[misc]  # not None
    key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL))
    apply_event(key, gates, "open")
    cells = dict(key.store.cells)

    answer = key.store.execute(claim_and_ask(gates))

    assert (0, "answer") == (answer[0], answer[2])  # type: ignore[index]  # not None
    assert cells == key.store.cells


@pytest.mark.parametrize("event", ["admit", "open"])
def test_refused_attempt_does_not_claim_its_key(event: str) -> None:
    """If a new idempotency key's attempt must wait or is refused, the key is not claimed."""
    key, gates = KeyCaller(), GATES[3]
    for _ in range(2):
        apply_event(key, gates, event)

    assert key.store.execute(claim_and_ask(gates)) is None
    assert KEY not in key.store.cells


def test_unsent_key_is_free_again() -> None:
    """A caller that has sent nothing can free its own idempotency key, but no other."""
    key = KeyCaller()
    key.store.execute(claim_and_ask(GATES[0], owner=9))

    key.store.execute(WithdrawUnsent(KEY, 8, ttl=TTL))
    assert Verdict.BUSY is key.claim().verdict
    key.store.execute(WithdrawUnsent(KEY, 9, ttl=TTL))
    assert Verdict.RUN is key.claim().verdict
    key.store.execute(WithdrawUnsent("other key", 9, ttl=TTL))
    assert "other key" not in key.store.cells


def test_error_names_the_unreadable_state() -> None:
    """The error for a state that another release stored names the state."""
    for position, name in enumerate(("circuit", "limit", KEY)):
        store = StateStore()
        if name != KEY:
            store.execute(claim_and_ask(GATES[3]))
            del store.cells[KEY]
        store.cells[name] = (store.now, SECOND, *["?"] * (position + 1))

        with pytest.raises(StateUnavailable) as excinfo:
            store.execute(claim_and_ask(GATES[3]))

        assert name == excinfo.value.key
