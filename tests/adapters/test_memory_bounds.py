"""Size limits of the in-memory store, and which states it removes first."""

from __future__ import annotations

import gc
import tracemalloc
import warnings
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitState
from moorage.domain.resilience.gate_commands import SetCircuit
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.service.plan import Plan
from moorage.domain.service.settings import Service
from moorage.domain.state.keys import state_key
from moorage.domain.values.durations import DAY, SECOND
from moorage.errors import StorageUnavailable
from tests.adapters.memory_commands import Clock, Put, ReadCommand, claim_of, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import States


def _execute_plan(store: MemoryStorage, tenant: str, service: Service) -> Plan:
    plan = Plan(service, tenant, None)
    store.execute(plan.question)
    return plan


@pytest.mark.untraced
def test_keys_touched_once_do_not_stay() -> None:
    """The states of 10,000 tenants with one call each are removed once they expire."""
    clock = Clock()
    store = MemoryStorage(clock)
    service = Service("vat", limits=(RateLimitConfig.per_second(10),))
    for tenant in range(10_000):
        _execute_plan(store, f"t{tenant}", service)
        clock.pass_by(0.001)
    states_held = len(store)
    clock.pass_by(7_200)

    store.execute(ReadCommand("anything"))

    assert (20_000, 0) == (states_held, len(store))


def test_a_new_state_sweeps_when_it_is_time() -> None:
    """A new state starts a sweep of expired states, at most every half minute."""
    clock = Clock()
    store = MemoryStorage(clock)
    store.execute(Put("dust", "a", "b", keep_for=1))
    store.execute(Put("kept", "z"))

    clock.pass_by(29)
    store.execute(Put("kept", "y"))
    states_held = len(store)
    clock.pass_by(2)
    store.execute(Put("kept", "z"))
    remaining_count = len(store)
    store.execute(Put("kept", "x"))

    assert (states_held, remaining_count, len(store)) == (4, 4, 3)


def test_sweep_removes_expired_states_only() -> None:
    """A cleanup removes expired states, but no used limits, open circuits or claims."""
    clock = Clock()
    store = MemoryStorage(clock)
    slow_service = Service("slow", limits=(RateLimitConfig.per_day(1),), circuit=None)
    quick_service = Service("quick", limits=(RateLimitConfig.per_second(100),), circuit=None)
    service = Service("forced", circuit=CircuitBreakerConfig())
    gates = Plan(service, "forced", None).gates
    assert gates.circuit is not None
    store.execute(claim_of("one"))
    store.execute(SetCircuit(gates.circuit, gates.circuit_key, CircuitState.FORCED_OPEN))
    kept_keys = {"claim", gates.circuit_key, *_execute_plan(store, "t", slow_service).question.keys}
    dropped_keys = {
        *_execute_plan(store, "t", quick_service).question.keys,
        *_execute_plan(store, "t", service).question.keys,
    }
    present_keys = {
        key for key in kept_keys | dropped_keys if store.execute(ReadCommand(key)) != (None,)
    }

    clock.pass_by(7_200)
    store.execute(ReadCommand("anything"))
    remaining_keys = {
        key for key in kept_keys | dropped_keys if store.execute(ReadCommand(key)) != (None,)
    }

    assert (kept_keys | dropped_keys, kept_keys) == (present_keys, remaining_keys)


def test_full_store_updates_existing_states() -> None:
    """In a full store, existing states can change.

    A new state is stored once another state is removed.
    """
    store = MemoryStorage(max_entries=3)
    store.execute(Put(1, "a", "b"))

    store.execute(Put(2, "a", "b", "c"))
    store.execute(Put(3, "a", "b", "c"))

    assert [3, 3, 3] == values(store, *"abc")
    with pytest.raises(StorageUnavailable, match="3 live states"):
        store.execute(Put(4, "d"))
    with pytest.raises(StorageUnavailable, match="3 live states"):
        store.execute(Put(4, "a", "d"))


def test_full_store_searches_ten_times_a_second() -> None:
    """A full store searches for expired states at most ten times a second."""
    clock = Clock()
    store = MemoryStorage(clock, max_entries=1)
    store.execute(Put("old", "a", keep_for=1))
    clock.pass_by(0.099)
    with pytest.raises(StorageUnavailable):
        store.execute(Put("new", "b"))

    clock.pass_by(0.001)
    store.execute(Put("new", "b"))

    assert [None, "new"] == values(store, "a", "b")


def test_claims_leave_room_for_limits_and_circuits() -> None:
    """When the maximum of idempotency keys is reached, limits and circuits can still be stored."""
    store = MemoryStorage(max_entries=10)
    service = Service("vat", limits=(RateLimitConfig.per_day(1),), circuit=CircuitBreakerConfig())
    claims = [state_key("key", "vat", None, str(number)) for number in range(10)]
    for key in claims:
        store.execute(Put("claimed", key))

    with pytest.raises(StorageUnavailable, match="10 live states of the class 'key'") as excinfo:
        store.execute(Put("claimed", state_key("key", "vat", None, "more")))

    assert "SqliteStorage" in (excinfo.value.remedy or "")
    plan = Plan(service, "new", None)
    assert [Answer.GO, Answer.LIMITED] == [
        store.execute(plan.question.evolve(within=0))[0] for _ in range(2)
    ]
    assert ["claimed"] * 10 == values(store, *claims)


