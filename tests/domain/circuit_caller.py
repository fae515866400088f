"""A circuit breaker with short methods, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.circuit import (
    CircuitBreakerConfig,
    CircuitBreakerState,
    CircuitRule,
    CircuitState,
    Outcome,
)
from moorage.domain.resilience.gate_commands import ReadCircuit, Report, SetCircuit
from moorage.domain.values.durations import SECOND
from tests.domain.state_store import StateStore

if TYPE_CHECKING:
    from moorage.domain.resilience.circuit import Permit

CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED = CircuitState
LEASE = 30 * SECOND


class CircuitCaller:
    """A test wrapper of a circuit breaker, with a short method for each command."""

    def __init__(self, **config: Any) -> None:
        self.rule = CircuitRule(CircuitBreakerConfig(**config))
        self.gates = Gates(circuit=self.rule, circuit_key="k")
        self.store = StateStore()
        self.tokens = 0

    def ask(self) -> tuple[Answer, int, Permit | None]:
        """Ask the circuit for admission, with a token if one is needed."""
        question = Admission(self.gates, within=0, lease=LEASE)
        answer, wait, permit, _ = self.store.execute(question)
        if answer is Answer.NEEDS_TOKEN:
            self.tokens += 1
            answer, wait, permit, _ = self.store.execute(question.evolve(token=self.tokens))
        return answer, wait, permit

    def enter(self) -> Permit:
        """Get admission from the circuit, and return the permit."""
        answer, _, permit = self.ask()
        assert Answer.GO is answer
        assert permit is not None
        return permit

    def leave(
        self, permit: Permit, outcome: Outcome = Outcome.FAILED, reporter: str = "a"
    ) -> CircuitState | None:
        """Report to the circuit how a call has ended."""
        return self.store.execute(Report(self.gates, permit, outcome, reporter))

    def call(self, outcome: Outcome = Outcome.FAILED, reporter: str = "a") -> CircuitState | None:
        """Make a complete call; if the circuit is closed, a success is not reported."""
        permit = self.enter()
        if outcome is Outcome.GOOD and not permit[2]:
            return None
        return self.leave(permit, outcome, reporter)

    def wait(self, span: float) -> None:
        """Advance the clock by this many seconds."""
        self.store.now += round(span * SECOND)

    def set(self, mode: CircuitState) -> None:
        """Set the circuit's state by hand."""
        self.store.execute(SetCircuit(self.rule, "k", mode))

    @property
    def state(self) -> CircuitBreakerState:
        """Return the circuit's state as the store reports it."""
        return self.store.execute(ReadCircuit(self.rule, "k"))
