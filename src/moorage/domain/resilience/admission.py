"""The admission of an attempt: a joint decision by circuit, limits, retry budget and claim.

An attempt that a limit refuses takes no probe lease, and an attempt
that the circuit refuses takes no token. One admission command per plan serves every call; only a
retry, a probe and a call with an idempotency claim need a command of their own.

The fast path (circuit closed, empty queue, tokens available) must give exactly the same results as
the full rule.
"""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.idempotency import claims as idempotency
from moorage.domain.resilience.rate_limit import checked_cost, joint_wait
from moorage.domain.state.commands import (
    MISREAD,
    SMALL_STEP,
    misread_state_error,
    with_times_moved_back,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.resilience.budget import BudgetRule
    from moorage.domain.resilience.circuit import (
        CircuitRule,
        Permit,
    )
    from moorage.domain.resilience.rate_limit import Rule
    from moorage.domain.state.commands import State, States, Ticket, TimedRule


class Answer(IntEnum):
    """The decision whether an attempt may be sent.

    An open circuit refuses all attempts until its time (`CIRCUIT_OPEN`). A half-open circuit
    refuses attempts while others probe it (`PROBES_TAKEN`), and may close at any moment.
    """

    GO = 0
    NEEDS_TOKEN = 1
    CIRCUIT_OPEN = 2
    LIMITED = 3
    NO_BUDGET = 4
    FENCED = 5
    PROBES_TAKEN = 6


GO: Final = Answer.GO
NEEDS_TOKEN: Final = Answer.NEEDS_TOKEN
CIRCUIT_OPEN: Final = Answer.CIRCUIT_OPEN

Admitted: TypeAlias = "tuple[Answer, int, Permit | None, tuple[Ticket, ...]]"
"""`(answer, wait, permit, tickets)`: grants to use after `wait`, or a refusal for that time."""

AT_ONCE: Final[Admitted] = (GO, 0, None, ())
"""An admission without a wait, with nothing to give back."""


def refusal_by_open_circuit(
    circuit: CircuitRule | None, states: tuple[State, ...], now: int
) -> Admitted | None:
    """Return the rejection if the circuit is open; None if the full rule has to decide.

    A state from long ago, or from a future time, must first be converted to the present.
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


class Gates:
    """The limits, circuit and budget of a call, with the keys of their stored states.

    The order of keys is: circuit, limits, budget. `shares` contains, for each limit, the share that
    a process may grant by itself while the shared store is not available; None means no share.
    Without `shares`, a process may grant the whole of every limit. `grants_alone` is true if no
    share is None. `wholes` and `whole_keys` are the rules and keys that limits in parts would have
    without parts.
    """

    __slots__ = (
        "_alone",
        "budget",
        "budget_key",
        "circuit",
        "circuit_key",
        "grants_alone",
        "limit_keys",
        "limits",
        "rules",
        "shares",
        "whole_keys",
        "wholes",
    )

    def __init__(
        self,
        *,
        circuit: CircuitRule | None = None,
        circuit_key: str = "",
        limits: Sequence[Rule] = (),
        limit_keys: Sequence[str] = (),
        shares: Sequence[Fraction | None] = (),
        wholes: Sequence[Rule] = (),
        whole_keys: Sequence[str] = (),
        budget: BudgetRule | None = None,
        budget_key: str = "",
    ) -> None:
        self._alone: dict[tuple[int, ...], Gates] = {}
        self.shares = tuple(shares)
        # Every command of a shared store needs this value, and comparing fractions is slow.
        self.grants_alone = None not in self.shares
        self.circuit = circuit
        self.circuit_key = circuit_key
        self.limits = tuple(limits)
        self.limit_keys = tuple(limit_keys)
        self.wholes = tuple(wholes)
        self.whole_keys = tuple(whole_keys)
        self.budget = budget
        self.budget_key = budget_key
        self.rules: tuple[TimedRule, ...] = (
            *((circuit,) if circuit else ()),
            *self.limits,
            *((budget,) if budget else ()),
        )

    def moved(self, old: str, new: str) -> Gates:
        """Return the same limits and circuit, with their states' keys under another prefix."""
        value: Gates = object.__new__(Gates)
        value._alone = {}
        value.shares = self.shares
        value.grants_alone = self.grants_alone
        value.circuit = self.circuit
        value.circuit_key = new + self.circuit_key[len(old) :] if self.circuit_key else ""
        value.limits = self.limits
        value.limit_keys = tuple([new + key[len(old) :] for key in self.limit_keys])
        value.wholes = self.wholes
        value.whole_keys = tuple([new + key[len(old) :] for key in self.whole_keys])
        value.budget = self.budget
        value.budget_key = new + self.budget_key[len(old) :] if self.budget_key else ""
        value.rules = self.rules
        return value

    def alone(self, costs: tuple[int, ...] | None = None) -> Gates:
        """Return the protections that one process applies alone while the store is down.

        A call that costs more than the burst of a share is still granted, at its full cost. Each
        part has a burst of at least one call, which may add up to more than the process's share of
        the whole limit. So a call in a part also needs a grant of that share.
        """
        if all(share == 1 for share in self.shares):
            return self
        costs = costs or (1,) * len(self.limits)
        gates = self._alone.get(costs)
        if gates is None:
            limits = [
                (rule.part(share or Fraction(1), cost), f"{key}:{share}{suffix}")
                for rules, keys, suffix in (
                    (self.limits, self.limit_keys, ""),
                    (self.wholes, self.whole_keys, ":whole"),
                )
                for rule, key, share, cost in zip(rules, keys, self.shares, costs, strict=False)
            ]
            gates = self._alone[costs] = Gates(
                circuit=self.circuit,
                circuit_key=self.circuit_key,
                limits=[rule for rule, _ in limits],
                limit_keys=[key for _, key in limits],
                budget=self.budget,
                budget_key=self.budget_key,
            )
        return gates


class Admission:
    """The command that asks the store to admit one attempt.

    `within` is the longest time that this caller can wait for a grant, and `lease` the longest time
    that the attempt may take, both in microseconds. `token` is this caller's own number, needed
    only for a probe. `claim` has the key and the fencing number of the idempotency claim that is
    about to be sent, and its target. A grant that waits can always be given back; with `ticketed`,
    an immediate grant can also be given back.
    """

    __slots__ = (
        "claim",
        "costs",
        "durable",
        "gates",
        "keys",
        "lease",
        "retry",
        "ticketed",
        "token",
        "within",
    )
    once = True

    def __init__(
        self,
        gates: Gates,
        *,
        within: int,
        lease: int,
        costs: tuple[int, ...] = (),
        retry: bool = False,
        token: int = 0,
        claim: tuple[str, int, str] | None = None,
        ticketed: bool = False,
    ) -> None:
        self.gates = gates
        self.within = within
        self.lease = lease
        self.costs = costs or (1,) * len(gates.limits)
        for rule, cost in zip(gates.limits, self.costs, strict=True):
            checked_cost(rule, cost)
        self.retry = retry
        self.token = token
        self.claim = claim
        self.durable = claim is not None
        self.ticketed = ticketed
        self.keys: tuple[str, ...] = (
            *((gates.circuit_key,) if gates.circuit else ()),
            *gates.limit_keys,
            *((gates.budget_key,) if gates.budget else ()),
            *((claim[0],) if claim else ()),
        )
        if claim is not None or ticketed:
            return
        if len(gates.limits) <= 1 and gates.budget is None:
            self.__class__ = _FAST_CLASSES[gates.circuit is not None, bool(gates.limits)]  # pyright: ignore[reportAttributeAccessIssue]  # a subclass without attributes of its own
        elif not retry:
            self.__class__ = _SeveralAdmission  # pyright: ignore[reportAttributeAccessIssue]  # a subclass without attributes of its own

    def evolve(self, **changes: Any) -> Admission:
        """Return the same admission with some attributes replaced."""
        details: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("within", "lease", "costs", "retry", "token", "claim", "ticketed")
        }
        return Admission(changes.pop("gates", self.gates), **(details | changes))

    def through(self, gates: Gates) -> Admission:
        """Return the same command with other keys for the states of its limits and circuit."""
        admission: Admission = object.__new__(type(self))
        admission.gates = gates
        admission.within = self.within
        admission.lease = self.lease
        admission.costs = self.costs
        admission.retry = self.retry
        admission.token = self.token
        admission.claim = None
        admission.durable = False
        admission.ticketed = self.ticketed
        admission.keys = (
            *((gates.circuit_key,) if gates.circuit else ()),
            *gates.limit_keys,
            *((gates.budget_key,) if gates.budget else ()),
        )
        return admission

    def under_claim(
        self, claim: tuple[str, int, str], *, within: int, lease: int, retry: bool
    ) -> Admission:
        """Return the same command for an attempt under a claimed idempotency key.

        It does the same as `evolve`, five times as fast.
        """
        new_admission: Admission = object.__new__(Admission)
        new_admission.gates = self.gates
        new_admission.within = within
        new_admission.lease = lease
        new_admission.costs = self.costs
        new_admission.retry = retry
        new_admission.token = 0
        new_admission.claim = claim
        new_admission.durable = True
        new_admission.ticketed = False
        new_admission.keys = (*self.keys, claim[0])
        return new_admission

    def apply(self, states: States, now: int) -> tuple[States, Admitted]:
        """Return the new states, and the permit, or the rejection with its reason and wait."""
        try:
            fast_grant = self._granted_under_claim(states, now) if self.claim else None
            return self.decide(states, now) if fast_grant is None else fast_grant
        except MISREAD as error:
            failure = self._misread_state_error(error, states, now)
        raise failure

    def _granted_under_claim(self, states: States, now: int) -> tuple[States, Admitted] | None:
        """Admit an attempt with a claimed key by a fast rule; None if `decide` is needed."""
        gates, claim = self.gates, self.claim
        limits, circuit = gates.limits, gates.circuit
        if claim is None or gates.budget is not None or len(limits) > 1 or self.ticketed:
            return None
        sent_claim = idempotency.mark_sent(
            idempotency.unexpired(states[-1], now), claim[1], claim[2]
        )
        if sent_claim is None:
            return None
        new_states: States = (sent_claim,)
        if limits:
            limit_state = limits[0].fast_grant(states[-2], now, self.costs[0])
            if limit_state is None:
                return None
            new_states = (limit_state, sent_claim)
        if circuit is None:
            return new_states, AT_ONCE
        circuit_state = None if states[0] is None else circuit.fast_admit(states[0], now)
        if circuit_state is None:
            return None
        return (circuit_state, *new_states), (GO, 0, (circuit_state[3], circuit_state[5], 0), ())

    def decide(self, states: States, now: int) -> tuple[States, Admitted]:
        """Return the result by the full rule; the fast path in `apply` returns an equal result."""
        gates = self.gates
        limits_start = 1 if gates.circuit else 0
        next_index = limits_start + len(gates.limits)

        # First, all protections are read without taking anything. If the clock was set back, time
        # stands still until it has caught up; only then does a wait begin.
        present_states = [
            rule.present(state, now)
            for rule, state in zip(gates.limits, states[limits_start:next_index], strict=True)
        ]
        joint_pause = joint_wait(gates.limits, present_states, self.costs) if present_states else 0
        wait = joint_pause and joint_pause + max(
            limit_state[0] - now for limit_state in present_states
        )

        new_states: list[State] = []
        permit: Permit | None = None
        if gates.circuit:
            circuit, permit, closed_for, needs_token = gates.circuit.admit(
                gates.circuit.present(states[0], now), self.token, self.lease + wait
            )
            if permit is None and not needs_token and not gates.circuit.config.shadow:
                answer = CIRCUIT_OPEN if gates.circuit.is_open(circuit) else Answer.PROBES_TAKEN
                return self._refuse(states, now, answer, closed_for)
            if needs_token and wait <= self.within:
                return self._refuse(states, now, Answer.NEEDS_TOKEN)
            new_states.append(circuit)
        if wait > self.within:
            return self._refuse(states, now, Answer.LIMITED, wait)

        refundable = self.ticketed or wait > 0
        grants = [
            rule.grant(limit_state, cost, limit_state[0] + joint_pause, refundable=refundable)
            for rule, limit_state, cost in zip(
                gates.limits, present_states, self.costs, strict=True
            )
        ]
        new_states.extend(state for state, _ in grants)
        answer, closed_for = self._count_attempt(states[next_index:], now, new_states)
        if answer is not GO:
            return self._refuse(states, now, answer, closed_for)
        tickets = tuple(ticket for _, ticket in grants) if refundable else ()
        return tuple(new_states), (Answer.GO, wait, permit, tickets)

    def _count_attempt(self, states: States, now: int, new: list[State]) -> tuple[Answer, int]:
        """Count the attempt against the retry budget, and mark its claim as sent."""
        rule = self.gates.budget
        if rule:
            budget = rule.present(states[0], now)
            new_budget = rule.count_retry(budget) if self.retry else rule.count_call(budget)
            if new_budget is None:
                return Answer.NO_BUDGET, rule.left_for(budget)
            new.append(new_budget)
        if self.claim:
            _, fence, target = self.claim
            sent_claim = idempotency.mark_sent(
                idempotency.unexpired(states[-1], now), fence, target
            )
            if sent_claim is None:
                return Answer.FENCED, 0
            new.append(sent_claim)
        return GO, 0

    def _refuse(
        self, states: States, now: int, answer: Answer, wait: int = 0
    ) -> tuple[States, Admitted]:
        return with_times_moved_back(self.rules, states, now), (answer, wait, None, ())

    @property
    def rules(self) -> tuple[TimedRule, ...]:
        """The rules that decode the command's states, in the order of their keys."""
        return (*self.gates.rules, *idempotency.CLAIMS) if self.claim else self.gates.rules

    def _misread_state_error(self, error: Exception, states: States, now: int) -> Exception:
        return misread_state_error(error, self.keys, self.rules, states, now)


