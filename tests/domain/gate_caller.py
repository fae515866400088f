"""A caller of circuit breaker, rate limits and retry budget, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.budget import BudgetRule, RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule, Outcome
from moorage.domain.resilience.gate_commands import Confirm, Report
from moorage.domain.resilience.rate_limit import RateLimitConfig
from tests.domain.circuit_caller import LEASE
from tests.domain.state_store import StateStore

if TYPE_CHECKING:
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.circuit import Permit
    from moorage.domain.state.commands import Ticket

ONE_A_SECOND = RateLimitConfig.per_second(1)
THREE_A_SECOND = RateLimitConfig.per_second(3)
WIDE_LIMIT = RateLimitConfig.per_second(1_000, burst=1_000)
TRIPS = CircuitBreakerConfig(failures=1, open_for=10.0, open_at_most=10.0)


def gates(
    circuit: CircuitBreakerConfig | None = None,
    *limits: RateLimitConfig,
    budget: RetryBudget | None = None,
) -> Gates:
    """Return a circuit, limits and a retry budget whose states have short, readable keys."""
    return Gates(
        circuit=None if circuit is None else CircuitRule(circuit),
        circuit_key="circuit",
        limits=[limit.rule for limit in limits],
        limit_keys=[f"limit{number}" for number in range(len(limits))],
        budget=None if budget is None else BudgetRule(budget),
        budget_key="budget",
    )


class Caller:
    """A caller that requests admission from a circuit, limits and a budget."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.store = StateStore()
        self.tokens = 0

    def ask(self, **details: Any) -> Admitted:
        """Ask once for admission, and return the answer."""
        details = {"within": 0, "lease": LEASE} | details
        return self.store.execute(Admission(self.gates, **details))

    def enter(self, **details: Any) -> tuple[int, Permit, tuple[Ticket, ...]]:
        """Get admission; a caller that must wait gets a ticket."""
        answer, wait, permit, tickets = self.ask(**details)
        if answer is Answer.NEEDS_TOKEN:
            self.tokens += 1
            answer, wait, permit, tickets = self.ask(**details, token=self.tokens)
        assert Answer.GO is answer
        assert permit is not None
        return wait, permit, tickets

    def fail(self, permit: Permit) -> None:
        """Report to the circuit that the call failed."""
        self.store.execute(Report(self.gates, permit, Outcome.FAILED, "a"))

    def confirm(self, tickets: tuple[Ticket, ...], permit: Permit | None) -> tuple[Answer, int]:
        """Ask for admission again, after waiting."""
        return self.store.execute(Confirm(self.gates, tickets, permit))

    def refused_answer(self, **details: Any) -> tuple[Answer, int]:
        """Request admission, check that it is refused without a change, and return the reply."""
        self.ask(**details)
        previous_cells = dict(self.store.cells)
        answer, wait, permit, tickets = self.ask(**details)
        assert (None, ()) == (permit, tickets)
        assert all(state is self.store.cells[key] for key, state in previous_cells.items())
        assert previous_cells.keys() == self.store.cells.keys()
        return answer, wait
