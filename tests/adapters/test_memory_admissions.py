"""Prepared admissions of the in-memory store check circuit, limits and retry budget at once."""

from __future__ import annotations

import functools
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    CircuitBreakerConfig,
    Endpoint,
    RateLimitConfig,
    RetryBudget,
    Service,
    StorageUnavailable,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.resilience.circuit import CircuitState, Outcome
from moorage.domain.resilience.gate_commands import Pause, Report, SetCircuit
from moorage.domain.service.plan import Plan
from tests.adapters.memory_commands import Clock, Put, ReadCommand
from tests.adapters.raising_locks import FragileLock, Interruption, TakenLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.resilience.admission import Admission, Admitted
    from moorage.domain.service.plan import Ask
    from moorage.domain.state.commands import States

LIMIT = RateLimitConfig.per_second(3, burst=5)
HOURLY = RateLimitConfig.per_hour(400, burst=9)
DAILY = RateLimitConfig.per_calendar_day(60)
CIRCUIT = CircuitBreakerConfig(failures=2, open_for=2.0)
CIRCUIT_BY_CALLS = CircuitBreakerConfig(
    failures=None, failure_rate=0.5, window_calls=20, minimum_calls=4
)
BUDGET = RetryBudget()

PROTECTIONS: dict[str, dict[str, Any]] = {
    "circuit": {"circuit": CIRCUIT},
    "circuit by calls": {"circuit": CIRCUIT_BY_CALLS},
    "limit": {"limits": (LIMIT,)},
    "calendar": {"limits": (DAILY,)},
    "circuit, limit": {"circuit": CIRCUIT, "limits": (LIMIT,)},
    "circuit by calls, limit": {"circuit": CIRCUIT_BY_CALLS, "limits": (LIMIT,)},
    "circuit, calendar": {"circuit": CIRCUIT, "limits": (DAILY,)},
    "two limits": {"limits": (LIMIT, HOURLY)},
    "limit, budget": {"limits": (LIMIT,), "retry_budget": BUDGET},
    "circuit, two limits": {"circuit": CIRCUIT, "limits": (LIMIT, HOURLY)},
    "circuit, limit, budget": {"circuit": CIRCUIT, "limits": (LIMIT,), "retry_budget": BUDGET},
    "all": {"circuit": CIRCUIT, "limits": (LIMIT, HOURLY), "retry_budget": BUDGET},
}
"""Combinations of one to four states, with each rule in each position that it can have."""

SIZES = ("limit", "circuit, limit", "circuit, limit, budget", "all")
"""Protections of one, two, three and four states."""


def question(protections: str, cost: int = 1, tenant: str = "acme") -> Admission:
    """Return the admission command of a tenant's plan with these protections."""
    options: dict[str, Any] = {"circuit": None, "retry": None} | PROTECTIONS[protections]
    endpoint = Endpoint("pay", path="/pay", cost=cost)
    plan = Plan(Service("v", endpoints=(endpoint,), **options), None, endpoint)
    return plan.for_tenant(tenant).question


class StoreUnderTest:
    """An in-memory store with its own clock, used through `execute` or a prepared admission."""

    def __init__(self, protections: str, cost: int, *, prepared: bool) -> None:
        self.clock = Clock()
        self.store = MemoryStorage(self.clock)
        self.ask: Ask = self.store.execute
        if prepared:
            # Tenants share a prepared admission, but not its states.
            self.ask = self.store.prepare(question(protections, cost, tenant="another"))
        self.admission = question(protections, cost)
        self.permits: list[Any] = []

    def step(self, kind: str, size: float) -> object:
        """Execute one random step, and return its result for comparison."""
        gates = self.admission.gates
        if kind == "time":
            self.clock.pass_by(size)
        elif kind == "pause" and gates.limits:
            self.store.execute(Pause(gates, int(size * 1e6)))
        elif kind == "failure" and self.permits:
            self.store.execute(Report(gates, self.permits.pop(), Outcome.FAILED, "one"))
        elif kind == "force" and gates.circuit is not None:
            mode = CircuitState.FORCED_OPEN if size > 1 else CircuitState.CLOSED
            self.store.execute(SetCircuit(gates.circuit, gates.circuit_key, mode))
        elif kind == "at once":
            return self.ask(self.admission.evolve(within=0), 1.0)
        elif kind == "ask":
            admission = self.ask(self.admission, 1.0)
            if admission[2] is not None:
                self.permits.append(admission[2])
            return admission
        return None

    def states(self) -> object:
        """Return the stored states."""
        return self.store.execute(ReadCommand(*self.admission.keys))