class _CircuitAdmission(Admission):
    __slots__ = ()

    def apply(self, states: States, now: int) -> tuple[States, Admitted]:
        circuit: CircuitRule = self.gates.circuit  # type: ignore[assignment]  # there is one
        (state,) = states
        try:
            if state is None:
                return self.decide(states, now)
            if not state[2]:
                circuit_state = circuit.fast_admit(state, now)
                if circuit_state is not None:
                    return (circuit_state,), (GO, 0, (circuit_state[3], circuit_state[5], 0), ())
            elif closed_for := circuit.refusal_time(state, now):
                return states, (CIRCUIT_OPEN, closed_for, None, ())
            return self.decide(states, now)
        except MISREAD as error:
            failure = self._misread_state_error(error, states, now)
        raise failure


class _LimitAdmission(Admission):
    __slots__ = ()

    def apply(self, states: States, now: int) -> tuple[States, Admitted]:
        try:
            limit_state = self.gates.limits[0].fast_grant(states[0], now, self.costs[0])
            return self.decide(states, now) if limit_state is None else ((limit_state,), AT_ONCE)
        except MISREAD as error:
            failure = self._misread_state_error(error, states, now)
        raise failure


class _UsualAdmission(Admission):
    __slots__ = ()

    def apply(self, states: States, now: int) -> tuple[States, Admitted]:
        gates = self.gates
        circuit: CircuitRule = gates.circuit  # type: ignore[assignment]  # there is one
        try:
            circuit_state = circuit.fast_admit(states[0], now)
            if circuit_state is not None:
                limit_state = gates.limits[0].fast_grant(states[1], now, self.costs[0])
                if limit_state is not None:
                    return (circuit_state, limit_state), (
                        GO,
                        0,
                        (circuit_state[3], circuit_state[5], 0),
                        (),
                    )
            elif closed_for := circuit.refusal_time(states[0], now):
                return with_times_moved_back(gates.rules, states, now), (
                    CIRCUIT_OPEN,
                    closed_for,
                    None,
                    (),
                )
            return self.decide(states, now)
        except MISREAD as error:
            failure = self._misread_state_error(error, states, now)
        raise failure


