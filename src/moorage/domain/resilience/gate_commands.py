"""The commands on the stored states of a call's protections, except for its admission.

A caller confirms or gives back the grants of an admission, and reports the result of the attempt.
Vendors and operators pause and resume limits, and operators set circuits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.resilience.admission import GO, Admission, Admitted, Answer, Gates
from moorage.domain.resilience.circuit import Outcome, mode_to_force
from moorage.domain.state.commands import refusing_unreadable_states, with_times_moved_back
from moorage.domain.values.durations import FOREVER

if TYPE_CHECKING:
    from moorage.domain.resilience.budget import BudgetRule
    from moorage.domain.resilience.circuit import (
        CircuitBreakerState,
        CircuitRule,
        CircuitState,
        Permit,
    )
    from moorage.domain.resilience.rate_limit import Rule
    from moorage.domain.state.commands import Command, States, Ticket


class Confirm:
    """The command that checks, after a caller's wait, whether its call may be sent now."""

    __slots__ = ("gates", "keys", "permit", "rules", "tickets")
    once = False
    durable = False

    def __init__(self, gates: Gates, tickets: tuple[Ticket, ...], permit: Permit | None) -> None:
        self.gates = gates
        self.tickets = tickets
        self.permit = permit
        keys_of_circuit = (gates.circuit,) if gates.circuit and permit else ()
        self.rules = (*gates.limits, *keys_of_circuit)
        self.keys = (*gates.limit_keys, *((gates.circuit_key,) if keys_of_circuit else ()))

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, tuple[Answer, int]]:
        """Return the microseconds that the caller must still wait, or that the circuit is open."""
        gates = self.gates
        unchanged_states = with_times_moved_back(self.rules, states, now)
        wait = 0
        for rule, state, ticket in zip(gates.limits, states, self.tickets, strict=False):
            limit_state = rule.present(state, now)
            confirmed_state = rule.confirm(limit_state, ticket)
            wait = max(wait, confirmed_state and confirmed_state + limit_state[0] - now)
        if gates.circuit and self.permit:
            circuit, closed_for = gates.circuit.confirm(
                gates.circuit.present(states[-1], now), self.permit, wait
            )
            if closed_for and not gates.circuit.config.shadow:
                return unchanged_states, (Answer.CIRCUIT_OPEN, closed_for)
            if wait and self.permit[2]:
                return (*unchanged_states[:-1], circuit), (GO, wait)
        return unchanged_states, (GO, wait)


class GiveBack:
    """The command that gives back the tokens and the queue position of a caller that leaves."""

    __slots__ = ("gates", "keys", "tickets")
    once = True
    durable = False

    def __init__(self, gates: Gates, tickets: tuple[Ticket, ...]) -> None:
        self.gates = gates
        self.tickets = tickets
        self.keys = gates.limit_keys

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the rate limits, by which the states are read."""
        return self.gates.limits

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the states after the tokens of all these tickets were given back."""
        rules = zip(self.gates.limits, states, self.tickets, strict=True)
        return tuple(
            state if state is None else rule.refund(rule.present(state, now), ticket)
            for rule, state, ticket in rules
        ), None


def return_unused(
    gates: Gates, admitted: Admitted, reporter: str = ""
) -> tuple[Report | GiveBack, ...]:
    """Return the commands that give back the permit and tickets that an attempt did not use."""
    _, _, permit, tickets = admitted
    return (
        *((Report(gates, permit, Outcome.NEUTRAL, reporter),) if permit is not None else ()),
        *((GiveBack(gates, tickets),) if tickets else ()),
    )


def return_unclaimed(command: Command[Any], answer: Any) -> tuple[Report | GiveBack, ...]:
    """Return the commands that give back tokens and slots of a command whose caller has left."""
    return return_unused(command.gates, answer) if isinstance(command, Admission) else ()


class Pause:
    """The command that pauses all calls of a service for `pause` microseconds."""

    __slots__ = ("gates", "keys", "pause")
    once = True
    durable = False

    def __init__(self, gates: Gates, pause: int) -> None:
        self.gates = gates
        self.pause = min(pause, FOREVER)
        self.keys = gates.limit_keys

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the rate limits, by which the states are read."""
        return self.gates.limits

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the states with all rate limits paused."""
        return tuple(
            rule.drain(rule.present(state, now), self.pause)
            for rule, state in zip(self.gates.limits, states, strict=True)
        ), None


class Resume:
    """The command by which an operator ends the pause of a service."""

    __slots__ = ("gates", "keys")
    once = False
    durable = False

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.keys = gates.limit_keys

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the rate limits, by which the states are read."""
        return self.gates.limits

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, int]:
        """Return the states without pauses, and the remaining microseconds of the longest pause."""
        limits = self.gates.limits
        present_states = [
            rule.present(state, now) for rule, state in zip(limits, states, strict=True)
        ]
        remaining_pause = max(
            rule.paused(limit_state)
            for rule, limit_state in zip(limits, present_states, strict=True)
        )
        if not remaining_pause:
            return with_times_moved_back(limits, states, now), 0
        pairs = zip(limits, present_states, strict=True)
        return tuple(rule.resume(present_state) for rule, present_state in pairs), remaining_pause


class Report:
    """The command that reports the result of a call to the circuit.

    A probe's outcome counts once, however often it is reported. Any other outcome counts each time.
    """

    __slots__ = ("keys", "once", "outcome", "permit", "reporter", "rule")
    durable = False

    def __init__(self, gates: Gates, permit: Permit, outcome: Outcome, reporter: str) -> None:
        if gates.circuit is None:
            raise AssertionError("The report has a permit, but its service has no circuit breaker.")
        self.rule = gates.circuit
        self.keys = (gates.circuit_key,)
        self.permit = permit
        self.once = not permit[2]
        self.outcome = outcome
        self.reporter = reporter

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, CircuitState | None]:
        """Return the circuit after the report, and its new mode if that changed."""
        circuit, new_mode = self.rule.record(
            self.rule.present(states[0], now), self.permit, self.outcome, self.reporter
        )
        return (circuit,), new_mode


class UncountAttempt:
    """The command that removes a first attempt from the count of the retry budget."""

    __slots__ = ("_rule", "keys")
    once = True
    durable = False

    def __init__(self, rule: BudgetRule, key: str) -> None:
        self._rule = rule
        self.keys = (key,)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the retry budget without the attempt; an expired budget stays unchanged."""
        (state,) = states
        if state is None:
            return states, None
        return (self._rule.uncount_call(self._rule.present(state, now)),), None


class SetCircuit:
    """The command by which an operator forces a circuit open, disables it, or resets it."""

    __slots__ = ("_rule", "keys", "mode")
    once = False
    durable = False

    def __init__(self, rule: CircuitRule, key: str, state: CircuitState) -> None:
        self._rule = rule
        self.keys = (key,)
        self.mode = mode_to_force(state)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the circuit in the mode that the operator has set."""
        return (self._rule.set_mode(self._rule.present(states[0], now), self.mode),), None


class ReadCircuit:
    """The command that reads the current state of a circuit."""

    __slots__ = ("_rule", "keys")
    once = False
    durable = False

    def __init__(self, rule: CircuitRule, key: str) -> None:
        self._rule = rule
        self.keys = (key,)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, CircuitBreakerState]:
        """Return a snapshot of the circuit for people, with mode names and times in seconds."""
        unchanged_states = with_times_moved_back((self._rule,), states, now)
        return unchanged_states, self._rule.read(self._rule.present(states[0], now))