@pytest.mark.parametrize("cost", [1, 2])
@pytest.mark.parametrize("protections", PROTECTIONS)
def test_prepared_admissions_decide_like_the_store(protections: str, cost: int) -> None:
    """Prepared admissions return the same results as `execute`, even if the clock goes back."""
    generator = Random(f"{protections} {cost}")
    harnesses = [StoreUnderTest(protections, cost, prepared=prepared) for prepared in (True, False)]
    kinds = ["ask"] * 12 + ["time"] * 4 + ["at once", "failure", "pause", "force"]
    answers: set[int] = set()
    for _ in range(400):
        kind = generator.choice(kinds)
        size = generator.choice([0, 0.0001, 0.4, 1.5, 70, -0.5, -5])
        if kind == "pause":
            size = abs(size) / 20
        prepared, full_result = (harness.step(kind, size) for harness in harnesses)
        assert prepared == full_result
        states = [harness.states() for harness in harnesses]
        assert states[0] == states[1]
        if isinstance(prepared, tuple):
            answers.add(prepared[0])
    assert len(answers) > 1


class HookedClock(Clock):
    """A clock that runs a function once, at the moment when a command has read its states.

    `reads` is the number of reads of the clock since then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.happens: list[Callable[[], object]] = []
        self.reads = 0

    def nanoseconds(self) -> int:
        """Run the function, if there is one, and return the time."""
        self.reads += 1
        if self.happens:
            self.happens.pop()()
            self.reads = 0
        return super().nanoseconds()


class RewriteCommand(ReadCommand):
    """A command that replaces states with equal copies."""

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Return a copy of each state."""
        return tuple(state and (*state,) for state in states), states


def _store_with_states(
    protections: str,
) -> tuple[MemoryStorage, HookedClock, Callable[[], Admitted]]:
    """Return a store with existing states, its clock, and a prepared admission."""
    admission, clock = question(protections), HookedClock()
    store = MemoryStorage(clock)
    ask = store.prepare(admission)
    ask(admission, None)
    return store, clock, lambda: ask(admission, None)


@pytest.mark.parametrize("protections", SIZES)
def test_overtaken_admission_is_decided_again(protections: str) -> None:
    """If another command changes a state during an admission, it reads all states again."""
    for key in question(protections).keys:
        store, clock, ask = _store_with_states(protections)
        clock.happens.append(functools.partial(store.execute, RewriteCommand(key)))

        ask()

        assert 1 == clock.reads


@pytest.mark.parametrize("protections", SIZES)
def test_two_admissions_at_once_both_count(protections: str) -> None:
    """If two admissions read the same states at once, the effects of both are counted."""
    keys = question(protections).keys
    store, clock, ask = _store_with_states(protections)
    clock.happens.append(ask)
    ask()
    other_store, _, other_ask = _store_with_states(protections)
    other_ask()
    other_ask()

    assert other_store.execute(ReadCommand(*keys)) == store.execute(ReadCommand(*keys))


@pytest.mark.parametrize("protections", SIZES)
def test_admission_starts_with_new_states_if_its_states_expire_meanwhile(protections: str) -> None:
    """If an admission's states expire and are removed meanwhile, it starts with new states."""
    store, clock, ask = _store_with_states(protections)

    def sweep() -> None:
        clock.pass_by(2 * 86_400)
        store.execute(ReadCommand("z"))

    clock.happens.append(sweep)

    assert 0 == ask()[0]
    assert len(question(protections).keys) == len(store)


@pytest.mark.parametrize("protections", SIZES)
def test_unreadable_state_is_reported(protections: str) -> None:
    """A stored state with an unknown layout raises a moorage error that names the key."""
    store, _, ask = _store_with_states(protections)
    for key in question(protections).keys:
        store.execute(Put("another layout", key))

    with pytest.raises(StorageUnavailable, match="another layout"):
        ask()


@pytest.mark.parametrize("protections", SIZES)
def test_admission_with_a_lost_answer_is_undone(protections: str) -> None:
    """If an interruption loses an admission's result, the stored states are unchanged."""
    store, _, ask = _store_with_states(protections)
    states = store.execute(ReadCommand(*question(protections).keys))
    lock = FragileLock()
    lock.releases = 1
    store._lock = lock  # noqa: SLF001 - nobody else can tell when

    with pytest.raises(Interruption):
        ask()

    assert states == store.execute(ReadCommand(*question(protections).keys))


@pytest.mark.parametrize("protections", [*SIZES[:3], "two limits"])
def test_interruption_before_an_admission_frees_the_lock(protections: str) -> None:
    """An admission interrupted directly after it acquired the lock changes nothing."""
    store, _, ask = _store_with_states(protections)
    states = store.execute(ReadCommand(*question(protections).keys))
    lock = TakenLock()
    store._lock = lock  # noqa: SLF001 - nobody else can tell when

    with pytest.raises(Interruption):
        ask()

    assert not lock.is_taken
    assert states == store.execute(ReadCommand(*question(protections).keys))


def test_forked_child_does_not_wait_for_locks() -> None:
    """In a forked child, a prepared admission uses the child's new lock."""
    store, _, ask = _store_with_states("limit")
    store._lock.acquire()  # noqa: SLF001 - no thread can be stopped inside a section
    store._restart_after_fork()  # noqa: SLF001 - as a forked child does

    assert 0 == ask()[0]
