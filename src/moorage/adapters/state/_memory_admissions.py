"""Fast admission of calls in the memory store, prepared once per plan's rules.

An admission is the command that runs most often, and tenants differ only in its keys. A prepared
one looks its states up, asks their fast rules, and replaces the states in a locked section; it is
`MemoryStorage.execute` without the steps that only other commands need, and keeps the laws of its
locked sections. A refusal by an open circuit changes no state. If the fast rules cannot decide a
case, `execute` decides it from the beginning: a state that does not exist yet, a refusal by a
limit, a wait, a probe, a clock that was set back, a state that changed meanwhile.
"""

# It is a part of the store, in a module that loads when calls are made.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.resilience.admission import AT_ONCE, CIRCUIT_OPEN, GO
from moorage.domain.state.commands import MISREAD, SMALL_STEP

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from moorage.adapters.state.memory import MemoryStorage
    from moorage.domain.resilience.admission import Admission, Admitted
    from moorage.domain.resilience.circuit import CircuitRule
    from moorage.domain.service.plan import Ask
    from moorage.domain.state.commands import State

    FastRule: TypeAlias = "Callable[[State | None, int, int], State | None]"
    Rules: TypeAlias = "list[tuple[FastRule, int]]"


def prepared_admission(store: MemoryStorage, admission: Admission) -> Ask:
    """Return a function that admits calls by the rules of `admission`, for any keys."""
    gates = admission.gates
    rules: list[tuple[FastRule, int]] = []
    if gates.circuit is not None:
        rules.append((gates.circuit.fast_admit, 0))
    rules += zip([limit.fast_grant for limit in gates.limits], admission.costs, strict=True)
    if gates.budget is not None:
        rules.append((gates.budget.fast_count_call, 0))
    prepare: Any = _BY_STATES.get(len(rules))
    if prepare is None:
        return store.execute
    return prepare(store, rules, gates.circuit)  # type: ignore[no-any-return]  # an Ask


def _refusal(circuit: CircuitRule | None, states: tuple[State, ...], now: int) -> Admitted | None:
    """Return the answer of an open circuit; None if `execute` must decide.

    A state of long ago, or one of a time that is to come, has to be brought to the present.
    """
    if circuit is None:
        return None
    try:
        closed_for = circuit.refusal_time(states[0], now)
        for state in states[1:]:
            if not -SMALL_STEP <= state[0] - now <= SMALL_STEP:
                return None
    except MISREAD:
        return None
    return (CIRCUIT_OPEN, closed_for, None, ()) if closed_for else None


def _for_one(store: MemoryStorage, rules: Rules, circuit: CircuitRule | None, /) -> Ask:
    cells, nanoseconds, offset = store._cells, store._nanoseconds, store._offset
    ((rule, cost),) = rules
    has_circuit = circuit is not None

    def decide_admission(admission: Admission, timeout: float | None) -> Admitted:
        (key,) = admission.keys
        try:
            state = cells[key]
            now = (nanoseconds() + offset) // 1000
            next_state = rule(state, now, cost)
        except MISREAD:
            return store.execute(admission, timeout)
        if next_state is None:
            return _refusal(circuit, (state,), now) or store.execute(admission, timeout)
        answer = (GO, 0, (next_state[3], next_state[5], 0), ()) if has_circuit else AT_ONCE
        try:
            with store._lock:
                if cells[key] is state:
                    cells[key] = next_state
                    return answer
        except KeyError:
            pass
        except BaseException:
            store._undo(admission.keys, (state,), (next_state,))
            raise
        return store.execute(admission, timeout)

    return decide_admission


def _for_two(store: MemoryStorage, rules: Rules, circuit: CircuitRule | None, /) -> Ask:
    cells, nanoseconds, offset = store._cells, store._nanoseconds, store._offset
    (rule_1, cost_1), (rule_2, cost_2) = rules
    has_circuit = circuit is not None

    def decide_admission(admission: Admission, timeout: float | None) -> Admitted:
        key_1, key_2 = admission.keys
        try:
            state_1, state_2 = cells[key_1], cells[key_2]
            now = (nanoseconds() + offset) // 1000
            after_1 = rule_1(state_1, now, cost_1)
            after_2 = None if after_1 is None else rule_2(state_2, now, cost_2)
        except MISREAD:
            return store.execute(admission, timeout)
        if after_1 is None or after_2 is None:
            refusal = _refusal(circuit, (state_1, state_2), now)
            return refusal or store.execute(admission, timeout)
        answer = (GO, 0, (after_1[3], after_1[5], 0), ()) if has_circuit else AT_ONCE
        try:
            with store._lock:
                if cells[key_1] is state_1 and cells[key_2] is state_2:
                    cells[key_1] = after_1
                    cells[key_2] = after_2
                    return answer
        except KeyError:
            pass
        except BaseException:
            store._undo(admission.keys, (state_1, state_2), (after_1, after_2))
            raise
        return store.execute(admission, timeout)

    return decide_admission


def _for_three(store: MemoryStorage, rules: Rules, circuit: CircuitRule | None, /) -> Ask:
    cells, nanoseconds, offset = store._cells, store._nanoseconds, store._offset
    (rule_1, cost_1), (rule_2, cost_2), (rule_3, cost_3) = rules
    has_circuit = circuit is not None

    def decide_admission(admission: Admission, timeout: float | None) -> Admitted:
        key_1, key_2, key_3 = admission.keys
        try:
            state_1, state_2, state_3 = cells[key_1], cells[key_2], cells[key_3]
            now = (nanoseconds() + offset) // 1000
            after_1 = rule_1(state_1, now, cost_1)
            after_2 = None if after_1 is None else rule_2(state_2, now, cost_2)
            after_3 = None if after_2 is None else rule_3(state_3, now, cost_3)
        except MISREAD:
            return store.execute(admission, timeout)
        if after_1 is None or after_2 is None or after_3 is None:
            return store.execute(admission, timeout)
        answer = (GO, 0, (after_1[3], after_1[5], 0), ()) if has_circuit else AT_ONCE
        try:
            with store._lock:
                if cells[key_1] is state_1 and cells[key_2] is state_2 and cells[key_3] is state_3:
                    cells[key_1] = after_1
                    cells[key_2] = after_2
                    cells[key_3] = after_3
                    return answer
        except KeyError:
            pass
        except BaseException:
            store._undo(admission.keys, (state_1, state_2, state_3), (after_1, after_2, after_3))
            raise
        return store.execute(admission, timeout)

    return decide_admission


_BY_STATES: Final = {1: _for_one, 2: _for_two, 3: _for_three}
"""The functions that prepare admissions, by the number of their states."""
