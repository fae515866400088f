"""The store of shared state in the memory of one process."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.concurrency.forking import start_afresh
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.domain.idempotency.claims import Claim
from moorage.domain.resilience.admission import Admission, Answer, Gates, SetCircuit
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitState
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.service.plan import Plan
from moorage.domain.service.settings import Service
from moorage.domain.state.keys import state_key
from moorage.domain.values.durations import DAY, SECOND
from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import Command, States

pytestmark = pytest.mark.filterwarnings("ignore:The store in memory holds:RuntimeWarning")


class Clock:
    """A wall clock and a monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.passed = 0
        self.watch = datetime(2026, 1, 1, tzinfo=UTC)

    def nanoseconds(self) -> int:
        """Return the time that has passed."""
        return self.passed

    def utc(self) -> datetime:
        """Return the time of the wall clock."""
        return self.watch

    def pass_by(self, seconds: float) -> None:
        """Advance the elapsed time, but not the wall clock."""
        self.passed += round(seconds * 1e9)


class Put:
    """A command that writes one value to every key, and returns the earlier values."""

    once = False
    durable = False

    def __init__(self, value: object, *keys: str, quiet: int = DAY) -> None:
        self.keys = keys
        self._value = value
        self._quiet = quiet

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Write."""
        return tuple((now, self._quiet, self._value) for _ in states), states


class Look(Put):
    """A command that reads its keys, and returns the values."""

    def __init__(self, *keys: str) -> None:
        super().__init__(None, *keys)

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Change nothing."""
        return states, states


def values(store: MemoryStorage, *keys: str) -> list[object]:
    """The stored values of these keys."""
    return [state and state[2] for state in store.execute(Look(*keys))]


# --- the contract ----------------------------------------------------------------


def _timed(*bound: int) -> tuple[MemoryStorage, Callable[[float], None]]:
    clock = Clock()
    return MemoryStorage(clock, max_entries=bound[0] if bound else 100_000), clock.pass_by


def _timed_later(*bound: int) -> tuple[AsyncMemoryStorage, Callable[[float], None]]:
    shared_storage, pass_by = _timed(*bound)
    return AsyncMemoryStorage(shared_storage), pass_by


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_conforms(check: kit.Check) -> None:
    """The store in memory keeps the contract of its port."""
    check(MemoryStorage)


@pytest.mark.parametrize("check", [*kit.TIMED_CHECKS, *kit.BOUNDED_CHECKS], ids=name_of)
def test_conforms_in_time(check: Callable[..., None]) -> None:
    """The store passes the checks with a virtual clock: expiry and bounds."""
    check(_timed)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_conforms_awaited(check: kit.AsyncCheck) -> None:
    """The asynchronous store keeps the contract of its port."""
    asyncio.run(check(AsyncMemoryStorage))


@pytest.mark.parametrize("check", [*kit.ASYNC_TIMED_CHECKS, *kit.ASYNC_BOUNDED_CHECKS], ids=name_of)
def test_conforms_awaited_in_time(check: Callable[..., Any]) -> None:
    """The asynchronous store passes the checks with a virtual clock: expiry and bounds."""
    asyncio.run(check(_timed_later))


def test_synchronous_and_asynchronous_callers_may_share_a_store() -> None:
    """A value written synchronously is read asynchronously, and the reverse."""
    plain_storage = MemoryStorage()
    async_storage = AsyncMemoryStorage(plain_storage)

    asyncio.run(async_storage.execute(Put("later", "a")))
    async_storage.post(Put("posted", "b"))

    assert ["later", "posted"] == values(plain_storage, "a", "b")


def test_asynchronous_store_takes_the_same_arguments() -> None:
    """The asynchronous store accepts the arguments of the synchronous store that it uses."""
    clock = Clock()
    store = AsyncMemoryStorage(clock=clock, max_entries=1)
    clock.pass_by(1)

    assert 1_767_225_601_000_000 == store.shared.now()
    store.post(Put(1, "a"))
    with pytest.raises(StorageUnavailable):
        asyncio.run(store.execute(Put(1, "b")))


def test_a_store_holds_something_or_nothing_at_all() -> None:
    """A maximum of zero entries is refused at construction."""
    with pytest.raises(ConfigurationError, match="max_entries"):
        MemoryStorage(max_entries=0)


def test_an_empty_store_is_a_store() -> None:
    """An empty store is true, so that no default replaces it."""
    store = MemoryStorage()

    assert (True, 0) == (bool(store), len(store))


# --- nothing is held while a command decides --------------------------------------


