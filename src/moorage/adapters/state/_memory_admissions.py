"""Fast admission of calls in the memory store; each plan's rules are prepared only once.

An admission is the command that runs most often, and tenants differ only in its keys. A prepared
one looks its states up, asks their fast rules, and replaces the states in a locked section; it is
`MemoryStorage.execute` without the steps that only other commands need, and keeps the laws of its
locked sections. A refusal by an open circuit changes no state. If the fast rules cannot decide a
case, `execute` decides it from the beginning: a state that does not exist yet, a refusal by a
limit, a wait, a probe, a clock that was set back, a state that changed meanwhile.
"""

# This code belongs to the store, but its module is loaded only when calls are made.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.sections import release_if_held
from moorage.adapters.state._inlined_admission import for_circuit_and_bucket
from moorage.domain.resilience.admission import AT_ONCE, GO, refusal_by_open_circuit
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.state.commands import MISREAD

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
    limit = gates.limits[0] if gates.limits else None
    if gates.circuit is not None and isinstance(limit, TokenBucket) and len(rules) == 2:
        return for_circuit_and_bucket(store, gates.circuit, limit, admission.costs[0])
    prepare: Any = _BY_STATES.get(len(rules))
    if prepare is None:
        return store.execute
    return prepare(store, rules, gates.circuit)  # type: ignore[no-any-return]  # an Ask


def _for_one(store: MemoryStorage, rules: Rules, circuit: CircuitRule | None, /) -> Ask:
    cells, nanoseconds, offset = store._cells, store._nanoseconds, store._offset
    ((rule, cost),) = rules
    has_circuit = circuit is not None

    def decide_admission(admission: Admission, timeout: float | None) -> Admitted:
        (key,) = admission.keys
        try:
            state = cells[key]
            now = nanoseconds() // 1000 + offset
            next_state = rule(state, now, cost)
        except MISREAD:
            return store.execute(admission, timeout)
        if next_state is None:
            return refusal_by_open_circuit(circuit, (state,), now) or store.execute(
                admission, timeout
            )
        answer = (GO, 0, (next_state[3], next_state[5], 0), ()) if has_circuit else AT_ONCE
        lock = store._lock
        try:
            try:
                lock.acquire()
            except BaseException:
                release_if_held(lock)
                raise
            try:
                if cells[key] is state:
                    cells[key] = next_state
                    return answer
            except KeyError:
                pass
            finally:
                lock.release()
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
            now = nanoseconds() // 1000 + offset
            after_1 = rule_1(state_1, now, cost_1)
            after_2 = None if after_1 is None else rule_2(state_2, now, cost_2)
        except MISREAD:
            return store.execute(admission, timeout)
        if after_1 is None or after_2 is None:
            refusal = refusal_by_open_circuit(circuit, (state_1, state_2), now)
            return refusal or store.execute(admission, timeout)
        answer = (GO, 0, (after_1[3], after_1[5], 0), ()) if has_circuit else AT_ONCE
        lock = store._lock
        try:
            try:
                lock.acquire()
            except BaseException:
                release_if_held(lock)
                raise
            try:
                if cells[key_1] is state_1 and cells[key_2] is state_2:
                    cells[key_1] = after_1
                    cells[key_2] = after_2
                    return answer
            except KeyError:
                pass
            finally:
                lock.release()
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
            now = nanoseconds() // 1000 + offset
            after_1 = rule_1(state_1, now, cost_1)
            after_2 = None if after_1 is None else rule_2(state_2, now, cost_2)
            after_3 = None if after_2 is None else rule_3(state_3, now, cost_3)
        except MISREAD:
            return store.execute(admission, timeout)
        if after_1 is None or after_2 is None or after_3 is None:
            return store.execute(admission, timeout)
        answer = (GO, 0, (after_1[3], after_1[5], 0), ()) if has_circuit else AT_ONCE
        lock = store._lock
        try:
            try:
                lock.acquire()
            except BaseException:
                release_if_held(lock)
                raise
            try:
                if cells[key_1] is state_1 and cells[key_2] is state_2 and cells[key_3] is state_3:
                    cells[key_1] = after_1
                    cells[key_2] = after_2
                    cells[key_3] = after_3
                    return answer
            except KeyError:
                pass
            finally:
                lock.release()
        except BaseException:
            store._undo(admission.keys, (state_1, state_2, state_3), (after_1, after_2, after_3))
            raise
        return store.execute(admission, timeout)

    return decide_admission


_BY_STATES: Final = {1: _for_one, 2: _for_two, 3: _for_three}
"""The functions that prepare admissions, by the number of their states."""