class _SeveralAdmission(Admission):
    """The admission of a first attempt with several limits or with a retry budget."""

    __slots__ = ()

    def apply(self, states: States, now: int) -> tuple[States, Admitted]:
        gates = self.gates
        circuit, budget = gates.circuit, gates.budget
        permit: Permit | None = None
        new_states: list[State] = []
        try:
            number = 0
            if circuit is not None:
                circuit_state = circuit.fast_admit(states[0], now)
                if circuit_state is None:
                    if closed_for := circuit.refusal_time(states[0], now):
                        unchanged_states = with_times_moved_back(gates.rules, states, now)
                        return unchanged_states, (CIRCUIT_OPEN, closed_for, None, ())
                    return self.decide(states, now)
                permit = (circuit_state[3], circuit_state[5], 0)
                new_states.append(circuit_state)
                number = 1
            for rule, cost in zip(gates.limits, self.costs, strict=True):
                limit_state = rule.fast_grant(states[number], now, cost)
                if limit_state is None:
                    return self.decide(states, now)
                new_states.append(limit_state)
                number += 1
            if budget is not None:
                new_budget = budget.fast_count_call(states[number], now)
                if new_budget is None:
                    return self.decide(states, now)
                new_states.append(new_budget)
            return tuple(new_states), (GO, 0, permit, ())
        except MISREAD as error:
            failure = self._misread_state_error(error, states, now)
        raise failure


_FAST_CLASSES: Final = {
    (True, True): _UsualAdmission,
    (True, False): _CircuitAdmission,
    (False, True): _LimitAdmission,
    (False, False): Admission,
}
"""The fast admission class for a plan, by whether it has a circuit and whether it has a limit."""