class Meddled(Put):
    """A command whose states another writer changes during its first attempt."""

    def __init__(self, meddle: Callable[[], object], *keys: str, write: bool = True) -> None:
        super().__init__("mine", *keys)
        self._meddle = [meddle]
        self._write = write
        self.saw: list[States] = []

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Decide, and be disturbed."""
        self.saw.append(states)
        if self._meddle:
            self._meddle.pop()()
        return super().apply(states, now) if self._write else (states, states)


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
@pytest.mark.parametrize("which", [0, -1])
def test_a_command_that_was_overtaken_decides_again(
    before: str | None, keys: str, which: int
) -> None:
    """A command decides again if its states were changed meanwhile."""
    store = MemoryStorage()
    if before:
        store.execute(Put(before, *keys))
    command = Meddled(lambda: store.execute(Put("theirs", keys[which])), *keys)

    answer = store.execute(command)

    assert 2 == len(command.saw)
    assert "theirs" == (answer[which] or "...")[2]
    assert ["mine"] * len(keys) == values(store, *keys)


@pytest.mark.parametrize("keys", ["ab", "abc"])
@pytest.mark.parametrize("which", [0, -1])
def test_a_new_state_beside_others_is_decided_again(keys: str, which: int) -> None:
    """A command on existing states and a new one decides again if a state was changed meanwhile."""
    store = MemoryStorage()
    store.execute(Put("old", *keys[:-1]))
    command = Meddled(lambda: store.execute(Put("theirs", keys[which])), *keys)

    answer = store.execute(command)

    assert 2 == len(command.saw)
    assert "theirs" == (answer[which] or "...")[2]
    assert ["mine"] * len(keys) == values(store, *keys)
    assert len(keys) == len(store)


@pytest.mark.parametrize("keys", ["ab", "abc"])
def test_a_missing_state_beside_others_stays_missing(keys: str) -> None:
    """A command that only reads creates no state."""
    store = MemoryStorage()
    store.execute(Put("old", *keys[:-1]))

    assert [*["old"] * (len(keys) - 1), None] == values(store, *keys)
    assert len(keys) - 1 == len(store)


@pytest.mark.parametrize("keys", ["ab", "abc", "abcd"])
def test_read_only_command_sees_a_consistent_snapshot(keys: str) -> None:
    """A read-only command sees all of its states as they were at one moment."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))
    command = Meddled(lambda: store.execute(Put("new", *keys)), *keys, write=False)

    answer = store.execute(command)

    assert 1 == len({state and state[2] for state in answer})


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_a_state_that_is_forgotten_meanwhile_is_missing(keys: str) -> None:
    """A state that a sweep takes away under a command is decided upon anew."""
    clock = Clock()
    store = MemoryStorage(clock)
    store.execute(Put("old", *keys, quiet=SECOND))

    def sweep() -> None:
        clock.pass_by(31)
        store.execute(Look("z"))

    answer = store.execute(Meddled(sweep, *keys))

    assert (None,) * len(keys) == answer
    assert ["mine"] * len(keys) == values(store, *keys)