@pytest.mark.parametrize("kind", ["limit", "circuit", "budget", "bulkhead"])
def test_full_store_drops_the_earliest_expiry(kind: str) -> None:
    """A full store accepts a new tenant by removing the state that would expire first."""
    store = MemoryStorage(max_entries=10)
    keys = [state_key(kind, "vat", f"t{number}") for number in range(40)]
    longest = state_key(kind, "vat", None)
    store.execute(Put("open", longest, keep_for=7 * DAY))

    for number, key in enumerate(keys):
        store.execute(Put("counted", key, keep_for=DAY + number * SECOND))

    assert 10 == len(store)
    assert ["open", *["counted"] * 9] == values(store, longest, *keys[-9:])


def test_command_with_more_states_than_store_maximum_runs() -> None:
    """A command on more states than the store's maximum still runs, and keeps all these states."""
    store = MemoryStorage(max_entries=2)
    keys = [state_key("limit", "vat", None, str(number)) for number in range(3)]
    store.execute(Put("old", *keys[:2], keep_for=1))

    store.execute(Put("new", *keys))

    assert ["new"] * 3 == values(store, *keys)


@pytest.mark.untraced
def test_memory_stays_bounded_under_many_keys_and_tenants() -> None:
    """After 200,000 keys and tenants, each class of states in the store is within its maximum."""
    store = MemoryStorage(max_entries=1_000)
    refused_claims = 0
    for number in range(200_000):
        try:
            store.execute(Put(1, state_key("key", "vat", None, str(number))))
        except StorageUnavailable:
            refused_claims += 1
        if number % 20 == 0:
            store.execute(Put(1, state_key("limit", "vat", f"t{number}")))

    assert (199_000, 2_000) == (refused_claims, len(store))


def test_a_store_that_fills_up_warns_once() -> None:
    """When a class of states is four fifths full, the store warns, once for each class."""
    store = MemoryStorage(max_entries=10)
    keys = [state_key("key", "vat", None, str(number)) for number in range(10)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for key in keys[:7]:
            store.execute(Put(1, key))

    with pytest.warns(RuntimeWarning, match="8 of at most 10 states of the class 'key'"):
        store.execute(Put(1, keys[7]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for key in keys[8:]:
            store.execute(Put(1, key))
    with pytest.warns(RuntimeWarning, match="class 'limit'"):
        store.execute(Put(1, *(state_key("limit", "vat", f"t{number}") for number in range(9))))


def test_full_store_warns_about_live_states_only() -> None:
    """The store removes expired states first, and warns only if it is then still nearly full."""
    clock = Clock()
    store = MemoryStorage(clock, max_entries=10)
    for number in range(7):
        store.execute(Put(1, state_key("key", "vat", None, str(number)), keep_for=SECOND))
    clock.pass_by(2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.execute(Put(1, state_key("key", "vat", None, "new")))

    assert 1 == len(store)


class HookedInteger(int):
    """A number that runs a function when something is first added to it."""

    meddle: list[Callable[[], object]]

    def __add__(self, other: int) -> int:
        """Run the function, and return the sum."""
        if self.meddle:
            self.meddle.pop()()
        return int(self) + other


class PlantedState(Put):
    """A command that writes the state that the test has chosen."""

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Write the given state."""
        return (self._value,), states  # type: ignore[return-value]  # a state


@pytest.mark.parametrize("another", [None, "new"])
def test_sweep_of_expired_states_checks_each_state_again_before_it_drops_it(
    another: str | None,
) -> None:
    """A cleanup of expired states checks each state again before it removes the state."""
    clock = Clock()
    store = MemoryStorage(clock)
    sly_state = HookedInteger(0)

    def change_state() -> None:
        if another:
            store.execute(Put(another, "a"))
        else:
            clock.pass_by(31)
            store.execute(ReadCommand("z"))

    sly_state.meddle = [change_state]
    store.execute(PlantedState((sly_state, 0, "old"), "a"))
    clock.pass_by(31)
    store.execute(ReadCommand("z"))

    assert ([another], 1 if another else 0) == (values(store, "a"), len(store))


@pytest.mark.untraced
@pytest.mark.parametrize(
    "service, most",
    [
        (Service("vat", limits=(RateLimitConfig.per_second(10),), circuit=None), 350),
        (Service("vat", limits=(), circuit=CircuitBreakerConfig()), 480),
    ],
)
def test_an_idle_key_weighs_little(service: Service, most: int) -> None:
    """An idle rate limit or circuit, together with its key, takes little memory."""
    number = 5_500  # slightly more than a dict's size step, so that it has just grown
    store = MemoryStorage()
    gates = _execute_plan(store, "first", service).gates

    def touch(tenant: str) -> None:
        kind = "circuit" if gates.circuit else "limit"
        key = state_key(kind, service.name, tenant, "", "10-1000000-10", "0")
        other_gates = Gates(
            circuit=gates.circuit,
            circuit_key=key,
            limits=gates.limits,
            limit_keys=[key] * len(gates.limits),
        )
        store.execute(Admission(other_gates, within=0, lease=SECOND))

    gc.collect()
    tracemalloc.start()
    try:
        memory_before = tracemalloc.get_traced_memory()[0]
        for tenant in range(number):
            touch(f"tenant-{tenant}")
        gc.collect()
        weight = (tracemalloc.get_traced_memory()[0] - memory_before) / number
    finally:
        tracemalloc.stop()

    assert number + 1 == len(store)
    assert weight <= most