def test_commands_decide_at_the_same_time() -> None:
    """Eight threads can execute commands at the same time."""
    store, inner_barrier = MemoryStorage(), Barrier(8)

    class Meeting(Look):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            inner_barrier.wait(20)
            return super().apply(states, now)

    threads = [Thread(target=store.execute, args=(Meeting("a"),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert not inner_barrier.broken
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_unchanged_states_are_not_written(keys: str) -> None:
    """A command that changes nothing does not make other commands repeat their decision."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))
    command = Meddled(lambda: store.execute(Look(*keys)), *keys)

    store.execute(command)

    assert 1 == len(command.saw)


# --- interruptions ---------------------------------------------------------------


@pytest.mark.untraced
@pytest.mark.parametrize("kind", ["signals", "handlers", "finalisers", "threads"])
def test_an_interruption_leaves_all_of_a_command_or_none(kind: str) -> None:
    """An interrupted command is done completely or not at all, and never blocks others."""
    program = subprocess.run(
        [sys.executable, "-m", "tests.adapters.memory_storm", kind],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        timeout=150,
    )
    struck, torn, miscounted = map(int, program.stdout.split())

    assert struck > 50
    assert (0, 0) == (torn, miscounted)


class Interruption(BaseException):
    """The exception that a signal handler raises."""


class Door:
    """A lock that runs a function and is interrupted when it is released."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        self._happens = [*happens]

    def __enter__(self) -> None:
        """Be free."""

    def __exit__(self, *_: object) -> None:
        if self._happens:
            self._happens.pop()()
            raise Interruption


def _values_after_interruption(
    store: MemoryStorage, keys: str, happens: Callable[[], object]
) -> list[object]:
    """Return the stored values after a command wrote and its answer was lost."""
    store._lock = Door(happens)  # type: ignore[assignment]  # noqa: SLF001 - nobody else can tell when
    with pytest.raises(Interruption):
        store.execute(Put("mine", *keys))
    return values(store, *keys)


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_write_with_a_lost_answer_is_undone(keys: str) -> None:
    """A write is undone if an interruption discards its answer."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))

    assert ["old"] * len(keys) == _values_after_interruption(store, keys, list)


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_new_state_with_a_lost_answer_stays(keys: str) -> None:
    """A new state cannot be undone, since no command removes states."""
    assert ["mine"] * len(keys) == _values_after_interruption(MemoryStorage(), keys, list)


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_overwritten_state_is_not_undone(keys: str) -> None:
    """A state that another command has changed since is not rolled back."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))

    remaining_states = _values_after_interruption(
        store, keys, lambda: store.execute(Put("theirs", keys[0]))
    )

    assert ["theirs", *["mine"] * (len(keys) - 1)] == remaining_states


def test_forked_child_does_not_wait_for_locks() -> None:
    """A forked child does not wait for a lock of its parent's threads."""
    store = MemoryStorage()
    store._lock.acquire()  # noqa: SLF001 - no thread can be stopped inside a section

    start_afresh()

    store.execute(Put(1, "a"))
    assert [1] == values(store, "a")


# --- time ------------------------------------------------------------------------


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_steps_of_the_wall_clock_change_nothing(step: timedelta) -> None:
    """A watch that is set by an hour opens no circuit, fills no bucket and ends no claim."""
    outcomes: list[object] = []
    for stepped_duration in (timedelta(0), step):
        clock = Clock()
        store = MemoryStorage(clock)
        service = Service(
            "vat",
            limits=(RateLimitConfig.per_hour(1, burst=2),),
            circuit=CircuitBreakerConfig(failures=1),
        )
        plan = Plan(service, None, None)
        messages = [store.execute(_claim("one")).verdict, store.execute(plan.question)[0]]
        clock.watch += stepped_duration
        clock.pass_by(60)
        messages += [
            store.execute(plan.question)[0],
            store.execute(plan.question.evolve(within=0))[0],
        ]
        messages += [store.execute(_claim("two")).verdict]
        outcomes.append((messages, store.now()))

    assert outcomes[0] == outcomes[1]
    assert [Answer.GO, Answer.LIMITED] == outcomes[0][0][2:4]  # type: ignore[index]  # the first of a pair is a list


def test_time_begins_with_the_wall_clock() -> None:
    """By default the store's time is the wall-clock time, to the second."""
    difference = MemoryStorage().now() - datetime.now(UTC).timestamp() * 1e6

    assert abs(difference) < SECOND


def _claim(owner: str) -> Command[Any]:
    return Claim(
        "claim",
        fingerprint=b"",
        owner=len(owner) + ord(owner[0]),
        lease=3_000 * SECOND,
        ttl=DAY,
        target="vendor",
        remembered=0,
    )


# --- the bound -------------------------------------------------------------------


def _touched(store: MemoryStorage, tenant: str, service: Service) -> Plan:
    plan = Plan(service, tenant, None)
    store.execute(plan.question)
    return plan


def test_keys_touched_once_do_not_stay() -> None:
    """The states of 10,000 tenants with one call each are removed after they expire."""
    clock = Clock()
    store = MemoryStorage(clock)
    service = Service("vat", limits=(RateLimitConfig.per_second(10),))
    for tenant in range(10_000):
        _touched(store, f"t{tenant}", service)
        clock.pass_by(0.001)
    states_held = len(store)
    clock.pass_by(7_200)

    store.execute(Look("anything"))

    assert (20_000, 0) == (states_held, len(store))


def test_a_new_state_sweeps_when_it_is_time() -> None:
    """Half a minute after the last sweep, a new state causes another sweep."""
    clock = Clock()
    store = MemoryStorage(clock)
    store.execute(Put("dust", "a", "b", quiet=1))
    store.execute(Put("kept", "z"))

    clock.pass_by(29)
    store.execute(Put("kept", "y"))
    states_held = len(store)
    clock.pass_by(2)
    store.execute(Put("kept", "z"))
    still = len(store)
    store.execute(Put("kept", "x"))

    assert (states_held, still, len(store)) == (4, 4, 3)


def test_sweep_removes_expired_states_only() -> None:
    """A sweep removes expired states, and keeps used limits, open circuits and claims."""
    clock = Clock()
    store = MemoryStorage(clock)
    slow_service = Service("slow", limits=(RateLimitConfig.per_day(1),), circuit=None)
    quick_service = Service("quick", limits=(RateLimitConfig.per_second(100),), circuit=None)
    service = Service("forced", circuit=CircuitBreakerConfig())
    gates = Plan(service, "forced", None).gates
    assert gates.circuit is not None
    store.execute(_claim("one"))
    store.execute(SetCircuit(gates.circuit, gates.circuit_key, CircuitState.FORCED_OPEN))
    kept_keys = {"claim", gates.circuit_key, *_touched(store, "t", slow_service).question.keys}
    dropped_keys = {
        *_touched(store, "t", quick_service).question.keys,
        *_touched(store, "t", service).question.keys,
    }
    there = {key for key in kept_keys | dropped_keys if store.execute(Look(key)) != (None,)}

    clock.pass_by(7_200)
    store.execute(Look("anything"))
    remaining_keys = {
        key for key in kept_keys | dropped_keys if store.execute(Look(key)) != (None,)
    }

    assert (kept_keys | dropped_keys, kept_keys) == (there, remaining_keys)


def test_full_store_updates_existing_states() -> None:
    """In a full store existing states can change, and one freed slot admits a new state."""
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
    store.execute(Put("old", "a", quiet=1))
    clock.pass_by(0.099)
    with pytest.raises(StorageUnavailable):
        store.execute(Put("new", "b"))

    clock.pass_by(0.001)
    store.execute(Put("new", "b"))

    assert [None, "new"] == values(store, "a", "b")


def test_claims_leave_room_for_limits_and_circuits() -> None:
    """When the maximum of keys is reached, only new keys are refused."""
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
    """A full store makes room for a new tenant by dropping the state that expires first."""
    store = MemoryStorage(max_entries=10)
    keys = [state_key(kind, "vat", f"t{number}") for number in range(40)]
    longest = state_key(kind, "vat", None)
    store.execute(Put("open", longest, quiet=7 * DAY))

    for number, key in enumerate(keys):
        store.execute(Put("counted", key, quiet=DAY + number * SECOND))

    assert 10 == len(store)
    assert ["open", *["counted"] * 9] == values(store, longest, *keys[-9:])


def test_command_with_many_gates_keeps_its_states() -> None:
    """A command with more states than the store's limit runs, and loses none of its states."""
    store = MemoryStorage(max_entries=2)
    keys = [state_key("limit", "vat", None, str(number)) for number in range(3)]
    store.execute(Put("old", *keys[:2], quiet=1))

    store.execute(Put("new", *keys))

    assert ["new"] * 3 == values(store, *keys)


@pytest.mark.untraced
def test_memory_stays_bounded_under_many_keys_and_tenants() -> None:
    """With 200,000 keys and tenants, each class of states stays below its maximum."""
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
    """Each class of states warns once when it is four fifths full."""
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
    """Expired states are dropped before the store warns of being full."""
    clock = Clock()
    store = MemoryStorage(clock, max_entries=10)
    for number in range(7):
        store.execute(Put(1, state_key("key", "vat", None, str(number)), quiet=SECOND))
    clock.pass_by(2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.execute(Put(1, state_key("key", "vat", None, "new")))

    assert 1 == len(store)


class Sly(int):
    """A number that runs a function when it is first added to."""

    meddle: list[Callable[[], object]]

    def __add__(self, other: int) -> int:
        """Run the function, and return the sum."""
        if self.meddle:
            self.meddle.pop()()
        return int(self) + other


class Plant(Put):
    """Writes a state that was made by hand."""

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Write."""
        return (self._value,), states  # type: ignore[return-value]  # a state


@pytest.mark.parametrize("another", [None, "new"])
def test_a_sweep_takes_nothing_that_was_written_meanwhile(another: str | None) -> None:
    """A sweep of expired states checks each state again before it drops it."""
    clock = Clock()
    store = MemoryStorage(clock)
    sly_state = Sly(0)

    def meddle() -> None:
        if another:
            store.execute(Put(another, "a"))
        else:
            clock.pass_by(31)
            store.execute(Look("z"))

    sly_state.meddle = [meddle]
    store.execute(Plant((sly_state, 0, "old"), "a"))
    clock.pass_by(31)
    store.execute(Look("z"))

    assert ([another], 1 if another else 0) == (values(store, "a"), len(store))


# --- what it weighs --------------------------------------------------------------


@pytest.mark.untraced
@pytest.mark.parametrize(
    "service, most",
    [
        (Service("vat", limits=(RateLimitConfig.per_second(10),), circuit=None), 350),
        (Service("vat", limits=(), circuit=CircuitBreakerConfig()), 480),
    ],
)
def test_an_idle_key_weighs_little(service: Service, most: int) -> None:
    """An idle limiter or circuit takes little memory, its key included."""
    number = 5_500  # a little more than fits a table, so that it has just grown
    store = MemoryStorage()
    gates = _touched(store, "first", service).gates

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
